//! From parts with parents to rows in pre-order, with clocks made to agree on the way down.

use std::cmp::Reverse;

use rootspan_model::ids::SpanId;
use rootspan_model::span::SpanKind;

use super::assemble::{Assembled, Part};
use super::skew::{Placed, child_shift};
use super::{Flags, Node};
use crate::lane::{Lane, LaneReason};

/// A part that waits for its row.
struct Waiting {
    part: u32,
    parent: Option<u32>,
    depth: u32,
    shift: i128,
}

pub(super) fn flatten<'a>(assembled: &Assembled<'a>) -> Vec<Node<'a>> {
    let parts = &assembled.parts;
    let children = Children::of(parts);
    let mut known: Vec<Option<i128>> = vec![None; assembled.clocks as usize];
    let mut nodes: Vec<Node<'a>> = Vec::with_capacity(parts.len());
    let mut stack = Vec::new();
    let mut siblings = Vec::new();
    let mut placed: Vec<Waiting> = entries(parts);
    stack.extend(placed.drain(..).rev());
    while let Some(waiting) = stack.pop() {
        let part = &parts[waiting.part as usize];
        known[part.clock as usize].get_or_insert(waiting.shift);
        let row = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
        // By recorded start, so that the first shift found for a clock does not depend on the order of delivery.
        siblings.clear();
        siblings.extend_from_slice(children.of_part(waiting.part));
        siblings.sort_by_key(|child| order(&parts[*child as usize], 0));
        for &child in &siblings {
            let child_part = &parts[child as usize];
            let parent = Placed { part, shift: waiting.shift };
            let known_shift = &mut known[child_part.clock as usize];
            let shift = child_shift(parent, child_part, *known_shift);
            known_shift.get_or_insert(shift);
            placed.push(Waiting { part: child, parent: Some(row), depth: waiting.depth + 1, shift });
        }
        placed.sort_by_key(|waiting| order(&parts[waiting.part as usize], waiting.shift));
        stack.extend(placed.drain(..).rev());
        nodes.push(node(part, &waiting));
    }
    nodes
}

/// Sizes of subtrees, and what depends on a span's place: whether it was waited for, whether a client got an answer.
pub(super) fn finish(nodes: &mut [Node<'_>]) {
    for row in (0..nodes.len()).rev() {
        let own_end = u32::try_from(row + 1).unwrap_or(u32::MAX);
        let end = nodes[row].subtree_end.max(own_end);
        nodes[row].subtree_end = end;
        if let Some(parent) = nodes[row].parent {
            let parent = &mut nodes[parent as usize];
            parent.subtree_end = parent.subtree_end.max(end);
        }
    }
    for row in 0..nodes.len() {
        let node = &nodes[row];
        if let Some(parent) = node.parent
            && is_async(&nodes[parent as usize], node)
        {
            nodes[row].flags.insert(Flags::ASYNC);
        }
        let node = &mut nodes[row];
        let is_leaf = node.subtree_end as usize == row + 1;
        if node.lane == Lane::Service && node.kind == SpanKind::Client && is_leaf {
            (node.lane, node.lane_reason) = (Lane::External, LaneReason::ClientLeaf);
        }
    }
}

/// Nobody waits for a message to be processed, nor for what begins when the parent is over.
fn is_async(parent: &Node<'_>, child: &Node<'_>) -> bool {
    let is_message =
        child.kind == SpanKind::Consumer && (parent.kind == SpanKind::Producer || parent.service != child.service);
    is_message || (child.start >= parent.end && child.end > parent.end)
}

/// Roots first, then what stands in for missing ones.
fn entries(parts: &[Part<'_>]) -> Vec<Waiting> {
    let tops = (0_u32..).zip(parts).filter(|(_, part)| part.parent.is_none());
    let mut entries: Vec<Waiting> = tops.map(|(part, _)| Waiting { part, parent: None, depth: 0, shift: 0 }).collect();
    entries.sort_by_key(|waiting| {
        let part = &parts[waiting.part as usize];
        (part.flags.contains(Flags::ORPHAN), order(part, 0))
    });
    entries
}

/// By start; of two that start together the longer first; then by what makes the order independent of that of delivery.
fn order<'a>(part: &Part<'a>, shift: i128) -> (i128, Reverse<i128>, SpanId, &'a [u8], &'a str) {
    (part.start + shift, Reverse(part.end + shift), part.span_id, part.bytes, part.service)
}

fn node<'a>(part: &Part<'a>, waiting: &Waiting) -> Node<'a> {
    let mut flags = part.flags;
    if waiting.shift != 0 {
        flags.insert(Flags::SKEWED);
    }
    Node {
        span: part.span,
        span_id: part.span_id,
        parent: waiting.parent,
        subtree_end: 0,
        depth: waiting.depth,
        start: part.start + waiting.shift,
        end: part.end + waiting.shift,
        shift: waiting.shift,
        kind: part.kind,
        flags,
        service: part.service,
        name: part.name,
        label: part.label,
        lane: part.lane,
        lane_reason: part.lane_reason,
        timings: part.timings,
        links: part.links,
    }
}

/// The children of every part, in one vector.
struct Children {
    members: Vec<u32>,
    /// Where each part's children begin; one more than there are parts.
    begins: Vec<u32>,
}

impl Children {
    fn of(parts: &[Part<'_>]) -> Self {
        let mut begins = vec![0_u32; parts.len() + 1];
        for parent in parts.iter().filter_map(|part| part.parent) {
            begins[parent as usize + 1] += 1;
        }
        for part in 0..parts.len() {
            begins[part + 1] += begins[part];
        }
        let mut members = vec![0; begins[parts.len()] as usize];
        let mut next = begins.clone();
        for (number, part) in (0_u32..).zip(parts) {
            if let Some(parent) = part.parent {
                let slot = &mut next[parent as usize];
                members[*slot as usize] = number;
                *slot += 1;
            }
        }
        Self { members, begins }
    }

    fn of_part(&self, part: u32) -> &[u32] {
        let part = part as usize;
        &self.members[self.begins[part] as usize..self.begins[part + 1] as usize]
    }
}
