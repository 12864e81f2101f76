//! Load: realistic requests from several connections at once, and a memory of what was acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use rootspan_model::time::UnixNanos;
use rootspan_testkit::generate::{Generator, Options, generate};
use serde_json::Value;

use crate::api;
use crate::http::Connection;
use crate::otlp::{json_of, now};

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

/// How many connections send at once.
const CONNECTIONS: usize = 3;

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
    pub(crate) fn send(&self, address: SocketAddr, requests: u64, watch: impl FnOnce()) {
        let left = AtomicU64::new(requests);
        std::thread::scope(|scope| {
            for _ in 0..CONNECTIONS {
                scope.spawn(|| self.send_on_one_connection(address, &left));
            }
            watch();
        });
    }

    fn send_on_one_connection(&self, address: SocketAddr, left: &AtomicU64) {
        let Ok(mut connection) = Connection::open(address) else { return };
        while left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)).is_ok() {
            let Some(batch) = lock(&self.generator).next() else { return };
            let message = batch.bytes().to_vec();
            let index = {
                let mut sent = lock(&self.sent);
                sent.push(Request { message: message.clone(), is_acknowledged: false });
                sent.len() - 1
            };
            let headers = [("Content-Type", "application/x-protobuf")];
            match connection.send("POST", "/v1/traces", &headers, &message) {
                Ok(answer) if answer.status == 200 => {
                    lock(&self.sent)[index].is_acknowledged = true;
                    self.acknowledged.fetch_add(1, Ordering::AcqRel);
                }
                // Refused with a retryable status: not acknowledged, and the next one may be.
                Ok(answer) => assert!(matches!(answer.status, 429 | 503), "{} {}", answer.status, answer.text()),
                Err(_) => return,
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
