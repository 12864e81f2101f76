//! Spans from nginx's access log, where no module may be loaded: one JSON object a line, as `rootspan nginx config --log` prints
//! the `log_format` for.
//!
//! Keys are the names of nginx's variables; values are strings (numbers are taken, too). Two `map`s made what belongs to the trace:
//!
//! | key | is |
//! |---|---|
//! | `request_id` | nginx's 16 random bytes: the first eight are the SERVER span's id |
//! | `traceparent` | what the upstream got: the trace, the CLIENT span's id (the last eight bytes of `request_id`), the flags |
//! | `context` | what came in, written as a `traceparent` (also if it was B3); empty or `-` for nothing |
//! | `tracestate` | what went on |
//!
//! So a line has all ids of its spans in it, and gives the same bytes however often it is read. Variables of upstreams are lists, an
//! entry for each try: `, ` stands between tries, ` : ` between groups of servers (an internal redirect), `-` for a value that
//! there is not. `http.route` and `span_name` name the SERVER span; any other key with a dot is an attribute of it. Further
//! keys are somebody else's.

use rootspan_model::conventions::{http, nginx, resource};
use rootspan_model::ids::SpanId;
use rootspan_model::time::UnixNanos;
use rootspan_model::trace_context::trace_state::TraceState;
use rootspan_model::trace_context::{TraceParent, TraceParentError};

use super::span::{Place, Served, Try, Upstream, earlier, later, put_clients, put_configured, put_server};
use crate::otlp::batch::TraceBatch;
use crate::otlp::field;
use crate::otlp::write::{put_attribute, put_resource, put_resource_spans, put_scope, put_scope_spans};

mod line;
use line::{Field, Line};

/// The longest line, without its end: nginx's own buffers for a request's line and headers are far below.
pub const MAX_LINE_BYTES: usize = 256 << 10;

/// Tries of one request that become spans, as in the module.
const MAX_TRIES: usize = 16;

/// What spans of one log are like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `service.name`
    pub service_name: String,
    /// `host.name`, if it is known.
    pub host_name: Option<String>,
}

/// What became of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// So many spans were added.
    Spans(usize),
    /// The trace is not sampled.
    SampledOut,
    /// No span can be made of it.
    Invalid(InvalidLine),
}

/// Why no span can be made of a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLine {
    /// Longer than [`MAX_LINE_BYTES`].
    #[error("the line is longer than {MAX_LINE_BYTES} bytes")]
    TooLong,
    /// It has no end: what wrote it has ended first.
    #[error("the line is not finished")]
    Unfinished,
    /// Not a JSON object.
    #[error("the line is no JSON object: {0}")]
    Json(String),
    /// A key that no span can be made without.
    #[error("the line has no {0}")]
    Missing(&'static str),
    /// Not 32 digits.
    #[error("request_id is not of 32 hexadecimal digits")]
    RequestId,
    /// `traceparent` was not written by the map.
    #[error("traceparent is none: {0}")]
    TraceParent(TraceParentError),
    /// A time or a number is none.
    #[error("{0} is not a number: {1:?}")]
    Number(&'static str, String),
}

/// Makes one request of the spans of many lines.
#[derive(Clone, Debug)]
pub struct Encoder<'s> {
    settings: &'s Settings,
    spans: Vec<u8>,
}

impl<'s> Encoder<'s> {
    /// Without spans yet.
    #[must_use]
    pub const fn new(settings: &'s Settings) -> Self {
        Self { settings, spans: Vec::new() }
    }

    /// Adds the spans of a line, given without its end. Bytes that are not UTF-8 become replacement characters.
    pub fn push(&mut self, line: &[u8]) -> Outcome {
        if line.len() > MAX_LINE_BYTES {
            return Outcome::Invalid(InvalidLine::TooLong);
        }
        let text = String::from_utf8_lossy(line);
        let before = self.spans.len();
        match Line::parse(&text).and_then(|line| put_line(&mut self.spans, &line)) {
            Ok(0) => Outcome::SampledOut,
            Ok(spans) => Outcome::Spans(spans),
            Err(invalid) => {
                debug_assert_eq!(self.spans.len(), before, "what is wrong is found before anything is written");
                Outcome::Invalid(invalid)
            }
        }
    }

    /// Bytes of the spans so far.
    #[must_use]
    pub fn byte_count(&self) -> usize {
        self.spans.len()
    }

