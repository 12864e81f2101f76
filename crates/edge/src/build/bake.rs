//! The settings as the functions read them: JSON of ASCII characters, which is JavaScript in every version and engine.

use std::fmt::Write as _;

use serde::Serialize as _;
use serde_json::json;
use serde_json::ser::{PrettyFormatter, Serializer};

use super::Form;
use crate::settings::{Baggage, IdsVia, Propagator, Settings, Trust};

/// The declaration of a variable with this value, and the type that the type check takes it for. For minifying it is on
/// several lines, to which the source map leads; as it is, on one, for it counts.
pub(super) fn variable(name: &str, kind: &str, value: &serde_json::Value, form: Form) -> String {
    let printed = match form {
        Form::Readable => value.to_string(),
        Form::Minified => pretty(value),
    };
    let mut declaration = format!("/** @type {{{kind}}} */\nvar {name} = ");
    for character in printed.chars() {
        if character.is_ascii() {
            declaration.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(declaration, "\\u{unit:04x}").expect("writing to a string does not fail");
            }
        }
    }
    declaration.push_str(";\n");
    declaration
}

fn pretty(value: &serde_json::Value) -> String {
    let mut printed = Vec::new();
    value
        .serialize(&mut Serializer::with_formatter(&mut printed, PrettyFormatter::with_indent(b"    ")))
        .expect("a JSON value can be written to memory");
    String::from_utf8(printed).expect("JSON is UTF-8")
}

/// What the rules of the viewer-request function need.
pub(super) fn rules(settings: &Settings) -> serde_json::Value {
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

/// What Lambda@Edge functions need beside it.
pub(super) fn lambda(settings: &Settings) -> serde_json::Value {
    let mut baked = json!({"service": settings.options.service_name});
    if let Some(export) = &settings.options.export {
        baked["export"] = json!({"url": export.endpoint, "token": export.token, "budgetMillis": export.budget_millis});
    }
    baked
}
