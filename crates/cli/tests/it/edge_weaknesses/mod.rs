//! The twenty weaknesses of AWS's published tracing sample, one by one: for each a test of what rootspan does instead.
//!
//! Most go from a viewer through the emulated CloudFront, with the functions that `rootspan edge build` writes, and the
//! real receiver into the real store.

mod world;

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use rootspan_edge::build;
use rootspan_edge::emulator::{
    Behavior, Config, Delivery, Destination, ErrorPage, EventType, Function, Functions, LogForm, Mishaps,
    OriginRequestPolicy, PROTOCOL_HEADER, Runtime as FunctionRuntime, ViewerProtocol, WafRule, trial,
};
use rootspan_edge::settings::Settings;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::api;
use crate::edge_table::attribute;
use crate::http;
use crate::process::{ACCESS_KEY, Process, Setup, Site, rootspan};
use world::{Edge, built};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// All that a viewer-response function does not run for: errors of the origin, error pages, redirects, what WAF blocks, what a
/// function answers itself, an origin that is not there.
#[test]
fn weakness_01_errors_are_spans() {
    let mut edge = Edge::with("", |config| {
        config.functions = Functions::viewer_request(format!(
            "import cf from 'cloudfront';\n{}\nfunction handler(event) {{ cf.logCustomData(rootspan(event)); return event.request.uri === '/denied' ? {{statusCode: 401}} : event.request; }}",
            built("", "viewer-request.module.js")
        ));
        let of = |pattern: &str| Behavior { path_pattern: pattern.to_owned(), ..Behavior::default() };
        config.behaviors = vec![
            Behavior { viewer_protocol: ViewerProtocol::RedirectToHttps, ..of("/secure/*") },
            Behavior { origin: Some("http://127.0.0.1:9".to_owned()), ..of("/unreachable/*") },
        ];
        let page = Some("/errors/503.html".to_owned());
        config.error_pages = vec![ErrorPage { page, ..ErrorPage::cached_for(503, Duration::from_secs(1)) }];
        config.waf = vec![WafRule { path_pattern: Some("/blocked/*".to_owned()), ..WafRule::default() }];
    });
    let cases = [
        ("/missing", "404", false, true),
        ("/broken", "500", true, true),
        ("/page", "503", true, true),
        ("/secure/x", "301", false, false),
        ("/blocked/x", "403", false, false),
        ("/denied", "401", false, false),
        ("/unreachable/x", "502", true, false),
    ];
    for (path, ..) in cases {
        let plain: &[_] = if path == "/secure/x" { &[(PROTOCOL_HEADER, "http")] } else { &[] };
        edge.get(path, plain);
    }
    let ended = edge.end();
    for (entry, (path, status, is_error, is_asked)) in ended.ledger.iter().zip(cases) {
        let span = ended.span(entry);
        assert_eq!(attribute(&span, "http.response.status_code"), status, "{path}");
        assert_eq!(span["status"]["code"] == 2, is_error, "{path}: {span}");
        assert_eq!(attribute(&span, "error.type"), if is_error { status } else { "" }, "{path}");
        let parent = format!("00-{}-{}-03", entry.trace_id, api::text(&span["spanId"]));
        let is_known = ended.seen.iter().any(|seen| seen.path == path && seen.traceparent == parent);
        assert_eq!(is_known, is_asked, "{path}: the back end's parent has arrived");
    }
    ended.gateway.stop();
}

#[test]
fn weakness_02_edge_and_back_end_are_sampled_alike() {
    let mut edge = Edge::start("probability: 0.5");
    for number in 0..40 {
        edge.get(&format!("/items/{number}"), &[]);
    }
    let ended = edge.end();
    let mut kept = 0;
    for (entry, seen) in ended.ledger.iter().zip(&ended.seen) {
        let is_sampled = seen.traceparent.ends_with("-03");
        assert_eq!(seen.path, entry.path);
        assert_eq!(ended.spans(entry).len(), usize::from(is_sampled), "{}", seen.traceparent);
        // The decision follows from the trace id alone, as everybody else decides: R >= T for a half.
        let randomness = entry.trace_id.to_string().split_off(18);
        assert_eq!(is_sampled, randomness.as_str() >= "80000000000000", "{}", seen.traceparent);
        kept += usize::from(is_sampled);
    }
    assert!((1..40).contains(&kept), "{kept} of 40");
    ended.gateway.stop();
}

