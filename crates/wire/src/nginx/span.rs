//! Writes the spans of a request, with the names of OpenTelemetry's HTTP conventions (1.44). The module and the log's reader
//! both write with this, so that a trace does not tell which of them was there.
//!
//! What the conventions call opt-in (sizes, the client's port) is left to `otel_span_attr`: each attribute costs every request.

use std::borrow::Cow;

use rootspan_model::conventions::{PEER_SERVICE, error, http, nginx};
use rootspan_model::ids::{SpanId, TraceId};
use rootspan_model::span::{SpanKind, StatusCode};
use rootspan_model::time::UnixNanos;
use rootspan_model::trace_context::TraceFlags;

use crate::otlp::field;
use crate::otlp::write::{SpanParts, Value, put_attribute, put_raw_varint, put_span};

/// Longest value of an attribute, in bytes; what is beyond is cut. An URI alone may have as many kilobytes as nginx has
/// buffers for.
const MAX_VALUE_BYTES: usize = 4096;

/// Bytes of a span of an ordinary request, and of its name.
const USUAL_SPAN_BYTES: usize = 640;
const USUAL_NAME_BYTES: usize = 96;

/// OTLP's flag bits: that the next one means something, and that the parent is in another process.
const FLAG_HAS_IS_REMOTE: u32 = 0x100;
const FLAG_IS_REMOTE: u32 = 0x200;

/// The status with which nginx logs that the client went away.
const CLIENT_CLOSED_REQUEST: u32 = 499;

/// A request's place in its trace.
#[derive(Clone, Copy, Debug)]
pub struct Place<'r> {
    /// The trace.
    pub trace_id: TraceId,
    /// The SERVER span.
    pub span_id: SpanId,
    /// The sender's span; not valid for a root.
    pub parent_span_id: SpanId,
    /// The CLIENT span whose id the upstream saw.
    pub client_span_id: Option<SpanId>,
    /// W3C flags.
    pub flags: TraceFlags,
    /// W3C `tracestate`; empty for none.
    pub trace_state: &'r str,
    /// When the request began.
    pub started: UnixNanos,
}

/// What is known of a request when it is logged.
#[derive(Clone, Copy, Debug)]
pub struct Served<'r> {
    /// The method as received; empty if the request line could not be read.
    pub method: &'r [u8],
    /// The path as received, without query.
    pub path: &'r [u8],
    /// The query, without `?`.
    pub query: &'r [u8],
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The status that was sent, 0 if none was.
    pub status: u32,
    /// The name of the location.
    pub route: &'r [u8],
    /// `Host` or its HTTP/2 equivalent, without port.
    pub host: &'r [u8],
    /// The port that was connected to, 0 for a Unix socket.
    pub port: u16,
    /// The client's address as nginx sees it (`$remote_addr`).
    pub client_address: &'r [u8],
    /// `1.1`, `2`, …; empty if unknown.
    pub protocol: &'static str,
    /// `User-Agent`.
    pub user_agent: Option<&'r [u8]>,
    /// When the request ended.
    pub ended: UnixNanos,
}

/// One request to an upstream server.
#[derive(Clone, Copy, Debug)]
pub struct Try<'r> {
    /// `127.0.0.1:8080` or `unix:/path`.
    pub peer: &'r [u8],
    /// nginx's status: the upstream's if it sent a head, else nginx's verdict (502, 504), or 0.
    pub status: u32,
    /// Until connected, in milliseconds.
    pub connect_millis: Option<u64>,
    /// Until the head had come.
    pub header_millis: Option<u64>,
    /// Until the end.
    pub response_millis: Option<u64>,
    /// Bytes that came from the upstream.
    pub received_bytes: u64,
    /// Bytes that went to it.
    pub sent_bytes: u64,
}

/// The upstream's side of a request.
#[derive(Debug)]
pub struct Upstream<'r> {
    /// Tries in order, never empty.
    pub tries: Vec<Try<'r>>,
    /// Name of the `upstream` block or host in `proxy_pass`.
    pub name: &'r [u8],
    /// `http://`, `https://`; empty for protocols that are not HTTP.
    pub scheme: &'r [u8],
    /// Path and query as sent; empty if unknown.
    pub uri: &'r [u8],
    /// Before this nothing was asked: when the first try can have begun.
    pub earliest: UnixNanos,
    /// When the last try began.
    pub last_start: UnixNanos,
    /// When it ended.
    pub last_end: UnixNanos,
}

const ATTRIBUTES_TAG: u8 = (field::span::ATTRIBUTES << 3 | 2) as u8;
const KEY_TAG: u8 = (field::key_value::KEY << 3 | 2) as u8;
const VALUE_TAG: u8 = (field::key_value::VALUE << 3 | 2) as u8;

