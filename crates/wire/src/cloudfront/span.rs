//! From an access-log record to the viewer's span (DESIGN.md section 2; OpenTelemetry's conventions for HTTP servers).
//!
//! A record gives the same bytes whenever it is delivered, so that the store sees one span.

mod attributes;
mod privacy;
mod time;

use std::borrow::Cow;

use bytes::Bytes;
use rootspan_model::conventions::{cloudfront, resource};
use rootspan_model::edge_id::EdgeIds;
use rootspan_model::ids::{SpanId, TraceId};
use rootspan_model::log_payload::LogPayload;
use rootspan_model::sampling::{Randomness, Threshold};
use rootspan_model::span::{SpanKind, StatusCode};
use rootspan_model::time::UnixNanos;
use rootspan_model::trace_context::{TraceFlags, TraceParent};

use super::route::Route;
use super::rules::{Decision, Keep, PathRule, Rates, Sampling, Trust, decide};
use super::{Field, Record};
use crate::otlp::batch::TraceBatch;
use crate::otlp::field;
use crate::otlp::write::{SpanParts, put_attribute, put_link, put_message_head, put_resource, put_scope, put_span};
use attributes::{error_type, put_attributes};
use time::times;
pub(super) use time::{end, taken_nanos};

/// What spans of one receiver are like.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `service.name`
    pub service_name: String,
    /// More attributes of the resource, e.g. `cloud.account.id`.
    pub resource_attributes: Vec<(String, String)>,
    /// Route templates such as `/api/items/{id}`, for span names; the first that matches is taken.
    pub routes: Vec<Route>,
    /// What the edge function does by path, first match first; where none matches, it begins a new trace.
    pub paths: Vec<PathRule>,
    /// Shares by result type.
    pub rates: Rates,
    /// What is kept although it is not sampled.
    pub keep: Keep,
    /// What is kept of the viewer.
    pub privacy: Privacy,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            service_name: cloudfront::DEFAULT_SERVICE_NAME.into(),
            resource_attributes: Vec::new(),
            routes: Vec::new(),
            paths: Vec::new(),
            rates: Rates::default(),
            keep: Keep::default(),
            privacy: Privacy::default(),
        }
    }
}

/// What of the viewer's data goes into spans: the defaults of [`privacy`], or more. Cookies never do.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Privacy {
    /// The viewer's address.
    pub client_address: ClientAddress,
    /// Take the viewer's address from `X-Forwarded-For`, which anyone can send.
    pub trust_forwarded_for: bool,
    /// Parameters of queries and paths whose values are kept. Those that carry credentials never are.
    pub query_values: Vec<String>,
}

/// How much of an address is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ClientAddress {
    /// The network: /24 of IPv4, /48 of IPv6.
    #[default]
    Network,
    /// All of it.
    Full,
    /// Nothing.
    Omitted,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A span was added; its ids come from there.
    Span(Origin),
    /// The trace is not sampled, but the span was added.
    Kept,
    /// The edge decided not to sample the trace.
    SampledOut,
    /// The edge sampled the trace, and the rate of the result type left it out.
    Thinned,
    /// No span can be made; to be counted.
    Unplaced(Unplaced),
}

/// What became of a record, and of which span it became part.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub(super) outcome: Outcome,
    pub(super) ids: Option<(TraceId, SpanId)>,
    pub(super) end: Option<UnixNanos>,
}

impl Placed {
    const fn without_span(outcome: Outcome) -> Self {
        Self { outcome, ids: None, end: None }
    }
}

/// Where a span's ids come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The edge function logged them.
    Function,
    /// The viewer's headers in the record.
    Headers,
    /// The request id.
    Derived,
}

impl Origin {
    /// As in the attribute `aws.cloudfront.context`.
    const fn name(self) -> &'static str {
        match self {
            Self::Function => cloudfront::context::FUNCTION,
            Self::Headers => cloudfront::context::HEADERS,
            Self::Derived => cloudfront::context::DERIVED,
        }
    }
}

