//! `/api/v1/…`: rootspan's own API. Shapes are in [`crate::answers`]; the two answers that are not plain JSON objects
//! of ours are the export (`traces/{id}`: OTLP JSON) and the binary `traces/{id}/view`, made by `analytics`.

mod content;
mod cursor;
mod edge;
mod names;
mod parameters;
mod search;
mod span;
mod status;
mod trace;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use http::{Method, StatusCode, Uri};

use crate::error::ApiError;
use crate::queries::Queries;
use crate::server::IngestFigures;

/// What the handlers share.
#[derive(Debug)]
pub(crate) struct Shared {
    queries: Arc<Queries>,
    status: status::StatusReader,
}

impl Shared {
    /// Over these questions; `figures` are what only the gateway knows.
    pub(crate) fn new(queries: Queries, figures: IngestFigures) -> Self {
        Self { queries: Arc::new(queries), status: status::StatusReader::new(figures) }
    }
}

/// The routes below `/api`.
pub(crate) fn router(shared: Shared) -> Router {
    let v1 = Router::new()
        .route("/search", get(search::search))
        .route("/traces/{trace}", get(trace::export))
        .route("/traces/{trace}/view", get(trace::view))
        .route("/traces/{trace}/spans/{span}", get(span::span))
        .route("/services", get(names::services))
        .route("/operations", get(names::operations))
        .route("/edge/coverage", get(edge::coverage))
        .route("/status", get(status::status))
        .with_state(Arc::new(shared));
    Router::new().nest("/api/v1", v1).route("/api", get(unknown)).route("/api/{*path}", get(unknown))
}

async fn unknown(uri: Uri) -> ApiError {
    ApiError::not_found(format!("there is nothing at {}", uri.path())).hint("the API is below /api/v1")
}

/// For every path, also those of the user interface.
pub(crate) async fn method_not_allowed(method: Method) -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, format!("{method} is not possible here")).hint("use GET")
}
