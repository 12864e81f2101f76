use expect_test::{Expect, expect};

use crate::config::{Source, load_with};
use crate::plan::plan;

const COMPONENTS: &str = "
receivers:
  otlp: {protocols: {grpc: }}
  cloudfront: {access_key: k}
processors:
  batch:
  probabilistic_sampler: {sampling_percentage: 10}
  attributes: {exclude: {match_type: strict, span_names: [a]}, actions: [{key: k, action: delete}]}
exporters:
  debug:
  store: {directory: d}
  otlphttp: {traces_endpoint: 'http://back:4318/v1/traces'}
connectors:
  forward:
  forward/b:
  forward/c:
service:
  pipelines:
";

fn source(pipelines: &str) -> Source {
    Source::Text { name: "t".to_owned(), text: format!("{COMPONENTS}{pipelines}") }
}

#[track_caller]
fn check_problems(pipelines: &str, expected: &Expect) {
    let problems = load_with(&[source(pipelines)], &|_| None).expect_err("has mistakes");
    expected.assert_eq(&format!("{problems}\n"));
}

#[test]
fn a_component_is_refused_where_it_does_not_carry_the_signal() {
    check_problems(
        "    metrics: {receivers: [otlp, cloudfront], processors: [batch, probabilistic_sampler, attributes], exporters: [store, debug]}
    logs: {receivers: [otlp], exporters: [otlphttp]}
    profiles: {receivers: [otlp], exporters: [debug]}
",
        &expect![[r#"
            t:19:33: the receiver `cloudfront` cannot be in the pipeline `metrics`: it carries traces only
            t:19:66: the processor `probabilistic_sampler` cannot be in the pipeline `metrics`: it carries traces only
            t:19:89: the processor `attributes` cannot be in the pipeline `metrics`: `span_names` in `include` or `exclude` names spans, and there are none
            t:19:114: the exporter `store` cannot be in the pipeline `metrics`: it carries traces only
            t:20:43: the exporter `otlphttp` cannot be in the pipeline `logs`: it has neither `endpoint` nor `logs_endpoint`
            t:21:5: the pipeline `profiles` carries profiles: rootspan carries traces, metrics and logs
        "#]],
    );
}

#[test]
fn a_connector_has_two_ends_of_one_signal() {
    check_problems(
        "    traces/in: {receivers: [otlp], exporters: [forward, forward/b]}
    logs/out: {receivers: [forward], exporters: [debug]}
    traces/out: {receivers: [forward/b, forwrad], exporters: [debug]}
",
        &expect![[r#"
            t:19:48: the connector `forward` is used as exporter of traces pipelines, but no traces pipeline has it as receiver: it must be both
            t:20:28: the connector `forward` is used as receiver of logs pipelines, but no logs pipeline has it as exporter: it must be both
            t:21:41: the receiver `forwrad` is not defined under `receivers`
        "#]],
    );
}

#[test]
fn circles_are_refused_with_their_path() {
    check_problems(
        "    traces/a: {receivers: [otlp, forward/c], exporters: [forward, debug]}
    traces/b: {receivers: [forward], exporters: [forward/b]}
    traces/c: {receivers: [forward/b], exporters: [forward/c, debug]}
    traces/d: {receivers: [forward/b], exporters: [debug]}
    logs: {receivers: [otlp, forward], exporters: [forward]}
",
        &expect![[r#"
            t:19:5: the pipelines lead in a circle: traces/a → forward → traces/b → forward/b → traces/c → forward/c → traces/a
            t:23:5: the pipelines lead in a circle: logs → forward → logs
        "#]],
    );
}

#[test]
fn an_id_is_a_connector_or_something_else() {
    let text = "receivers: {forward: {}, otlp: {protocols: {grpc: }}}\nconnectors: {forward: {}}\nexporters: {debug: }\n\
                service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}";
    let source = Source::Text { name: "t".to_owned(), text: text.to_owned() };
    let problems = load_with(&[source], &|_| None).expect_err("has mistakes");
    expect![[r#"
        `forward` is defined both under `connectors` and under `receivers`
        t:1:13: unknown receiver `forward`
    "#]]
    .assert_eq(&format!("{problems}\n"));
}

#[test]
fn connected_pipelines_are_planned() {
    let pipelines = "    traces/in: {receivers: [otlp], processors: [batch], exporters: [forward, debug]}
    traces/x: {receivers: [otlp, forward], exporters: [debug]}
    traces/y: {receivers: [forward], exporters: [otlphttp]}
    metrics: {receivers: [otlp], exporters: [debug]}
";
    let config = load_with(&[source(pipelines)], &|_| None).unwrap_or_else(|problems| panic!("{problems}"));
    let plan = plan(&config);
    assert!(plan.merging_before(crate::ledger::ExporterIndex(1)).is_some(), "`batch` works across connectors");
    expect![[r#"
        receiver otlp
          listens grpc localhost:4317
        pipeline traces/in
          from otlp
          merged at delivery up to 8192 spans or 200ms, acknowledged behind it
          to debug
          to traces/x by the connector forward
          to traces/y by the connector forward
        pipeline traces/x
          from otlp
          from the connector forward
          to debug
        pipeline traces/y
          from the connector forward
          to otlphttp
        pipeline metrics
          from otlp
          to debug
        exporter debug for traces: no queue, acknowledged when printed
        exporter otlphttp to http://back:4318/v1/traces: a queue of 1000 requests in memory, 10 at a time, acknowledged when queued
        exporter debug for metrics: no queue, acknowledged when printed
    "#]]
    .assert_eq(&plan.to_string());
}
