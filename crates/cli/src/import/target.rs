//! The store that an import fills.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use rootspan_model::span::StatusCode;
use rootspan_store::coverage::Arrival;
use rootspan_store::store::{IngestError, Options, Store};
use rootspan_wire::cloudfront::observation::Observations;
use rootspan_wire::otlp::batch::TraceBatch;

use crate::app::open_folder;

/// Requests that wait for the disk at once: they share one sync.
const UNDER_WAY: usize = 8;
/// Nothing that is imported is too old for the store: how long it is kept is decided by who runs it.
const RETENTION: Duration = Duration::from_secs(100 * 365 * 86_400);
/// A block of this many spans is searched faster than several smaller ones, and nobody waits for the tail here.
const SEAL_SPANS: usize = 200_000;

/// A store with what is on its way to it.
#[derive(Debug)]
pub(super) struct Target {
    store: Store,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What was handed over, and what of it counts when it is there.
    under_way: VecDeque<(Receiver<Result<(), IngestError>>, Imported)>,
    imported: Imported,
}

/// What is in the store.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Imported {
    pub(super) spans: u64,
    pub(super) errors: u64,
    /// Start of the first, in nanoseconds since 1970.
    pub(super) oldest: u64,
    /// Start of the last.
    pub(super) newest: u64,
}

impl Target {
    pub(super) fn open(folder: &Path) -> anyhow::Result<Self> {
        let options = Options {
            retention: RETENTION,
            max_bytes: None,
            min_free_percent: 5.0,
            seal_spans: SEAL_SPANS,
            seal_after: Duration::from_secs(120),
            clock: rootspan_gateway::clock::system(),
        };
        let store = open_folder(folder, options).context(
            "if `rootspan run` has this folder open, stop it for the import, or import into another one with --data",
        )?;
        Ok(Self { store, state: Mutex::default() })
    }

    /// Takes a request; an error is that of an earlier one.
    pub(super) fn take(&self, batch: TraceBatch) -> anyhow::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let spans = Imported::of(&batch);
        let (sender, receiver) = mpsc::sync_channel(1);
        let done = move |result| drop(sender.send(result));
        self.store.ingest(batch, Box::new(done));
        state.under_way.push_back((receiver, spans));
        state.wait_for_all_but(UNDER_WAY)
    }

    /// Counts records, each once however often it is imported; an error is that of an earlier one.
    pub(super) fn count(&self, observations: Observations) -> anyhow::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (sender, receiver) = mpsc::sync_channel(1);
        let done = move |result| drop(sender.send(result));
        self.store.observe(observations, Arrival::Imported, Box::new(done));
        state.under_way.push_back((receiver, Imported::default()));
        state.wait_for_all_but(UNDER_WAY)
    }

    /// Waits for everything, makes blocks of it, and closes the store. Gives what is in the store, whatever failed then.
    pub(super) fn close(self) -> (Imported, anyhow::Result<()>) {
        let mut state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut outcome = Ok(());
        while !state.under_way.is_empty() {
            outcome = outcome.and(state.wait_for_all_but(0));
        }
        let sealed = self.store.seal().context("writing the blocks");
        let closed = self.store.close().context("closing the store");
        (state.imported, outcome.and(sealed.map(drop)).and(closed))
    }
}

impl State {
    fn wait_for_all_but(&mut self, rest: usize) -> anyhow::Result<()> {
        while self.under_way.len() > rest
            && let Some((oldest, spans)) = self.under_way.pop_front()
        {
            let result = oldest.recv().unwrap_or(Err(IngestError::Closed));
            result?;
            self.imported.add(spans);
        }
        Ok(())
    }
}

impl Imported {
    fn of(batch: &TraceBatch) -> Self {
        let mut counts = Self::default();
        for found in batch.spans() {
            let start = found.span.start.0;
            let errors = u64::from(found.span.status() == StatusCode::Error);
            counts.add(Self { spans: 1, errors, oldest: start, newest: start });
        }
        counts
    }

    const fn add(&mut self, other: Self) {
        if other.spans == 0 {
            return;
        }
        if self.spans == 0 || other.oldest < self.oldest {
            self.oldest = other.oldest;
        }
        if other.newest > self.newest {
            self.newest = other.newest;
        }
        self.spans += other.spans;
        self.errors += other.errors;
    }
}
