use super::*;

fn records(body: &str) -> Vec<Result<String, RecordProblem>> {
    let request = Request::parse(body.as_bytes()).expect("a delivery");
    request.records().map(|record| record.map(|data| String::from_utf8(data).expect("text"))).collect()
}

#[test]
fn a_bad_record_is_alone_in_being_bad() {
    let body = r#"{"requestId":"ed4acda5-034f-9f42-bba1-f29aea6d7d8f","timestamp":1789380991599,"records":[
        {"data":"e30="},{"data":""},{"data":"*"},{"data":7},{},3,{"data":"eyJhIjoxfXsiYSI6Mn0=","more":1}]}"#;
    assert_eq!(Request::parse(body.as_bytes()).expect("a delivery").request_id, "ed4acda5-034f-9f42-bba1-f29aea6d7d8f");
    assert_eq!(
        records(body),
        [
            Ok("{}".into()),
            Ok(String::new()),
            Err(RecordProblem::NotBase64),
            Err(RecordProblem::NoData),
            Err(RecordProblem::NoData),
            Err(RecordProblem::NoData),
            Ok(r#"{"a":1}{"a":2}"#.into()),
        ]
    );
}

#[test]
fn limits_hold() {
    let record = format!(r#"{{"data":"{}"}}"#, STANDARD.encode(vec![b'x'; MAX_RECORD_BYTES]));
    let body = |records: &str| format!(r#"{{"requestId":"r","timestamp":1,"records":[{records}]}}"#);
    assert!(records(&body(&record))[0].is_ok());
    let longer = format!(r#"{{"data":"{}"}}"#, STANDARD.encode(vec![b'x'; MAX_RECORD_BYTES + 9]));
    assert_eq!(records(&body(&longer)), [Err(RecordProblem::TooLong)]);
    let just_longer = format!(r#"{{"data":"{}"}}"#, STANDARD.encode(vec![b'x'; MAX_RECORD_BYTES + 1]));
    assert_eq!(records(&body(&just_longer)), [Err(RecordProblem::TooLong)]);
    let many = vec!["{}"; MAX_RECORDS].join(",");
    assert_eq!(Request::parse(body(&many).as_bytes()).expect("just within").record_count(), MAX_RECORDS);
    let error = Request::parse(body(&format!("{many},{{}}")).as_bytes()).expect_err("one too many");
    assert!(error.0.starts_with("more than 10000 records"), "{error}");
}

#[test]
fn what_is_no_delivery_is_refused() {
    for body in
        ["", "[]", "{}", r#"{"requestId":"r"}"#, r#"{"requestId":1,"records":[]}"#, r#"{"requestId":"r","records":{}}"#]
    {
        Request::parse(body.as_bytes()).expect_err(body);
    }
    assert!(Request::parse(b"{\"requestId\":\"\xff\",\"records\":[]}").is_err());
}

#[test]
fn answers() {
    assert_eq!(answer("a\"b", 5, None), br#"{"requestId":"a\"b","timestamp":5}"#);
    assert_eq!(
        answer("r", 1_789_380_991_702, Some("bad access key")),
        br#"{"requestId":"r","timestamp":1789380991702,"errorMessage":"bad access key"}"#
    );
}

#[test]
fn what_a_stream_says_of_all_its_records() {
    let read = |header: &str| common_attributes(header.as_bytes());
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        read(r#"{"commonAttributes":{"log-kind":"standard-v2","deployment":"prod"}}"#),
        [pair("deployment", "prod"), pair("log-kind", "standard-v2")]
    );
    for none in ["", "{}", "[]", r#"{"commonAttributes":{"a":1}}"#, r#"{"commonAttributes":{"":"x"}}"#] {
        assert_eq!(read(none), [], "{none}");
    }
    let long = "x".repeat(MAX_COMMON_ATTRIBUTE_BYTES);
    assert_eq!(read(&format!(r#"{{"commonAttributes":{{"a":"{long}","b":"{long}x"}}}}"#)), [pair("a", &long)]);
    let many: Vec<_> = (0..60).map(|number| format!(r#""{number}":"v""#)).collect();
    assert_eq!(read(&format!(r#"{{"commonAttributes":{{{}}}}}"#, many.join(","))).len(), MAX_COMMON_ATTRIBUTES);
}

#[test]
fn the_account_in_an_arn() {
    let arn = "arn:aws:firehose:us-east-1:111122223333:deliverystream/cf-edge";
    assert_eq!(account_of(arn), Some("111122223333"));
    for none in [
        "",
        "arn:aws:s3:::bucket",
        "arn:aws:firehose:us-east-1:11112222333x:a",
        "rn:aws:firehose:us-east-1:111122223333:a",
    ] {
        assert_eq!(account_of(none), None, "{none}");
    }
}
