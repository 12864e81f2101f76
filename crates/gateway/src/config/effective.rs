//! The effective configuration: every source laid over each other, references followed, defaults filled in, secrets
//! redacted. It is a tree again, and as YAML or JSON it can be loaded again (with the secrets put back).

use super::any::AnyConfig;
use super::components::{BuiltIn, built_in};
use super::decode::{Decode as _, Key, Table};
use super::node::{Entry, Node, Scalar, Value};
use super::problems::Position;
use super::service::TelemetryConfig;
use super::{Config, id::ComponentId};

/// What stands in the place of a secret.
pub const REDACTED: &str = "[REDACTED]";

/// Keys that hold secrets wherever they stand: the second line of defence behind the types of keys.
const SECRET_NAMES: [&str; 9] =
    ["password", "passphrase", "secret", "token", "tokens", "access_key", "api_key", "key_pem", "authorization"];

/// The tree of a checked configuration that was written as `root`.
pub(crate) fn effective(config: &Config, root: &Node) -> Node {
    let ids = |section| match section {
        "receivers" => config.receivers.keys().collect::<Vec<_>>(),
        "processors" => config.processors.keys().collect(),
        "exporters" => config.exporters.keys().collect(),
        "connectors" => config.connectors.keys().collect(),
        "extensions" => config.extensions.keys().collect(),
        _ => Vec::new(),
    };
    let mut entries = Vec::new();
    for section in ["receivers", "processors", "exporters", "connectors", "extensions"] {
        let Some(written) = root.get(section) else { continue };
        let components = definitions(section, written.value.structure(), &ids(section));
        if !components.is_empty() {
            entries.push(entry(section, map(components, &written.position)));
        }
    }
    if let Some(service) = root.get("service") {
        entries.push(entry("service", effective_service(service.value.structure())));
    }
    let mut root = map(entries, &root.position);
    redact_by_name(&mut root);
    root
}

/// The definitions of a section that are there: one without a value that nothing uses is not.
fn definitions(section: &str, written: &Node, ids: &[&ComponentId]) -> Vec<Entry> {
    let Value::Map(written) = &written.value else { return Vec::new() };
    let mut definitions = Vec::new();
    for definition in written {
        let Ok(id) = ComponentId::parse(&definition.key) else { continue };
        if !ids.contains(&&id) {
            continue;
        }
        let component = built_in().into_iter().find(|component: &&BuiltIn| {
            component.section_and_kind().0 == section && component.kinds().any(|kind| kind == id.kind)
        });
        let value = match component.and_then(|component| component.table) {
            Some(table) => filled(table, &definition.value),
            None => definition.value.structure().clone(),
        };
        definitions.push(entry(&definition.key, value));
    }
    definitions
}

fn effective_service(written: &Node) -> Node {
    let mut entries = Vec::new();
    for key in ["extensions", "pipelines"] {
        if let Some(written) = written.get(key) {
            entries.push(entry(key, resolved_through(&written.value)));
        }
    }
    if let Some(table) = TelemetryConfig::TABLE {
        let telemetry = written.get("telemetry").map(|telemetry| telemetry.value.clone());
        let telemetry = telemetry.unwrap_or_else(|| Node::empty_map(written.position.clone()));
        entries.push(entry("telemetry", filled(table, &telemetry)));
    }
    map(entries, &written.position)
}

/// A section with the defaults of what is not written.
fn filled(table: &Table, written: &Node) -> Node {
    let written = written.structure();
    if !matches!(written.value, Value::Map(_)) && !written.is_null() {
        return written.clone();
    }
    let mut entries = Vec::new();
    for key in table.keys {
        let value = written.get(key.name).map(|entry| &entry.value);
        let value = value.filter(|value| key.accepts_null || !value.is_null());
        let value = match (value, key.default, key.table) {
            (Some(value), ..) => effective_value(key, value),
            (None, Some(default), _) => effective_value(key, &default_node(default, &written.position)),
            (None, None, Some(table)) if !key.optional => filled(table, &Node::empty_map(written.position.clone())),
            (None, None, _) => continue,
        };
        entries.push(entry(key.name, value));
    }
    map(entries, &written.position)
}

