//! Receivers: where spans enter. A receiver listens, caps, decompresses under the byte budget, and hands a batch to
//! its ingress; it maps the answer to its protocol and knows nothing else of the gateway.

pub mod cloudfront;
pub mod nginxlog;
pub mod otlp;
pub mod otlpjsonfile;
