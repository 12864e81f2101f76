//! A batch on its way through the gateway: validated bytes of one signal and the reservation that pays for them.

use std::sync::Arc;

use bytes::Bytes;

use rootspan_wire::otlp::batch::TraceBatch;
use rootspan_wire::otlp::payload::{Payload, Signal};

use crate::budget::{Budget, Reservation};
use crate::context::ClientContext;

/// Clones share the bytes and the reservation, which is given back when the last clone is dropped: whoever holds bytes
/// of a batch holds the batch. The one exception is the store, whose tail keeps the bytes after it has answered; the
/// tail has a term of its own in the process's budget (`budget::payload_limit`).
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    payload: Payload,
    _reservation: Arc<Reservation>,
    /// Whom it comes from, as long as processors may ask.
    client: Option<Arc<ClientContext>>,
}

impl Batch {
    /// `payload`, whose bytes `reservation` pays for.
    pub(crate) fn new(payload: impl Into<Payload>, reservation: Reservation) -> Self {
        let payload = payload.into();
        debug_assert!(payload.bytes().len() as u64 <= reservation.bytes(), "bytes are paid for before they are made");
        let reservation = Arc::new(reservation);
        #[cfg(test)]
        crate::simulation::memory::watch(payload.bytes(), &reservation);
        Self { payload, _reservation: reservation, client: None }
    }

    /// All of `batches`, which are of one signal, as one; `None` if the budget has no room for it or it is too long.
    pub(crate) fn merged(batches: &[&Self], budget: &Arc<Budget>) -> Option<Self> {
        let length: usize = batches.iter().map(|batch| batch.bytes().len()).sum();
        let reservation = budget.try_reserve(length as u64).ok()?;
        let payloads: Vec<&Payload> = batches.iter().map(|batch| &batch.payload).collect();
        Some(Self::new(Payload::concatenate(&payloads).ok()?, reservation))
    }

    /// The same, from this client.
    pub(crate) fn of_client(self, client: Option<Arc<ClientContext>>) -> Self {
        Self { client, ..self }
    }

    /// Whom it comes from, if that is known and still of use.
    pub(crate) const fn client(&self) -> Option<&Arc<ClientContext>> {
        self.client.as_ref()
    }

    /// What it holds. A clone of it must not outlive the batch.
    pub(crate) const fn payload(&self) -> &Payload {
        &self.payload
    }

    /// What it tells of.
    pub(crate) const fn signal(&self) -> Signal {
        self.payload.signal()
    }

    /// The request's protobuf bytes. A clone of them must not outlive the batch.
    pub(crate) fn bytes(&self) -> &Bytes {
        self.payload.bytes()
    }

    /// Its spans, data points or log records.
    pub(crate) fn items(&self) -> u64 {
        self.payload.items() as u64
    }

    /// The spans, if it is of traces. A clone of them must not outlive the batch.
    pub(crate) const fn traces(&self) -> Option<&TraceBatch> {
        self.payload.traces()
    }
}
