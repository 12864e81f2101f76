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
