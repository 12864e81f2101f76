//! Requests through the emulator to a real origin.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::Full;
use rootspan_model::edge_id::EdgeIds;
use rootspan_model::trace_context::TraceParent;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::support::{Origin, get};
use crate::build::viewer_request;
use crate::emulator::{
    Behavior, CLASS_HEADER, Config, Emulator, Functions, LedgerEntry, PROTOCOL_HEADER, ResultType, Running,
    ViewerProtocol,
};
use crate::settings::Settings;

fn built() -> String {
    viewer_request(&Settings::default()).expect("within the limits").code
}

async fn start(origin: &Origin) -> Running {
    let config = Config { origin: origin.url(), functions: Functions::viewer_request(built()), ..Config::default() };
    Emulator::start(config).await.expect("the emulator starts")
}

async fn with_function(origin: &Origin, code: &str) -> Running {
    let config =
        Config { origin: origin.url(), functions: Functions::viewer_request(code.to_owned()), ..Config::default() };
    Emulator::start(config).await.expect("the emulator starts")
}

fn request(running: &Running, target: &str) -> http::request::Builder {
    Request::get(format!("http://{}{target}", running.address))
}

async fn visit(running: &Running, target: &str) -> (StatusCode, HeaderMap, Bytes) {
    let (status, headers, body) =
        get(running, request(running, target).body(Full::default()).expect("valid request")).await;
    (status, headers, body.expect("a whole body"))
}

/// The only entry.
fn single(ledger: &[LedgerEntry]) -> &LedgerEntry {
    let [entry] = ledger else { panic!("one request, not {ledger:?}") };
    entry
}

#[tokio::test]
async fn a_miss_reaches_the_origin_with_the_trace() {
    let origin = Origin::start().await;
    let running = start(&origin).await;
    let request = request(&running, "/api/items?b=2&a=1&b=3")
        .header(CLASS_HEADER, "plain")
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .header("tracestate", "vendor=abc")
        .header("baggage", "user=1")
        .header("x-forwarded-for", "192.0.2.1");
    let (status, headers, body) = get(&running, request.body(Full::default()).expect("valid request")).await;
    assert_eq!((status, body.expect("a whole body")), (StatusCode::OK, Bytes::from_static(b"hello")));
    assert_eq!(headers["x-cache"], "Miss from cloudfront");
    assert!(headers["via"].to_str().expect("text").ends_with("cloudfront.net (CloudFront)"));

    let summary = running.shutdown().await;
    let entry = single(&summary.ledger);
    assert_eq!(headers["x-amz-cf-id"], entry.request_id);
    let ids = EdgeIds::of_request(&entry.request_id);
    assert_eq!((entry.trace_id, entry.span_id, entry.sampled), (ids.trace_id, ids.viewer_span_id, Some(true)));
    assert_eq!((entry.class.as_deref(), entry.status, entry.result_type), (Some("plain"), 200, ResultType::Miss));
    assert!(entry.asked_origin);

    let seen = origin.seen();
    let [asked] = &seen[..] else { panic!("one request, not {seen:?}") };
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("GET", "/api/items?b=2&a=1&b=3"));
    let parent = TraceParent::parse(asked.headers["traceparent"].to_str().expect("text")).expect("valid");
    assert_eq!((parent.trace_id, parent.span_id), (ids.trace_id, ids.viewer_span_id));
    assert_eq!(asked.headers["tracestate"], "ot=th:0");
    assert_eq!(asked.headers["x-forwarded-for"], "192.0.2.1, 127.0.0.1");
    assert_eq!(asked.headers["x-amz-cf-id"], entry.request_id);
    assert_eq!(asked.headers["host"], origin.address.to_string());
    assert!(!asked.headers.contains_key("baggage") && !asked.headers.contains_key(CLASS_HEADER));
}

