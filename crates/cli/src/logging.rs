//! Where the program's own logs go: standard error, so that standard output belongs to the commands' answers.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// How logs look (`service.telemetry.logs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Lines for people.
    Console,
    /// One JSON object a line.
    Json,
}

/// Starts logging at `level`; `RUST_LOG` overrides it.
pub(crate) fn start(level: &str, encoding: Encoding) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    // A second start in one process (tests) keeps the first.
    let _already_started = match encoding {
        Encoding::Console => subscriber.try_init(),
        Encoding::Json => subscriber.json().try_init(),
    };
}
