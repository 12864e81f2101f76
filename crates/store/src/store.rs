//! The store's public face.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rootspan_journal::directory::Directory;
use rootspan_model::ids::TraceId;
use rootspan_model::time::UnixNanos;
use rootspan_traceql::ast::Query;
use rootspan_wire::otlp::batch::TraceBatch;

use crate::limits::Guard;
use crate::maintenance::{Maintenance, Work};
use crate::reading::Reading;
use crate::shared::Shared;
use crate::writer::{Command, Content, Pending, QUEUE_BATCHES, Writer};
use crate::{open, search, trace};

/// Tells the time; the store has no clock of its own.
pub type Clock = Arc<dyn Fn() -> UnixNanos + Send + Sync>;

/// Settings.
#[derive(Clone)]
pub struct Options {
    /// Spans older than this are removed, whole hours at a time.
    pub retention: Duration,
    /// Most bytes on disk, journal and sidecars included; the oldest hours go first. Looked at after every seal, so what
    /// is written between two seals comes on top. `None`: no limit.
    pub max_bytes: Option<u64>,
    /// Ingest is refused while the volume has less than this share of free space, in percent. Default 5.
    pub min_free_percent: f64,
    /// The tail is sealed when it holds this many spans. Default 50,000.
    pub seal_spans: usize,
    /// … or when its oldest span has been in it this long. Default 2 min.
    pub seal_after: Duration,
    /// The time.
    pub clock: Clock,
}

/// What opening found and repaired.
#[derive(Clone, Debug, Default)]
pub struct OpenReport {
    /// Spans replayed from the journal into the tail.
    pub replayed_spans: u64,
    /// One sentence for everything set aside or cut.
    pub repairs: Vec<String>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("retention", &self.retention)
            .field("max_bytes", &self.max_bytes)
            .field("min_free_percent", &self.min_free_percent)
            .field("seal_spans", &self.seal_spans)
            .field("seal_after", &self.seal_after)
            .finish_non_exhaustive()
    }
}

/// A seal is work for the whole of a core; who waits for an acknowledgement or an answer comes first.
const MAINTENANCE_NICENESS: i32 = 5;

/// A handle; clones share the store. When the last one goes without [`Store::close`], what is in the tail stays in
/// the journal.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    work: Arc<Work>,
    commands: Mutex<Option<SyncSender<Command>>>,
    waiting: Arc<AtomicUsize>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Called once, on the writer thread, when the batch is durable and searchable, or was refused.
pub type Done = Box<dyn FnOnce(Result<(), IngestError>) + Send>;

