//! A successful answer of known length.

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::compression::{accepts_gzip, gzip_answer};
use crate::error::ApiError;
use crate::limits::COMPRESS_FROM_BYTES;

/// Whether the client takes gzip.
#[derive(Clone, Copy, Debug)]
pub(super) struct AcceptsGzip(bool);

impl<S: Sync> FromRequestParts<S> for AcceptsGzip {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(accepts_gzip(&parts.headers)))
    }
}

/// The bytes of an answer, compressed where it pays.
#[derive(Debug)]
pub(super) struct Content {
    content_type: &'static str,
    bytes: Bytes,
    gzip: bool,
}

impl Content {
    /// `answer` as JSON. Large ones are made on the blocking pool, with the query.
    pub(super) fn json<T: Serialize>(answer: &T, accepts: AcceptsGzip) -> Result<Self, ApiError> {
        let bytes = serde_json::to_vec(answer).map_err(|error| {
            tracing::error!(error = %error, "answer cannot be written as JSON");
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written as JSON")
        })?;
        Ok(Self::new("application/json", bytes.into(), accepts))
    }

    /// Bytes of some other type.
    pub(super) fn new(content_type: &'static str, bytes: Bytes, accepts: AcceptsGzip) -> Self {
        let packed = if accepts.0 && bytes.len() >= COMPRESS_FROM_BYTES { gzip_answer(&bytes) } else { None };
        match packed {
            Some(packed) => Self { content_type, bytes: packed.into(), gzip: true },
            None => Self { content_type, bytes, gzip: false },
        }
    }
}

impl IntoResponse for Content {
    fn into_response(self) -> Response {
        let mut response = self.bytes.into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        // Traces grow and are private.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(VARY, HeaderValue::from_name(ACCEPT_ENCODING));
        if self.gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }
}
