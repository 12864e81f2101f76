//! Log files in buckets, with a real server of S3's and SQS's APIs: told of by a queue, found by listing, imported.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use rootspan_model::time::UnixNanos;
use serde_json::json;

use crate::moto::{Moto, add_storage, keys, start, with_credentials, without_credentials};
use crate::process::{Process, Setup, Site};
use crate::wait::eventually;
use crate::{api, http, otlp};

const V1_HEADER: &str = "#Version: 1.0\n#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status \
                         x-edge-result-type x-edge-request-id x-host-header cs-protocol time-taken\n";
const NANOS_PER_HOUR: u64 = 3_600_000_000_000;
/// Spans of the records below are never too old.
const STORE: &str = ", retention: 100000h";

/// Records of a long object: some 8 MB, thirty times what is held of it at once.
const LONG: u64 = 50_000;

/// The hour as names have it, so many hours before now.
fn hour(before: u64) -> String {
    let utc = UnixNanos(otlp::now() - before * NANOS_PER_HOUR).utc();
    format!("{:04}-{:02}-{:02}-{:02}", utc.year, utc.month, utc.day, utc.hour)
}

fn v1_line(path: &str) -> String {
    let utc = UnixNanos(otlp::now()).utc();
    format!(
        "{:04}-{:02}-{:02}\t{:02}:{:02}:{:02}\tFRA60-P4\t512\t198.51.100.11\tGET\td111.cloudfront.net\t{path}\t200\tHit\tid{path}\t\
         shop.example.com\thttps\t0.010\n",
        utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second,
    )
}

fn v1(paths: &[&str]) -> String {
    V1_HEADER.to_owned() + &paths.iter().map(|path| v1_line(path)).collect::<String>()
}

fn v2_json(path: &str) -> String {
    let millis = (otlp::now() / 1_000_000).to_string();
    json!({"timestamp(ms)": millis, "x-edge-request-id": format!("id{path}"), "cs-method": "GET", "cs-uri-stem": path,
           "sc-status": "200", "time-taken": "0.010", "cs-protocol": "https", "x-edge-result-type": "Hit"})
    .to_string()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).expect("memory");
    encoder.finish().expect("memory")
}

/// The spans of requests for a path.
fn spans_of(process: &Process, path: &str) -> usize {
    api::search(process.ui(), &format!("{{ span.url.path = \"{path}\" }}"), "").len()
}

fn wait_for(process: &Process, path: &str) {
    eventually(path, || (spans_of(process, path) == 1).then_some(()));
}

/// A number of the metrics page.
fn metric(process: &Process, sample: &str) -> u64 {
    let page = http::get(process.address("metrics", "http"), "/metrics").text();
    let value = page.lines().find_map(|line| line.strip_prefix(sample)).map(str::trim);
    value.and_then(|value| value.parse::<f64>().ok()).map_or(0, |value| value as u64)
}

fn wait_for_refusal(process: &Process) {
    eventually("spans are refused", || {
        let page = http::get(process.address("metrics", "http"), "/metrics").text();
        let line = |line: &&str| line.starts_with("otelcol_receiver_refused_spans") && line.contains("\"cloudfront\"");
        page.lines().filter(line).any(|line| !line.ends_with(" 0")).then_some(())
    });
}

fn objects(process: &Process, outcome: &str) -> u64 {
    metric(process, &format!("rootspan_cloudfront_objects_total{{receiver=\"cloudfront\",outcome=\"{outcome}\"}}"))
}

fn messages(process: &Process, outcome: &str) -> u64 {
    metric(process, &format!("rootspan_cloudfront_messages_total{{receiver=\"cloudfront\",outcome=\"{outcome}\"}}"))
}

fn site(moto: &Moto, more: &str) -> Site {
    Site::new(Setup { cloudfront: true, cloudfront_keys: keys(moto, more), store: STORE, ..Setup::default() })
}

fn sqs(queue: &str, more: &str) -> String {
    format!("sqs: {{queue_url: \"{queue}\", wait_time: 1s, visibility_timeout: 10s{more}}}")
}

