//! Clocks that disagree.
//!
//! Within one clock recorded times are true. Across clocks a call cannot begin before it was made nor, if its answer was
//! waited for, end after the answer came. A child that does so anyway is moved, with everything below it on the same
//! clock: into the middle of its parent if it fits (the way there as long as the way back), else to its parent's start.
//! A shift that was found for a clock is tried first for its other spans, so that they keep their order.

use foldhash::HashMap;
use rootspan_model::conventions::resource as names;
use rootspan_model::span::SpanKind;
use rootspan_wire::otlp::view::Resource;

use super::assemble::Part;

/// `host.id`, the machine.
const HOST_ID: &str = "host.id";
/// `process.pid`, the process on it.
const PROCESS_PID: &str = "process.pid";

/// A child may stick out of its parent by a hundredth of the parent's duration: rounding and late timers do that.
const TOLERATED_PART: i128 = 100;
/// CloudFront logs whole milliseconds, and the borders of the origin window are each made of two such times.
const CDN_RESOLUTION: i128 = 2_000_000;

/// Numbers the clocks of resources.
#[derive(Debug, Default)]
pub(super) struct Clocks<'a> {
    numbers: HashMap<Identity<'a>, u32>,
}

/// What tells one clock from another. Host names and addresses do not: containers share and reuse them.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Identity<'a> {
    Instance(&'a str, &'a str),
    Process(&'a str, Option<i64>),
    /// Nothing better: resources that are equal to the byte.
    Resource(&'a [u8]),
}

impl<'a> Clocks<'a> {
    pub(super) fn number(&mut self, resource: Resource<'a>) -> u32 {
        let text = |key| resource.attribute(key).and_then(|value| value.as_str());
        let identity = if let Some(instance) = text(names::SERVICE_INSTANCE_ID) {
            Identity::Instance(resource.service_name(), instance)
        } else if let Some(host) = text(HOST_ID) {
            Identity::Process(host, resource.attribute(PROCESS_PID).and_then(|value| value.as_int()))
        } else {
            Identity::Resource(resource.bytes)
        };
        let next = self.count();
        *self.numbers.entry(identity).or_insert(next)
    }

    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.numbers.len()).unwrap_or(u32::MAX)
    }
}

/// A parent that has its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed<'p, 'a> {
    pub(super) part: &'p Part<'a>,
    pub(super) shift: i128,
}

/// What is to be added to the child's recorded times. `known` is the shift found for the child's clock before.
pub(super) fn child_shift(parent: Placed<'_, '_>, child: &Part<'_>, known: Option<i128>) -> i128 {
    if child.clock == parent.part.clock {
        return parent.shift;
    }
    let (parent_start, parent_end) = (parent.part.start + parent.shift, parent.part.end + parent.shift);
    let usual = known.unwrap_or(0);
    if child.kind == SpanKind::Consumer {
        // A message is taken after the sending began; nothing bounds the other side.
        let to_start = parent_start - child.start;
        return [usual, 0].into_iter().find(|shift| *shift >= to_start).unwrap_or(to_start);
    }
    let is_call = child.kind == SpanKind::Server || parent.part.kind == SpanKind::Client;
    if !is_call {
        return usual;
    }
    let (start, end, slack) = match parent.part.timings {
        Some(timings) => {
            let (start, end) = timings.origin_window(parent_start, parent_end, child.end - child.start);
            (start, end, CDN_RESOLUTION)
        }
        None => (parent_start, parent_end, 0),
    };
    fit(child, start, end, slack, known)
}

fn fit(child: &Part<'_>, start: i128, end: i128, slack: i128, known: Option<i128>) -> i128 {
    let (room, length) = (end - start, child.end - child.start);
    let tolerance = slack + room / TOLERATED_PART;
    let starts_inside = |shift: i128| child.start + shift >= start - tolerance && child.start + shift <= end;
    let fits = |shift: &i128| starts_inside(*shift) && child.end + shift <= end + tolerance;
    if let Some(shift) = known.into_iter().chain([0]).find(fits) {
        return shift;
    }
    if length <= room {
        return start + (room - length) / 2 - child.start;
    }
    // Longer than its parent: one of them gave up waiting. Only the start can be judged; up to a hundredth the two
    // count as equal.
    let usual = known.unwrap_or(0);
    if length - room > tolerance && starts_inside(usual) { usual } else { start - child.start }
}
