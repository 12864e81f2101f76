//! The module in a real nginx: requests go in, what the upstream hears and what the collector gets is compared.
//!
//! `cargo xtask test nginx` builds the module for the installed nginx first. Every test has a server of its own, on a port that the
//! system chose.

mod clients;
mod collector;
mod decisions;
mod documents;
mod exporting;
mod h2c;
mod hops;
mod http2;
mod robustness;
mod server;
mod spans;
mod upstream;
mod wait;
