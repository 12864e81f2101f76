//! The account of a queue on disk: what waits in which segment, what is on the way, what is settled. Pure: no files, no
//! time.
//!
//! A request is *appended* (durable), then *outstanding* (in memory, waiting or on the way) and then settled. What is
//! appended but not outstanding yet lies on disk only, from [`Book::next_read`] on.

use std::collections::BTreeMap;
use std::ops::{AddAssign, SubAssign};

use bytes::Bytes;
use rootspan_journal::journal::Sequence;
use rootspan_model::time::UnixNanos;

use super::frame::{Account, Frame, HEAD_BYTES};
use crate::exporters::sending::Sizer;

/// An amount of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::runtime::delivery) struct Size {
    pub(in crate::runtime::delivery) requests: u64,
    pub(in crate::runtime::delivery) items: u64,
    pub(in crate::runtime::delivery) bytes: u64,
}

impl Size {
    /// One request.
    pub(in crate::runtime::delivery) const fn of_request(items: u64, bytes: u64) -> Self {
        Self { requests: 1, items, bytes }
    }

    /// In the units of a sizer.
    pub(in crate::runtime::delivery) const fn by(self, sizer: Sizer) -> u64 {
        match sizer {
            Sizer::Requests => self.requests,
            Sizer::Items => self.items,
            Sizer::Bytes => self.bytes,
        }
    }
}

impl AddAssign for Size {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.items += other.items;
        self.bytes += other.bytes;
    }
}

/// Never below zero: what a damaged journal tells may not add up.
impl SubAssign for Size {
    fn sub_assign(&mut self, other: Self) {
        self.requests = self.requests.saturating_sub(other.requests);
        self.items = self.items.saturating_sub(other.items);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }
}

/// A set of numbers as ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges {
    /// First → last; never adjacent, never overlapping.
    ranges: BTreeMap<u64, u64>,
}

impl Ranges {
    /// Adds `first..=last`; nothing if that is empty.
    pub(super) fn insert(&mut self, first: u64, last: u64) {
        if first > last {
            return;
        }
        let (mut first, mut last) = (first, last);
        if let Some((before, end)) = self.ranges.range(..=first).next_back().map(|(first, last)| (*first, *last))
            && end.saturating_add(1) >= first
        {
            first = before;
            last = last.max(end);
        }
        while let Some((next, end)) = self.ranges.range(first..).next().map(|(first, last)| (*first, *last))
            && next <= last.saturating_add(1)
        {
            self.ranges.remove(&next);
            last = last.max(end);
        }
        self.ranges.insert(first, last);
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        self.ranges.range(..=number).next_back().is_some_and(|(_, last)| *last >= number)
    }

    /// Whether all of `first..=last` is in it.
    fn covers(&self, first: u64, last: u64) -> bool {
        self.ranges.range(..=first).next_back().is_some_and(|(_, end)| *end >= last)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.ranges.iter().map(|(first, last)| (*first, *last))
    }

    /// Every number up to here is in it.
    fn through(&self) -> u64 {
        self.ranges.first_key_value().filter(|(first, _)| **first <= 1).map_or(0, |(_, last)| *last)
    }

    fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

/// A request that is in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outstanding {
    size: Size,
    taken: UnixNanos,
}

/// The account.
#[derive(Debug)]
pub(super) struct Book {
    /// First sequence → what is left in the segment.
    segments: BTreeMap<u64, Size>,
    /// All of it.
    total: Size,
    /// Frames that are settled or are no requests.
    done: Ranges,
    outstanding: BTreeMap<u64, Outstanding>,
    outstanding_bytes: u64,
    /// Frames from here on were not read.
    next_read: u64,
    /// The last durable frame.
    durable: u64,
    /// Items of all requests ever appended.
    items_appended: u64,
    /// What was settled since the last record.
    unrecorded: Unrecorded,
}

#[derive(Debug, Default)]
struct Unrecorded {
    segments: BTreeMap<u64, Size>,
    ranges: Ranges,
}

impl Book {
    /// Requests that wait or are on the way, and how large they are.
    pub(super) const fn total(&self) -> Size {
        self.total
    }

    /// Bytes of what is in memory.
    pub(super) const fn outstanding_bytes(&self) -> u64 {
        self.outstanding_bytes
    }

    /// When the oldest request in memory was taken.
    pub(super) fn oldest(&self) -> Option<UnixNanos> {
        self.outstanding.first_key_value().map(|(_, outstanding)| outstanding.taken)
    }

    /// Whether nothing lies on disk that is not in memory or settled.
    pub(super) const fn is_caught_up(&self) -> bool {
        self.next_read > self.durable
    }

