//! Every bound of the HTTP side, with the reason for its number.

use std::time::Duration;

/// Connections open at once. A browser uses six; hundreds mean a client that leaks them.
pub const CONNECTIONS: usize = 512;

/// A request's header must have arrived after this; idle connections are closed by it too.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// A client must have completed the TLS handshake by then.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a request's header, as one buffer. Browsers with many cookies for `localhost` send a few KiB.
pub const HEADER_BYTES: usize = 32 * 1024;

/// Bytes of a request's path and query. Longest sensible TraceQL text, percent-encoded.
pub const URI_BYTES: usize = 16 * 1024;

/// Queries that run at once, each on a thread of its own: more only take the processors from ingest.
pub const CONCURRENT_QUERIES: usize = 4;

/// How long a query waits for its turn before the answer is 503.
pub const QUEUE_WAIT: Duration = Duration::from_secs(5);

/// How long a query may run. Grafana and Jaeger UI give up after ten seconds as well.
pub const QUERY_DEADLINE: Duration = Duration::from_secs(10);

/// Bytes that one query may decode: several hours of blocks, and a bound on what one request can cost.
pub const QUERY_BYTES: u64 = 1 << 30;

/// Traces in one page of a search, unless asked otherwise.
pub const SEARCH_LIMIT_DEFAULT: usize = 20;

/// Most traces in one page of a search.
pub const SEARCH_LIMIT_MAX: usize = 1000;

/// Steps of edge coverage in one answer: four hours of minutes, and what a chart can show.
pub const COVERAGE_STEPS: u64 = 240;

/// How far back edge coverage reaches, unless asked otherwise.
pub const COVERAGE_RANGE_DEFAULT: Duration = Duration::from_secs(3600);

/// A back end's span is expected within this time after the record of its request. Exporters batch for seconds, and a queue
/// that retries takes minutes.
pub const BACKEND_WAIT: Duration = Duration::from_secs(600);

/// Bytes of traces kept for the requests that follow `/view`.
pub const CACHE_BYTES: usize = 64 * 1024 * 1024;

/// Answers shorter than this are not compressed: they fit into a few packets anyway.
pub const COMPRESS_FROM_BYTES: usize = 4 * 1024;

/// Exports that are being streamed at once.
pub const CONCURRENT_EXPORTS: usize = 4;

/// Bytes of one piece of a streamed export; at most [`EXPORT_CHUNKS`] of them wait for the client.
pub const EXPORT_CHUNK_BYTES: usize = 64 * 1024;

/// Pieces of an export that wait for the client.
pub const EXPORT_CHUNKS: usize = 4;

/// A client that takes no piece of an export for this long is given up.
pub const EXPORT_STALL: Duration = Duration::from_secs(30);

/// Bytes of an answer that the client accepts: the largest export.
pub const CLIENT_ANSWER_BYTES: usize = 1 << 30;

/// How long the client waits for an answer: the server's own limits and some travel.
pub const CLIENT_TIMEOUT: Duration = Duration::from_secs(30);
