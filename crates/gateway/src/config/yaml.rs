//! Trees as YAML text: block style, two spaces, quotes only where they are needed.

use std::sync::Arc;

use super::any::AnyConfig;
use super::node::{Entry, Node, Scalar, Value, parse};
use super::problems::Problems;

/// The text of a tree. Read again it is the same tree.
#[must_use]
pub fn to_yaml(root: &Node) -> String {
    let mut out = String::new();
    match &root.value {
        Value::Map(entries) if !entries.is_empty() => write_map(&mut out, entries, 0),
        Value::List(items) if !items.is_empty() => write_list(&mut out, items, 0),
        Value::Scalar(_) | Value::Map(_) | Value::List(_) => {
            out.push_str(&inline(root));
            out.push('\n');
        }
    }
    out
}

/// JSON as YAML: what is JSON is YAML, too.
#[must_use]
pub fn of_json(json: &serde_json::Value) -> String {
    let node = parse(&Arc::from("json"), &json.to_string(), &mut Problems::default());
    node.map(|node| to_yaml(&node)).unwrap_or_default()
}

fn write_map(out: &mut String, entries: &[Entry], depth: usize) {
    for (index, entry) in entries.iter().enumerate() {
        // The first key of a map in a list stands behind the dash.
        if index > 0 || !out.ends_with("- ") {
            indent(out, depth);
        }
        out.push_str(&key(&entry.key));
        out.push(':');
        write_value(out, &entry.value, depth, 1);
    }
}

fn write_list(out: &mut String, items: &[Node], depth: usize) {
    for item in items {
        indent(out, depth);
        match &item.value {
            Value::Map(entries) if !entries.is_empty() => {
                out.push_str("- ");
                write_map(out, entries, depth + 1);
            }
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => {
                out.push('-');
                write_value(out, item, depth, 1);
            }
        }
    }
}

/// What follows a key or a dash.
fn write_value(out: &mut String, node: &Node, depth: usize, deeper: usize) {
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => {
            out.push('\n');
            write_map(out, entries, depth + deeper);
        }
        Value::List(items) if !items.is_empty() => {
            out.push('\n');
            write_list(out, items, depth + deeper);
        }
        Value::Scalar(_) | Value::Map(_) | Value::List(_) => {
            out.push(' ');
            out.push_str(&inline(node));
            out.push('\n');
        }
    }
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n("  ", depth));
}

/// A value on one line.
fn inline(node: &Node) -> String {
    match &node.value {
        Value::Map(_) => "{}".to_owned(),
        Value::List(_) => "[]".to_owned(),
        Value::Scalar(_) if node.is_null() => "null".to_owned(),
        Value::Scalar(scalar) => scalar_text(scalar),
    }
}

fn scalar_text(scalar: &Scalar) -> String {
    // A dollar is a dollar, and begins no reference.
    let text = scalar.text.replace('$', "$$");
    let means_text = matches!(AnyConfig::of_scalar(&Scalar::new(scalar.text.clone(), true)), AnyConfig::String(_));
    // Quoted text that would be a number or a truth value without quotes keeps them.
    if (scalar.plain || means_text) && is_plain(&text) { text } else { quoted(&text) }
}

fn key(key: &str) -> String {
    if is_plain(key) && !key.contains(['[', ']', '{', '}', ',']) { key.to_owned() } else { quoted(key) }
}

/// Whether YAML reads `text` as itself behind a key: asked of the reader itself.
fn is_plain(text: &str) -> bool {
    let is_simple = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    if text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(is_simple) {
        return !matches!(text.to_ascii_lowercase().as_str(), "null" | "y" | "n" | "yes" | "no" | "on" | "off");
    }
    let mut problems = Problems::default();
    let read = parse(&Arc::from("text"), &format!("k: {text}"), &mut problems);
    let value = read.as_ref().and_then(|read| read.get("k")).map(|entry| &entry.value);
    let is_same = |value: &&Node| {
        !value.is_null() && matches!(&value.value, Value::Scalar(scalar) if scalar.plain && scalar.text == text)
    };
    problems.is_empty() && value.filter(is_same).is_some()
}

/// In double quotes, whose escapes are JSON's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
