//! `GET /api/v1/services` and `GET /api/v1/operations?service=`.

use std::sync::Arc;

use axum::extract::State;
use http::Uri;

use super::Shared;
use super::content::{AcceptsGzip, Content};
use super::parameters::Parameters;
use crate::answers::{OperationsAnswer, ServicesAnswer};
use crate::error::ApiError;

pub(super) async fn services(
    State(shared): State<Arc<Shared>>,
    accepts: AcceptsGzip,
    uri: Uri,
) -> Result<Content, ApiError> {
    Parameters::of(&uri, &[])?;
    shared.queries.run(move |scope| Content::json(&ServicesAnswer { services: scope.store.services() }, accepts)).await
}

pub(super) async fn operations(
    State(shared): State<Arc<Shared>>,
    accepts: AcceptsGzip,
    uri: Uri,
) -> Result<Content, ApiError> {
    let parameters = Parameters::of(&uri, &["service"])?;
    let Some(service) = parameters.get("service").map(str::to_owned) else {
        return Err(ApiError::bad_request("the parameter \"service\" is missing")
            .hint("/api/v1/services has the names of all services"));
    };
    shared
        .queries
        .run(move |scope| Content::json(&OperationsAnswer { operations: scope.store.operations(&service) }, accepts))
        .await
}
