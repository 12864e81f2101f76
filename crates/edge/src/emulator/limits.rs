//! CloudFront's quotas that a request or a function meets ("Quotas", of 2023 unless noted).

use http::Method;
use http::request::Parts;

use super::headers::headers_bytes;

/// The longest URL, with its query.
pub(crate) const URL_MAX_BYTES: usize = 8_192;

/// The longest request: its line and its headers.
pub(crate) const REQUEST_MAX_BYTES: usize = 20_480;

/// The largest response that a function makes at the viewer's side, with its headers.
pub(crate) const VIEWER_GENERATED_MAX_BYTES: usize = 40 * 1024;

/// The largest response that a Lambda@Edge function makes at the origin's side, with its headers.
pub(crate) const ORIGIN_GENERATED_MAX_BYTES: usize = 1024 * 1024;

/// A request that CloudFront refuses before anything else, and does not log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge {
    pub(crate) status: u16,
    pub(crate) message: &'static str,
}

/// Whether the request is over a limit.
pub(crate) fn too_large(parts: &Parts) -> Option<TooLarge> {
    let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target > URL_MAX_BYTES {
        return Some(TooLarge { status: 414, message: "The URL is longer than 8192 bytes." });
    }
    if target + parts.method.as_str().len() + headers_bytes(&parts.headers) > REQUEST_MAX_BYTES {
        return Some(TooLarge { status: 494, message: "The request and its headers are longer than 20480 bytes." });
    }
    None
}

/// Methods that a behaviour lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllowedMethods {
    /// `GET` and `HEAD`.
    Read,
    /// Those, and `OPTIONS`.
    ReadAndOptions,
    /// Those, and `PUT`, `POST`, `PATCH`, `DELETE`.
    All,
}

impl AllowedMethods {
    /// Whether a method is let through. CloudFront knows seven; `TRACE` and `CONNECT` are not among them.
    pub(crate) fn allow(self, method: &Method) -> bool {
        let is_read = *method == Method::GET || *method == Method::HEAD;
        let is_write = [Method::PUT, Method::POST, Method::PATCH, Method::DELETE].contains(method);
        match self {
            Self::Read => is_read,
            Self::ReadAndOptions => is_read || *method == Method::OPTIONS,
            Self::All => is_read || *method == Method::OPTIONS || is_write,
        }
    }
}
