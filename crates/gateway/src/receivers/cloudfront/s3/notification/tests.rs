use serde_json::json;

use super::*;

fn s3(event: &str, key: &str) -> String {
    json!({"Records": [{
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-central-1", "eventTime": "2026-09-14T10:20:00.000Z",
        "eventName": event,
        "s3": {"s3SchemaVersion": "1.0", "configurationId": "logs",
               "bucket": {"name": "logs", "arn": "arn:aws:s3:::logs"},
               "object": {"key": key, "size": 1024, "eTag": "d41d8cd98f00b204e9800998ecf8427e"}}
    }]})
    .to_string()
}

fn written(key: &str) -> Result<Notification, String> {
    let (bucket, key) = ("logs".to_owned(), key.to_owned());
    Ok(Notification::Written(vec![Written { bucket, key, bytes: Some(1024) }]))
}

fn in_sns(message: &str) -> String {
    json!({"Type": "Notification", "MessageId": "1", "TopicArn": "arn:aws:sns:eu-central-1:1:t", "Message": message})
        .to_string()
}

#[test]
fn every_form_of_a_notification() {
    let key = "cf/E1.2026-09-14-10.a b+c.gz";
    let escaped = s3("ObjectCreated:Put", "cf/E1.2026-09-14-10.a+b%2Bc.gz");
    let bridge = json!({"version": "0", "source": "aws.s3", "detail-type": "Object Created", "region": "eu-central-1",
        "detail": {"version": "0", "bucket": {"name": "logs"}, "object": {"key": key, "size": 1024}}})
    .to_string();
    for body in [&escaped, &in_sns(&escaped), &bridge, &in_sns(&bridge)] {
        assert_eq!(Notification::parse(body), written(key), "{body}");
    }
    assert_eq!(Notification::parse(&s3("s3:ObjectCreated:CompleteMultipartUpload", "k")), written("k"));
}

#[test]
fn what_is_not_of_new_objects_asks_for_nothing() {
    let test = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2026-09-14T10:20:00.000Z","Bucket":"logs"}"#;
    assert_eq!(Notification::parse(test), Ok(Notification::Test));
    assert_eq!(Notification::parse(&in_sns(test)), Ok(Notification::Test));
    let none = Ok(Notification::Written(Vec::new()));
    assert_eq!(Notification::parse(&s3("ObjectRemoved:Delete", "k")), none);
    assert_eq!(Notification::parse(r#"{"source":"aws.s3","detail-type":"Object Deleted"}"#), none);
}

#[test]
fn what_cannot_be_read_is_said() {
    for (body, expected) in [
        ("", "not JSON"),
        ("hello", "not JSON"),
        ("{}", "neither a notification"),
        ("[]", "neither a notification"),
        (r#"{"Records":[{"eventName":"ObjectCreated:Put","s3":{}}]}"#, "names no bucket"),
        (r#"{"source":"aws.s3","detail-type":"Object Created"}"#, "names no bucket"),
        (r#"{"Message":"{\"Message\":\"{\\\"Message\\\":\\\"{}\\\"}\"}"}"#, "neither a notification"),
    ] {
        let reason = Notification::parse(body).expect_err(body);
        assert!(reason.contains(expected), "{body}: {reason}");
    }
}
