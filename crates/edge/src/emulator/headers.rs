//! CloudFront's rules for headers in functions ("Restrictions on edge functions"): which ones a function never sees and
//! must not add, and which ones it may see but not change.

use http::{HeaderMap, HeaderName};

/// Disallowed by name.
const DISALLOWED: [&str; 18] = [
    "connection",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "trailer",
    "upgrade",
    "x-accel-buffering",
    "x-accel-charset",
    "x-accel-limit-rate",
    "x-accel-redirect",
    "x-amzn-auth",
    "x-amzn-errortype",
    "x-cache",
    "x-forwarded-proto",
    "x-real-ip",
    "x-amzn-requestid",
];

/// Disallowed by the beginning of the name.
const DISALLOWED_PREFIXES: [&str; 7] = [
    "x-accel-",
    "x-amz-cf-",
    "x-amzn-cf-",
    "x-amzn-fle-profile",
    "x-amzn-header-",
    "x-amzn-lambda-integration-tag",
    "x-edge-",
];

/// Where a function is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    /// Before the cache is looked up.
    ViewerRequest,
    /// Before the origin is asked.
    OriginRequest,
    /// When the origin has answered, before that is kept.
    OriginResponse,
    /// Before the viewer is answered.
    ViewerResponse,
}

impl EventType {
    /// Every event, in the order of a request's way.
    pub const ALL: [Self; 4] = [Self::ViewerRequest, Self::OriginRequest, Self::OriginResponse, Self::ViewerResponse];

    /// The name in events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ViewerRequest => "viewer-request",
            Self::OriginRequest => "origin-request",
            Self::OriginResponse => "origin-response",
            Self::ViewerResponse => "viewer-response",
        }
    }

    /// Whether it is an event of the viewer's side.
    #[must_use]
    pub const fn is_viewer(self) -> bool {
        matches!(self, Self::ViewerRequest | Self::ViewerResponse)
    }

    /// Whether there is a response already.
    #[must_use]
    pub const fn has_response(self) -> bool {
        matches!(self, Self::OriginResponse | Self::ViewerResponse)
    }

    /// Headers that a function may see but neither add, change nor remove.
    pub(crate) const fn read_only(self) -> &'static [&'static str] {
        match self {
            Self::ViewerRequest => &["content-length", "host", "transfer-encoding", "via"],
            Self::OriginRequest => &[
                "accept-encoding",
                "content-length",
                "if-modified-since",
                "if-none-match",
                "if-range",
                "if-unmodified-since",
                "transfer-encoding",
                "via",
            ],
            Self::OriginResponse => &["transfer-encoding", "via"],
            Self::ViewerResponse => &["warning", "via"],
        }
    }
}

/// Meant for one connection only (RFC 9110, section 7.6.1): not forwarded in either direction. `Expect` is among them,
/// since the emulator has answered it.
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether functions must not have this header; the name is in lower case.
pub(crate) fn is_disallowed(name: &str) -> bool {
    DISALLOWED.contains(&name) || DISALLOWED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether the header ends at this connection.
pub(crate) fn is_hop_by_hop(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(&name.as_str())
}

/// `name: value\r\n` each.
pub(crate) fn headers_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}
