//! `rootspan edge build`: the functions' sources with the settings baked in.
//!
//! Neither CloudFront Functions nor Lambda@Edge have an environment, so what they must know is part of their code. The
//! sources in `edge-functions/src/` are JavaScript with default settings between two marker lines; here those are
//! replaced, sections left out that the settings do not need, comments and indentation dropped, and the result checked
//! against CloudFront's limits. Same settings, same bytes.

use std::fmt::Write as _;

use rootspan_model::limits::EDGE_FUNCTION_MAX_BYTES;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::settings::{Baggage, IdsVia, Propagator, Settings, Trust};

mod strip;

/// The source of the viewer-request function.
const VIEWER_REQUEST: &str = include_str!("../../../../edge-functions/src/viewer-request.js");

/// The source of the viewer-response function.
const VIEWER_RESPONSE: &str = include_str!("../../../../edge-functions/src/viewer-response.js");

/// What comes behind the rules of the viewer-request function in Lambda@Edge functions.
const LAMBDA_EDGE: &str = include_str!("../../../../edge-functions/src/lambda-edge.js");

/// The lines around the settings of Lambda@Edge functions.
const LAMBDA_BEGIN: &str = "// rootspan:lambda:begin\n";
const LAMBDA_END: &str = "// rootspan:lambda:end\n";

/// The lines around the settings in the source.
const SETTINGS_BEGIN: &str = "// rootspan:settings:begin\n";
const SETTINGS_END: &str = "// rootspan:settings:end\n";

/// Names that CloudFront's runtime does not have or forbids: the code must not need them.
const FORBIDDEN_NAMES: [&str; 14] = [
    "Function",
    "WebAssembly",
    "XMLHttpRequest",
    "async",
    "await",
    "class",
    "eval",
    "export",
    "fetch",
    "globalThis",
    "process",
    "setImmediate",
    "setInterval",
    "setTimeout",
];

/// A function, ready to be pasted or uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltFunction {
    /// What the file is called, after what it is attached to: `viewer-request.js` for CloudFront Functions,
    /// `origin-request.mjs` for Lambda@Edge, `….module.…` to be called by a function that exists already.
    pub file_name: &'static str,
    /// The code.
    pub code: String,
    /// SHA-256 of the code in hexadecimal digits, to recognise what is deployed.
    pub sha256: String,
}

/// Why no function could be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Too many or too long path patterns.
    #[error(
        "the function has {bytes} bytes with these settings, CloudFront allows {EDGE_FUNCTION_MAX_BYTES}: use fewer paths"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The source uses what CloudFront does not have.
    #[error("the function uses {name}, which CloudFront Functions do not have")]
    Forbidden {
        /// The first such name.
        name: &'static str,
    },
}

/// Builds all functions that the settings allow for: a distribution attaches some of them.
///
/// # Errors
///
/// If one of them breaks a limit of CloudFront.
pub fn all(settings: &Settings) -> Result<Vec<BuiltFunction>, BuildError> {
    let mut functions = vec![viewer_request(settings)?, viewer_request_module(settings)?];
    if settings.options.server_timing || settings.options.trace_id_header.is_some() {
        functions.push(viewer_response(settings)?);
    }
    let handlers = [
        ("viewer-request.mjs", "export { handleViewerRequest as handler };\n"),
        ("origin-request.mjs", "export { handleOriginRequest as handler };\n"),
        ("origin-response.mjs", "export { handleOriginResponse as handler };\n"),
        ("lambda-edge.module.mjs", ""),
    ];
    functions.extend(handlers.map(|(file_name, export)| lambda_edge(settings, file_name, export)));
    Ok(functions)
}

/// Builds the viewer-request function for CloudFront Functions.
///
/// # Errors
///
/// If the code breaks a limit of CloudFront.
pub fn viewer_request(settings: &Settings) -> Result<BuiltFunction, BuildError> {
    cloudfront_function("viewer-request.js", &rules(settings, &[]))
}

/// The same without a handler: `rootspan(event)` returns what the calling function is to log.
fn viewer_request_module(settings: &Settings) -> Result<BuiltFunction, BuildError> {
    cloudfront_function("viewer-request.module.js", &rules(settings, &["standalone"]))
}

fn viewer_response(settings: &Settings) -> Result<BuiltFunction, BuildError> {
    let header = settings.options.trace_id_header.as_deref().unwrap_or_default();
    let baked = json!({"respond": {"serverTiming": settings.options.server_timing, "header": header}});
    let source = replaced(VIEWER_RESPONSE, [SETTINGS_BEGIN, SETTINGS_END], &format!("var SETTINGS = {baked};\n"));
    cloudfront_function("viewer-response.js", &source)
}

