//! CloudFront's rules for headers in functions ("Restrictions on edge functions"): which ones a function never sees and
//! must not add, and which ones it may see but not change.

use http::HeaderName;

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

/// Visible to a viewer-request function, but not to be added, changed or removed.
pub(crate) const READ_ONLY: [&str; 4] = ["content-length", "host", "transfer-encoding", "via"];

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