#[test]
fn weakness_03_the_sampling_setting_is_what_runs() {
    for (settings, spans) in [("probability: 0", 0), ("probability: 1", 1)] {
        let mut edge = Edge::start(settings);
        edge.get("/items", &[]);
        let ended = edge.end();
        assert_eq!(ended.spans(&ended.ledger[0]).len(), spans, "{settings}");
        assert_eq!(ended.seen[0].traceparent.ends_with("-03"), spans == 1, "{settings}");
        ended.gateway.stop();
    }
}

#[test]
fn weakness_04_an_incoming_context_is_continued_or_linked() {
    for (settings, is_continued) in [("trust: continue", true), ("trust: restart", false)] {
        let mut edge = Edge::start(settings);
        edge.get("/items", &[("traceparent", PARENT), ("tracestate", "vendor=abc")]);
        let ended = edge.end();
        let span = ended.span(&ended.ledger[0]);
        assert_eq!(span["traceId"] == "4bf92f3577b34da6a3ce929d0e0e4736", is_continued, "{settings}");
        let parent = span.get("parentSpanId").and_then(Value::as_str);
        assert_eq!(parent, is_continued.then_some("00f067aa0ba902b7"), "{settings}");
        let link = &span["links"][0]["spanId"];
        assert_eq!(link == "00f067aa0ba902b7", !is_continued, "{settings}: {span}");
        assert!(ended.seen[0].traceparent.contains(api::text(&span["spanId"])), "{settings}");
        ended.gateway.stop();
    }
}

#[test]
fn weakness_05_nothing_internal_leaks() {
    let mut edge = Edge::start("");
    let answer = edge.get("/items", &[("b3", "1-2-1"), ("baggage", "user=1")]);
    let ended = edge.end();
    let sent: BTreeSet<_> = ended.seen[0].headers.iter().map(|(name, _)| name.as_str()).collect();
    let cloudfronts = ["host", "via", "x-amz-cf-id", "x-forwarded-for", "user-agent", "content-length"];
    let ours: Vec<_> = sent.into_iter().filter(|name| !cloudfronts.contains(name)).collect();
    assert_eq!(ours, ["traceparent", "tracestate"], "neither times and rates nor what the viewer sent");
    for (name, _) in &answer.headers {
        assert!(!name.contains("trace") && !name.starts_with("b3") && !name.contains("rootspan"), "{name}");
    }
    ended.gateway.stop();
}

#[test]
fn weakness_06_the_kind_is_server() {
    let mut edge = Edge::start("");
    edge.get("/items", &[]);
    let ended = edge.end();
    assert_eq!(ended.span(&ended.ledger[0])["kind"], 2);
    ended.gateway.stop();
}

#[test]
fn weakness_07_names_are_of_low_cardinality_and_tell_requests_apart() {
    let mut edge = Edge::with(", routes: [\"/items/{id}\"]", |config| {
        let behavior = Behavior { path_pattern: "/static/*".to_owned(), ..Behavior::default() };
        config.behaviors = vec![behavior];
        config.functions = Functions::viewer_request(built("", "viewer-request.js"));
    });
    for path in ["/items/1", "/items/2", "/static/app.js", "/other/thing"] {
        edge.get(path, &[]);
    }
    let ended = edge.end();
    let names: Vec<_> = ended.ledger.iter().map(|entry| api::text(&ended.span(entry)["name"]).to_owned()).collect();
    assert_eq!(names, ["GET /items/{id}", "GET /items/{id}", "GET /static/*", "GET"]);
    ended.gateway.stop();
}

#[test]
fn weakness_08_the_span_says_what_the_record_says() {
    let mut edge = Edge::start("");
    edge.get("/hit?limit=5", &[("User-Agent", "agent/1.0")]);
    edge.get("/hit?limit=5", &[("User-Agent", "agent/1.0")]);
    let ended = edge.end();
    let span = ended.span(&ended.ledger[1]);
    for (key, expected) in [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("url.path", "/hit"),
        ("url.scheme", "https"),
        ("user_agent.original", "agent/1.0"),
        ("network.protocol.version", "1.1"),
        ("aws.cloudfront.request_id", ended.ledger[1].request_id.as_str()),
        ("aws.cloudfront.edge_location", "FRA60-P4"),
        ("aws.cloudfront.result_type", "Hit"),
        ("aws.cloudfront.distribution_id", "EDFDVBD6EXAMPLE"),
    ] {
        assert_eq!(attribute(&span, key), expected, "{key}: {span}");
    }
    for key in ["client.address", "http.response.size", "http.request.size", "aws.cloudfront.time_taken"] {
        assert_ne!(attribute(&span, key), "", "{key}: {span}");
    }
    ended.gateway.stop();
}

