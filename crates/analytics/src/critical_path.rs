//! Where the time of an entry span went: segments, each some row's own, that together are exactly its duration.
//!
//! The walk goes backward from a span's end. The child that finished last is what the end waited for; what lies after it
//! is the span's own; before it the same question is asked again from the child's start. Children that the span did not
//! wait for are left out, what sticks out of a parent is cut off. Two siblings that overlap by no more than a hundredth
//! of their parent, with no third one's start or end in between, count as one after the other: clocks and timers are
//! not better than that.
//!
//! The own time of a span gets a kind: see [`SegmentKind`]. A viewer's span at the CDN is split by the CDN's own
//! measurements, see [`crate::cdn`]. A segment may stand on both sides of a child (the way to a server and back); only
//! the sum of the two is known, where the child lies between them is a guess unless clocks agree.
//!
//! Explicit stack, O(n log n); segments of one path ascend, touch and sum to the entry span's duration.

use rootspan_model::span::SpanKind;

use crate::lane::Lane;
use crate::tree::{Flags, Node, Tree};

/// Overlap of consecutive siblings that is tolerated, as a part of their parent's duration.
const TOLERATED_PART: i128 = 100;

/// Own time of a serving span is a gap in the instrumentation from this length on…
const GAP_NANOS: i128 = 1_000_000;
/// …if it is also at least this part of the span.
const GAP_PART: i128 = 5;

/// What the time of a segment was spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SegmentKind {
    /// The span's own work.
    SelfTime,
    /// Between a client span and the server span that answered: network, queueing and connection set-up. It belongs to
    /// the edge between the two services.
    NetQueue,
    /// A database answered.
    Database,
    /// Something that sent no spans answered.
    External,
    /// A message broker answered, or a message was waited for.
    Queue,
    /// A serving span's own time, long enough that some work in it was not instrumented.
    Gap,
    /// The CDN's own work, up to asking the origin.
    Edge,
    /// Between the CDN and the first service, both ways.
    EdgeToOrigin,
    /// From the origin's first to its last byte.
    OriginTransfer,
    /// From the origin's last byte to the viewer's.
    ViewerTransfer,
}

impl SegmentKind {
    /// The number in the interface's protocol.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SelfTime => "self",
            Self::NetQueue => "net_queue",
            Self::Database => "db",
            Self::External => "external",
            Self::Queue => "queue",
            Self::Gap => "gap",
            Self::Edge => "edge",
            Self::EdgeToOrigin => "edge_to_origin",
            Self::OriginTransfer => "origin_transfer",
            Self::ViewerTransfer => "viewer_transfer",
        }
    }
}

/// A stretch of time that one row accounts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Whose time it is.
    pub row: u32,
    /// Nanoseconds since 1970, as in the tree.
    pub start: i128,
    /// After the start.
    pub end: i128,
    /// On what it was spent.
    pub kind: SegmentKind,
}

/// The critical path of one entry span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CriticalPath {
    /// The entry span's row.
    pub entry_row: u32,
    /// Ascending, without holes.
    pub segments: Vec<Segment>,
    /// Rows that the path runs through, also those without a segment of their own.
    pub rows: Vec<u32>,
}

/// The critical paths of all entry spans, in their order.
#[must_use]
pub fn critical_path(tree: &Tree<'_>) -> Vec<CriticalPath> {
    let waited = Waited::of(tree);
    tree.entries().map(|entry| Walk::from(entry, tree, &waited)).collect()
}

/// The children that each row waited for, by start and by end.
struct Waited {
    /// Latest end first.
    by_end: Vec<u32>,
    /// Starts, ascending.
    starts: Vec<i128>,
    /// Where each row's children begin in both; one more than there are rows.
    begins: Vec<u32>,
}

