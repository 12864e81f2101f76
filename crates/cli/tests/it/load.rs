//! Load: realistic requests from several connections at once, and a memory of what was acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message as _;
use rootspan_model::time::UnixNanos;
use rootspan_testkit::generate::{Generator, Options, generate};
use serde_json::Value;
use tokio::runtime::Runtime;
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;

use crate::api;
use crate::http::{self, Connection};
use crate::otlp::{self, json_of, now};
use crate::process::Ingest;

/// What was sent, and what of it the server said that it has.
#[derive(Debug)]
pub(crate) struct Load {
    generator: Mutex<Generator>,
    sent: Mutex<Vec<Request>>,
    acknowledged: AtomicU64,
}

/// One request.
#[derive(Debug)]
struct Request {
    message: Vec<u8>,
    is_acknowledged: bool,
}

/// Most spans that a test sends.
const SPANS: u64 = 60_000;

impl Load {
    /// Requests of `spans_per_request`; starts lie within the last two hours, so that seals write several blocks.
    pub(crate) fn new(seed: u64, spans_per_request: usize) -> Self {
        let options = Options {
            seed,
            spans: SPANS,
            start: UnixNanos(now() - 2 * 3_600_000_000_000),
            window: Duration::from_secs(7000),
            spans_per_request,
            root_delay: Duration::ZERO,
        };
        Self { generator: Mutex::new(generate(options)), sent: Mutex::default(), acknowledged: AtomicU64::new(0) }
    }

    /// Requests that were acknowledged so far.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Acquire)
    }

    /// Sends up to `requests` from several connections, until the server goes away. Meanwhile `watch` runs.
    pub(crate) fn send(&self, to: Ingest, requests: u64, watch: impl FnOnce()) {
        let left = AtomicU64::new(requests);
        std::thread::scope(|scope| {
            for connect in [Sender::http, Sender::http, Sender::grpc] {
                let left = &left;
                scope.spawn(move || connect(to).map(|sender| self.send_on(sender, left)));
            }
            watch();
        });
    }

    fn send_on(&self, mut sender: Sender, left: &AtomicU64) {
        while left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)).is_ok() {
            let Some(batch) = lock(&self.generator).next() else { return };
            let message = batch.bytes().to_vec();
            let index = {
                let mut sent = lock(&self.sent);
                sent.push(Request { message: message.clone(), is_acknowledged: false });
                sent.len() - 1
            };
            match sender.send(&message) {
                Sent::Acknowledged => {
                    lock(&self.sent)[index].is_acknowledged = true;
                    self.acknowledged.fetch_add(1, Ordering::AcqRel);
                }
                Sent::Refused => {}
                Sent::Gone => return,
            }
        }
    }

    /// Reads every trace back. Each acknowledged span must be there as it was sent, and nothing that was not sent.
    /// Gives the number of acknowledged spans.
    pub(crate) fn check_all_found(&self, ui: SocketAddr) -> usize {
        let expected = self.expected();
        let traces: Vec<_> = expected.iter().collect();
        std::thread::scope(|scope| {
            let check = |traces: &[(&String, &Spans)]| {
                let mut connection = Connection::open(ui).expect("the server accepts connections");
                traces.iter().map(|(id, spans)| spans.check(id, api::trace_on(&mut connection, id))).sum::<usize>()
            };
            let halves = traces.chunks(traces.len().div_ceil(2).max(1));
            let checks: Vec<_> = halves.map(|half| scope.spawn(move || check(half))).collect();
            checks.into_iter().map(|check| check.join().expect("every acknowledged span is there")).sum()
        })
    }

    /// Pages through everything: each trace with an acknowledged span is listed exactly once.
    pub(crate) fn check_all_listed(&self, ui: SocketAddr) {
        let mut listed = BTreeSet::new();
        let mut cursor = String::new();
        loop {
            let page = http::get(ui, &format!("/api/v1/search?limit=97{cursor}"));
            assert_eq!(page.status, 200, "{}", page.text());
            let page = page.json();
            for trace in page["traces"].as_array().expect("a list") {
                let id = api::text(&trace["traceId"]).to_owned();
                assert!(listed.insert(id), "{trace} is listed twice");
            }
            let Some(next) = page["nextCursor"].as_str() else { break };
            cursor = format!("&cursor={}", http::escape(next));
        }
        let expected = self.expected();
        let acknowledged = expected.iter().filter(|(_, spans)| !spans.acknowledged.is_empty());
        let missing: Vec<_> = acknowledged.filter(|(id, _)| !listed.contains(*id)).collect();
        assert!(missing.is_empty(), "not found by search: {missing:?}");
        assert!(listed.iter().all(|id| expected.contains_key(id)), "nothing that was not sent");
    }

    fn expected(&self) -> BTreeMap<String, Spans> {
        let mut traces: BTreeMap<String, Spans> = BTreeMap::new();
        for request in lock(&self.sent).iter() {
            let message = ExportTraceServiceRequest::decode(request.message.as_slice()).expect("the generator's OTLP");
            for span in api::flatten(&json_of(&message)) {
                let spans = traces.entry(api::text(&span["span"]["traceId"]).to_owned()).or_default();
                let id = api::text(&span["span"]["spanId"]).to_owned();
                if request.is_acknowledged {
                    spans.acknowledged.insert(id.clone());
                }
                assert!(spans.sent.insert(id, span).is_none(), "the generator repeats no span");
            }
        }
        traces
    }
}