#[test]
fn weakness_09_the_resource_claims_only_what_is_so() {
    let mut edge = Edge::with(", service_name: shop-cdn", |config| {
        config.functions = Functions::viewer_request(built("", "viewer-request.js"));
    });
    edge.get("/items", &[]);
    edge.get("/items", &[]);
    let ended = edge.end();
    let spans = ended.spans(&ended.ledger[0]);
    let resource = &spans[0]["resource"];
    assert_eq!(attribute(resource, "service.name"), "shop-cdn");
    assert_eq!(attribute(resource, "cloud.provider"), "aws");
    assert!(!resource.to_string().contains("telemetry.sdk"), "there is no SDK: {resource}");
    ended.gateway.stop();
}

/// Lambda@Edge functions beside the viewer-request function, logging to CloudWatch.
fn with_lambda(config: &mut Config, settings: &str) {
    let lambda = |name: &str| Some(Function::lambda(name, built(settings, &format!("{name}.mjs"))));
    config.functions = Functions {
        origin_request: lambda("origin-request"),
        origin_response: lambda("origin-response"),
        ..Functions::viewer_request(built(settings, "viewer-request.js"))
    };
    let destination = config.deliveries[0].destination.clone();
    config.deliveries.push(Delivery::new(LogForm::Functions, destination));
}

#[test]
fn weakness_10_what_functions_log_is_otlp() {
    let mut edge = Edge::with("", |config| with_lambda(config, ""));
    edge.get("/items", &[]);
    edge.get("/broken", &[]);
    let ended = edge.end();
    for (entry, status) in ended.ledger.iter().zip(["200", "500"]) {
        let spans = ended.spans(entry);
        assert_eq!(spans.len(), 2, "the viewer's and the call to the origin: {spans:?}");
        let client = spans.iter().map(|span| &span["span"]).find(|span| span["kind"] == 3).expect("a CLIENT span");
        assert_eq!(client["parentSpanId"], entry.span_id.to_string(), "below the viewer's span");
        assert_eq!(attribute(client, "http.response.status_code"), status);
        let parent = format!("00-{}-{}-03", entry.trace_id, api::text(&client["spanId"]));
        assert!(ended.seen.iter().any(|seen| seen.traceparent == parent), "the back end's spans hang below it");
    }
    ended.gateway.stop();

    // And as it stands in the log: the names of OTLP in JSON, ids and times as text.
    let function = Function::lambda("origin-response", built("", "origin-response.mjs"));
    let mut event = trial::events(FunctionRuntime::LambdaModule, EventType::OriginResponse).remove(0);
    let cf = &mut event["Records"][0]["cf"];
    let state = "rs1;00-09d64ae8d7628a6968e3f996796f3f63-2184743dd888b4f1-03;-;1789380930332;0;-;-";
    cf["request"]["headers"]["x-rootspan-origin"] = json!([{"key": "X-Rootspan-Origin", "value": state}]);
    let runtime = Runtime::new().expect("a runtime can be made");
    let trials = runtime.block_on(trial::run(&function, EventType::OriginResponse, &[event])).expect("it runs");
    let line = trials[0].console.iter().find_map(|line| line.find("{\"resourceSpans\"").map(|at| line.split_at(at).1));
    let line: Value = serde_json::from_str(line.expect("it logs a span")).expect("JSON");
    let span = &line["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!(span["startTimeUnixNano"], "1789380930332000000", "a decimal string, exact");
    assert!(!line.to_string().contains("scope_") && !line.to_string().contains("_unix_nano"), "{line}");
}

#[test]
fn weakness_11_times_are_exact_and_cover_the_whole_response() {
    let mut edge = Edge::with("", |config| {
        config.functions = Functions::viewer_request(built("", "viewer-request.js"));
        // Half of it before and half after the origin: none of it is within a function.
        config.origin_round_trip = Duration::from_millis(40);
    });
    edge.get("/items", &[]);
    let ended = edge.end();
    let (entry, span) = (&ended.ledger[0], ended.span(&ended.ledger[0]));
    let nanos = |name: &str| api::text(&span[name]).parse::<u64>().expect("a number");
    let (start, end) = (nanos("startTimeUnixNano"), nanos("endTimeUnixNano"));
    assert_eq!(start, entry.start_unix_millis * 1_000_000, "to the millisecond, without a double's rounding");
    let seconds = |name: &str| attribute(&span, &format!("aws.cloudfront.{name}")).parse::<f64>().expect("a number");
    let taken = seconds("time_taken");
    assert!(taken >= 0.04 && seconds("time_to_first_byte") <= taken, "{span}");
    assert!(seconds("origin_first_byte_latency") <= seconds("time_to_first_byte"), "{span}");
    assert_eq!((end - start) / 1_000_000, (taken * 1000.0).round() as u64, "until the last byte");
    ended.gateway.stop();
}

#[test]
fn weakness_12_functions_do_not_throw() {
    let runtime = Runtime::new().expect("a runtime can be made");
    let events = trial::events(FunctionRuntime::CloudFront, EventType::ViewerResponse);
    // Without anything of a viewer-request function: another behaviour, or only one side rolled out yet.
    let bare = events.into_iter().map(|mut event| {
        event["request"]["headers"] = json!({});
        event
    });
    let bare: Vec<_> = bare.collect();
    let response = built("response: {server_timing: true, header: x-trace-id}", "viewer-response.js");
    let function = Function::cloudfront("viewer-response", response);
    let trials = runtime.block_on(trial::run(&function, EventType::ViewerResponse, &bare)).expect("it runs");
    for trial in trials {
        assert!(trial.changes.is_empty() && !trial.is_failure(), "{trial}");
    }
    let mut odd = trial::events(FunctionRuntime::CloudFront, EventType::ViewerRequest).remove(0);
    odd["request"]["headers"] = json!({"traceparent": 7, "tracestate": {"multiValue": "x"}});
    odd["context"]["requestId"] = json!(null);
    let function = Function::cloudfront("viewer-request", built("", "viewer-request.js"));
    let trials = runtime.block_on(trial::run(&function, EventType::ViewerRequest, &[odd])).expect("it runs");
    assert!(trials[0].changes.is_empty() && trials[0].log_data.is_none(), "left alone: {}", trials[0]);
}

/// An endpoint that answers every request with one status and body; gives back how often it was asked.
fn answering(status: &'static str, body: &'static str) -> (SocketAddr, std::sync::mpsc::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let (asked, times) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 65536];
            let _some = stream.read(&mut request);
            let length = body.len();
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
            let _gone = stream.write_all(answer.as_bytes());
            let _gone = asked.send(());
        }
    });
    (address, times)
}

