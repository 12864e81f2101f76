//! What delivery tells of itself while it runs: for the metrics on :8888 and for `/debug/pipelines`.
//!
//! Each exporter has one [`DeliveryState`] for each signal that it gets, in the order of the plan's exporters
//! ([`Running::deliveries`](crate::runtime::Running::deliveries)). [`DeliveryState::snapshot`] is cheap and never waits for
//! delivery: a page or a scrape calls it as often as it likes. How many spans went where is not told here: that is the
//! ledger's.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rootspan_model::time::UnixNanos;
use rootspan_wire::otlp::payload::Signal;

use super::storage::book::Size;
use super::storage::disk::Figures;
use crate::exporters::sending::Sizer;

/// One exporter at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExporterState {
    /// Id of the exporter.
    pub id: String,
    /// What it gets.
    pub signal: Signal,
    /// How full its queue is; `None`: it has none.
    pub queue: Option<QueueFill>,
    /// Bytes of requests that wait or are on the way and are in memory.
    pub memory_bytes: u64,
    /// What is on disk; `None` without `sending_queue.storage`.
    pub disk: Option<DiskFill>,
    /// Exports on the way, those that wait for their next attempt included.
    pub sending: u64,
    /// Most of them.
    pub consumers: u64,
    /// When the oldest request that waits in memory or is on the way was taken.
    pub oldest: Option<UnixNanos>,
    /// Why the last attempt that failed did, and when. It stays when later ones succeed.
    pub last_error: Option<LastError>,
    /// Sizes of the requests that were sent.
    pub sent_items: Histogram,
    /// … and in bytes, uncompressed.
    pub sent_bytes: Histogram,
}

/// How full a queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueFill {
    /// What waits and is on the way.
    pub used: u64,
    /// Most that may.
    pub capacity: u64,
    /// What both count.
    pub sizer: Sizer,
}

/// What an exporter has on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskFill {
    /// The folder.
    pub folder: String,
    /// Requests that wait or are on the way.
    pub requests: u64,
    /// Their spans.
    pub items: u64,
    /// Their bytes.
    pub request_bytes: u64,
    /// Bytes of the queue's files, what was delivered and not removed yet included.
    pub file_bytes: u64,
    /// Requests that the back end refused for good and that are kept.
    pub dead_letters: u64,
    /// Bytes of their files.
    pub dead_letter_bytes: u64,
}

impl DiskFill {
    const fn empty(folder: String) -> Self {
        let (requests, items, request_bytes, file_bytes, dead_letters, dead_letter_bytes) = (0, 0, 0, 0, 0, 0);
        Self { folder, requests, items, request_bytes, file_bytes, dead_letters, dead_letter_bytes }
    }
}

/// A failed attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// One sentence.
    pub message: String,
    /// When.
    pub at: UnixNanos,
}

/// How many values were at most as large as each bound, and their sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    /// Upper bounds, ascending.
    pub bounds: &'static [u64],
    /// Values in each bucket, not cumulative; one more than there are bounds.
    pub buckets: Vec<u64>,
    /// All values added.
    pub sum: u64,
}

/// The collector's buckets of `otelcol_exporter_queue_batch_send_size`.
const ITEM_BOUNDS: &[u64] = &[
    10, 25, 50, 75, 100, 250, 500, 750, 1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 7_000, 8_000, 9_000, 10_000, 20_000,
    30_000, 50_000, 100_000,
];
/// The collector's buckets of `otelcol_exporter_queue_batch_send_size_bytes`.
const BYTE_BOUNDS: &[u64] = &[
    10, 25, 50, 75, 100, 250, 500, 750, 1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 7_000, 8_000, 9_000, 10_000, 20_000,
    30_000, 50_000, 100_000, 200_000, 300_000, 400_000, 500_000, 600_000, 700_000, 800_000, 900_000, 1_000_000,
    2_000_000, 3_000_000, 4_000_000, 5_000_000, 6_000_000, 7_000_000, 8_000_000, 9_000_000,
];

impl Histogram {
    /// Without values yet.
    pub(crate) const fn new(bounds: &'static [u64]) -> Self {
        Self { bounds, buckets: Vec::new(), sum: 0 }
    }

    /// One more.
    pub(crate) fn record(&mut self, value: u64) {
        self.buckets.resize(self.bounds.len() + 1, 0);
        self.buckets[self.bounds.partition_point(|bound| *bound < value)] += 1;
        self.sum += value;
    }
}

/// What one delivery keeps up to date.
#[derive(Debug)]
pub struct DeliveryState {
    id: String,
    signal: Signal,
    capacity: Option<(u64, Sizer)>,
    consumers: u64,
    used: AtomicU64,
    memory_bytes: AtomicU64,
    shared: Mutex<Shared>,
}

#[derive(Debug)]
struct Shared {
    disk: Option<DiskFill>,
    last_error: Option<LastError>,
    /// When the oldest request that waits was taken.
    oldest_waiting: Option<UnixNanos>,
    /// The same of each export on the way.
    sending: BTreeMap<u64, UnixNanos>,
    next_export: u64,
    sent_items: Histogram,
    sent_bytes: Histogram,
    trouble: Trouble,
}

/// What was said of a back end that does not take what is sent.
#[derive(Debug, Default)]
struct Trouble {
    /// When it began, if it was said and has not ended.
    since: Option<UnixNanos>,
    /// When that was said last.
    said_at: Option<UnixNanos>,
}

/// The next trouble is said after so long.
const TROUBLE_INTERVAL_NANOS: u64 = 60_000_000_000;

