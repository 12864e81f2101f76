//! What tests share: requests, a store in memory, a server over it, and a plain HTTP client.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rootspan_journal::directory::memory::MemoryDirectory;
use rootspan_model::ids::{SpanId, TraceId};
use rootspan_model::time::UnixNanos;
use rootspan_store::store::{Options, Store};
use rootspan_testkit::fixture::EPOCH;
use rootspan_wire::otlp::batch::TraceBatch;
use rootspan_wire::otlp::field;
use rootspan_wire::otlp::write::{
    SpanParts, put_attribute, put_resource, put_resource_spans, put_scope_spans, put_span,
};

use crate::guard::Auth;
use crate::server::{Bind, Config, Ingest, Running, Server, State};

/// When the spans of tests start, those of fixtures too.
pub(crate) const START: UnixNanos = UnixNanos(EPOCH);

/// A request of service `shop` with one span for each name, the first being the others' parent; ids count from 1.
pub(crate) fn request(trace_id: TraceId, names: &[&str]) -> Vec<u8> {
    let mut request = Vec::new();
    put_resource_spans(&mut request, "", |out| {
        put_resource(out, |out| put_attribute(out, field::resource::ATTRIBUTES, "service.name", "shop"));
        put_scope_spans(out, "", |out| {
            for (name, number) in names.iter().zip(1..) {
                let parent = if number == 1 { SpanId::default() } else { span_id(1) };
                let parts = SpanParts {
                    trace_id,
                    span_id: span_id(number),
                    parent_span_id: parent,
                    name,
                    start: UnixNanos(START.0 + number * 1_000_000),
                    end: UnixNanos(START.0 + number * 2_000_000),
                    ..SpanParts::default()
                };
                put_span(out, &parts, |_| {});
            }
        });
    });
    request
}

/// The id with this number.
pub(crate) fn span_id(number: u64) -> SpanId {
    SpanId::new(number.to_be_bytes())
}

/// An empty store in memory whose clock stands at an hour after [`START`].
pub(crate) fn store() -> Store {
    let options = Options {
        retention: Duration::from_secs(72 * 3600),
        max_bytes: None,
        min_free_percent: 0.0,
        seal_spans: 50_000,
        seal_after: Duration::from_secs(120),
        clock: Arc::new(|| UnixNanos(START.0 + 3_600_000_000_000)),
    };
    let (store, _) = Store::open(Arc::new(MemoryDirectory::new()), options).expect("an empty store opens");
    store
}

/// Stores a request, and returns when it is searchable.
pub(crate) async fn ingest(store: &Store, request: Vec<u8>) {
    ingest_batch(store, TraceBatch::from_trusted(request.into()).expect("just written")).await;
}

/// Stores a batch, and returns when it is searchable.
pub(crate) async fn ingest_batch(store: &Store, batch: TraceBatch) {
    let (done, result) = tokio::sync::oneshot::channel();
    store.ingest(batch, Box::new(move |result| drop(done.send(result))));
    result.await.expect("done is always called").expect("the store takes it");
}

/// A server over `store`, on a port of the system's choice.
pub(crate) fn serve(store: &Store, auth: Option<Auth>) -> Running {
    let bind = Bind::Address("127.0.0.1:0".parse().expect("an address"));
    let config = Config { bind, allowed_hosts: Vec::new(), auth, tls: None };
    let figures = Ingest { spans_received: 5, dropped_spans: 2, refused_spans: 1 };
    let state = State { store: store.clone(), ingest_figures: Arc::new(move || figures) };
    Server::start(config, state).expect("a free port")
}

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub(crate) fn error(&self) -> String {
        self.json()["error"]["message"].as_str().expect("an error's message").to_owned()
    }
}

/// GET.
pub(crate) async fn get(server: &Running, target: &str) -> Answer {
    fetch(server, "GET", target, &[]).await
}

/// Any request without a body.
pub(crate) async fn fetch(server: &Running, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(format!("http://{}{target}", server.address()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request.body(Body::empty()).expect("a request")).await.expect("an answer");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    Answer { status: parts.status, headers: parts.headers, body }
}