#[tokio::test]
async fn a_hit_never_reaches_the_origin() {
    let origin = Origin::start().await;
    let running = start(&origin).await;
    let (_, first, _) = visit(&running, "/cached?v=1").await;
    assert_eq!((&first["x-cache"], first.get("age")), (&"Miss from cloudfront".parse().expect("a value"), None));
    let (status, second, body) = visit(&running, "/cached?v=1").await;
    assert_eq!((status, body), (StatusCode::OK, Bytes::from_static(b"kept")));
    assert_eq!(
        (&second["x-cache"], &second["x-origin"]),
        (&"Hit from cloudfront".parse().expect("a value"), &first["x-origin"])
    );
    assert!(second.contains_key("age"));
    let head = Request::head(format!("http://{}/cached?v=1", running.address)).body(Full::default());
    let (_, headers, body) = get(&running, head.expect("valid request")).await;
    assert_eq!((&headers["content-length"], body.expect("no body").len()), (&"4".parse().expect("a value"), 0));
    visit(&running, "/cached?v=2").await;
    let summary = running.shutdown().await;
    let asked: Vec<_> = summary.ledger.iter().map(|entry| (entry.result_type, entry.asked_origin)).collect();
    let (hit, miss) = ((ResultType::Hit, false), (ResultType::Miss, true));
    assert_eq!(asked, [miss, hit, hit, miss]);
    assert_eq!(origin.seen().len(), 2);
    let ids: std::collections::HashSet<_> = summary.ledger.iter().map(|entry| entry.trace_id).collect();
    assert_eq!(ids.len(), 4, "each request is a trace of its own");
}

#[tokio::test]
async fn a_body_of_unknown_length_is_kept_whole() {
    let origin = Origin::start().await;
    let running = start(&origin).await;
    let (_, headers, body) = visit(&running, "/chunked").await;
    assert_eq!((headers.get("content-length"), &body[..]), (None, &b"one two three"[..]));
    let (_, headers, body) = visit(&running, "/chunked").await;
    assert_eq!(headers["x-cache"], "Hit from cloudfront");
    assert_eq!((&headers["content-length"], &body[..]), (&"13".parse().expect("a value"), &b"one two three"[..]));
    let results: Vec<_> = running.shutdown().await.ledger.iter().map(|entry| entry.result_type).collect();
    assert_eq!(results, [ResultType::Miss, ResultType::Hit]);
}

#[tokio::test]
async fn a_head_request_that_misses_is_complete_and_not_kept() {
    let origin = Origin::start().await;
    let running = start(&origin).await;
    for _ in 0..2 {
        let head = Request::head(format!("http://{}/cached", running.address)).body(Full::default());
        let (status, headers, body) = get(&running, head.expect("valid request")).await;
        assert_eq!((status, body.expect("no body").len()), (StatusCode::OK, 0));
        assert_eq!(headers["x-cache"], "Miss from cloudfront");
    }
    let results: Vec<_> = running.shutdown().await.ledger.iter().map(|entry| entry.detailed_result_type).collect();
    assert_eq!(results, ["Miss", "Miss"]);
    assert_eq!(origin.seen().len(), 2);
}

#[tokio::test]
async fn bodies_of_requests_go_through() {
    let origin = Origin::start().await;
    let running = start(&origin).await;
    let upload = Request::post(format!("http://{}/items", running.address)).body(Full::from("payload"));
    let (status, _, _) = get(&running, upload.expect("valid request")).await;
    assert_eq!(status, StatusCode::OK);
    running.shutdown().await;
    let seen = origin.seen();
    assert_eq!((seen[0].method.as_str(), &seen[0].body[..]), ("POST", &b"payload"[..]));
}

#[tokio::test]
async fn error_statuses_are_errors() {
    let origin = Origin::start().await;
    let running = start(&origin).await;
    for (target, expected) in [("/error", 500), ("/missing", 404), ("/empty", 204)] {
        let (status, headers, _) = visit(&running, target).await;
        assert_eq!(status, expected);
        assert_eq!(headers["x-cache"] == "Error from cloudfront", expected >= 400, "{target}");
    }
    let summary = running.shutdown().await;
    let results: Vec<_> = summary.ledger.iter().map(|entry| (entry.status, entry.detailed_result_type)).collect();
    assert_eq!(results, [(500, "Error"), (404, "Error"), (204, "Miss")]);
}

