//! Logs on their way to a folder, and in envelopes.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use http_body_util::Full;
use serde_json::Value;

use super::support::{Origin, get};
use crate::emulator::delivery::envelope;
use crate::emulator::delivery::{DeliveryCounts, LogLine};
use crate::emulator::random::Random;
use crate::emulator::{Bucket, Config, Delivery, Destination, Emulator, LogForm, Mishaps, V2Format};

/// Every file below a folder: its path in there, and its text.
fn files(folder: &std::path::Path) -> Vec<(String, String)> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(current) = folders.pop() {
        for entry in std::fs::read_dir(&current).expect("a folder") {
            let path = entry.expect("it can be listed").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).expect("a file");
            let name = path.strip_prefix(folder).expect("below it").display().to_string();
            let text = if name.ends_with(".gz") { unpacked(&bytes) } else { String::from_utf8(bytes).expect("text") };
            found.push((name, text));
        }
    }
    found
}

fn unpacked(bytes: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(bytes).read_to_string(&mut text).expect("gzip of text");
    text
}

#[tokio::test]
async fn files_are_named_as_in_s3_and_begin_with_their_fields() {
    let origin = Origin::start().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let to = |name: &str| Destination::Folder(folder.path().join(name));
    let deliveries = vec![
        Delivery::new(LogForm::StandardV1, to("v1")),
        Delivery::new(LogForm::standard_v2(V2Format::W3c), to("v2")),
        Delivery {
            gzip: false,
            mishaps: Mishaps { repeats: 1, shuffle: true, ..Mishaps::default() },
            ..Delivery::new(LogForm::real_time(), to("real-time"))
        },
    ];
    let running = Emulator::start(Config { origin: origin.url(), deliveries, ..Config::default() }).await;
    let running = running.expect("the emulator starts");
    for _ in 0..2 {
        let request = Request::get(format!("http://{}/items?limit=5", running.address)).body(Full::default());
        get(&running, request.expect("valid request")).await.2.expect("a whole body");
    }
    let summary = running.shutdown().await;
    let all = DeliveryCounts { posted: 2, delivered: 2, ..DeliveryCounts::default() };
    assert_eq!(summary.deliveries, [all, all, all]);

    let (name, text) = &files(&folder.path().join("v1"))[0];
    assert!(name.starts_with("EDFDVBD6EXAMPLE.20") && name.ends_with(".gz") && name.len() == 41, "{name}");
    assert!(text.starts_with("#Version: 1.0\n#Fields: date time ") && text.lines().count() == 4, "{text}");
    let (name, text) = &files(&folder.path().join("v2"))[0];
    assert!(name.starts_with("AWSLogs/111122223333/CloudFront/EDFDVBD6EXAMPLE/20"), "{name}");
    assert!(text.contains(" viewer-request-log-data ") && text.lines().count() == 4, "{text}");
    let repeated = files(&folder.path().join("real-time"));
    assert_eq!(repeated.len(), 2, "twice");
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&repeated[0].1), sorted(&repeated[1].1));
    assert_eq!(repeated[0].1.lines().next().map(|line| line.split('\t').count()), Some(71));
}

#[test]
fn envelopes_are_made_by_stream_and_may_be_joined() {
    let line = |stream: &str, text: &str| LogLine {
        unix_millis: 7,
        text: text.to_owned(),
        group: "/aws/cloudfront/function/f".to_owned(),
        stream: stream.to_owned(),
    };
    let batch = [line("a", "1"), line("b", "2"), line("a", "3")];
    let random = Random::new(1, 1);
    let apart = envelope::records(&batch, false, &random).expect("it is packed");
    let read = |packed: &[u8]| serde_json::from_str::<Value>(&unpacked(packed)).expect("one envelope");
    let messages = |envelope: &Value| -> Vec<String> {
        let events = envelope["logEvents"].as_array().expect("events").iter();
        events.map(|event| event["message"].as_str().expect("text").to_owned()).collect()
    };
    assert_eq!(apart.iter().map(|packed| messages(&read(packed))).collect::<Vec<_>>(), [vec!["1", "3"], vec!["2"]]);
    assert!(STANDARD.encode(&apart[0]).starts_with("H4sI"), "as the documented record begins");
    let joined = envelope::records(&batch, true, &random).expect("it is packed");
    assert_eq!(joined.len(), 1);
    assert_eq!(serde_json::Deserializer::from_str(&unpacked(&joined[0])).into_iter::<Value>().count(), 2);
}

#[tokio::test]
async fn a_bucket_gets_the_files_signed() {
    // It remembers what it was sent and says yes.
    let (origin, bucket) = (Origin::start().await, Origin::start().await);
    let destination = Destination::Bucket(Bucket {
        endpoint: bucket.url(),
        name: "logs".to_owned(),
        prefix: "cdn/".to_owned(),
        region: "eu-central-1".to_owned(),
        access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
        secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
    });
    let deliveries = vec![Delivery::new(LogForm::standard_v2(V2Format::Json), destination)];
    let running = Emulator::start(Config { origin: origin.url(), deliveries, ..Config::default() }).await;
    let running = running.expect("the emulator starts");
    let request = Request::get(format!("http://{}/items", running.address)).body(Full::default());
    get(&running, request.expect("valid request")).await.2.expect("a whole body");
    let summary = running.shutdown().await;
    assert_eq!(summary.deliveries, [DeliveryCounts { posted: 1, delivered: 1, ..DeliveryCounts::default() }]);
    let seen = bucket.seen();
    let [put] = &seen[..] else { panic!("one file, not {seen:?}") };
    assert_eq!(put.method, "PUT");
    assert!(put.target.starts_with("/logs/cdn/AWSLogs/111122223333/CloudFront/EDFDVBD6EXAMPLE/"), "{}", put.target);
    let authorization = put.headers["authorization"].to_str().expect("text");
    assert!(
        authorization.contains("/eu-central-1/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date")
    );
    let record: Value = serde_json::from_str(unpacked(&put.body).trim()).expect("a record");
    assert_eq!(record["x-edge-request-id"], summary.ledger[0].request_id);
}
