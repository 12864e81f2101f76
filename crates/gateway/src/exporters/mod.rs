//! Exporters: where spans leave the gateway. An exporter delivers one batch and says what became of it; queueing,
//! retry and back-off are delivery's (`runtime/delivery.rs`).

use std::fmt::Debug;
use std::pin::Pin;

use crate::ack::Outcome;
use crate::batch::Batch;

pub mod debug;
pub mod store;

/// An export on its way.
pub(crate) type Export = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// One place to which batches go.
pub(crate) trait Exporter: Debug + Send + Sync {
    /// Delivers a batch. The future owns all that it needs.
    fn export(&self, batch: Batch) -> Export;
}
