//! Files, pages, and what is neither.

use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::BodyExt;

use super::{Asset, is_embedded, respond};

const SCRIPT: &[u8] = &[b'x'; 5000];

static ASSETS: [Asset; 3] = [
    Asset::new("assets/index-4f3a.js", SCRIPT, "\"1\""),
    Asset::new("favicon.svg", b"<svg/>", "\"2\""),
    Asset::new("index.html", b"<!doctype html>", "\"3\""),
];

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }
}

async fn get(assets: &'static [Asset], path: &str, header: Option<(&'static str, &'static str)>) -> Answer {
    let mut headers = HeaderMap::new();
    if let Some((name, value)) = header {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let (parts, body) = respond(assets, path, &headers).into_parts();
    let body = body.collect().await.expect("a body in memory").to_bytes().to_vec();
    Answer { status: parts.status, headers: parts.headers, body }
}

#[tokio::test]
async fn pages_are_the_application() {
    for path in ["/", "/trace/4bf92f3577b34da6a3ce929d0e0e4736", "/search", "/index.html"] {
        let answer = get(&ASSETS, path, None).await;
        assert_eq!((answer.status, answer.body.as_slice()), (StatusCode::OK, &b"<!doctype html>"[..]), "{path}");
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(answer.header("cache-control"), "no-cache");
    }
}

#[tokio::test]
async fn hashed_files_are_cached_for_ever_and_compressed() {
    let plain = get(&ASSETS, "/assets/index-4f3a.js", None).await;
    assert_eq!(plain.header("content-type"), "text/javascript; charset=utf-8");
    assert!(plain.header("cache-control").contains("immutable"));
    assert_eq!(plain.body, SCRIPT);
    let packed = get(&ASSETS, "/assets/index-4f3a.js", Some(("accept-encoding", "gzip, br"))).await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert!(packed.body.len() < 200);
    assert_eq!(packed.header("vary"), "accept-encoding");
}

#[tokio::test]
async fn a_known_tag_answers_not_modified() {
    for tags in ["\"3\"", "\"x\", W/\"3\"", "*"] {
        let answer = get(&ASSETS, "/", Some(("if-none-match", tags))).await;
        assert_eq!((answer.status, answer.body.len()), (StatusCode::NOT_MODIFIED, 0), "{tags}");
    }
    assert_eq!(get(&ASSETS, "/", Some(("if-none-match", "\"33\""))).await.status, StatusCode::OK);
}

#[tokio::test]
async fn missing_files_and_other_apis_are_not_pages() {
    for path in
        ["/assets/gone.js", "/assets/", "/robots.txt", "/a/../../etc/passwd.d", "/jaeger/api/services", "/tempo"]
    {
        let answer = get(&ASSETS, path, None).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.header("content-type"), "application/json");
    }
}

#[tokio::test]
async fn without_a_build_the_page_says_how_to_make_one() {
    let answer = get(&[], "/search", None).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    let text = String::from_utf8(answer.body).expect("text");
    assert!(text.contains("npm run build"));
    assert!(!text.contains("style") && !text.contains("<script"));
}

#[test]
fn an_embedded_build_is_whole() {
    let has = |suffix: &str| super::ASSETS.iter().any(|asset| asset.path.ends_with(suffix));
    assert!(super::ASSETS.is_sorted_by(|a, b| a.path < b.path));
    assert!(!is_embedded() || has(".js"));
}
