//! The one asynchronous runtime, and the signals that end it.

use anyhow::Context as _;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

/// Starts the runtime with a worker for each core.
pub(crate) fn start() -> anyhow::Result<Runtime> {
    Builder::new_multi_thread().enable_all().thread_name("rootspan").build().context("the runtime cannot start")
}

/// Waits for SIGTERM or SIGINT.
pub(crate) async fn stop_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be listened for")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be listened for")?;
    // Both receivers are cancel-safe: a signal that comes later ends the process as usual.
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