/// What stands before the value of an attribute of a known key, with lengths still to be filled in: known when this is
/// compiled, for spans are written on the way of every request.
const fn head<const N: usize>(key: &str, value_tag: u8) -> [u8; N] {
    let (mut head, key) = ([0; N], key.as_bytes());
    (head[0], head[2], head[3]) = (ATTRIBUTES_TAG, KEY_TAG, key.len() as u8);
    let mut at = 0;
    while at < key.len() {
        head[4 + at] = key[at];
        at += 1;
    }
    (head[4 + at], head[6 + at]) = (VALUE_TAG, value_tag);
    head
}

/// Writes the attribute `$key`, a constant, with the text `$bytes`.
macro_rules! put_text {
    ($out:expr, $key:expr, $bytes:expr) => {{
        const HEAD: [u8; $key.len() + 8] = head($key, (field::any_value::STRING << 3 | 2) as u8);
        put_headed_text($out, HEAD, $key, $bytes)
    }};
}

/// Writes the attribute `$key`, a constant, with a number.
macro_rules! put_number {
    ($out:expr, $key:expr, $number:expr) => {{
        const HEAD: [u8; $key.len() + 7] = head($key, (field::any_value::INT << 3) as u8);
        put_headed_number($out, HEAD, $key, $number)
    }};
}

/// What [`put_attribute`] writes for a text, in two pieces if all lengths have one byte.
#[inline]
fn put_headed_text<const N: usize>(out: &mut Vec<u8>, mut head: [u8; N], key: &str, bytes: &[u8]) {
    let length = N - 2 + bytes.len();
    if length > 0x7f || !bytes.is_ascii() {
        put(out, key, &*text(bytes));
        return;
    }
    head[1] = length as u8;
    head[N - 3] = bytes.len() as u8 + 2;
    head[N - 1] = bytes.len() as u8;
    out.extend_from_slice(&head);
    out.extend_from_slice(bytes);
}

/// What [`put_attribute`] writes for a number, in one go if it is small, as statuses and ports are.
#[inline]
fn put_headed_number<const N: usize>(out: &mut Vec<u8>, mut head: [u8; N], key: &str, number: u32) {
    let number_bytes = match number {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => {
            put(out, key, number);
            return;
        }
    };
    head[1] = (N - 2) as u8 + number_bytes;
    head[N - 2] = 1 + number_bytes;
    out.extend_from_slice(&head);
    put_raw_varint(out, u64::from(number));
}

/// The method as the conventions want it, and its original if it is none that they know.
fn method(received: &[u8]) -> (&'static str, bool) {
    const KNOWN: [&str; 10] = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE", "QUERY"];
    KNOWN.iter().find(|known| known.as_bytes() == received).map_or(("_OTHER", false), |known| (*known, true))
}

/// Writes the SERVER span. `name` replaces the name, `attributes` adds some.
pub fn put_server(
    out: &mut Vec<u8>,
    place: &Place<'_>,
    served: &Served<'_>,
    name: Option<&[u8]>,
    attributes: impl FnOnce(&mut Vec<u8>),
) {
    let (method, is_known) = method(served.method);
    let mut buffer = [0; USUAL_NAME_BYTES];
    let shown = if is_known { method } else { "HTTP" };
    let name = name.map_or_else(|| default_name(&mut buffer, shown, served.route), text);
    let is_error = served.status >= 500;
    let parts = SpanParts {
        trace_id: place.trace_id,
        span_id: place.span_id,
        parent_span_id: place.parent_span_id,
        trace_state: place.trace_state,
        flags: u32::from(place.flags.0)
            | FLAG_HAS_IS_REMOTE
            | if place.parent_span_id.is_valid() { FLAG_IS_REMOTE } else { 0 },
        name: &name,
        kind: SpanKind::Server,
        start: place.started,
        end: served.ended.max(place.started),
        status: if is_error { StatusCode::Error } else { StatusCode::Unset },
        status_message: "",
    };
    // Long values grow the buffer further; the usual span fits without.
    out.reserve(USUAL_SPAN_BYTES);
    put_span(out, &parts, |out| {
        put_text!(out, http::REQUEST_METHOD, method.as_bytes());
        if !is_known && !served.method.is_empty() {
            put_text!(out, http::REQUEST_METHOD_ORIGINAL, served.method);
        }
        if !served.path.is_empty() {
            put_text!(out, http::URL_PATH, served.path);
        }
        if !served.query.is_empty() {
            put_text!(out, http::URL_QUERY, &redact(served.query));
        }
        put_text!(out, http::URL_SCHEME, served.scheme.as_bytes());
        if served.status != 0 {
            put_number!(out, http::RESPONSE_STATUS_CODE, served.status);
        }
        match served.status {
            0 => put_text!(out, error::TYPE, b"no_response"),
            CLIENT_CLOSED_REQUEST => put_text!(out, error::TYPE, b"client_closed_request"),
            500.. => put_text!(out, error::TYPE, status_text(served.status).as_bytes()),
            _ => {}
        }
        if !served.route.is_empty() {
            put_text!(out, http::ROUTE, served.route);
        }
        if !served.host.is_empty() {
            put_text!(out, http::SERVER_ADDRESS, served.host);
        }
        if served.port != 0 {
            put_number!(out, http::SERVER_PORT, u32::from(served.port));
        }
        if !served.client_address.is_empty() {
            put_text!(out, http::CLIENT_ADDRESS, served.client_address);
        }
        if !served.protocol.is_empty() {
            put_text!(out, http::NETWORK_PROTOCOL_VERSION, served.protocol.as_bytes());
        }
        if let Some(user_agent) = served.user_agent {
            put_text!(out, http::USER_AGENT_ORIGINAL, user_agent);
        }
        attributes(out);
    });
}

