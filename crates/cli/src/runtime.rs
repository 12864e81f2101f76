//! The one asynchronous runtime, and the signals that end it.

use anyhow::Context as _;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Buffers up to this length are taken from memory that the process has, not mapped and unmapped each time: the longest
/// gRPC message of the default configuration, or what `batch` merges by default (8,192 spans), is shorter.
const KEPT_BYTES: usize = 8 << 20;

/// Starts the runtime with a worker for each core.
pub(crate) fn start() -> anyhow::Result<Runtime> {
    keep_buffers();
    Builder::new_multi_thread().enable_all().thread_name("rootspan").build().context("the runtime cannot start")
}

/// glibc maps what is longer than 128 KiB until a mapped block is freed, then keeps blocks of that length, and gives
/// memory back only from twice that length on (mallopt(3), `M_MMAP_THRESHOLD`). One block, never written to, does it;
/// without it every request's buffers are zeroed by the kernel page by page.
fn keep_buffers() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(KEPT_BYTES)));
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
