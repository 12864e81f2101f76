//! `GET /api/v1/traces/{id}/spans/{spanId}`: everything of one span.
//!
//! Values carry their type because JSON has fewer: `{"key", "type", "value"}` with `type` one of `string`, `bool`,
//! `int` (decimal text), `double` (a number; `"NaN"`, `"Infinity"`, `"-Infinity"` as text), `bytes` (base64), `array`
//! (of `{"type", "value"}`), `kvlist` (of `{"key", "type", "value"}`) and `empty` (null).

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use rootspan_wire::otlp::batch::SpanInBatch;
use rootspan_wire::otlp::view::{AnyValue, Event, KeyValue, Link, Resource, Scope};
use serde::{Serialize, Serializer};

use super::Shared;
use super::content::{AcceptsGzip, Content};
use super::parameters::{Parameters, in_path, span_id, trace_id};
use crate::cache::Freshness;
use crate::error::ApiError;
use crate::loaded_trace::LoadedTrace;

pub(super) async fn span(
    State(shared): State<Arc<Shared>>,
    ids: Result<Path<(String, String)>, PathRejection>,
    accepts: AcceptsGzip,
    uri: Uri,
) -> Result<Content, ApiError> {
    Parameters::of(&uri, &[])?;
    let (trace, span) = in_path(ids)?;
    let (trace_id, span_id) = (trace_id(&trace)?, span_id(&span)?);
    shared
        .queries
        .run(move |scope| {
            let mut trace = scope.trace(&trace_id, Freshness::AsShown)?;
            if trace.versions(span_id).is_empty() {
                // A page that is newer than what is remembered, or a mistake: only the store knows.
                trace = scope.trace(&trace_id, Freshness::Latest)?;
            }
            let Some((first, others)) = trace.versions(span_id).split_first() else {
                return Err(ApiError::not_found(format!("trace {trace_id} has no span {span_id}")));
            };
            let mut answer = SpanJson::new(&trace, first.1);
            answer.conflicts = others.iter().map(|(_, index)| SpanJson::new(&trace, *index)).collect();
            Content::json(&answer, accepts)
        })
        .await
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SpanJson<'a> {
    trace_id: String,
    span_id: String,
    parent_span_id: Option<String>,
    name: &'a str,
    kind: &'static str,
    service: &'a str,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    duration_nanos: u64,
    status: StatusJson<'a>,
    trace_state: &'a str,
    flags: u32,
    attributes: Vec<AttributeJson<'a>>,
    resource: ResourceJson<'a>,
    scope: ScopeJson<'a>,
    events: Vec<EventJson<'a>>,
    links: Vec<LinkJson<'a>>,
    dropped: DroppedJson,
    /// How far the waterfall draws the span from where its own clock says.
    shift_nanos: i64,
    /// Spans with the same ids and other content.
    conflicts: Vec<SpanJson<'a>>,
}

impl<'a> SpanJson<'a> {
    fn new(trace: &'a LoadedTrace, index: usize) -> Self {
        let SpanInBatch { resource, scope, span, .. } = trace.stored.batch.span(index);
        Self {
            trace_id: span.trace_id.to_string(),
            span_id: span.span_id.to_string(),
            parent_span_id: span.parent_span_id.is_valid().then(|| span.parent_span_id.to_string()),
            name: span.name,
            kind: span.kind().name(),
            service: resource.service_name(),
            start_time_unix_nano: span.start.0.to_string(),
            end_time_unix_nano: span.end.0.to_string(),
            duration_nanos: span.duration_nanos(),
            status: StatusJson { code: span.status().name(), message: span.status_message },
            trace_state: span.trace_state,
            flags: span.flags,
            attributes: attributes(span.attributes()),
            resource: ResourceJson::new(resource),
            scope: ScopeJson::new(scope),
            events: span.events().map(EventJson::new).collect(),
            links: span.links().map(LinkJson::new).collect(),
            dropped: DroppedJson {
                attributes: span.dropped_attributes_count,
                events: span.dropped_events_count,
                links: span.dropped_links_count,
            },
            shift_nanos: trace.shift_nanos(span.span_id),
            conflicts: Vec::new(),
        }
    }
}