/// Lambda@Edge's limit is a megabyte packed: nothing here comes near it.
fn lambda_edge(settings: &Settings, file_name: &'static str, export: &str) -> BuiltFunction {
    let mut baked = json!({"service": settings.options.service_name});
    if let Some(export) = &settings.options.export {
        baked["export"] = json!({"url": export.endpoint, "token": export.token, "budgetMillis": export.budget_millis});
    }
    let lambda = format!("var LAMBDA = {baked};\n");
    let adapter = replaced(LAMBDA_EDGE, [LAMBDA_BEGIN, LAMBDA_END], &lambda);
    let adapter =
        adapter.replace("var VERSION = '0.0.0';", concat!("var VERSION = '", env!("CARGO_PKG_VERSION"), "';"));
    let source = format!("{}{adapter}{export}", rules(settings, &["standalone", "cloudfront"]));
    finished(file_name, "Node.js 22", &source)
}

/// The source of the viewer-request function with its settings, without what they do not need and without `left_out`.
fn rules(settings: &Settings, left_out: &[&str]) -> String {
    let options = &settings.options;
    let mut left_out = left_out.to_vec();
    if options.ids_via == IdsVia::CustomData {
        left_out.push("console");
    }
    if options.propagators.is_empty() {
        left_out.push("propagators");
    }
    if options.force_sampling.is_none() {
        left_out.push("force");
    }
    let baked = format!("var SETTINGS = {};\n", baked(settings));
    strip::without_sections(&replaced(VIEWER_REQUEST, [SETTINGS_BEGIN, SETTINGS_END], &baked), &left_out)
}

/// The source with something else between two marker lines.
fn replaced(source: &str, markers: [&str; 2], with: &str) -> String {
    let (before, rest) = source.split_once(markers[0]).expect("the source has the first marker");
    let (_, after) = rest.split_once(markers[1]).expect("the source has the second marker");
    format!("{before}{with}{after}")
}

fn cloudfront_function(file_name: &'static str, source: &str) -> Result<BuiltFunction, BuildError> {
    let function = finished(file_name, "cloudfront-js-2.0", source);
    let code = &function.code;
    if code.len() > EDGE_FUNCTION_MAX_BYTES {
        return Err(BuildError::TooLarge { bytes: code.len() });
    }
    if let Some(name) = strip::names(code).find_map(|name| FORBIDDEN_NAMES.into_iter().find(|known| *known == name)) {
        return Err(BuildError::Forbidden { name });
    }
    Ok(function)
}

fn finished(file_name: &'static str, runtime: &str, source: &str) -> BuiltFunction {
    let (name, _) = file_name.split_once('.').expect("file names have an extension");
    let mut code = format!("// rootspan {} {name}, {runtime}\n", env!("CARGO_PKG_VERSION"));
    code.push_str(&strip::comments_and_indentation(source));
    let mut sha256 = String::with_capacity(64);
    for byte in Sha256::digest(code.as_bytes()) {
        write!(sha256, "{byte:02x}").expect("writing to a string does not fail");
    }
    BuiltFunction { file_name, code, sha256 }
}

/// The settings as the function reads them.
fn baked(settings: &Settings) -> serde_json::Value {
    let rules: Vec<_> = settings
        .rules
        .iter()
        .map(|rule| {
            json!({
                "pattern": rule.pattern,
                "threshold": rule.threshold.map(|threshold| threshold.to_string()).unwrap_or_default(),
                "trust": match rule.trust { Trust::Restart => "restart", Trust::Continue => "continue" },
                "baggage": match rule.baggage { Baggage::Strip => "strip", Baggage::Keep => "keep" },
            })
        })
        .collect();
    let secret =
        settings.continue_secret.as_ref().map(|secret| json!({"header": secret.header, "sha256": secret.sha256}));
    let mut baked = json!({"rules": rules, "secret": secret});
    let options = &settings.options;
    if !options.propagators.is_empty() {
        baked["propagators"] = options.propagators.iter().copied().map(Propagator::name).collect();
    }
    match options.ids_via {
        IdsVia::CustomData => {}
        IdsVia::Console => baked["via"] = "console".into(),
        IdsVia::Both => baked["via"] = "both".into(),
    }
    if let Some(force) = &options.force_sampling {
        baked["force"] = json!({"header": force.header, "key": force.key});
    }
    baked
}

#[cfg(test)]
mod tests;
