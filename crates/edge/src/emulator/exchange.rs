//! One request from its first byte to its record. Whatever ends it, also a viewer who leaves, ends in exactly one ledger
//! entry and one log record: dropping an [`Exchange`] writes them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::cache::{Asking, Cache, Cached, OBJECT_MAX_BYTES};
use super::clock::{Clock, Stopwatch};
use super::delivery::{LogLine, Outbox};
use super::ledger::{Ledger, LedgerEntry, ResultType, context_of};
use super::record::{Record, rounded_millis};

/// Where ended exchanges go.
#[derive(Debug)]
pub(crate) struct Sinks {
    pub(crate) ledger: Ledger,
    pub(crate) outboxes: Vec<Outbox>,
    /// The clock of the edge.
    pub(crate) clock: Clock,
}

impl Sinks {
    /// What a function logged.
    pub(crate) fn function_lines(&self, lines: &[LogLine]) {
        self.outboxes.iter().for_each(|outbox| outbox.post_function_lines(lines));
    }
}

/// A request that is being served.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) started: Stopwatch,
    pub(crate) start_unix_millis: u64,
    pub(crate) class: Option<String>,
    /// All that is known; the times and sizes are filled in at the end.
    pub(crate) record: Record,
    pub(crate) result: ResultType,
    pub(crate) origin_asked: Option<Stopwatch>,
    pub(crate) log_data: Option<String>,
    pub(crate) response_log_data: Option<String>,
    /// CloudFront does not log what is over its limits.
    pub(crate) is_logged: bool,
    pub(crate) sinks: Arc<Sinks>,
    is_complete: bool,
}

impl Exchange {
    /// Begins now, with what the request says.
    pub(crate) fn start(record: Record, class: Option<String>, sinks: Arc<Sinks>) -> Self {
        Self {
            started: Stopwatch::start(),
            start_unix_millis: sinks.clock.unix_millis(),
            class,
            record,
            result: ResultType::Error,
            origin_asked: None,
            log_data: None,
            response_log_data: None,
            is_logged: true,
            sinks,
            is_complete: false,
        }
    }

    /// The response's head is decided; it may still fail on the way.
    pub(crate) fn respond(&mut self, status: StatusCode, result: ResultType, detailed: &'static str) {
        self.result = result;
        self.record.status = status.as_u16();
        self.record.response_result_type = result.name();
        self.record.detailed_result_type = detailed;
    }

    pub(crate) fn origin_elapsed(&self) -> Option<Duration> {
        self.origin_asked.map(Stopwatch::elapsed)
    }

    /// The last byte is in the output queue.
    fn complete(&mut self) {
        self.is_complete = true;
    }

    /// The response broke off because of the origin.
    fn origin_failed(&mut self) {
        self.result = ResultType::Error;
        self.record.detailed_result_type = "OriginCommError";
        self.is_complete = true;
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.is_complete {
            // The viewer left: before the head there is no status at all, later only the final result says so.
            self.result = ResultType::Error;
            self.record.detailed_result_type = "ClientCommError";
            if self.record.response_result_type.is_empty() {
                self.record.response_result_type = ResultType::Error.name();
            }
        }
        let mut record = std::mem::take(&mut self.record);
        record.time_taken = self.started.elapsed();
        // The wall clock may be set while a request runs; the record's own arithmetic must hold all the same.
        record.end_unix_millis = self.start_unix_millis.saturating_add(rounded_millis(record.time_taken));
        record.result_type = self.result.name();
        record.request_log_data = self.log_data.take().unwrap_or_default();
        record.response_log_data = self.response_log_data.take().unwrap_or_default();
        let (trace_id, span_id, sampled) = context_of(&record.request_id, Some(&record.request_log_data));
        if self.is_logged {
            self.sinks.outboxes.iter().for_each(|outbox| outbox.post_record(&record));
        }
        self.sinks.ledger.add(LedgerEntry {
            request_id: record.request_id,
            class: self.class.take(),
            method: record.method,
            path: record.path,
            status: record.status,
            result_type: self.result,
            detailed_result_type: record.detailed_result_type,
            asked_origin: self.origin_asked.is_some(),
            sampled,
            is_logged: self.is_logged,
            trace_id,
            span_id,
            start_unix_millis: self.start_unix_millis,
        });
    }
}

