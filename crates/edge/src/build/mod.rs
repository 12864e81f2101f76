//! `rootspan edge build`: the functions' sources with the settings baked in.
//!
//! Neither CloudFront Functions nor Lambda@Edge have an environment, so what they must know is part of their code. The
//! sources in `edge-functions/src/` are JavaScript with default settings between two marker lines. Building is four steps,
//! each of text to text: [`sections`] leaves out what the settings do not need, [`lint`] refuses what the runtime does not
//! have, [`minify`] makes it small, [`source_map`] says where everything came from. Same settings, same bytes.

use std::fmt::Write as _;

use rootspan_model::limits::EDGE_FUNCTION_MAX_BYTES;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::settings::{IdsVia, Settings, Trust};

mod bake;
mod lint;
mod minify;
mod sections;
mod source_map;
mod tokens;

pub use lint::Runtime;

/// The source of the viewer-request function: its rules, then what they read and write contexts with.
const VIEWER_REQUEST: &str = concat!(
    include_str!("../../../../edge-functions/src/viewer-request.js"),
    "\n",
    include_str!("../../../../edge-functions/src/trace-context.js")
);

/// The source of the viewer-response function.
const VIEWER_RESPONSE: &str = include_str!("../../../../edge-functions/src/viewer-response.js");

/// What comes behind the rules of the viewer-request function in Lambda@Edge functions.
const LAMBDA_EDGE: &str = include_str!("../../../../edge-functions/src/lambda-edge.js");

/// The lines around the settings of Lambda@Edge functions.
const LAMBDA_MARKERS: [&str; 2] = ["// rootspan:lambda:begin\n", "// rootspan:lambda:end\n"];

/// The lines around the settings in the source.
const SETTINGS_MARKERS: [&str; 2] = ["// rootspan:settings:begin\n", "// rootspan:settings:end\n"];

/// What stands around the module for CloudFront Functions: it is pasted into a file that has names of its own.
const MODULE_BEGIN: &str = "var rootspan = (function () {\n";
const MODULE_END: &str = "return rootspan;\n})();\n";

/// Names that stay: what CloudFront and callers look for, and the settings, so that deployed code says what it was built with.
const KEPT_NAMES: [&str; 5] = ["LAMBDA", "SETTINGS", "cf", "handler", "rootspan"];

/// How a function is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Small, with a source map beside it.
    #[default]
    Minified,
    /// Names and lines as in the source, without its comments.
    Readable,
}

/// A function, ready to be pasted or uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltFunction {
    /// What the file is called, after what it is attached to: `viewer-request.js` for CloudFront Functions,
    /// `origin-request.mjs` for Lambda@Edge, `….module.…` to be called by a function that exists already.
    pub file_name: &'static str,
    /// What runs it.
    pub runtime: Runtime,
    /// The code.
    pub code: String,
    /// SHA-256 of the code in hexadecimal digits, to recognise what is deployed.
    pub sha256: String,
    /// Leads from the code to the source with its comments and settings, which is part of the map.
    pub source_map: Option<String>,
}

/// Why no function could be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Too many or too long path patterns.
    #[error(
        "the function has {bytes} bytes with these settings, CloudFront allows {EDGE_FUNCTION_MAX_BYTES}: {way_out}"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// What makes it smaller.
        way_out: &'static str,
    },
    /// The source uses what the runtime does not have.
    #[error("{file_name}: {problem}")]
    Forbidden {
        /// The function.
        file_name: &'static str,
        /// What, and where.
        problem: String,
    },
}

/// Builds all functions that the settings allow for, minified: a distribution attaches some of them.
///
/// # Errors
///
/// If one of them breaks a limit of CloudFront.
pub fn all(settings: &Settings) -> Result<Vec<BuiltFunction>, BuildError> {
    written(settings, Form::Minified)
}

/// The same in either form.
///
/// # Errors
///
/// If one of them breaks a limit of CloudFront.
pub fn written(settings: &Settings, form: Form) -> Result<Vec<BuiltFunction>, BuildError> {
    let mut functions = vec![cloudfront_viewer_request(settings, form)?, viewer_request_module(settings, form)?];
    if settings.options.server_timing || settings.options.trace_id_header.is_some() {
        functions.push(viewer_response(settings, form)?);
    }
    let handlers = [
        ("viewer-request.mjs", "export { handleViewerRequest as handler };\n"),
        ("origin-request.mjs", "export { handleOriginRequest as handler };\n"),
        ("origin-response.mjs", "export { handleOriginResponse as handler };\n"),
        ("lambda-edge.module.mjs", ""),
    ];
    for (file_name, export) in handlers {
        functions.push(lambda_edge(settings, form, file_name, export)?);
    }
    Ok(functions)
}

/// Builds the viewer-request function for CloudFront Functions.
///
/// # Errors
///
/// If the code breaks a limit of CloudFront.
pub fn viewer_request(settings: &Settings) -> Result<BuiltFunction, BuildError> {
    cloudfront_viewer_request(settings, Form::Minified)
}

fn cloudfront_viewer_request(settings: &Settings, form: Form) -> Result<BuiltFunction, BuildError> {
    let source = rules(settings, form, &dispensable(settings, Runtime::CloudFront, &[]));
    finished("viewer-request.js", Runtime::CloudFront, form, &source)
}

