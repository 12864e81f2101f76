//! The cases: section "when does which function run" of CloudFront's documentation, and what else ends a request.

/// How a case's request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sending {
    /// `GET`
    Get,
    /// `GET`, and again when it was answered.
    Twice,
    /// `GET` by plain HTTP.
    Plain,
    /// `GET` with a URL over CloudFront's limit.
    TooLong,
    /// `GET` with headers over CloudFront's limit.
    TooManyHeaders,
    /// `TRACE`
    Trace,
    /// `GET`, and away as soon as the origin was asked.
    LeavesBefore,
    /// `GET`, and away when the response has begun.
    LeavesWithin,
}

/// What the origin sees of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    NotAsked,
    /// For the request before this one.
    AskedBefore,
    Asked,
    /// For the request before this one, and for this one.
    AskedAgain,
}

/// What the access log says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Log {
    pub(super) status: &'static str,
    pub(super) result: &'static str,
    pub(super) response_result: &'static str,
    pub(super) detailed: &'static str,
    /// Whether the span is an error: 5xx, or a response that did not arrive.
    pub(super) is_error: bool,
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) send: Sending,
    pub(super) path: &'static str,
    pub(super) origin: Origin,
    pub(super) viewer_request: bool,
    pub(super) viewer_response: bool,
    /// `None`: CloudFront writes no record.
    pub(super) log: Option<Log>,
}

/// A log record whose three result types are the same.
const fn log(status: &'static str, result: &'static str, is_error: bool) -> Option<Log> {
    Some(Log { status, result, response_result: result, detailed: result, is_error })
}

/// An error with a class of its own.
const fn error(status: &'static str, detailed: &'static str, is_error: bool) -> Option<Log> {
    Some(Log { status, result: "Error", response_result: "Error", detailed, is_error })
}

const fn case(
    name: &'static str,
    (send, path): (Sending, &'static str),
    origin: Origin,
    (viewer_request, viewer_response): (bool, bool),
    log: Option<Log>,
) -> Case {
    Case { name, send, path, origin, viewer_request, viewer_response, log }
}

/// Whether viewer-request and viewer-response run.
const BOTH: (bool, bool) = (true, true);
const REQUEST: (bool, bool) = (true, false);
const NONE: (bool, bool) = (false, false);

use Sending::{Get, LeavesBefore, LeavesWithin, Plain, TooLong, TooManyHeaders, Trace, Twice};

pub(super) const CASES: [Case; 22] = [
    case("cache hit", (Twice, "/hit"), Origin::AskedBefore, BOTH, log("200", "Hit", false)),
    case("miss", (Get, "/miss"), Origin::Asked, BOTH, log("200", "Miss", false)),
    case("expired and unchanged", (Twice, "/refresh"), Origin::AskedAgain, BOTH, log("200", "RefreshHit", false)),
    case("origin redirects", (Get, "/elsewhere"), Origin::Asked, BOTH, log("302", "Miss", false)),
    case("origin 404", (Get, "/missing"), Origin::Asked, REQUEST, log("404", "Error", false)),
    case("origin 404 from the cache", (Twice, "/gone"), Origin::AskedBefore, REQUEST, log("404", "Error", false)),
    case("origin 500", (Get, "/broken"), Origin::Asked, REQUEST, log("500", "Error", true)),
    case("custom error page", (Get, "/page"), Origin::Asked, REQUEST, log("503", "Error", true)),
    case(
        "generated in viewer-request",
        (Get, "/generated"),
        Origin::NotAsked,
        REQUEST,
        log("403", "FunctionGeneratedResponse", false),
    ),
    case(
        "redirect by viewer-request",
        (Get, "/moved"),
        Origin::NotAsked,
        REQUEST,
        log("302", "FunctionGeneratedResponse", false),
    ),
    case("redirect to HTTPS", (Plain, "/secure/x"), Origin::NotAsked, NONE, log("301", "Redirect", false)),
    case("blocked by WAF", (Get, "/blocked/x"), Origin::NotAsked, NONE, error("403", "InvalidRequestBlocked", false)),
    case(
        "aborted before an answer",
        (LeavesBefore, "/never"),
        Origin::Asked,
        REQUEST,
        error("000", "ClientCommError", true),
    ),
    case(
        "aborted within the answer",
        (LeavesWithin, "/endless"),
        Origin::Asked,
        BOTH,
        Some(Log {
            status: "200",
            result: "Error",
            response_result: "Miss",
            detailed: "ClientCommError",
            is_error: true,
        }),
    ),
    case("URL over the limit", (TooLong, "/long"), Origin::NotAsked, NONE, None),
    case("headers over the limit", (TooManyHeaders, "/headers"), Origin::NotAsked, NONE, None),
    case("method refused", (Trace, "/trace"), Origin::NotAsked, NONE, error("405", "InvalidRequestMethod", false)),
    case("origin failover", (Get, "/group/x"), Origin::Asked, BOTH, log("200", "Miss", false)),
    case(
        "origin not reachable",
        (Get, "/unreachable/x"),
        Origin::NotAsked,
        REQUEST,
        error("502", "OriginConnectError", true),
    ),
    case("no function on the behaviour", (Get, "/bare/x"), Origin::AskedBefore, NONE, log("200", "Miss", false)),
    case("function throws", (Get, "/throws"), Origin::NotAsked, REQUEST, log("503", "FunctionExecutionError", true)),
    case(
        "function breaks a rule",
        (Get, "/invalid"),
        Origin::NotAsked,
        REQUEST,
        log("502", "FunctionValidationError", true),
    ),
];
