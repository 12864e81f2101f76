//! What a trace's summary needs to know of each span, and the summary of those spans of a trace that lie together
//! (in the tail, in one block): a [`Part`]. Parts of one trace are merged when that is exact; when it is not,
//! [`merge`] says so and the caller summarises the whole trace from its spans.

use std::collections::BTreeMap;
use std::sync::Arc;

use rootspan_model::conventions::cloudfront;
use rootspan_model::ids::SpanId;
use rootspan_model::span::StatusCode;
use rootspan_wire::otlp::batch::SpanInBatch;
use rootspan_wire::otlp::view::AnyValue;

/// One span, as far as summaries go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpanFacts<'a> {
    pub(crate) span_id: SpanId,
    /// All zero: none.
    pub(crate) parent: SpanId,
    pub(crate) start: u64,
    /// Never before `start`.
    pub(crate) end: u64,
    pub(crate) service: &'a str,
    pub(crate) name: &'a str,
    pub(crate) error: bool,
    /// The CDN's own span.
    pub(crate) cdn: bool,
    /// What it says of the rest of the trace, if it is the CDN's.
    pub(crate) marks: EdgeMarks,
}

/// What a CDN's span says of the rest of its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct EdgeMarks(u8);

impl EdgeMarks {
    /// Its ids are derived from the request id; the edge function logged none.
    pub(crate) const DERIVED_IDS: Self = Self(1);
    /// It was kept although the trace was not sampled.
    pub(crate) const KEPT: Self = Self(2);
    const ALL: u8 = 3;

    fn of(span: &SpanInBatch<'_>) -> Self {
        let context = span.span.attribute(cloudfront::CONTEXT);
        let is_derived = context == Some(AnyValue::String(cloudfront::context::DERIVED));
        let is_kept = span.span.attribute(cloudfront::KEPT_BY).is_some();
        Self(if is_derived { Self::DERIVED_IDS.0 } else { 0 } | if is_kept { Self::KEPT.0 } else { 0 })
    }

    pub(crate) const fn contain(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Two bits, as a block has them.
    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    /// From two bits.
    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self(bits & Self::ALL)
    }
}

impl<'a> SpanFacts<'a> {
    pub(crate) fn of(span: &SpanInBatch<'a>) -> Self {
        let cdn = span.scope.name == cloudfront::SCOPE_NAME;
        Self {
            span_id: span.span.span_id,
            parent: span.span.parent_span_id,
            start: span.span.start.0,
            end: span.span.end.0.max(span.span.start.0),
            service: span.resource.service_name(),
            name: span.span.name,
            error: span.span.status() == StatusCode::Error,
            cdn,
            marks: if cdn { EdgeMarks::of(span) } else { EdgeMarks::default() },
        }
    }
}

/// Summary of the spans of one trace that lie together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Start of the span that starts last.
    pub(crate) latest_start: u64,
    pub(crate) spans: u32,
    pub(crate) errors: u32,
    /// First start and last end of spans with an error.
    pub(crate) error_extent: Option<(u64, u64)>,
    /// By name.
    pub(crate) services: Vec<ServicePart>,
    /// The root, else the earliest local root.
    pub(crate) top: Top,
    /// Duration of the top's longest child in this part.
    pub(crate) longest_child: u64,
    /// Local roots whose parent is not in this part.
    pub(crate) entries: Entries,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServicePart {
    pub(crate) name: Arc<str>,
    pub(crate) spans: u32,
    pub(crate) errors: u32,
}

/// The span that stands for the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Top {
    pub(crate) span_id: SpanId,
    /// It has no parent: the root.
    pub(crate) is_root: bool,
    pub(crate) cdn: bool,
    pub(crate) marks: EdgeMarks,
    pub(crate) start: u64,
    pub(crate) duration: u64,
    pub(crate) service: Arc<str>,
    pub(crate) name: Arc<str>,
}

/// Spans of a part that wait for a parent that is elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entries {
    None,
    /// All wait for the same parent.
    Of {
        parent: SpanId,
        longest: u64,
    },
    /// They wait for several.
    Mixed,
}

/// Interns the few distinct service and span names of a block.
#[derive(Debug, Default)]
pub(crate) struct Names {
    known: std::collections::HashSet<Arc<str>, foldhash::fast::RandomState>,
}

