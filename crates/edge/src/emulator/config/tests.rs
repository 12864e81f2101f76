use super::*;

#[test]
fn patterns_match_as_in_cloudfront() {
    for (pattern, path, expected) in [
        ("*", "/", true),
        ("*", "", true),
        ("/api/*", "/api/items", true),
        ("/api/*", "/api/", true),
        ("/api/*", "/api", false),
        ("api/*", "/api/items", true),
        ("*.jpg", "/a/b.jpg", true),
        ("*.jpg", "/a/b.jpg.png", false),
        ("/v?/x", "/v1/x", true),
        ("/v?/x", "/v12/x", false),
        ("/API/*", "/api/x", false),
        ("/a*b*c", "/aXXbYYbZZc", true),
        ("/a*b*c", "/aXXc", false),
        ("/exact", "/exact", true),
        ("/exact", "/exact/", false),
    ] {
        assert_eq!(path_matches(pattern, path), expected, "{pattern} {path}");
    }
    let hostile = format!("/{}b", "*a".repeat(60));
    assert!(!path_matches(&hostile, &format!("/{}", "a".repeat(8192))));
}

#[test]
fn there_is_always_a_default_behavior() {
    let api = Behavior { path_pattern: "/api/*".to_owned(), ..Behavior::default() };
    let origin = "http://127.0.0.1:81/".to_owned();
    let own = Behavior { origin: Some("http://127.0.0.1:82/".to_owned()), ..api };
    let config = Config { behaviors: vec![own.clone()], origin, ..Config::default() };
    let routes = config.routes().expect("both origins are addresses");
    let routes: Vec<_> = routes.iter().map(|route| (&route.behavior, route.origin.to_string())).collect();
    assert_eq!(
        routes,
        [(&own, "http://127.0.0.1:82/".to_owned()), (&Behavior::default(), "http://127.0.0.1:81/".to_owned())]
    );
    let bad = Config { behaviors: vec![Behavior { origin: Some("nowhere".to_owned()), ..own }], ..config };
    assert!(bad.routes().is_err());
}

#[test]
fn addresses_must_be_plain_http() {
    assert_eq!(
        http_address("origin", "http://127.0.0.1:8080/base").map(|uri| uri.to_string()).ok().as_deref(),
        Some("http://127.0.0.1:8080/base")
    );
    for address in ["", "127.0.0.1:8080", "https://example.com", "http://", "/path"] {
        let error = http_address("origin", address).expect_err("no plain HTTP");
        assert_eq!(error.to_string(), format!("origin must be http://host:port, not {address:?}"));
    }
}
