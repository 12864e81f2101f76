//! What runs when, what is kept for how long, and what reaches the origin.

use std::time::Duration;

use http::{HeaderMap, Request, StatusCode};
use http_body_util::Full;

use super::support::{Origin, get};
use crate::build;
use crate::emulator::{
    AllowedMethods, Behavior, CachePolicy, Config, Emulator, ErrorPage, Failover, Function, Functions, LedgerEntry,
    OriginRequestPolicy, ResultType, Running, StartError, WafRule,
};
use crate::settings::Settings;

fn built(file: &str) -> String {
    let functions = build::all(&Settings::default()).expect("within the limits");
    functions.into_iter().find(|function| function.file_name == file).expect("it is built").code
}

async fn start(config: Config) -> Running {
    Emulator::start(config).await.expect("the emulator starts")
}

async fn send(running: &Running, method: &str, target: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap) {
    let mut request = Request::builder().method(method).uri(format!("http://{}{target}", running.address));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (status, headers, _) = get(running, request.body(Full::default()).expect("valid request")).await;
    (status, headers)
}

fn results(ledger: &[LedgerEntry]) -> Vec<(u16, &str)> {
    ledger.iter().map(|entry| (entry.status, entry.detailed_result_type)).collect()
}

/// Writes its name into a header of what it may change.
fn marking(event: &str, part: &str) -> Function {
    let code = format!(
        "export const handler = async (event) => {{ const cf = event.Records[0].cf; const it = cf.{part}; const old = (it.headers['x-ran'] || []).map((h) => h.value); it.headers['x-ran'] = [{{ key: 'X-Ran', value: [...old, cf.config.eventType].join(' ') }}]; return it; }};"
    );
    Function::lambda(event, code)
}

#[tokio::test]
async fn lambda_functions_run_on_all_four_events_and_skip_what_cloudfront_skips() {
    let origin = Origin::start().await;
    let functions = Functions {
        viewer_request: Some(marking("viewer-request", "request")),
        origin_request: Some(marking("origin-request", "request")),
        origin_response: Some(marking("origin-response", "response")),
        viewer_response: Some(marking("viewer-response", "response")),
    };
    let running = start(Config { origin: origin.url(), functions, ..Config::default() }).await;
    let mut ran = Vec::new();
    for target in ["/cached", "/cached", "/error", "/missing"] {
        let (_, headers) = send(&running, "GET", target, &[]).await;
        ran.push(headers.get("x-ran").map(|value| value.to_str().expect("text").to_owned()).unwrap_or_default());
    }
    running.shutdown().await;
    let expected = [
        "origin-response viewer-response",
        // Out of the cache, as the origin-response function left it.
        "origin-response viewer-response",
        "origin-response",
        "origin-response",
    ];
    assert_eq!(ran, expected);
    let seen = origin.seen();
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[0].headers["x-ran"], "viewer-request origin-request");
}

#[tokio::test]
async fn lambda_failures_are_503_and_broken_rules_502() {
    let origin = Origin::start().await;
    let code = "export const handler = async (event) => { const request = event.Records[0].cf.request; switch (request.uri) { case '/throws': throw new Error('broken'); case '/via': request.headers.via = [{ key: 'Via', value: 'me' }]; break; case '/answer': return { status: '200', headers: {}, body: 'made' }; case '/missing-origin': request.origin.custom.port = 9; } return request; };";
    let functions =
        Functions { origin_request: Some(Function::lambda("origin-request", code)), ..Functions::default() };
    let running = start(Config { origin: origin.url(), functions, ..Config::default() }).await;
    for target in ["/throws", "/via", "/answer", "/missing-origin", "/"] {
        send(&running, "GET", target, &[]).await;
    }
    let ledger = running.shutdown().await.ledger;
    let expected = [
        (503, "LambdaExecutionError"),
        (502, "LambdaValidationError"),
        (200, "LambdaGeneratedResponse"),
        (502, "OriginConnectError"),
        (200, "Miss"),
    ];
    assert_eq!(results(&ledger), expected);
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test]
async fn the_policies_decide_what_the_origin_sees() {
    let origin = Origin::start().await;
    let behavior = |pattern: &str, origin_request| Behavior {
        path_pattern: pattern.to_owned(),
        cache: CachePolicy::optimized(),
        origin_request,
        ..Behavior::default()
    };
    let config = Config {
        origin: origin.url(),
        functions: Functions::viewer_request(built("viewer-request.js")),
        behaviors: vec![
            behavior("/none", OriginRequestPolicy::none()),
            behavior("/two", OriginRequestPolicy::headers(&["traceparent", "tracestate"])),
        ],
        ..Config::default()
    };
    let running = start(config).await;
    for target in ["/none?a=1", "/two?a=1", "/all?a=1"] {
        send(&running, "GET", target, &[("accept", "text/html"), ("cookie", "session=1")]).await;
    }
    running.shutdown().await;
    let seen = origin.seen();
    let has = |index: usize, name: &str| seen[index].headers.contains_key(name);
    assert_eq!((has(0, "traceparent"), has(0, "accept"), has(0, "cookie"), has(0, "via")), (false, false, false, true));
    assert_eq!((has(1, "traceparent"), has(1, "tracestate"), has(1, "accept")), (true, true, false));
    assert_eq!((has(2, "traceparent"), has(2, "accept"), has(2, "cookie")), (true, true, true));
    let targets: Vec<_> = seen.iter().map(|seen| seen.target.as_str()).collect();
    assert_eq!(targets, ["/none", "/two", "/all?a=1"]);
    assert_eq!(seen[0].headers["user-agent"], "Amazon CloudFront");
}

