use std::path::PathBuf;

use expect_test::{Expect, expect};

use super::*;

fn source(text: &str) -> Source {
    Source::Text { name: "gateway.yaml".to_owned(), text: text.to_owned() }
}

fn variables(name: &str) -> Option<String> {
    match name {
        "KEY" => Some("0123".to_owned()),
        "PORT" => Some("4999".to_owned()),
        "PROTOCOLS" => Some("grpc:\n  endpoint: localhost:1\nhttp: {}\n".to_owned()),
        "WHOLE" => Some("receivers: {otlp: {protocols: {htp: }}}".to_owned()),
        "EXPORTERS" => Some("[debug, store]".to_owned()),
        _ => None,
    }
}

#[track_caller]
fn loaded(text: &str) -> Config {
    match load_with(&[source(text)], &variables) {
        Ok(config) => config,
        Err(problems) => panic!("{problems}"),
    }
}

#[track_caller]
fn check_problems(text: &str, expected: &Expect) {
    let problems = load_with(&[source(text)], &variables).expect_err("has mistakes");
    expected.assert_eq(&format!("{problems}\n"));
}

#[test]
fn every_mistake_is_reported_at_once_with_its_place() {
    check_problems(
        "\
receivers:
  otlp:
    protocls:
      grpc: {endpoint: localhost:4317}
  otlp/b:
    protocols:
      grpc: {endpoint: 'localhost', max_recv_msg_size_mib: many, tls: {cert_file: x}}
      http: {endpoint: http://0.0.0.0:4318, max_request_body_size: 1 parsec}
  kafka: {brokers: [a]}
  zipkn:
  cloudfront:
    endpoint: :4433
exporters:
  debug: {verbosity: detail}
  otlp: {endpoint: tempo:4317}
  store: {retention: 3 days, max_bytes: 10GiB, retension: 1h}
processors:
  memory_limiter: {check_interval: 1s}
connectors:
  spanmetrics: {}
extension: {}
service:
  extensions: [health_check]
  pipelines:
    traces:
      receivers: [otlp, otpl, otlp]
      exporters: []
    metrics: {receivers: [otlp], exporters: [debug]}
    traces/two:
      receivers: [cloudfront]
      procesors: [batch]
      exporters: [debug, stor]
",
        &expect![[r#"
            gateway.yaml:2:3: `protocols` needs `grpc` or `http`: without one nothing is received
            gateway.yaml:3:5: unknown key `protocls`; did you mean `protocols`?
            gateway.yaml:7:24: expected an address such as 127.0.0.1:4317, found `localhost`
            gateway.yaml:7:60: expected a whole number, found `many`
            gateway.yaml:8:24: `http://0.0.0.0:4318`: an address to listen on has no scheme; write host:port
            gateway.yaml:8:68: expected a size such as 512KiB, 10GiB or a number of bytes, found `1 parsec`
            gateway.yaml:9:3: the receiver `kafka` is known to the OpenTelemetry Collector, not supported by rootspan
            gateway.yaml:11:3: the key `access_key` is missing: whoever delivers to the `endpoint` must show it
            gateway.yaml:14:22: expected one of basic, normal, detailed, found `detail`; did you mean `detailed`?
            gateway.yaml:16:22: expected a duration such as 500ms, 5s or 1h30m, found `3 days`
            gateway.yaml:16:48: unknown key `retension`; did you mean `retention`?
            gateway.yaml:18:3: `memory_limiter` needs `limit_mib` or `limit_percentage`
            gateway.yaml:20:3: the connector `spanmetrics` is known to the OpenTelemetry Collector, not supported by rootspan
            gateway.yaml:21:1: unknown section `extension`; did you mean `extensions`?
            gateway.yaml:23:16: the extension `health_check` is not defined under `extensions`
            gateway.yaml:25:5: the pipeline `traces` has no exporters
            gateway.yaml:26:25: the receiver `otpl` is not defined under `receivers`; did you mean `otlp`?
            gateway.yaml:26:31: `otlp` is given twice in this list
            gateway.yaml:31:7: unknown key `procesors`; did you mean `processors`?
            gateway.yaml:32:26: the exporter `stor` is not defined under `exporters`; did you mean `store`?
        "#]],
    );
}

#[test]
fn text_that_is_not_a_configuration_says_so() {
    check_problems(
        "a: [",
        &expect![[r#"
        gateway.yaml:2:1: not valid YAML: while parsing a node, did not find expected node content
    "#]],
    );
    check_problems(
        "",
        &expect![[r#"
        the configuration is empty: nothing in gateway.yaml
    "#]],
    );
    check_problems(
        "just text",
        &expect![[r#"
        gateway.yaml:1:1: expected the sections of a configuration, found a single value
    "#]],
    );
    check_problems(
        "receivers:\n  otlp: {protocols: {grpc: }}\n",
        &expect![[r#"
        gateway.yaml:1:1: the section `service` is missing: without it nothing runs
    "#]],
    );
    check_problems(
        "service:\n  pipelines: {}\n  pipelines: {}\n",
        &expect![[r#"
        gateway.yaml:2:3: `pipelines` has no pipeline: without one nothing is received
        gateway.yaml:3:3: the key `pipelines` is already given above
    "#]],
    );
    check_problems(
        "a: 1\n? [k]\n: v\n",
        &expect![[r#"
            gateway.yaml:2:5: a key must be text
        "#]],
    );
    check_problems(
        "exporters: ${env:X\nservice: ${file:/x}\n",
        &expect![[r#"
        gateway.yaml:1:1: expected a map of exporters, found a single value
        gateway.yaml:1:12: `${` has no closing `}`; write `$$` for a dollar
        gateway.yaml:2:1: expected a map of keys, found a single value
        gateway.yaml:2:10: `${file:/x}`: /x: the file does not exist
    "#]],
    );
    let missing = load(&[Source::File("/no/such/file.yaml".into())]).expect_err("is not there");
    assert_eq!(missing.to_string(), "/no/such/file.yaml: the file does not exist");
}

#[test]
fn aliases_cannot_grow_without_bound() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = level - 1;
        text += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{before}"); 10].join(", "));
    }
    let problems = load_with(&[source(&text)], &variables).expect_err("is too large");
    assert!(problems.to_string().contains("more than 100000 values"), "{problems}");
}

#[test]
fn expansion_keeps_text_until_the_type_is_known() {
    let config = loaded(
        "
receivers:
  otlp:
    protocols:
      grpc: {endpoint: 'localhost:${env:PORT}', max_recv_msg_size_mib: '${KEY}'}
  cloudfront: {access_key: '${KEY}', service_name: '${UNSET:-edge}', routes: [/a/*]}
exporters:
  debug:
  store: {directory: 'data-$${KEY}'}
service:
  pipelines:
    traces: {receivers: [otlp, cloudfront], exporters: '${EXPORTERS}'}
",
    );
    let Some(Receiver::CloudFront(cloudfront)) =
        config.receivers.get(&ComponentId::parse("cloudfront").expect("is an id"))
    else {
        panic!("the receiver is there")
    };
    let (endpoint, key) = cloudfront.door().expect("there is a key");
    assert_eq!((key.reveal(), endpoint.port), ("0123", 4433), "a leading zero stays");
    assert_eq!(cloudfront.service_name, "edge");
    let Some(Receiver::Otlp(otlp)) = config.receivers.get(&ComponentId::parse("otlp").expect("is an id")) else {
        panic!("the receiver is there")
    };
    let grpc = otlp.protocols.grpc.as_ref().expect("is on");
    assert_eq!((grpc.endpoint.to_string().as_str(), grpc.max_recv_msg_size_mib), ("localhost:4999", 123));
    assert!(otlp.protocols.http.is_none());
    assert_eq!(config.stores()[0].directory, "data-${KEY}");
    assert_eq!(config.service.pipelines[0].exporters.len(), 2);
}

#[test]
fn a_variable_can_hold_a_section_or_the_whole() {
    let config = loaded(
        "
receivers: {otlp: {protocols: '${PROTOCOLS}'}}
exporters: {debug: }
service: {pipelines: {traces: {receivers: otlp, exporters: debug}}}
",
    );
    let Some(Receiver::Otlp(otlp)) = config.receivers.values().next() else { panic!("the receiver is there") };
    assert!(otlp.protocols.grpc.is_some() && otlp.protocols.http.is_some());

    let sources = [Source::from_argument("env:WHOLE"), Source::from_argument("env:NOT_SET")];
    let problems = load_with(&sources, &variables).expect_err("has mistakes");
    expect![[r#"
        the variable NOT_SET, which is to hold a configuration, is not set
        env:WHOLE:1:1: the section `service` is missing: without it nothing runs
        env:WHOLE:1:13: `protocols` needs `grpc` or `http`: without one nothing is received
        env:WHOLE:1:32: unknown key `htp`; did you mean `http`?
    "#]]
    .assert_eq(&format!("{problems}\n"));
}

#[test]
fn later_sources_lie_over_earlier_ones() {
    let base = "
receivers: {otlp: {protocols: {grpc: {endpoint: 'localhost:1', max_recv_msg_size_mib: 7}, http: }}}
exporters: {debug: }
service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}
";
    let over = "receivers: {otlp: {protocols: {grpc: {endpoint: 'localhost:2'}}}}";
    let config = load_with(&[source(base), source(over)], &variables).expect("is sound");
    let Some(Receiver::Otlp(otlp)) = config.receivers.values().next() else { panic!("the receiver is there") };
    let grpc = otlp.protocols.grpc.as_ref().expect("is on");
    assert_eq!((grpc.endpoint.to_string().as_str(), grpc.max_recv_msg_size_mib), ("localhost:2", 7));
}

#[test]
fn sources_are_what_the_collector_takes() {
    let argument = |text: &str| Source::from_argument(text);
    let base = source(
        "
receivers: {otlp: {protocols: {grpc: {endpoint: 'localhost:1'}}}}
exporters: {debug: , store: {retention: 1h, directory: '${NOWHERE_TO_BE_FOUND}'}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [debug, store]}}}
",
    );
    let set = |text| Source::from_set_argument(text).expect("a path and a value");
    let config = load_with(
        &[
            base,
            argument("yaml:exporters::store::retention: 2h"),
            argument("yaml:exporters: {store: {max_bytes: 1GiB}}"),
            set("receivers.otlp.protocols.grpc.endpoint=localhost:7"),
            set("exporters::store::directory = /data"),
            set("service.pipelines.traces.exporters=[store]"),
            set("service.telemetry.logs.level=debug"),
        ],
        &variables,
    )
    .expect("is sound");
    let [store] = config.stores()[..] else { panic!("one store") };
    assert_eq!((store.retention.as_secs(), store.max_bytes.0, store.directory.as_str()), (7200, 1 << 30, "/data"));
    assert_eq!(config.service.pipelines[0].exporters.len(), 1, "lists are replaced");
    assert_eq!(config.warnings, [], "what was replaced is not looked up");
    assert!(Source::from_set_argument("no value").is_err());
    assert!(Source::from_set_argument("a..b=1").is_err());
}

#[test]
fn problems_point_into_the_source_they_come_from() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let write = |name: &str, text: &str| std::fs::write(path(name), text).expect("it can be written");
    write("receivers.yaml", "otlp:\n  protocols: {grpc: {endpoint: localhost}}\n");
    write("broken.yaml", "endpoint: [");
    write("circle.yaml", &format!("{{a: \"${{file:{}}}\"}}", path("circle.yaml")));
    write("token", "open sesame\n");
    let text = format!(
        "
receivers: ${{file:{}}}
exporters:
  debug: ${{file:{}}}
  store: ${{env:WHOLE}}
  otlp: {{endpoint: 'tempo:4317', tls: {{insecure: '${{env:KEY}}'}}, headers: {{a: '${{file:{}}}'}}}}
extensions: {{ui: '${{file:{}}}'}}
service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [debug]}}}}}}
",
        path("receivers.yaml"),
        path("broken.yaml"),
        path("token"),
        path("circle.yaml"),
    );
    let set = Source::from_set_argument("exporters.store/b.retention=long").expect("a path and a value");
    let unknown = Source::from_argument("https://example.com/config.yaml");
    let problems = load_with(&[source(&text), set, unknown], &variables).expect_err("has mistakes");
    let shown = format!("{problems}\n").replace(&folder.path().display().to_string(), "DIR");
    expect![[r#"
        https://example.com/config.yaml: rootspan reads `file:`, `env:` and `yaml:`, not `https:`
        --set exporters.store/b.retention: expected a duration such as 500ms, 5s or 1h30m, found `long`
        DIR/broken.yaml:2:1: not valid YAML: while parsing a node, did not find expected node content
        DIR/circle.yaml:1:2: unknown key `a`
        DIR/circle.yaml:1:5: `${file:DIR/circle.yaml}`: files take in files more than 16 deep
        DIR/receivers.yaml:2:32: expected an address such as 127.0.0.1:4317, found `localhost`
        gateway.yaml:5:10: unknown key `receivers`
        gateway.yaml:6:50: expected true or false, found `0123`
    "#]]
    .assert_eq(&shown);
}

#[test]
fn a_reference_is_a_value_of_the_type_that_is_wanted() {
    let config = loaded(
        "
receivers: {otlp: {protocols: '${env:PROTOCOLS}'}}
processors:
  resource:
    attributes:
      - {key: number, value: '${env:PORT}', action: insert}
      - {key: text, value: 'x${env:PORT}', action: insert}
      - {key: list, value: '${yaml:[1, a]}', action: insert}
exporters: {debug: , store: {directory: '${env:KEY}'}}
service: {pipelines: {traces: {receivers: [otlp], processors: [resource], exporters: '${EXPORTERS}'}}}
",
    );
    assert_eq!(config.stores()[0].directory, "0123", "text stays as it is");
    let Some(Processor::Resource(resource)) = config.processors.values().next() else { panic!("it is there") };
    let values: Vec<_> = resource.attributes.iter().map(|action| action.value.clone()).collect();
    let list = any::AnyConfig::List(vec![any::AnyConfig::Int(1), any::AnyConfig::String("a".to_owned())]);
    assert_eq!(values, [Some(any::AnyConfig::Int(4999)), Some(any::AnyConfig::String("x4999".to_owned())), Some(list)]);
}

#[test]
fn what_the_collector_knows_is_told_from_what_nobody_knows() {
    check_problems(
        "
receivers: {file_log: {}, filelog: {}, cloudfrnt: {}, otlp: {protocols: {grpc: }}}
processors: {tail_sampling: {}, memorylimiter: {}}
exporters: {load_balancing: {}, loadbalancing: {}, awsxray: , debug: }
connectors: {service_graph: {}, roundrobin: {}}
extensions: {pprof: {endpoint: 'localhost:1777'}, zpages: , memory_ballast: {size_mib: 5}, opamp: {}}
service: {extensions: [pprof, zpages, memory_ballast], pipelines: {traces: {receivers: [otlp, jaeger], exporters: [debug]}}}
",
        &expect![[r#"
            gateway.yaml:2:13: the receiver `file_log` is known to the OpenTelemetry Collector, not supported by rootspan
            gateway.yaml:2:27: the receiver `filelog` is known to the OpenTelemetry Collector, not supported by rootspan
            gateway.yaml:2:40: unknown receiver `cloudfrnt`; did you mean `cloudfront`?
            gateway.yaml:3:14: the processor `tail_sampling` is known to the OpenTelemetry Collector, not supported by rootspan
            gateway.yaml:3:33: unknown processor `memorylimiter`; did you mean `memory_limiter`?
            gateway.yaml:4:13: the exporter `load_balancing` is known to the OpenTelemetry Collector, not supported by rootspan
            gateway.yaml:4:33: the exporter `loadbalancing` is known to the OpenTelemetry Collector, not supported by rootspan
            gateway.yaml:5:14: the connector `service_graph` is known to the OpenTelemetry Collector, not supported by rootspan
            gateway.yaml:5:33: the connector `roundrobin` is known to the OpenTelemetry Collector, not supported by rootspan
            gateway.yaml:6:92: the extension `opamp` is known to the OpenTelemetry Collector, not supported by rootspan
            gateway.yaml:7:95: the receiver `jaeger` is not defined under `receivers`
        "#]],
    );
}

#[test]
fn merge_keys_and_anchors_work() {
    let config = loaded(
        "
receivers:
  otlp: &base
    protocols: {grpc: {endpoint: 'localhost:1'}}
  otlp/other: {<<: *base}
exporters: {debug: }
service: {pipelines: {traces: {receivers: [otlp, otlp/other], exporters: [debug]}}}
",
    );
    assert_eq!(config.receivers.len(), 2);
}

#[test]
fn what_has_no_effect_is_a_warning() {
    let config = loaded(
        "
receivers: {otlp: {protocols: {grpc: {read_buffer_size: 1, endpoint: 'localhost:${NOWHERE}1'}}}}
exporters: {logging: {loglevel: debug, sampling_initial: 2}}
extensions: {memory_ballast: {size_mib: 64}, health_check: }
processors: {batch: {}, memory_limiter: {check_interval: 5s, limit_mib: 409, spike_limit_mib: 128}}
service:
  extensions: [health_check, memory_ballast]
  telemetry: {metrics: {address: '0.0.0.0:8888'}}
  pipelines: {traces: {receivers: [otlp], processors: [memory_limiter, batch], exporters: [logging]}}
",
    );
    let warnings: String = config.warnings.iter().map(|warning| format!("{warning}\n")).collect();
    expect![[r#"
        gateway.yaml:2:39: `read_buffer_size` is accepted and has no effect: buffers grow as needed
        gateway.yaml:2:70: the variable NOWHERE is not set; nothing stands in its place
        gateway.yaml:3:40: `sampling_initial` is accepted and has no effect: every batch is printed
        gateway.yaml:4:14: `memory_ballast` is accepted and has no effect: it is retired, and there is no garbage collector
        gateway.yaml:8:25: `address` is retired in the collector and still honoured here; `readers` takes its place
    "#]]
    .assert_eq(&warnings);
    assert_eq!(config.service.telemetry.metrics_endpoint().map(|e| e.to_string()).as_deref(), Some("0.0.0.0:8888"));
}

/// The effective file of AWS's sample for CloudFront, as its Helm chart merges it.
#[test]
fn the_file_of_awss_sample_runs_unchanged() {
    let config = loaded(
        "
receivers:
  jaeger: null
  otlp: {protocols: {grpc: {endpoint: '${MY_POD_IP:-0.0.0.0}:4317'}, http: {endpoint: '0.0.0.0:4318'}}}
  prometheus: null
  zipkin: null
processors:
  batch: {}
  memory_limiter: {check_interval: 5s, limit_mib: 409, spike_limit_mib: 128}
exporters:
  logging: {}
  otlp: {endpoint: 'data-prepper-headless:21890', tls: {insecure: true}}
extensions:
  health_check: {endpoint: '0.0.0.0:13133', path: /}
  memory_ballast: {}
service:
  telemetry: {metrics: {address: '0.0.0.0:8888'}}
  extensions: [health_check, memory_ballast]
  pipelines:
    traces: {receivers: [otlp], processors: [memory_limiter, batch], exporters: [otlp]}
",
    );
    assert_eq!(config.service.pipelines[0].exporters[0].0.to_string(), "otlp");
    let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    expect![[r#"
        gateway.yaml:15:3: `memory_ballast` is accepted and has no effect: it is retired, and there is no garbage collector
        gateway.yaml:17:25: `address` is retired in the collector and still honoured here; `readers` takes its place"#]].assert_eq(&warnings.join("\n"));
}

#[test]
fn secrets_do_not_show() {
    let text = "
receivers: {cloudfront: {access_key: hunter2}}
exporters: {debug: }
extensions: {ui: {auth: {basic: {username: a, password: hunter2}}}}
service: {extensions: [ui], pipelines: {traces: {receivers: [cloudfront], exporters: [debug]}}}
";
    let config = loaded(text);
    assert!(!format!("{config:?}").contains("hunter2"));
    assert_eq!(config.ui().map(|ui| ui.endpoint.port), Some(16686));
    check_problems(
        &text.replace("hunter2", "'${NOT_SET}'"),
        &expect![[r#"
            gateway.yaml:2:38: a secret must not be empty
            gateway.yaml:2:38: the variable NOT_SET is not set; nothing stands in its place
            gateway.yaml:4:57: a secret must not be empty
            gateway.yaml:4:57: the variable NOT_SET is not set; nothing stands in its place
        "#]],
    );
}

#[test]
fn the_built_in_configuration_is_sound() {
    let mut settings = DefaultSettings { directory: PathBuf::from("it's $HOME/x"), ..DefaultSettings::default() };
    let config = load_with(&[Source::built_in(&settings)], &variables).expect("is sound");
    assert_eq!(config.stores()[0].directory, "it's $HOME/x");
    assert_eq!(config.warnings, []);
    settings.cloudfront = Some(default::CloudFrontSettings {
        endpoint: values::Endpoint { host: "127.0.0.1".to_owned(), port: 0 },
        access_key: "k'$".to_owned(),
    });
    let config = load_with(&[Source::built_in(&settings)], &variables).expect("is sound");
    assert_eq!(config.service.pipelines[0].receivers.len(), 2);
}

#[test]
fn every_key_has_its_line_in_the_reference() {
    let page = reference::page();
    for (path, table) in components::tables() {
        let table = table.expect("a component is a section");
        let (_, section) = page.split_once(&format!("\n### {path}\n")).expect("each has its part");
        let section = section.split("\n### ").next().unwrap_or_default();
        for key in table.keys {
            assert!(section.contains(&format!("| `{}` |", key.name)), "{path}: {section}");
            assert!(!key.doc.is_empty());
        }
    }
}

/// Each component's example is a part of a configuration; here it is the part that matters of a whole one.
#[test]
fn every_example_of_the_reference_loads() {
    let base = "
receivers: {otlp: {protocols: {grpc: }}}
exporters: {debug: }
service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}
";
    for component in components::built_in() {
        let (section, kind) = component.section_and_kind();
        for used_as in component.kinds() {
            let example = component.example.replace(&format!("\n  {kind}"), &format!("\n  {used_as}"));
            let defined = example.lines().filter_map(|line| line.strip_prefix("  ")?.strip_suffix(':'));
            let ids: Vec<&str> = defined.filter(|id| id.split('/').next() == Some(used_as)).collect();
            assert!(!ids.is_empty(), "{example}");
            let ids = ids.join(", ");
            let in_use = match section {
                "extensions" => format!("service: {{extensions: [{ids}]}}"),
                // Its example says between which pipelines it is.
                "connectors" => "service: {}".to_owned(),
                _ => format!("service: {{pipelines: {{traces: {{{section}: [{ids}]}}}}}}"),
            };
            let variables = |name: &str| Some(format!("value of {name}"));
            // What the example itself says of `service` goes before what is made up here.
            let sources = [source(base), source(&in_use), source(&example)];
            let config = load_with(&sources, &variables).unwrap_or_else(|problems| panic!("{used_as}: {problems}"));
            assert_eq!(config.warnings, [], "{used_as}");
        }
    }
}

#[test]
fn a_queue_on_disk_needs_an_extension_that_keeps_it_and_runs() {
    let pipelines = "service: {extensions: [health_check], pipelines: {traces: {receivers: [otlp], exporters: [otlp/a, otlp/b, otlp/c, otlp/d]}}}";
    check_problems(
        &format!(
            "\
receivers: {{otlp: {{protocols: {{grpc: }}}}}}
exporters:
  otlp/a: {{endpoint: 'a:1', sending_queue: {{storage: file_storage/queues}}}}
  otlp/b: {{endpoint: 'b:1', sending_queue: {{storage: health_check}}}}
  otlp/c: {{endpoint: 'c:1', sending_queue: {{storage: file_storage}}}}
  otlp/d: {{endpoint: 'd:1', sending_queue: {{storage: file_storage, wait_for_result: true}}}}
extensions:
  health_check: {{}}
  file_storage: {{directory: '', min_free_percent: 100}}
  file_storage/permissions: {{directory_permissions: '0077'}}
{pipelines}
"
        ),
        &expect![[r#"
            gateway.yaml:3:54: the extension `file_storage/queues` is not defined under `extensions`; did you mean `file_storage`?
            gateway.yaml:4:54: the extension `health_check` keeps nothing; `file_storage` does
            gateway.yaml:5:54: the extension `file_storage` does not run: add it to `service.extensions`
            gateway.yaml:6:54: `wait_for_result` and `storage` exclude each other: what is on disk is answered
            gateway.yaml:6:54: the extension `file_storage` does not run: add it to `service.extensions`
            gateway.yaml:9:3: `directory` must not be empty
            gateway.yaml:9:3: `min_free_percent` is at least 0 and below 100
            gateway.yaml:10:53: expected octal permissions such as '0750' that let the owner in, found `0077`
        "#]],
    );
    let config = loaded(
        "\
receivers: {otlp: {protocols: {grpc: }}}
exporters: {otlp: {endpoint: 'a:1', sending_queue: {storage: file_storage/q}}}
extensions: {file_storage/q: {directory: /tmp/q, timeout: 10s, compaction: {on_start: true}, fsync: true}}
service: {extensions: [file_storage/q], pipelines: {traces: {receivers: [otlp], exporters: [otlp]}}}
",
    );
    let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    expect![[r#"
        gateway.yaml:3:50: `timeout` is accepted and has no effect: the lock of a folder is had at once or not at all
        gateway.yaml:3:64: `compaction` is accepted and has no effect: whole files are removed once they are delivered
        gateway.yaml:3:94: `fsync` is accepted and has no effect: what is acknowledged is always synced
    "#]]
    .assert_eq(&format!("{}\n", warnings.join("\n")));
}

#[test]
fn what_is_not_there_is_named_beside_what_is_wrong() {
    let problems = |text: &str| {
        let source = Source::Text { name: "t".to_owned(), text: text.to_owned() };
        load_with(&[source], &|_| None).expect_err("wrong").to_string()
    };
    let pipelines = "service: {pipelines: {traces: {receivers: [otlp], exporters: [otlp]}}}\n";
    let said = problems(&format!(
        "receivers: {{otlp: {{protocols: {{grpc: {{}}}}}}}}\nexporters: {{otlp: {{endpoint: '${{NOWHERE}}', timeot: 1s}}}}\n{pipelines}"
    ));
    assert!(said.contains("the variable NOWHERE is not set") && said.contains("unknown key `timeot`"), "{said}");
    let said = problems(&format!(
        "receivers: {{otlp: {{protocols: {{grpc: {{}}}}}}}}\nextensions: {{file_storage: }}\n\
         exporters: {{otlp: {{endpoint: 'a:1', sending_queue: {{storage: file_storage}}}}}}\n{pipelines}"
    ));
    assert!(said.contains("`file_storage` does not run: add it to `service.extensions`"), "{said}");
    let said = problems("receivers: {}\n---\nexporters: {}\n");
    assert!(said.contains("t:3:1: a second YAML document"), "{said}");
}