fn default_node(default: &str, position: &Position) -> Node {
    let mut node = Node::built_in(default, position.clone());
    if let Value::Scalar(scalar) = &mut node.value
        && scalar.text.is_empty()
    {
        // Empty text, where plain nothing would be no value.
        scalar.plain = false;
    }
    node
}

fn effective_value(key: &Key, value: &Node) -> Node {
    let value = if key.structured { value.structure() } else { value };
    match (key.table, &value.value) {
        _ if key.secret => redacted(value),
        (Some(table), Value::List(items)) if key.list => {
            let items = items.iter().map(|item| filled(table, item)).collect();
            Node { position: value.position.clone(), value: Value::List(items) }
        }
        (Some(table), _) => filled(table, value),
        (None, _) if key.structured => resolved_through(value),
        (None, _) => value.clone(),
    }
}

/// The tree with what references stand for in their places.
fn resolved_through(node: &Node) -> Node {
    let node = node.structure();
    let value = match &node.value {
        Value::Scalar(scalar) => Value::Scalar(scalar.clone()),
        Value::List(items) => Value::List(items.iter().map(resolved_through).collect()),
        Value::Map(entries) => {
            Value::Map(entries.iter().map(|inner| entry(&inner.key, resolved_through(&inner.value))).collect())
        }
    };
    Node { position: node.position.clone(), value }
}

fn redacted(node: &Node) -> Node {
    let value = match &node.value {
        Value::Scalar(_) => Value::Scalar(Scalar::new(REDACTED.to_owned(), false)),
        Value::List(items) => Value::List(items.iter().map(redacted).collect()),
        Value::Map(entries) => {
            Value::Map(entries.iter().map(|inner| entry(&inner.key, redacted(&inner.value))).collect())
        }
    };
    Node { position: node.position.clone(), value }
}

/// What the types of keys let through: keys whose name says that they hold a secret, and passwords in addresses.
fn redact_by_name(node: &mut Node) {
    match &mut node.value {
        Value::Scalar(scalar) => {
            if let Some(clean) = without_password(&scalar.text) {
                scalar.text = clean;
            }
        }
        Value::List(items) => items.iter_mut().for_each(redact_by_name),
        Value::Map(entries) => {
            for entry in entries {
                let name = entry.key.to_ascii_lowercase();
                let holds_text = matches!(&entry.value.value, Value::Scalar(_)) && !entry.value.is_null();
                let is_secret =
                    SECRET_NAMES.iter().any(|secret| name == *secret || name.ends_with(&format!("_{secret}")));
                if is_secret && (holds_text || matches!(&entry.value.value, Value::List(_))) {
                    entry.value = redacted(&entry.value);
                } else {
                    redact_by_name(&mut entry.value);
                }
            }
        }
    }
}

/// `scheme://user:password@host` without the password; `None` if there is none.
fn without_password(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (credentials, _) = authority.rsplit_once('@')?;
    let (user, password) = credentials.split_once(':')?;
    let after = rest.get(credentials.len()..).unwrap_or_default();
    (!password.is_empty()).then(|| format!("{scheme}://{user}:{REDACTED}{after}"))
}

fn entry(key: &str, value: Node) -> Entry {
    Entry { key: key.to_owned(), position: value.position.clone(), value }
}

fn map(entries: Vec<Entry>, position: &Position) -> Node {
    Node { position: position.clone(), value: Value::Map(entries) }
}

/// The tree as JSON; text is text, and what YAML reads as a number or a truth value is one.
#[must_use]
pub fn to_json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Scalar(_) if node.is_null() => serde_json::Value::Null,
        Value::Scalar(scalar) => match AnyConfig::of_scalar(scalar) {
            AnyConfig::Bool(value) => value.into(),
            // A number whose digits would change stays text.
            AnyConfig::Int(value) if value.to_string() == scalar.text => value.into(),
            AnyConfig::Double(value) if value.to_string() == scalar.text => value.into(),
            AnyConfig::String(_)
            | AnyConfig::Int(_)
            | AnyConfig::Double(_)
            | AnyConfig::List(_)
            | AnyConfig::Map(_) => scalar.text.replace('$', "$$").into(),
        },
        Value::List(items) => items.iter().map(to_json).collect(),
        Value::Map(entries) => entries
            .iter()
            .map(|entry| (entry.key.clone(), to_json(&entry.value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

#[cfg(test)]
mod tests;
