//! What needs no server; the rest is in `server/tests.rs`.

use super::{Client, with_query};

#[test]
fn addresses() {
    for good in ["http://127.0.0.1:16686", "http://localhost:16686/", "127.0.0.1:16686", "http://[::1]:1/traces/"] {
        assert!(Client::new(good, None).is_ok(), "{good}");
    }
    for bad in ["", "https://example.com", "ftp://x", "http://", "/api", "http://h?x=1", "a b"] {
        let error = Client::new(bad, None).expect_err(bad).to_string();
        assert!(error.contains("is not an address like http://127.0.0.1:16686"), "{error}");
    }
}

#[test]
fn values_are_percent_encoded() {
    let target = with_query("/s", &[("q", Some("{ a = \"ü&b\" }")), ("start", None), ("limit", Some("20"))]);
    assert_eq!(target, "/s?q=%7B%20a%20%3D%20%22%C3%BC%26b%22%20%7D&limit=20");
    assert_eq!(with_query("/s", &[("q", None)]), "/s");
}