impl Store {
    /// Opens or creates the store and starts its threads.
    ///
    /// # Errors
    /// If another process has it, or its folder or journals cannot be used.
    pub fn open(directory: Arc<dyn Directory>, options: Options) -> Result<(Self, OpenReport), OpenError> {
        let lock = directory.lock().map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => OpenError::Locked,
            _ => OpenError::Folder { path: ".".to_owned(), operation: "locked", source },
        })?;
        let opened = open::open(directory, options)?;
        let shared = Arc::new(opened.shared);
        let work = Arc::new(Work::default());
        let (sender, commands) = sync_channel(QUEUE_BATCHES);
        let writer = Writer {
            shared: Arc::clone(&shared),
            journal: opened.journal,
            work: Arc::clone(&work),
            seen: opened.seen,
            commands,
        };
        let maintenance = Maintenance {
            shared: Arc::clone(&shared),
            work: Arc::clone(&work),
            manifest: opened.manifest,
            next_id: opened.next_id,
            applied_through: opened.applied_through,
        };
        // The folder is free for others when both threads have ended, however that comes about.
        let of_writer: Arc<dyn Send + Sync> = Arc::from(lock);
        let of_maintenance = Arc::clone(&of_writer);
        let run_writer = move || {
            writer.run();
            drop(of_writer);
        };
        let run_maintenance = move || {
            // Linux keeps niceness by thread. Where it is refused, seals compete as before.
            let _niceness = rustix::process::nice(MAINTENANCE_NICENESS);
            maintenance.run();
            drop(of_maintenance);
        };
        let threads = vec![spawn("store-writer", run_writer)?, spawn("store-maintenance", run_maintenance)?];
        let inner = Inner {
            shared,
            work,
            commands: Mutex::new(Some(sender)),
            waiting: Arc::default(),
            threads: Mutex::new(threads),
        };
        Ok((Self { inner: Arc::new(inner) }, opened.report))
    }

    /// Hands a batch to the writer. `done` is called exactly once; with [`IngestError::Busy`] at once if the writer's
    /// bounded queue is full. Everything waiting is committed by one sync.
    pub fn ingest(&self, batch: TraceBatch, done: Done) {
        self.hand_over(Content::Spans(batch), done);
    }

    pub(crate) fn hand_over(&self, content: Content, done: Done) {
        let pending = Pending::new(content, done, &self.inner.waiting);
        let Some(commands) = self.commands() else { return pending.settle(Err(IngestError::Closed)) };
        match commands.try_send(Command::Write(pending)) {
            Ok(()) => {}
            Err(TrySendError::Full(Command::Write(pending))) => {
                pending.settle(Err(IngestError::Busy(self.inner.waiting.load(Ordering::Relaxed))));
            }
            // Dropping a command answers it.
            Err(TrySendError::Disconnected(_) | TrySendError::Full(_)) => {}
        }
    }

    /// Everything known of one trace as one batch, or `None`.
    ///
    /// # Errors
    /// If a limit was reached, or the disk failed.
    pub fn trace(&self, id: &TraceId, limits: &QueryLimits) -> Result<Option<StoredTrace>, QueryError> {
        let guard = Guard::new(&self.inner.shared.options.clock, limits);
        trace::trace(&self.reading(&guard), id)
    }

    /// Traces with a matching span, newest matching start first (DESIGN: order and cursor = latest matching start, trace id).
    ///
    /// # Errors
    /// If the query cannot be evaluated, a limit was reached before anything was found, or the caller cancelled.
    pub fn search(&self, request: &SearchRequest, limits: &QueryLimits) -> Result<SearchPage, QueryError> {
        let guard = Guard::new(&self.inner.shared.options.clock, limits);
        search::search(&self.reading(&guard), request)
    }

    /// One sentence if damaged blocks are set aside, so that a trace that is not found may have been in one of them.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        self.inner.shared.missing(None, None)
    }

    /// Service names, sorted.
    #[must_use]
    pub fn services(&self) -> Vec<String> {
        self.inner.shared.services().into_iter().collect()
    }

    /// Span names of a service, sorted.
    #[must_use]
    pub fn operations(&self, service: &str) -> Vec<String> {
        self.inner.shared.operations(service).into_iter().collect()
    }

    /// Figures for the status line, metrics and `store inspect`.
    #[must_use]
    pub fn status(&self) -> StoreStatus {
        self.inner.shared.status()
    }

    /// Seals the tail now, without waiting for [`Options::seal_spans`] or [`Options::seal_after`].
    ///
    /// # Errors
    /// With the reason, if blocks could not be written; the spans stay in the journal.
    pub fn seal(&self) -> Result<(), CloseError> {
        self.ask(Command::Seal)
    }

    /// Commits what waits, seals the tail and stops the threads. Batches that come later are refused.
    ///
    /// # Errors
    /// With the reason, if blocks could not be written; the spans stay in the journal.
    pub fn close(&self) -> Result<(), CloseError> {
        let result = self.ask(Command::Close);
        *lock(&self.inner.commands) = None;
        for thread in lock(&self.inner.threads).drain(..) {
            if thread.join().is_err() {
                return Err(CloseError("a thread of the store has failed".to_owned()));
            }
        }
        result
    }

    fn ask(&self, command: impl FnOnce(SyncSender<Result<(), String>>) -> Command) -> Result<(), CloseError> {
        let Some(commands) = self.commands() else { return Ok(()) };
        let (answer, answered) = sync_channel(1);
        if commands.send(command(answer)).is_err() {
            return Err(CloseError("the store's writer has failed".to_owned()));
        }
        drop(commands);
        match answered.recv() {
            Ok(result) => result.map_err(CloseError),
            Err(_) => Err(CloseError("the store's writer has failed".to_owned())),
        }
    }

    fn commands(&self) -> Option<SyncSender<Command>> {
        lock(&self.inner.commands).clone()
    }

    /// The time, as the store tells it.
    #[must_use]
    pub fn now(&self) -> UnixNanos {
        self.inner.shared.now()
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.inner.shared.options.clock
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.inner.shared
    }

    pub(crate) fn reading<'a>(&'a self, guard: &'a Guard) -> Reading<'a> {
        Reading::new(&self.inner.shared, &self.inner.work, guard)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("directory", &self.inner.shared.directory).finish_non_exhaustive()
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OpenError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(OpenError::Thread)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A trace as stored: lossless but for the order of attributes.
#[derive(Clone, Debug)]
pub struct StoredTrace {
    /// All spans, grouped by resource and scope, ordered by start within.
    pub batch: TraceBatch,
    /// Index of spans in `batch` that share trace and span id with another span of different content.
    pub conflicting: Vec<usize>,
    /// Set if a limit cut the trace: how many spans were left out.
    pub omitted_spans: u64,
}

/// Bounds of one query.
#[derive(Clone, Debug)]
pub struct QueryLimits {
    /// Give up after this long (by the store's clock).
    pub deadline: Duration,
    /// Most bytes decoded.
    pub bytes: u64,
    /// Set to true to stop.
    pub cancel: Arc<std::sync::atomic::AtomicBool>,
}

/// A search.
#[derive(Clone, Debug)]
pub struct SearchRequest {
    /// What a span must be.
    pub query: Query,
    /// Matching spans start at or after.
    pub start: Option<UnixNanos>,
    /// Matching spans start before.
    pub end: Option<UnixNanos>,
    /// Most traces in the page.
    pub limit: usize,
    /// Continue after this trace.
    pub after: Option<Cursor>,
}

/// Where a page ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Latest start of a matching span of the last trace.
    pub latest_matching_start: UnixNanos,
    /// Its id.
    pub trace_id: TraceId,
}