/// Why no span can be made of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unplaced {
    /// Neither ids of the function nor a request id to derive them from.
    #[error("the record has no request id")]
    NoRequestId,
    /// The trace may be the viewer's, and nothing in the record tells which.
    #[error("the record does not tell which trace was continued")]
    UnknownTrace,
    /// No time in any form.
    #[error("the record has no time")]
    NoTime,
}

/// Makes one request of the spans of many records.
#[derive(Clone, Debug)]
pub struct Encoder<'s> {
    settings: &'s Settings,
    /// Room for what comes before the spans of a request, then the spans: so they need not be copied in the end.
    bytes: Vec<u8>,
    room: usize,
}

/// Bytes by which [`head`] may grow until the end: attributes that are delivered, and the lengths in it. What does not fit
/// moves all spans.
const HEAD_GROWS_BY: usize = 512;

impl<'s> Encoder<'s> {
    /// Without spans yet.
    #[must_use]
    pub fn new(settings: &'s Settings) -> Self {
        Self { settings, bytes: Vec::new(), room: 0 }
    }

    /// Has memory for so many bytes of spans more, to be asked for at once.
    pub fn reserve(&mut self, bytes: usize) {
        self.make_room();
        self.bytes.reserve(bytes);
    }

    /// Adds the record's span, if it is to have one.
    ///
    /// `logged` is what the edge function said of the request, if that is known already; else the record is searched for it.
    pub fn push(&mut self, record: &Record<'_>, logged: Option<&LogPayload>) -> Outcome {
        self.place(record, logged).outcome
    }

    /// The same, and says where the span is.
    pub(super) fn place(&mut self, record: &Record<'_>, logged: Option<&LogPayload>) -> Placed {
        self.make_room();
        put_record(&mut self.bytes, record, logged, self.settings)
            .unwrap_or_else(|unplaced| Placed::without_span(Outcome::Unplaced(unplaced)))
    }

    /// Bytes of the spans so far. A short record makes a longer span, so a caller with a budget has to look, and may
    /// finish one request and begin another.
    #[must_use]
    pub fn byte_count(&self) -> usize {
        self.bytes.len() - self.room
    }

    /// The request with all spans; an empty batch if there is none.
    #[must_use]
    pub fn finish(self) -> TraceBatch {
        self.finish_with(&[])
    }

    /// The same with more attributes of the resource, which stand above those of the settings.
    #[must_use]
    pub fn finish_with(mut self, delivered: &[(String, String)]) -> TraceBatch {
        if self.byte_count() == 0 {
            return TraceBatch::default();
        }
        let head = head(self.settings, delivered, self.byte_count());
        if head.len() > self.room {
            let missing = head.len() - self.room;
            self.bytes.splice(..0, std::iter::repeat_n(0, missing));
            self.room = head.len();
        }
        let begin = self.room - head.len();
        self.bytes[begin..self.room].copy_from_slice(&head);
        // What was reserved and not needed is not the batch's to hold.
        if self.bytes.capacity() / 2 > self.bytes.len() {
            self.bytes.shrink_to_fit();
        }
        TraceBatch::from_trusted(Bytes::from(self.bytes).slice(begin..)).expect("the request was just written")
    }

    fn make_room(&mut self) {
        if self.bytes.is_empty() {
            self.room = head(self.settings, &[], 0).len() + HEAD_GROWS_BY;
            self.bytes.resize(self.room, 0);
        }
    }
}

