//! OTLP traces (opentelemetry-proto `trace/v1/trace.proto`, `collector/trace/v1/trace_service.proto`).
//!
//! [`validate`] is the only way to a [`TraceBatch`]; everything behind it reads through the views and does not fail.

pub mod batch;
pub mod validate;
pub mod view;
