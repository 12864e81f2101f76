//! Bytes to meaning and back, without I/O.
//!
//! OTLP protobuf bytes are rootspan's internal form (see `ARCHITECTURE.md`): [`otlp`] has the views, the validation
//! and the writers; every other format is turned into it once, on entry. [`firehose`] opens the envelope in which
//! [`cloudfront`]'s access-log records come; [`nginx`] makes spans of what nginx knows of a request.

#![warn(missing_docs)]

pub mod cloudfront;
pub mod firehose;
pub mod nginx;
pub mod otlp;
