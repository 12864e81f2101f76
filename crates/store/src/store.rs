//! The store's public face.

use std::sync::Arc;
use std::time::Duration;

use rootspan_journal::directory::Directory;
use rootspan_model::ids::TraceId;
use rootspan_model::time::UnixNanos;
use rootspan_traceql::ast::Query;
use rootspan_wire::otlp::batch::TraceBatch;

/// Tells the time; the store has no clock of its own.
pub type Clock = Arc<dyn Fn() -> UnixNanos + Send + Sync>;

/// Settings.
#[derive(Clone)]
pub struct Options {
    /// Spans older than this are removed, whole hours at a time.
    pub retention: Duration,
    /// Most bytes on disk, journal and sidecars included; the oldest hours go first. `None`: no limit.
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

/// A handle; clones share the store.
#[derive(Clone, Debug)]
pub struct Store {}

/// Called once, on the writer thread, when the batch is durable and searchable, or was refused.
pub type Done = Box<dyn FnOnce(Result<(), IngestError>) + Send>;

impl Store {
    /// Opens or creates the store and starts its threads.
    pub fn open(_directory: Arc<dyn Directory>, _options: Options) -> Result<(Self, OpenReport), OpenError> {
        unimplemented!("store contract")
    }

    /// Hands a batch to the writer. `done` is called exactly once; with [`IngestError::Busy`] at once if the writer's
    /// bounded queue is full. Everything waiting is committed by one sync.
    pub fn ingest(&self, _batch: TraceBatch, _done: Done) {
        unimplemented!("store contract")
    }

    /// Everything known of one trace as one batch, or `None`.
    pub fn trace(&self, _id: &TraceId, _limits: &QueryLimits) -> Result<Option<StoredTrace>, QueryError> {
        unimplemented!("store contract")
    }

    /// Traces with a matching span, newest matching start first (DESIGN: order and cursor = latest matching start, trace id).
    pub fn search(&self, _request: &SearchRequest, _limits: &QueryLimits) -> Result<SearchPage, QueryError> {
        unimplemented!("store contract")
    }

    /// Service names, sorted.
    #[must_use]
    pub fn services(&self) -> Vec<String> {
        unimplemented!("store contract")
    }

    /// Span names of a service, sorted.
    #[must_use]
    pub fn operations(&self, _service: &str) -> Vec<String> {
        unimplemented!("store contract")
    }

    /// Figures for the status line, metrics and `store inspect`.
    #[must_use]
    pub fn status(&self) -> StoreStatus {
        unimplemented!("store contract")
    }

    /// Commits what waits, seals the tail and stops the threads.
    pub fn close(&self) -> Result<(), OpenError> {
        unimplemented!("store contract")
    }
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
    /// Start of the newest span.
    pub newest_span_start: Option<UnixNanos>,
    /// When a batch was last accepted.
    pub last_ingest: Option<UnixNanos>,
}

/// Why the store did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("the store in {0} is in use by another process; stop it or choose another directory")]
    Locked(String),
    /// The folder cannot be used.
    #[error("the store's folder {path} cannot be {operation}")]
    Folder {
        /// Which.
        path: String,
        /// read, written, created
        operation: &'static str,
        /// The file layer's error.
        #[source]
        source: std::io::Error,
    },
    /// The journal failed.
    #[error("the store's journal cannot be used")]
    Journal(#[from] rootspan_journal::journal::JournalError),
}

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
}
