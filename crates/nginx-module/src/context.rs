//! The trace context of a request: what its headers say, what is decided, which headers go on.
//!
//! Nothing here knows nginx: headers come in as bytes and go out as names and values, so that the vectors of
//! `testdata/propagation` can run without a server.

use std::cell::{Cell, OnceCell};

use rootspan_model::b3::{self, B3, B3Headers};
use rootspan_model::ids::{SpanId, TraceId};
use rootspan_model::sampling::Randomness;
use rootspan_model::time::UnixNanos;
use rootspan_model::trace_context::trace_state::TraceState;
use rootspan_model::trace_context::{TraceFlags, TraceParent};
use rootspan_model::xray::{self, XRay};
use rootspan_wire::nginx::span::{Place, earlier, later};

use crate::config::{Propagators, Share};
use crate::ffi::ConfigText;
use crate::ids::IdSource;

pub(crate) const TRACEPARENT: &str = "traceparent";
pub(crate) const TRACESTATE: &str = "tracestate";

/// The headers of a request that belong to tracing, as received.
#[derive(Debug, Default)]
pub(crate) struct Incoming<'a> {
    traceparent: Single<'a>,
    tracestate: Vec<&'a [u8]>,
    b3: Single<'a>,
    multi: [Single<'a>; b3::MULTI_HEADERS.len()],
    xray: Single<'a>,
    /// Whether anything came in that could be one of them.
    is_any: bool,
}

/// A header that may occur once.
#[derive(Clone, Copy, Debug, Default)]
enum Single<'a> {
    #[default]
    Absent,
    Value(&'a [u8]),
    /// Which of them counts would be a guess: it is as if it were malformed.
    Several,
}

impl<'a> Single<'a> {
    fn add(&mut self, value: &'a [u8]) {
        *self = match self {
            Self::Absent => Self::Value(value),
            Self::Value(_) | Self::Several => Self::Several,
        };
    }

    fn is_present(self) -> bool {
        !matches!(self, Self::Absent)
    }

    /// The value if there is exactly one and it is text.
    fn text(self) -> Option<&'a str> {
        match self {
            Self::Value(value) => std::str::from_utf8(value).ok(),
            Self::Absent | Self::Several => None,
        }
    }
}

impl<'a> Incoming<'a> {
    /// Picks the headers of tracing; names are in lower case.
    pub(crate) fn collect(headers: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut incoming = Self::default();
        for (name, value) in headers {
            // Most headers of a request are ruled out by their first byte.
            let is_ours = matches!(name, [b't' | b'b' | b'x', ..]);
            incoming.is_any |= is_ours;
            if !is_ours {
                continue;
            }
            match name {
                [b't', ..] if name == TRACEPARENT.as_bytes() => incoming.traceparent.add(value),
                [b't', ..] if name == TRACESTATE.as_bytes() => incoming.tracestate.push(value),
                [b'b', ..] if name == b3::SINGLE_HEADER.as_bytes() => incoming.b3.add(value),
                [b'x', ..] if name == xray::HEADER.as_bytes() => incoming.xray.add(value),
                [b'x', ..] => {
                    if let Some(at) = b3::MULTI_HEADERS.iter().position(|known| known.as_bytes() == name) {
                        incoming.multi[at].add(value);
                    }
                }
                _ => {}
            }
        }
        incoming
    }

    /// The sender's context by the first propagator that has one; W3C comes first, whatever the order in the configuration.
    pub(crate) fn extract(&self, propagators: Propagators) -> Option<Parent> {
        if !self.is_any {
            return None;
        }
        let w3c = || propagators.trace_context.then(|| self.extract_w3c()).flatten();
        let single = || propagators.b3.then(|| B3::parse_single(self.b3.text()?).ok()?.into_parent()).flatten();
        let multi = || propagators.b3_multi.then(|| self.extract_b3_multi()).flatten();
        let amazon = || propagators.xray.then(|| self.extract_xray()).flatten();
        w3c().or_else(single).or_else(multi).or_else(amazon)
    }

