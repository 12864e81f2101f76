//! The embedded trace store: journal, queryable tail, hour-partitioned Parquet blocks, search.
//!
//! Synchronous: one writer thread, one maintenance thread; queries run on the caller's thread. Start with [`store`].

pub mod store;
