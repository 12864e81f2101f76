//! A collector that takes OTLP over HTTP and keeps the spans.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rootspan_model::span::{SpanKind, StatusCode};
use rootspan_wire::otlp::validate::{Limits, validate};
use rootspan_wire::otlp::view::AnyValue;

use crate::h2c;
use crate::wait::until;

/// A span in a form that tests compare.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    /// Empty for none.
    pub(crate) parent_id: String,
    pub(crate) trace_state: String,
    pub(crate) name: String,
    pub(crate) kind: SpanKind,
    pub(crate) status: StatusCode,
    pub(crate) flags: u32,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) resource: BTreeMap<String, String>,
    pub(crate) scope: String,
}

impl Span {
    /// An attribute; empty if there is none.
    pub(crate) fn attribute(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }
}

#[derive(Debug, Default)]
struct State {
    spans: Mutex<Vec<Span>>,
    requests: AtomicUsize,
    heads: Mutex<Vec<String>>,
    /// Answered instead of 200, if not 0.
    status: AtomicU16,
}

/// The collector; its threads end with the test process.
#[derive(Debug)]
pub(crate) struct Collector {
    pub(crate) port: u16,
    state: Arc<State>,
}

impl Collector {
    pub(crate) fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").expect("a free port"))
    }

    /// On a socket that exists already.
    pub(crate) fn on(listener: TcpListener) -> Self {
        let port = listener.local_addr().expect("bound").port();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || serve(connection, &state));
            }
        });
        Self { port, state }
    }

    /// HTTP over TLS.
    pub(crate) fn start_tls(tls: Arc<rustls::ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let session = rustls::ServerConnection::new(Arc::clone(&tls)).expect("a session");
                let state = Arc::clone(&shared);
                std::thread::spawn(move || serve(rustls::StreamOwned::new(session, connection), &state));
            }
        });
        Self { port, state }
    }

    /// gRPC, over TLS if it is given.
    pub(crate) fn start_grpc(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let port = h2c::serve(tls, move |head, body| {
            assert_eq!(head.uri.path(), "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
            assert_eq!(
                (&head.headers["content-type"], &head.headers["te"]),
                (&"application/grpc".parse().expect("a value"), &"trailers".parse().expect("a value"))
            );
            let length = u32::from_be_bytes(body[1..5].try_into().expect("a frame"));
            assert_eq!((body[0], length as usize), (0, body.len() - 5));
            shared.requests.fetch_add(1, Ordering::SeqCst);
            shared.heads.lock().expect("no panic").push(format!("{:?}", head.headers));
            let status = shared.status.load(Ordering::SeqCst);
            if status == 0 {
                shared.spans.lock().expect("no panic").extend(decode(body[5..].to_vec()));
            }
            h2c::Reply { body: vec![0; 5], trailers: vec![("grpc-status", status.to_string())] }
        });
        Self { port, state }
    }

    /// From now on every request is answered with `status`; 0 for success.
    pub(crate) fn answer(&self, status: u16) {
        self.state.status.store(status, Ordering::SeqCst);
    }

    pub(crate) fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }

    /// Heads of all requests.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.state.heads.lock().expect("no panic").clone()
    }

    /// All spans, in the order received.
    pub(crate) fn spans(&self) -> Vec<Span> {
        self.state.spans.lock().expect("no panic").clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.state.spans.lock().expect("no panic").len()
    }

    /// Waits for at least `count` spans.
    #[track_caller]
    pub(crate) fn wait(&self, count: usize) -> Vec<Span> {
        until(&format!("{count} spans; got {:#?}", self.count()), || (self.count() >= count).then(|| self.spans()))
    }
}

fn serve(connection: impl Read + Write, state: &State) {
    let mut reader = BufReader::new(connection);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned))
            .and_then(|length| length.parse().ok())
            .expect("the exporter says how long the body is");
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        state.requests.fetch_add(1, Ordering::SeqCst);
        state.heads.lock().expect("no panic").push(head);
        let status = state.status.load(Ordering::SeqCst);
        let status = if status == 0 { 200 } else { status };
        if status == 200 {
            let spans = decode(body);
            state.spans.lock().expect("no panic").extend(spans);
        }
        let answer =
            format!("HTTP/1.1 {status} X\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n");
        let writer = reader.get_mut();
        if writer.write_all(answer.as_bytes()).and_then(|()| writer.flush()).is_err() {
            return;
        }
    }
}

fn decode(body: Vec<u8>) -> Vec<Span> {
    let validated = validate(body.into(), &Limits::default()).expect("the request is OTLP");
    assert_eq!(validated.rejected.items, 0, "{}", validated.rejected.first_reason);
    let text = |value: AnyValue<'_>| match value {
        AnyValue::String(text) => text.to_owned(),
        AnyValue::Int(number) => number.to_string(),
        AnyValue::Double(number) => number.to_string(),
        AnyValue::Bool(value) => value.to_string(),
        other => format!("{other:?}"),
    };
    let spans = validated.batch.spans();
    spans
        .map(|entry| {
            let span = entry.span;
            Span {
                trace_id: span.trace_id.to_string(),
                span_id: span.span_id.to_string(),
                parent_id: if span.is_root() { String::new() } else { span.parent_span_id.to_string() },
                trace_state: span.trace_state.to_owned(),
                name: span.name.to_owned(),
                kind: span.kind(),
                status: span.status(),
                flags: span.flags,
                start: span.start.0,
                end: span.end.0,
                attributes: span.attributes().map(|pair| (pair.key.to_owned(), text(pair.value))).collect(),
                resource: entry.resource.attributes().map(|pair| (pair.key.to_owned(), text(pair.value))).collect(),
                scope: entry.scope.name.to_owned(),
            }
        })
        .collect()
}
