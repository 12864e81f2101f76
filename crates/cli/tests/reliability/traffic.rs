//! Senders that remember what they were told. Every span has a number of its own; a refused request is not sent again,
//! so that its spans may be anywhere and those of all others exactly where they were promised to be.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use tokio::runtime::Runtime;
use tonic::transport::Channel;

use crate::http::Connection;
use crate::process::Ingest;

/// Load, and what became of it.
#[derive(Debug)]
pub(crate) struct Traffic {
    senders: usize,
    spans: u64,
    /// Bytes of an attribute of each span.
    padding: usize,
    /// Between two requests of a sender.
    pause: Duration,
    next: AtomicU64,
    told: Mutex<Told>,
}

/// What senders were told, by ranges of spans.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) acknowledged: Vec<Range<u64>>,
    pub(crate) refused: Vec<Range<u64>>,
    /// The connection ended first, and how.
    pub(crate) nothing: Vec<(Range<u64>, String)>,
    /// Refusals that did not say when to try again.
    pub(crate) without_retry_info: Vec<String>,
}

impl Told {
    pub(crate) fn acknowledged_spans(&self) -> u64 {
        self.acknowledged.iter().map(|spans| spans.end - spans.start).sum()
    }

    pub(crate) fn refused_spans(&self) -> u64 {
        self.refused.iter().map(|spans| spans.end - spans.start).sum()
    }
}

impl Traffic {
    /// Half of the senders speak HTTP, half gRPC.
    pub(crate) fn new(senders: usize, spans: u64, padding: usize, pause: Duration) -> Self {
        Self { senders, spans, padding, pause, next: AtomicU64::new(1), told: Mutex::default() }
    }

    /// A few senders of small requests, as fast as they are answered but for a breath.
    pub(crate) fn light() -> Self {
        Self::new(4, 20, 50, Duration::from_millis(5))
    }

    /// The same with spans from this number on.
    pub(crate) fn starting_at(first: u64) -> Self {
        Self { next: AtomicU64::new(first), ..Self::light() }
    }

    /// What senders were told so far.
    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends while `during` runs.
    pub(crate) fn flow<T>(&self, to: Ingest, during: impl FnOnce() -> T) -> T {
        std::thread::scope(|scope| {
            // Dropping these ends the senders, also when `during` panics.
            let mut stops = Vec::new();
            for number in 0..self.senders {
                let (stop, stopped) = mpsc::channel();
                stops.push(stop);
                scope.spawn(move || self.send_until(to, number % 2 == 0, &stopped));
            }
            let outcome = during();
            drop(stops);
            outcome
        })
    }

    fn send_until(&self, to: Ingest, by_http: bool, stopped: &mpsc::Receiver<()>) {
        let Some(mut sender) = Sender::connect(to, by_http) else { return };
        loop {
            let first = self.next.fetch_add(self.spans, Ordering::Relaxed);
            let spans = first..first + self.spans;
            let answer = sender.send(self.request(spans.clone()));
            let mut told = self.told();
            match answer {
                Answer::Acknowledged => told.acknowledged.push(spans),
                Answer::Refused { complaint } => {
                    told.refused.push(spans);
                    told.without_retry_info.extend(complaint);
                }
                Answer::Nothing { reason } => {
                    told.nothing.push((spans, reason));
                    return;
                }
            }
            drop(told);
            if stopped.recv_timeout(self.pause) == Err(mpsc::RecvTimeoutError::Disconnected) {
                return;
            }
        }
    }

    fn request(&self, spans: Range<u64>) -> ExportTraceServiceRequest {
        let value = Some(AnyValue { value: Some(any_value::Value::StringValue("x".repeat(self.padding))) });
        let span = |number: u64| Span {
            trace_id: [number.to_be_bytes(), [7; 8]].concat(),
            span_id: number.to_be_bytes().to_vec(),
            name: "GET /".to_owned(),
            start_time_unix_nano: 1_789_372_800_000_000_000,
            end_time_unix_nano: 1_789_372_800_010_000_000,
            attributes: vec![KeyValue { key: "padding".to_owned(), value: value.clone(), ..KeyValue::default() }],
            ..Span::default()
        };
        let scope_spans = vec![ScopeSpans { spans: spans.map(span).collect(), ..ScopeSpans::default() }];
        ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] }
    }

    /// Every acknowledged span that is not among `taken`.
    pub(crate) fn missing(&self, taken: &std::collections::BTreeMap<u64, u32>) -> BTreeSet<u64> {
        let told = self.told();
        told.acknowledged.iter().cloned().flatten().filter(|span| !taken.contains_key(span)).collect()
    }
}

enum Answer {
    Acknowledged,
    Refused { complaint: Option<String> },
    Nothing { reason: String },
}

enum Sender {
    Http(Connection),
    Grpc(Runtime, TraceServiceClient<Channel>),
}

impl Sender {
    fn connect(to: Ingest, by_http: bool) -> Option<Self> {
        if by_http {
            return Connection::open(to.http).ok().map(Self::Http);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let client = runtime.block_on(TraceServiceClient::connect(format!("http://{}", to.grpc))).ok()?;
        Some(Self::Grpc(runtime, client))
    }

    fn send(&mut self, request: ExportTraceServiceRequest) -> Answer {
        match self {
            Self::Http(connection) => {
                let headers = [("Content-Type", "application/x-protobuf")];
                match connection.send("POST", "/v1/traces", &headers, &request.encode_to_vec()) {
                    Ok(answer) if answer.status == 200 => Answer::Acknowledged,
                    Ok(answer) => {
                        let says_when = matches!(answer.status, 429 | 503) && !answer.header("retry-after").is_empty();
                        let complaint = format!("HTTP {} {}", answer.status, answer.text());
                        Answer::Refused { complaint: (!says_when).then_some(complaint) }
                    }
                    Err(error) => Answer::Nothing { reason: error.to_string() },
                }
            }
            Self::Grpc(runtime, client) => match runtime.block_on(client.export(request)) {
                Ok(_) => Answer::Acknowledged,
                Err(status) if status.code() == tonic::Code::Unavailable && status.details().is_empty() => {
                    // What tonic says when the connection has ended.
                    Answer::Nothing { reason: status.to_string() }
                }
                Err(status) => {
                    let is_later = matches!(status.code(), tonic::Code::ResourceExhausted | tonic::Code::Unavailable);
                    let says_when = is_later && status.details().windows(9).any(|part| part == b"RetryInfo");
                    Answer::Refused { complaint: (!says_when).then(|| status.to_string()) }
                }
            },
        }
    }
}
