//! Traces what goes through nginx: a dynamic module with the directives and variables of nginx's own `ngx_otel_module`.
//!
//! The way of a request: [`ffi`] is called by nginx and calls [`handler`]; before the request is served, [`context`]
//! reads the headers that it came with and says which go on; when it is logged, [`rootspan_wire::nginx::span`] writes its spans as OTLP into the
//! worker's [`export::Exporter`], whose thread sends them. [`config`] holds what the directives said.
//!
//! `unsafe` is in [`ffi`] alone. Nothing that belongs to nginx is touched from the export thread.

#![warn(missing_docs)]

mod config;
mod context;
mod export;
#[expect(unsafe_code, reason = "nginx is C; this is the one place that talks to it")]
mod ffi;
mod handler;
mod ids;
