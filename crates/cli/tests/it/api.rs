//! The query API, asked as any client would, and answers in a form that can be compared with what was sent.

use std::net::SocketAddr;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use serde_json::{Map, Value, json};

use crate::http::{self, Connection, escape};
use crate::otlp;

/// All spans of a trace as JSON, or `None` if the server does not have it. See [`flatten`] for the form.
pub(crate) fn trace(ui: SocketAddr, id: &str) -> Option<Vec<Value>> {
    trace_on(&mut Connection::open(ui).expect("the server accepts connections"), id)
}

/// The same on a connection that is kept.
pub(crate) fn trace_on(connection: &mut Connection, id: &str) -> Option<Vec<Value>> {
    let answer = connection.send("GET", &format!("/api/v1/traces/{id}"), &[], &[]).expect("the server answers");
    match answer.status {
        200 => Some(flatten(&answer.json())),
        404 => None,
        status => panic!("trace {id}: {status} {}", answer.text()),
    }
}

/// The traces that a search finds.
pub(crate) fn search(ui: SocketAddr, query: &str, more: &str) -> Vec<Value> {
    let answer = http::get(ui, &format!("/api/v1/search?q={}{more}", escape(query)));
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    let answer = answer.json();
    assert_eq!(answer["partial"], Value::Null, "{query}: the answer is complete");
    answer["traces"].as_array().cloned().unwrap_or_default()
}

/// The ids that a search finds, sorted.
pub(crate) fn search_ids(ui: SocketAddr, query: &str) -> Vec<String> {
    let traces = search(ui, query, "&limit=1000");
    let mut ids: Vec<_> = traces.iter().map(|trace| text(&trace["traceId"]).to_owned()).collect();
    ids.sort();
    ids
}

/// `/api/v1/status`.
pub(crate) fn status(ui: SocketAddr) -> Value {
    let answer = http::get(ui, "/api/v1/status");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// A JSON string.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a string: {value}"))
}

/// `TracesData` as one object per span, each with its resource and scope, without defaults, attributes in order of their
/// keys: the store keeps everything but their order. Sorted by span id, then by text.
pub(crate) fn flatten(traces: &Value) -> Vec<Value> {
    let mut spans = Vec::new();
    for resource_spans in list(&traces["resourceSpans"]) {
        for scope_spans in list(&resource_spans["scopeSpans"]) {
            for span in list(&scope_spans["spans"]) {
                spans.push(tidy(&json!({
                    "resource": resource_spans["resource"],
                    "resourceSchema": resource_spans["schemaUrl"],
                    "scope": scope_spans["scope"],
                    "scopeSchema": scope_spans["schemaUrl"],
                    "span": span,
                })));
            }
        }
    }
    spans.sort_by_cached_key(|span| (span["span"]["spanId"].to_string(), span.to_string()));
    spans
}

/// What a trace must look like when the server has taken `requests`.
pub(crate) fn expected(requests: &[ExportTraceServiceRequest], trace_id: &[u8]) -> Vec<Value> {
    let mut spans: Vec<Value> = requests.iter().flat_map(|request| flatten(&otlp::json_of(request))).collect();
    let id = otlp::hex(trace_id);
    spans.retain(|span| span["span"]["traceId"] == id.as_str());
    spans.sort_by_cached_key(|span| (span["span"]["spanId"].to_string(), span.to_string()));
    spans
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Without what is absent in protobuf, and keys in alphabetical order.
fn tidy(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut names: Vec<_> = fields.keys().collect();
            names.sort();
            let mut tidied = Map::new();
            for name in names {
                let field = match (name.as_str(), &fields[name]) {
                    // An AnyValue says its type even when it is empty.
                    ("value", value) => value.clone(),
                    ("attributes", Value::Array(attributes)) => sorted(attributes),
                    (_, field) => tidy(field),
                };
                if !is_default(&field) {
                    tidied.insert(name.clone(), field);
                }
            }
            Value::Object(tidied)
        }
        Value::Array(items) => Value::Array(items.iter().map(tidy).collect()),
        other => other.clone(),
    }
}

fn sorted(attributes: &[Value]) -> Value {
    let mut attributes = attributes.to_vec();
    attributes.sort_by_cached_key(|attribute| (attribute["key"].to_string(), attribute["value"].to_string()));
    Value::Array(attributes)
}

fn is_default(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty() || text == "0",
        Value::Number(number) => number.as_u64() == Some(0),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) => false,
    }
}
