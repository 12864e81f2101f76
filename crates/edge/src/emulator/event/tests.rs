use super::*;

fn header_map(headers: &[(&str, &str)]) -> HeaderMap {
    let parse =
        |(name, value): &(&str, &str)| (name.parse::<HeaderName>().expect("a name"), value.parse().expect("a value"));
    headers.iter().map(parse).collect()
}

fn viewer<'a>(headers: &'a HeaderMap, query: &'a str) -> ViewerRequest<'a> {
    ViewerRequest {
        method: "GET",
        path: "/api/items",
        query,
        headers,
        viewer_ip: "198.51.100.11".to_owned(),
        request_id: "Gx7T0nVb2qk8Zc1yLwPjHs5uRd9eMfA4oXi3tKQ6bN_hYvC-JzWpUg==",
        distribution_id: "EDFDVBD6EXAMPLE",
        distribution_domain: "d111111abcdef8.cloudfront.net",
    }
}

#[test]
fn an_event_is_built_as_documented() {
    let headers = header_map(&[
        ("Host", "shop.example.com"),
        ("Accept", "text/html"),
        ("accept", "*/*"),
        ("Cookie", "session=c0ffee; theme=dark"),
        ("cookie", "theme=light"),
        ("Connection", "keep-alive"),
        ("X-Edge-Secret", "hidden"),
    ]);
    assert_eq!(
        viewer_request(&viewer(&headers, "limit=5&q=a&flag&q=b%20c")),
        json!({
            "version": "1.0",
            "context": {
                "distributionDomainName": "d111111abcdef8.cloudfront.net",
                "distributionId": "EDFDVBD6EXAMPLE",
                "eventType": "viewer-request",
                "requestId": "Gx7T0nVb2qk8Zc1yLwPjHs5uRd9eMfA4oXi3tKQ6bN_hYvC-JzWpUg==",
            },
            "viewer": {"ip": "198.51.100.11"},
            "request": {
                "method": "GET",
                "uri": "/api/items",
                "querystring": {
                    "limit": {"value": "5"},
                    "q": {"value": "a", "multiValue": [{"value": "a"}, {"value": "b%20c"}]},
                    "flag": {"value": ""},
                },
                "headers": {
                    "host": {"value": "shop.example.com"},
                    "accept": {"value": "text/html", "multiValue": [{"value": "text/html"}, {"value": "*/*"}]},
                },
                "cookies": {
                    "session": {"value": "c0ffee"},
                    "theme": {"value": "dark", "multiValue": [{"value": "dark"}, {"value": "light"}]},
                },
            },
        })
    );
}

/// What becomes of the request if the function changes it like this.
fn after(change: impl FnOnce(&mut Value)) -> Result<Verdict, String> {
    let headers = header_map(&[("host", "shop.example.com"), ("cookie", "b=2; a=1; b=3")]);
    let viewer = viewer(&headers, "b=2&a=1&b=3&flag");
    let event = viewer_request(&viewer);
    let mut returned = event["request"].clone();
    change(&mut returned);
    read_returned(&viewer, &event, Some(&returned))
}

#[test]
fn what_the_function_leaves_alone_goes_on_byte_for_byte() {
    let Ok(Verdict::Forward(changed)) = after(|_| ()) else { panic!("the request is valid") };
    assert_eq!((changed.path.as_str(), changed.query.as_str()), ("/api/items", "b=2&a=1&b=3&flag"));
    assert_eq!(changed.headers, header_map(&[("host", "shop.example.com"), ("cookie", "b=2; a=1; b=3")]));
}

#[test]
fn what_the_function_changes_is_changed() {
    let verdict = after(|request| {
        request["uri"] = json!("/other");
        request["querystring"]["b"] = json!({"value": "9"});
        request["cookies"] = json!({"a": {"value": "5"}});
        request["headers"]["x-many"] = json!({"value": "1", "multiValue": [{"value": "1"}, {"value": "2"}]});
    });
    let Ok(Verdict::Forward(changed)) = verdict else { panic!("the request is valid: {verdict:?}") };
    assert_eq!((changed.path.as_str(), changed.query.as_str()), ("/other", "b=9&a=1&flag="));
    let expected = [("host", "shop.example.com"), ("x-many", "1"), ("x-many", "2"), ("cookie", "a=5")];
    assert_eq!(changed.headers, header_map(&expected));
}

#[test]
fn cloudfronts_rules_are_enforced() {
    for (what, verdict) in [
        ("method", after(|request| request["method"] = json!("POST"))),
        ("read-only header host", after(|request| request["headers"]["host"] = json!({"value": "other"}))),
        ("read-only header via", after(|request| request["headers"]["via"] = json!({"value": "1.1 me"}))),
        ("disallowed header x-edge-id", after(|request| request["headers"]["x-edge-id"] = json!({"value": "1"}))),
        ("disallowed header connection", after(|request| request["headers"]["connection"] = json!({"value": "1"}))),
        ("lower case", after(|request| request["headers"]["Traceparent"] = json!({"value": "1"}))),
        ("no header name", after(|request| request["headers"]["a b"] = json!({"value": "1"}))),
        ("bad value", after(|request| request["headers"]["a"] = json!({"value": "1\r\nb: 2"}))),
        ("no value", after(|request| request["headers"]["a"] = json!("1"))),
        ("no headers", after(|request| request["headers"] = json!([]))),
        ("slash", after(|request| request["uri"] = json!("http://elsewhere"))),
        ("statusCode", after(|request| request["statusCode"] = json!(99))),
        ("neither", after(|request| *request = json!("text"))),
    ] {
        let problem = verdict.expect_err(what);
        assert!(problem.contains(what), "{what}: {problem}");
    }
}

#[test]
fn a_response_is_read() {
    let verdict = after(|request| {
        *request = json!({
            "statusCode": 302, "statusDescription": "Found",
            "headers": {"location": {"value": "/login"}}, "body": {"encoding": "text", "data": "go"},
        });
    });
    let expected =
        GeneratedResponse { status: 302, headers: header_map(&[("location", "/login")]), body: "go".to_owned() };
    assert_eq!(verdict, Ok(Verdict::Respond(expected)));
}
