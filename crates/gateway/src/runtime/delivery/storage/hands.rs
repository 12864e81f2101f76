//! Who waits for the disk.

use std::future::Future;
use std::pin::Pin;

use crate::tasks;

/// Who waits for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hands {
    /// A thread that may block.
    Blocking,
    /// Whoever asks, at once: for a directory in memory, in a single thread.
    Inline,
    /// At once too, but the answer is there only after a while, as from a thread: for the simulation.
    #[cfg(test)]
    Slow(std::time::Duration),
}

/// Work on its way; `None`: it panicked.
pub(super) type Work<T> = Pin<Box<dyn Future<Output = Option<T>> + Send>>;

impl Hands {
    /// Begins `work`.
    pub(super) fn run<T: Send + 'static>(
        self,
        name: &'static str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Work<T> {
        match self {
            Self::Blocking => Box::pin(tasks::blocking(name, work)),
            Self::Inline => Box::pin(std::future::ready(Some(work()))),
            #[cfg(test)]
            Self::Slow(time) => {
                let done = work();
                Box::pin(async move {
                    tokio::time::sleep(time).await;
                    Some(done)
                })
            }
        }
    }
}

/// Something that is at rest, or away for work.
pub(super) enum Tool<T, R> {
    Here(T),
    Away(Work<(T, R)>),
    /// Its work panicked.
    Gone,
}

impl<T, R> Tool<T, R> {
    /// Takes it for work, if it is here. Its place says that it is gone until it is put back.
    pub(super) fn take(&mut self) -> Option<T> {
        match std::mem::replace(self, Self::Gone) {
            Self::Here(tool) => Some(tool),
            other => {
                *self = other;
                None
            }
        }
    }

    pub(super) const fn is_here(&self) -> bool {
        matches!(self, Self::Here(_))
    }

    pub(super) const fn is_away(&self) -> bool {
        matches!(self, Self::Away(_))
    }

    pub(super) const fn is_gone(&self) -> bool {
        matches!(self, Self::Gone)
    }
}
