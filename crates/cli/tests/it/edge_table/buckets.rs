//! The table once more, with logs that come by way of a bucket: told of by a queue, and found by listing.

use std::time::Duration;

use rootspan_edge::emulator::{Bucket, Delivery, Destination, LogForm, Mishaps, V2Format};
use serde_json::json;

use super::cases::CASES;
use super::judge;
use super::stage::Stage;
use crate::http;
use crate::moto::{Moto, add_storage, keys, start};
use crate::process::{Process, Setup, Site};
use crate::wait::eventually;

/// A form of log files.
struct Form {
    name: &'static str,
    log: fn() -> LogForm,
    gzip: bool,
}

const FORMS: [Form; 3] = [
    Form { name: "standard v1, packed", log: || LogForm::StandardV1, gzip: true },
    Form { name: "standard v2 JSON, packed", log: || LogForm::standard_v2(V2Format::Json), gzip: true },
    Form { name: "standard v2 W3C", log: || LogForm::standard_v2(V2Format::W3c), gzip: false },
];

/// How the receiver learns of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Queue,
    Listing,
}

#[test]
fn every_case_by_s3_delivered_once() {
    for form in &FORMS {
        check(form, Way::Queue, Mishaps::default(), Duration::ZERO);
        check(form, Way::Listing, Mishaps::default(), Duration::ZERO);
    }
}

#[test]
fn every_case_by_s3_delivered_twice_and_an_hour_late() {
    let mishaps = Mishaps { repeats: 1, shuffle: true, ..Mishaps::default() };
    for form in &FORMS {
        check(form, Way::Queue, mishaps, Duration::from_secs(3600));
        check(form, Way::Listing, mishaps, Duration::from_secs(3600));
    }
}

fn check(form: &Form, way: Way, mishaps: Mishaps, behind: Duration) {
    let moto = Moto::start();
    moto.create_bucket("logs");
    let queue = moto.create_queue("logs", &json!({}));
    let more = match way {
        Way::Queue => {
            moto.notify("logs", "logs");
            format!("sqs: {{queue_url: \"{queue}\", wait_time: 1s}}")
        }
        Way::Listing => "bucket: logs, storage: file_storage, poll_interval: 1s".to_owned(),
    };
    let site = Site::new(Setup { cloudfront: true, cloudfront_keys: keys(&moto, &more), ..Setup::default() });
    if way == Way::Listing {
        add_storage(&site, &site.path("storage"));
    }
    let gateway = start(&site);
    let destination = Destination::Bucket(Bucket {
        endpoint: moto.url(),
        name: "logs".to_owned(),
        prefix: "cf/".to_owned(),
        region: "us-east-1".to_owned(),
        access_key_id: "test".to_owned(),
        secret_access_key: "test".to_owned(),
    });
    let delivery = Delivery { gzip: form.gzip, mishaps, ..Delivery::new((form.log)(), destination) };
    let folder = site.path("logs");
    let mut stage = Stage::start(delivery, &folder, behind);
    CASES.iter().for_each(|case| stage.visit(case));
    let (ledger, origin) = stage.stop();
    wait_until_read(&gateway, &moto);
    if way == Way::Queue {
        moto.wait_until_empty(&queue);
    }
    judge(&format!("{} by {way:?}", form.name), &(form.log)(), &gateway, &ledger, &origin, &folder);
    gateway.stop();
}

/// Waits until as many objects are read as the bucket has.
fn wait_until_read(gateway: &Process, moto: &Moto) {
    let objects = moto.keys("logs").len();
    assert!(objects > 0, "the emulator wrote into the bucket");
    eventually("all objects are read", || {
        let page = http::get(gateway.address("metrics", "http"), "/metrics").text();
        let sample = "rootspan_cloudfront_objects_total{receiver=\"cloudfront\",outcome=\"read\"} ";
        let read = page.lines().find_map(|line| line.strip_prefix(sample)?.parse::<usize>().ok());
        (read == Some(objects)).then_some(())
    });
}
