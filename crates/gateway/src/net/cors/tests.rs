use super::*;

fn cors(origins: &[&str], headers: &[&str]) -> Cors {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let config = CorsConfig {
        allowed_origins: texts(origins),
        allowed_headers: texts(headers),
        exposed_headers: texts(&["X-Id", "X-Other"]),
        max_age: 7200,
    };
    Cors::new(&config).expect("some may send")
}

fn request(pairs: &[(http::HeaderName, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
}

#[test]
fn without_origins_nobody_is_asked() {
    let config = CorsConfig {
        allowed_origins: Vec::new(),
        allowed_headers: vec!["*".to_owned()],
        exposed_headers: Vec::new(),
        max_age: 0,
    };
    assert!(Cors::new(&config).is_none());
}

#[test]
fn origins_match_as_a_whole_or_around_an_asterisk() {
    for (allowed, origin, is_allowed) in [
        ("https://a.example.com", "https://a.example.com", true),
        ("https://a.example.com", "https://A.Example.com", true),
        ("https://a.example.com", "http://a.example.com", false),
        ("https://a.example.com", "https://a.example.com.evil.com", false),
        ("https://*.example.com", "https://b.example.com", true),
        ("https://*.example.com", "https://example.com", false),
        ("https://*.example.com", "https://evil.com/.example.com.evil.com", false),
        ("https://*", "https://x", true),
    ] {
        let mut answer = text(StatusCode::OK, "");
        let value = HeaderValue::from_str(origin).expect("is a value");
        cors(&[allowed], &[]).decorate(Some(&value), &mut answer);
        assert_eq!(answer.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN), is_allowed, "{allowed} {origin}");
        assert_eq!(answer.headers()[VARY], "Origin");
    }
}

#[test]
fn any_page_may_send_but_not_with_credentials() {
    let mut answer = text(StatusCode::OK, "");
    cors(&["*"], &[]).decorate(Some(&HeaderValue::from_static("https://x")), &mut answer);
    assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    assert!(!answer.headers().contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
    assert_eq!(answer.headers()[ACCESS_CONTROL_EXPOSE_HEADERS], "X-Id, X-Other");
    let mut answer = text(StatusCode::OK, "");
    cors(&["*"], &[]).decorate(None, &mut answer);
    assert!(!answer.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN), "no page asked");
}

#[test]
fn the_question_before_is_answered() {
    let rules = cors(&["https://shop.example.com"], &["X-Tenant"]);
    let ask = |origin, method, headers| {
        let pairs =
            [(ORIGIN, origin), (ACCESS_CONTROL_REQUEST_METHOD, method), (ACCESS_CONTROL_REQUEST_HEADERS, headers)];
        rules.preflight(&Method::OPTIONS, &request(&pairs)).expect("is a question")
    };
    let yes = ask("https://shop.example.com", "POST", "content-type, X-TENANT");
    assert_eq!(yes.status(), 204);
    assert_eq!(yes.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "https://shop.example.com");
    assert_eq!(yes.headers()[ACCESS_CONTROL_ALLOW_HEADERS], "content-type, X-TENANT");
    assert_eq!(yes.headers()[ACCESS_CONTROL_ALLOW_METHODS], "POST");
    assert_eq!(yes.headers()[ACCESS_CONTROL_MAX_AGE], "7200");
    assert_eq!(yes.headers()[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
    for no in [
        ask("https://other.example.com", "POST", "content-type"),
        ask("https://shop.example.com", "DELETE", "content-type"),
        ask("https://shop.example.com", "POST", "x-tenant, x-other"),
        ask("https://shop.example.com", "POST", "x-requested-with"),
    ] {
        assert_eq!(no.status(), 204);
        assert!(!no.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN), "{no:?}");
    }
    assert!(rules.preflight(&Method::OPTIONS, &HeaderMap::new()).is_none(), "a plain OPTIONS is none");
    let post = request(&[(ACCESS_CONTROL_REQUEST_METHOD, "POST")]);
    assert!(rules.preflight(&Method::POST, &post).is_none());
}