    fn extract_w3c(&self) -> Option<Parent> {
        let parent = TraceParent::parse(self.traceparent.text()?).ok()?;
        // A malformed tracestate is dropped, the trace goes on (section 3.3.1.1).
        let texts: Option<Vec<_>> = self.tracestate.iter().map(|value| std::str::from_utf8(value).ok()).collect();
        let state = texts.and_then(|texts| TraceState::parse(texts).ok()).unwrap_or_default();
        Some(Parent {
            trace_id: Some(parent.trace_id),
            span_id: parent.span_id,
            is_sampled: Some(parent.flags.is_sampled()),
            is_random: parent.flags.is_random(),
            state,
        })
    }

    fn extract_b3_multi(&self) -> Option<Parent> {
        if self.multi.iter().any(|header| matches!(header, Single::Several)) {
            return None;
        }
        let [trace_id, span_id, parent_span_id, sampled, flags] = self.multi.map(Single::text);
        B3::parse_multi(&B3Headers { trace_id, span_id, parent_span_id, sampled, flags }).ok()??.into_parent()
    }

    fn extract_xray(&self) -> Option<Parent> {
        let XRay { trace_id, parent, is_sampled } = XRay::parse(self.xray.text()?).ok()?;
        let span_id = parent.unwrap_or_default();
        Some(Parent { trace_id: Some(trace_id), span_id, is_sampled, is_random: false, state: TraceState::default() })
    }

    /// The headers that must not go on as they came: those of every propagator that is not written anew. `X-Amzn-Trace-Id`
    /// stays, for load balancers and logs use it as a request's id.
    pub(crate) fn stale(&self, propagators: Propagators) -> impl Iterator<Item = &'static str> {
        let w3c = !propagators.trace_context;
        let fixed = [
            (w3c && self.traceparent.is_present(), TRACEPARENT),
            (w3c && !self.tracestate.is_empty(), TRACESTATE),
            (!propagators.b3 && self.b3.is_present(), b3::SINGLE_HEADER),
        ];
        let written = move |name: &str| propagators.b3_multi && WRITTEN_MULTI.contains(&name);
        let present = self.multi.map(Single::is_present);
        let multi = b3::MULTI_HEADERS.into_iter().zip(present);
        let multi = multi.filter(move |(name, present)| *present && !written(name)).map(|(name, _)| name);
        fixed.into_iter().filter(|(is_stale, _)| *is_stale).map(|(_, name)| name).chain(multi)
    }

    /// Whether the header has to be looked for among those of the request before it is written.
    pub(crate) fn xray_text(&self) -> Option<&'a str> {
        self.xray.text()
    }

    /// Whether a `tracestate` came in, which is to be replaced or removed.
    pub(crate) fn has_tracestate(&self) -> bool {
        !self.tracestate.is_empty()
    }
}

/// The separate B3 headers that [`b3::multi_headers`] writes.
const WRITTEN_MULTI: [&str; 3] = ["x-b3-traceid", "x-b3-spanid", "x-b3-sampled"];

/// What the sender said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parent {
    /// Absent if it only decided about sampling (B3).
    pub(crate) trace_id: Option<TraceId>,
    /// Not valid if there is no span (a load balancer opened the trace).
    pub(crate) span_id: SpanId,
    /// Its decision.
    pub(crate) is_sampled: Option<bool>,
    /// W3C level 2: the trace id is random.
    is_random: bool,
    state: TraceState,
}

/// A B3 header as a sender's context.
trait IntoParent {
    fn into_parent(self) -> Option<Parent>;
}

impl IntoParent for B3 {
    fn into_parent(self) -> Option<Parent> {
        let parent = Parent { is_sampled: self.sampling.is_sampled(), ..Parent::default() };
        Some(match self.context {
            Some((trace_id, span_id)) => Parent { trace_id: Some(trace_id), span_id, ..parent },
            None => parent,
        })
    }
}

