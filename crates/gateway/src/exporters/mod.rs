//! Exporters: where spans leave the gateway. An exporter delivers one batch and says what became of it; queueing,
//! retry and back-off are delivery's (`runtime/delivery/mod.rs`).

use std::fmt::Debug;
use std::pin::Pin;

use crate::ack::Refusal;
use crate::batch::Batch;
use crate::extensions::auth::Authenticators;
use crate::net::resolve::Resolver;

pub mod debug;
pub mod file;
pub mod otlp;
pub mod sending;
pub mod store;

/// What exporters over the network are given from outside.
#[derive(Debug)]
pub(crate) struct Surroundings {
    /// Looks up the names of back ends.
    pub(crate) resolver: Resolver,
    /// What `auth` refers to.
    pub(crate) authenticators: Authenticators,
}

/// What became of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Exported {
    /// The back end has it, but for so many spans that it rejected for good.
    Delivered { rejected_spans: u64 },
    /// It has not.
    Failed(Refusal),
}

impl Exported {
    /// The back end has all of it.
    pub(crate) const DELIVERED: Self = Self::Delivered { rejected_spans: 0 };
}

/// An export on its way.
pub(crate) type Export = Pin<Box<dyn Future<Output = Exported> + Send>>;

/// One place to which batches go.
pub(crate) trait Exporter: Debug + Send + Sync {
    /// Tries once to deliver a batch. The future owns all that it needs.
    fn export(&self, batch: Batch) -> Export;
}
