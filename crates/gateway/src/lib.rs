//! The gateway: what replaces the OpenTelemetry Collector.
//!
//! Configuration ([`config`]) → graph ([`plan`]) → what runs ([`runtime`]): receivers hand validated OTLP bytes to an
//! ingress, pipelines pass them on, exporters say what became of them, and the answer goes back to the sender. Every
//! span is in the [`ledger`], every byte in the [`budget`]. It knows the store, and nothing of queries.
//!
//! Start with [`config::load`] and [`runtime::Gateway::start`].

pub mod ack;
#[cfg(feature = "aws")]
pub mod aws;
mod batch;
pub mod budget;
pub mod clock;
pub mod config;
pub mod connectors;
mod context;
pub mod exporters;
pub mod extensions;
mod files;
pub mod follow;
pub mod fuzzing;
pub mod ledger;
pub mod net;
pub mod plan;
pub mod processors;
pub mod receivers;
pub mod runtime;
mod tasks;
mod telemetry;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
