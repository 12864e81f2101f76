//! The vocabulary of traces: ids, times, trace context, sampling, limits and the names of conventions.
//!
//! Everything here is a value: no I/O, no clock, no randomness. The crate knows nothing of encodings
//! (that is `wire`) and nothing of storage (that is `store`). Start with [`ids`] and [`time`].

pub mod ids;
pub mod span;
pub mod time;
