use super::*;

fn viewer() -> HeaderMap {
    [
        ("host", "shop.example.com"),
        ("accept", "text/html"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("content-type", "application/json"),
        ("cookie", "session=1; theme=dark"),
    ]
    .into_iter()
    .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
    .collect()
}

fn names(headers: &HeaderMap) -> Vec<&str> {
    let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    names
}

#[test]
fn without_a_policy_the_origin_sees_no_traceparent() {
    let (cache, origin) = (CachePolicy::optimized(), OriginRequestPolicy::none());
    let policies = Policies { cache: &cache, origin: &origin };
    assert_eq!(names(&policies.origin_headers(&viewer())), ["content-type"]);
    assert_eq!(policies.origin_query("a=1&b=2"), "");
    assert!(!policies.is_query_visible());
    let listed = OriginRequestPolicy::headers(&["TraceParent", "tracestate"]);
    let policies = Policies { cache: &cache, origin: &listed };
    assert_eq!(names(&policies.origin_headers(&viewer())), ["content-type", "traceparent"]);
    let all = OriginRequestPolicy::all_viewer_except_host();
    let policies = Policies { cache: &cache, origin: &all };
    assert_eq!(names(&policies.origin_headers(&viewer())), ["accept", "content-type", "cookie", "traceparent"]);
    assert_eq!(policies.origin_query("a=1&b=2"), "a=1&b=2");
}

#[test]
fn traceparent_in_the_cache_policy_makes_every_request_another() {
    let (with, without) = (
        CachePolicy { headers: Selection::listed(&["traceparent"]), ..CachePolicy::optimized() },
        CachePolicy::optimized(),
    );
    let origin = OriginRequestPolicy::none();
    let mut other = viewer();
    other.insert("traceparent", HeaderValue::from_static("00-11111111111111111111111111111111-2222222222222222-01"));
    let keys = |cache: &CachePolicy| {
        let policies = Policies { cache, origin: &origin };
        [viewer(), other.clone()].map(|headers| policies.cache_key("h", "/p", "v=1", &headers))
    };
    let [first, second] = keys(&with);
    assert_ne!(first, second);
    let [first, second] = keys(&without);
    assert_eq!((first.as_str(), first == second), ("h/p?", true));
}

#[test]
fn chosen_queries_and_cookies_are_in_the_key_and_go_to_the_origin() {
    let cache = CachePolicy {
        queries: Selection::listed(&["v"]),
        cookies: Selection::AllExcept(vec!["session".to_owned()]),
        ..CachePolicy::optimized()
    };
    let origin = OriginRequestPolicy { queries: Selection::listed(&["lang"]), ..OriginRequestPolicy::none() };
    let policies = Policies { cache: &cache, origin: &origin };
    assert_eq!(policies.cache_key("h", "/p", "utm=x&v=1&lang=de&flag", &viewer()), "h/p?v=1\ncookie:theme=dark");
    assert_eq!(policies.origin_query("utm=x&v=1&lang=de&flag"), "v=1&lang=de");
    assert_eq!(policies.origin_headers(&viewer())[COOKIE], "theme=dark");
}
