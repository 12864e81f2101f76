//! The loop of one pipeline: a batch in, processors, a copy to each exporter. It ends when its last receiver is gone.

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::ack::{Ack, Outcome, Refusal};
use crate::batch::Batch;
use crate::ledger::{ExporterIndex, RefusalReason};
use std::time::Duration;

/// Batches that may wait for a pipeline. Their bytes are bounded by the budget; this bounds their number, and with it
/// the time that an accepted request waits: a pipeline passes on far more than this in a second.
pub(crate) const INPUT_BATCHES: usize = 1024;
/// When a sender that met a full exporter should try again.
const QUEUE_RETRY: Duration = Duration::from_secs(1);

/// A batch on its way, with the duty to settle it.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) batch: Batch,
    pub(crate) ack: Ack,
}

/// Passes batches on until the input is closed and empty.
pub(crate) async fn run(mut input: mpsc::Receiver<Item>, exporters: Vec<(ExporterIndex, mpsc::Sender<Item>)>) {
    let (indexes, outputs): (Vec<_>, Vec<_>) = exporters.into_iter().unzip();
    while let Some(item) = input.recv().await {
        fan_out(item, &indexes, &outputs);
    }
}

/// The same shared bytes to each exporter. An exporter that is full refuses its copy and holds up nobody else.
fn fan_out(item: Item, indexes: &[ExporterIndex], outputs: &[mpsc::Sender<Item>]) {
    let Item { batch, ack } = item;
    for (ack, output) in ack.fan_out(indexes).into_iter().zip(outputs) {
        match output.try_send(Item { batch: batch.clone(), ack }) {
            Ok(()) => {}
            Err(TrySendError::Full(item)) => {
                let message = "the exporter's queue is full; try again later";
                item.ack.settle(Outcome::Refused(Refusal::retry(RefusalReason::QueueFull, message, QUEUE_RETRY)));
            }
            Err(TrySendError::Closed(item)) => item.ack.settle(Outcome::Refused(Refusal::shutting_down())),
        }
    }
}