    /// The first frame that was not read.
    pub(super) const fn next_read(&self) -> Sequence {
        Sequence(self.next_read)
    }

    /// The last durable frame.
    pub(super) const fn durable(&self) -> Sequence {
        Sequence(self.durable)
    }

    /// Items of all requests ever appended.
    pub(super) const fn items_appended(&self) -> u64 {
        self.items_appended
    }

    /// A new segment begins with this frame.
    pub(super) fn begin_segment(&mut self, first: Sequence) {
        self.segments.insert(first.0, Size::default());
    }

    /// A record or a state is durable (or will be with the next sync, which is as good).
    pub(super) fn appended_account(&mut self, sequence: Sequence) {
        self.done.insert(sequence.0, sequence.0);
        if self.is_caught_up() {
            self.next_read = sequence.0 + 1;
        }
        self.durable = sequence.0;
    }

    /// A request is durable. With `keep` it is in memory, too; that can only be if everything before it was read.
    pub(super) fn appended(&mut self, sequence: Sequence, size: Size, taken: UnixNanos, keep: bool) {
        debug_assert!(sequence.0 > self.durable, "sequences rise");
        if let Some((_, left)) = self.segments.range_mut(..=sequence.0).next_back() {
            *left += size;
        }
        self.total += size;
        self.items_appended += size.items;
        if keep {
            debug_assert!(self.is_caught_up(), "requests are handed over in order");
            self.take_in(sequence.0, size, taken);
        }
        self.durable = sequence.0;
    }

    /// A request was read back; whether it is to be delivered.
    pub(super) fn read_request(&mut self, sequence: Sequence, size: Size, taken: UnixNanos) -> bool {
        let is_new = sequence.0 >= self.next_read && !self.done.contains(sequence.0);
        if is_new {
            self.take_in(sequence.0, size, taken);
        }
        self.next_read = self.next_read.max(sequence.0 + 1);
        is_new
    }

    /// A frame was read back that is no request.
    pub(super) fn read_other(&mut self, sequence: Sequence) {
        self.done.insert(sequence.0, sequence.0);
        self.next_read = self.next_read.max(sequence.0 + 1);
    }

    /// Everything durable up to `through` was read.
    pub(super) fn read_through(&mut self, through: Sequence) {
        self.next_read = self.next_read.max(through.0 + 1);
    }

    fn take_in(&mut self, sequence: u64, size: Size, taken: UnixNanos) {
        self.outstanding.insert(sequence, Outstanding { size, taken });
        self.outstanding_bytes += size.bytes;
        self.next_read = sequence + 1;
    }

    /// An outstanding request is settled.
    pub(super) fn settle(&mut self, sequence: Sequence) {
        let Some(Outstanding { size, .. }) = self.outstanding.remove(&sequence.0) else { return };
        self.outstanding_bytes -= size.bytes;
        self.total -= size;
        if let Some((first, left)) = self.segments.range_mut(..=sequence.0).next_back() {
            *left -= size;
            *self.unrecorded.segments.entry(*first).or_default() += size;
        }
        self.done.insert(sequence.0, sequence.0);
        self.unrecorded.ranges.insert(sequence.0, sequence.0);
    }

    /// What was left in segments that were read to their end and is not in memory: it cannot be read any more.
    pub(super) fn take_lost(&mut self) -> Size {
        let mut lost = Size::default();
        let mut end = self.durable + 1;
        for (first, left) in self.segments.iter_mut().rev() {
            if end <= self.next_read {
                let mut gone = *left;
                for (_, outstanding) in self.outstanding.range(*first..end) {
                    gone -= outstanding.size;
                }
                *left -= gone;
                lost += gone;
            }
            end = *first;
        }
        self.total -= lost;
        lost
    }

    /// Forgets segments in which nothing is left; the newest stays. They are to be removed, also from between others: one
    /// request that the back end does not take must not keep everything behind it on the disk.
    pub(super) fn take_finished(&mut self) -> Vec<Sequence> {
        let open = self.outstanding.first_key_value().map_or(self.next_read, |(first, _)| self.next_read.min(*first));
        self.done.insert(0, open.saturating_sub(1));
        let firsts: Vec<u64> = self.segments.keys().copied().collect();
        let mut finished = Vec::new();
        for pair in firsts.windows(2) {
            let (first, end) = (pair[0], pair[1]);
            let is_finished = end <= self.next_read && self.outstanding.range(first..end).next().is_none();
            if is_finished {
                // Nobody asks for what never was between its frames, where appends failed.
                self.done.insert(first, end - 1);
                self.segments.remove(&first);
                finished.push(Sequence(first));
            }
        }
        finished
    }

