//! Receivers without sockets: requests come when the scenario says, each in a task of its own, as from a connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use rootspan_testkit::random::Random;
use rootspan_wire::otlp::payload::Signal;
use tokio::time::{Instant, sleep_until};

use super::log;
use super::scenario::{Arrival, Flaw};
use crate::ack::Refusal;
use crate::budget::PaidBuffer;
use crate::ledger::RefusalReason;
use crate::net::stop::Stop;
use crate::runtime::ingress::{Ingress, Ingresses, Refused};
use crate::tasks::TaskGroup;

/// What was sent, and what its senders heard.
#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    sent: Arc<Mutex<Vec<Sent>>>,
    /// Whoever speaks now is dead.
    closed: Arc<AtomicBool>,
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) receiver: usize,
    /// Its sound spans, by number.
    pub(super) spans: std::ops::Range<u64>,
    pub(super) arrival: Arrival,
    pub(super) heard: Heard,
}

/// What a sender heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing yet; at the end: it was cut off.
    Nothing,
    /// It did not wait for the answer.
    WentAway,
    /// Accepted, but for so many spans.
    Accepted {
        rejected: u64,
    },
    Refused(Refusal),
    Malformed,
    /// Before it was read.
    NoMemory,
}

impl Book {
    pub(super) fn sent(&self) -> MutexGuard<'_, Vec<Sent>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The process is killed: nobody hears of it any more, until the next one is there.
    pub(super) fn close(&self, closed: bool) {
        self.closed.store(closed, Ordering::Relaxed);
    }

    fn begin(&self, receiver: usize, arrival: Arrival) -> (usize, std::ops::Range<u64>) {
        let mut sent = self.sent();
        let first = sent.last().map_or(1, |last| last.spans.end);
        let spans = first..first + arrival.spans;
        sent.push(Sent { receiver, spans: spans.clone(), arrival, heard: Heard::Nothing });
        (sent.len() - 1, spans)
    }

    fn heard(&self, request: usize, heard: Heard) {
        if self.closed.load(Ordering::Relaxed) {
            return;
        }
        log::event(|| format!("the sender of request {request} hears {heard:?}"));
        self.sent()[request].heard = heard;
    }
}

/// Sends what arrives until it is told to stop, then waits for the answers to what it has taken.
pub(super) async fn receive(receiver: usize, ingresses: Ingresses, arrivals: Vec<Arrival>, book: Book, mut stop: Stop) {
    let mut requests = TaskGroup::new("request");
    let started = Instant::now();
    for arrival in arrivals {
        tokio::select! {
            biased;
            () = stop.stopped() => break,
            () = sleep_until(started + arrival.at) => {}
        }
        let ingress = ingresses.of(Signal::Traces).expect("every pipeline is of traces");
        requests.start(send(receiver, ingress.clone(), arrival, book.clone()));
    }
    stop.stopped().await;
    drop(ingresses);
    requests.join().await;
}

async fn send(receiver: usize, ingress: Ingress, arrival: Arrival, book: Book) {
    let (request, spans) = book.begin(receiver, arrival);
    log::event(|| format!("request {request} brings {spans:?} to {receiver}: {arrival:?}"));
    let Some(buffer) = buffer(&ingress, &body(&spans, arrival)) else {
        ingress.refused_request(RefusalReason::MemoryLimit);
        book.heard(request, Heard::NoMemory);
        return;
    };
    let answer = async {
        let answer = if arrival.json { ingress.send_otlp_json(buffer).await } else { ingress.send_otlp(buffer).await };
        match answer {
            Ok(rejected) => Heard::Accepted { rejected: rejected.items },
            Err(Refused::Malformed(_)) => Heard::Malformed,
            Err(Refused::NotNow(refusal)) => Heard::Refused(refusal),
        }
    };
    let heard = match arrival.patience {
        None => answer.await,
        Some(patience) => tokio::time::timeout(patience, answer).await.unwrap_or(Heard::WentAway),
    };
    book.heard(request, heard);
}

/// The body as a receiver reads it: in pieces, paid for before they are there.
fn buffer(ingress: &Ingress, body: &[u8]) -> Option<PaidBuffer> {
    let mut buffer = PaidBuffer::with_capacity(ingress.budget(), body.len() / 2).ok()?;
    for piece in body.chunks(1000) {
        buffer.append(piece, body.len()).ok()?;
    }
    Some(buffer)
}

fn body(spans: &std::ops::Range<u64>, arrival: Arrival) -> Vec<u8> {
    let bad = if let Flaw::BadSpans(bad) = arrival.flaw { bad } else { 0 };
    match (arrival.flaw, arrival.json) {
        (Flaw::Malformed, true) => b"{\"resourceSpans\": 7}".to_vec(),
        (Flaw::Malformed, false) => vec![0xff; 40],
        (Flaw::None | Flaw::BadSpans(_), true) => json(spans, bad, arrival.padding).into_bytes(),
        (Flaw::None | Flaw::BadSpans(_), false) => protobuf(spans.clone(), bad, arrival.padding),
    }
}

/// A request with these spans, and `bad` ones that have no trace.
pub(super) fn protobuf(spans: impl Iterator<Item = u64>, bad: u64, padding: usize) -> Vec<u8> {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue("x".repeat(padding))) });
    let span = |number: u64, trace_id: [u8; 16]| Span {
        trace_id: trace_id.to_vec(),
        span_id: number.to_be_bytes().to_vec(),
        attributes: vec![KeyValue { key: "padding".to_owned(), value: value.clone(), ..KeyValue::default() }],
        ..Span::default()
    };
    let sound = spans.map(|number| span(number, trace_of(number)));
    let all = sound.chain((0..bad).map(|number| span(number + 1, [0; 16]))).collect();
    let scope_spans = vec![ScopeSpans { spans: all, ..ScopeSpans::default() }];
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] }
        .encode_to_vec()
}

fn json(spans: &std::ops::Range<u64>, bad: u64, padding: usize) -> String {
    let padding = "x".repeat(padding);
    let span = |number: u64, trace_id: u128| {
        format!(
            "{{\"traceId\":\"{trace_id:032x}\",\"spanId\":\"{number:016x}\",\
             \"attributes\":[{{\"key\":\"padding\",\"value\":{{\"stringValue\":\"{padding}\"}}}}]}}"
        )
    };
    let sound = spans.clone().map(|number| span(number, u128::from_be_bytes(trace_of(number))));
    let all: Vec<_> = sound.chain((0..bad).map(|number| span(number + 1, 0))).collect();
    format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{}]}}]}}]}}", all.join(","))
}

/// The trace of a span: a few spans share one.
pub(super) fn trace_of(number: u64) -> [u8; 16] {
    let mut random = Random::new(number / 3);
    (u128::from(random.id()) << 64 | u128::from(random.id())).to_be_bytes()
}