#[tokio::test]
async fn an_origin_that_is_not_there_is_a_502() {
    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("a bound address");
    let config =
        Config { origin: format!("http://{gone}"), functions: Functions::viewer_request(built()), ..Config::default() };
    let running = Emulator::start(config).await.expect("the emulator starts");
    let (status, headers, _) = visit(&running, "/").await;
    assert_eq!(
        (status, &headers["x-cache"]),
        (StatusCode::BAD_GATEWAY, &"Error from cloudfront".parse().expect("a value"))
    );
    let summary = running.shutdown().await;
    let entry = single(&summary.ledger);
    assert_eq!((entry.detailed_result_type, entry.sampled), ("OriginConnectError", Some(true)));
}

#[tokio::test]
async fn an_origin_that_does_not_answer_is_a_504() {
    let origin = Origin::start().await;
    let config = Config {
        origin: origin.url(),
        functions: Functions::viewer_request(built()),
        origin_response_timeout: Duration::from_millis(50),
        ..Config::default()
    };
    let running = Emulator::start(config).await.expect("the emulator starts");
    let (status, _, _) = visit(&running, "/never").await;
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
    let summary = running.shutdown().await;
    assert_eq!(single(&summary.ledger).detailed_result_type, "OriginCommError");
}

#[tokio::test]
async fn an_origin_that_breaks_off_is_an_error_with_status_200() {
    let origin = Origin::start().await;
    let running = start(&origin).await;
    let (status, _, body) =
        get(&running, request(&running, "/breaks").body(Full::default()).expect("valid request")).await;
    assert_eq!(status, StatusCode::OK);
    body.expect_err("the body breaks off");
    let summary = running.shutdown().await;
    let entry = single(&summary.ledger);
    assert_eq!(
        (entry.status, entry.result_type, entry.detailed_result_type),
        (200, ResultType::Error, "OriginCommError")
    );
}

#[tokio::test]
async fn a_viewer_that_leaves_before_an_answer_is_a_000() {
    let mut origin = Origin::start().await;
    let running = start(&origin).await;
    let mut viewer = TcpStream::connect(running.address).await.expect("a connection");
    viewer.write_all(b"GET /never HTTP/1.1\r\nHost: shop.example.com\r\n\r\n").await.expect("sent");
    origin.asked(1).await;
    drop(viewer);
    let summary = running.shutdown().await;
    let entry = single(&summary.ledger);
    assert_eq!(
        (entry.status, entry.result_type, entry.detailed_result_type),
        (0, ResultType::Error, "ClientCommError")
    );
    assert_eq!((entry.sampled, entry.asked_origin), (Some(true), true));
}

#[tokio::test]
async fn a_viewer_that_leaves_within_the_body_has_a_status_and_an_error() {
    let origin = Origin::start().await;
    let running = start(&origin).await;
    let mut viewer = TcpStream::connect(running.address).await.expect("a connection");
    viewer.write_all(b"GET /endless HTTP/1.1\r\nHost: shop.example.com\r\n\r\n").await.expect("sent");
    let mut some = [0; 4096];
    viewer.read_exact(&mut some).await.expect("the response begins");
    drop(viewer);
    let summary = running.shutdown().await;
    let entry = single(&summary.ledger);
    assert_eq!(
        (entry.status, entry.result_type, entry.detailed_result_type),
        (200, ResultType::Error, "ClientCommError")
    );
}

