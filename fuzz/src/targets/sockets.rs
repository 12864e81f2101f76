//! The receivers of OTLP over real sockets: gRPC framing, HTTP/2, HTTP/1.1. After each connection nothing is held, the
//! ledgers balance, and the next sound request is taken.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rootspan_gateway::clock;
use rootspan_gateway::config::{Source, load_with};
use rootspan_gateway::runtime::{Environment, Gateway, Running};
use rootspan_testkit::generate::{Options, generate};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use crate::Target;

const CONFIG: &str = "
receivers:
  otlp:
    protocols:
      grpc: {endpoint: '127.0.0.1:0', max_recv_msg_size_mib: 1}
      http: {endpoint: '127.0.0.1:0', max_request_body_size: 1MiB}
exporters: {debug: {}}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [otlp], exporters: [debug]}}
";

/// A connection that is answered nothing is left by then. Long: a busy machine is no bug.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) const SOCKETS: Target = Target {
    name: "sockets",
    about: "OTLP over gRPC and HTTP on real sockets: framing, HTTP/2, headers",
    corpus: || {
        let request = request();
        let mut corpus = vec![
            [b"G", grpc(&message(&request), &[]).as_slice()].concat(),
            [b"G", grpc(&message(&request), &[("grpc-encoding", "gzip"), ("grpc-timeout", "1S")]).as_slice()].concat(),
            [b"G", grpc(&[message(&request), message(&request)].concat(), &[]).as_slice()].concat(),
        ];
        for extra in ["", "Content-Encoding: gzip\r\n", "Expect: 100-continue\r\n"] {
            corpus.push([b"H", http(&request, extra).as_slice()].concat());
        }
        corpus.push(b"HPOST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n".to_vec());
        corpus
    },
    dictionary: &[
        b"\r\n",
        b"\r\n\r\n",
        b"Content-Length: 99999999999\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"ffffffffffffffff\r\n",
        b"HTTP/1.0",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x00\x00\x00\x04\x01\x00\x00\x00\x00",
        b"\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x08",
        b"\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678",
        b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x7f\xff\xff\xff",
        b"\x01\xff\xff\xff\xff",
        b"\x02",
    ],
    usual_inputs: 750,
    body: |input| {
        let Some((protocol, bytes)) = input.split_first() else { return };
        with_gateway(|gateway| gateway.try_bytes(*protocol != b'H', bytes));
    },
};

fn request() -> Vec<u8> {
    let mut batches = generate(Options { spans: 3, spans_per_request: 3, ..Options::default() });
    batches.next().map(|batch| batch.bytes().to_vec()).unwrap_or_default()
}

/// gRPC's prefix and a message.
fn message(request: &[u8]) -> Vec<u8> {
    [&[0], (request.len() as u32).to_be_bytes().as_slice(), request].concat()
}

fn http(body: &[u8], extra: &str) -> Vec<u8> {
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf\r\n{extra}Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// HTTP/2 as a client begins it: preface, settings, one request (RFC 9113, sections 3.4 and 4.1).
fn grpc(body: &[u8], extra: &[(&str, &str)]) -> Vec<u8> {
    let mut headers = Vec::new();
    let usual = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/opentelemetry.proto.collector.trace.v1.TraceService/Export"),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    for (name, value) in usual.iter().chain(extra) {
        // A literal field without indexing (RFC 7541, section 6.2.2).
        headers.push(0);
        for text in [name, value] {
            headers.push(text.len() as u8);
            headers.extend_from_slice(text.as_bytes());
        }
    }
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    frame(&mut bytes, 4, 0, 0, &[]);
    frame(&mut bytes, 1, 4, 1, &headers);
    frame(&mut bytes, 0, 1, 1, body);
    bytes
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// A gateway that stands over many inputs; the next one starts anew after a failure.
struct Standing {
    runtime: Runtime,
    running: Running,
    grpc: SocketAddr,
    http: SocketAddr,
}

thread_local! {
    static STANDING: RefCell<Option<Standing>> = const { RefCell::new(None) };
}

fn with_gateway(work: impl FnOnce(&Standing)) {
    let standing = STANDING.take().unwrap_or_else(Standing::start);
    work(&standing);
    STANDING.set(Some(standing));
}

impl Standing {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let source = Source::Text { name: "fuzz".to_owned(), text: CONFIG.to_owned() };
        let config = load_with(&[source], &|_| None).unwrap_or_else(|problems| panic!("{problems}"));
        let environment = Environment {
            stores: HashMap::new(),
            clock: clock::system(),
            store_tail_bytes: 0,
            debug_output: Some(Arc::new(|_| {})),
        };
        let running = runtime.block_on(Gateway::start(&config, environment)).unwrap_or_else(|error| panic!("{error}"));
        let address = |protocol| running.address("otlp", protocol).expect("it listens");
        let (grpc, http) = (address("grpc"), address("http"));
        Self { runtime, running, grpc, http }
    }

    fn try_bytes(&self, by_grpc: bool, bytes: &[u8]) {
        let address = if by_grpc { self.grpc } else { self.http };
        self.runtime.block_on(async {
            let ended = tokio::time::timeout(PATIENCE, send(address, bytes, true)).await;
            assert!(ended.is_ok(), "the connection is kept though its client has said its last word");
            self.settled().await;
            let before = self.accepted();
            let answer = send(self.http, &http(&request(), "Connection: close\r\n"), false).await;
            assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
            assert_eq!(self.accepted(), before + 3, "a sound request is taken afterwards");
        });
    }

    fn accepted(&self) -> u64 {
        self.running.ledger().receivers.iter().map(|account| account.accepted).sum()
    }

    /// Nothing is held any more.
    async fn settled(&self) {
        let settled = async {
            loop {
                let ledger = self.running.ledger();
                assert_eq!(ledger.imbalances(), Vec::<String>::new());
                let pending: u64 = ledger.receivers.iter().map(|account| account.pending).sum();
                if self.running.budget().used() + ledger.in_flight() + pending == 0 {
                    break;
                }
                tokio::task::yield_now().await;
            }
        };
        assert!(
            tokio::time::timeout(PATIENCE, settled).await.is_ok(),
            "something is held though the connection has ended"
        );
    }
}

/// Sends, perhaps says that this was all, and reads whatever comes.
async fn send(address: SocketAddr, bytes: &[u8], is_all: bool) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let mut answer = Vec::new();
    // It may hang up before it has read everything.
    drop(stream.write_all(bytes).await);
    if is_all {
        drop(stream.shutdown().await);
    }
    drop(stream.read_to_end(&mut answer).await);
    answer
}
