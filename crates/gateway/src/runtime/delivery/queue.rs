//! What waits for delivery, in order, and how much there may be.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use super::{Limit, Merging, Waiting};
use crate::batch::Batch;
use crate::exporters::sending::Sizer;

/// Batches that wait.
#[derive(Debug)]
pub(super) struct Queue {
    limit: Option<Limit>,
    merging: Option<Merging>,
    waiting: VecDeque<Waiting>,
    /// What waits, by the sizer of merging.
    mergeable: u64,
    /// Bytes of what waits.
    bytes: u64,
    /// What waits or is on the way, by the sizer of the limit.
    used: Arc<AtomicU64>,
}

/// The part of the limit that one batch takes, until it is settled.
#[derive(Debug)]
pub(super) struct Room {
    used: Arc<AtomicU64>,
    size: u64,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.used.fetch_sub(self.size, Ordering::AcqRel);
    }
}

fn size(sizer: Sizer, batch: &Batch) -> u64 {
    match sizer {
        Sizer::Requests => 1,
        Sizer::Items => batch.items(),
        Sizer::Bytes => batch.bytes().len() as u64,
    }
}

impl Queue {
    pub(super) fn new(limit: Option<Limit>, merging: Option<Merging>) -> Self {
        Self { limit, merging, waiting: VecDeque::new(), mergeable: 0, bytes: 0, used: Arc::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Room for a batch; `None` if the queue is full. One that is longer than an empty queue, or that waited for room,
    /// is taken.
    pub(super) fn room_for(&self, batch: &Batch) -> Option<Room> {
        let size = self.limit.map_or(0, |limit| size(limit.sizer, batch));
        let used = self.used.load(Ordering::Acquire);
        let is_full = self.limit.is_some_and(|limit| used > 0 && !limit.blocks && used + size > limit.size);
        if is_full {
            return None;
        }
        self.used.fetch_add(size, Ordering::AcqRel);
        Some(Room { used: Arc::clone(&self.used), size })
    }

    /// What waits or is on the way, by the sizer of the limit.
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Acquire)
    }

    /// Bytes of what waits.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The oldest that waits.
    pub(super) fn oldest(&self) -> Option<&Waiting> {
        self.waiting.front()
    }

    /// Lets go of everything that waits.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        (self.mergeable, self.bytes) = (0, 0);
    }

    pub(super) fn push(&mut self, waiting: Waiting) {
        self.mergeable += self.merged_size(&waiting);
        self.bytes += waiting.batch.bytes().len() as u64;
        self.waiting.push_back(waiting);
    }

    /// When the oldest has waited long enough to be merged.
    pub(super) fn due(&self) -> Option<Instant> {
        let merging = self.merging?;
        self.waiting.front().map(|oldest| oldest.since + merging.timeout)
    }

    /// What is to be sent now, together; at the end, everything is.
    pub(super) fn take_ready(&mut self, now: Instant, at_end: bool) -> Option<Vec<Waiting>> {
        let Some(merging) = self.merging else { return self.pop().map(|waiting| vec![waiting]) };
        let is_due = self.due()? <= now;
        if !is_due && !at_end && self.mergeable < merging.min_size {
            return None;
        }
        let mut group = Vec::new();
        let mut sum = 0;
        while let Some(next) = self.waiting.front() {
            let size = self.merged_size(next);
            let is_too_long = merging.max_size > 0 && sum + size > merging.max_size;
            let is_enough = sum >= merging.min_size;
            if !group.is_empty() && (is_too_long || is_enough) {
                break;
            }
            sum += size;
            group.extend(self.pop());
        }
        self.mergeable -= sum;
        Some(group)
    }

    fn pop(&mut self) -> Option<Waiting> {
        let waiting = self.waiting.pop_front()?;
        self.bytes -= waiting.batch.bytes().len() as u64;
        Some(waiting)
    }

    fn merged_size(&self, waiting: &Waiting) -> u64 {
        self.merging.map_or(0, |merging| size(merging.sizer, &waiting.batch))
    }
}
