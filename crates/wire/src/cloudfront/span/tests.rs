use std::fmt::Write;

use expect_test::{Expect, expect};

use super::*;
use crate::cloudfront::rules::PathPattern;
use crate::cloudfront::{ReadOptions, Source, read_json};
use crate::otlp::batch::SpanInBatch;
use crate::otlp::validate::{Limits, validate};

/// A cache miss with the function's data; `DATA` is to be replaced.
const MISS: &str = r#"{"date":"2026-09-14","time":"10:15:30","x-edge-location":"FRA60-P4","sc-bytes":"1142","c-ip":"198.51.100.11","cs-method":"GET","cs(Host)":"d111111abcdef8.cloudfront.net","cs-uri-stem":"/api/items","sc-status":"200","cs(Referer)":"https://shop.example.com/cart?step=2","cs(User-Agent)":"Mozilla/5.0%20(X11;%20Linux%20x86_64)","cs-uri-query":"limit=5&Signature=abc&page=2&flag","cs(Cookie)":"session=secret","x-edge-result-type":"Miss","x-edge-request-id":"Gx7T0nVb2qk8Zc1yLwPjHs5uRd9eMfA4oXi3tKQ6bN_hYvC-JzWpUg==","x-host-header":"shop.example.com:8443","cs-protocol":"https","cs-bytes":"311","time-taken":"0.187","x-forwarded-for":"203.0.113.77, 10.0.0.1","ssl-protocol":"TLSv1.3","ssl-cipher":"TLS_AES_128_GCM_SHA256","x-edge-response-result-type":"Miss","cs-protocol-version":"HTTP/2.0","c-port":"52814","time-to-first-byte":"0.171","x-edge-detailed-result-type":"Miss","sc-content-type":"application/json","sc-content-len":"701","timestamp(ms)":"1789380930482","c-country":"DE","cache-behavior-path-pattern":"/api/*","origin-fbl":"0.142","origin-lbl":"0.149","asn":"3320","viewer-request-log-data":"DATA","viewer-response-log-data":"-"}"#;

const REQUEST_ID_TRACE: &str = "09d64ae8d7628a6968e3f996796f3f63";
const SAMPLED: &str = "rs1;00-09d64ae8d7628a6968e3f996796f3f63-2184743dd888b4f1-03;-;1789380930295;8;-;-";

/// A function that continues what viewers send, on every path.
fn continued() -> PathRule {
    PathRule { pattern: PathPattern::new("*"), trust: Trust::Continue, threshold: Some(Threshold::ALWAYS) }
}

fn encode(settings: &Settings, record: &str, source: Source) -> (Outcome, TraceBatch) {
    let options = ReadOptions { source, percent_decode: false };
    let record = read_json(record.as_bytes(), options).next().expect("one").expect("a record");
    let mut encoder = Encoder::new(settings);
    let outcome = encoder.push(&record, None);
    let batch = encoder.finish();
    let validated = validate(batch.bytes().clone(), &Limits::default()).expect("well-formed");
    assert_eq!(validated.rejected.items, 0);
    (outcome, batch)
}

fn default_encode(record: &str) -> (Outcome, TraceBatch) {
    encode(&Settings::default(), record, Source::Standard)
}

fn print(found: &SpanInBatch<'_>) -> String {
    let span = &found.span;
    let mut text = format!(
        "{} {}/{}<{} {:?} {:?} flags {:x} state {:?}\n{}+{}\n",
        span.name,
        span.trace_id,
        span.span_id,
        span.parent_span_id,
        span.kind(),
        span.status(),
        span.flags,
        span.trace_state,
        span.start.0,
        span.duration_nanos()
    );
    for pair in found.resource.attributes().chain(span.attributes()) {
        writeln!(text, "{}={}", pair.key, pair.value).expect("memory");
    }
    for link in span.links() {
        writeln!(text, "link {:02x?} {:02x?}", link.trace_id, link.span_id).expect("memory");
    }
    text
}

fn check(record: &str, expected: &Expect) {
    let (outcome, batch) = default_encode(record);
    assert!(matches!(outcome, Outcome::Span(_)), "{outcome:?}");
    expected.assert_eq(&print(&batch.span(0)));
}

fn attribute(batch: &TraceBatch, key: &str) -> Option<String> {
    batch.span(0).span.attribute(key).map(|value| value.to_string())
}