/// A server with a bucket whose notifications go to a queue, and the queue's URL.
fn told_by_queue() -> (Moto, String) {
    let moto = Moto::start();
    moto.create_bucket("logs");
    let queue = moto.create_queue("logs", &json!({}));
    moto.notify("logs", "logs");
    (moto, queue)
}

#[test]
fn objects_of_every_form_become_spans_and_their_messages_are_deleted() {
    let (moto, queue) = told_by_queue();
    let site = site(&moto, &format!("prefix: cf/, {}", sqs(&queue, "")));
    let w3c = v1(&["/w3c"]);
    moto.put("logs", &format!("cf/E1.{}.a.gz", hour(0)), &gzip(&v1(&["/v1/a", "/v1/b"])));
    moto.put("logs", "cf/a key with + and ü/plain", w3c.as_bytes());
    moto.put("logs", "cf/E1/2026/x.gz", &gzip(&format!("{}\n{}\n", v2_json("/v2/a"), v2_json("/v2/b"))));
    moto.put("logs", "cf/joined", v2_json("/joined").as_bytes());
    moto.put("logs", "cf/", b"");
    moto.put("logs", "other/E1.gz", &gzip(&v1(&["/other"])));
    let process = start(&site);
    for path in ["/v1/a", "/v1/b", "/w3c", "/v2/a", "/v2/b", "/joined"] {
        wait_for(&process, path);
    }
    moto.wait_until_empty(&queue);
    // Delivered again, as queues do: nothing is there twice.
    moto.put("logs", &format!("cf/E1.{}.a.gz", hour(0)), &gzip(&v1(&["/v1/a", "/v1/c"])));
    wait_for(&process, "/v1/c");
    moto.wait_until_empty(&queue);
    assert_eq!(spans_of(&process, "/other"), 0, "its key has another prefix");
    eventually("all are counted", || (objects(&process, "read") == 5).then_some(()));
    assert_eq!(objects(&process, "damaged"), 0);
    assert!(metric(&process, "rootspan_cloudfront_object_bytes_total{receiver=\"cloudfront\"}") > 500);
    process.stop();
}

#[test]
fn a_message_is_deleted_only_after_its_spans_are_stored() {
    let (moto, queue) = told_by_queue();
    let keys = keys(&moto, &sqs(&queue, ""));
    let good = Setup { cloudfront: true, cloudfront_keys: keys, store: STORE, ..Setup::default() };
    // The store refuses what comes: no disk is that empty.
    let site = Site::new(Setup { store: ", retention: 100000h, min_free_percent: 99.9999", ..good });
    moto.put("logs", "E1.gz", &gzip(&v1(&["/refused"])));
    let mut process = start(&site);
    process.expect("free");
    wait_for_refusal(&process);
    eventually("the test message is done", || (messages(&process, "done") == 1).then_some(()));
    assert_eq!(moto.messages(&queue), (0, 1), "the other one is being worked on, and not deleted");
    // Its end gives the message back at once.
    process.stop();
    assert_eq!(moto.messages(&queue), (1, 0), "it is there for the next one");

    site.configure(good, &site.data());
    let process = start(&site);
    wait_for(&process, "/refused");
    moto.wait_until_empty(&queue);
    process.stop();
}

