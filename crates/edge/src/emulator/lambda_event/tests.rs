use super::*;

fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
    list.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

fn request<'a>(event: EventType, headers: &'a HeaderMap, origin: &'a Uri) -> EdgeRequest<'a> {
    EdgeRequest {
        event,
        method: "GET",
        path: "/api/items",
        query: "limit=5",
        headers,
        client_ip: "198.51.100.11",
        request_id: "Gx7T0nVb2qk8Zc1yLwPjHs5uRd9eMfA4oXi3tKQ6bN_hYvC-JzWpUg==",
        distribution_id: "EDFDVBD6EXAMPLE",
        distribution_domain: "d111111abcdef8.cloudfront.net",
        origin: (!event.is_viewer()).then_some(origin),
    }
}

#[test]
fn an_origin_request_event_is_built_as_documented() {
    let headers = headers(&[
        ("x-forwarded-for", "198.51.100.11"),
        ("user-agent", "Amazon CloudFront"),
        ("host", "origin.shop.example.com"),
        ("traceparent", "00-09d64ae8d7628a6968e3f996796f3f63-2184743dd888b4f1-03"),
        ("x-amz-cf-id", "hidden"),
    ]);
    let origin: Uri = "http://origin.shop.example.com:8080/base".parse().expect("an address");
    let events = include_str!("../../../../../testdata/cloudfront/lambda-edge-events.json");
    let documented: Value = serde_json::from_str(events).expect("JSON");
    let built = event(&request(EventType::OriginRequest, &headers, &origin), None);
    let (built, documented) = (&built["Records"][0]["cf"], &documented[0]["Records"][0]["cf"]);
    assert_eq!(built["config"], documented["config"]);
    for name in ["clientIp", "method", "uri", "querystring"] {
        assert_eq!(built["request"][name], documented["request"][name], "{name}");
    }
    for name in ["x-forwarded-for", "user-agent", "host", "traceparent"] {
        assert_eq!(built["request"]["headers"][name], documented["request"]["headers"][name], "{name}");
    }
    assert_eq!(built["request"]["headers"].get("x-amz-cf-id"), None, "functions do not see it");
    let custom = &built["request"]["origin"]["custom"];
    assert_eq!(
        (&custom["domainName"], &custom["port"], &custom["path"]),
        (&json!("origin.shop.example.com"), &json!(8080), &json!("/base"))
    );
    let names = |value: &Value| {
        value.as_object().expect("an object").keys().cloned().collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(names(custom), names(&documented["request"]["origin"]["custom"]));
}

/// Changes the request of an event, as a function would, and reads it.
fn after(event_type: EventType, change: impl FnOnce(&mut Value)) -> Result<EdgeVerdict, String> {
    let headers = headers(&[("host", "h"), ("via", "v"), ("if-none-match", "\"1\""), ("accept-encoding", "gzip")]);
    let origin: Uri = "http://127.0.0.1:8080".parse().expect("an address");
    let request = request(event_type, &headers, &origin);
    let event = event(&request, None);
    let mut returned = event["Records"][0]["cf"]["request"].clone();
    change(&mut returned);
    read_request(&request, &event, &returned)
}

#[test]
fn each_event_has_its_own_read_only_headers() {
    use EventType::{OriginRequest, ViewerRequest};
    let set =
        |name: &'static str| move |request: &mut Value| request["headers"][name] = json!([{"key": name, "value": "x"}]);
    for (event, name, is_allowed) in [
        (ViewerRequest, "host", false),
        (OriginRequest, "host", true),
        (ViewerRequest, "via", false),
        (OriginRequest, "via", false),
        (ViewerRequest, "if-none-match", true),
        (OriginRequest, "if-none-match", false),
        (OriginRequest, "accept-encoding", false),
        (OriginRequest, "x-mine", true),
        (OriginRequest, "x-edge-mine", false),
        (ViewerRequest, "connection", false),
        (ViewerRequest, "X-Mine", false),
    ] {
        assert_eq!(after(event, set(name)).is_ok(), is_allowed, "{event:?} {name}");
    }
}

#[test]
fn what_else_a_function_may_not_do() {
    let event = EventType::OriginRequest;
    after(event, |_| {}).expect("unchanged");
    after(event, |request| request["method"] = json!("POST")).expect_err("read-only");
    after(event, |request| request["clientIp"] = json!("192.0.2.1")).expect_err("read-only");
    after(event, |request| request["uri"] = json!("api")).expect_err("no slash");
    after(event, |request| request["querystring"] = json!("a b")).expect_err("a space");
    after(event, |request| request["uri"] = json!(format!("/{}", "x".repeat(8192)))).expect_err("too long");
    after(event, |request| request["headers"]["x-a"] = json!([{"key": "X-B", "value": "1"}])).expect_err("another key");
    after(event, |request| *request = Value::Null).expect_err("nothing");
    let answer = json!({"status": "200", "headers": {}, "body": "x".repeat(50_000)});
    let answered = |event| after(event, |request| *request = answer.clone());
    assert!(matches!(answered(EventType::OriginRequest), Ok(EdgeVerdict::Respond(_))));
    answered(EventType::ViewerRequest).expect_err("over 40 KB");
    let other = after(event, |request| request["origin"]["custom"]["port"] = json!(81));
    let Ok(EdgeVerdict::Forward(_, Some(origin))) = other else { panic!("another origin: {other:?}") };
    assert_eq!(origin, "http://127.0.0.1:81/");
}

#[test]
fn responses_change_by_the_rules_of_their_event() {
    let (none, origin) = (HeaderMap::new(), "http://127.0.0.1:8080".parse().expect("an address"));
    let response = headers(&[("content-type", "text/plain"), ("warning", "1")]);
    let read = |event_type, change: &dyn Fn(&mut Value)| {
        let event = event(&request(event_type, &none, &origin), Some((StatusCode::OK, &response)));
        let mut returned = event["Records"][0]["cf"]["response"].clone();
        change(&mut returned);
        read_response(event_type, &event, &returned)
    };
    use EventType::{OriginResponse, ViewerResponse};
    let status = |response: &mut Value| response["status"] = json!(302);
    assert_eq!(read(OriginResponse, &status).map(|changed| changed.status), Ok(302));
    read(ViewerResponse, &status).expect_err("the status is read-only");
    let body = |response: &mut Value| response["body"] = json!("new");
    assert_eq!(read(OriginResponse, &body).map(|changed| changed.body), Ok(Some("new".to_owned())));
    read(ViewerResponse, &body).expect_err("the body is the origin's");
    let warning = |response: &mut Value| response["headers"]["warning"] = json!([{"value": "2"}]);
    read(OriginResponse, &warning).expect("allowed there");
    read(ViewerResponse, &warning).expect_err("read-only there");
}