/// A response body on its way to the viewer: measured, and copied for the cache.
#[derive(Debug)]
pub(crate) struct ViewerBody {
    source: Source,
    exchange: Exchange,
    copy: Option<CacheCopy>,
    /// Others wait for the end of this.
    asking: Option<Asking>,
    /// Bytes still to come, if that is known: hyper does not ask for the end of a body whose length it knows.
    remaining: Option<u64>,
}

#[derive(Debug)]
enum Source {
    Ready(Option<Bytes>),
    Origin(Incoming),
}

/// A response that is kept once it is complete.
#[derive(Debug)]
pub(crate) struct CacheCopy {
    pub(crate) cache: Arc<Cache>,
    pub(crate) key: String,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) lifetime: Duration,
    pub(crate) body: BytesMut,
}

impl ViewerBody {
    /// A body that is there.
    pub(crate) fn ready(body: Bytes, mut exchange: Exchange) -> Self {
        if body.is_empty() {
            exchange.record.time_to_first_byte = Some(exchange.started.elapsed());
            exchange.complete();
        }
        Self {
            remaining: Some(body.len() as u64),
            source: Source::Ready(Some(body)),
            exchange,
            copy: None,
            asking: None,
        }
    }

    /// A body that the origin is sending.
    pub(crate) fn from_origin(
        body: Incoming,
        mut exchange: Exchange,
        copy: Option<CacheCopy>,
        asking: Option<Asking>,
    ) -> Self {
        let remaining = body.size_hint().exact();
        if body.is_end_stream() || remaining == Some(0) {
            exchange.record.time_to_first_byte = Some(exchange.started.elapsed());
            exchange.record.origin_last_byte = exchange.origin_elapsed();
            exchange.complete();
        }
        Self { source: Source::Origin(body), exchange, copy, asking, remaining }
    }

    fn sent(&mut self, data: &Bytes) {
        let record = &mut self.exchange.record;
        record.time_to_first_byte.get_or_insert(self.exchange.started.elapsed());
        record.response_bytes += data.len() as u64;
        self.remaining = self.remaining.map(|remaining| remaining.saturating_sub(data.len() as u64));
        match &mut self.copy {
            Some(copy) if copy.body.len() + data.len() <= OBJECT_MAX_BYTES => copy.body.extend_from_slice(data),
            Some(_) => self.copy = None,
            None => {}
        }
        if self.remaining == Some(0) {
            self.ended();
        }
    }

    fn ended(&mut self) {
        let exchange = &mut self.exchange;
        if exchange.is_complete {
            return;
        }
        exchange.record.time_to_first_byte.get_or_insert(exchange.started.elapsed());
        if matches!(self.source, Source::Origin(_)) {
            exchange.record.origin_last_byte = exchange.origin_asked.map(Stopwatch::elapsed);
        }
        exchange.complete();
        if let Some(CacheCopy { cache, key, status, headers, lifetime, body }) = self.copy.take() {
            cache.put(key, Cached { status, headers, body: body.freeze(), kept: Stopwatch::start(), lifetime });
        }
        self.asking = None;
    }
}

impl Body for ViewerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = &mut *self;
        let frame = match &mut this.source {
            Source::Ready(body) => body.take().filter(|body| !body.is_empty()).map(|body| Ok(Frame::data(body))),
            Source::Origin(body) => match Pin::new(body).poll_frame(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(frame) => frame,
            },
        };
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    this.sent(data);
                }
            }
            Some(Err(_)) => this.exchange.origin_failed(),
            None => this.ended(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Ready(body) => body.as_ref().is_none_or(Bytes::is_empty),
            Source::Origin(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Ready(body) => SizeHint::with_exact(body.as_ref().map_or(0, Bytes::len) as u64),
            Source::Origin(body) => body.size_hint(),
        }
    }
}