#[test]
fn what_can_never_be_read_neither_loops_nor_gets_lost() {
    let (moto, queue) = told_by_queue();
    // Given up at once, and counted.
    let site = site(&moto, &sqs(&queue, ", max_receives: 1"));
    moto.put("logs", "gone.gz", &gzip(&v1(&["/gone"])));
    moto.delete("logs", "gone.gz");
    moto.send(&queue, "no JSON");
    let lines: Vec<String> = (0..1000).map(|number| format!("/cut/{number}")).collect();
    let cut = gzip(&v1(&lines.iter().map(String::as_str).collect::<Vec<_>>()));
    // What is missing is the checksum.
    moto.put("logs", "cut.gz", &cut[..cut.len() - 4]);
    let long = format!("{}\n", "x".repeat(3 << 20));
    moto.put("logs", "long.gz", &gzip(&(v1(&["/before"]) + &long + &v1_line("/behind"))));
    moto.put("logs", "good.gz", &gzip(&v1(&["/good"])));
    let mut process = start(&site);
    process.expect("came too often and is deleted");
    process.expect("cannot be read to its end");
    process.expect("records in an object cannot be read");
    for path in ["/good", "/cut/0", "/cut/999", "/before", "/behind"] {
        wait_for(&process, path);
    }
    moto.wait_until_empty(&queue);
    process.wait_for_log("gone.gz: the object does not exist");
    process.wait_for_log("it is not JSON");
    process.wait_for_log("s3://logs/cut.gz");
    eventually("both are counted", || (messages(&process, "given_up") == 2).then_some(()));
    assert_eq!((objects(&process, "gone"), objects(&process, "damaged")), (1, 1));
    process.wait_for_log("the line is too long");
    let records = |what: &str| {
        metric(&process, &format!("rootspan_cloudfront_records_total{{receiver=\"cloudfront\",outcome=\"{what}\"}}"))
    };
    assert_eq!(
        (records("span_derived_ids"), records("bad")),
        (1003, 1),
        "all that came before the damage, and around the line"
    );
    process.stop();
}

#[test]
fn a_useless_message_goes_to_the_dead_letter_queue() {
    let moto = Moto::start();
    let letters = moto.create_queue("letters", &json!({}));
    let policy = json!({"deadLetterTargetArn": "arn:aws:sqs:us-east-1:123456789012:letters", "maxReceiveCount": 1});
    let queue = moto.create_queue("logs", &json!({"RedrivePolicy": policy.to_string()}));
    moto.send(&queue, "no JSON");
    let site = site(&moto, &sqs(&queue, ""));
    let mut process = start(&site);
    process.expect("left to the queue's redrive policy");
    eventually("the message is a dead letter", || (moto.messages(&letters).0 == 1).then_some(()));
    moto.wait_until_empty(&queue);
    assert_eq!(messages(&process, "given_up"), 0);
    process.stop();
}

#[test]
fn a_listed_bucket_is_read_once_however_often_it_is_listed() {
    let moto = Moto::start();
    moto.create_bucket("logs");
    let site = site(&moto, "bucket: logs, prefix: cf/, storage: file_storage, poll_interval: 1s");
    add_storage(&site, &site.path("storage"));
    moto.put("logs", &format!("cf/E1.{}.a.gz", hour(1)), &gzip(&v1(&["/first"])));
    moto.put("logs", &format!("cf/E2.{}.b.gz", hour(0)), &gzip(&v1(&["/second"])));
    moto.put("logs", "cf/x//y", v2_json("/other-name").as_bytes());
    // By its name older than anything that can still come.
    moto.put("logs", &format!("cf/E1.{}.old.gz", hour(30)), &gzip(&v1(&["/old"])));
    let process = start(&site);
    for path in ["/first", "/second", "/other-name"] {
        wait_for(&process, path);
    }
    // A day late, and before others in the order of keys.
    moto.put("logs", &format!("cf/E1.{}.late.gz", hour(24)), &gzip(&v1(&["/late"])));
    wait_for(&process, "/late");
    eventually("all four are counted", || (objects(&process, "read") == 4).then_some(()));
    assert_eq!(spans_of(&process, "/old"), 0);
    process.stop();

    let process = start(&site);
    process.wait_for_log("the bucket is listed");
    moto.put("logs", &format!("cf/E1.{}.after.gz", hour(0)), &gzip(&v1(&["/after"])));
    // Replaced: another ETag.
    moto.put("logs", &format!("cf/E2.{}.b.gz", hour(0)), &gzip(&v1(&["/second", "/replaced"])));
    wait_for(&process, "/after");
    wait_for(&process, "/replaced");
    eventually("both are counted", || (objects(&process, "read") == 2).then_some(()));
    // A whole look later nothing else was read.
    moto.put("logs", &format!("cf/E3.{}.c.gz", hour(0)), &gzip(&v1(&["/last"])));
    wait_for(&process, "/last");
    eventually("it is counted", || (objects(&process, "read") >= 3).then_some(()));
    assert_eq!(objects(&process, "read"), 3, "what was read before the restart is not read again");
    process.stop();
}