#[test]
fn weakness_13_only_success_counts_as_success() {
    // Export mode: a 400 with a JSON body is no success, and the span goes into the log. A 200 is one, whatever its body.
    for (status, body, spans) in
        [("400 Bad Request", "{}", 2), ("503 Service Unavailable", "{}", 2), ("200 OK", "ok", 1)]
    {
        let (endpoint, asked) = answering(status, body);
        let settings =
            format!("export: {{endpoint: \"http://{endpoint}/v1/traces\", token: write-only-token, budget: 2000ms}}");
        let mut edge = Edge::with("", |config| with_lambda(config, &settings));
        edge.get("/items", &[]);
        let ended = edge.end();
        assert!(asked.try_recv().is_ok(), "{status}: it was tried");
        assert_eq!(
            ended.spans(&ended.ledger[0]).len(),
            spans,
            "{status}: the span came by the log if it was not taken"
        );
        ended.gateway.stop();
    }
}

/// Refuses the first connections as an overloaded receiver does, then passes everything on to the real one.
fn refusing_at_first(times: usize, gateway: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for (number, mut stream) in listener.incoming().map_while(Result::ok).enumerate() {
            if number < times {
                let mut request = [0; 65536];
                let _some = stream.read(&mut request);
                let refusal = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                let _gone = stream.write_all(refusal.as_bytes());
                continue;
            }
            let mut onward = TcpStream::connect(gateway).expect("the receiver listens");
            let (mut from, mut to) = (stream.try_clone().expect("a clone"), onward.try_clone().expect("a clone"));
            std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            std::thread::spawn(move || std::io::copy(&mut onward, &mut stream));
        }
    });
    address
}