#[tokio::test]
async fn plain_http_is_redirected_or_refused() {
    let origin = Origin::start().await;
    let behavior = |pattern: &str, viewer_protocol| Behavior {
        path_pattern: pattern.to_owned(),
        viewer_protocol,
        ..Behavior::default()
    };
    let config = Config {
        origin: origin.url(),
        functions: Functions::viewer_request(built()),
        behaviors: vec![
            behavior("/redirect*", ViewerProtocol::RedirectToHttps),
            behavior("/only/*", ViewerProtocol::HttpsOnly),
        ],
        ..Config::default()
    };
    let running = Emulator::start(config).await.expect("the emulator starts");
    let plain = |target: &str| {
        let request = request(&running, target).header(PROTOCOL_HEADER, "http").header("host", "shop.example.com");
        get(&running, request.body(Full::default()).expect("valid request"))
    };
    let (status, headers, _) = plain("/redirect?x=1").await;
    assert_eq!(
        (status, &headers["location"]),
        (StatusCode::MOVED_PERMANENTLY, &"https://shop.example.com/redirect?x=1".parse().expect("a value"))
    );
    assert_eq!(plain("/only/x").await.0, StatusCode::FORBIDDEN);
    assert_eq!(plain("/other").await.0, StatusCode::OK);
    assert_eq!(visit(&running, "/redirect").await.0, StatusCode::OK);
    let summary = running.shutdown().await;
    let results: Vec<_> = summary.ledger.iter().map(|entry| (entry.result_type, entry.sampled)).collect();
    assert_eq!(
        results,
        [
            (ResultType::Redirect, None),
            (ResultType::Error, None),
            (ResultType::Miss, Some(true)),
            (ResultType::Miss, Some(true))
        ]
    );
    assert_eq!(summary.ledger[0].trace_id, EdgeIds::of_request(&summary.ledger[0].request_id).trace_id);
    assert_eq!(origin.seen().len(), 2);
}

#[tokio::test]
async fn a_function_that_breaks_the_header_rules_is_a_502() {
    let origin = Origin::start().await;
    for (statement, expected) in [
        ("event.request.headers['x-edge-mine'] = {value: '1'};", 502),
        ("event.request.headers['x-amz-cf-id'] = {value: '1'};", 502),
        ("event.request.headers.host = {value: 'other'};", 502),
        ("event.request.headers['x-mine'] = {value: '1'};", 200),
        ("delete event.request.headers.host;", 502),
        ("throw new Error('broken');", 503),
        ("return;", 502),
        ("return {statusCode: 403, body: 'no'};", 403),
    ] {
        let code = format!("function handler(event) {{ {statement} return event.request; }}");
        let running = with_function(&origin, &code).await;
        let (status, headers, _) = visit(&running, "/").await;
        assert_eq!(status, expected, "{statement}");
        let summary = running.shutdown().await;
        let result = match expected {
            502 => ResultType::FunctionValidationError,
            503 => ResultType::FunctionExecutionError,
            403 => ResultType::FunctionGeneratedResponse,
            _ => ResultType::Miss,
        };
        assert_eq!(single(&summary.ledger).result_type, result, "{statement}");
        assert_eq!(headers["x-cache"], format!("{} from cloudfront", result.name()), "{statement}");
    }
    assert_eq!(origin.seen().len(), 1);
    assert_eq!(origin.seen()[0].headers["x-mine"], "1");
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let origin = || "http://127.0.0.1:9".to_owned();
    let function = Config {
        origin: origin(),
        functions: Functions::viewer_request("function other() {}".to_owned()),
        ..Config::default()
    };
    let error = Emulator::start(function).await.expect_err("no handler");
    assert_eq!(error.to_string(), "the viewer-request function cannot be used");
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let listen = taken.local_addr().expect("a bound address");
    let error = Emulator::start(Config { origin: origin(), listen, ..Config::default() }).await.expect_err("taken");
    assert_eq!(error.to_string(), format!("cannot listen on {listen}"));
    let error = Emulator::start(Config::default()).await.expect_err("no origin");
    assert_eq!(error.to_string(), "origin must be http://host:port, not \"\"");
}
