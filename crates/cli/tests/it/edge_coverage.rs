//! Edge coverage end to end: what the API says of the edge is what the emulated CloudFront's ledger says, whatever was sampled.

use std::collections::BTreeMap;

use rootspan_edge::build;
use rootspan_edge::emulator::{
    Behavior, Config, Delivery, Emulator, Functions, LedgerEntry, Mishaps, OriginRequestPolicy, PROTOCOL_HEADER,
    ResultType, Selection, ViewerProtocol, WafRule,
};
use rootspan_edge::settings::Settings;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::edge_table::stage::{Seen, start_origin};
use crate::http::{self, get};
use crate::otlp;
use crate::process::{ACCESS_KEY, Process, Setup, Site, rootspan};

/// Half of the traces of `/half/*` are sampled, none of `/quiet/*`, and all others.
const EDGE: &str = "paths:\n- {pattern: /quiet/*, probability: 0}\n- {pattern: /half/*, probability: 0.5}\n";

/// What the edge did and delivered.
struct Visit {
    ledger: Vec<LedgerEntry>,
    seen: Vec<Seen>,
}

/// Sends requests through an emulated CloudFront that delivers its logs to a gateway.
fn visit(gateway: &Process, requests: &[(&str, &str)], change: impl FnOnce(&mut Config)) -> Visit {
    let (origin, arrivals) = start_origin();
    let settings = Settings::parse(EDGE).expect("valid settings");
    let function = build::all(&settings).expect("within the limits");
    let function = function.into_iter().find(|function| function.file_name == "viewer-request.js");
    let endpoint = format!("http://{}/", gateway.address("cloudfront", "http"));
    let behavior = |pattern: &str| Behavior { path_pattern: pattern.to_owned(), ..Behavior::default() };
    let mut config = Config {
        origin: format!("http://{origin}"),
        functions: Functions::viewer_request(function.expect("it is built").code),
        behaviors: vec![
            behavior("/quiet/*"),
            Behavior { runs_functions: false, ..behavior("/bare/*") },
            Behavior { viewer_protocol: ViewerProtocol::RedirectToHttps, ..behavior("/secure/*") },
        ],
        waf: vec![WafRule { path_pattern: Some("/blocked/*".to_owned()), ..WafRule::default() }],
        deliveries: vec![Delivery::to_endpoint(&endpoint, ACCESS_KEY)],
        ..Config::default()
    };
    change(&mut config);
    let runtime = Runtime::new().expect("a runtime can be made");
    let running = runtime.block_on(Emulator::start(config)).expect("the emulator starts");
    for (number, (path, protocol)) in (1..).zip(requests) {
        http::send(running.address, "GET", path, &[(PROTOCOL_HEADER, protocol)], b"");
        runtime.block_on(running.ended(number));
    }
    let summary = runtime.block_on(running.shutdown());
    assert!(summary.deliveries.iter().all(|counts| counts.failed == 0), "{:?}", summary.deliveries);
    let seen = arrivals.0.lock().expect("not poisoned").clone();
    Visit { ledger: summary.ledger, seen }
}