/// A request's place in its trace. It lives as long as the request, across internal redirects.
#[derive(Debug)]
pub(crate) struct Context {
    /// The trace, the sender's or a new one.
    pub(crate) trace_id: TraceId,
    /// The id of the SERVER span.
    pub(crate) span_id: SpanId,
    /// What the sender said; empty if nothing was read.
    pub(crate) parent: Parent,
    /// When the request began.
    pub(crate) started: UnixNanos,
    /// When the context was made, and nginx's clock then; what begins in the same turn of the event loop began then.
    pub(crate) made: UnixNanos,
    /// See [`Self::made`].
    pub(crate) made_millis: u64,
    /// What was decided, once it is.
    decision: OnceCell<Decision>,
    /// The id of the CLIENT span, if that is what the upstream sees as its parent.
    client_span_id: Cell<SpanId>,
    /// The name of the first location that the request came to.
    route: Cell<Option<ConfigText>>,
}

/// Whether a request is recorded, and what `tracestate` says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    /// Spans are made.
    pub(crate) is_sampled: bool,
    /// The value of `tracestate`; empty for none.
    pub(crate) state: String,
}

/// When something happened, by the system's clock and by nginx's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// System's.
    pub(crate) time: UnixNanos,
    /// nginx's, in milliseconds of no particular epoch.
    pub(crate) millis: u64,
    /// Milliseconds since the request began.
    pub(crate) age_millis: u64,
}

impl Context {
    pub(crate) fn new(parent: Option<Parent>, ids: &IdSource, now: Moment) -> Self {
        let mut parent = parent.unwrap_or_default();
        let trace_id = parent.trace_id.unwrap_or_else(|| {
            parent.is_random = true;
            ids.trace_id()
        });
        Self {
            trace_id,
            span_id: ids.span_id(),
            parent,
            started: UnixNanos(now.time.0.saturating_sub(now.age_millis.saturating_mul(1_000_000))),
            made: now.time,
            made_millis: now.millis,
            decision: OnceCell::new(),
            client_span_id: Cell::default(),
            route: Cell::default(),
        }
    }

    /// What was decided, if anything was.
    pub(crate) fn decision(&self) -> Option<&Decision> {
        self.decision.get()
    }

    /// Decides, once: a second decision (after an internal redirect) changes nothing.
    pub(crate) fn decide(&self, share: Share, follows_parent: bool) -> &Decision {
        self.decision.get_or_init(|| self.decision_for(share, follows_parent))
    }

    fn decision_for(&self, share: Share, follows_parent: bool) -> Decision {
        if self.parent.state.is_empty() && share == Share::Everything && !follows_parent {
            // The most frequent case, in short.
            return Decision { is_sampled: true, state: String::new() };
        }
        let mut state = self.parent.state.clone();
        let mut ot = state.ot();
        let is_sampled = match (follows_parent, self.parent.is_sampled, share) {
            // The sender's threshold goes on with its decision; of what was rejected it says nothing.
            (true, Some(true), _) => true,
            (true, Some(false), _) | (_, _, Share::Nothing) => {
                ot.threshold = None;
                false
            }
            // Everything is recorded: a threshold of the sender stays true of the trace only if the sender kept it too.
            (_, parent, Share::Everything) => {
                if parent != Some(true) {
                    ot.threshold = None;
                }
                true
            }
            (_, _, Share::Part(threshold)) => {
                let kept = threshold.keeps(ot.random_value.unwrap_or_else(|| Randomness::of_trace(self.trace_id)));
                ot.threshold = Some(threshold).filter(|_| kept);
                kept
            }
        };
        let is_written = !state.is_empty() || ot.threshold.is_some();
        if is_written {
            state.set_ot(&ot);
        }
        Decision { is_sampled, state: if is_written { state.to_header() } else { String::new() } }
    }

    /// Keeps the name of the location in which the decision was made.
    pub(crate) fn remember_route(&self, route: ConfigText) {
        self.route.set(Some(route));
    }

    /// The name that was kept.
    pub(crate) fn route(&self) -> Option<ConfigText> {
        self.route.get()
    }

