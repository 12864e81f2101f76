//! Log files of CloudFront, in every form, through the whole gateway.

use std::io::Write as _;
use std::path::Path;

use super::*;

const V1: &str = include_str!("../../../../testdata/cloudfront/standard-v1.log");
const V2: &str = include_str!("../../../../testdata/cloudfront/standard-v2.jsonl");
const REAL_TIME: &str = include_str!("../../../../testdata/cloudfront/real-time.tsv");
const ENVELOPES: &str = include_str!("../../../../testdata/cloudfront/cloudwatch.jsonl");
const REAL_TIME_FIELDS: &str = include_str!("../../../../testdata/cloudfront/real-time-fields.txt");

fn append(path: &Path, bytes: impl AsRef<[u8]>) {
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(bytes.as_ref())).expect("there is room");
}

/// Without an endpoint.
fn config(folder: &Path) -> String {
    format!(
        "receivers:
  cloudfront:
    files: {{include: ['{0}/*'], exclude: ['{0}/*.tmp'], storage: file_storage, poll_interval: 5ms}}
    real_time_fields: [{1}]
exporters: {{debug: {{verbosity: normal}}}}
extensions: {{file_storage: {{directory: '{0}/storage'}}}}
service:
  extensions: [file_storage]
  telemetry: {{metrics: {{address: '127.0.0.1:0'}}}}
  pipelines: {{traces: {{receivers: [cloudfront], exporters: [debug]}}}}
",
        folder.display(),
        REAL_TIME_FIELDS.lines().collect::<Vec<_>>().join(", ")
    )
}

/// Waits until so many spans have arrived.
async fn accepted(started: &Started, spans: u64) {
    let reached = async {
        while started.ledger().receivers[0].accepted < spans {
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), reached).await;
    assert!(in_time.is_ok(), "{:?}\n{}", started.ledger().receivers[0], started.printed());
}

/// What became of records.
async fn outcome(started: &Started, outcome: &str) -> u64 {
    let metrics = http(started.address("metrics", "http"), "GET", "/metrics", &[], b"").await.text();
    let name = format!("rootspan_cloudfront_records_total{{receiver=\"cloudfront\",outcome=\"{outcome}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{name} is not in\n{metrics}"))
}

/// As [`outcome`], once it is so many: records are counted when their spans are settled.
async fn reaches(started: &Started, name: &str, records: u64) {
    let reached = async { while outcome(started, name).await != records {} };
    let in_time = tokio::time::timeout(Duration::from_secs(20), reached).await;
    assert!(in_time.is_ok(), "{name}: {} instead of {records}", outcome(started, name).await);
}

#[tokio::test]
async fn files_of_every_form_are_read_once() {
    let folder = tempfile::tempdir().expect("there is room");
    let write = |name: &str, bytes: &[u8]| append(&folder.path().join(name), bytes);
    write("E1.2026-09-14-10.a.gz", &gzip(V1.as_bytes()));
    write("v2.json", V2.as_bytes());
    write("glued.json.gz", &gzip(V2.replace('\n', "").as_bytes()));
    write("w3c.zst", &zstd::encode_all(V1.as_bytes(), 3).expect("memory"));
    write("real-time.log", REAL_TIME.as_bytes());
    write("envelopes", ENVELOPES.as_bytes());
    write("other.tmp", V2.as_bytes());
    let (v1, v2) = (V1.lines().count() as u64 - 2, V2.lines().count() as u64);
    let expected = 2 * v1 + 2 * v2 + REAL_TIME.lines().count() as u64;
    let started = start_with(&config(folder.path())).await;
    assert!(started.running.address("cloudfront", "http").is_none(), "nothing listens");
    // Beside them what the envelopes have of access logs.
    accepted(&started, expected + 1).await;
    reaches(&started, "bad", 0).await;
    let all = started.ledger().receivers[0].accepted;
    // The same again under another name is delivered twice; a broken one stops nobody.
    write("again.gz", &gzip(V1.as_bytes()));
    write("broken.gz", &gzip(V1.as_bytes())[..100]);
    accepted(&started, all + v1).await;
    started.finish().await;

    let started = start_with(&config(folder.path())).await;
    write("v2.json", V2.as_bytes());
    accepted(&started, v2).await;
    let ledger = started.finish().await.ledger;
    assert_eq!(ledger.receivers[0].accepted, v2, "only what is new");
}

#[tokio::test]
async fn a_header_holds_for_later_lines_after_a_restart_too() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("access.log");
    let line = |id: u32| format!("2026-09-14\t10:15:30\tGET\t/items/{id}\t200\tid{id}\n");
    append(&path, "#Version: 1.0\n#Fields: date time cs-method cs-uri-stem sc-status x-edge-request-id\n");
    append(&path, line(1));
    let started = start_with(&config(folder.path())).await;
    accepted(&started, 1).await;
    append(&path, line(2));
    accepted(&started, 2).await;
    started.finish().await;
    append(&path, line(3));
    let started = start_with(&config(folder.path())).await;
    accepted(&started, 1).await;
    append(&path, "#Fields: cs-method x-edge-request-id date time\nGET\tid4\t2026-09-14\t10:15:30\n");
    accepted(&started, 2).await;
    started.finish().await;
    append(&path, "GET\tid5\t2026-09-14\t10:15:30\nno record\n");
    let started = start_with(&config(folder.path())).await;
    accepted(&started, 1).await;
    reaches(&started, "bad", 1).await;
    assert_eq!(started.finish().await.ledger.receivers[0].accepted, 1);
}

#[tokio::test]
async fn a_header_holds_for_lines_behind_the_end_where_reading_began() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("access.log");
    append(&path, V1);
    let config = config(folder.path()).replace("poll_interval", "start_at: end, poll_interval");
    let started = start_with(&config).await;
    // Once places are kept the file has been looked at.
    let places = folder.path().join("storage/cloudfront/places/places.json");
    let looked = async {
        while !places.exists() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), looked).await.is_ok());
    append(&path, V1.lines().last().map(|line| format!("{line}\n")).unwrap_or_default());
    accepted(&started, 1).await;
    reaches(&started, "bad", 0).await;
    started.finish().await;
}

#[tokio::test]
async fn a_long_log_is_read_in_pieces_that_fit_into_the_budget() {
    let folder = tempfile::tempdir().expect("there is room");
    let mut text = "#Fields: date time cs-method cs-uri-stem sc-status x-edge-request-id\n".to_owned();
    let padding = "x".repeat(900);
    for id in 0..30_000 {
        text += &format!("2026-09-14\t10:15:30\tGET\t/{padding}\t200\tid{id}\n");
    }
    append(&folder.path().join("long.gz"), gzip(text.as_bytes()));
    let limited = config(folder.path())
        .replace("exporters: [debug]", "processors: [memory_limiter], exporters: [debug]")
        .replace("exporters: {debug", "processors: {memory_limiter: {limit_mib: 1}}\nexporters: {debug");
    let started = start_with(&limited.replace("normal", "basic")).await;
    accepted(&started, 30_000).await;
    assert_eq!(started.finish().await.ledger.receivers[0].accepted, 30_000);
}
