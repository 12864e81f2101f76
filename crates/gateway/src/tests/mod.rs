//! The whole gateway with real sockets: independent clients in front, the printing exporter behind.

mod advisories;
mod auth;
mod cloudfront;
mod cloudfront_files;
mod corpus;
mod forward;
mod grpc;
mod http;
mod load;
mod moving;
mod nginxlog;
mod options;
mod otlpjsonfile;
mod peers;
mod pipelines;
mod reload;
mod running;
mod signals;
mod store;
mod tls;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::clock;
use crate::config::{Source, load_with};
use crate::ledger::Snapshot;
use crate::runtime::{DrainReport, Environment, Gateway, Running};

/// Every receiver on a port of the system's choice; what arrives is printed, a line per span.
const CONFIG: &str = "
receivers:
  otlp:
    protocols:
      grpc: {endpoint: '127.0.0.1:0', max_recv_msg_size_mib: 1}
      http: {endpoint: '127.0.0.1:0', max_request_body_size: 1MiB}
  cloudfront:
    endpoint: 127.0.0.1:0
    access_key: open sesame
    routes: ['/api/items/{id}']
    max_request_body_size: 1MiB
    real_time_fields: [timestamp, c-ip, time-to-first-byte, sc-status, sc-bytes, cs-method, cs-protocol, cs-host,
      cs-uri-stem, cs-bytes, x-edge-location, x-edge-request-id, x-host-header, time-taken,
      cs-protocol-version, cs-user-agent, cs-uri-query, x-edge-response-result-type,
      x-forwarded-for, ssl-protocol, x-edge-result-type, c-port, x-edge-detailed-result-type,
      c-country, cache-behavior-path-pattern, cs-headers, primary-distribution-id, origin-fbl,
      origin-lbl, asn]
exporters:
  debug: {verbosity: normal}
extensions:
  health_check: {endpoint: '127.0.0.1:0'}
service:
  extensions: [health_check]
  telemetry: {metrics: {readers: [{pull: {exporter: {prometheus: {port: 0, without_type_suffix: true, without_units: true}}}}]}}
  pipelines:
    traces: {receivers: [otlp, cloudfront], exporters: [debug]}
";

/// Headers of a request.
type Headers<'a> = &'a [(&'a str, &'a str)];

/// A gateway under test.
struct Started {
    running: Running,
    printed: Arc<Mutex<String>>,
}

/// Starts [`CONFIG`].
async fn start() -> Started {
    start_with(CONFIG).await
}

async fn start_with(yaml: &str) -> Started {
    let printed = Arc::new(Mutex::new(String::new()));
    let output = Arc::clone(&printed);
    let print = move |text: &str| output.lock().expect("nobody panics while printing").push_str(text);
    Started { running: start_printing(yaml, Arc::new(print)).await, printed }
}

async fn start_printing(yaml: &str, print: Arc<dyn Fn(&str) + Send + Sync>) -> Running {
    let source = Source::Text { name: "test".to_owned(), text: yaml.to_owned() };
    let config = load_with(&[source], &|_| None).unwrap_or_else(|problems| panic!("{problems}"));
    let environment =
        Environment { stores: HashMap::new(), clock: clock::system(), store_tail_bytes: 0, debug_output: Some(print) };
    Gateway::start(&config, environment).await.unwrap_or_else(|error| panic!("{error}"))
}

impl Started {
    fn address(&self, component: &str, protocol: &str) -> SocketAddr {
        self.running.address(component, protocol).expect("it listens")
    }

    /// What was printed so far.
    fn printed(&self) -> String {
        self.printed.lock().expect("nobody panics while printing").clone()
    }

    /// The accounts, which must balance.
    fn ledger(&self) -> Snapshot {
        let snapshot = self.running.ledger();
        assert_eq!(snapshot.imbalances(), Vec::<String>::new());
        snapshot
    }

    /// Drains; everything must have gone where it was to go, and no byte may stay reserved.
    async fn finish(self) -> DrainReport {
        let budget = Arc::clone(self.running.budget());
        let report = self.running.shutdown(Duration::from_secs(20)).await;
        assert!(report.complete, "{report:?}");
        assert_eq!(report.ledger.imbalances(), Vec::<String>::new());
        assert_eq!(report.ledger.in_flight(), 0);
        assert_eq!(budget.used(), 0, "a buffer outlived its batch");
        report
    }
}

/// A request with one span for each name.
fn request(names: &[&str]) -> ExportTraceServiceRequest {
    let text = |text: &str| Some(AnyValue { value: Some(any_value::Value::StringValue(text.to_owned())) });
    let attribute = |key: &str, value: &str| KeyValue { key: key.to_owned(), value: text(value), ..Default::default() };
    let span = |(index, name): (usize, &&str)| Span {
        trace_id: vec![7; 16],
        span_id: vec![index as u8 + 1; 8],
        name: (*name).to_owned(),
        start_time_unix_nano: 1_000_000_000,
        end_time_unix_nano: 1_005_000_000,
        attributes: vec![attribute("k", "v")],
        ..Default::default()
    };
    let spans = names.iter().enumerate().map(span).collect();
    let resource = Resource { attributes: vec![attribute("service.name", "shop")], ..Default::default() };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![ScopeSpans { spans, ..Default::default() }],
            ..Default::default()
        }],
    }
}

/// The line that the printer writes for a span of [`request`].
fn line_of(index: u8, name: &str) -> String {
    let (trace, span) = ("07".repeat(16), format!("{index:02x}").repeat(8));
    format!("shop {name} {trace} {span} unspecified unset 5ms k=v\n")
}

/// An HTTP answer.
#[derive(Debug)]
struct HttpAnswer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl HttpAnswer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends a request as bytes, so that it can be wrong in any way, and reads the answer.
async fn http(address: SocketAddr, method: &str, path: &str, headers: Headers<'_>, body: &[u8]) -> HttpAnswer {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";
    let mut stream = TcpStream::connect(address).await.expect("the gateway listens");
    stream.write_all(&[head.as_bytes(), body].concat()).await.expect("the gateway reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("the gateway answers");
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("an answer has a head");
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("an answer has a status");
    HttpAnswer { status, head, body: answer[end + 4..].to_vec() }
}

fn gzip(data: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).expect("memory takes everything");
    encoder.finish().expect("memory takes everything")
}
