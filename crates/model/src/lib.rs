//! The vocabulary of traces: ids, times, trace context, sampling, limits and the names of conventions.
//!
//! Everything here is a value: no I/O, no clock, no randomness. The crate knows nothing of encodings
//! (that is `wire`) and nothing of storage (that is `store`). Start with [`ids`] and [`time`]; the way of a context from
//! a viewer's request to the access log is [`edge_id`] → [`trace_context`] → [`sampling`] → [`log_payload`].

#![warn(missing_docs)]

pub mod b3;
pub mod conventions;
pub mod edge_id;
pub mod ids;
pub mod limits;
pub mod log_payload;
pub mod sampling;
pub mod span;
pub mod spelling;
pub mod time;
pub mod trace_context;
pub mod xray;