/// One page.
#[derive(Clone, Debug, Default)]
pub struct SearchPage {
    /// Newest first.
    pub traces: Vec<TraceSummary>,
    /// Set if there may be more.
    pub next: Option<Cursor>,
    /// Set if the answer is incomplete, and why (deadline, byte budget, block set aside).
    pub partial: Option<String>,
}

/// A whole trace in one line, wherever its spans lie.
#[derive(Clone, Debug)]
pub struct TraceSummary {
    /// Its id.
    pub trace_id: TraceId,
    /// Service of the root, or of the earliest local root while the root is missing.
    pub root_service: String,
    /// Name of that span.
    pub root_name: String,
    /// No span without a parent has arrived (yet).
    pub root_missing: bool,
    /// Earliest start.
    pub start: UnixNanos,
    /// Latest end minus earliest start.
    pub duration_nanos: u64,
    /// Spans.
    pub span_count: u64,
    /// Spans with status error.
    pub error_count: u64,
    /// Services with their numbers of spans and errors, sorted by name.
    pub services: Vec<ServiceCount>,
    /// If the root is the CDN's span: its duration less that of its longest child. The CDN's own part.
    pub edge_nanos: Option<u64>,
    /// The ids of the root, the CDN's span, are derived from the request id: the edge function logged none.
    pub derived_ids: bool,
    /// The CDN kept its span although the trace was not sampled, and there is nothing else.
    pub backend_not_recorded: bool,
    /// From the start of the first to the end of the last error span, as offsets from `start`.
    pub error_extent: Option<(u64, u64)>,
    /// Latest start of a span that matched the search.
    pub latest_matching_start: UnixNanos,
}

/// How much of a trace is one service's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceCount {
    /// `service.name`
    pub name: String,
    /// Spans.
    pub spans: u64,
    /// Spans with status error.
    pub errors: u64,
}

/// Figures.
#[derive(Clone, Debug, Default)]
pub struct StoreStatus {
    /// Spans accepted since start.
    pub ingested_spans: u64,
    /// Spans in the tail.
    pub tail_spans: u64,
    /// Spans in blocks.
    pub block_spans: u64,
    /// Blocks.
    pub blocks: u64,
    /// Blocks set aside as damaged.
    pub damaged_blocks: u64,
    /// Bytes on disk in all.
    pub bytes_on_disk: u64,
    /// [`Options::max_bytes`].
    pub max_bytes: Option<u64>,
    /// Start of the newest span; spans that claim to begin after they were received count from then.
    pub newest_span_start: Option<UnixNanos>,
    /// When a batch was last accepted.
    pub last_ingest: Option<UnixNanos>,
}

/// Why the store did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("the store is in use by another process; stop it or choose another directory")]
    Locked,
    /// The folder cannot be used.
    #[error("the store's folder {path} cannot be {operation}")]
    Folder {
        /// Which.
        path: String,
        /// read, written, created, locked
        operation: &'static str,
        /// The file layer's error.
        #[source]
        source: std::io::Error,
    },
    /// The journal failed.
    #[error("the store's journal cannot be used")]
    Journal(#[from] rootspan_journal::journal::JournalError),
    /// A thread could not be started.
    #[error("the store's threads cannot be started")]
    Thread(#[source] io::Error),
}

/// Why the tail could not be sealed. Nothing is lost: what was acknowledged is in the journal.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the newest spans could not be written to blocks and stay in the journal: {0}")]
pub struct CloseError(pub String);

/// Why a batch was not taken.
#[derive(Clone, Debug, thiserror::Error)]
pub enum IngestError {
    /// The writer's queue is full: try again.
    #[error("the store is busy: {0} batches wait to be written")]
    Busy(usize),
    /// Too little space: try again when an operator has made some.
    #[error("the disk is full: {0}")]
    DiskFull(String),
    /// The disk failed: try again.
    #[error("the store cannot write: {0}")]
    Io(String),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// The batch is longer than a journal frame may be: never retry.
    #[error("the request of {0} bytes is longer than the store takes")]
    TooLong(usize),
}

/// Why a query has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QueryError {
    /// The deadline passed.
    #[error("the query took longer than {0:?}")]
    Deadline(Duration),
    /// The byte budget was used up.
    #[error("the query would read more than {0} bytes; narrow the time range")]
    Budget(u64),
    /// The caller went away.
    #[error("the query was cancelled")]
    Cancelled,
    /// The disk failed.
    #[error("the store cannot read: {0}")]
    Io(String),
    /// The query makes no sense (a regex too large).
    #[error("the query cannot be evaluated: {0}")]
    Query(String),
}

#[cfg(test)]
pub(crate) mod tests;
