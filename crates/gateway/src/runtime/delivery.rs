//! Delivery to one exporter: takes batches from the pipelines, keeps several on the way at once, settles each.
//!
//! Queue, persistence, merging, retry and back-off of exporters over the network belong here, once for all of them.
//! The exporters of today need none: the store acknowledges when a batch is on disk, the printer when it is printed.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::pipeline::Item;
use crate::exporters::Exporter;
use crate::tasks::TaskGroup;

/// Batches that may wait for an exporter that has [`CONCURRENT_EXPORTS`] on the way.
pub(crate) const WAITING_BATCHES: usize = 256;
/// Exports on the way at once. The store's group commit wants many: everything that waits shares one sync.
const CONCURRENT_EXPORTS: usize = 512;

/// Delivers until the input is closed and empty and every export has ended.
pub(crate) async fn run(mut input: mpsc::Receiver<Item>, exporter: Arc<dyn Exporter>) {
    let mut exports = TaskGroup::new("export");
    loop {
        // Both branches are cancel-safe.
        tokio::select! {
            () = exports.ended(), if exports.len() > 0 => {}
            item = input.recv(), if exports.len() < CONCURRENT_EXPORTS => match item {
                None => break,
                Some(Item { batch, ack }) => {
                    let export = exporter.export(batch);
                    exports.start(async move { ack.settle(export.await) });
                }
            },
        }
    }
    exports.join().await;
}
