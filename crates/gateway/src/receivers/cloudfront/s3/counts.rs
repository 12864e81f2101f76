//! What became of objects and messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::telemetry::metrics::{Metric, RecordCounts};

/// What can become of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ObjectOutcome {
    /// All of its spans are acknowledged.
    Read,
    /// The same, up to where it cannot be read on: not a log, or damaged.
    Damaged,
    /// It does not exist any more.
    Gone,
    /// Its spans were not taken; it is read again.
    Refused,
    /// It could not be fetched; it is tried again.
    Failed,
}

/// What can become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MessageOutcome {
    /// Its objects are read, or it is none of ours: deleted.
    Done,
    /// It stays in the queue and comes again.
    Left,
    /// It came too often without being of any use: deleted.
    GivenUp,
}

impl ObjectOutcome {
    const ALL: [Self; 5] = [Self::Read, Self::Damaged, Self::Gone, Self::Refused, Self::Failed];

    const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Damaged => "damaged",
            Self::Gone => "gone",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

impl MessageOutcome {
    const ALL: [Self; 3] = [Self::Done, Self::Left, Self::GivenUp];

    const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Left => "left",
            Self::GivenUp => "given_up",
        }
    }
}

/// The numbers.
#[derive(Debug, Default)]
pub(super) struct Counts {
    objects: [AtomicU64; ObjectOutcome::ALL.len()],
    messages: [AtomicU64; MessageOutcome::ALL.len()],
    bytes: AtomicU64,
    lag_seconds: AtomicU64,
    has_bad: AtomicBool,
}

impl Counts {
    /// Whether nobody was told of bad records before.
    pub(super) fn is_first_bad(&self) -> bool {
        !self.has_bad.swap(true, Ordering::Relaxed)
    }

    /// An object's end.
    pub(super) fn object(&self, outcome: ObjectOutcome) {
        self.objects[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A message's end.
    pub(super) fn message(&self, outcome: MessageOutcome) {
        self.messages[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes that came from the bucket.
    pub(super) fn bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// How old the object was that was read last.
    pub(super) fn lag(&self, seconds: u64) {
        self.lag_seconds.store(seconds, Ordering::Relaxed);
    }

    /// For the metrics page.
    pub(super) fn metrics(self: &Arc<Self>) -> Vec<(Metric, RecordCounts)> {
        let of = |atomic: &AtomicU64| atomic.load(Ordering::Relaxed);
        let counts = || Arc::clone(self);
        let (objects, messages, bytes, lag) = (counts(), counts(), counts(), counts());
        let objects = move || ObjectOutcome::ALL.map(|it| (it.name(), of(&objects.objects[it as usize]))).to_vec();
        let messages = move || MessageOutcome::ALL.map(|it| (it.name(), of(&messages.messages[it as usize]))).to_vec();
        vec![
            (Metric::CloudFrontObjects, Arc::new(objects)),
            (Metric::CloudFrontMessages, Arc::new(messages)),
            (Metric::CloudFrontObjectBytes, Arc::new(move || vec![("", of(&bytes.bytes))])),
            (Metric::CloudFrontObjectLag, Arc::new(move || vec![("", of(&lag.lag_seconds))])),
        ]
    }
}
