use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use prost::Message;

use super::*;

#[test]
fn export_responses() {
    let none = Rejected::default();
    assert_eq!(export_response_protobuf(&none), b"");
    assert_eq!(export_response_json(Signal::Traces, &none), b"{}");
    let some = Rejected { items: 300, first_reason: "span 1: \"odd\"".into() };
    let response = ExportTraceServiceResponse::decode(&export_response_protobuf(&some)[..]).expect("well-formed");
    let expected = ExportTracePartialSuccess { rejected_spans: 300, error_message: some.first_reason.clone() };
    assert_eq!(response.partial_success, Some(expected));
    assert_eq!(
        String::from_utf8(export_response_json(Signal::Traces, &some)).expect("text"),
        r#"{"partialSuccess":{"rejectedSpans":"300","errorMessage":"span 1: \"odd\""}}"#
    );
}

#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(message, optional, tag = "2")]
    value: Option<RetryInfo>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Delay>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[test]
fn statuses() {
    let status = Status {
        code: Code::ResourceExhausted,
        message: "queue full".into(),
        retry_after: Some(Duration::from_millis(1500)),
    };
    let read = RpcStatus::decode(&status.to_protobuf()[..]).expect("well-formed");
    let delay = Delay { seconds: 1, nanos: 500_000_000 };
    let any = Any { type_url: RETRY_INFO.into(), value: Some(RetryInfo { retry_delay: Some(delay) }) };
    assert_eq!(read, RpcStatus { code: 8, message: "queue full".into(), details: vec![any] });
    assert_eq!(
        String::from_utf8(status.to_json()).expect("text"),
        r#"{"code":8,"message":"queue full","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.500000000s"}]}"#
    );
    let plain = Status { code: Code::InvalidArgument, message: "no".into(), retry_after: None };
    assert_eq!(plain.to_json(), br#"{"code":3,"message":"no"}"#);
}