/// The spans of one trace, by their ids.
#[derive(Debug, Default)]
struct Spans {
    sent: BTreeMap<String, Value>,
    acknowledged: BTreeSet<String>,
}

impl Spans {
    fn check(&self, id: &str, found: Option<Vec<Value>>) -> usize {
        let mut missing = self.acknowledged.clone();
        for span in found.unwrap_or_default() {
            let span_id = api::text(&span["span"]["spanId"]).to_owned();
            assert_eq!(Some(&span), self.sent.get(&span_id), "trace {id}: as it was sent");
            // A span that was sent but not acknowledged may be there, too.
            missing.remove(&span_id);
        }
        assert!(missing.is_empty(), "trace {id}: these were acknowledged and are lost: {missing:?}");
        self.acknowledged.len()
    }
}

/// One connection.
enum Sender {
    Http(Connection),
    Grpc(Runtime, TraceServiceClient<Channel>),
}

/// What became of a request.
enum Sent {
    Acknowledged,
    /// To be sent again; here the next one is.
    Refused,
    /// The server went away in the middle of it.
    Gone,
}

impl Sender {
    fn http(to: Ingest) -> Option<Self> {
        Connection::open(to.http).ok().map(Self::Http)
    }

    fn grpc(to: Ingest) -> Option<Self> {
        let runtime = otlp::runtime();
        let client = runtime.block_on(TraceServiceClient::connect(format!("http://{}", to.grpc))).ok()?;
        Some(Self::Grpc(runtime, client.send_compressed(CompressionEncoding::Zstd)))
    }

    fn send(&mut self, message: &[u8]) -> Sent {
        match self {
            Self::Http(connection) => {
                let headers = [("Content-Type", "application/x-protobuf")];
                match connection.send("POST", "/v1/traces", &headers, message) {
                    Ok(answer) if answer.status == 200 => Sent::Acknowledged,
                    Ok(answer) => {
                        assert!(matches!(answer.status, 429 | 503), "{} {}", answer.status, answer.text());
                        Sent::Refused
                    }
                    Err(_) => Sent::Gone,
                }
            }
            Self::Grpc(runtime, client) => {
                let message = ExportTraceServiceRequest::decode(message).expect("the generator's OTLP");
                match runtime.block_on(client.export(message)) {
                    Ok(_) => Sent::Acknowledged,
                    Err(status) => {
                        assert_ne!(status.code(), tonic::Code::InvalidArgument, "{status}");
                        Sent::Gone
                    }
                }
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