/// What a request begins with: everything before spans of this length.
fn head(settings: &Settings, delivered: &[(String, String)], span_bytes: usize) -> Vec<u8> {
    let mut attributes =
        vec![(resource::SERVICE_NAME, settings.service_name.as_str()), (resource::CLOUD_PROVIDER, "aws")];
    for (key, value) in settings.resource_attributes.iter().chain(delivered) {
        match attributes.iter_mut().find(|(known, _)| known == key) {
            Some((_, known)) => *known = value,
            None => attributes.push((key, value)),
        }
    }
    let (mut resource, mut scope) = (Vec::new(), Vec::new());
    put_resource(&mut resource, |out| {
        for (key, value) in attributes {
            put_attribute(out, field::resource::ATTRIBUTES, key, value);
        }
    });
    put_scope(&mut scope, cloudfront::SCOPE_NAME, env!("CARGO_PKG_VERSION"), |_| {});
    let scope_length = scope.len() + span_bytes;
    put_message_head(&mut resource, field::resource_spans::SCOPE_SPANS, scope_length);
    let mut head = Vec::new();
    put_message_head(&mut head, field::request::RESOURCE_SPANS, resource.len() + scope_length);
    head.extend_from_slice(&resource);
    head.extend_from_slice(&scope);
    head
}

/// Where a span belongs.
struct Context {
    trace_id: TraceId,
    span_id: SpanId,
    parent_span_id: SpanId,
    flags: TraceFlags,
    threshold: Option<Threshold>,
    random_value: Option<Randomness>,
    start_unix_millis: Option<u64>,
    link: Option<(TraceId, SpanId)>,
    origin: Origin,
}

impl Context {
    const fn sampling(&self) -> Sampling {
        Sampling {
            trace_id: self.trace_id,
            random_value: self.random_value,
            is_sampled: self.flags.is_sampled(),
            threshold: self.threshold,
        }
    }

    /// The `tracestate`: what the trace was sampled with. A threshold is said only where somebody set one.
    fn trace_state(&self, decision: Decision) -> String {
        let threshold = match decision {
            Decision::Sampled(threshold) if self.threshold.is_some() || threshold > Threshold::ALWAYS => {
                Some(format!("th:{threshold}"))
            }
            Decision::Sampled(_) | Decision::Kept(_) | Decision::Thinned | Decision::Out => None,
        };
        let random_value = self.random_value.map(|random_value| format!("rv:{random_value}"));
        match (threshold, random_value) {
            (None, None) => String::new(),
            (Some(member), None) | (None, Some(member)) => format!("ot={member}"),
            (Some(threshold), Some(random_value)) => format!("ot={threshold};{random_value}"),
        }
    }
}

fn put_record(
    out: &mut Vec<u8>,
    record: &Record<'_>,
    logged: Option<&LogPayload>,
    settings: &Settings,
) -> Result<Placed, Unplaced> {
    let context = find_context(record, logged, &settings.paths)?;
    let is_error = error_type(record).is_some();
    let decision = decide(record, context.sampling(), &settings.rates, &settings.keep, is_error);
    let (outcome, kept_by) = match decision {
        Decision::Out => return Ok(Placed::without_span(Outcome::SampledOut)),
        Decision::Thinned => return Ok(Placed::without_span(Outcome::Thinned)),
        Decision::Kept(reason) => (Outcome::Kept, Some(reason)),
        Decision::Sampled(_) => (Outcome::Span(context.origin), None),
    };
    let (start, end) = times(record, context.start_unix_millis).ok_or(Unplaced::NoTime)?;
    let name = span_name(record, &settings.routes);
    let parts = SpanParts {
        trace_id: context.trace_id,
        span_id: context.span_id,
        parent_span_id: context.parent_span_id,
        trace_state: &context.trace_state(decision),
        flags: u32::from(context.flags.0) | remote_flags(context.parent_span_id),
        name: &name,
        kind: SpanKind::Server,
        start,
        end,
        status: if is_error { StatusCode::Error } else { StatusCode::Unset },
        // The conventions want no description where the status code says it.
        status_message: "",
    };
    put_span(out, &parts, |out| {
        put_attributes(out, record, settings, context.origin.name());
        if let Some(reason) = kept_by {
            put_attribute(out, field::span::ATTRIBUTES, cloudfront::KEPT_BY, reason);
        }
        if let Some((trace_id, span_id)) = context.link {
            put_link(out, trace_id, span_id, "", |_| {});
        }
    });
    Ok(Placed { outcome, ids: Some((context.trace_id, context.span_id)), end: Some(end) })
}

