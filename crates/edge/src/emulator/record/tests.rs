use expect_test::expect;
use serde_json::Value;

use super::*;
use crate::emulator::log_form::{LogForm, V2Format};

fn json(record: &Record) -> String {
    LogForm::standard_v2(V2Format::Json).line(record).expect("a log of requests")
}

#[test]
fn a_record_has_cloudfronts_names_and_strings() {
    let record = Record {
        end_unix_millis: 1_789_380_930_482,
        edge_location: "FRA60-P4".to_owned(),
        response_bytes: 1142,
        client_ip: "198.51.100.11".to_owned(),
        client_port: 52814,
        method: "GET".to_owned(),
        distribution_domain: "d111111abcdef8.cloudfront.net".to_owned(),
        distribution_id: "EDFDVBD6EXAMPLE".to_owned(),
        path: "/media/clip%20one.mp4".to_owned(),
        query: "limit=5".to_owned(),
        status: 200,
        user_agent: "Mozilla/5.0 (X11)".to_owned(),
        result_type: "Miss",
        response_result_type: "Miss",
        detailed_result_type: "Miss",
        request_id: "Gx7T0nVb2qk8Zc1yLwPjHs5uRd9eMfA4oXi3tKQ6bN_hYvC-JzWpUg==".to_owned(),
        host: "shop.example.com".to_owned(),
        protocol: "https",
        protocol_version: "HTTP/1.1",
        request_bytes: 311,
        time_taken: Duration::from_micros(186_700),
        time_to_first_byte: Some(Duration::from_micros(170_600)),
        origin_first_byte: Some(Duration::from_millis(142)),
        origin_last_byte: Some(Duration::from_millis(149)),
        content_type: "application/json".to_owned(),
        content_length: Some(701),
        behavior: "/api/*".to_owned(),
        request_log_data: "rs1;00-09d64ae8d7628a6968e3f996796f3f63-2184743dd888b4f1-03;-;1789380930295;0;-;-"
            .to_owned(),
        ..Record::default()
    };
    let line = json(&record);
    assert!(line.ends_with('}'));
    expect![[r#"
        {"date":"2026-09-14",
        "time":"10:15:30",
        "x-edge-location":"FRA60-P4",
        "sc-bytes":"1142",
        "c-ip":"198.51.100.11",
        "cs-method":"GET",
        "cs(Host)":"d111111abcdef8.cloudfront.net",
        "cs-uri-stem":"/media/clip%2520one.mp4",
        "sc-status":"200",
        "cs(Referer)":"-",
        "cs(User-Agent)":"Mozilla/5.0%20(X11)",
        "cs-uri-query":"limit=5",
        "cs(Cookie)":"-",
        "x-edge-result-type":"Miss",
        "x-edge-request-id":"Gx7T0nVb2qk8Zc1yLwPjHs5uRd9eMfA4oXi3tKQ6bN_hYvC-JzWpUg==",
        "x-host-header":"shop.example.com",
        "cs-protocol":"https",
        "cs-bytes":"311",
        "time-taken":"0.187",
        "x-forwarded-for":"-",
        "ssl-protocol":"TLSv1.3",
        "ssl-cipher":"TLS_AES_128_GCM_SHA256",
        "x-edge-response-result-type":"Miss",
        "cs-protocol-version":"HTTP/1.1",
        "fle-status":"-",
        "fle-encrypted-fields":"-",
        "c-port":"52814",
        "time-to-first-byte":"0.171",
        "x-edge-detailed-result-type":"Miss",
        "sc-content-type":"application/json",
        "sc-content-len":"701",
        "sc-range-start":"-",
        "sc-range-end":"-",
        "timestamp(ms)":"1789380930482",
        "c-country":"ZZ",
        "cache-behavior-path-pattern":"/api/*",
        "origin-fbl":"0.142",
        "origin-lbl":"0.149",
        "asn":"64496",
        "viewer-request-log-data":"rs1;00-09d64ae8d7628a6968e3f996796f3f63-2184743dd888b4f1-03;-;1789380930295;0;-;-",
        "viewer-response-log-data":"-",
        "DistributionId":"EDFDVBD6EXAMPLE",
        "connection-id":"FRA60-P4-52814"}"#]]
    .assert_eq(&line.replace("\",\"", "\",\n\""));
}

#[test]
fn what_is_missing_is_a_dash_and_no_status_is_000() {
    let line = json(&Record { protocol: "http", ..Record::default() });
    let record: Value = serde_json::from_str(&line).expect("JSON");
    for name in ["origin-fbl", "ssl-protocol", "cs(Referer)", "viewer-request-log-data", "sc-content-len"] {
        assert_eq!(record[name], "-", "{name}");
    }
    assert_eq!(record["sc-status"], "000");
    assert_eq!(record["time-taken"], "0.000");
}

#[test]
fn encoding_and_cutting() {
    assert_eq!(encode("a b\"%~é|;=:._-/?&+(),"), "a%20b%22%25%7E%C3%A9%7C;=:._-/?&+(),");
    assert_eq!(cut("x".repeat(801), 800).len(), 800);
    // An escape that would be cut is left out whole.
    for length in 797..=800 {
        let cut = cut(encode(&format!("{} and more", "x".repeat(length))), 800);
        let expected = if length == 797 { "x".repeat(797) + "%20" } else { "x".repeat(length) };
        assert_eq!(cut, expected);
    }
}
