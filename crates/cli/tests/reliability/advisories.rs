//! Vulnerabilities of other collectors and of the libraries below them, tried against the real program. Each test is
//! named after the advisory; those that concern decompression, keys and tokens are beside the tests of these things.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::gateway::{Gateway, Middle, Protocol, Watch, account, exporter, ledger, number, settled};
use crate::http;
use crate::process::{Process, Setup, Site};
use crate::sink::{Mode, Sink};
use crate::traffic::Traffic;
use crate::wait::{PATIENCE, eventually};

/// What a flood or an endless answer may cost, with all that the allocator keeps for a while.
const GROWTH: u64 = 64 << 20;

const QUICK: &str =
    ", timeout: 1s, retry_on_failure: {initial_interval: 50ms, max_interval: 200ms, max_elapsed_time: 0}";

/// The back end misbehaves, then is well again; the process neither grows nor loses anything.
fn survives(protocol: Protocol, mode: Mode) {
    let sink = Sink::start(mode);
    let gateway = Gateway::new(Middle::default(), &[exporter("sink", protocol, sink.address(), QUICK)]);
    let process = gateway.start();
    let traffic = Traffic::new(2, 5, 10, Duration::from_millis(20));
    let watch = Watch::start(&process);
    let before = process.peak_memory();
    traffic.flow(process.ingest(), || {
        eventually("it was tried often", || (sink.seen().requests > 40).then_some(()));
        sink.set(Mode::Well);
        eventually("it goes on", || (sink.spans() > 100).then_some(()));
    });
    let ledger = settled(&process);
    watch.end();
    let grown = process.peak_memory() - before;
    assert!(grown < GROWTH, "{} MiB more than before", grown >> 20);
    assert_eq!(traffic.missing(&sink.seen().taken).len(), 0, "acknowledged spans are lost");
    let exporters = ledger["exporters"].as_array().expect("a list");
    assert_eq!(exporters[0]["dropped"], serde_json::json!({}));
    process.stop();
}

/// Also CVE-2026-40182 (.NET) and CVE-2026-44967 (C++): exporters that read an answer as long as it comes.
#[test]
fn cve_2026_39882_an_endless_answer_is_not_read() {
    // Over HTTP the head has said that the request is taken; what follows is cut off and believed.
    let sink = Sink::start(Mode::EndlessAnswer);
    let gateway = Gateway::new(Middle::default(), &[exporter("sink", Protocol::Http, sink.address(), QUICK)]);
    let process = gateway.start();
    let before = process.peak_memory();
    let traffic = Traffic::new(2, 5, 10, Duration::from_millis(20));
    traffic.flow(process.ingest(), || {
        eventually("it was tried often", || (sink.seen().requests > 40).then_some(()));
    });
    settled(&process);
    let grown = process.peak_memory() - before;
    assert!(grown < GROWTH, "{} MiB more than before", grown >> 20);
    process.stop();
    // Over gRPC there is no success without trailers.
    survives(Protocol::Grpc, Mode::EndlessAnswer);
}

#[test]
fn cve_2026_40891_long_details_of_a_status_are_not_taken() {
    for length in [12 << 10, 200 << 10] {
        survives(Protocol::Grpc, Mode::LongDetails(length));
    }
}

#[test]
fn collector_13228_what_cannot_be_decompressed_is_a_bad_request() {
    let sink = Sink::start(Mode::Well);
    let process = Gateway::new(Middle::default(), &[exporter("sink", Protocol::Grpc, sink.address(), QUICK)]).start();
    let endless_length = [&[0x28, 0xb5, 0x2f, 0xfd, 0xe0][..], &[0xff; 8], &[1, 0, 0]].concat();
    let bodies: [(&str, &[u8]); 6] = [
        ("gzip", b""),
        ("gzip", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        ("gzip", b"\x1f\x8b\x08\xff\xff\xff"),
        ("zstd", b"\x28\xb5\x2f\xfd"),
        ("zstd", b"\x28\xb5\x2f\xfd\x00\xff\x01\x00\x00"),
        ("zstd", &endless_length),
    ];
    for (encoding, body) in bodies {
        let headers = [("Content-Type", "application/x-protobuf"), ("Content-Encoding", encoding)];
        let answer = http::send(process.otlp_http(), "POST", "/v1/traces", &headers, body);
        assert_eq!(answer.status, 400, "{encoding} {body:?}: {}", answer.text());
    }
    takes_more(&process);
    process.stop();
}

/// Fluent Bit's trace API on the port of data.
#[test]
fn cve_2024_4323_no_admin_endpoint_is_on_a_port_for_data() {
    let sink = Sink::start(Mode::Well);
    let process = Gateway::new(Middle::default(), &[exporter("sink", Protocol::Grpc, sink.address(), QUICK)]).start();
    for path in
        ["/", "/metrics", "/debug/ledger", "/debug/pipelines", "/debug/pprof/", "/api/v1/status", "/api/v1/traces"]
    {
        let answer = http::get(process.otlp_http(), path);
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
    }
    process.stop();
}

/// A path made from an attribute: nothing is written but where the configuration says.
#[test]
fn cve_2026_47256_no_path_is_made_from_an_attribute() {
    let site = Site::new(Setup { store: ", seal_spans: 1", ..Setup::default() });
    let process = site.start();
    let body = br#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"../../escaped"}}]},
        "scopeSpans":[{"spans":[{"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","spanId":"00f067aa0ba902b7","name":"/../x"}]}]}]}"#;
    let answer = http::post(process.otlp_http(), "/v1/traces", "application/json", body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    process.stop();
    let names = |folder: &std::path::Path| {
        let entries = std::fs::read_dir(folder).expect("it is there").flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&site.path("")), ["data", "rootspan.yaml"]);
    assert!(!names(&site.data()).iter().any(|name| name.contains("escaped")));
}