/// OTLP `SpanFlags`: bit 8 says that bit 9 is meant, bit 9 that the parent is remote.
fn remote_flags(parent: SpanId) -> u32 {
    if parent.is_valid() { 0x300 } else { 0x100 }
}

fn find_context(record: &Record<'_>, logged: Option<&LogPayload>, paths: &[PathRule]) -> Result<Context, Unplaced> {
    if let Some(payload) = logged.copied().or_else(|| record.payload()) {
        return Ok(context_of_payload(&payload));
    }
    let ids = EdgeIds::of_request(record.get(Field::RequestId).ok_or(Unplaced::NoRequestId)?);
    let rule = PathRule::of(paths, attributes::path(record).unwrap_or("/"));
    let is_sampled = rule.threshold.is_some_and(|threshold| threshold.keeps(Randomness::of_trace(ids.trace_id)));
    let derived = Context {
        trace_id: ids.trace_id,
        span_id: ids.viewer_span_id,
        parent_span_id: SpanId::default(),
        // The flags that the function gives to its traces.
        flags: TraceFlags(TraceFlags::RANDOM.0 | if is_sampled { TraceFlags::SAMPLED.0 } else { 0 }),
        // Without a probability the function may have sampled by another rule: nothing is claimed.
        threshold: rule.threshold.filter(|threshold| is_sampled && *threshold > Threshold::ALWAYS),
        random_value: None,
        start_unix_millis: None,
        link: None,
        origin: Origin::Derived,
    };
    match rule.trust {
        Trust::Restart => Ok(derived),
        Trust::Continue => {
            let headers = record.get(Field::Headers).ok_or(Unplaced::UnknownTrace)?;
            let parent = traceparent_in_headers(headers)?;
            Ok(match parent {
                None => derived,
                Some(parent) => Context {
                    trace_id: parent.trace_id,
                    parent_span_id: parent.span_id,
                    flags: parent.flags,
                    threshold: None,
                    origin: Origin::Headers,
                    ..derived
                },
            })
        }
    }
}

fn context_of_payload(payload: &LogPayload) -> Context {
    let traceparent = payload.traceparent;
    Context {
        trace_id: traceparent.trace_id,
        span_id: traceparent.span_id,
        parent_span_id: payload.incoming_parent.unwrap_or_default(),
        flags: traceparent.flags,
        threshold: payload.threshold.filter(|_| traceparent.flags.is_sampled()),
        random_value: payload.random_value,
        start_unix_millis: Some(payload.start_unix_millis),
        link: payload.link,
        origin: Origin::Function,
    }
}

/// The viewer's `traceparent` in the list of headers, which CloudFront cuts at 800 bytes: `None` only if the list is
/// whole and has none.
fn traceparent_in_headers(headers: &str) -> Result<Option<TraceParent>, Unplaced> {
    const CUT_AT: usize = 800;
    let decoded = super::record::percent_decoded(headers.into());
    for line in decoded.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.trim().eq_ignore_ascii_case("traceparent") {
            // The function takes a malformed header as none.
            return Ok(TraceParent::parse(value.trim()).ok());
        }
    }
    if headers.len() < CUT_AT { Ok(None) } else { Err(Unplaced::UnknownTrace) }
}

/// `{METHOD} {route}`: a configured route, else the cache behaviour, else the method alone. The default behaviour, `*`,
/// says nothing about the request, so it is no name.
fn span_name(record: &Record<'_>, routes: &[Route]) -> Cow<'static, str> {
    let method = attributes::known_method(record).unwrap_or("HTTP");
    let of_path = |path: &str| routes.iter().find(|route| route.matches(path)).map(|route| route.template());
    let route = if routes.is_empty() { None } else { of_path(attributes::path(record).unwrap_or_default()) };
    let behavior = record.get(Field::CacheBehavior).filter(|pattern| *pattern != "*");
    match route.or(behavior) {
        Some(route) => [method, " ", route].concat().into(),
        None => method.into(),
    }
}

#[cfg(test)]
mod tests;
