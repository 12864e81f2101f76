//! OTLP as others speak it: tonic and the official generated types, and JSON written after the specification.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;
use serde_json::{Value, json};
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;

use crate::api;
use crate::http::{Answer, post};
use crate::process::Process;

/// Now, in nanoseconds.
pub(crate) fn now() -> u64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("it is past 1970");
    u64::try_from(since.as_nanos()).expect("it is before 2554")
}

/// A trace id that no other test uses.
pub(crate) fn trace_id(seed: &str, number: u64) -> Vec<u8> {
    let mut id = seed.as_bytes().to_vec();
    id.resize(8, b'.');
    id.extend(number.to_be_bytes());
    id
}

/// A plain server span of 10 ms that began at `start`.
pub(crate) fn span(trace_id: &[u8], number: u64, start: u64) -> Span {
    Span {
        trace_id: trace_id.to_vec(),
        span_id: number.to_be_bytes().to_vec(),
        name: format!("GET /items/{number}"),
        kind: SpanKind::Server.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: start + 10_000_000,
        ..Span::default()
    }
}

/// A request with spans of one service.
pub(crate) fn request(service: &str, spans: Vec<Span>) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource { attributes: vec![attribute("service.name", service)], ..Resource::default() }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: "it".into(),
                    version: "1".into(),
                    ..InstrumentationScope::default()
                }),
                spans,
                schema_url: String::new(),
            }],
            schema_url: String::new(),
        }],
    }
}

/// A string attribute.
pub(crate) fn attribute(key: &str, value: &str) -> KeyValue {
    any(key, Any::StringValue(value.to_owned()))
}

/// An attribute of any type.
pub(crate) fn any(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// A client of OTLP over gRPC.
pub(crate) async fn client(address: SocketAddr, encoding: Option<CompressionEncoding>) -> TraceServiceClient<Channel> {
    let client = TraceServiceClient::connect(format!("http://{address}")).await.expect("the server listens");
    match encoding {
        Some(encoding) => client.send_compressed(encoding),
        None => client,
    }
}

/// Sends a request over gRPC.
pub(crate) fn export_grpc(
    address: SocketAddr,
    request: ExportTraceServiceRequest,
) -> Result<ExportTraceServiceResponse, tonic::Status> {
    runtime().block_on(async { Ok(client(address, None).await.export(request).await?.into_inner()) })
}

/// Sends a request over HTTP as protobuf.
pub(crate) fn export_http(address: SocketAddr, request: &ExportTraceServiceRequest) -> Answer {
    post(address, "/v1/traces", "application/x-protobuf", &request.encode_to_vec())
}

/// Sends a request over HTTP as JSON.
pub(crate) fn export_json(address: SocketAddr, body: &[u8]) -> Answer {
    post(address, "/v1/traces", "application/json", body)
}

/// A runtime for tonic.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made")
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The request in OTLP's JSON encoding (OTLP specification, "JSON Protobuf Encoding").
pub(crate) fn json_of(request: &ExportTraceServiceRequest) -> Value {
    let scope_spans = |scope_spans: &ScopeSpans| {
        json!({
            "scope": scope_spans.scope.as_ref().map(scope),
            "schemaUrl": scope_spans.schema_url,
            "spans": scope_spans.spans.iter().map(span_json).collect::<Vec<_>>(),
        })
    };
    let resource_spans = |resource_spans: &ResourceSpans| {
        json!({
            "resource": resource_spans.resource.as_ref().map(|resource| json!({
                "attributes": attributes(&resource.attributes),
                "droppedAttributesCount": resource.dropped_attributes_count,
            })),
            "schemaUrl": resource_spans.schema_url,
            "scopeSpans": resource_spans.scope_spans.iter().map(scope_spans).collect::<Vec<_>>(),
        })
    };
    json!({ "resourceSpans": request.resource_spans.iter().map(resource_spans).collect::<Vec<_>>() })
}

fn scope(scope: &InstrumentationScope) -> Value {
    json!({
        "name": scope.name,
        "version": scope.version,
        "attributes": attributes(&scope.attributes),
        "droppedAttributesCount": scope.dropped_attributes_count,
    })
}

fn span_json(span: &Span) -> Value {
    let status = |status: &Status| json!({"code": status.code, "message": status.message});
    json!({
        "traceId": hex(&span.trace_id),
        "spanId": hex(&span.span_id),
        "traceState": span.trace_state,
        "parentSpanId": hex(&span.parent_span_id),
        "flags": span.flags,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": span.start_time_unix_nano.to_string(),
        "endTimeUnixNano": span.end_time_unix_nano.to_string(),
        "attributes": attributes(&span.attributes),
        "droppedAttributesCount": span.dropped_attributes_count,
        "events": span.events.iter().map(event).collect::<Vec<_>>(),
        "droppedEventsCount": span.dropped_events_count,
        "links": span.links.iter().map(link).collect::<Vec<_>>(),
        "droppedLinksCount": span.dropped_links_count,
        "status": span.status.as_ref().map(status),
    })
}

fn event(event: &Event) -> Value {
    json!({
        "timeUnixNano": event.time_unix_nano.to_string(),
        "name": event.name,
        "attributes": attributes(&event.attributes),
        "droppedAttributesCount": event.dropped_attributes_count,
    })
}

fn link(link: &Link) -> Value {
    json!({
        "traceId": hex(&link.trace_id),
        "spanId": hex(&link.span_id),
        "traceState": link.trace_state,
        "attributes": attributes(&link.attributes),
        "droppedAttributesCount": link.dropped_attributes_count,
        "flags": link.flags,
    })
}

fn attributes(attributes: &[KeyValue]) -> Vec<Value> {
    attributes
        .iter()
        .map(|attribute| json!({"key": attribute.key, "value": attribute.value.as_ref().map(any_json)}))
        .collect()
}

fn any_json(value: &AnyValue) -> Value {
    match value.value.as_ref() {
        None => json!({}),
        Some(Any::StringValue(text)) => json!({ "stringValue": text }),
        Some(Any::BoolValue(value)) => json!({ "boolValue": value }),
        Some(Any::IntValue(number)) => json!({ "intValue": number.to_string() }),
        Some(Any::DoubleValue(number)) => json!({ "doubleValue": number }),
        Some(Any::BytesValue(bytes)) => json!({ "bytesValue": STANDARD.encode(bytes) }),
        Some(Any::ArrayValue(array)) => {
            json!({ "arrayValue": {"values": array.values.iter().map(any_json).collect::<Vec<_>>()} })
        }
        Some(Any::KvlistValue(list)) => json!({ "kvlistValue": {"values": attributes(&list.values)} }),
        Some(other) => panic!("not a value of a trace: {other:?}"),
    }
}

/// A body in a content encoding.
pub(crate) fn compress(encoding: &str, body: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    match encoding {
        "identity" => body.to_vec(),
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(body).expect("memory");
            encoder.finish().expect("memory")
        }
        "zstd" => zstd::encode_all(body, 3).expect("memory"),
        other => panic!("{other} is not tested"),
    }
}