/// Puts one attribute that the configuration adds.
pub fn put_configured(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    put(out, key, &*text(value));
}

/// Writes a CLIENT span for each try. The last one has the id that the upstream saw, for nginx builds the request to it
/// once; those before get ids of `new_id`, which is given their index. The tries follow each other without a pause and end with
/// the last one.
pub fn put_clients(
    out: &mut Vec<u8>,
    place: &Place<'_>,
    served: &Served<'_>,
    upstream: &Upstream<'_>,
    mut new_id: impl FnMut(usize) -> SpanId,
) {
    let (method, is_known) = method(served.method);
    let Some(last) = upstream.tries.len().checked_sub(1) else { return };
    let mut start = upstream.last_start;
    let mut spans = Vec::with_capacity(upstream.tries.len());
    for (index, tried) in upstream.tries.iter().enumerate().rev() {
        let end = if index == last {
            upstream.last_end
        } else {
            let end = start;
            start = earlier(start, tried.response_millis.unwrap_or_default()).max(upstream.earliest);
            end
        };
        spans.push((index, tried, start, end.max(start)));
    }
    for (index, tried, start, end) in spans.into_iter().rev() {
        let outcome = outcome(tried);
        let parts = SpanParts {
            trace_id: place.trace_id,
            span_id: place.client_span_id.filter(|_| index == last).unwrap_or_else(|| new_id(index)),
            parent_span_id: place.span_id,
            trace_state: place.trace_state,
            flags: u32::from(place.flags.0) | FLAG_HAS_IS_REMOTE,
            name: if is_known { method } else { "HTTP" },
            kind: SpanKind::Client,
            start,
            end,
            status: if outcome.error.is_some() { StatusCode::Error } else { StatusCode::Unset },
            status_message: "",
        };
        put_span(out, &parts, |out| {
            put_text!(out, http::REQUEST_METHOD, method.as_bytes());
            put_peer(out, upstream, tried);
            if let Some(status) = outcome.status {
                put_number!(out, http::RESPONSE_STATUS_CODE, status);
            }
            if let Some(kind) = &outcome.error {
                put_text!(out, error::TYPE, kind.as_bytes());
            }
            if index > 0 {
                put(out, http::REQUEST_RESEND_COUNT, i64::try_from(index).unwrap_or(i64::MAX));
            }
            for (key, millis) in [
                (nginx::UPSTREAM_CONNECT_TIME, tried.connect_millis),
                (nginx::UPSTREAM_HEADER_TIME, tried.header_millis),
                (nginx::UPSTREAM_RESPONSE_TIME, tried.response_millis),
            ] {
                if let Some(millis) = millis {
                    put(out, key, seconds(millis));
                }
            }
            if tried.received_bytes > 0 {
                put(out, http::RESPONSE_SIZE, tried.received_bytes.cast_signed());
            }
        });
    }
}

fn put_peer(out: &mut Vec<u8>, upstream: &Upstream<'_>, tried: &Try<'_>) {
    let peer = text(tried.peer);
    if !upstream.scheme.is_empty() && !upstream.uri.is_empty() {
        let (scheme, uri) = (text(upstream.scheme), text(upstream.uri));
        put(out, http::URL_FULL, format!("{scheme}{}{uri}", text(upstream.name)).as_str());
    }
    let port = peer.rsplit_once(':').and_then(|(address, port)| Some((address, port.parse::<u16>().ok()?)));
    match port {
        Some((address, port)) => {
            put_text!(out, http::NETWORK_PEER_ADDRESS, address.trim_matches(['[', ']']).as_bytes());
            put_number!(out, http::NETWORK_PEER_PORT, u32::from(port));
            put_number!(out, http::SERVER_PORT, u32::from(port));
        }
        None => put_text!(out, http::NETWORK_PEER_ADDRESS, peer.as_bytes()),
    }
    let name = if upstream.name.is_empty() { peer } else { text(upstream.name) };
    put_text!(out, http::SERVER_ADDRESS, name.as_bytes());
    put_text!(out, PEER_SERVICE, name.as_bytes());
}

