use expect_test::{Expect, expect};

use super::*;
use crate::config::{DefaultSettings, Source, load_with};

#[track_caller]
fn check(source: Source, expected: &Expect) {
    let config = load_with(&[source], &|_| None).unwrap_or_else(|problems| panic!("{problems}"));
    expected.assert_eq(&plan(&config).to_string());
}

#[test]
fn the_built_in_configuration() {
    check(
        Source::built_in(&DefaultSettings::default()),
        &expect![[r#"
            receiver otlp
              listens grpc 127.0.0.1:4317
              listens http 127.0.0.1:4318
            pipeline traces
              from otlp
              to store
            exporter store: no queue, acknowledged when on disk in ./rootspan-data
            extension health_check listens 127.0.0.1:13133
            extension ui listens 127.0.0.1:16686
        "#]],
    );
}

#[test]
fn components_are_shared_and_unused_ones_do_not_run() {
    let text = "
receivers:
  otlp: {protocols: {grpc: }}
  otlp/unused: {protocols: {http: }}
  cloudfront: {access_key: k}
processors:
  memory_limiter: {limit_mib: 512}
  memory_limiter/share: {limit_percentage: 50}
  batch: {timeout: 1s}
exporters:
  debug:
  store: {directory: /data}
service:
  pipelines:
    traces:
      receivers: [otlp, cloudfront]
      processors: [memory_limiter, batch]
      exporters: [store, debug]
    traces/edge:
      receivers: [cloudfront]
      processors: [memory_limiter/share]
      exporters: [debug]
";
    check(
        Source::Text { name: "t".to_owned(), text: text.to_owned() },
        &expect![[r#"
            memory limit 512 MiB
            memory limit 50 % of the control group's
            receiver otlp
              listens grpc localhost:4317
            receiver cloudfront
              listens http 127.0.0.1:4433
            pipeline traces
              from otlp
              from cloudfront
              merged at delivery up to 8192 spans or 1s, acknowledged behind it
              to store
              to debug
            pipeline traces/edge
              from cloudfront
              to debug
            exporter store: no queue, acknowledged when on disk in /data
            exporter debug: no queue, acknowledged when printed
        "#]],
    );
}

#[test]
fn the_example_that_forwards() {
    check(
        Source::Text {
            name: "forward.yaml".to_owned(),
            text: include_str!("../../../../docs/examples/forward.yaml").to_owned(),
        },
        &expect![[r#"
            memory limit 512 MiB
            receiver otlp
              listens grpc localhost:4317
              listens http localhost:4318
            pipeline traces
              from otlp
              one pass: resourcedetection, resource, attributes, probabilistic_sampler
              merged at delivery up to 8192 spans or 200ms, acknowledged behind it
              to store
              to otlp
            exporter store: no queue, acknowledged when on disk in ./rootspan-data
            exporter otlp to tempo:4317: a queue of 100000000 bytes in memory, 10 at a time, acknowledged when queued
        "#]],
    );
}
