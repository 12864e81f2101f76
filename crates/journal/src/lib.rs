//! An append-only, checksummed, crash-safe segment log, and the only door to files.
//!
//! The crate knows nothing of spans. [`directory`] is the file layer (real, in memory, fault-injecting); [`journal`] is
//! the log. The store's log and manifest, exporters' queues, dead letters and processors' state all use this one log.

pub mod directory;
pub mod journal;