#[test]
fn weakness_14_a_refused_delivery_comes_again_and_a_bad_record_spoils_nothing() {
    let mut edge = Edge::with("", |config| {
        config.functions = Functions::viewer_request(format!(
            "import cf from 'cloudfront';\n{}\nfunction handler(event) {{ var text = rootspan(event); cf.logCustomData(event.request.uri === '/odd' ? 'rs1;00-x;;;' : text); return event.request; }}",
            built("", "viewer-request.module.js")
        ));
        let Destination::Firehose { endpoint, .. } = &mut config.deliveries[0].destination else {
            panic!("it is Firehose")
        };
        let gateway = endpoint.trim_start_matches("http://").trim_end_matches('/').parse().expect("an address");
        *endpoint = format!("http://{}/", refusing_at_first(2, gateway));
        config.deliveries[0].retry_delay = Duration::from_millis(5);
    });
    for path in ["/items", "/odd", "/missing"] {
        edge.get(path, &[]);
    }
    let ended = edge.end();
    for entry in &ended.ledger {
        assert_eq!(ended.spans(entry).len(), 1, "{}", entry.path);
    }
    assert_eq!(attribute(&ended.span(&ended.ledger[1]), "aws.cloudfront.context"), "derived");
    ended.gateway.stop();

    // The sample's own lines: one that is malformed is alone in being lost.
    let keys = ", authoritative_source: function_log";
    let site = Site::new(Setup { cloudfront: true, cloudfront_keys: keys, ..Setup::default() });
    let gateway = site.start();
    let line = |b3: &str| format!("id 1789380930295000000 1789380930482000000 {b3}");
    let good = "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1";
    let events = ["garbage", good, "a-b-c"].map(|b3| json!({"id": "1", "timestamp": 1, "message": line(b3)}));
    let envelope = json!({"messageType": "DATA_MESSAGE", "logEvents": events}).to_string();
    assert_eq!(deliver(gateway.address("cloudfront", "http"), Some(ACCESS_KEY), &envelope), 200);
    let spans = api::trace(gateway.ui(), "80f198ee56343ba864fe8b2a57d3eff7").unwrap_or_default();
    assert_eq!(spans.len(), 1, "{spans:?}");
    gateway.stop();
}

/// The status of a delivery of one record.
fn deliver(address: SocketAddr, key: Option<&str>, record: &str) -> u16 {
    let data = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, record);
    let body = json!({"requestId": "r", "timestamp": 1, "records": [{"data": data}]}).to_string();
    let key: Vec<_> = key.map(|key| ("X-Amz-Firehose-Access-Key", key)).into_iter().collect();
    http::send(address, "POST", "/", &key, body.as_bytes()).status
}

#[test]
fn weakness_15_nobody_delivers_without_the_key() {
    let site = Site::new(Setup { cloudfront: true, ..Setup::default() });
    let gateway = site.start();
    let address = gateway.address("cloudfront", "http");
    let record = json!({"x-edge-request-id": "a", "timestamp(ms)": "1789380930482", "sc-status": "200"}).to_string();
    for key in [None, Some(""), Some("other")] {
        assert_eq!(deliver(address, key, &record), 401, "{key:?}");
    }
    assert_eq!(deliver(address, Some(ACCESS_KEY), &record), 200);
    gateway.stop();
}

/// What Lambda@Edge functions send is taken with their token only.
#[test]
fn weakness_15_functions_send_with_a_token() {
    for (token, arrives) in [("write-only-token", true), ("guessed-token", false)] {
        let site = Site::new(Setup { cloudfront: true, ..Setup::default() });
        let text = std::fs::read_to_string(site.config()).expect("it was written");
        let text = text
            .replace("http: {endpoint", "http: {auth: {authenticator: bearertokenauth}, endpoint")
            .replace("extensions:\n", "extensions:\n  bearertokenauth: {token: write-only-token}\n")
            .replace("[health_check, ui]", "[bearertokenauth, health_check, ui]");
        std::fs::write(site.config(), text).expect("it can be written");
        let mut edge = Edge::of(site, |config, gateway| {
            let endpoint = format!("http://{}/v1/traces", gateway.otlp_http());
            with_lambda(config, &format!("export: {{endpoint: \"{endpoint}\", token: {token}, budget: 2000ms}}"));
            // Without the functions' log: only what was sent is there.
            config.deliveries.pop();
        });
        edge.get("/items", &[]);
        let ended = edge.end();
        assert_eq!(ended.spans(&ended.ledger[0]).len(), 1 + usize::from(arrives), "{token}");
        ended.gateway.stop();
    }
}

