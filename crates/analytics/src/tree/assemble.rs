//! From spans in the order of their bytes to spans with parents: duplicates, orphans and cycles are settled here.

use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};
use rootspan_model::conventions::cloudfront;
use rootspan_model::ids::SpanId;
use rootspan_model::span::{SpanKind, StatusCode};
use rootspan_wire::otlp::batch::{SpanInBatch, TraceBatch};
use rootspan_wire::otlp::field;
use rootspan_wire::otlp::protobuf::{FieldValue, Fields};
use rootspan_wire::otlp::view::{AnyValue, Span};

use super::{Flags, skew};
use crate::cdn::Timings;
use crate::lane::{self, Lane, LaneReason};

/// One span with what the tree needs to know of it.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub(super) span: usize,
    /// The span's message, which settles every order that nothing else does.
    pub(super) bytes: &'a [u8],
    pub(super) span_id: SpanId,
    pub(super) parent_id: SpanId,
    /// Index of the parent's part.
    pub(super) parent: Option<u32>,
    pub(super) start: i128,
    pub(super) end: i128,
    pub(super) kind: SpanKind,
    /// Equal numbers: the same clock.
    pub(super) clock: u32,
    pub(super) flags: Flags,
    pub(super) service: &'a str,
    pub(super) name: &'a str,
    pub(super) label: u32,
    pub(super) lane: Lane,
    pub(super) lane_reason: LaneReason,
    pub(super) timings: Option<Timings>,
    pub(super) links: u32,
}

/// The record had no ids of the edge function.
fn has_derived_ids(span: &Span<'_>) -> bool {
    span.attribute(cloudfront::CONTEXT) == Some(AnyValue::String(cloudfront::context::DERIVED))
}

impl<'a> Part<'a> {
    /// Orders parts by recorded start, then by what makes the order independent of that of delivery.
    fn age(&self) -> (i128, i128, SpanId, &'a [u8], &'a str) {
        (self.start, self.end, self.span_id, self.bytes, self.service)
    }
}

#[derive(Debug, Default)]
pub(super) struct Assembled<'a> {
    pub(super) parts: Vec<Part<'a>>,
    /// Numbers of clocks.
    pub(super) clocks: u32,
    /// Deliveries that were left out because the same span is there already.
    pub(super) repeated: usize,
    /// Parts at which cycles were cut.
    pub(super) cut: Vec<u32>,
    /// Distinct parents that are not there.
    pub(super) missing: usize,
}

pub(super) fn assemble(batch: &TraceBatch) -> Assembled<'_> {
    let mut assembled = Assembled::default();
    let mut clocks = skew::Clocks::default();
    let mut by_id: HashMap<SpanId, u32> = HashMap::with_capacity(batch.span_count());
    // Bytes of spans whose id occurred more than once, with their resource's.
    let mut seen: HashSet<(&[u8], &[u8])> = HashSet::new();
    let mut first_bytes: Vec<(&[u8], &[u8])> = Vec::with_capacity(batch.span_count());
    let mut surroundings = Surroundings::default();
    for span in batch.spans() {
        let bytes = (span.span.bytes, span.resource.bytes);
        let number = u32::try_from(assembled.parts.len()).unwrap_or(u32::MAX);
        let mut part = surroundings.part(&span, &mut clocks);
        if let Some(&other) = by_id.get(&part.span_id) {
            seen.insert(first_bytes[other as usize]);
            if !seen.insert(bytes) {
                assembled.repeated += 1;
                continue;
            }
            part.flags.insert(Flags::DUPLICATE);
            let canonical = &mut assembled.parts[other as usize];
            canonical.flags.insert(Flags::DUPLICATE);
            if part.age() < canonical.age() {
                by_id.insert(part.span_id, number);
            }
        } else {
            by_id.insert(part.span_id, number);
        }
        first_bytes.push(bytes);
        assembled.parts.push(part);
    }
    assembled.clocks = clocks.count();
    connect(&mut assembled, &by_id);
    cut_cycles(&mut assembled);
    assembled
}

/// What all spans of a scope have in common, so that it is worked out once for each.
#[derive(Default)]
struct Surroundings<'a> {
    scope_index: Option<usize>,
    clock: u32,
    service: &'a str,
    lane: (Lane, LaneReason),
    /// Numbers of pairs of service and name. Names are looked up here because their bytes were just read.
    labels: HashMap<(&'a str, &'a str), u32>,
}

