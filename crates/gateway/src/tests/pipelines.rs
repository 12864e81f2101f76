//! `/debug/pipelines`: the graph as it runs, for people and for programs, on the port of the metrics alone.

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use serde_json::Value;

use super::*;

/// Two processors that are fused, a name that is hostile, and two exporters.
const GRAPH: &str = "
receivers: {otlp: {protocols: {grpc: {endpoint: '127.0.0.1:0'}, http: {endpoint: '127.0.0.1:0'}}}}
processors:
  resource: {attributes: [{key: a, value: b, action: upsert}]}
  attributes: {actions: [{key: c, value: d, action: upsert}]}
  batch: {timeout: 10ms}
exporters:
  debug:
  otlp/<i>: {endpoint: 'http://me:hunter2@127.0.0.1:1', retry_on_failure: {enabled: false}}
service:
  telemetry: {metrics: {readers: [{pull: {exporter: {prometheus: {port: 0}}}}]}}
  pipelines:
    traces: {receivers: [otlp], processors: [resource, attributes, batch], exporters: [debug, otlp/<i>]}
";

#[tokio::test]
async fn the_page_shows_the_graph_and_nothing_that_is_hostile_or_secret() {
    let started = start_with(GRAPH).await;
    let mut client =
        TraceServiceClient::connect(format!("http://{}", started.address("otlp", "grpc"))).await.expect("it listens");
    client.export(request(&["one", "two"])).await.expect("is accepted");
    let metrics = started.address("metrics", "http");

    let answer = http(metrics, "GET", "/debug/pipelines?format=json", &[], b"").await;
    let json: Value = serde_json::from_slice(&answer.body).expect("is JSON");
    assert_eq!(json["receivers"][0]["totals"]["accepted"], 2, "{json:#}");
    assert_eq!(json["pipelines"][0]["passes"], serde_json::json!([["resource", "attributes"]]));
    assert_eq!(json["pipelines"][0]["to"], serde_json::json!(["debug", "otlp/<i>"]));
    assert_eq!(json["exporters"][0]["totals"]["delivered"], 2);
    assert!(json["memory"]["limit_bytes"].as_u64() > Some(0));

    let answer = http(metrics, "GET", "/debug/pipelines", &[], b"").await;
    let page = answer.text();
    assert!(answer.head.contains("content-security-policy: default-src 'none'"), "{}", answer.head);
    assert!(page.contains("otlp/&lt;i&gt;") && !page.contains("<i>"), "{page}");
    assert!(page.contains("fused into one pass"), "{page}");
    assert!(!page.contains("hunter2") && !json.to_string().contains("hunter2"));
    for address in [started.address("otlp", "http")] {
        assert_eq!(http(address, "GET", "/debug/pipelines", &[], b"").await.status, 404, "not where data comes in");
    }
    started.running.shutdown(Duration::from_millis(500)).await;
}
