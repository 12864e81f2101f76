//! OTLP traces (opentelemetry-proto `trace/v1/trace.proto`, `collector/trace/v1/trace_service.proto`).
//!
//! [`validate`] is the only way from foreign bytes to a [`batch::TraceBatch`]; everything behind it reads through the
//! [`view`]s and does not fail. [`write`](mod@write) makes OTLP bytes; [`field`] has the numbers of all fields.

pub mod batch;
pub mod edit;
pub mod field;
pub mod json;
pub mod payload;
pub mod protobuf;
pub mod raw;
mod rebuild;
pub mod response;
mod schema;
pub mod split;
#[cfg(test)]
mod testing;
pub mod validate;
pub mod view;
pub mod write;
