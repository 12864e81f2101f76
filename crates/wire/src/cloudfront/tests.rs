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