    /// Those of the journal's segments of which nothing is left, though they were not removed.
    pub(super) fn finished_among(&self, segments: &[Sequence]) -> Vec<Sequence> {
        segments.iter().copied().filter(|first| !self.segments.contains_key(&first.0)).collect()
    }

    /// Whether something was settled since the last record.
    pub(super) fn is_unrecorded(&self) -> bool {
        !self.unrecorded.ranges.is_empty()
    }

    /// What was settled since the last record.
    pub(super) fn record(&self) -> Account {
        Account {
            items_before: self.items_appended,
            segments: self.unrecorded.segments.iter().map(|(first, size)| (*first, *size)).collect(),
            ranges: self.unrecorded.ranges.clone(),
        }
    }

    /// The whole state.
    pub(super) fn state(&self) -> Account {
        Account {
            items_before: self.items_appended,
            segments: self.segments.iter().map(|(first, size)| (*first, *size)).collect(),
            ranges: self.done.clone(),
        }
    }

    /// A [`Book::record`] or [`Book::state`] that was taken since the last change is written.
    pub(super) fn recorded(&mut self) {
        self.unrecorded = Unrecorded::default();
    }
}

/// A book that is read from the frames of a journal.
#[derive(Debug, Default)]
pub(super) struct Recovering {
    segments: BTreeMap<u64, Size>,
    done: Ranges,
    /// Items of all requests ever appended; unknown until a frame tells.
    items_appended: Option<u64>,
    /// The first segment that was read, and whether it begins with a state.
    begins: Option<(u64, bool)>,
    /// Frames that are none of this version's.
    pub(super) unknown: u64,
}

impl Recovering {
    /// The next frame.
    pub(super) fn visit(&mut self, segment: Sequence, sequence: Sequence, payload: &Bytes) {
        let frame = Frame::decode(payload);
        self.begins.get_or_insert((segment.0, matches!(frame, Some(Frame::State(_)))));
        let left = self.segments.entry(segment.0).or_default();
        match frame {
            Some(Frame::Request(head, _)) => {
                // Requests before it that are not there were damaged: they are waited for, and found to be lost when
                // the segment is read.
                let gap = self.items_appended.map_or(0, |before| head.items_before.saturating_sub(before));
                if gap > 0 {
                    *left += Size { requests: 1, items: gap, bytes: 0 };
                }
                *left += Size::of_request(u64::from(head.items), (payload.len() - HEAD_BYTES) as u64);
                self.items_appended = Some(head.items_before + u64::from(head.items));
            }
            Some(Frame::Record(record)) => {
                for (first, size) in record.segments {
                    if let Some(left) = self.segments.get_mut(&first) {
                        *left -= size;
                    }
                }
                record.ranges.iter().for_each(|(first, last)| self.done.insert(first, last));
                self.done.insert(sequence.0, sequence.0);
            }
            Some(Frame::State(state)) => {
                self.segments = self.segments.split_off(&segment.0);
                self.segments.extend(state.segments);
                self.done = state.ranges;
                self.done.insert(sequence.0, sequence.0);
                self.items_appended = Some(state.items_before);
            }
            None => {
                self.unknown += 1;
                self.done.insert(sequence.0, sequence.0);
            }
        }
    }

    /// Whether a frame is settled, or no request.
    pub(super) fn is_done(&self, sequence: Sequence) -> bool {
        self.done.contains(sequence.0)
    }

    /// Whether what was read tells everything about `segments`, the journal's.
    pub(super) fn is_complete(&self, segments: &[Sequence]) -> bool {
        let Some((first, is_state)) = self.begins else { return segments.is_empty() };
        let mut older = segments.windows(2).filter(|pair| pair[0].0 < first).peekable();
        // What is finished may not be removed yet.
        let is_finished = |pair: &[Sequence]| self.done.covers(pair[0].0, pair[1].0 - 1);
        let is_known = |pair: &[Sequence]| self.segments.contains_key(&pair[0].0) || is_finished(pair);
        older.peek().is_none() || is_state && older.all(is_known)
    }

    /// The book; `durable` is the journal's last sequence.
    pub(super) fn finish(self, durable: Sequence) -> Book {
        let mut total = Size::default();
        self.segments.values().for_each(|left| total += *left);
        let next_read = if total == Size::default() { durable.0 } else { self.done.through() } + 1;
        Book {
            segments: self.segments,
            total,
            done: self.done,
            outstanding: BTreeMap::new(),
            outstanding_bytes: 0,
            next_read,
            durable: durable.0,
            items_appended: self.items_appended.unwrap_or(0),
            unrecorded: Unrecorded::default(),
        }
    }
}

#[cfg(test)]
mod tests;