/// The same without a handler: `rootspan(event)` returns what the calling function is to log.
fn viewer_request_module(settings: &Settings, form: Form) -> Result<BuiltFunction, BuildError> {
    let source = rules(settings, form, &dispensable(settings, Runtime::CloudFront, &["standalone"]));
    let source = format!("{MODULE_BEGIN}{source}{MODULE_END}");
    finished("viewer-request.module.js", Runtime::CloudFront, form, &source)
}

fn viewer_response(settings: &Settings, form: Form) -> Result<BuiltFunction, BuildError> {
    let header = settings.options.trace_id_header.as_deref().unwrap_or_default();
    let baked = json!({"respond": {"serverTiming": settings.options.server_timing, "header": header}});
    let source = replaced(
        VIEWER_RESPONSE,
        SETTINGS_MARKERS,
        &bake::variable("SETTINGS", "{respond: {serverTiming: boolean, header: string}}", &baked, form),
    );
    finished("viewer-response.js", Runtime::CloudFront, form, &source)
}

fn lambda_edge(
    settings: &Settings,
    form: Form,
    file_name: &'static str,
    export: &str,
) -> Result<BuiltFunction, BuildError> {
    let lambda = bake::variable("LAMBDA", "LambdaSettings", &bake::lambda(settings), form);
    let adapter = replaced(LAMBDA_EDGE, LAMBDA_MARKERS, &lambda);
    let adapter =
        adapter.replace("var VERSION = '0.0.0';", concat!("var VERSION = '", env!("CARGO_PKG_VERSION"), "';"));
    let left_out = dispensable(settings, Runtime::Lambda, &["standalone", "cloudfront"]);
    let source = format!("{}{adapter}{export}", rules(settings, form, &left_out));
    finished(file_name, Runtime::Lambda, form, &source)
}

/// The sections of the viewer-request function that these settings do not need, beside `others`.
fn dispensable(settings: &Settings, runtime: Runtime, others: &[&'static str]) -> Vec<&'static str> {
    let options = &settings.options;
    let continues =
        settings.continue_secret.is_some() || settings.rules.iter().any(|rule| rule.trust == Trust::Continue);
    let is_dispensable = [
        ("console", options.ids_via == IdsVia::CustomData),
        ("custom-data", options.ids_via == IdsVia::Console),
        ("propagators", options.propagators.is_empty()),
        ("force", options.force_sampling.is_none()),
        ("secret", settings.continue_secret.is_none()),
        ("continue", !continues),
        // Lambda@Edge's origin functions go on with what viewer-request sent, whatever becomes of viewers' contexts.
        ("incoming", !continues && runtime == Runtime::CloudFront),
        ("paths", settings.rules.len() == 1),
    ];
    let names = is_dispensable.iter().filter(|(_, is)| *is).map(|(name, _)| *name);
    names.chain(others.iter().copied()).collect()
}

/// The source of the viewer-request function with its settings, without `left_out`.
fn rules(settings: &Settings, form: Form, left_out: &[&str]) -> String {
    let baked = bake::variable("SETTINGS", "Settings", &bake::rules(settings), form);
    sections::without_sections(&replaced(VIEWER_REQUEST, SETTINGS_MARKERS, &baked), left_out)
}

/// The source with something else between two marker lines.
fn replaced(source: &str, markers: [&str; 2], with: &str) -> String {
    let (before, rest) = source.split_once(markers[0]).expect("the source has the first marker");
    let (_, after) = rest.split_once(markers[1]).expect("the source has the second marker");
    format!("{before}{with}{after}")
}

fn finished(file_name: &'static str, runtime: Runtime, form: Form, source: &str) -> Result<BuiltFunction, BuildError> {
    let forbidden = |problem| BuildError::Forbidden { file_name, problem };
    lint::check(source, runtime).map_err(forbidden)?;
    let (name, _) = file_name.split_once('.').expect("file names have an extension");
    let first_line = format!("// rootspan {} {name}, {}\n", env!("CARGO_PKG_VERSION"), runtime.name());
    let (code, source_map) = match form {
        Form::Readable => (format!("{first_line}{}", sections::without_comments(source)), None),
        Form::Minified => {
            let mut minified = minify::minified(&first_line, source, &KEPT_NAMES)
                .map_err(|line| forbidden(format!("line {line} is no JavaScript")))?;
            if runtime == Runtime::Lambda {
                // Node looks for it under --enable-source-maps. Nothing in CloudFront Functions would, and bytes are dear.
                writeln!(minified.code, "//# sourceMappingURL={file_name}.map")
                    .expect("writing to a string does not fail");
            }
            let source_name = file_name.replacen('.', ".source.", 1);
            let map = source_map::json(file_name, &source_name, source, &minified.mappings);
            (minified.code, Some(map))
        }
    };
    if runtime == Runtime::CloudFront && code.len() > EDGE_FUNCTION_MAX_BYTES {
        let way_out = match form {
            Form::Minified => "use fewer paths",
            Form::Readable => "leave --readable away, or use fewer paths",
        };
        return Err(BuildError::TooLarge { bytes: code.len(), way_out });
    }
    let mut sha256 = String::with_capacity(64);
    for byte in Sha256::digest(code.as_bytes()) {
        write!(sha256, "{byte:02x}").expect("writing to a string does not fail");
    }
    Ok(BuiltFunction { file_name, runtime, code, sha256, source_map })
}

#[cfg(test)]
mod tests;
