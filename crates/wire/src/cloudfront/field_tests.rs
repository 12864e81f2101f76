//! What CloudFront's documentation says of fields, rule by rule: whatever form a record has, the same request gives the same
//! span, and each rule's value is where the conventions want it.

use std::collections::BTreeMap;

use super::span::{ClientAddress, Encoder, Outcome, Privacy, Settings};
use super::*;
use crate::otlp::batch::TraceBatch;

/// A record with every field that something is made of, by the names of standard logs.
const FIELDS: [(&str, &str); 34] = [
    ("timestamp(ms)", "1789380930482"),
    ("DistributionId", "EDFDVBD6EXAMPLE"),
    ("x-edge-request-id", "Gx7T0nVb2qk8Zc1yLwPjHs5uRd9eMfA4oXi3tKQ6bN_hYvC-JzWpUg=="),
    ("x-edge-location", "FRA60-P4"),
    ("x-edge-result-type", "Error"),
    ("x-edge-response-result-type", "Error"),
    ("x-edge-detailed-result-type", "OriginCommError"),
    ("cs(Host)", "d111111abcdef8.cloudfront.net"),
    ("x-host-header", "shop.example.com:8443"),
    ("cs-method", "BREW"),
    ("cs-protocol", "wss"),
    ("cs-protocol-version", "HTTP/2.0"),
    ("cs-uri-stem", "/api/items"),
    ("cs-uri-query", "limit=5"),
    ("cs(User-Agent)", "curl/8.0"),
    ("cs(Referer)", "https://shop.example.com/"),
    ("sc-status", "504"),
    ("sc-content-type", "text/html"),
    ("sc-bytes", "1142"),
    ("cs-bytes", "311"),
    ("time-taken", "30.002"),
    ("time-to-first-byte", "30.001"),
    ("origin-fbl", "29.5"),
    ("origin-lbl", "29.75"),
    ("c-ip", "198.51.100.11"),
    ("c-port", "52814"),
    ("c-country", "DE"),
    ("asn", "3320"),
    ("x-forwarded-for", "203.0.113.77"),
    ("ssl-protocol", "TLSv1.3"),
    ("ssl-cipher", "TLS_AES_128_GCM_SHA256"),
    ("cache-behavior-path-pattern", "/api/*"),
    ("viewer-request-log-data", "-"),
    ("viewer-response-log-data", "-"),
];

/// The numbers among them.
const NUMBERS: [&str; 10] = [
    "timestamp(ms)",
    "sc-status",
    "sc-bytes",
    "cs-bytes",
    "time-taken",
    "time-to-first-byte",
    "origin-fbl",
    "origin-lbl",
    "c-port",
    "asn",
];

/// Shows as much as there can be.
fn open() -> Settings {
    let privacy =
        Privacy { client_address: ClientAddress::Full, trust_forwarded_for: false, query_values: vec!["limit".into()] };
    Settings { privacy, ..Settings::default() }
}

/// The spans of a delivery.
fn spans(reader: &Reader, delivery: &str, settings: &Settings) -> TraceBatch {
    let mut encoder = Encoder::new(settings);
    reader.read(delivery.as_bytes(), &mut |found| match found {
        Found::Record(record) => {
            let outcome = encoder.push(record, None);
            assert!(matches!(outcome, Outcome::Span(_)), "{outcome:?}");
        }
        other => panic!("not a record: {other:?}"),
    });
    encoder.finish()
}

fn object(fields: &[(&str, &str)]) -> String {
    let members: Vec<_> = fields.iter().map(|(name, value)| format!("{name:?}:{value:?}")).collect();
    format!("{{{}}}", members.join(","))
}

/// The fields with some of them changed.
fn with(changed: &[(&str, &str)]) -> String {
    let value = |(name, value): &(&'static str, &'static str)| {
        let change = changed.iter().find(|(changed, _)| changed == name);
        (*name, change.map_or((*value).to_owned(), |(_, value)| (*value).to_owned()))
    };
    let fields: Vec<_> = FIELDS.iter().map(value).collect();
    object(&fields.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>())
}

/// The attributes of the only span.
fn attributes(delivery: &str) -> BTreeMap<String, String> {
    let batch = spans(&Reader::default(), delivery, &open());
    let span = batch.span(0).span;
    span.attributes().map(|pair| (pair.key.to_owned(), pair.value.to_string())).collect()
}

fn attribute(changed: &[(&str, &str)], key: &str) -> Option<String> {
    attributes(&with(changed)).remove(key)
}