    /// From now on the upstream's parent is a CLIENT span; gives its id.
    pub(crate) fn open_client_span(&self, ids: &IdSource) -> SpanId {
        if !self.client_span_id.get().is_valid() {
            self.client_span_id.set(ids.span_id());
        }
        self.client_span_id.get()
    }

    /// The CLIENT span's id, if there is one.
    pub(crate) fn client_span_id(&self) -> Option<SpanId> {
        Some(self.client_span_id.get()).filter(SpanId::is_valid)
    }

    /// What spans say of the place in the trace.
    pub(crate) fn place(&self) -> Place<'_> {
        Place {
            trace_id: self.trace_id,
            span_id: self.span_id,
            parent_span_id: self.parent.span_id,
            client_span_id: self.client_span_id(),
            flags: self.flags(),
            trace_state: self.decision().map(|decision| decision.state.as_str()).unwrap_or_default(),
            started: self.started,
        }
    }

    /// Start and end of the last try, which took `took` milliseconds; of nginx's clock when it began, and now. What begins or ends
    /// in the same turn of the event loop as the request has its exact time; nginx's milliseconds say the rest. They are rounded,
    /// and must not lead out of the request.
    pub(crate) fn last_try(
        &self,
        [began_millis, now_millis]: [u64; 2],
        took: u64,
        ended: UnixNanos,
    ) -> (UnixNanos, UnixNanos) {
        let after_made = began_millis.saturating_sub(self.made_millis);
        let start = later(self.made, after_made).min(ended).max(self.made);
        let end = earlier(ended, now_millis.saturating_sub(began_millis.saturating_add(took)));
        (start, end)
    }

    /// The trace flags that go on and into spans.
    pub(crate) fn flags(&self) -> TraceFlags {
        let random = if self.parent.is_random { TraceFlags::RANDOM } else { TraceFlags::default() };
        random.with_sampled(self.decision().is_some_and(|decision| decision.is_sampled))
    }

    /// Calls `put` with each header that goes on; an empty value removes one that came in.
    pub(crate) fn inject(
        &self,
        incoming: &Incoming<'_>,
        propagators: Propagators,
        mut put: impl FnMut(&'static str, &str),
    ) {
        if incoming.is_any {
            incoming.stale(propagators).for_each(|name| put(name, ""));
        }
        let span_id = self.client_span_id().unwrap_or(self.span_id);
        let parent = TraceParent { trace_id: self.trace_id, span_id, flags: self.flags() };
        if propagators.trace_context {
            put(TRACEPARENT, text(&traceparent(&parent)));
            let state = self.decision().map(|decision| decision.state.as_str()).unwrap_or_default();
            if !state.is_empty() || incoming.has_tracestate() {
                put(TRACESTATE, state);
            }
        }
        if propagators.b3 {
            put(b3::SINGLE_HEADER, &b3::single_header(&parent));
        }
        if propagators.b3_multi {
            for (name, value) in b3::multi_headers(&parent) {
                put(name, &value);
            }
        }
        if propagators.xray {
            put(xray::HEADER, &xray::header(&parent, incoming.xray_text()));
        }
    }
}

/// What `TraceParent`'s `Display` prints, without the formatting machinery: it is on the way of every request.
fn traceparent(parent: &TraceParent) -> [u8; 55] {
    let mut out = *b"00-................................-................-..";
    put_hex(parent.trace_id.as_bytes(), &mut out[3..35]);
    put_hex(parent.span_id.as_bytes(), &mut out[36..52]);
    let flags = parent.flags.0 & (TraceFlags::SAMPLED.0 | TraceFlags::RANDOM.0);
    put_hex(&[flags], &mut out[53..55]);
    out
}

/// Writes two lower-case digits for each byte.
pub(crate) fn put_hex(bytes: &[u8], out: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(out.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

fn text(ascii: &[u8]) -> &str {
    std::str::from_utf8(ascii).expect("hexadecimal digits are ASCII")
}

#[cfg(test)]
mod tests;