/// The answer about the last minutes; a back end has had time enough.
fn coverage(gateway: &Process, more: &str) -> Value {
    let answer = get(gateway.ui(), &format!("/api/v1/edge/coverage?wait=0{more}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// The totals of a behaviour.
fn of<'a>(answer: &'a Value, behaviour: &str) -> &'a Value {
    let all = answer["distributions"][0]["behaviours"].as_array().expect("a list");
    &all.iter().find(|found| found["behaviour"] == behaviour).unwrap_or_else(|| panic!("{behaviour}: {all:?}"))["totals"]
}

#[test]
fn the_numbers_are_those_of_the_edges_ledger() {
    let setup =
        Setup { cloudfront: true, cloudfront_keys: ", rates: {Hit: 0}, keep: {errors: true}", ..Setup::default() };
    let site = Site::new(setup);
    let gateway = site.start();
    let paths = [
        ("/hit", 3),
        ("/refresh", 2),
        ("/api/items", 4),
        ("/broken", 2),
        ("/missing", 1),
        ("/blocked/a", 2),
        ("/quiet/a", 3),
        ("/bare/a", 2),
        ("/half/a", 6),
    ];
    let mut requests: Vec<(&str, &str)> =
        paths.iter().flat_map(|(path, times)| vec![(*path, "https"); *times]).collect();
    requests.push(("/secure/a", "http"));
    let visit = visit(&gateway, &requests, |_| {});
    let ledger = &visit.ledger;
    assert_eq!(ledger.len(), requests.len());
    let count = |is: &dyn Fn(&LedgerEntry) -> bool| ledger.iter().filter(|entry| entry.is_logged && is(entry)).count();
    let is_failure = |entry: &LedgerEntry| entry.status >= 400;
    let is_sampled = |entry: &LedgerEntry| entry.sampled != Some(false);
    let is_thinned = |entry: &LedgerEntry| entry.result_type == ResultType::Hit;
    let answer = coverage(&gateway, "");
    assert_eq!(answer["partial"], Value::Null);
    let totals = &answer["totals"];
    for (name, expected) in [
        ("records", count(&|_| true)),
        ("redelivered", 0),
        ("sampled", count(&|entry| is_sampled(entry) && !is_thinned(entry))),
        ("thinned", count(&|entry| is_sampled(entry) && is_thinned(entry))),
        ("kept", count(&|entry| !is_sampled(entry) && is_failure(entry))),
        ("sampledOut", count(&|entry| !is_sampled(entry) && !is_failure(entry))),
        ("derived", count(&|entry| entry.sampled.is_none())),
        ("unplaced", 0),
        ("secondary", 0),
        ("missesExpected", count(&|entry| entry.asked_origin && entry.sampled == Some(true))),
        ("missesWithoutBackend", count(&|entry| entry.asked_origin && entry.sampled == Some(true))),
    ] {
        assert_eq!(totals[name], json!(expected), "{name}: {totals}");
    }
    let mut results: BTreeMap<String, u64> = BTreeMap::new();
    let mut classes: BTreeMap<String, u64> =
        ["000", "2xx", "3xx", "4xx", "5xx"].map(|class| (class.to_owned(), 0)).into();
    for entry in ledger {
        *results.entry(entry.result_type.name().to_owned()).or_default() += 1;
        *classes.entry(format!("{}xx", entry.status / 100)).or_default() += 1;
    }
    assert_eq!((&totals["resultTypes"], &totals["statusClasses"]), (&json!(results), &json!(classes)));
    assert!(results.len() >= 5 && count(&|entry| entry.sampled == Some(false)) > 3, "it is a test of all: {results:?}");
    assert_eq!(of(&answer, "/quiet/*")["sampledOut"], 3);
    assert_eq!(of(&answer, "/bare/*")["derived"], 2);
    let sum: u64 = ["sampled", "sampledOut", "kept", "thinned", "unplaced", "secondary"]
        .iter()
        .map(|name| totals[*name].as_u64().expect("a number"))
        .sum();
    assert_eq!(totals["records"], json!(sum), "each record is in one");
    gateway.stop();
}

/// What a traced back end would export for the requests that it saw.
fn export_backends(gateway: &Process, seen: &[Seen]) {
    let unhex = |text: &str| -> Vec<u8> {
        let digit = |at: usize| u8::from_str_radix(text.get(at..at + 2).expect("hex"), 16).expect("hex");
        (0..text.len()).step_by(2).map(digit).collect()
    };
    let spans = (1..).zip(seen).map(|(number, seen)| {
        let parts: Vec<&str> = seen.traceparent.split('-').collect();
        let [_, trace_id, parent, _] = parts[..] else {
            // No header came: a trace of its own.
            return otlp::span(&otlp::trace_id(&seen.path, number), number, otlp::now());
        };
        let mut span = otlp::span(&unhex(trace_id), number, otlp::now());
        span.parent_span_id = unhex(parent);
        span
    });
    let answer = otlp::export_http(gateway.otlp_http(), &otlp::request("backend", spans.collect()));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn a_policy_that_drops_the_trace_headers_is_found() {
    for (forwarded, without) in [(None, 0), (Some("accept"), 3)] {
        let site = Site::new(Setup { cloudfront: true, ..Setup::default() });
        let gateway = site.start();
        let visit = visit(&gateway, &[("/api/items", "https"); 3], |config| {
            if let Some(name) = forwarded {
                let headers = Selection::Listed(vec![name.to_owned()]);
                let policy = OriginRequestPolicy { headers, ..OriginRequestPolicy::all_viewer_except_host() };
                config.behaviors.push(Behavior { origin_request: policy, ..Behavior::default() });
            }
        });
        assert_eq!(visit.seen.len(), 3);
        export_backends(&gateway, &visit.seen);
        let answer = coverage(&gateway, "");
        let totals = &answer["totals"];
        assert_eq!((&totals["missesExpected"], &totals["missesWithoutBackend"]), (&json!(3), &json!(without)));
        let patient = get(gateway.ui(), "/api/v1/edge/coverage").json();
        assert_eq!(patient["totals"]["missesExpected"], 0, "ten minutes have not passed");
        let finding = &answer["findings"][0];
        let ended = Process::spawn(rootspan().args(["edge", "coverage", "--wait", "0", "--url", &url(&gateway)])).end();
        assert!(ended.status.success(), "{}", ended.stderr);
        if without == 0 {
            assert_eq!(answer["findings"], json!([]));
            assert!(ended.stdout.contains("0 of 3"), "{}", ended.stdout);
        } else {
            assert_eq!((&finding["kind"], &finding["count"]), (&json!("misses_without_backend"), &json!(3)));
            assert!(
                finding["check"].as_str().is_some_and(|check| check.contains("origin request policy")),
                "{finding}"
            );
            let traces: Vec<String> = visit.ledger.iter().map(|entry| entry.trace_id.to_string()).collect();
            assert!(finding["traces"].as_array().is_some_and(|found| found.len() == 3));
            for trace in finding["traces"].as_array().expect("a list") {
                assert!(traces.contains(&trace.as_str().expect("a text").to_owned()), "{trace}");
            }
            assert!(ended.stdout.contains("3 of 3 requests to the origin have no span"), "{}", ended.stdout);
        }
        gateway.stop();
    }
}

fn url(gateway: &Process) -> String {
    format!("http://{}", gateway.ui())
}

#[test]
fn what_was_counted_survives_a_kill_and_is_not_counted_twice() {
    let site = Site::new(Setup { cloudfront: true, ..Setup::default() });
    let gateway = site.start();
    let requests = [("/api/items", "https"), ("/quiet/a", "https"), ("/api/items", "https")];
    let visit = visit(&gateway, &requests, |config| {
        config.deliveries[0].mishaps = Mishaps { repeats: 1, ..Mishaps::default() };
    });
    assert_eq!(visit.ledger.len(), 3);
    let before = coverage(&gateway, "");
    assert_eq!((&before["totals"]["records"], &before["totals"]["redelivered"]), (&json!(3), &json!(3)));
    gateway.kill();
    let gateway = site.start();
    assert_eq!(coverage(&gateway, "")["totals"], before["totals"], "killed");
    gateway.stop();
    let gateway = site.start();
    assert_eq!(coverage(&gateway, "")["totals"], before["totals"], "stopped: from files");
    let ended = Process::spawn(rootspan().args([
        "edge",
        "coverage",
        "--format",
        "json",
        "--wait",
        "0",
        "--url",
        &url(&gateway),
    ]));
    let said: Value = serde_json::from_str(&ended.end().stdout).expect("JSON");
    assert_eq!(said["totals"], before["totals"], "the command says the same");
    gateway.stop();
}
