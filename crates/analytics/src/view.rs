//! A trace as the columns that the interface draws, and their binary form.
//!
//! ```text
//! offset  bytes
//! 0       4      "RSV1"
//! 4       4      H, length of the header
//! 8       H      header: UTF-8 JSON, padded with spaces so that 8 + H is a multiple of 8
//! 8 + H          columns, each padded with zeros to a multiple of 8:
//!         n × 8  span id, as bytes
//!         n × 8  start, f64: nanoseconds since the trace's start, shifts applied
//!         n × 4  duration, f32: nanoseconds
//!         n × 4  parent, u32: row, 0xFFFFFFFF for none
//!         n × 4  operation, u32: index into the header's operations
//!         n × 2  depth, u16: 65,535 for that and more
//!         n × 2  flags, u16: see [`Flags`]
//!         m × 8  segment start, f64, as above
//!         m × 8  segment end, f64
//!         m × 4  segment row, u32
//!         m × 1  segment kind, u8: see [`SegmentKind`]
//! ```
//!
//! Numbers are little-endian; n is the header's `spanCount`, m its `segmentCount`; n × 32 bytes are the spans'. Rows are
//! in pre-order. A difference of times is exact in an f64 up to 104 days.

use foldhash::{HashMap, HashSet};
use rootspan_model::ids::{SpanId, TraceId};
use rootspan_wire::otlp::batch::TraceBatch;

use crate::critical_path::{SegmentKind, critical_path};
use crate::failure;
use crate::notice::{Notice, NoticeKind, count};
use crate::tree::{Flags, Node, Tree, conflict_notice};

mod encode;

/// No parent.
pub const NO_PARENT: u32 = u32::MAX;

/// What the trace page shows of a trace, but for attributes, events and links.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TraceView {
    /// The trace.
    pub trace_id: TraceId,
    /// Earliest start, shifts applied, in nanoseconds since 1970; may lie outside of 64 bits.
    pub start: i128,
    /// Latest end minus earliest start.
    pub duration_nanos: u64,
    /// Rows with status error.
    pub error_count: u64,
    /// Columns of the rows, all of one length.
    pub rows: Rows,
    /// Columns of the critical paths' segments, all of one length.
    pub segments: Segments,
    /// Texts that operations refer to.
    pub strings: Vec<String>,
    /// Distinct combinations of service, name, lane and kind.
    pub operations: Vec<Operation>,
    /// One for each entry span.
    pub paths: Vec<Path>,
    /// Rows with links and how many.
    pub links: Vec<(u32, u32)>,
    /// Shifted rows and by how many nanoseconds.
    pub shifts: Vec<(u32, i128)>,
    /// Remarks, the most important first.
    pub notices: Vec<Notice>,
}

/// The rows' columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// Ids.
    pub span_id: Vec<SpanId>,
    /// Nanoseconds since the trace's start.
    pub start: Vec<f64>,
    /// Nanoseconds.
    pub duration: Vec<f32>,
    /// Row or [`NO_PARENT`].
    pub parent: Vec<u32>,
    /// Index into [`TraceView::operations`].
    pub operation: Vec<u32>,
    /// Saturating.
    pub depth: Vec<u16>,
    /// Bits of [`Flags`].
    pub flags: Vec<u16>,
}

/// The segments' columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Segments {
    /// Nanoseconds since the trace's start.
    pub start: Vec<f64>,
    /// Nanoseconds since the trace's start.
    pub end: Vec<f64>,
    /// Whose time it is.
    pub row: Vec<u32>,
    /// On what it was spent.
    pub kind: Vec<SegmentKind>,
}

/// What many rows have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Operation {
    /// Index into [`TraceView::strings`]: `service.name`.
    pub service: u32,
    /// Index into [`TraceView::strings`]: the span's name.
    pub name: u32,
    /// [`crate::lane::Lane::code`]
    pub lane: u8,
    /// OTLP's number of the kind.
    pub kind: i32,
}

/// Which segments are one entry span's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// The entry span.
    pub entry_row: u32,
    /// Index of its first segment.
    pub first_segment: u32,
    /// Number of its segments.
    pub segment_count: u32,
}

impl TraceView {
    /// The view of a trace as a store gives it back: `conflicting` are indexes of spans in `batch` that share their ids
    /// with others, `omitted` is how many spans a limit left out.
    #[must_use]
    pub fn build(batch: &TraceBatch, conflicting: &[usize], omitted: u64) -> Self {
        let mut tree = Tree::build(batch);
        mark_conflicts(&mut tree, conflicting);
        let mut view = Self {
            trace_id: tree.trace_id,
            start: tree.start,
            duration_nanos: u64::try_from(tree.end - tree.start).unwrap_or(u64::MAX),
            ..Self::default()
        };
        let mut operations = Operations::default();
        for (row, node) in (0_u32..).zip(&tree.nodes) {
            view.add_row(row, node, &mut operations);
        }
        view.add_paths(&tree);
        (view.strings, view.operations) = (operations.strings, operations.operations);
        view.notices = notices(tree, omitted, view.rows.span_id.len());
        view
    }

