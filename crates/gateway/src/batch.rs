//! A batch on its way through the gateway: validated bytes and the reservation that pays for them.

use std::sync::Arc;

use rootspan_wire::otlp::batch::TraceBatch;

use crate::budget::{Budget, Reservation};

/// Clones share the bytes and the reservation, which is given back when the last clone is dropped: whoever holds bytes
/// of a batch holds the batch. The one exception is the store, whose tail keeps the bytes after it has answered; the
/// tail has a term of its own in the process's budget (`budget::payload_limit`).
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    traces: TraceBatch,
    _reservation: Arc<Reservation>,
}

impl Batch {
    /// `traces`, whose bytes `reservation` pays for.
    pub(crate) fn new(traces: TraceBatch, reservation: Reservation) -> Self {
        debug_assert!(traces.bytes().len() as u64 <= reservation.bytes(), "bytes are paid for before they are made");
        Self { traces, _reservation: Arc::new(reservation) }
    }

    /// All of `batches` as one; `None` if the budget has no room for it or it is too long.
    pub(crate) fn merged(batches: &[&Self], budget: &Arc<Budget>) -> Option<Self> {
        let length: usize = batches.iter().map(|batch| batch.traces.bytes().len()).sum();
        let reservation = budget.try_reserve(length as u64).ok()?;
        let traces: Vec<TraceBatch> = batches.iter().map(|batch| batch.traces.clone()).collect();
        Some(Self::new(TraceBatch::concatenate(&traces).ok()?, reservation))
    }

    /// The spans. A clone of them must not outlive the batch.
    pub(crate) const fn traces(&self) -> &TraceBatch {
        &self.traces
    }
}
