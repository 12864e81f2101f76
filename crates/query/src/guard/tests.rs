//! Hostile Host headers and credentials.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Request, StatusCode};
use tower::ServiceExt;

use super::{Auth, Guard, LocalAddress, host_of, protect};

const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 168, 7, 9)), 16686);

fn request(headers: &[(&str, &str)], uri: &str) -> Request<Body> {
    let mut builder = Request::builder().uri(uri).extension(LocalAddress(LOCAL));
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(Body::empty()).expect("a valid request")
}

async fn answer(guard: Guard, request: Request<Body>) -> http::Response<Body> {
    let router = protect(Router::new().route("/x", get(|| async { "inside" })), guard);
    router.oneshot(request).await.expect("routers do not fail")
}

async fn status(guard: Guard, headers: &[(&str, &str)]) -> StatusCode {
    answer(guard, request(headers, "/x")).await.status()
}

fn open() -> Guard {
    Guard::new(&["Traces.example.com".to_owned(), "fd00::5".to_owned()], None)
}

#[tokio::test]
async fn hosts_that_cannot_be_rebound_are_accepted() {
    for host in [
        "localhost",
        "LOCALHOST:16686",
        "localhost.",
        "127.0.0.1",
        "127.9.8.7:1",
        "[::1]",
        "[::1]:16686",
        "[::ffff:127.0.0.1]:1",
        "192.168.7.9:16686",
        "traces.example.com",
        "TRACES.example.com.:443",
        "[fd00::5]:80",
    ] {
        assert_eq!(status(open(), &[("host", host)]).await, StatusCode::OK, "{host}");
    }
}

#[tokio::test]
async fn other_hosts_are_refused() {
    for host in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil-localhost",
        "sub.traces.example.com",
        "192.168.7.10",
        "0.0.0.0",
        "[::]",
        "2130706433",
        "0x7f.1",
        "xn--lcalhost-54a",
    ] {
        assert_eq!(status(open(), &[("host", host)]).await, StatusCode::FORBIDDEN, "{host}");
    }
}

#[tokio::test]
async fn malformed_hosts_are_bad_requests() {
    for host in [
        "",
        ":16686",
        "localhost:99999",
        "localhost:x",
        "[::1",
        "[::1]x",
        "[evil]",
        "a b",
        "a@localhost",
        "localhost/",
        "a,b",
    ] {
        assert_eq!(status(open(), &[("host", host)]).await, StatusCode::BAD_REQUEST, "{host}");
    }
    assert_eq!(status(open(), &[]).await, StatusCode::BAD_REQUEST);
    assert_eq!(status(open(), &[("host", "localhost"), ("host", "localhost")]).await, StatusCode::BAD_REQUEST);
    assert_eq!(host_of(&"a".repeat(256)), None);
}

#[tokio::test]
async fn the_authority_of_an_absolute_target_counts_too() {
    let evil = request(&[("host", "localhost")], "http://evil.example/x");
    assert_eq!(answer(open(), evil).await.status(), StatusCode::FORBIDDEN);
    let good = request(&[("host", "localhost")], "http://localhost:16686/x");
    assert_eq!(answer(open(), good).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_long_address_is_refused() {
    let long = request(&[("host", "localhost")], &format!("/x?q={}", "a".repeat(16 * 1024)));
    assert_eq!(answer(open(), long).await.status(), StatusCode::URI_TOO_LONG);
}

#[tokio::test]
async fn every_answer_carries_the_policy_and_none_allows_other_origins() {
    for host in ["localhost", "evil.example"] {
        let response = answer(open(), request(&[("host", host), ("origin", "http://evil.example")], "/x")).await;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
        assert!(header("content-security-policy").starts_with("default-src 'none'; script-src 'self'"));
        assert!(!header("content-security-policy").contains("unsafe"));
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("access-control-allow-origin"), "");
    }
}

#[tokio::test]
async fn basic_credentials() {
    let guard = || Guard::new(&[], Some(Auth::Basic { username: "ada".to_owned(), password: "pä:ss".to_owned() }));
    let good = Auth::Basic { username: "ada".to_owned(), password: "pä:ss".to_owned() }.header();
    let with = async |value: &str| status(guard(), &[("host", "localhost"), ("authorization", value)]).await;
    assert_eq!(with(&good).await, StatusCode::OK);
    assert_eq!(with(&good.replace("Basic", "basic ")).await, StatusCode::OK);
    for bad in ["", "Basic", "Basic ", "Basic ?", "Basic YWRhOg==", "Bearer pä:ss", &good.replace("Basic", "Bearer")] {
        assert_eq!(with(bad).await, StatusCode::UNAUTHORIZED, "{bad}");
    }
    let response = answer(guard(), request(&[("host", "localhost")], "/x")).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(response.headers()["www-authenticate"].to_str().is_ok_and(|value| value.starts_with("Basic realm=")));
}

#[tokio::test]
async fn bearer_credentials() {
    let guard = || Guard::new(&[], Some(Auth::Bearer { token: "s3cret".to_owned() }));
    let with = async |value: &str| status(guard(), &[("host", "localhost"), ("authorization", value)]).await;
    assert_eq!(with("Bearer s3cret").await, StatusCode::OK);
    for bad in ["Bearer s3cre", "Bearer s3cret2", "Bearer", "s3cret", "Basic s3cret"] {
        assert_eq!(with(bad).await, StatusCode::UNAUTHORIZED, "{bad}");
    }
    // What a browser sends after it has asked: any name, the token as the password.
    let basic = |username: &str, password: &str| {
        Auth::Basic { username: username.to_owned(), password: password.to_owned() }.header()
    };
    for name in ["", "ada"] {
        assert_eq!(with(&basic(name, "s3cret")).await, StatusCode::OK, "{name}");
        for bad in ["", "s3cre", "s3cret2", "x:s3cret"] {
            assert_eq!(with(&basic(name, bad)).await, StatusCode::UNAUTHORIZED, "{name} {bad}");
        }
    }
    assert_eq!(with("Basic czNjcmV0").await, StatusCode::UNAUTHORIZED, "without a colon it is no password");
    let response = answer(guard(), request(&[("host", "localhost")], "/x")).await;
    let challenges: Vec<_> = response.headers().get_all("www-authenticate").iter().collect();
    assert_eq!(challenges, ["Bearer realm=\"rootspan\"", "Basic realm=\"rootspan\", charset=\"UTF-8\""]);
}

#[tokio::test]
async fn the_host_is_checked_before_the_credentials() {
    let guard = Guard::new(&[], Some(Auth::Bearer { token: "t".to_owned() }));
    assert_eq!(status(guard, &[("host", "evil.example")]).await, StatusCode::FORBIDDEN);
}

#[test]
fn secrets_are_not_printed() {
    let auth = Auth::Basic { username: "ada".to_owned(), password: "hush".to_owned() };
    assert!(!format!("{auth:?}").contains("hush"));
}
