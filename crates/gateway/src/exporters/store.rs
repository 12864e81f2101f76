//! `store`: the embedded store. No queue: a batch is acknowledged when it is on disk.
//!
//! ```yaml
//! exporters:
//!   store:
//!     directory: ./rootspan-data
//!     retention: 72h
//!     max_bytes: 10GiB
//!     min_free_percent: 5
//!     seal_spans: 50000
//!     seal_after: 2m
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rootspan_store::store::{IngestError, Store};
use tokio::sync::oneshot;

use super::{Export, Exported, Exporter};
use crate::ack::Refusal;
use crate::batch::Batch;
use crate::config;
use crate::config::values::ByteSize;
use crate::ledger::RefusalReason;

/// When a sender should try again after the writer's queue was full: it drains with every sync.
const BUSY_RETRY: Duration = Duration::from_millis(200);
/// … after the disk failed or is full: somebody has to do something about it.
const DISK_RETRY: Duration = Duration::from_secs(5);

config! {
    /// The embedded store. The same `directory` in two exporters is one store.
    pub struct StoreConfig {
        /// Folder of the store; created if it is missing.
        directory: String = "./rootspan-data",
        /// Spans that began longer ago are removed, whole hours at a time.
        retention: Duration = "72h",
        /// Most bytes on disk; the oldest hours go first.
        max_bytes: ByteSize = "10GiB",
        /// Spans are refused while the disk has less free space than this.
        min_free_percent: f64 = "5" [percent],
        /// Spans wait in the journal, where they are found too, until they are this many; then they become blocks.
        seal_spans: u64 = "50000",
        /// … or until the first of them has waited so long.
        seal_after: Duration = "2m",
    }
}

/// The exporter.
#[derive(Debug)]
pub(crate) struct StoreExporter {
    store: Store,
    refusing: Arc<Refusing>,
}

impl StoreExporter {
    pub(crate) fn new(store: Store, directory: String) -> Self {
        Self { store, refusing: Arc::new(Refusing { directory, is_refusing: AtomicBool::new(false) }) }
    }
}

impl Exporter for StoreExporter {
    fn export(&self, batch: Batch) -> Export {
        let Some(traces) = batch.traces().cloned() else {
            let message = "the store keeps traces only";
            return Box::pin(std::future::ready(Exported::Failed(Refusal::never(
                RefusalReason::RejectedByBackend,
                message,
            ))));
        };
        let (done, answer) = oneshot::channel();
        // The gateway may be gone when the store answers; nobody waits then.
        self.store.ingest(traces, Box::new(move |result| drop(done.send(result))));
        let refusing = Arc::clone(&self.refusing);
        Box::pin(async move {
            let answer = answer.await;
            // From here on the bytes are the tail's, which has its own part of the memory.
            drop(batch);
            if let Ok(result) = &answer
                && let Some(edge) = refusing.observe(result)
            {
                refusing.log(&edge);
            }
            match answer {
                Ok(Ok(())) => Exported::DELIVERED,
                Ok(Err(error)) => Exported::Failed(refusal(&error)),
                Err(_) => Exported::Failed(refusal(&IngestError::Closed)),
            }
        })
    }
}

/// Whether the disk lets nothing in: said in the log when it begins and when it ends, not with each request.
#[derive(Debug)]
struct Refusing {
    directory: String,
    is_refusing: AtomicBool,
}

/// What has changed.
#[derive(Debug, PartialEq, Eq)]
enum Edge {
    /// With the reason and what to do about it.
    Begins {
        reason: String,
        hint: &'static str,
    },
    Ends,
}

impl Refusing {
    fn observe(&self, result: &Result<(), IngestError>) -> Option<Edge> {
        let hint = match result {
            Ok(()) => return self.is_refusing.swap(false, Ordering::Relaxed).then_some(Edge::Ends),
            Err(IngestError::DiskFull(_)) => {
                "make space on the disk, or lower the store's max_bytes or retention; spans are taken again by themselves"
            }
            Err(IngestError::Io(_)) => "look after the disk; spans are taken again by themselves",
            // The sender's or our own doing: says nothing about the disk.
            Err(IngestError::Busy(_) | IngestError::Closed | IngestError::TooLong(_)) => return None,
        };
        let reason = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
        (!self.is_refusing.swap(true, Ordering::Relaxed)).then_some(Edge::Begins { reason, hint })
    }

    fn log(&self, edge: &Edge) {
        let directory = self.directory.as_str();
        match edge {
            Edge::Begins { reason, hint } => tracing::error!(directory, reason, hint, "the store refuses spans"),
            Edge::Ends => tracing::info!(directory, "the store takes spans again"),
        }
    }
}

/// What a sender is told.
pub(crate) fn refusal(error: &IngestError) -> Refusal {
    let message = error.to_string();
    match error {
        IngestError::Busy(_) => Refusal::retry(RefusalReason::QueueFull, message, BUSY_RETRY),
        IngestError::DiskFull(_) => Refusal::retry(RefusalReason::DiskFull, message, DISK_RETRY),
        IngestError::Io(_) => Refusal::retry(RefusalReason::Unavailable, message, DISK_RETRY),
        IngestError::Closed => Refusal::shutting_down(),
        IngestError::TooLong(_) => Refusal::never(RefusalReason::RejectedByBackend, message),
    }
}

#[cfg(test)]
mod tests;
