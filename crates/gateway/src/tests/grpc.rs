//! OTLP over gRPC: tonic as the independent client, and h2 for what tonic would never send.

use bytes::{BufMut as _, Bytes, BytesMut};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message as _;
use tonic::codec::CompressionEncoding;

use super::*;
use crate::ledger::RefusalReason;

async fn client(started: &Started) -> TraceServiceClient<tonic::transport::Channel> {
    let address = started.address("otlp", "grpc");
    TraceServiceClient::connect(format!("http://{address}")).await.expect("the gateway listens")
}

#[tokio::test]
async fn tonic_is_understood_with_and_without_compression() {
    let started = start().await;
    let client = client(&started).await;
    let mut expected = Vec::new();
    for (index, compression) in
        [None, Some(CompressionEncoding::Gzip), Some(CompressionEncoding::Zstd)].into_iter().enumerate()
    {
        let mut client = client.clone();
        if let Some(compression) = compression {
            client = client.send_compressed(compression);
        }
        let name = format!("span-{index}");
        let response = client.export(request(&[&name])).await.expect("is accepted").into_inner();
        assert_eq!(response.partial_success, None);
        expected.push(line_of(1, &name));
    }
    for line in expected {
        assert!(started.printed().contains(&line), "{line} is not in {}", started.printed());
    }
    assert_eq!(started.ledger().receivers[0].accepted, 3);
    drop(client);
    started.finish().await;
}

#[tokio::test]
async fn bad_spans_are_left_out_and_the_sender_is_told() {
    let started = start().await;
    let mut request = request(&["good", "bad", "fine"]);
    request.resource_spans[0].scope_spans[0].spans[1].span_id = vec![0; 8];
    let response = client(&started).await.export(request).await.expect("is accepted").into_inner();
    let partial = response.partial_success.expect("one span was rejected");
    assert_eq!(partial.rejected_spans, 1);
    assert!(partial.error_message.contains("all zeroes"), "{}", partial.error_message);
    assert!(started.printed().contains(&line_of(1, "good")) && started.printed().contains(&line_of(3, "fine")));
    let ledger = started.ledger();
    assert_eq!((ledger.receivers[0].accepted, ledger.receivers[0].rejected), (2, 1));
    started.finish().await;
}

#[tokio::test]
async fn messages_over_the_limit_are_refused_for_good() {
    let started = start().await;
    let long = "x".repeat(2 << 20);
    for compression in [None, Some(CompressionEncoding::Gzip), Some(CompressionEncoding::Zstd)] {
        let mut client = client(&started).await;
        if let Some(compression) = compression {
            client = client.send_compressed(compression);
        }
        let status = client.export(request(&[&long])).await.expect_err("is too long");
        assert_eq!(status.code(), tonic::Code::ResourceExhausted, "{status:?}");
        assert!(status.message().contains("max_recv_msg_size_mib"), "{status:?}");
        assert!(status.details().is_empty(), "no hint to try again");
    }
    assert_eq!(started.ledger().receivers[0].refused_requests.of(RefusalReason::TooLarge), 3);
    started.finish().await;
}

#[tokio::test]
async fn other_methods_are_unimplemented() {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest as Any;
    let started = start().await;
    for path in ["/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", "/grpc.health.v1.Health/Check"] {
        let answer =
            raw(&started, path, &[("content-type", "application/grpc")], &framed(0, &Any::default().encode_to_vec()))
                .await;
        assert_eq!(answer.status(), "12", "{path}");
    }
    started.finish().await;
}

pub(super) const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const GRPC: (&str, &str) = ("content-type", "application/grpc");

/// Headers of the answer, and its trailers if it has any.
#[derive(Debug)]
pub(super) struct RawAnswer {
    http_status: u16,
    headers: ::http::HeaderMap,
    trailers: Option<::http::HeaderMap>,
}

