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

    /// Waits for either. Cancel-safe.
    pub(crate) async fn wait(&mut self) {
        // Both receivers are cancel-safe.
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// SIGHUP: read the configuration again. From [`ReloadSignal::listen`] on it no longer ends the process.
#[derive(Debug)]
pub(crate) struct ReloadSignal {
    hang_up: Signal,
}

impl ReloadSignal {
    /// Begins to listen. Call it within a tokio runtime.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        Ok(Self { hang_up: signal(SignalKind::hangup()).context("SIGHUP cannot be listened for")? })
    }

    /// Waits for it. Cancel-safe.
    pub(crate) async fn wait(&mut self) {
        self.hang_up.recv().await;
    }
}