impl<'a> Surroundings<'a> {
    fn part(&mut self, span: &SpanInBatch<'a>, clocks: &mut skew::Clocks<'a>) -> Part<'a> {
        if self.scope_index != Some(span.scope_index) {
            self.scope_index = Some(span.scope_index);
            self.service = span.resource.service_name();
            self.clock = clocks.number(span.resource);
            self.lane = lane::of_scope(span, self.service);
        }
        let inner = &span.span;
        let kind = inner.kind();
        let (mut signs, mut events, mut links) = (lane::Signs::default(), 0_u32, 0_u32);
        let signs_matter = self.lane.0 == Lane::Service && kind != SpanKind::Server;
        for field in Fields::new(inner.bytes) {
            match (field.number, field.value) {
                (field::span::ATTRIBUTES, FieldValue::Bytes(bytes)) if signs_matter => signs.see(bytes),
                (field::span::EVENTS, _) => events += 1,
                (field::span::LINKS, _) => links += 1,
                _ => {}
            }
        }
        let (lane, lane_reason) = if self.lane.0 == Lane::Service { signs.lane(kind) } else { self.lane };
        let is_viewer = lane == Lane::Cdn && kind == SpanKind::Server;
        let mut flags = Flags::default();
        for (flag, set) in [
            (Flags::ERROR, inner.status() == StatusCode::Error),
            (Flags::ESTIMATED, inner.end < inner.start),
            (Flags::HAS_EVENTS, events > 0),
            (Flags::HAS_LINKS, links > 0),
            (Flags::ROOT, !inner.parent_span_id.is_valid()),
            (Flags::KEPT_BY, lane == Lane::Cdn && inner.attribute(cloudfront::KEPT_BY).is_some()),
            (Flags::DERIVED_IDS, lane == Lane::Cdn && has_derived_ids(inner)),
        ] {
            if set {
                flags.insert(flag);
            }
        }
        let next_label = u32::try_from(self.labels.len()).unwrap_or(u32::MAX);
        Part {
            span: span.index,
            bytes: inner.bytes,
            span_id: inner.span_id,
            parent_id: inner.parent_span_id,
            parent: None,
            start: i128::from(inner.start.0),
            end: i128::from(inner.end.max(inner.start).0),
            kind,
            clock: self.clock,
            flags,
            service: self.service,
            name: inner.name,
            label: *self.labels.entry((self.service, inner.name)).or_insert(next_label),
            lane,
            lane_reason,
            timings: is_viewer.then(|| Timings::read(inner)),
            links,
        }
    }
}

fn connect(assembled: &mut Assembled<'_>, by_id: &HashMap<SpanId, u32>) {
    let mut missing = HashSet::new();
    for part in &mut assembled.parts {
        if part.flags.contains(Flags::ROOT) {
            continue;
        }
        part.parent = by_id.get(&part.parent_id).copied();
        if part.parent.is_none() {
            part.flags.insert(Flags::ORPHAN);
            missing.insert(part.parent_id);
        }
    }
    assembled.missing = missing.len();
}

/// Follows parents upward from every part; a way that meets itself is a cycle and loses its earliest member's parent.
fn cut_cycles(assembled: &mut Assembled<'_>) {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        OnTheWay,
        Done,
    }
    let parts = &mut assembled.parts;
    let mut states = vec![State::New; parts.len()];
    let mut way = Vec::new();
    for begin in 0..parts.len() {
        let mut at = begin;
        while states[at] == State::New {
            states[at] = State::OnTheWay;
            way.push(at);
            match parts[at].parent {
                Some(parent) => at = parent as usize,
                None => break,
            }
        }
        if states[at] == State::OnTheWay && parts[at].parent.is_some() {
            let first = way.iter().rposition(|member| *member == at).unwrap_or_default();
            let earliest = way[first..].iter().copied().min_by_key(|member| parts[*member].age());
            if let Some(earliest) = earliest {
                parts[earliest].parent = None;
                parts[earliest].flags.insert(Flags::ORPHAN);
                assembled.cut.push(u32::try_from(earliest).unwrap_or(u32::MAX));
            }
        }
        for member in way.drain(..) {
            states[member] = State::Done;
        }
    }
}