impl DeliveryState {
    /// The state of a delivery that has not begun.
    pub(crate) fn new(id: String, signal: Signal, capacity: Option<(u64, Sizer)>, consumers: usize) -> Arc<Self> {
        let shared = Shared {
            disk: None,
            last_error: None,
            oldest_waiting: None,
            sending: BTreeMap::new(),
            next_export: 0,
            sent_items: Histogram::new(ITEM_BOUNDS),
            sent_bytes: Histogram::new(BYTE_BOUNDS),
            trouble: Trouble::default(),
        };
        let (used, memory_bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        let consumers = consumers as u64;
        Arc::new(Self { id, signal, capacity, consumers, used, memory_bytes, shared: Mutex::new(shared) })
    }

    /// Everything at this moment.
    #[must_use]
    pub fn snapshot(&self) -> ExporterState {
        let shared = self.shared();
        let used = self.used.load(Ordering::Relaxed);
        let oldest_sending = shared.sending.values().min().copied();
        ExporterState {
            id: self.id.clone(),
            signal: self.signal,
            queue: self.capacity.map(|(capacity, sizer)| QueueFill { used, capacity, sizer }),
            memory_bytes: self.memory_bytes.load(Ordering::Relaxed),
            disk: shared.disk.clone(),
            sending: shared.sending.len() as u64,
            consumers: self.consumers,
            oldest: oldest_sending.into_iter().chain(shared.oldest_waiting).min(),
            last_error: shared.last_error.clone(),
            sent_items: shared.sent_items.clone(),
            sent_bytes: shared.sent_bytes.clone(),
        }
    }

    /// What waits and is on the way, by the queue's sizer; bytes of it in memory; when the oldest that waits was taken.
    pub(super) fn set_waiting(&self, used: u64, memory_bytes: u64, oldest: Option<UnixNanos>) {
        self.used.store(used, Ordering::Relaxed);
        self.memory_bytes.store(memory_bytes, Ordering::Relaxed);
        self.shared().oldest_waiting = oldest;
    }

    /// What is on disk.
    pub(super) fn set_disk(&self, folder: &str, size: Size, figures: Figures) {
        let mut shared = self.shared();
        let disk = shared.disk.get_or_insert_with(|| DiskFill::empty(folder.to_owned()));
        (disk.requests, disk.items, disk.request_bytes) = (size.requests, size.items, size.bytes);
        disk.file_bytes = figures.queue_bytes;
        (disk.dead_letters, disk.dead_letter_bytes) = (figures.letters, figures.letter_bytes);
    }

    /// An export begins, the oldest of whose requests was taken at `oldest`; it ends when this is dropped.
    pub(super) fn sending(self: &Arc<Self>, oldest: UnixNanos) -> Sending {
        let mut shared = self.shared();
        let number = shared.next_export;
        shared.next_export += 1;
        shared.sending.insert(number, oldest);
        drop(shared);
        Sending { state: Arc::clone(self), number }
    }

    /// A request is sent for the first time.
    pub(super) fn sent(&self, items: u64, bytes: u64) {
        let mut shared = self.shared();
        shared.sent_items.record(items);
        shared.sent_bytes.record(bytes);
    }

    /// An attempt failed.
    pub(super) fn failed(&self, message: &str, at: UnixNanos) {
        self.shared().last_error = Some(LastError { message: message.to_owned(), at });
    }

    /// An attempt failed that is repeated. Said once when it begins, and of a back end that comes and goes once a minute.
    pub(super) fn in_trouble(&self, message: &str, at: UnixNanos) {
        let mut shared = self.shared();
        let was_said = shared.trouble.said_at.is_some_and(|said| at.0.saturating_sub(said.0) < TROUBLE_INTERVAL_NANOS);
        if shared.trouble.since.is_some() || was_said {
            return;
        }
        shared.trouble = Trouble { since: Some(at), said_at: Some(at) };
        drop(shared);
        tracing::warn!(
            exporter = self.id,
            signal = self.signal.name(),
            reason = message,
            "the back end does not take what is sent; it is tried again"
        );
    }

    /// An attempt succeeded. What ended is said if its beginning was.
    pub(super) fn well(&self, at: UnixNanos) {
        let since = self.shared().trouble.since.take();
        if let Some(since) = since {
            let seconds = at.0.saturating_sub(since.0) / 1_000_000_000;
            tracing::info!(
                exporter = self.id,
                signal = self.signal.name(),
                seconds,
                "the back end takes what is sent again"
            );
        }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        // Each change is one assignment: there is nothing half-done behind a poisoned lock.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An export on its way.
#[derive(Debug)]
pub(super) struct Sending {
    state: Arc<DeliveryState>,
    number: u64,
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.state.shared().sending.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_tells_what_was_last_said() {
        let state = DeliveryState::new("otlp".to_owned(), Signal::Traces, Some((10, Sizer::Items)), 2);
        state.set_waiting(7, 700, Some(UnixNanos(5)));
        let sending = state.sending(UnixNanos(3));
        state.sent(25, 2_000);
        state.sent(26, 10_000_000);
        state.failed("busy", UnixNanos(9));
        let snapshot = state.snapshot();
        assert_eq!(snapshot.queue, Some(QueueFill { used: 7, capacity: 10, sizer: Sizer::Items }));
        assert_eq!((snapshot.memory_bytes, snapshot.sending, snapshot.oldest), (700, 1, Some(UnixNanos(3))));
        assert_eq!(snapshot.last_error, Some(LastError { message: "busy".to_owned(), at: UnixNanos(9) }));
        // 25 is in the bucket that ends with 25, 26 in the next.
        assert_eq!(
            (snapshot.sent_items.buckets[1], snapshot.sent_items.buckets[2], snapshot.sent_items.sum),
            (1, 1, 51)
        );
        assert_eq!(snapshot.sent_bytes.buckets.last(), Some(&1), "longer than every bound");
        drop(sending);
        assert_eq!(state.snapshot().oldest, Some(UnixNanos(5)));
    }
}
