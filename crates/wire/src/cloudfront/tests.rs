use std::ops::ControlFlow;

use super::conversion::{AuthoritativeSource, Converter, What};
use super::*;

fn read(data: &str) -> Vec<Result<Record<'_>, InvalidRecord>> {
    read_json(data.as_bytes(), ReadOptions::default()).collect()
}

fn statuses(data: &str) -> Vec<Option<String>> {
    read(data)
        .into_iter()
        .map(|record| record.ok().and_then(|record| record.get(Field::Status).map(str::to_owned)))
        .collect()
}

#[test]
fn objects_may_be_glued_or_separated() {
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(statuses(r#"{"sc-status":"200"}{"sc-status":404}"#), [some("200"), some("404")]);
    assert_eq!(statuses("{\"sc-status\":\"200\"}\n\r\n {\"sc-status\":\"404\"}\n"), [some("200"), some("404")]);
    assert_eq!(statuses(""), Vec::<Option<String>>::new());
    assert_eq!(statuses(" \n"), Vec::<Option<String>>::new());
}

#[test]
fn what_is_no_object_is_an_error_of_its_line() {
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        statuses("{\"sc-status\":\"200\"}\nnonsense {}\n{\"sc-status\":\"404\"}"),
        [some("200"), None, some("404")]
    );
    assert_eq!(statuses("[1]\n{\"sc-status\":\"404\"}"), [None, some("404")]);
    assert_eq!(statuses("{\"sc-status\":\"20"), [None]);
    assert_eq!(
        read_json(b"{\"a\":\"\xff\"}\n{}", ReadOptions::default()).map(|record| record.is_ok()).collect::<Vec<_>>(),
        [false, true]
    );
}

#[test]
fn names_and_values_come_in_several_forms() {
    let forms = [
        r#"{"cs(User-Agent)":"curl","timestamp(ms)":"5","x-edge-request-id":"r","cs(Host)":"d","x-host-header":"v","c-ip":"-","asn":"","DistributionId":"E1"}"#,
        r#"{"cs_User_Agent":"curl","timestamp_ms":5,"x_edge_request_id":"r","cs_Host":"d","x_host_header":"v","c_ip":null,"distributionid":"E1"}"#,
    ];
    for form in forms {
        let record = read(form).remove(0).expect("a record");
        let expected = [
            (Field::UserAgent, Some("curl")),
            (Field::TimestampMillis, Some("5")),
            (Field::RequestId, Some("r")),
            (Field::DistributionDomain, Some("d")),
            (Field::ViewerHost, Some("v")),
            (Field::ClientAddress, None),
            (Field::Asn, None),
            (Field::DistributionId, Some("E1")),
        ];
        for (field, value) in expected {
            assert_eq!(record.get(field), value, "{field:?} of {form}");
        }
    }
    let options = ReadOptions { source: Source::RealTime, percent_decode: true };
    let mut record = Record::default();
    record.set("cs-host", "viewer".into(), options);
    record.set("x-host-header", "distribution".into(), options);
    record.set("cs-uri-stem", "/a%20b%2G%".into(), options);
    assert_eq!(record.get(Field::ViewerHost), Some("viewer"));
    assert_eq!(record.get(Field::DistributionDomain), Some("distribution"));
    assert_eq!(record.get(Field::UriStem), Some("/a b%2G%"));
}

#[test]
fn nested_and_unknown_members_are_left_out() {
    let record =
        read(r#"{"new-field":"x","sc-status":{"a":[1]},"cs-method":["GET"],"cs-protocol":true,"time-taken":1.50}"#)
            .remove(0)
            .expect("a record");
    assert_eq!(record.get(Field::Status), None);
    assert_eq!(record.get(Field::Method), None);
    assert_eq!(record.get(Field::Protocol), None);
    assert_eq!(record.get(Field::TimeTaken), Some("1.50"));
}

/// Deliveries as Firehose makes them: one record each; an empty record and two objects glued together.
#[test]
fn deliveries_of_firehose() {
    let statuses = |body: &str| -> Vec<String> {
        let delivery = crate::firehose::Request::parse(body.as_bytes()).expect("a delivery");
        let records = delivery.records().map(|record| record.expect("base64"));
        records
            .flat_map(|data| {
                let records = read_json(&data, ReadOptions::default()).map(|record| record.expect("a record"));
                records.map(|record| record.get(Field::Status).expect("selected").to_owned()).collect::<Vec<_>>()
            })
            .collect()
    };
    let separate = r#"{"requestId":"ed4acda5-034f-9f42-bba1-f29aea6d7d8f","timestamp":1789380991599,"records":[{"data":"eyJ0aW1lc3RhbXAobXMpIjoiMTc4OTM4MDk1MjAxMCIsIkRpc3RyaWJ1dGlvbklkIjoiRURGRFZCRDZFWEFNUExFIiwieC1lZGdlLXJlcXVlc3QtaWQiOiJ6MVRxVjhtS2NZcDRYcko2d0huTGIyc0RmOWdVZU9hXzNpUnQ3UXZaa055NUJ4TWpDd0doUHc9PSIsIngtZWRnZS1sb2NhdGlvbiI6IkxIUjUwLUMxIiwiY3MtbWV0aG9kIjoiR0VUIiwieC1ob3N0LWhlYWRlciI6InNob3AuZXhhbXBsZS5jb20iLCJjcy11cmktc3RlbSI6Ii9tZWRpYS9jbGlwJTI1MjBvbmUubXA0Iiwic2Mtc3RhdHVzIjoiMDAwIiwidGltZS10YWtlbiI6IjAuOTQwIiwieC1lZGdlLWRldGFpbGVkLXJlc3VsdC10eXBlIjoiQ2xpZW50Q29tbUVycm9yIiwidmlld2VyLXJlcXVlc3QtbG9nLWRhdGEiOiItIn0K"},{"data":"eyJ0aW1lc3RhbXAobXMpIjoiMTc4OTM4MDkzMTEwNCIsIngtZWRnZS1yZXF1ZXN0LWlkIjoibVE0c1lmOExrUnoybld2VDZjWGhKZDFvUGJFOXVHYTdfaUt0M015WjB4VnFDak41d0hyU1RnPT0iLCJjcy1tZXRob2QiOiJHRVQiLCJzYy1zdGF0dXMiOiIzMDQiLCJ0aW1lLXRha2VuIjoiMC4wMDIifQo="}]}"#;
    assert_eq!(statuses(separate), ["000", "304"]);
    let glued = r#"{"requestId":"7d0c1f3e-2a4b-4c6d-8e9f-a1b2c3d4e5f6","timestamp":1789380994120,"records":[{"data":""},{"data":"eyJ0aW1lc3RhbXAobXMpIjoiMTc4OTM4MDk1MjAxMCIsInNjLXN0YXR1cyI6IjIwMCJ9eyJ0aW1lc3RhbXAobXMpIjoiMTc4OTM4MDk1MjA0NCIsInNjLXN0YXR1cyI6IjQwNCJ9"}]}"#;
    assert_eq!(statuses(glued), ["200", "404"]);
}

/// A viewer-response function of the customer's own logs into the record, ours by itself: the two still come together.
#[test]
fn what_another_function_logs_does_not_stand_for_ours() {
    const RECORD: &str = r#"{"x-edge-request-id":"r","timestamp(ms)":"5","viewer-request-log-data":"-","viewer-response-log-data":"variant=b"}"#;
    const LINE: &str = "r rs1;00-09d64ae8d7628a6968e3f996796f3f63-2184743dd888b4f1-03;-;1789380930295;0;-;-";
    for deliveries in [[RECORD, LINE], [LINE, RECORD]] {
        let settings = span::Settings::default();
        let converter = Converter::new(Reader::default(), settings, AuthoritativeSource::AccessLog, true);
        let mut conversion = converter.begin();
        for delivery in deliveries {
            let sent = conversion.read(delivery.as_bytes(), &mut |_| ControlFlow::Continue(()));
            assert!(sent.is_continue());
        }
        assert_eq!(conversion.tally().of(What::Span), 1, "{deliveries:?}");
    }
}
