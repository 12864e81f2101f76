//! `forward`: what comes out of some pipelines goes into others of the same signal.
//!
//! ```yaml
//! connectors: {forward: }
//! service:
//!   pipelines:
//!     traces/in: {receivers: [otlp], exporters: [forward]}
//!     traces/out: {receivers: [forward], exporters: [otlp]}
//! ```

use crate::config;

config! {
    /// Hands on what comes out of some pipelines to others of the same signal, a copy to each.
    pub struct ForwardConfig {}
}
