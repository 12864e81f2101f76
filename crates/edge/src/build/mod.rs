//! `rootspan edge build`: the function's source with the settings baked in.
//!
//! CloudFront functions have no environment and no files, so what they must know is part of their code. The source in
//! `edge-functions/src/` is complete JavaScript with default settings between two marker lines; here those are replaced,
//! comments and indentation dropped, and the result checked against CloudFront's limits. Same settings, same bytes.

use std::fmt::Write as _;

use rootspan_model::limits::EDGE_FUNCTION_MAX_BYTES;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::settings::{Baggage, Settings, Trust};

mod strip;

/// The source of the viewer-request function.
const VIEWER_REQUEST: &str = include_str!("../../../../edge-functions/src/viewer-request.js");

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
    /// What the file is called: `viewer-request.js`.
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

/// Builds the viewer-request function.
///
/// # Errors
///
/// If the code breaks a limit of CloudFront.
pub fn viewer_request(settings: &Settings) -> Result<BuiltFunction, BuildError> {
    let (before, rest) = VIEWER_REQUEST.split_once(SETTINGS_BEGIN).expect("the source has the first marker");
    let (_, after) = rest.split_once(SETTINGS_END).expect("the source has the second marker");
    let source = format!("{before}var SETTINGS = {};\n{after}", baked(settings));
    let mut code = format!("// rootspan {} viewer-request, cloudfront-js-2.0\n", env!("CARGO_PKG_VERSION"));
    code.push_str(&strip::comments_and_indentation(&source));
    if code.len() > EDGE_FUNCTION_MAX_BYTES {
        return Err(BuildError::TooLarge { bytes: code.len() });
    }
    if let Some(name) = strip::names(&code).find_map(|name| FORBIDDEN_NAMES.into_iter().find(|known| *known == name)) {
        return Err(BuildError::Forbidden { name });
    }
    let mut sha256 = String::with_capacity(64);
    for byte in Sha256::digest(code.as_bytes()) {
        write!(sha256, "{byte:02x}").expect("writing to a string does not fail");
    }
    Ok(BuiltFunction { file_name: "viewer-request.js", code, sha256 })
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
    json!({"rules": rules, "secret": secret})
}

#[cfg(test)]
mod tests;
