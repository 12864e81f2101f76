use super::*;

/// The examples of "Signature Calculations for the Authorization Header".
fn examples() -> Bucket {
    Bucket {
        endpoint: "http://examplebucket.s3.amazonaws.com".to_owned(),
        name: "examplebucket".to_owned(),
        prefix: String::new(),
        region: "us-east-1".to_owned(),
        access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
        secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
    }
}

#[test]
fn the_documented_get_has_the_documented_signature() {
    let empty = hex(&sha256(b""));
    let signed = [
        ("host", "examplebucket.s3.amazonaws.com"),
        ("range", "bytes=0-9"),
        ("x-amz-content-sha256", &empty),
        ("x-amz-date", "20130524T000000Z"),
    ];
    let authorization = examples().authorization("GET", "/test.txt", &signed, "20130524T000000Z", &empty);
    assert!(
        authorization.ends_with("Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
        "{authorization}"
    );
    assert!(authorization.contains("Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"));
}

#[test]
fn the_documented_put_has_the_documented_signature() {
    let digest = hex(&sha256(b"Welcome to Amazon S3."));
    let signed = [
        ("date", "Fri, 24 May 2013 00:00:00 GMT"),
        ("host", "examplebucket.s3.amazonaws.com"),
        ("x-amz-content-sha256", &digest),
        ("x-amz-date", "20130524T000000Z"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
    ];
    let path = format!("/{}", escaped("test$file.text"));
    let authorization = examples().authorization("PUT", &path, &signed, "20130524T000000Z", &digest);
    assert!(
        authorization.ends_with("Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
        "{authorization}"
    );
}

#[test]
fn dates_are_in_the_signatures_form_and_secrets_are_not_printed() {
    assert_eq!(amz_date(1_369_353_600_000), "20130524T000000Z");
    assert!(!format!("{:?}", examples()).contains("wJalr"));
}