#[test]
fn the_order_of_fields_means_nothing() {
    let mut fields = FIELDS.to_vec();
    let expected = spans(&Reader::default(), &object(&fields), &open());
    for _ in 0..FIELDS.len() {
        fields.rotate_left(1);
        assert_eq!(spans(&Reader::default(), &object(&fields), &open()).bytes(), expected.bytes(), "JSON");
        let (names, values): (Vec<_>, Vec<_>) = fields.iter().copied().unzip();
        let lines = format!("#Fields: {}\n{}\n", names.join(" "), values.join("\t"));
        assert_eq!(spans(&Reader::default(), &lines, &open()).bytes(), expected.bytes(), "W3C");
        let line_fields = Some(Columns::new(&names).expect("a list of fields"));
        let reader = Reader { line_fields, ..Reader::default() };
        assert_eq!(spans(&reader, &values.join("\t"), &open()).bytes(), expected.bytes(), "plain");
    }
}

#[test]
fn numbers_and_strings_are_the_same() {
    let text = object(&FIELDS);
    let mut numbers = text.clone();
    for name in NUMBERS {
        let value = FIELDS.iter().find(|(known, _)| *known == name).expect("a field").1;
        numbers = numbers.replace(&format!("{name:?}:{value:?}"), &format!("{name:?}:{value}"));
    }
    assert_ne!(numbers, text);
    let (text, numbers) = [text, numbers].map(|object| spans(&Reader::default(), &object, &open())).into();
    assert_eq!(text.bytes(), numbers.bytes());
}

/// `-`, an empty value and a field that is not there say the same: nothing.
#[test]
fn what_is_not_there_is_not_there() {
    let optional = |(name, _): &&(&str, &str)| !["timestamp(ms)", "x-edge-request-id"].contains(name);
    for (name, _) in FIELDS.iter().filter(optional) {
        let without: Vec<_> = FIELDS.iter().copied().filter(|(other, _)| other != name).collect();
        let without = spans(&Reader::default(), &object(&without), &open());
        for nothing in ["-", ""] {
            let dash = spans(&Reader::default(), &with(&[(name, nothing)]), &open());
            assert_eq!(dash.bytes(), without.bytes(), "{name}={nothing:?}");
        }
    }
}

/// In real-time logs `cs-host` is the viewer's and `x-host-header` the distribution's; in standard logs it is the other way round.
#[test]
fn hosts_are_swapped_between_the_logs() {
    let names = ["timestamp", "x-edge-request-id", "cs-host", "x-host-header"];
    let reader = Reader { line_fields: Some(Columns::new(names).expect("fields")), ..Reader::default() };
    let line = "1789380930.482\tr\tshop.example.com\td111111abcdef8.cloudfront.net";
    let standard = r#"{"timestamp(ms)":"1789380930482","x-edge-request-id":"r","cs(Host)":"d111111abcdef8.cloudfront.net","x-host-header":"shop.example.com"}"#;
    for (reader, delivery) in [(&reader, line), (&Reader::default(), standard)] {
        let batch = spans(reader, delivery, &open());
        let get = |key: &str| batch.span(0).span.attribute(key).map(|value| value.to_string());
        assert_eq!(get("server.address").as_deref(), Some("shop.example.com"), "{delivery}");
        let domain = get("aws.cloudfront.distribution_domain");
        assert_eq!(domain.as_deref(), Some("d111111abcdef8.cloudfront.net"), "{delivery}");
    }
}

#[test]
fn schemes_are_kept_as_they_are() {
    for scheme in ["http", "https", "ws", "wss"] {
        assert_eq!(attribute(&[("cs-protocol", scheme)], "url.scheme").as_deref(), Some(scheme));
    }
}

#[test]
fn methods_that_nobody_knows_are_other() {
    let method = |method: &str| {
        let mut found = attributes(&with(&[("cs-method", method)]));
        (found.remove("http.request.method"), found.remove("http.request.method_original"))
    };
    for known in ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"] {
        assert_eq!(method(known), (Some(known.into()), None));
    }
    for unknown in ["BREW", "get", "PROPFIND"] {
        assert_eq!(method(unknown), (Some("_OTHER".into()), Some(unknown.into())));
    }
    let batch = spans(&Reader::default(), &with(&[]), &open());
    assert_eq!(batch.span(0).span.name, "HTTP /api/*", "the conventions' name for them");
}

