//! The CDN's side of rootspan: builds the edge functions, and runs them in a local CloudFront.
//!
//! - [`settings`]: what a customer writes in `edge.yaml`.
//! - [`build`]: `rootspan edge build`, from settings to the code that is pasted into CloudFront.
//! - [`emulator`]: `rootspan edge emulate`, a CloudFront that runs that very code, caches, forwards to an origin, writes
//!   logs in all of CloudFront's forms and delivers them.
//!
//! The functions' source is JavaScript in `edge-functions/`; it is embedded here.

pub mod build;
pub mod emulator;
pub mod settings;