#[test]
fn what_was_not_stored_is_not_marked_as_seen() {
    let moto = Moto::start();
    moto.create_bucket("logs");
    let keys = keys(&moto, "bucket: logs, storage: file_storage, poll_interval: 1s");
    let good = Setup { cloudfront: true, cloudfront_keys: keys, store: STORE, ..Setup::default() };
    let site = Site::new(Setup { store: ", retention: 100000h, min_free_percent: 99.9999", ..good });
    add_storage(&site, &site.path("storage"));
    moto.put("logs", &format!("E1.{}.a.gz", hour(0)), &gzip(&v1(&["/later"])));
    let mut process = start(&site);
    process.expect("free");
    wait_for_refusal(&process);
    process.stop();
    site.configure(good, &site.data());
    add_storage(&site, &site.path("storage"));
    let process = start(&site);
    wait_for(&process, "/later");
    process.stop();
}

#[test]
fn one_process_lists_a_bucket_and_another_takes_over() {
    let moto = Moto::start();
    moto.create_bucket("logs");
    let more = "bucket: logs, storage: file_storage, poll_interval: 1s";
    let (first_site, second_site) = (site(&moto, more), site(&moto, more));
    let storage = first_site.path("storage");
    add_storage(&first_site, &storage);
    add_storage(&second_site, &storage);
    let first = start(&first_site);
    first.wait_for_log("the bucket is listed");
    let second = start(&second_site);
    second.wait_for_log("this one waits to take over");
    moto.put("logs", &format!("E1.{}.a.gz", hour(0)), &gzip(&v1(&["/one"])));
    wait_for(&first, "/one");
    first.kill();
    second.wait_for_log("the bucket is listed");
    moto.put("logs", &format!("E1.{}.b.gz", hour(0)), &gzip(&v1(&["/two"])));
    wait_for(&second, "/two");
    second.stop();
}

#[test]
fn a_reload_goes_on_where_the_receiver_was() {
    let moto = Moto::start();
    moto.create_bucket("logs");
    let site = site(&moto, "bucket: logs, storage: file_storage, poll_interval: 1s");
    add_storage(&site, &site.path("storage"));
    moto.put("logs", &format!("E1.{}.a.gz", hour(0)), &gzip(&v1(&["/before"])));
    let process = start(&site);
    wait_for(&process, "/before");
    let text = std::fs::read_to_string(site.config()).expect("it is there");
    std::fs::write(site.config(), text.replace("poll_interval: 1s", "poll_interval: 2s")).expect("it can be written");
    process.hang_up();
    moto.put("logs", &format!("E1.{}.b.gz", hour(0)), &gzip(&v1(&["/after"])));
    wait_for(&process, "/after");
    assert_eq!(spans_of(&process, "/before"), 1);
    process.stop();
}

#[test]
fn what_is_wrong_is_said_in_one_sentence_and_tried_again() {
    let moto = Moto::start();
    let site = site(&moto, "bucket: logs, storage: file_storage, poll_interval: 1s");
    add_storage(&site, &site.path("storage"));
    let run = |mut command: std::process::Command| {
        let process = Process::spawn(command.arg("run").arg("--config").arg(site.config()));
        process.wait_until_ready();
        process
    };
    let mut process = run(without_credentials());
    process.expect("it is tried again");
    process.wait_for_log("cannot list s3://logs/: there are no credentials");
    process.stop();
    let mut process = run(with_credentials());
    process.expect("it is tried again");
    process.wait_for_log("cannot list s3://logs/: the bucket does not exist");
    // It comes to be, and all is well.
    moto.create_bucket("logs");
    moto.put("logs", &format!("E1.{}.a.gz", hour(0)), &gzip(&v1(&["/there"])));
    wait_for(&process, "/there");
    process.wait_for_log("is read again");
    process.stop();
}

