use std::collections::BTreeMap;

use expect_test::expect_file;

use super::*;
use crate::config::yaml::to_yaml;
use crate::config::{Source, load_tree};

fn source(text: &str) -> Source {
    Source::Text { name: "gateway.yaml".to_owned(), text: text.to_owned() }
}

fn variables(name: &str) -> Option<String> {
    let known = BTreeMap::from([
        ("KEY", "hunter2 $x"),
        ("PORT", "0123"),
        ("PROTOCOLS", "{grpc: {endpoint: 'localhost:1'}}"),
        ("QUEUE", "enabled: false"),
    ]);
    known.get(name).map(|value| (*value).to_owned())
}

fn tree(text: &str) -> Node {
    let (config, root) = load_tree(&[source(text)], &variables).unwrap_or_else(|problems| panic!("{problems}"));
    effective(&config, &root)
}

const TEXT: &str = "
receivers:
  jaeger: null
  otlp: {protocols: '${PROTOCOLS}'}
  cloudfront: {access_key: '${KEY}', routes: ['/a/{id}', '*'], service_name: '${PORT}x'}
processors:
  batch:
  resource: {attributes: [{key: a, value: '1', action: insert}, {key: b, value: 1, action: insert}, {key: password, value: 'x: y', action: insert}]}
exporters:
  debug:
  otlp:
    endpoint: 'http://me:hunter2@tempo:4317'
    headers: {authorization: 'Bearer ${KEY}', x-tenant: 'hunter2'}
    sending_queue: '${QUEUE}'
    tls: {insecure: true}
extensions:
  ui: {auth: {basic: {username: 'O''Neill \\ $$1', password: 'hunter2'}}}
service:
  extensions: [ui]
  pipelines:
    traces: {receivers: [otlp, cloudfront], processors: [resource, batch], exporters: [debug, otlp]}
";

#[test]
fn defaults_are_filled_in_and_secrets_are_not_shown() {
    let yaml = to_yaml(&tree(TEXT));
    assert!(!yaml.contains("hunter2"), "{yaml}");
    expect_file!["printed.yaml"].assert_eq(&yaml);
}

#[test]
fn what_is_printed_loads_again_and_prints_the_same() {
    let first = tree(TEXT);
    let yaml = to_yaml(&first);
    assert_eq!(to_yaml(&tree(&yaml)), yaml);
    let json = to_json(&first).to_string();
    assert_eq!(to_yaml(&tree(&json)), yaml);
}

#[test]
fn passwords_in_addresses_are_found() {
    assert_eq!(without_password("http://a:b@c/d").as_deref(), Some("http://a:[REDACTED]@c/d"));
    assert_eq!(without_password("http://a:b@c@d").as_deref(), Some("http://a:[REDACTED]@d"));
    for text in ["http://a@c", "a:b@c", "http://c/x:y@z", "http://a:@c"] {
        assert_eq!(without_password(text), None, "{text}");
    }
}
