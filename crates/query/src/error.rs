//! How a request fails: one type, one JSON body ([`crate::answers::ErrorAnswer`]).

use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use rootspan_store::store::QueryError;
use rootspan_traceql::error::{ParseError, Position};

use crate::answers::{ErrorAnswer, ErrorBody, ErrorPosition};

/// An answer that is not a success.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    body: ErrorBody,
}

impl ApiError {
    /// An error with a message for people.
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, body: ErrorBody { message: message.into(), hint: None, position: None } }
    }

    /// The request is wrong.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// There is no such thing.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// Adds what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.body.hint = Some(hint.into());
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status;
        let body = serde_json::to_vec(&ErrorAnswer { error: self.body }).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        response
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        let message = error.to_string();
        match error {
            QueryError::Deadline(_) => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, message).hint("narrow the time range or the query")
            }
            QueryError::Budget(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, message).hint("narrow the time range or the query")
            }
            QueryError::Query(_) => Self::bad_request(message),
            // Only a client that is gone cancels, so nobody reads this answer.
            QueryError::Cancelled => Self::new(StatusCode::SERVICE_UNAVAILABLE, message),
            QueryError::Io(_) => {
                tracing::error!(error = message, "query failed");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
                    .hint("see the log of rootspan and the disk's state")
            }
        }
    }
}

/// A query text that the language does not know: the position is the interface's mark in the text.
impl From<ParseError> for ApiError {
    fn from(error: ParseError) -> Self {
        let ParseError { message, hint, position: Position { offset, line, column } } = error;
        let position = Some(ErrorPosition { offset, line, column });
        Self { status: StatusCode::BAD_REQUEST, body: ErrorBody { message, hint, position } }
    }
}