impl Waited {
    fn of(tree: &Tree<'_>) -> Self {
        let count = tree.nodes.len();
        let mut begins = vec![0_u32; count + 1];
        let waited = |node: &Node<'_>| node.parent.filter(|_| !node.flags.contains(Flags::ASYNC));
        for parent in tree.nodes.iter().filter_map(waited) {
            begins[parent as usize + 1] += 1;
        }
        for row in 0..count {
            begins[row + 1] += begins[row];
        }
        let mut by_end = vec![0; begins[count] as usize];
        let mut starts = vec![0; begins[count] as usize];
        let mut next = begins.clone();
        for (row, node) in (0_u32..).zip(&tree.nodes) {
            if let Some(parent) = waited(node) {
                let slot = next[parent as usize] as usize;
                next[parent as usize] += 1;
                by_end[slot] = row;
                starts[slot] = node.start;
            }
        }
        for row in 0..count {
            let children = &mut by_end[begins[row] as usize..begins[row + 1] as usize];
            children.sort_by_key(|child| {
                let node = tree.node(*child);
                (std::cmp::Reverse(node.end), std::cmp::Reverse(node.start))
            });
        }
        Self { by_end, starts, begins }
    }

    fn by_end(&self, row: u32) -> &[u32] {
        &self.by_end[self.range(row)]
    }

    fn starts(&self, row: u32) -> &[i128] {
        &self.starts[self.range(row)]
    }

    fn range(&self, row: u32) -> std::ops::Range<usize> {
        self.begins[row as usize] as usize..self.begins[row as usize + 1] as usize
    }
}

/// A span whose time is being divided, from its end to its start.
struct Frame {
    row: u32,
    /// Its part of the path begins here.
    low: i128,
    /// Children account for time after this only; on a viewer's span where the origin wait begins, else [`Self::low`].
    floor: i128,
    /// Its part of the path, or the origin wait, ended here.
    high: i128,
    /// What is before this is not divided yet.
    cursor: i128,
    /// Position in the children by end.
    child: usize,
    kind: SegmentKind,
}

struct Walk<'t, 'a> {
    tree: &'t Tree<'a>,
    waited: &'t Waited,
    path: CriticalPath,
    stack: Vec<Frame>,
}

impl<'t, 'a> Walk<'t, 'a> {
    fn from(entry: u32, tree: &'t Tree<'a>, waited: &'t Waited) -> CriticalPath {
        let path = CriticalPath { entry_row: entry, segments: Vec::new(), rows: Vec::new() };
        let mut walk = Self { tree, waited, path, stack: Vec::new() };
        let node = tree.node(entry);
        walk.enter(entry, node.start, node.end);
        while let Some(frame) = walk.stack.pop() {
            walk.step(frame);
        }
        walk.path.segments.reverse();
        debug_assert_eq!(
            walk.path.segments.iter().map(|segment| segment.end - segment.start).sum::<i128>(),
            node.duration(),
            "segments sum to the entry span's duration"
        );
        walk.path
    }

    /// Begins to divide a row's time between `low` and `high`.
    fn enter(&mut self, row: u32, low: i128, high: i128) {
        self.path.rows.push(row);
        let node = self.tree.node(row);
        let mut frame = Frame { row, low, floor: low, high, cursor: high, child: 0, kind: self.own_kind(row) };
        if let Some(timings) = node.timings {
            let phases = timings.phases(node.start, node.end);
            let has_backend = !self.waited.by_end(row).is_empty();
            self.own(&mut frame, phases.origin_last_byte, SegmentKind::ViewerTransfer);
            self.own(&mut frame, phases.first_byte, SegmentKind::OriginTransfer);
            frame.floor = phases.origin_start.clamp(low, frame.cursor);
            frame.high = frame.cursor;
            // What the origin took is known only if the origin was asked or answered.
            let asked = has_backend || phases.origin_known;
            frame.kind = if asked { SegmentKind::EdgeToOrigin } else { SegmentKind::Edge };
        }
        self.stack.push(frame);
    }