    /// The request with all spans; an empty batch if there is none.
    ///
    /// # Panics
    ///
    /// Never: the request was just written.
    #[must_use]
    pub fn finish(self) -> TraceBatch {
        if self.spans.is_empty() {
            return TraceBatch::default();
        }
        let mut request = Vec::with_capacity(self.spans.len() + 512);
        put_resource_spans(&mut request, "", |out| {
            put_resource(out, |out| {
                let mut put = |key: &str, value: &str| put_attribute(out, field::resource::ATTRIBUTES, key, value);
                put(resource::SERVICE_NAME, &self.settings.service_name);
                if let Some(host) = &self.settings.host_name {
                    put(resource::HOST_NAME, host);
                }
                put(resource::TELEMETRY_SDK_NAME, "rootspan");
                put(resource::TELEMETRY_SDK_LANGUAGE, "rust");
            });
            put_scope_spans(out, "", |out| {
                put_scope(out, nginx::SCOPE_NAME, env!("CARGO_PKG_VERSION"), |_| {});
                out.extend_from_slice(&self.spans);
            });
        });
        TraceBatch::from_trusted(request.into()).expect("the request was just written")
    }
}

/// Writes the spans of a line and says how many; none if the trace is not sampled.
fn put_line(out: &mut Vec<u8>, line: &Line<'_>) -> Result<usize, InvalidLine> {
    let place = place(line)?;
    if !place.flags.is_sampled() {
        return Ok(0);
    }
    let served = served(line)?;
    let upstream = upstream(line, &place, &served)?;
    let name = line.get(Field::SpanName).map(str::as_bytes);
    put_server(out, &place, &served, name, |out| {
        for (key, value) in line.attributes() {
            put_configured(out, key, value.as_bytes());
        }
    });
    let Some(upstream) = upstream else { return Ok(1) };
    let last = place.client_span_id.unwrap_or_default();
    put_clients(out, &place, &served, &upstream, |index| id_of_try(last, index));
    Ok(1 + upstream.tries.len())
}

fn place<'l>(line: &'l Line<'_>) -> Result<Place<'l>, InvalidLine> {
    let request_id = line.required(Field::RequestId)?;
    let span_id = request_id.get(..16).filter(|_| request_id.len() == 32).and_then(SpanId::from_hex);
    let span_id = span_id.filter(SpanId::is_valid).ok_or(InvalidLine::RequestId)?;
    let sent = TraceParent::parse(line.required(Field::TraceParent)?).map_err(InvalidLine::TraceParent)?;
    // What came in is the parent only if its trace went on: a map may choose to begin a new one.
    let context = line.get(Field::Context).and_then(|text| TraceParent::parse(text).ok());
    let parent = context.filter(|context| context.trace_id == sent.trace_id);
    let trace_state = line.get(Field::TraceState).filter(|state| TraceState::parse([*state]).is_ok());
    let (ended, took) = times(line)?;
    Ok(Place {
        trace_id: sent.trace_id,
        span_id,
        parent_span_id: parent.map(|parent| parent.span_id).unwrap_or_default(),
        client_span_id: Some(sent.span_id),
        flags: sent.flags,
        trace_state: trace_state.unwrap_or_default(),
        started: earlier(ended, took),
    })
}

/// When the request ended, and its milliseconds.
fn times(line: &Line<'_>) -> Result<(UnixNanos, u64), InvalidLine> {
    let millis = |field: Field| {
        let text = line.required(field)?;
        millis(text).ok_or_else(|| InvalidLine::Number(field.name(), text.to_owned()))
    };
    Ok((later(UnixNanos(0), millis(Field::Msec)?), millis(Field::RequestTime)?))
}

fn served<'l>(line: &'l Line<'_>) -> Result<Served<'l>, InvalidLine> {
    let text = |field: Field| line.get(field).unwrap_or_default().as_bytes();
    let (path, query) = {
        let uri = line.get(Field::RequestUri).unwrap_or_default();
        uri.split_once('?').unwrap_or((uri, ""))
    };
    Ok(Served {
        method: text(Field::RequestMethod),
        path: path.as_bytes(),
        query: query.as_bytes(),
        scheme: if line.get(Field::Scheme) == Some("https") { "https" } else { "http" },
        status: number(line, Field::Status)?,
        route: line.attribute(http::ROUTE).unwrap_or_default().as_bytes(),
        host: text(Field::Host),
        port: number(line, Field::ServerPort)?,
        client_address: text(Field::RemoteAddr),
        protocol: match line.get(Field::ServerProtocol) {
            Some("HTTP/0.9") => "0.9",
            Some("HTTP/1.0") => "1.0",
            Some("HTTP/1.1") => "1.1",
            Some("HTTP/2.0") => "2",
            Some("HTTP/3.0") => "3",
            _ => "",
        },
        user_agent: line.get(Field::UserAgent).map(str::as_bytes),
        ended: times(line)?.0,
    })
}