impl RawAnswer {
    fn field(&self, name: &str) -> &str {
        let trailers = self.trailers.as_ref().and_then(|trailers| trailers.get(name));
        trailers.or_else(|| self.headers.get(name)).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(super) fn status(&self) -> &str {
        self.field("grpc-status")
    }
}

/// A message with its prefix.
pub(super) fn framed(flag: u8, message: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(flag);
    out.put_u32(message.len() as u32);
    out.put_slice(message);
    out.freeze()
}

/// Sends one request with any headers and body over h2.
pub(super) async fn raw(started: &Started, path: &str, headers: &[(&str, &str)], body: &[u8]) -> RawAnswer {
    let stream = TcpStream::connect(started.address("otlp", "grpc")).await.expect("the gateway listens");
    let (send, connection) = h2::client::handshake(stream).await.expect("the gateway speaks HTTP/2");
    let connection = tokio::spawn(connection);
    let mut request = ::http::Request::builder().method("POST").uri(format!("http://gateway{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut send = send.ready().await.expect("the connection is open");
    let (response, mut body_stream) =
        send.send_request(request.body(()).expect("is a request"), false).expect("the connection is open");
    body_stream.send_data(Bytes::copy_from_slice(body), true).expect("the stream is open");
    let response = response.await.expect("the gateway answers");
    let http_status = response.status().as_u16();
    let headers = response.headers().clone();
    let mut answer_body = response.into_body();
    while let Some(data) = answer_body.data().await {
        data.expect("the answer is complete");
    }
    let trailers = answer_body.trailers().await.expect("the answer is complete");
    connection.abort();
    RawAnswer { http_status, headers, trailers }
}

/// What is wrong, headers, body; `grpc-status` and a part of `grpc-message`.
type Case<'a> = (&'a str, Headers<'a>, &'a [u8], &'a str, &'a str);

#[tokio::test]
async fn what_is_not_grpc_is_answered_and_does_no_harm() {
    let started = start().await;
    let good = request(&["late"]).encode_to_vec();
    let two_messages = [framed(0, &good), framed(0, &good)].concat();
    let cut = framed(0, &good).slice(..20);
    let cases: &[Case<'_>] = &[
        ("no body", &[GRPC], b"", "3", "ends before"),
        ("cut off", &[GRPC], &cut, "3", "ends before"),
        ("two messages", &[GRPC], &two_messages, "3", "more than one"),
        ("unknown flag", &[GRPC], &framed(7, &good), "3", "does not begin"),
        ("compressed without encoding", &[GRPC], &framed(1, &good), "3", "does not say how"),
        ("unknown encoding", &[GRPC, ("grpc-encoding", "br")], &framed(1, &good), "12", "br"),
        ("not gzip", &[GRPC, ("grpc-encoding", "gzip")], &framed(1, &good), "3", "decompressed"),
        ("not protobuf", &[GRPC], &framed(0, b"\xff\xff\xff"), "3", "not a valid"),
        ("JSON", &[("content-type", "application/grpc+json")], &framed(0, b"{}"), "12", "protobuf"),
        ("length that lies", &[GRPC], &[0, 0xff, 0xff, 0xff, 0xff], "8", "longer than the limit"),
    ];
    for (name, headers, body, status, message) in cases {
        let answer = raw(&started, EXPORT, headers, body).await;
        assert_eq!((answer.http_status, answer.status()), (200, *status), "{name}: {answer:?}");
        assert!(answer.field("grpc-message").contains(message), "{name}: {answer:?}");
    }
    let answer = raw(&started, EXPORT, &[("content-type", "text/html")], b"<html>").await;
    assert_eq!(answer.http_status, 415);
    // Uncompressed although an encoding is named: allowed by the protocol.
    let answer =
        raw(&started, EXPORT, &[GRPC, ("grpc-encoding", "gzip"), ("grpc-timeout", "1n")], &framed(0, &good)).await;
    assert_eq!(answer.status(), "0", "{answer:?}");
    assert!(started.printed().contains(&line_of(1, "late")));
    started.finish().await;
}

#[tokio::test]
async fn compression_bombs_stop_at_the_limit() {
    let started = start().await;
    let zeroes = vec![0; 64 << 20];
    for (encoding, bomb) in [("gzip", gzip(&zeroes)), ("zstd", zstd::bulk::compress(&zeroes, 1).expect("compresses"))] {
        assert!(bomb.len() < 1 << 20);
        let answer = raw(&started, EXPORT, &[GRPC, ("grpc-encoding", encoding)], &framed(1, &bomb)).await;
        assert_eq!(answer.status(), "8", "{answer:?}");
    }
    started.finish().await;
}

#[tokio::test]
async fn a_peer_that_speaks_something_else_is_let_go() {
    let started = start().await;
    let answer = tokio::time::timeout(Duration::from_secs(20), async {
        let mut stream = TcpStream::connect(started.address("otlp", "grpc")).await.expect("the gateway listens");
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("the gateway reads");
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer).await);
    });
    answer.await.expect("the connection ends");
    started.finish().await;
}

#[tokio::test]
async fn idle_and_old_connections_are_ended() {
    for parameter in ["max_connection_idle: 10ms", "max_connection_age: 10ms, max_connection_age_grace: 1s"] {
        let keepalive = format!("grpc: {{keepalive: {{server_parameters: {{{parameter}}}}}, endpoint");
        let started = start_with(&CONFIG.replace("grpc: {endpoint", &keepalive)).await;
        let stream = TcpStream::connect(started.address("otlp", "grpc")).await.expect("the gateway listens");
        let (_send, connection) = h2::client::handshake(stream).await.expect("the gateway speaks HTTP/2");
        let ended = tokio::time::timeout(Duration::from_secs(20), connection).await;
        assert!(ended.is_ok(), "{parameter}: the connection is still open");
        started.finish().await;
    }
}