impl Names {
    pub(crate) fn intern(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.known.get(name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = Arc::from(name);
        self.known.insert(Arc::clone(&name));
        name
    }
}

/// Where linear search for a parent becomes slower than a hash table.
const SMALL_TRACE: usize = 24;

/// Summarises spans of one trace; there must be at least one.
pub(crate) fn summarise(spans: &[SpanFacts<'_>], names: &mut Names) -> Part {
    let known = KnownSpans::new(spans);
    let top = top(spans, &known);
    let mut part = Part {
        start: top.start,
        end: top.end,
        latest_start: top.start,
        spans: 0,
        errors: 0,
        error_extent: None,
        services: Vec::new(),
        top: Top {
            span_id: top.span_id,
            is_root: !top.parent.is_valid(),
            cdn: top.cdn,
            marks: top.marks,
            start: top.start,
            duration: top.end - top.start,
            service: names.intern(top.service),
            name: names.intern(top.name),
        },
        longest_child: 0,
        entries: Entries::None,
    };
    for span in spans {
        part.count(span, names);
        let duration = span.end - span.start;
        if !span.parent.is_valid() {
            continue;
        }
        if span.parent == top.span_id {
            part.longest_child = part.longest_child.max(duration);
        } else if !known.contains(span.parent) {
            part.entries = part.entries.and(span.parent, duration);
        }
    }
    part.services.sort_by(|left, right| left.name.cmp(&right.name));
    part
}

impl Part {
    fn count(&mut self, span: &SpanFacts<'_>, names: &mut Names) {
        self.start = self.start.min(span.start);
        self.end = self.end.max(span.end);
        self.latest_start = self.latest_start.max(span.start);
        self.spans += 1;
        self.errors += u32::from(span.error);
        if span.error {
            let (first, last) = self.error_extent.unwrap_or((span.start, span.end));
            self.error_extent = Some((first.min(span.start), last.max(span.end)));
        }
        match self.services.iter_mut().find(|service| &*service.name == span.service) {
            Some(service) => {
                service.spans += 1;
                service.errors += u32::from(span.error);
            }
            None => {
                let name = names.intern(span.service);
                self.services.push(ServicePart { name, spans: 1, errors: u32::from(span.error) });
            }
        }
    }

    /// What the CDN itself took of the trace, if its root is the CDN's.
    pub(crate) fn edge_nanos(&self) -> Option<u64> {
        (self.top.is_root && self.top.cdn).then(|| self.top.duration.saturating_sub(self.longest_child))
    }
}

impl Entries {
    fn and(self, parent: SpanId, duration: u64) -> Self {
        match self {
            Self::None => Self::Of { parent, longest: duration },
            Self::Of { parent: same, longest } if same == parent => Self::Of { parent, longest: longest.max(duration) },
            Self::Of { .. } | Self::Mixed => Self::Mixed,
        }
    }
}

/// The root that starts first, else the local root that starts first, else (a cycle) the span that starts first.
fn top<'s, 'a>(spans: &'s [SpanFacts<'a>], known: &KnownSpans) -> &'s SpanFacts<'a> {
    let rank = |span: &&SpanFacts<'_>| {
        let class = if !span.parent.is_valid() {
            0
        } else if known.contains(span.parent) {
            2
        } else {
            1
        };
        (class, span.start, *span.span_id.as_bytes())
    };
    spans.iter().min_by_key(rank).expect("a trace has at least one span")
}

/// Which span ids a part holds.
enum KnownSpans {
    Few(Vec<SpanId>),
    Many(std::collections::HashSet<SpanId, foldhash::fast::RandomState>),
}

impl KnownSpans {
    fn new(spans: &[SpanFacts<'_>]) -> Self {
        let ids = spans.iter().map(|span| span.span_id);
        if spans.len() <= SMALL_TRACE { Self::Few(ids.collect()) } else { Self::Many(ids.collect()) }
    }

    fn contains(&self, id: SpanId) -> bool {
        match self {
            Self::Few(ids) => ids.contains(&id),
            Self::Many(ids) => ids.contains(&id),
        }
    }
}

/// Merges parts of one trace that share no span id. `None`: the parts alone do not tell (no root anywhere, or a CDN
/// root whose children cannot be told apart), the spans must be looked at.
pub(crate) fn merge(parts: &[Arc<Part>]) -> Option<Part> {
    let rank = |part: &&Arc<Part>| (part.top.start, *part.top.span_id.as_bytes());
    let with_root = parts.iter().filter(|part| part.top.is_root).min_by_key(rank)?;
    let mut merged = Part::clone(with_root);
    let mut services: BTreeMap<Arc<str>, (u32, u32)> = BTreeMap::new();
    merged.spans = 0;
    merged.errors = 0;
    for part in parts {
        merged.start = merged.start.min(part.start);
        merged.end = merged.end.max(part.end);
        merged.latest_start = merged.latest_start.max(part.latest_start);
        merged.spans += part.spans;
        merged.errors += part.errors;
        merged.error_extent = match (merged.error_extent, part.error_extent) {
            (Some((first, last)), Some((start, end))) => Some((first.min(start), last.max(end))),
            (left, right) => left.or(right),
        };
        for service in &part.services {
            let counts = services.entry(Arc::clone(&service.name)).or_default();
            counts.0 += service.spans;
            counts.1 += service.errors;
        }
        if merged.top.cdn && !Arc::ptr_eq(part, with_root) {
            match part.entries {
                Entries::None => {}
                Entries::Of { parent, longest } if parent == merged.top.span_id => {
                    merged.longest_child = merged.longest_child.max(longest);
                }
                Entries::Of { .. } => {}
                Entries::Mixed => return None,
            }
        }
    }
    merged.services = services.into_iter().map(|(name, (spans, errors))| ServicePart { name, spans, errors }).collect();
    merged.entries = Entries::Mixed;
    Some(merged)
}

#[cfg(test)]
mod tests;