    /// The binary form, as the module describes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode::encode(self)
    }

    fn add_row<'a>(&mut self, row: u32, node: &Node<'a>, operations: &mut Operations<'a>) {
        self.rows.span_id.push(node.span_id);
        self.rows.start.push(offset(node.start - self.start));
        #[expect(clippy::cast_possible_truncation, reason = "seven digits are enough to draw a bar")]
        self.rows.duration.push(offset(node.duration()) as f32);
        self.rows.parent.push(node.parent.unwrap_or(NO_PARENT));
        self.rows.operation.push(operations.number(node));
        self.rows.depth.push(u16::try_from(node.depth).unwrap_or(u16::MAX));
        self.rows.flags.push(node.flags.0);
        self.error_count += u64::from(node.flags.contains(Flags::ERROR));
        if node.links > 0 {
            self.links.push((row, node.links));
        }
        if node.shift != 0 {
            self.shifts.push((row, node.shift));
        }
    }

    fn add_paths(&mut self, tree: &Tree<'_>) {
        for path in critical_path(tree) {
            for row in &path.rows {
                self.rows.flags[*row as usize] |= Flags::ON_PATH.0;
            }
            self.paths.push(Path {
                entry_row: path.entry_row,
                first_segment: number(self.segments.row.len()),
                segment_count: number(path.segments.len()),
            });
            for segment in path.segments {
                self.segments.start.push(offset(segment.start - self.start));
                self.segments.end.push(offset(segment.end - self.start));
                self.segments.row.push(segment.row);
                self.segments.kind.push(segment.kind);
            }
        }
    }
}

/// Gives numbers to operations and texts.
#[derive(Default)]
struct Operations<'a> {
    /// By label, lane and kind.
    by_content: HashMap<(u32, u8, i32), u32>,
    by_text: HashMap<&'a str, u32>,
    strings: Vec<String>,
    operations: Vec<Operation>,
}

impl<'a> Operations<'a> {
    fn number(&mut self, node: &Node<'a>) -> u32 {
        let (lane, kind) = (node.lane.code(), node.kind.to_otlp());
        let key = (node.label, lane, kind);
        if let Some(known) = self.by_content.get(&key) {
            return *known;
        }
        let operation = Operation { service: self.text(node.service), name: self.text(node.name), lane, kind };
        let new = number(self.operations.len());
        self.operations.push(operation);
        self.by_content.insert(key, new);
        new
    }

    fn text(&mut self, text: &'a str) -> u32 {
        let next = number(self.strings.len());
        let strings = &mut self.strings;
        *self.by_text.entry(text).or_insert_with(|| {
            strings.push(text.to_owned());
            next
        })
    }
}

/// Adds what the store knows about conflicts to what the tree saw itself.
fn mark_conflicts(tree: &mut Tree<'_>, conflicting: &[usize]) {
    if conflicting.is_empty() {
        return;
    }
    let conflicting: HashSet<usize> = conflicting.iter().copied().collect();
    for node in tree.nodes.iter_mut().filter(|node| conflicting.contains(&node.span)) {
        node.flags.insert(Flags::DUPLICATE);
    }
    let doubled = (0_u32..).zip(&tree.nodes).filter(|(_, node)| node.flags.contains(Flags::DUPLICATE));
    let rows: Vec<u32> = doubled.map(|(row, _)| row).collect();
    tree.notices.retain(|notice| notice.kind != NoticeKind::Conflicts);
    if !rows.is_empty() {
        tree.notices.push(conflict_notice(rows));
    }
}

fn notices(mut tree: Tree<'_>, omitted: u64, shown: usize) -> Vec<Notice> {
    let mut notices = std::mem::take(&mut tree.notices);
    notices.extend(failure::notice(&tree));
    if omitted > 0 {
        let text = format!(
            "The trace is larger than the limit: {} shown, {omitted} left out.",
            if shown == 1 { "1 span is".to_owned() } else { format!("{} are", count(shown, "span")) }
        );
        notices.push(Notice::new(NoticeKind::Omitted, text, Vec::new()));
    }
    notices.sort_by_key(|notice| notice.kind);
    notices
}

/// Nanoseconds as a float; exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "what is longer than 104 days is drawn, not computed with")]
fn offset(nanos: i128) -> f64 {
    nanos as f64
}

/// A position in a column: a batch has fewer than 2^32 spans, as its bytes are fewer than 2^31.
fn number(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