/// `000`: the viewer was gone before there was one.
#[test]
fn the_status_000_is_none() {
    let gone = [("sc-status", "000"), ("x-edge-detailed-result-type", "ClientCommError")];
    assert_eq!(attribute(&gone, "http.response.status_code"), None);
    assert_eq!(attribute(&gone, "error.type").as_deref(), Some("ClientCommError"));
    assert_eq!(attribute(&[], "http.response.status_code").as_deref(), Some("504"));
}

/// Bytes are bytes, times are seconds with any number of decimals, the end is when CloudFront finished.
#[test]
fn units() {
    let batch = spans(&Reader::default(), &with(&[]), &open());
    let span = batch.span(0).span;
    assert_eq!(span.end.0, 1_789_380_930_482_000_000);
    assert_eq!(span.duration_nanos(), 30_002_000_000);
    for (key, value) in [
        ("http.request.size", "311"),
        ("http.response.size", "1142"),
        ("aws.cloudfront.time_taken", "30.002"),
        ("aws.cloudfront.time_to_first_byte", "30.001"),
        ("aws.cloudfront.origin_first_byte_latency", "29.5"),
        ("aws.cloudfront.origin_last_byte_latency", "29.75"),
        ("aws.cloudfront.asn", "3320"),
        ("client.port", "52814"),
    ] {
        assert_eq!(attribute(&[], key).as_deref(), Some(value), "{key}");
    }
    for wrong in ["-1", "1e400", "NaN", "inf", "1,5", "x"] {
        assert_eq!(attribute(&[("origin-fbl", wrong)], "aws.cloudfront.origin_first_byte_latency"), None, "{wrong}");
    }
}

/// Lines are encoded as a whole, JSON perhaps: user agents and referrers are decoded in both, once.
#[test]
fn percent_encoding_is_undone_once() {
    let fields = "#Fields: timestamp(ms) x-edge-request-id cs-uri-stem cs(User-Agent) cs(Referer)\n";
    let line = format!("{fields}1789380930482\tr\t/clip%2520one.mp4\tMozilla%2F5%20(X)\thttps://a.example/%25\n");
    let found = attributes(&line);
    assert_eq!(found["url.path"], "/clip%20one.mp4", "as the viewer sent it");
    assert_eq!(found["user_agent.original"], "Mozilla/5 (X)");
    assert_eq!(found["http.request.header.referer"], r#"["https://a.example/%"]"#);
    let json = with(&[("cs(User-Agent)", "Mozilla%2F5%20(X)"), ("cs-uri-stem", "/clip%2520one.mp4")]);
    let found = attributes(&json);
    assert_eq!(found["user_agent.original"], "Mozilla/5 (X)");
    assert_eq!(found["url.path"], "/clip%2520one.mp4", "a choice for JSON, not made by default");
    let reader = Reader { percent_decode_json: true, ..Reader::default() };
    let batch = spans(&reader, &json, &open());
    let path = batch.span(0).span.attribute("url.path").map(|path| path.to_string());
    assert_eq!(path.as_deref(), Some("/clip%20one.mp4"));
}

/// docs/edge.md lists every attribute that a record can give, and no other.
#[test]
fn the_documentation_lists_every_attribute() {
    let page = include_str!("../../../../docs/edge.md");
    let table = page.split("<!-- attributes of access-log spans -->").nth(1).expect("the page has the table");
    let table = table.split("<!-- end -->").next().expect("it ends");
    let mut documented: Vec<_> =
        table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).map(str::to_owned).collect();
    documented.sort();
    let trusting = Settings { privacy: Privacy { trust_forwarded_for: true, ..open().privacy }, ..open() };
    let keep = rules::Keep { errors: true, slower_than: None };
    let unsampled = "rs1;00-09d64ae8d7628a6968e3f996796f3f63-2184743dd888b4f1-02;-;1789380930295;-;-;-";
    let kept = with(&[("viewer-request-log-data", unsampled)]);
    let mut given: Vec<String> = attributes(&with(&[])).into_keys().collect();
    for (settings, delivery) in [(&trusting, with(&[])), (&Settings { keep, ..open() }, kept)] {
        let mut encoder = Encoder::new(settings);
        Reader::default().read(delivery.as_bytes(), &mut |found| {
            if let Found::Record(record) = found {
                encoder.push(record, None);
            }
        });
        given.extend(encoder.finish().span(0).span.attributes().map(|pair| pair.key.to_owned()));
    }
    given.sort();
    given.dedup();
    assert_eq!(documented, given);
}
