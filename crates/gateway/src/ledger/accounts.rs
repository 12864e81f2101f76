//! The accounts: how many spans of one component went where.

use rootspan_wire::otlp::payload::Signal;

use super::{DropReason, RefusalReason};

/// Spans by reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByReason<const N: usize>([u64; N]);

impl<const N: usize> ByReason<N> {
    pub(super) const NONE: Self = Self([0; N]);

    /// The number at an enumeration's index.
    pub(super) fn add(&mut self, index: usize, spans: u64) {
        self.0[index] += spans;
    }

    /// All reasons together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// Refused spans by reason.
pub type Refused = ByReason<{ RefusalReason::ALL.len() }>;
/// Dropped spans by reason.
pub type Dropped = ByReason<{ DropReason::ALL.len() }>;

impl Refused {
    /// The number for one reason.
    #[must_use]
    pub const fn of(&self, reason: RefusalReason) -> u64 {
        self.0[reason as usize]
    }
}

impl Dropped {
    /// The number for one reason.
    #[must_use]
    pub const fn of(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }
}

/// One receiver's account, in spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverAccount {
    /// Its id.
    pub id: String,
    /// What is counted; a receiver of several signals has an account for each.
    pub signal: Signal,
    /// Spans in requests that could be read.
    pub received: u64,
    /// Spans whose sender was told that they are accepted.
    pub accepted: u64,
    /// Spans left out of a request because they are not valid; the sender was told.
    pub rejected: u64,
    /// Spans turned away; the sender was told.
    pub refused: Refused,
    /// Spans whose sender waits for an answer.
    pub pending: u64,
    /// Requests turned away before their spans could be counted. Not part of the sum.
    pub refused_requests: Refused,
}

/// One pipeline's account, in spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineAccount {
    /// Its id.
    pub id: String,
    /// What is counted.
    pub signal: Signal,
    /// Entered.
    pub entered: u64,
    /// Removed by a filter that somebody wrote.
    pub filtered: u64,
    /// Not sampled.
    pub sampled_out: u64,
    /// Lost.
    pub dropped: Dropped,
    /// Turned away.
    pub refused: Refused,
    /// Handed to the exporters.
    pub out: u64,
    /// In the pipeline now.
    pub held: u64,
}

/// One exporter's account, in spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExporterAccount {
    /// Its id.
    pub id: String,
    /// What is counted; an exporter of several signals has an account for each.
    pub signal: Signal,
    /// Taken from pipelines.
    pub enqueued: u64,
    /// Found on disk at start.
    pub recovered: u64,
    /// Delivered as a part of a request that is sent again as a whole, because it was not delivered to its end.
    pub repeated: u64,
    /// Taken by the back end.
    pub delivered: u64,
    /// Lost.
    pub dropped: Dropped,
    /// Turned away.
    pub refused: Refused,
    /// Waiting or being delivered now.
    pub queued: u64,
    /// Those of them that are on disk: they outlive this process.
    pub stored: u64,
}

/// The owner of an account and what it counts.
pub type Named = (String, Signal);

impl ReceiverAccount {
    pub(crate) const fn new(id: String, signal: Signal) -> Self {
        let (refused, refused_requests) = (ByReason::NONE, ByReason::NONE);
        Self { id, signal, received: 0, accepted: 0, rejected: 0, refused, pending: 0, refused_requests }
    }
}

impl PipelineAccount {
    pub(super) const fn new(id: String, signal: Signal) -> Self {
        let (dropped, refused) = (ByReason::NONE, ByReason::NONE);
        Self { id, signal, entered: 0, filtered: 0, sampled_out: 0, dropped, refused, out: 0, held: 0 }
    }
}

impl ExporterAccount {
    pub(super) const fn new(id: String, signal: Signal) -> Self {
        let (dropped, refused) = (ByReason::NONE, ByReason::NONE);
        Self {
            id,
            signal,
            enqueued: 0,
            recovered: 0,
            repeated: 0,
            delivered: 0,
            dropped,
            refused,
            queued: 0,
            stored: 0,
        }
    }
}