/// A number that may be absent: then it is 0, as in nginx.
fn number<T: std::str::FromStr + Default>(line: &Line<'_>, field: Field) -> Result<T, InvalidLine> {
    let Some(text) = line.get(field) else { return Ok(T::default()) };
    text.parse().map_err(|_| InvalidLine::Number(field.name(), text.to_owned()))
}

/// The tries of upstream servers. nginx logs how long each took, not when it began: the first is taken to begin with the request.
fn upstream<'l>(
    line: &'l Line<'_>,
    place: &Place<'_>,
    served: &Served<'_>,
) -> Result<Option<Upstream<'l>>, InvalidLine> {
    let Some(peers) = line.get(Field::UpstreamAddr) else { return Ok(None) };
    let mut lists = [
        Field::UpstreamStatus,
        Field::UpstreamConnectTime,
        Field::UpstreamHeaderTime,
        Field::UpstreamResponseTime,
        Field::UpstreamBytesReceived,
        Field::UpstreamBytesSent,
    ]
    .map(|field| (field, entries(line.get(field).unwrap_or_default())));
    let mut tries = Vec::new();
    for peer in entries(peers).take(MAX_TRIES) {
        let mut texts = [None; 6];
        for (text, (field, list)) in texts.iter_mut().zip(&mut lists) {
            *text = list.next().filter(|text| !text.is_empty() && *text != "-").map(|text| (*field, text));
        }
        let [status, connect, header, response, received, sent] = texts;
        let time = |text: Option<(Field, &str)>| read(text, millis);
        let count = |text: Option<(Field, &str)>| read(text, |text| text.parse::<u64>().ok());
        tries.push(Try {
            peer: peer.as_bytes(),
            status: read(status, |text| text.parse().ok())?.unwrap_or_default(),
            connect_millis: time(connect)?,
            header_millis: time(header)?,
            response_millis: time(response)?,
            received_bytes: count(received)?.unwrap_or_default(),
            sent_bytes: count(sent)?.unwrap_or_default(),
        });
    }
    let Some((last, before)) = tries.split_last() else { return Ok(None) };
    let before: u64 = before.iter().filter_map(|tried| tried.response_millis).sum();
    let last_start = later(place.started, before).min(served.ended);
    let last_end = last.response_millis.map_or(served.ended, |took| later(last_start, took).min(served.ended));
    Ok(Some(Upstream {
        tries,
        name: without_port(line.get(Field::ProxyHost).unwrap_or_default()).as_bytes(),
        scheme: b"",
        uri: b"",
        earliest: place.started,
        last_start,
        last_end,
    }))
}

/// The value of an entry, if there is one.
fn read<T>(entry: Option<(Field, &str)>, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, InvalidLine> {
    let Some((field, text)) = entry else { return Ok(None) };
    parse(text).map(Some).ok_or_else(|| InvalidLine::Number(field.name(), text.to_owned()))
}

/// The entries of a list of nginx's, one for each try. The separators have spaces, which the addresses (`unix:/run/a.sock`) have not.
fn entries(list: &str) -> impl Iterator<Item = &str> {
    list.split(", ").flat_map(|group| group.split(" : ")).map(str::trim)
}

/// Milliseconds of seconds with at most three decimals that count: `1789380930.482`.
fn millis(text: &str) -> Option<u64> {
    let (seconds, decimals) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(seconds) || !is_digits(decimals) {
        return None;
    }
    let decimals: u64 = format!("{decimals:0<3}").get(..3)?.parse().ok()?;
    seconds.parse::<u64>().ok()?.checked_mul(1_000)?.checked_add(decimals)
}

/// The host of a `$proxy_host`.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// The id of a try that was not the last: the upstream saw the last one's, so it only has to be the same for the same line. The
/// finaliser of splitmix64 is a bijection, so ids of tries of one request differ from each other.
fn id_of_try(last: SpanId, index: usize) -> SpanId {
    let step = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(index as u64 + 1);
    let mut number = u64::from_be_bytes(*last.as_bytes()).wrapping_add(step);
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^= number >> 31;
    SpanId::new(number.max(1).to_be_bytes())
}

#[cfg(test)]
mod tests;