#[test]
fn weakness_16_policies_decide_what_reaches_the_origin() {
    let policies = [
        (OriginRequestPolicy::all_viewer_except_host(), true, "/items?limit=5"),
        (OriginRequestPolicy::headers(&["traceparent", "tracestate"]), true, "/items?limit=5"),
        // The commonest mistake: the span is there, the back end knows nothing of it.
        (OriginRequestPolicy::none(), false, "/items?limit=5"),
    ];
    for (policy, has_context, target) in policies {
        let mut edge = Edge::with("", |config| {
            config.functions = Functions::viewer_request(built("", "viewer-request.js"));
            config.behaviors = vec![Behavior { origin_request: policy.clone(), ..Behavior::default() }];
        });
        edge.get(target, &[]);
        let ended = edge.end();
        assert_eq!(ended.seen[0].target, target, "the query is part of the cache key here");
        assert_eq!(!ended.seen[0].traceparent.is_empty(), has_context, "{policy:?}");
        assert_eq!(ended.spans(&ended.ledger[0]).len(), 1, "{policy:?}");
        ended.gateway.stop();
    }
}

#[test]
fn weakness_17_functions_are_for_current_runtimes() {
    let functions = build::all(&Settings::default()).expect("within the limits");
    for function in &functions {
        let first = function.code.lines().next().unwrap_or_default();
        let runtime = if function.file_name.ends_with(".mjs") { "Node.js 22 and 24" } else { "cloudfront-js-2.0" };
        assert!(first.ends_with(runtime), "{}: {first}", function.file_name);
        assert!(!function.code.contains("context.succeed") && !function.code.contains("callback("));
    }
}

#[test]
fn weakness_18_every_record_is_accounted_for() {
    let mut edge = Edge::start("probability: 0.5");
    for number in 0..10 {
        edge.get(&format!("/items/{number}"), &[]);
    }
    let ended = edge.end();
    let metrics = http::get(ended.gateway.address("metrics", "http"), "/metrics").text();
    let counted: f64 = metrics
        .lines()
        .filter(|line| line.starts_with("rootspan_cloudfront_records_total{"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum();
    assert!((counted - 10.0).abs() < 0.5, "every record has one outcome: {metrics}");
    ended.gateway.stop();
}

/// A function's log is best effort: what is lost there loses no span, and not even the trace.
#[test]
fn weakness_18_a_lost_function_log_loses_no_span() {
    let mut edge = Edge::with(", edge: {ids_via: console}", |config| {
        config.functions = Functions::viewer_request(built("ids_via: console", "viewer-request.js"));
    });
    edge.get("/items", &[]);
    let ended = edge.end();
    let span = ended.span(&ended.ledger[0]);
    assert_eq!(attribute(&span, "aws.cloudfront.context"), "derived");
    let parent = format!("00-{}-{}-03", ended.ledger[0].trace_id, api::text(&span["spanId"]));
    assert_eq!(ended.seen[0].traceparent, parent, "derived ids are those that the function sent");
    ended.gateway.stop();
}

#[test]
fn weakness_19_a_record_that_comes_again_makes_no_second_span() {
    let mut edge = Edge::with("", |config| {
        config.functions = Functions::viewer_request(built("", "viewer-request.js"));
        config.deliveries[0].mishaps = Mishaps { repeats: 2, shuffle: true, ..Mishaps::default() };
    });
    for path in ["/items", "/missing", "/broken", "/hit"] {
        edge.get(path, &[]);
    }
    let ended = edge.end();
    for entry in &ended.ledger {
        assert_eq!(ended.spans(entry).len(), 1, "{}", entry.path);
    }
    assert_eq!(api::search(ended.gateway.ui(), "{}", "").len(), 4);
    ended.gateway.stop();
}

#[test]
fn weakness_20_one_command_shows_spans() {
    let ended = Process::spawn(rootspan().args(["demo", "--requests", "40", "--exit"])).end();
    assert!(ended.status.success(), "{}\n{}", ended.stdout, ended.stderr);
    // Every trace was read back from the UI's address and compared with what the CDN knows.
    assert!(ended.stdout.contains("40 agree with the traces read back, 0 do not"), "{}", ended.stdout);
}
