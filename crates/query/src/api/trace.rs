//! `GET /api/v1/traces/{id}` (export as OTLP JSON) and `GET /api/v1/traces/{id}/view` (binary columns).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Uri};
use rootspan_wire::otlp::json::write_traces;

use super::Shared;
use super::content::{AcceptsGzip, Content};
use super::parameters::{Parameters, in_path, trace_id};
use crate::cache::Freshness;
use crate::error::ApiError;
use crate::stream;

/// The trace as OTLP JSON `TracesData`, in pieces: it may be hundreds of MiB of text.
pub(super) async fn export(
    State(shared): State<Arc<Shared>>,
    trace: Result<Path<String>, PathRejection>,
    method: Method,
    uri: Uri,
) -> Result<Response, ApiError> {
    Parameters::of(&uri, &[])?;
    let id = trace_id(&in_path(trace)?)?;
    let turn = shared.queries.export_turn().await?;
    let trace = shared.queries.run(move |scope| scope.trace(&id, Freshness::Current)).await?;
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        stream::body(move |mut out| {
            let result = write_traces(&trace.stored.batch, &mut out);
            drop(turn);
            result
        })
    };
    let mut response = body.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// What the waterfall draws.
pub(super) async fn view(
    State(shared): State<Arc<Shared>>,
    trace: Result<Path<String>, PathRejection>,
    accepts: AcceptsGzip,
    uri: Uri,
) -> Result<Content, ApiError> {
    Parameters::of(&uri, &[])?;
    let id = trace_id(&in_path(trace)?)?;
    shared
        .queries
        .run(move |scope| {
            let trace = scope.trace(&id, Freshness::Current)?;
            Ok(Content::new("application/octet-stream", trace.view(), accepts))
        })
        .await
}

#[cfg(test)]
mod tests;
