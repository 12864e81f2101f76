use std::collections::BTreeMap;
use std::path::Path;

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
  cloudfront: {access_key: '${KEY}', routes: ['/a/{id}', '*'], service_name: '${PORT}x', edge: {force_sampling: {header: x-f, key: 'hunter2'}, export: {endpoint: 'https://e', token: 'hunter2'}}}
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

/// Each file that people might print: those of the corpus that are valid, and the examples.
#[test]
fn every_valid_file_loads_again_as_it_was_printed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut valid = 0;
    for folder in ["testdata/collector-configs", "docs/examples"] {
        for file in std::fs::read_dir(root.join(folder)).expect("the folder is there") {
            let path = file.expect("it can be read").path();
            if path.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("it is text");
            let loaded = |text: &str| load_tree(&[source(text)], &|name| Some(name.to_ascii_lowercase()));
            let Ok((config, tree)) = loaded(&text) else { continue };
            valid += 1;
            let printed = to_yaml(&effective(&config, &tree));
            let (config, tree) = loaded(&printed).unwrap_or_else(|problems| panic!("{}: {problems}", path.display()));
            assert_eq!(to_yaml(&effective(&config, &tree)), printed, "{}", path.display());
        }
    }
    assert!(valid >= 15, "{valid} files are valid");
}

#[test]
fn passwords_in_addresses_are_found() {
    assert_eq!(without_password("http://a:b@c/d").as_deref(), Some("http://a:[REDACTED]@c/d"));
    assert_eq!(without_password("http://a:b@c@d").as_deref(), Some("http://a:[REDACTED]@d"));
    for text in ["http://a@c", "a:b@c", "http://c/x:y@z", "http://a:@c"] {
        assert_eq!(without_password(text), None, "{text}");
    }
}