/// How a try ended.
struct TryOutcome {
    /// What the upstream answered, if it did.
    status: Option<u32>,
    /// `error.type`
    error: Option<Cow<'static, str>>,
}

fn outcome(tried: &Try<'_>) -> TryOutcome {
    // Without a head from the upstream the status is nginx's own verdict.
    if tried.header_millis.is_none() {
        let error = match tried.status {
            504 => "timeout",
            CLIENT_CLOSED_REQUEST => "client_closed_request",
            0 => "aborted",
            _ if tried.sent_bytes == 0 => "connect_failed",
            _ if tried.received_bytes == 0 => "connection_closed",
            _ => "invalid_response",
        };
        return TryOutcome { status: None, error: Some(error.into()) };
    }
    let error = (tried.status >= 400).then(|| status_text(tried.status));
    TryOutcome { status: Some(tried.status).filter(|status| *status != 0), error }
}

fn status_text(status: u32) -> Cow<'static, str> {
    match status {
        500 => "500".into(),
        502 => "502".into(),
        503 => "503".into(),
        504 => "504".into(),
        _ => status.to_string().into(),
    }
}

/// Method and route; on the stack, if it is short and ASCII.
fn default_name<'b>(buffer: &'b mut [u8; USUAL_NAME_BYTES], method: &'static str, route: &[u8]) -> Cow<'b, str> {
    if route.is_empty() {
        return method.into();
    }
    let length = method.len() + 1 + route.len();
    if let Some(target) = buffer.get_mut(..length) {
        let (first, rest) = target.split_at_mut(method.len());
        first.copy_from_slice(method.as_bytes());
        if let Some((blank, last)) = rest.split_first_mut() {
            *blank = b' ';
            last.copy_from_slice(route);
        }
        if let Ok(name) = std::str::from_utf8(target) {
            return name.into();
        }
        // What is not UTF-8 is replaced; the buffer is of no more use.
    }
    format!("{method} {}", text(route)).into()
}

fn put<'a>(out: &mut Vec<u8>, key: &str, value: impl Into<Value<'a>>) {
    put_attribute(out, field::span::ATTRIBUTES, key, value);
}

fn seconds(millis: u64) -> f64 {
    millis as f64 / 1_000.0
}

/// `time` and so many milliseconds.
#[must_use]
pub const fn later(time: UnixNanos, millis: u64) -> UnixNanos {
    UnixNanos(time.0.saturating_add(millis.saturating_mul(1_000_000)))
}

/// So many milliseconds before `time`.
#[must_use]
pub const fn earlier(time: UnixNanos, millis: u64) -> UnixNanos {
    UnixNanos(time.0.saturating_sub(millis.saturating_mul(1_000_000)))
}

/// Text of at most [`MAX_VALUE_BYTES`]; what is not UTF-8 becomes replacement characters, as OTLP demands.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    if bytes.len() <= MAX_VALUE_BYTES {
        // Nearly every text is ASCII, which the plain check passes faster than the lossy one.
        return std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed);
    }
    let cut = bytes.get(..MAX_VALUE_BYTES).unwrap_or(bytes);
    // A character that the cut divides is left out, not replaced.
    let whole = match std::str::from_utf8(cut) {
        Err(fault) if fault.error_len().is_none() => cut.get(..fault.valid_up_to()).unwrap_or(cut),
        _ => cut,
    };
    String::from_utf8_lossy(whole)
}

/// Parameters whose values are credentials of signed URLs (HTTP conventions, `url.query`).
const SECRET_PARAMETERS: [&str; 4] = ["AWSAccessKeyId", "Signature", "sig", "X-Goog-Signature"];

fn redact(query: &[u8]) -> Cow<'_, [u8]> {
    let is_secret = |part: &[u8]| {
        SECRET_PARAMETERS
            .iter()
            .any(|name| part.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"=")))
    };
    if !query.split(|byte| *byte == b'&').any(is_secret) {
        return query.into();
    }
    let parts: Vec<Cow<'_, [u8]>> = query
        .split(|byte| *byte == b'&')
        .map(|part| match part.iter().position(|byte| *byte == b'=') {
            Some(at) if is_secret(part) => [part.get(..=at).unwrap_or_default(), b"REDACTED"].concat().into(),
            _ => part.into(),
        })
        .collect();
    parts.join(&b'&').into()
}

#[cfg(test)]
mod tests;
