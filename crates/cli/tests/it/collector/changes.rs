//! Spans of OTLP JSON in a form that can be compared, and what became of them on the way.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Spans by id.
pub(super) type Spans = BTreeMap<String, Span>;

/// A span with what surrounds it; attributes in the order of their keys.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Span {
    pub(super) resource: BTreeMap<String, Value>,
    pub(super) attributes: BTreeMap<String, Value>,
    pub(super) trace_state: String,
    /// Everything else, without what says nothing.
    pub(super) rest: Value,
}

/// The spans of one request.
pub(super) fn spans_of(request: &Value) -> Vec<(String, Span)> {
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let mut spans = Vec::new();
    for resource_spans in list(request, "resourceSpans") {
        let resource = attributes(&resource_spans["resource"]["attributes"]);
        for scope_spans in list(&resource_spans, "scopeSpans") {
            for mut span in list(&scope_spans, "spans") {
                let id = span["spanId"].as_str().expect("a span has an id").to_owned();
                let own = attributes(&span["attributes"]);
                let trace_state = ordered(span["traceState"].as_str().unwrap_or_default());
                for key in ["attributes", "traceState"] {
                    span.as_object_mut().expect("a span is an object").remove(key);
                }
                span["scope"] = scope_spans["scope"].clone();
                let rest = normal(&span).unwrap_or_default();
                spans.push((id, Span { resource: resource.clone(), attributes: own, trace_state, rest }));
            }
        }
    }
    spans
}

/// The parts of `ot=…` may stand in any order: the collector writes `rv` first, OpenTelemetry's specification `th`.
fn ordered(trace_state: &str) -> String {
    let member = |member: &str| match member.strip_prefix("ot=") {
        Some(parts) => {
            let mut parts: Vec<&str> = parts.split(';').collect();
            parts.sort_unstable();
            format!("ot={}", parts.join(";"))
        }
        None => member.to_owned(),
    };
    trace_state.split(',').map(member).collect::<Vec<_>>().join(",")
}

fn attributes(list: &Value) -> BTreeMap<String, Value> {
    let list = list.as_array().cloned().unwrap_or_default();
    let pair = |pair: Value| (pair["key"].as_str().unwrap_or_default().to_owned(), value_of(&pair["value"]));
    list.into_iter().map(pair).collect()
}

/// An attribute's value: numbers may be written as text or as numbers, whole ones with or without a point.
fn value_of(value: &Value) -> Value {
    let Some((kind, content)) = value.as_object().and_then(|value| value.iter().next()) else { return Value::Null };
    match kind.as_str() {
        "intValue" => json!({"int": content.as_str().map_or_else(|| content.to_string(), str::to_owned)}),
        "doubleValue" => json!({"double": content.as_f64()}),
        "arrayValue" => {
            json!({"array": content["values"].as_array().map(|values| values.iter().map(value_of).collect::<Vec<_>>())})
        }
        "kvlistValue" => json!({"list": attributes(&content["values"])}),
        _ => value.clone(),
    }
}

/// Without members that are as if they were not there: a writer may leave them out or not.
fn normal(value: &Value) -> Option<Value> {
    let normal_value = match value {
        Value::Object(members) => {
            let members: Map<String, Value> =
                members.iter().filter_map(|(key, value)| normal(value).map(|value| (key.clone(), value))).collect();
            Value::Object(members)
        }
        Value::Array(values) => Value::Array(values.iter().map(|value| normal(value).unwrap_or_default()).collect()),
        other => other.clone(),
    };
    let is_nothing = match &normal_value {
        Value::Null => true,
        Value::String(text) => text.is_empty() || text == "0",
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Array(values) => values.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) => false,
    };
    (!is_nothing).then_some(normal_value)
}

/// What became of each span that came through, by id. Its other fields must be as they were.
pub(super) fn changes(before: &Spans, after: &Spans) -> Value {
    let mut changes = Map::new();
    for (id, span) in after {
        let old = before.get(id).unwrap_or_else(|| panic!("{id} was never sent"));
        assert_eq!(span.rest, old.rest, "more than attributes and trace state of {id} was changed");
        let mut change = Map::new();
        if span.trace_state != old.trace_state {
            change.insert("traceState".to_owned(), json!(span.trace_state));
        }
        for (key, old, new) in
            [("resource", &old.resource, &span.resource), ("attributes", &old.attributes, &span.attributes)]
        {
            let mut keys: Map<String, Value> = Map::new();
            for (name, value) in new {
                if old.get(name) != Some(value) {
                    keys.insert(name.clone(), value.clone());
                }
            }
            for name in old.keys().filter(|name| !new.contains_key(*name)) {
                keys.insert(name.clone(), Value::Null);
            }
            if !keys.is_empty() {
                change.insert(key.to_owned(), Value::Object(keys));
            }
        }
        changes.insert(id.clone(), Value::Object(change));
    }
    Value::Object(changes)
}
