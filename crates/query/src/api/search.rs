//! `GET /api/v1/search?q&start&end&limit&cursor`.

use std::sync::Arc;

use axum::extract::State;
use http::Uri;
use rootspan_store::store::{SearchPage, SearchRequest, TraceSummary};

use super::content::{AcceptsGzip, Content};
use super::parameters::Parameters;
use super::{Shared, cursor};
use crate::answers::{SearchAnswer, ServiceShare, TraceRow};
use crate::error::ApiError;
use crate::limits::{SEARCH_LIMIT_DEFAULT, SEARCH_LIMIT_MAX};

/// Every span.
const EVERYTHING: &str = "{}";

pub(super) async fn search(
    State(shared): State<Arc<Shared>>,
    accepts: AcceptsGzip,
    uri: Uri,
) -> Result<Content, ApiError> {
    let parameters = Parameters::of(&uri, &["q", "start", "end", "limit", "cursor"])?;
    let text = parameters.get("q").unwrap_or(EVERYTHING).to_owned();
    let request = request(&parameters, &text)?;
    shared
        .queries
        .run(move |scope| {
            let page = scope.store.search(&request, &scope.limits)?;
            Content::json(&answer(page, &text), accepts)
        })
        .await
}

fn request(parameters: &Parameters, text: &str) -> Result<SearchRequest, ApiError> {
    let query = rootspan_traceql::parser::parse(text)?;
    let (start, end) = (parameters.time("start")?, parameters.time("end")?);
    if let (Some(start), Some(end)) = (start, end)
        && start > end
    {
        return Err(ApiError::bad_request("start is later than end"));
    }
    let after = parameters.get("cursor").map(|cursor| {
        cursor::decode(cursor, text).ok_or_else(|| {
            ApiError::bad_request("the cursor is not one of this query")
                .hint("start again without a cursor after changing the query")
        })
    });
    Ok(SearchRequest { query, start, end, limit: limit(parameters)?, after: after.transpose()? })
}

fn limit(parameters: &Parameters) -> Result<usize, ApiError> {
    let Some(text) = parameters.get("limit") else { return Ok(SEARCH_LIMIT_DEFAULT) };
    text.parse().ok().filter(|limit| (1..=SEARCH_LIMIT_MAX).contains(limit)).ok_or_else(|| {
        ApiError::bad_request(format!("limit={text:?} is not a number from 1 to {SEARCH_LIMIT_MAX}"))
            .hint("read more with the cursor")
    })
}

fn answer(page: SearchPage, text: &str) -> SearchAnswer {
    SearchAnswer {
        traces: page.traces.into_iter().map(row).collect(),
        next_cursor: page.next.map(|next| cursor::encode(next, text)),
        partial: page.partial,
    }
}

fn row(summary: TraceSummary) -> TraceRow {
    let share = |count: rootspan_store::store::ServiceCount| ServiceShare {
        name: count.name,
        spans: count.spans,
        errors: count.errors,
    };
    TraceRow {
        trace_id: summary.trace_id.to_string(),
        root_service: summary.root_service,
        root_name: summary.root_name,
        root_missing: summary.root_missing,
        start_time_unix_nano: summary.start.0.to_string(),
        duration_nanos: summary.duration_nanos,
        span_count: summary.span_count,
        error_count: summary.error_count,
        services: summary.services.into_iter().map(share).collect(),
        edge_nanos: summary.edge_nanos,
        derived_ids: summary.derived_ids,
        backend_not_recorded: summary.backend_not_recorded,
        error_extent: summary.error_extent,
    }
}