#[test]
fn a_cache_miss_with_the_functions_data() {
    check(
        &MISS.replace("DATA", SAMPLED),
        &expect![[r#"
            GET /api/* 09d64ae8d7628a6968e3f996796f3f63/2184743dd888b4f1<0000000000000000 Server Unset flags 103 state "ot=th:8"
            1789380930295000000+187000000
            service.name=cloudfront
            cloud.provider=aws
            http.request.method=GET
            url.scheme=https
            url.path=/api/items
            url.query=limit=REDACTED&Signature=REDACTED&page=REDACTED&flag
            http.response.status_code=200
            server.address=shop.example.com
            server.port=8443
            user_agent.original=Mozilla/5.0 (X11; Linux x86_64)
            http.request.header.referer=["https://shop.example.com/cart"]
            http.response.header.content-type=["application/json"]
            http.request.size=311
            http.response.size=1142
            client.address=198.51.100.0
            network.protocol.version=2
            tls.protocol.name=tls
            tls.protocol.version=1.3
            tls.cipher=TLS_AES_128_GCM_SHA256
            aws.cloudfront.context=function
            aws.cloudfront.log=standard
            aws.cloudfront.request_id=Gx7T0nVb2qk8Zc1yLwPjHs5uRd9eMfA4oXi3tKQ6bN_hYvC-JzWpUg==
            aws.cloudfront.distribution_domain=d111111abcdef8.cloudfront.net
            aws.cloudfront.edge_location=FRA60-P4
            aws.cloudfront.result_type=Miss
            aws.cloudfront.response_result_type=Miss
            aws.cloudfront.detailed_result_type=Miss
            aws.cloudfront.cache_behavior=/api/*
            geo.country.iso_code=DE
            aws.cloudfront.asn=3320
            aws.cloudfront.time_to_first_byte=0.171
            aws.cloudfront.origin_first_byte_latency=0.142
            aws.cloudfront.origin_last_byte_latency=0.149
            aws.cloudfront.time_taken=0.187
        "#]],
    );
}

#[test]
fn continued_and_restarted_contexts() {
    let continued = MISS.replace(
        "DATA",
        "ab=1;rs1;00-4bf92f3577b34da6a3ce929d0e0e4736-2184743dd888b4f1-01;00f067aa0ba902b7;1789380930295;c;0123456789abcd;-",
    );
    let (_, batch) = default_encode(&continued);
    let span = batch.span(0).span;
    assert_eq!(span.trace_id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(span.parent_span_id.to_string(), "00f067aa0ba902b7");
    assert_eq!((span.flags, span.trace_state), (0x301, "ot=th:c;rv:0123456789abcd"));
    assert_eq!(span.links().count(), 0);

    let restarted = SAMPLED.replace(";8;-;-", ";8;-;4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7");
    let (_, batch) = default_encode(&MISS.replace("DATA", &restarted));
    let span = batch.span(0).span;
    assert!(span.is_root());
    let links: Vec<_> =
        span.links().map(|link| (TraceId::from_slice(link.trace_id), SpanId::from_slice(link.span_id))).collect();
    assert_eq!(links, [(TraceId::from_hex("4bf92f3577b34da6a3ce929d0e0e4736"), SpanId::from_hex("00f067aa0ba902b7"))]);
}

#[test]
fn flag_00_means_sampled_out() {
    let (outcome, batch) = default_encode(&MISS.replace("DATA", &SAMPLED.replace("f1-03", "f1-00")));
    assert_eq!(outcome, Outcome::SampledOut);
    assert!(batch.is_empty());
}

/// The smallest selection of fields, no function, the viewer gone before there was a status.
#[test]
fn ids_are_derived_where_the_function_logged_none() {
    let record = r#"{"timestamp(ms)":"1789380952010","DistributionId":"EDFDVBD6EXAMPLE","x-edge-request-id":"Gx7T0nVb2qk8Zc1yLwPjHs5uRd9eMfA4oXi3tKQ6bN_hYvC-JzWpUg==","x-edge-location":"LHR50-C1","cs-method":"BREW","x-host-header":"shop.example.com","cs-uri-stem":"/media/clip%2520one.mp4","sc-status":"000","time-taken":"0.940","x-edge-detailed-result-type":"ClientCommError","viewer-request-log-data":"-"}"#;
    check(
        record,
        &expect![[r#"
            HTTP 09d64ae8d7628a6968e3f996796f3f63/2184743dd888b4f1<0000000000000000 Server Error flags 103 state ""
            1789380951070000000+940000000
            service.name=cloudfront
            cloud.provider=aws
            http.request.method=_OTHER
            http.request.method_original=BREW
            url.path=/media/clip%2520one.mp4
            error.type=ClientCommError
            server.address=shop.example.com
            aws.cloudfront.context=derived
            aws.cloudfront.log=standard
            aws.cloudfront.request_id=Gx7T0nVb2qk8Zc1yLwPjHs5uRd9eMfA4oXi3tKQ6bN_hYvC-JzWpUg==
            aws.cloudfront.distribution_id=EDFDVBD6EXAMPLE
            aws.cloudfront.edge_location=LHR50-C1
            aws.cloudfront.detailed_result_type=ClientCommError
            aws.cloudfront.time_taken=0.94
        "#]],
    );
}

#[test]
fn without_data_a_continued_trace_is_looked_for_in_the_headers() {
    let settings = Settings { paths: vec![continued()], ..Settings::default() };
    let with_headers = |headers: &str| {
        MISS.replace("DATA", "-").replace("\"date\"", &format!("\"cs-headers\":\"{headers}\",\"date\""))
    };
    let trace = |record: &str| {
        let (outcome, batch) = encode(&settings, record, Source::Standard);
        match outcome {
            Outcome::Span(_) => Ok(batch.span(0).span.trace_id.to_string()),
            Outcome::Unplaced(reason) => Err(reason),
            Outcome::SampledOut | Outcome::Thinned | Outcome::Kept => panic!("not sampled out"),
        }
    };
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    assert_eq!(
        trace(&with_headers(&format!("Host:a%0ATraceparent:{parent}%0A"))),
        Ok("4bf92f3577b34da6a3ce929d0e0e4736".into())
    );
    assert_eq!(trace(&with_headers("Host:a%0Atraceparent:garbage")), Ok(REQUEST_ID_TRACE.into()));
    assert_eq!(trace(&with_headers("Host:a%0A")), Ok(REQUEST_ID_TRACE.into()));
    assert_eq!(trace(&with_headers(&"x".repeat(800))), Err(Unplaced::UnknownTrace));
    assert_eq!(trace(&MISS.replace("DATA", "-")), Err(Unplaced::UnknownTrace));
    let (outcome, _) = encode(
        &settings,
        &with_headers(&format!("traceparent:{}", parent.replace("b7-01", "b7-00"))),
        Source::Standard,
    );
    assert_eq!(outcome, Outcome::SampledOut);
}

#[test]
fn a_record_that_cannot_be_placed_is_said_to_be_so() {
    assert_eq!(
        default_encode(r#"{"sc-status":"200","timestamp(ms)":"5"}"#).0,
        Outcome::Unplaced(Unplaced::NoRequestId)
    );
    assert_eq!(default_encode(r#"{"x-edge-request-id":"r"}"#).0, Outcome::Unplaced(Unplaced::NoTime));
}

#[test]
fn errors_are_the_servers_or_the_transfers() {
    // status, result, response result, detail → error.type
    let cases = [
        ("200", "Miss", "Miss", "Miss", None),
        ("404", "Error", "Error", "Error", None),
        ("403", "Error", "Error", "Error", None),
        ("502", "Error", "Error", "OriginConnectError", Some("502")),
        ("504", "Error", "Error", "OriginCommError", Some("504")),
        ("503", "LimitExceeded", "LimitExceeded", "LimitExceeded", Some("503")),
        ("200", "Error", "Hit", "ClientCommError", Some("ClientCommError")),
        ("000", "Error", "Error", "ClientHungUpRequest", Some("ClientHungUpRequest")),
        ("301", "Redirect", "Redirect", "Redirect", None),
    ];
    for (status, result, response, detail, expected) in cases {
        let record = format!(
            r#"{{"x-edge-request-id":"r","timestamp(ms)":5,"sc-status":"{status}","x-edge-result-type":"{result}","x-edge-response-result-type":"{response}","x-edge-detailed-result-type":"{detail}"}}"#
        );
        let (_, batch) = default_encode(&record);
        assert_eq!(attribute(&batch, "error.type").as_deref(), expected, "{record}");
        let is_error = batch.span(0).span.status() == StatusCode::Error;
        assert_eq!(is_error, expected.is_some(), "{record}");
    }
}

#[test]
fn privacy_is_a_choice() {
    let record = MISS.replace("DATA", SAMPLED);
    let with = |privacy: Privacy| encode(&Settings { privacy, ..Settings::default() }, &record, Source::Standard).1;
    let batch = with(Privacy {
        client_address: ClientAddress::Full,
        trust_forwarded_for: true,
        query_values: vec!["page".into(), "Signature".into()],
    });
    assert_eq!(attribute(&batch, "client.address").as_deref(), Some("203.0.113.77"));
    assert_eq!(attribute(&batch, "network.peer.address").as_deref(), Some("198.51.100.11"));
    assert_eq!(attribute(&batch, "url.query").as_deref(), Some("limit=REDACTED&Signature=REDACTED&page=2&flag"));
    let batch = with(Privacy { client_address: ClientAddress::Omitted, ..Privacy::default() });
    assert_eq!(attribute(&batch, "client.address"), None);
    let cut = |address: &str| attribute(&default_encode(&record.replace("198.51.100.11", address)).1, "client.address");
    assert_eq!(cut("2001:db8:1:2:3::7").as_deref(), Some("2001:db8:1::"));
    assert_eq!(cut("::ffff:198.51.100.11").as_deref(), Some("198.51.100.0"));
    assert_eq!(cut("unknown"), None);
    assert!(!record.is_empty() && !print(&default_encode(&record).1.span(0)).contains("secret"));
}

fn route(template: &str) -> Route {
    template.parse().expect("it can match")
}

#[test]
fn names_come_from_routes_then_behaviours() {
    let settings =
        Settings { routes: ["/api/items/{id}", "/static/*", "/api/items"].map(route).to_vec(), ..Settings::default() };
    let name = |path: &str, behavior: &str| {
        let record = format!(
            r#"{{"x-edge-request-id":"r","timestamp(ms)":5,"cs-method":"GET","cs-uri-stem":"{path}","cache-behavior-path-pattern":"{behavior}"}}"#
        );
        encode(&settings, &record, Source::Standard).1.span(0).span.name.to_owned()
    };
    assert_eq!(name("/api/items/7", "/api/*"), "GET /api/items/{id}");
    assert_eq!(name("/api/items/7/parts", "/api/*"), "GET /api/*");
    assert_eq!(name("/api/items/", "/api/*"), "GET /api/*");
    assert_eq!(name("/api/items?id=7", "*"), "GET /api/items");
    assert_eq!(name("/static/js/app.js", "*"), "GET /static/*");
    assert_eq!(name("/other", "*"), "GET");
    assert_eq!(name("/other", "-"), "GET");
}

#[test]
fn times_in_every_form() {
    let times = |members: &str| {
        let (_, batch) = default_encode(&format!(r#"{{"x-edge-request-id":"r",{members}}}"#));
        (batch.span(0).span.start.0, batch.span(0).span.end.0)
    };
    const END: u64 = 1_789_380_930_482_000_000;
    assert_eq!(times(r#""timestamp(ms)":"1789380930482","time-taken":"0.187""#), (END - 187_000_000, END));
    assert_eq!(times(r#""timestamp":"1789380930.482","time-taken":0.5"#), (END - 500_000_000, END));
    let whole = 1_789_380_930_000_000_000;
    assert_eq!(times(r#""date":"2026-09-14","time":"10:15:30","time-taken":"2""#), (whole - 2_000_000_000, whole));
    // Whole seconds are worse than what the function knows.
    let function =
        format!(r#""viewer-request-log-data":"{SAMPLED}","date":"2026-09-14","time":"10:15:30","time-taken":"0.187""#);
    assert_eq!(times(&function), (1_789_380_930_295_000_000, END));
    assert_eq!(times(r#""timestamp(ms)":"1789380930482""#), (END, END));
    assert_eq!(times(r#""timestamp(ms)":"1","time-taken":"5""#), (0, 1_000_000));
    assert_eq!(times(r#""date":"2024-02-29","time":"00:00:00""#).1, 1_709_164_800_000_000_000);
}

#[test]
fn delivering_again_gives_the_same_bytes() {
    let record = MISS.replace("DATA", SAMPLED);
    assert_eq!(default_encode(&record).1.bytes(), default_encode(&record).1.bytes());
}

#[test]
fn many_records_are_one_request() {
    let settings = Settings {
        resource_attributes: vec![("cloud.account.id".into(), "111122223333".into())],
        ..Settings::default()
    };
    let records = [MISS.replace("DATA", SAMPLED), MISS.replace("DATA", "-"), MISS.replace("DATA", SAMPLED)].concat();
    let mut encoder = Encoder::new(&settings);
    for record in read_json(records.as_bytes(), ReadOptions::default()) {
        assert!(matches!(encoder.push(&record.expect("a record"), None), Outcome::Span(_)));
    }
    let spans = encoder.byte_count();
    let batch = encoder.finish();
    assert!((spans..spans + 512).contains(&batch.bytes().len()));
    assert_eq!(batch.span_count(), 3);
    assert_eq!(batch.request().resource_spans().count(), 1);
    assert_eq!(batch.span(2).resource.attribute("cloud.account.id").expect("set").to_string(), "111122223333");
    assert_eq!(batch.span(0).span.bytes, batch.span(2).span.bytes);
}

proptest::proptest! {
    #[test]
    fn any_record_is_handled(values in proptest::collection::vec(("(x-edge-request-id|timestamp\\(ms\\)|timestamp|date|time|time-taken|cs-uri-stem|cs-uri-query|sc-status|cs-method|c-ip|x-host-header|ssl-protocol|viewer-request-log-data|cs-headers|cs\\(User-Agent\\))", "([0-9]{1,20}|[-.:0-9a-f%/?&=\\[\\];]{0,40}|\\PC{0,10})"), 0..12)) {
        let mut record = Record::default();
        for (name, value) in &values {
            record.set(name, value.as_str().into(), ReadOptions { percent_decode: true, ..ReadOptions::default() });
        }
        let settings = Settings { paths: vec![continued()], routes: vec![route("/a/{b}")], ..Settings::default() };
        for settings in [Settings::default(), settings] {
            let mut encoder = Encoder::new(&settings);
            _ = encoder.push(&record, None);
            let batch = encoder.finish();
            let validated = validate(batch.bytes().clone(), &Limits::default()).expect("well-formed");
            assert_eq!(validated.rejected.items, 0);
        }
    }
}

/// What a payload says if the trace is not sampled.
const UNSAMPLED: &str = "rs1;00-09d64ae8d7628a6968e3f996796f3f63-2184743dd888b4f1-02;-;1789380930295;8;-;-";

fn kept(settings: &Settings, record: &str) -> (Outcome, Option<String>, String) {
    let (outcome, batch) = encode(settings, record, Source::Standard);
    if batch.is_empty() {
        return (outcome, None, String::new());
    }
    (outcome, attribute(&batch, cloudfront::KEPT_BY), batch.span(0).span.trace_state.to_owned())
}

#[test]
fn errors_and_slow_requests_are_kept_though_their_trace_is_not_sampled() {
    let keep = Keep { errors: true, slower_than: Some(std::time::Duration::from_millis(500)) };
    let settings = Settings { keep, ..Settings::default() };
    let record = MISS.replace("DATA", UNSAMPLED);
    assert_eq!(kept(&settings, &record).0, Outcome::SampledOut, "neither");
    let failed = record.replace(r#""sc-status":"200""#, r#""sc-status":"502""#);
    assert_eq!(kept(&settings, &failed), (Outcome::Kept, Some("error".into()), String::new()));
    assert_eq!(kept(&Settings::default(), &failed).0, Outcome::SampledOut, "nothing is kept by default");
    let refused = record.replace(r#""sc-status":"200""#, r#""sc-status":"403""#);
    assert_eq!(kept(&settings, &refused), (Outcome::Kept, Some("error".into()), String::new()));
    let slow = record.replace(r#""time-taken":"0.187""#, r#""time-taken":"0.501""#);
    assert_eq!(kept(&settings, &slow), (Outcome::Kept, Some("slow".into()), String::new()));
    let sampled = MISS.replace("DATA", SAMPLED).replace(r#""sc-status":"200""#, r#""sc-status":"502""#);
    assert_eq!(kept(&settings, &sampled), (Outcome::Span(Origin::Function), None, "ot=th:8".into()), "has a backend");
}

#[test]
fn rates_thin_result_types_consistently() {
    let quarter = Threshold::from_probability(0.25);
    let settings =
        Settings { rates: Rates::new([("hit".into(), quarter), ("Error".into(), None)]), ..Settings::default() };
    let record = |low_bits: &str, result: &str| {
        let data = SAMPLED.replace("68e3f996796f3f63", low_bits).replace(";8;", ";-;");
        let result = format!(r#""x-edge-result-type":"{result}""#);
        MISS.replace("DATA", &data).replace(r#""x-edge-result-type":"Miss""#, &result)
    };
    let (high, low) = ("00ffffffffffffff", "00bfffffffffffff");
    assert_eq!(kept(&settings, &record(high, "Hit")), (Outcome::Span(Origin::Function), None, "ot=th:c".into()));
    assert_eq!(kept(&settings, &record(low, "Hit")).0, Outcome::Thinned);
    assert_eq!(kept(&settings, &record(low, "Miss")), (Outcome::Span(Origin::Function), None, String::new()));
    assert_eq!(kept(&settings, &record(high, "Error")).0, Outcome::Thinned, "a rate of 0");
    // The edge's own threshold is the larger one of the two.
    let thinned = record(high, "Hit").replace(";-;-;-", ";e;-;-");
    assert_eq!(kept(&settings, &thinned).2, "ot=th:e");
    let random = record(low, "Hit").replace(";-;-;-", ";-;ffffffffffffff;-");
    assert_eq!(kept(&settings, &random).2, "ot=th:c;rv:ffffffffffffff", "the trace's own randomness decides");
}

#[test]
fn a_record_without_data_is_sampled_as_the_function_would() {
    let rule =
        |pattern: &str, threshold| PathRule { pattern: PathPattern::new(pattern), trust: Trust::Restart, threshold };
    // The randomness of this request id's trace begins with e3.
    let with =
        |threshold| Settings { paths: vec![rule("/other/*", None), rule("/api/*", threshold)], ..Settings::default() };
    let record = MISS.replace("DATA", "-");
    let derived = Outcome::Span(Origin::Derived);
    assert_eq!(kept(&with(Threshold::parse("e2")), &record), (derived, None, "ot=th:e2".into()));
    assert_eq!(kept(&with(Threshold::parse("e4")), &record).0, Outcome::SampledOut);
    assert_eq!(kept(&with(None), &record).0, Outcome::SampledOut);
    assert_eq!(kept(&with(Some(Threshold::ALWAYS)), &record), (derived, None, String::new()));
}

#[test]
fn what_the_function_logged_by_itself_places_the_record() {
    let record = MISS.replace("DATA", "-");
    let record = read_json(record.as_bytes(), ReadOptions::default()).next().expect("one").expect("a record");
    let logged = LogPayload::find(&SAMPLED.replace(";-;1789", ";00f067aa0ba902b7;1789")).expect("a payload");
    let settings = Settings::default();
    let mut encoder = Encoder::new(&settings);
    assert_eq!(encoder.push(&record, Some(&logged)), Outcome::Span(Origin::Function));
    let batch = encoder.finish();
    assert_eq!(batch.span(0).span.parent_span_id.to_string(), "00f067aa0ba902b7");
    assert_eq!(attribute(&batch, cloudfront::CONTEXT).as_deref(), Some("function"));
}

/// Spans are written behind room for what a request begins with; that may need more.
#[test]
fn long_attributes_of_a_delivery_change_no_span() {
    let settings = Settings::default();
    let record = read_json(br#"{"x-edge-request-id":"r","timestamp(ms)":"5"}"#, ReadOptions::default());
    let record = record.into_iter().next().expect("one").expect("a record");
    let spans = |value: &str| {
        let mut encoder = Encoder::new(&settings);
        encoder.push(&record, None);
        let batch = encoder.finish_with(&[("key".to_owned(), value.to_owned())]);
        assert_eq!(
            batch
                .span(0)
                .resource
                .attributes()
                .find(|found| found.key == "key")
                .map(|found| found.value.as_str() == Some(value)),
            Some(true)
        );
        (batch.span(0).span.trace_id, batch.span(0).span.span_id, batch.span_count())
    };
    assert_eq!(spans("short"), spans(&"long".repeat(1_000)));
}
