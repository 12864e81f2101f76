//! The one asynchronous runtime, and the signals that end it.

use anyhow::Context as _;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Starts the runtime with a worker for each core.
pub(crate) fn start() -> anyhow::Result<Runtime> {
    Builder::new_multi_thread().enable_all().thread_name("rootspan").build().context("the runtime cannot start")
}

/// SIGTERM and SIGINT. From [`StopSignal::listen`] on they no longer end the process by themselves, so that one that comes
/// while the program still starts is an orderly end, too.
#[derive(Debug)]
pub(crate) struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignal {
    /// Begins to listen. Call it within a tokio runtime, before anything is started.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be listened for")?;
        let interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be listened for")?;
        Ok(Self { terminate, interrupt })
    }

    /// Waits for either.
    pub(crate) async fn wait(&mut self) {
        // Both receivers are cancel-safe.
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
