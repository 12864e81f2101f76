use std::time::Duration;

use super::*;

fn record() -> Record {
    Record {
        end_unix_millis: 1_789_380_930_482,
        host: "shop.example.com".to_owned(),
        distribution_domain: "d111111abcdef8.cloudfront.net".to_owned(),
        path: "/api/items".to_owned(),
        query: "limit=5".to_owned(),
        status: 200,
        headers: vec![
            ("Host".to_owned(), "shop.example.com".to_owned()),
            ("traceparent".to_owned(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        ],
        time_taken: Duration::from_millis(187),
        ..Record::default()
    }
}

#[test]
fn real_time_lines_have_cloudfronts_order_whatever_was_asked_for() {
    let fields = ["cs-headers", "x-host-header", "cs-host", "timestamp", "cs-uri-stem", "time-taken", "sr-reason"];
    let form = LogForm::RealTime { fields: fields.map(str::to_owned).to_vec() }.checked().expect("all exist");
    assert_eq!(
        form.fields(),
        ["timestamp", "cs-host", "cs-uri-stem", "x-host-header", "time-taken", "cs-headers", "sr-reason"]
    );
    let line = form.line(&record()).expect("a line");
    let expected = [
        "1789380930.482",
        "shop.example.com",
        "/api/items?limit=5",
        "d111111abcdef8.cloudfront.net",
        "0.187",
        "Host:shop.example.com%0Atraceparent:00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01%0A",
        "-",
    ];
    assert_eq!(line.split('\t').collect::<Vec<_>>(), expected);
}

#[test]
fn every_field_of_every_log_has_a_value() {
    let record = record();
    for name in REAL_TIME_FIELDS {
        assert!(record.real_time(name).is_some(), "{name}");
    }
    for name in STANDARD_V1_FIELDS.into_iter().chain(STANDARD_V2_MORE) {
        assert!(record.standard(name).is_some(), "{name}");
    }
    let unknown = LogForm::RealTime { fields: vec!["date".to_owned()] }.checked().expect_err("of another log");
    assert_eq!(unknown.to_string(), "\"date\" is no field of real-time logs");
    let format = V2Format::Plain;
    LogForm::StandardV2 { format, fields: vec!["timestamp".to_owned()] }.checked().expect_err("of another log");
}

#[test]
fn files_begin_with_their_fields() {
    let v1 = LogForm::StandardV1;
    let header = v1.header().expect("W3C");
    assert!(header.starts_with("#Version: 1.0\n#Fields: date time x-edge-location sc-bytes "), "{header}");
    assert_eq!(v1.line(&record()).expect("a line").split('\t').count(), 33);
    assert_eq!(LogForm::standard_v2(V2Format::Plain).header(), None);
    assert_eq!(LogForm::Functions.line(&record()), None);
}