    /// Takes the next child that the row waited for, or ends the row.
    fn step(&mut self, mut frame: Frame) {
        let children = self.waited.by_end(frame.row);
        while let Some(&child) = children.get(frame.child) {
            let position = frame.child;
            frame.child += 1;
            let node = self.tree.node(child);
            let end = node.end.min(frame.high);
            let (from, to) = (node.start.max(frame.floor), end.min(frame.cursor));
            if from < to && self.is_before_cursor(&frame, position, end) {
                let kind = frame.kind;
                self.own(&mut frame, to, kind);
                frame.cursor = from;
                self.stack.push(frame);
                self.enter(child, from, to);
                return;
            }
        }
        let (floor, low, kind) = (frame.floor, frame.low, frame.kind);
        self.own(&mut frame, floor, kind);
        self.own(&mut frame, low, SegmentKind::Edge);
    }

    /// Whether a child that ended at `end` was over when what comes next on the path began.
    fn is_before_cursor(&self, frame: &Frame, position: usize, end: i128) -> bool {
        if end <= frame.cursor {
            return true;
        }
        if end - frame.cursor > self.tree.node(frame.row).duration() / TOLERATED_PART {
            return false;
        }
        // One end and one start in the overlap: this child's and that of the one taken before.
        let children = self.waited.by_end(frame.row);
        let ends_inside = |neighbour: Option<&u32>| {
            neighbour.is_some_and(|row| (frame.cursor + 1..=end).contains(&self.tree.node(*row).end))
        };
        let before = position.checked_sub(1).and_then(|before| children.get(before));
        let starts = self.waited.starts(frame.row);
        let inside =
            starts.partition_point(|start| *start <= end) - starts.partition_point(|start| *start < frame.cursor);
        !ends_inside(before) && !ends_inside(children.get(position + 1)) && inside <= 1
    }

    /// The time from `until` to the cursor is the row's own.
    fn own(&mut self, frame: &mut Frame, until: i128, kind: SegmentKind) {
        let start = until.max(frame.low);
        if start >= frame.cursor {
            return;
        }
        let kind = self.gap_or(kind, frame.row, frame.cursor - start);
        match self.path.segments.last_mut() {
            Some(after) if after.row == frame.row && after.kind == kind && after.start == frame.cursor => {
                after.start = start;
            }
            _ => self.path.segments.push(Segment { row: frame.row, start, end: frame.cursor, kind }),
        }
        frame.cursor = start;
    }

    fn gap_or(&self, kind: SegmentKind, row: u32, length: i128) -> SegmentKind {
        let node = self.tree.node(row);
        let serves = matches!(node.kind, SpanKind::Server | SpanKind::Consumer);
        let is_long = length >= GAP_NANOS && length >= node.duration() / GAP_PART;
        let has_children = !self.waited.by_end(row).is_empty();
        if kind == SegmentKind::SelfTime && serves && is_long && has_children { SegmentKind::Gap } else { kind }
    }

    fn own_kind(&self, row: u32) -> SegmentKind {
        let node = self.tree.node(row);
        let calls_out = matches!(node.kind, SpanKind::Client) || node.lane == Lane::Proxy;
        let children = self.waited.by_end(row);
        // An origin-facing span of an edge function: what its origin did not take is the way there.
        if node.kind == SpanKind::Client && node.lane == Lane::Cdn {
            return SegmentKind::EdgeToOrigin;
        }
        if calls_out && children.iter().any(|child| self.is_answer(node, *child)) {
            return SegmentKind::NetQueue;
        }
        match node.lane {
            Lane::Database => SegmentKind::Database,
            Lane::Queue => SegmentKind::Queue,
            Lane::External => SegmentKind::External,
            Lane::Cdn => SegmentKind::Edge,
            Lane::Service | Lane::Proxy => SegmentKind::SelfTime,
        }
    }

    /// Whether the child is the other end of its parent's call.
    fn is_answer(&self, parent: &Node<'_>, child: u32) -> bool {
        let child = self.tree.node(child);
        child.kind == SpanKind::Server || child.service != parent.service
    }
}

#[cfg(test)]
mod tests;
