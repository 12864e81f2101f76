use super::*;
use crate::nginx::Propagators;

const BLOG: &str = r#"load_module /opt/opentelemetry-webserver-sdk/otel_ngx_module.so;
events {}
http {
    opentelemetry_config conf/otel-nginx.toml;
    opentelemetry_ignore_paths "^/health\.";
    server {
        listen 80;
        opentelemetry_operation_name "edge proxy";
        opentelemetry_attribute "deployment.environment.name" production;
        opentelemetry_capture_headers on;
        location / {
            opentelemetry_propagate b3; # as the services want it
            opentelemetry_trust_incoming_spans off;
            add_header X-Trace "$opentelemetry_trace_id";
            proxy_pass http://127.0.0.1:8080;
        }
        location /off { opentelemetry off; return 200 "a;b{c}"; }
    }
}
"#;

const TOML: &str = "exporter = \"otlp\"\nprocessor = 'batch'\n[exporters.otlp]\nhost = \"collector\" # name\nport = 4317\n\
    [processors.batch]\nmax_queue_size = 2048\nschedule_delay_millis = 5000\nmax_export_batch_size = 512\n\
    [service]\nname = \"front\"\n[sampler]\nname = \"TraceIdRatioBased\"\nratio = 0.1\nparent_based = true\nmore = 1\n";

fn way(is_log: bool) -> Way {
    Way {
        is_log,
        propagators: Propagators { trace_context: true, ..Propagators::default() },
        service_name: "nginx".to_owned(),
        endpoint: String::new(),
        interval: None,
        log: "/var/log/nginx/rootspan.log".to_owned(),
        is_syslog: false,
        log_keys: Vec::new(),
    }
}

fn converted(is_log: bool) -> (String, Vec<String>) {
    let read = |path: &str| {
        assert_eq!(path, "conf/otel-nginx.toml");
        Ok(TOML.to_owned())
    };
    let converted = convert(BLOG, &way(is_log), &read).expect("it is well-formed");
    let remarks = converted.remarks.iter().map(|remark| format!("{}: {}", remark.line, remark.text)).collect();
    (converted.text, remarks)
}

#[test]
fn the_blogs_directives_become_the_modules() {
    let (text, remarks) = converted(false);
    let expected = r#"load_module modules/ngx_http_rootspan_module.so;
events {}
http {
map $uri $rootspan_traced_3 {
    default 10%;
    "~^/health\\." off;
}

    otel_exporter {
        endpoint collector:4317;
        interval 5000ms;
        batch_size 512;
        batch_count 4;
    }
    otel_service_name front;
    otel_trace $rootspan_traced_3 parent;
    server {
        listen 80;
        otel_span_name "edge proxy";
        otel_span_attr deployment.environment.name production;
        # opentelemetry_capture_headers on
        location / {
            otel_trace_context inject;
            otel_propagators b3;
            otel_client_span on; # as the services want it
            
            add_header X-Trace "$otel_trace_id";
            proxy_pass http://127.0.0.1:8080;
        }
        location /off { otel_trace off; return 200 "a;b{c}"; }
    }
}
"#;
    assert_eq!(text, expected);
    assert_eq!(
        remarks,
        [
            "4: conf/otel-nginx.toml:16: sampler.more: has no counterpart",
            "10: opentelemetry_capture_headers on: no counterpart; name each header, e.g. otel_span_attr \
             http.request.header.accept $http_accept",
        ]
    );
}

#[test]
fn the_log_takes_what_it_can_and_lists_the_rest() {
    let (text, remarks) = converted(true);
    for line in
        ["proxy_set_header b3 $rootspan_b3_out;", "map $http_b3 $rootspan_b3 {", "log_format rootspan escape=json"]
    {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("otel_ngx_module"), "{text}");
    let about: Vec<_> = remarks.iter().map(|remark| remark.split([' ', ':']).nth(2).unwrap_or_default()).collect();
    assert_eq!(
        about,
        [
            "opentelemetry_config",
            "opentelemetry_ignore_paths",
            "opentelemetry_operation_name",
            "opentelemetry_attribute",
            "opentelemetry_capture_headers",
            "opentelemetry_trust_incoming_spans",
            "the",
            "opentelemetry",
        ],
        "{remarks:#?}"
    );
}

#[test]
fn what_is_no_configuration_is_refused_with_its_line() {
    for (text, said) in [
        ("http {", "line 1: unexpected end of the file"),
        ("a;\n}", "line 2: unexpected \"}\""),
        ("\n;", "line 2: unexpected \";\""),
        ("a \"b", "line 1: a quote is not closed"),
        ("a b", "line 1: unexpected end of the file"),
    ] {
        let error = convert(text, &way(false), &|_| Err(String::new())).expect_err(text);
        assert_eq!(error.to_string(), said);
    }
}
