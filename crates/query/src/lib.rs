//! What people and programs read from rootspan over HTTP: the API, the embedded user interface, and a client.
//!
//! - [`server`] binds the address and serves; [`guard`] decides who may ask at all (Host header, credentials).
//! - [`api`] is `/api/v1/…`: search, traces, names, status. It asks the store on the blocking pool, through
//!   `queries`, and never computes an analysis itself: that is `analytics`.
//! - `ui` serves the Vite build that `build.rs` embeds.
//! - [`client`] is the other end, for `rootspan search`, `rootspan trace` and the demo's check.
//! - [`answers`] holds the JSON shapes that both ends share.
//!
//! Not here yet: the APIs of other products, as base URLs to give to Grafana or Jaeger UI. They become the modules
//! `jaeger` (`/jaeger/`) and `tempo` (`/tempo/`) beside [`api`], over the same `queries`; both prefixes are reserved.
//!
//! Async ends here: below this crate everything is synchronous and has neither clock nor socket.

pub mod answers;
pub mod api;
mod cache;
pub mod client;
mod compression;
mod error;
pub mod guard;
pub mod limits;
mod loaded_trace;
mod queries;
pub mod server;
mod stream;
mod task;
#[cfg(test)]
mod testing;
mod ui;