#[tokio::test]
async fn errors_are_kept_and_have_their_pages() {
    let origin = Origin::start().await;
    let page = ErrorPage {
        page: Some("/cached".to_owned()),
        response_status: 200,
        ..ErrorPage::cached_for(404, Duration::from_secs(60))
    };
    let error_pages = vec![page, ErrorPage::cached_for(500, Duration::ZERO)];
    let running = start(Config { origin: origin.url(), error_pages, ..Config::default() }).await;
    for target in ["/missing", "/missing", "/error", "/error"] {
        send(&running, "GET", target, &[]).await;
    }
    let ledger = running.shutdown().await.ledger;
    // The page hides the status from the viewer, not what happened.
    assert_eq!(results(&ledger), [(200, "Error"), (200, "Hit"), (500, "Error"), (500, "Error")]);
    let asked: Vec<_> = origin.seen().iter().map(|seen| seen.target.clone()).collect();
    assert_eq!(asked, ["/missing", "/cached", "/error", "/error"]);
}

#[tokio::test]
async fn requests_over_a_limit_are_refused_and_not_logged() {
    let origin = Origin::start().await;
    let config = Config {
        origin: origin.url(),
        behaviors: vec![Behavior {
            path_pattern: "/read/*".to_owned(),
            allowed_methods: AllowedMethods::Read,
            ..Behavior::default()
        }],
        waf: vec![WafRule { header: Some(("user-agent".to_owned(), "bot".to_owned())), ..WafRule::default() }],
        ..Config::default()
    };
    let running = start(config).await;
    let long = format!("/{}", "x".repeat(8192));
    let wide = "x".repeat(20_480);
    for (method, target, headers, expected) in [
        ("GET", long.as_str(), &[][..], 414),
        ("GET", "/", &[("x-wide", wide.as_str())], 494),
        ("TRACE", "/", &[], 405),
        ("POST", "/read/x", &[], 403),
        ("OPTIONS", "/read/x", &[], 403),
        ("GET", "/read/x", &[("user-agent", "a bot")], 403),
        ("GET", "/read/x", &[], 200),
        ("DELETE", "/x", &[], 200),
    ] {
        assert_eq!(send(&running, method, target, headers).await.0, expected, "{method} {target:.20}");
    }
    let ledger = running.shutdown().await.ledger;
    let logged: Vec<_> = ledger.iter().map(|entry| entry.is_logged).collect();
    assert_eq!(logged, [false, false, true, true, true, true, true, true]);
    assert_eq!(ledger[5].detailed_result_type, "InvalidRequestBlocked");
    assert_eq!(origin.seen().len(), 2);
}

#[tokio::test]
async fn a_second_origin_is_asked_when_the_first_fails() {
    let origin = Origin::start().await;
    let failover = Some(Failover { origin: origin.url(), statuses: vec![500] });
    let behavior = Behavior { failover, ..Behavior::default() };
    let functions = Functions { origin_request: Some(marking("origin-request", "request")), ..Functions::default() };
    let config =
        Config { origin: "http://127.0.0.1:9".to_owned(), behaviors: vec![behavior], functions, ..Config::default() };
    let running = start(config).await;
    for (method, expected) in [("GET", 200), ("POST", 502)] {
        assert_eq!(send(&running, method, "/", &[]).await.0, expected, "{method}");
    }
    let ledger = running.shutdown().await.ledger;
    assert_eq!(results(&ledger), [(200, "Miss"), (502, "OriginConnectError")]);
    assert_eq!(origin.seen()[0].headers["x-ran"], "origin-request");
}

#[tokio::test]
async fn simultaneous_requests_are_one_for_the_origin() {
    let origin = Origin::start().await;
    let config = Config { origin: origin.url(), origin_round_trip: Duration::from_millis(100), ..Config::default() };
    let running = start(config).await;
    let one = || send(&running, "GET", "/cached", &[]);
    tokio::join!(one(), one(), one(), one());
    let ledger = running.shutdown().await.ledger;
    let hits = ledger.iter().filter(|entry| entry.result_type == ResultType::Hit).count();
    assert_eq!((hits, origin.seen().len()), (3, 1), "{:?}", results(&ledger));
}

#[tokio::test]
async fn an_unsettled_rule_can_be_tried_both_ways() {
    let origin = Origin::start().await;
    for function_before_refusal in [false, true] {
        let config = Config {
            origin: origin.url(),
            functions: Functions::viewer_request(built("viewer-request.js")),
            waf: vec![WafRule { query: Some("union".to_owned()), ..WafRule::default() }],
            function_before_refusal,
            ..Config::default()
        };
        let running = start(config).await;
        assert_eq!(send(&running, "GET", "/?q=union", &[]).await.0, 403);
        let ledger = running.shutdown().await.ledger;
        assert_eq!(ledger[0].sampled, function_before_refusal.then_some(true));
    }
}

#[tokio::test]
async fn what_cannot_be_attached_is_refused() {
    let origin = || "http://127.0.0.1:9".to_owned();
    let plain = || Function::cloudfront("f", "function handler(event) { return event.request; }");
    let functions = Functions { origin_request: Some(plain()), ..Functions::default() };
    let error =
        Emulator::start(Config { origin: origin(), functions, ..Config::default() }).await.expect_err("refused");
    assert!(matches!(error, StartError::NotForOrigin { .. }), "{error}");
    let functions = Functions {
        viewer_request: Some(plain()),
        viewer_response: Some(marking("viewer-response", "response")),
        ..Functions::default()
    };
    let error =
        Emulator::start(Config { origin: origin(), functions, ..Config::default() }).await.expect_err("refused");
    assert!(matches!(error, StartError::MixedViewerEvents), "{error}");
}
