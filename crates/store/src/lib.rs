//! The embedded trace store: journal, queryable tail, hour-partitioned Parquet blocks, search.
//!
//! Synchronous: one writer thread, one maintenance thread; queries run on the caller's thread. Start with [`store`].
//!
//! A batch goes `store` → `writer` (journal, one sync for all that wait) → `tail` (searchable at once) → `seal` →
//! [`block`](self) files and `manifest`; `maintenance` seals, expires and sets aside. A query takes a snapshot
//! (`reading`), then `search` plans, scans and summarises, or `trace` collects one trace; `identity` folds what was
//! delivered twice.
//!
//! Not here yet, and where it will be: compaction of closed hours is one more duty of `maintenance` beside sealing
//! (`block::write` merges as it seals: it takes rows of any batches); roll-ups are sections of a block beside its
//! index, written by `block::write` in the same pass.

mod block;
mod cache;
mod catalog;
mod codec;
pub mod coverage;
mod facts;
mod identity;
mod limits;
mod maintenance;
mod manifest;
mod open;
mod reading;
mod seal;
mod search;
mod shared;
pub mod store;
mod tail;
#[cfg(test)]
mod testing;
mod trace;
mod writer;
