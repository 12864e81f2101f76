//! The bounds of one query, checked in every loop that grows with the data.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rootspan_model::time::UnixNanos;

use crate::store::{Clock, QueryError, QueryLimits};

/// One query's deadline, byte budget and cancel flag.
pub(crate) struct Guard {
    clock: Clock,
    started: UnixNanos,
    deadline: Duration,
    budget: u64,
    bytes: Cell<u64>,
    lifted: Cell<bool>,
    cancel: Arc<AtomicBool>,
}

/// Why a part of a query stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The query as a whole must stop.
    Limit(QueryError),
    /// One block cannot be read; the rest can.
    Block(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Block(error)
    }
}

impl From<QueryError> for Stop {
    fn from(error: QueryError) -> Self {
        Self::Limit(error)
    }
}

impl Guard {
    pub(crate) fn new(clock: &Clock, limits: &QueryLimits) -> Self {
        Self {
            clock: Arc::clone(clock),
            started: clock(),
            deadline: limits.deadline,
            budget: limits.bytes,
            bytes: Cell::new(0),
            lifted: Cell::new(false),
            cancel: Arc::clone(&limits.cancel),
        }
    }

    /// Whether the query may go on.
    pub(crate) fn check(&self) -> Result<(), QueryError> {
        if self.lifted.get() {
            return Ok(());
        }
        if self.cancel.load(Ordering::Relaxed) {
            return Err(QueryError::Cancelled);
        }
        let elapsed = Duration::from_nanos((self.clock)().nanos_since(self.started));
        if elapsed > self.deadline {
            return Err(QueryError::Deadline(self.deadline));
        }
        Ok(())
    }

    /// No more limits: for the bounded work of answering with what was found before one was reached.
    pub(crate) fn lift(&self) {
        self.lifted.set(true);
    }

    /// Accounts for bytes that are about to be read.
    pub(crate) fn charge(&self, bytes: u64) -> Result<(), QueryError> {
        let used = self.bytes.get().saturating_add(bytes);
        self.bytes.set(used);
        if used > self.budget && !self.lifted.get() {
            return Err(QueryError::Budget(self.budget));
        }
        self.check()
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
