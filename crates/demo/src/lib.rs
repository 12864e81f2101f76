//! What stands behind the CDN in `rootspan demo`: two instrumented services, a queue and a database, the traffic
//! that asks them, and the check that compares what was sent with what was traced.
//!
//! The services are instrumented as a user would do it, with the official OpenTelemetry SDK and its libraries; nothing
//! here knows rootspan's own formats. The CDN emulator, the gateway and the web UI are put around it by the binary.
//!
//! - [`scenario`]: the named faults
//! - [`telemetry`]: one tracer provider for each service
//! - [`upstream`], [`downstream`], [`queue`], [`database`]: the services
//! - [`services`]: starts and stops them together
//! - [`silent`]: an origin that never answers
//! - [`traffic`]: request classes and the mix of them
//! - [`check`]: the emulator's ledger against the traces read back

pub mod check;
pub mod database;
pub mod downstream;
pub mod queue;
pub mod scenario;
pub mod services;
pub mod silent;
pub mod telemetry;
pub mod traffic;
pub mod upstream;