#[test]
fn a_long_object_takes_no_more_memory_than_a_short_one() {
    let (moto, queue) = told_by_queue();
    let setup = Setup {
        cloudfront: true,
        cloudfront_keys: keys(&moto, &sqs(&queue, "")),
        store: STORE,
        memory_limit_mib: Some(256),
        ..Setup::default()
    };
    let site = Site::new(setup);
    let process = start(&site);
    let before = process.peak_memory();
    let lines: String = (0..LONG).map(|number| v1_line(&format!("/{number}"))).collect();
    moto.put("logs", "long.gz", &gzip(&(V1_HEADER.to_owned() + &lines)));
    eventually("it is read", || (objects(&process, "read") == 1).then_some(()));
    let records = "rootspan_cloudfront_records_total{receiver=\"cloudfront\",outcome=\"span_derived_ids\"}";
    assert_eq!(metric(&process, records), LONG);
    // The store's tail holds spans, too, whatever they come from.
    let grown = process.peak_memory() - before;
    assert!(grown < 400 << 20, "{} MiB more", grown >> 20);
    moto.wait_until_empty(&queue);
    process.stop();
}

fn import(moto: &Moto, site: &Site, arguments: &[&str]) -> crate::process::Ended {
    let mut command = with_credentials();
    command.arg("import").args(arguments).arg("--data").arg(site.data());
    Process::spawn(command.args(["--region", "us-east-1", "--endpoint-url", &moto.url()])).end()
}

#[test]
fn a_bucket_is_imported() {
    let moto = Moto::start();
    moto.create_bucket("logs");
    let site = Site::new(Setup { store: STORE, ..Setup::default() });
    for (before, path) in [(50, "/a"), (49, "/b"), (1, "/c")] {
        moto.put("logs", &format!("cf/E1.{}.x.gz", hour(before)), &gzip(&v1(&[path])));
    }
    moto.put("logs", "cf/json", format!("{}\n{}\n", v2_json("/d"), v2_json("/e")).as_bytes());
    moto.put("logs", "elsewhere/json", v2_json("/f").as_bytes());
    let ended = import(&moto, &site, &["s3://logs/cf/"]);
    assert!(ended.status.success(), "{ended:?}");
    assert!(ended.stdout.contains("4  files") && ended.stdout.contains("5  spans"), "{}", ended.stdout);
    // By the hour in the names; once more adds nothing twice.
    let to_argument = |hour: String| hour.rsplit_once('-').map(|(day, hour)| format!("{day}T{hour}")).expect("an hour");
    let (start_at, end_at) = (to_argument(hour(49)), to_argument(hour(2)));
    let bounds = ["s3://logs/cf/E1.", "--start", &start_at, "--end", &end_at];
    let ended = import(&moto, &site, &bounds);
    assert!(ended.stdout.contains("1  file\n"), "{}", ended.stdout);
    let process = site.start();
    for path in ["/a", "/b", "/c", "/d", "/e"] {
        assert_eq!(spans_of(&process, path), 1, "{path}");
    }
    process.stop();
}

#[test]
fn what_cannot_be_imported_from_a_bucket_is_said() {
    let moto = Moto::start();
    moto.create_bucket("logs");
    let site = Site::new(Setup::default());
    let ended = import(&moto, &site, &["s3://no-such-bucket/x"]);
    assert!(!ended.status.success());
    assert!(ended.stderr.contains("cannot list s3://no-such-bucket/x: the bucket does not exist"), "{}", ended.stderr);
    let ended = import(&moto, &site, &["s3://logs/mistyped/"]);
    assert!(!ended.status.success());
    assert!(ended.stderr.contains("s3://logs/mistyped/: there is nothing to import"), "{}", ended.stderr);
    let mut command = without_credentials();
    let ended = Process::spawn(command.args(["import", "s3://logs/x", "--endpoint-url", &moto.url()])).end();
    assert!(ended.stderr.contains("no Region is known; set `region` (or --region"), "{}", ended.stderr);
    let mut command = without_credentials();
    let arguments = ["import", "s3://logs/x", "--region", "us-east-1", "--endpoint-url", &moto.url()];
    let ended = Process::spawn(command.args(arguments)).end();
    assert!(ended.stderr.contains("there are no credentials"), "{}", ended.stderr);
}