fn takes_more(process: &Process) {
    let traffic = Traffic::new(2, 5, 10, Duration::from_millis(5));
    traffic.flow(process.ingest(), || {
        eventually("it takes more", || (traffic.told().acknowledged.len() > 5).then_some(()));
    });
    assert_eq!(traffic.told().nothing, []);
}

/// An HTTP/2 connection of which every byte is the test's.
struct Raw(TcpStream);

impl Raw {
    /// Preface and empty settings (RFC 9113, section 3.4).
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("it is a socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("it is a socket");
        let mut raw = Self(stream);
        raw.0.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("it reads");
        assert!(raw.send(4, 0, 0, &[]), "it reads");
        raw
    }

    /// Sends a frame; whether the connection is still open.
    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        let frame = [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat();
        self.0.write_all(&frame).is_ok()
    }

    /// Reads until the server closes the connection, as it must.
    fn ends(mut self) -> bool {
        let mut buffer = [0; 4096];
        loop {
            match self.0.read(&mut buffer) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => {
                    return !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
                }
            }
        }
    }
}

/// Headers of an export, each a literal without indexing (RFC 7541, section 6.2.2).
fn export_headers() -> Vec<u8> {
    let mut headers = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/opentelemetry.proto.collector.trace.v1.TraceService/Export"),
        ("content-type", "application/grpc"),
    ] {
        headers.push(0);
        for text in [name, value] {
            headers.push(u8::try_from(text.len()).expect("short"));
            headers.extend_from_slice(text.as_bytes());
        }
    }
    headers
}

/// The server ends a connection that floods it, has not grown by it, and serves others.
fn floods(flood: impl Fn(&mut Raw) -> bool) {
    let sink = Sink::start(Mode::Well);
    let mut process =
        Gateway::new(Middle::default(), &[exporter("sink", Protocol::Grpc, sink.address(), QUICK)]).start();
    // What h2 says of the connection that it ends.
    process.expect("recv_reset; remotely-reset pending-accept streams reached limit");
    takes_more(&process);
    let before = process.peak_memory();
    let mut raw = Raw::open(process.otlp_grpc());
    let is_open = flood(&mut raw);
    assert!(!is_open || raw.ends(), "the connection is kept");
    let grown = process.peak_memory() - before;
    assert!(grown < GROWTH, "{} MiB more than before", grown >> 20);
    takes_more(&process);
    let ledger = settled(&process);
    assert_eq!(number(&account(&ledger, "receivers", "otlp")["pending"]), 0);
    process.stop();
}

/// Header blocks without an end (h2 before 0.4.4 kept them all).
#[test]
fn h2_continuation_flood_ends_the_connection() {
    floods(|raw| {
        // A HEADERS frame without END_HEADERS, then CONTINUATION frames.
        let mut is_open = raw.send(1, 0, 1, &export_headers());
        let field = [&[0, 1, b'a', 120][..], &[b'b'; 120]].concat().repeat(100);
        for _ in 0..20_000 {
            if !is_open {
                break;
            }
            is_open = raw.send(9, 0, 1, &field);
        }
        is_open
    });
}

/// Streams that are opened and reset at once; also RUSTSEC-2023-0034.
#[test]
fn cve_2023_44487_rapid_reset_ends_the_connection() {
    floods(|raw| {
        let headers = export_headers();
        for number in 0..200_000_u32 {
            let stream = 2 * number + 1;
            if !raw.send(1, 4, stream, &headers) || !raw.send(3, 0, stream, &[0, 0, 0, 8]) {
                return false;
            }
        }
        true
    });
}

/// What comes in is bounded by the ledgers, too: nothing of a flood is counted as received.
#[test]
fn a_request_that_never_ends_is_not_counted() {
    let sink = Sink::start(Mode::Well);
    let process = Gateway::new(Middle::default(), &[exporter("sink", Protocol::Grpc, sink.address(), QUICK)]).start();
    let mut raw = Raw::open(process.otlp_grpc());
    assert!(raw.send(1, 4, 1, &export_headers()));
    assert!(raw.send(0, 0, 1, &[0, 0, 0, 1, 0, 1, 2, 3]));
    drop(raw);
    takes_more(&process);
    let ledger = ledger(&process);
    let receiver = account(&ledger, "receivers", "otlp");
    assert_eq!(number(&receiver["received"]), number(&receiver["accepted"]), "{receiver}");
    process.stop();
}
