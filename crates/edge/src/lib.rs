//! The CDN's side of rootspan: builds the edge functions, and runs them in a local CloudFront.
//!
//! - [`settings`]: what a customer writes in `edge.yaml`.
//! - [`build`]: `rootspan edge build`, from settings to the code that is pasted into CloudFront.
//! - [`emulator`]: `rootspan edge emulate`, a CloudFront that runs that very code, caches, forwards to one origin, writes
//!   access-log records and delivers them as Firehose does.
//!
//! The functions' source is JavaScript in `edge-functions/`; it is embedded here. Only viewer-request exists yet.

pub mod build;
pub mod emulator;
pub mod settings;