#[derive(Serialize)]
struct StatusJson<'a> {
    code: &'static str,
    message: &'a str,
}

#[derive(Serialize)]
struct DroppedJson {
    attributes: u32,
    events: u32,
    links: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceJson<'a> {
    attributes: Vec<AttributeJson<'a>>,
    schema_url: &'a str,
    dropped_attributes: u32,
}

impl<'a> ResourceJson<'a> {
    fn new(resource: Resource<'a>) -> Self {
        Self {
            attributes: attributes(resource.attributes()),
            schema_url: resource.schema_url,
            dropped_attributes: resource.dropped_attributes_count(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ScopeJson<'a> {
    name: &'a str,
    version: &'a str,
    attributes: Vec<AttributeJson<'a>>,
    schema_url: &'a str,
    dropped_attributes: u32,
}

impl<'a> ScopeJson<'a> {
    fn new(scope: Scope<'a>) -> Self {
        Self {
            name: scope.name,
            version: scope.version,
            attributes: attributes(scope.attributes()),
            schema_url: scope.schema_url,
            dropped_attributes: scope.dropped_attributes_count(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventJson<'a> {
    time_unix_nano: String,
    name: &'a str,
    attributes: Vec<AttributeJson<'a>>,
    dropped_attributes: u32,
}

impl<'a> EventJson<'a> {
    fn new(event: Event<'a>) -> Self {
        Self {
            time_unix_nano: event.time.0.to_string(),
            name: event.name,
            attributes: attributes(event.attributes()),
            dropped_attributes: event.dropped_attributes_count,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LinkJson<'a> {
    trace_id: String,
    span_id: String,
    trace_state: &'a str,
    flags: u32,
    attributes: Vec<AttributeJson<'a>>,
    dropped_attributes: u32,
}

impl<'a> LinkJson<'a> {
    fn new(link: Link<'a>) -> Self {
        Self {
            trace_id: hex(link.trace_id),
            span_id: hex(link.span_id),
            trace_state: link.trace_state,
            flags: link.flags,
            attributes: attributes(link.attributes()),
            dropped_attributes: link.dropped_attributes_count,
        }
    }
}

#[derive(Serialize)]
struct AttributeJson<'a> {
    key: &'a str,
    #[serde(flatten)]
    value: ValueJson<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type", content = "value", rename_all = "lowercase")]
enum ValueJson<'a> {
    String(&'a str),
    Bool(bool),
    Int(String),
    #[serde(serialize_with = "double")]
    Double(f64),
    Bytes(String),
    Array(Vec<ValueJson<'a>>),
    Kvlist(Vec<AttributeJson<'a>>),
    Empty(()),
}

impl<'a> ValueJson<'a> {
    fn new(value: AnyValue<'a>) -> Self {
        match value {
            AnyValue::Empty => Self::Empty(()),
            AnyValue::String(text) => Self::String(text),
            AnyValue::Bool(value) => Self::Bool(value),
            AnyValue::Int(value) => Self::Int(value.to_string()),
            AnyValue::Double(value) => Self::Double(value),
            AnyValue::Bytes(bytes) => Self::Bytes(STANDARD.encode(bytes)),
            AnyValue::Array(array) => Self::Array(array.values().map(Self::new).collect()),
            AnyValue::KeyValueList(list) => Self::Kvlist(attributes(list.values())),
        }
    }
}

fn attributes<'a>(pairs: impl Iterator<Item = KeyValue<'a>>) -> Vec<AttributeJson<'a>> {
    pairs.map(|pair| AttributeJson { key: pair.key, value: ValueJson::new(pair.value) }).collect()
}

/// JSON has no such numbers; the names are those of protobuf's JSON mapping.
fn double<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.is_finite() {
        serializer.serialize_f64(*value)
    } else if value.is_nan() {
        serializer.serialize_str("NaN")
    } else {
        serializer.serialize_str(if *value > 0.0 { "Infinity" } else { "-Infinity" })
    }
}

/// Ids of links may have any length.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
