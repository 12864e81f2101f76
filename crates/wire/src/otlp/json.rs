//! OTLP/JSON ⇄ protobuf (opentelemetry-proto `docs/specification.md`, "JSON Protobuf Encoding").
//!
//! Output is exactly the specification's: lowerCamelCase names, ids in hexadecimal, 64-bit integers as decimal strings,
//! enumerations as numbers, bytes as base64, default values left out. Input is as lenient as the collector: also
//! snake_case names, 64-bit integers as numbers, names of enumerations; unknown names are skipped, null is absent.

mod detect;
mod read;
mod write;

pub use detect::{is_json, signal_of};
pub use read::{InvalidJson, read_payload, read_request};
pub use write::{put_json_double, put_json_string, write_request, write_traces};

#[cfg(test)]
mod tests;