/// `google.rpc.Status`, the body of every refusal over HTTP.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RpcStatus {
    /// A status code of gRPC.
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
    /// What is wrong.
    #[prost(string, tag = "2")]
    pub(crate) message: String,
}

/// Sends any bytes as the message of the export method; gives the status if it is not OK.
pub(crate) fn export_raw(
    address: SocketAddr,
    encoding: Option<CompressionEncoding>,
    message: Vec<u8>,
) -> Result<(), tonic::Status> {
    runtime().block_on(async {
        let endpoint = Channel::from_shared(format!("http://{address}")).expect("an address");
        let mut client = tonic::client::Grpc::new(endpoint.connect().await.expect("the server listens"));
        if let Some(encoding) = encoding {
            client = client.send_compressed(encoding);
        }
        client.ready().await.expect("the connection is open");
        let path = http::uri::PathAndQuery::from_static("/opentelemetry.proto.collector.trace.v1.TraceService/Export");
        client.unary(tonic::Request::new(message), path, RawCodec).await.map(drop)
    })
}

/// A message is its bytes.
#[derive(Clone, Copy, Debug)]
struct RawCodec;

impl tonic::codec::Codec for RawCodec {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl tonic::codec::Encoder for RawCodec {
    type Item = Vec<u8>;
    type Error = tonic::Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut tonic::codec::EncodeBuf<'_>) -> Result<(), tonic::Status> {
        bytes::BufMut::put_slice(buffer, &item);
        Ok(())
    }
}

impl tonic::codec::Decoder for RawCodec {
    type Item = Vec<u8>;
    type Error = tonic::Status;

    fn decode(&mut self, buffer: &mut tonic::codec::DecodeBuf<'_>) -> Result<Option<Vec<u8>>, tonic::Status> {
        use bytes::Buf as _;
        let mut item = vec![0; buffer.remaining()];
        buffer.copy_to_slice(&mut item);
        Ok(Some(item))
    }
}

/// The process is well: it takes a request by each transport and finds it again.
pub(crate) fn check_takes_more(process: &Process) {
    let (grpc, http) = (trace_id("after", 1), trace_id("after", 2));
    let sent = request("after", vec![span(&grpc, 1, now())]);
    export_grpc(process.otlp_grpc(), sent.clone()).expect("it is accepted");
    assert_eq!(api::trace(process.ui(), &hex(&grpc)).expect("it is found"), api::expected(&[sent], &grpc));
    let sent = request("after", vec![span(&http, 1, now())]);
    assert_eq!(export_http(process.otlp_http(), &sent).status, 200);
    assert_eq!(api::trace(process.ui(), &hex(&http)).expect("it is found"), api::expected(&[sent], &http));
}
