//! The spans of one trace as a forest, in the order in which it is shown.
//!
//! Never an error: a span whose parent is not there stands at the top, marked as orphan; a cycle is cut at its earliest
//! span; the same span delivered twice is shown once; spans that share an id but differ are all shown. What was done is
//! in [`Tree::notices`]. Times that cannot be true because two clocks disagree are shifted (see `skew.rs`); the shift is
//! kept beside the times, and the batch is never changed.
//!
//! Times are `i128`: any two `u64` and any shift between them can be subtracted.

use rootspan_model::ids::{SpanId, TraceId};
use rootspan_model::span::SpanKind;
use rootspan_wire::otlp::batch::TraceBatch;

use crate::cdn::Timings;
use crate::lane::{Lane, LaneReason};
use crate::notice::Notice;

mod assemble;
mod flatten;
mod remarks;
mod skew;

pub(crate) use remarks::conflict_notice;

/// A trace in pre-order; a row is an index into [`Tree::nodes`].
#[derive(Clone, Debug, Default)]
pub struct Tree<'a> {
    /// Parents before their children, siblings by start.
    pub nodes: Vec<Node<'a>>,
    /// What is odd about the trace.
    pub notices: Vec<Notice>,
    /// The id that the first span has.
    pub trace_id: TraceId,
    /// Earliest start, shifts applied.
    pub start: i128,
    /// Latest end, shifts applied.
    pub end: i128,
}

/// One span in its place.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    /// The span's index in the batch.
    pub span: usize,
    /// Its id.
    pub span_id: SpanId,
    /// The parent's row; `None` at the top.
    pub parent: Option<u32>,
    /// Row after the last descendant.
    pub subtree_end: u32,
    /// 0 at the top.
    pub depth: u32,
    /// Nanoseconds since 1970, shift applied.
    pub start: i128,
    /// Not before the start.
    pub end: i128,
    /// What was added to the recorded times.
    pub shift: i128,
    /// Kind.
    pub kind: SpanKind,
    /// Marks.
    pub flags: Flags,
    /// `service.name`
    pub service: &'a str,
    /// The span's name.
    pub name: &'a str,
    /// Equal numbers within a tree: equal service and name.
    pub label: u32,
    /// What sort of thing it is.
    pub lane: Lane,
    /// By what that was decided.
    pub lane_reason: LaneReason,
    /// The CDN's measurements, on a viewer's span.
    pub timings: Option<Timings>,
    /// Number of links.
    pub links: u32,
}

impl Node<'_> {
    /// End minus start, never negative.
    #[must_use]
    pub fn duration(&self) -> i128 {
        self.end - self.start
    }
}

/// Marks of a row. The bits are those of the interface's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Flags(pub u16);

impl Flags {
    /// Status error.
    pub const ERROR: Self = Self(1 << 0);
    /// On a critical path.
    pub const ON_PATH: Self = Self(1 << 1);
    /// At the top although it names a parent.
    pub const ORPHAN: Self = Self(1 << 2);
    /// Drawn elsewhere than recorded.
    pub const SKEWED: Self = Self(1 << 3);
    /// The end was absent or before the start, so the duration is not known.
    pub const ESTIMATED: Self = Self(1 << 4);
    /// Has events.
    pub const HAS_EVENTS: Self = Self(1 << 5);
    /// Has links.
    pub const HAS_LINKS: Self = Self(1 << 6);
    /// The parent did not wait for it. Only the topmost span of what was not waited for is marked.
    pub const ASYNC: Self = Self(1 << 7);
    /// Has no parent.
    pub const ROOT: Self = Self(1 << 8);
    /// Another span has the same id.
    pub const DUPLICATE: Self = Self(1 << 9);
    /// The CDN kept it although the trace was not sampled.
    pub const KEPT_BY: Self = Self(1 << 10);
    /// The CDN's ids are derived from the request id; the edge function logged none.
    pub const DERIVED_IDS: Self = Self(1 << 11);

    /// Whether all marks of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Sets the marks of `other`.
    pub const fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl<'a> Tree<'a> {
    /// Builds the tree of a batch, all of whose spans are taken to be one trace's. O(n log n).
    #[must_use]
    pub fn build(batch: &'a TraceBatch) -> Self {
        let assembled = assemble::assemble(batch);
        let mut nodes = flatten::flatten(&assembled);
        flatten::finish(&mut nodes);
        let notices = remarks::remarks(&assembled, &nodes);
        Self {
            start: nodes.iter().map(|node| node.start).min().unwrap_or_default(),
            end: nodes.iter().map(|node| node.end).max().unwrap_or_default(),
            trace_id: batch.spans().next().map(|span| span.span.trace_id).unwrap_or_default(),
            nodes,
            notices,
        }
    }

    /// The node at a row.
    ///
    /// # Panics
    /// If `row` is no row of this tree.
    #[must_use]
    pub fn node(&self, row: u32) -> &Node<'a> {
        &self.nodes[row as usize]
    }

    /// Rows at the top: roots, then what stands in for missing ones, each by start.
    pub fn entries(&self) -> impl Iterator<Item = u32> + '_ {
        let mut next = 0;
        std::iter::from_fn(move || {
            let row = next;
            next = self.nodes.get(row as usize)?.subtree_end;
            Some(row)
        })
    }

    /// Rows of the direct children, by start.
    pub fn children(&self, row: u32) -> impl Iterator<Item = u32> + '_ {
        let end = self.node(row).subtree_end;
        let mut next = row + 1;
        std::iter::from_fn(move || {
            let child = (next < end).then_some(next)?;
            next = self.node(child).subtree_end;
            Some(child)
        })
    }
}

#[cfg(test)]
mod tests;
