//! The receiver `otlpjsonfile` in a whole gateway.

use std::io::Write as _;
use std::path::Path;

use rootspan_wire::otlp::payload::Signal;
use tonic::Status;

use super::forward::{Server, until};
use super::{request, start_with};
use crate::ledger::RefusalReason;

/// A line that the exporter `file` would write for spans of these names.
fn line(names: &[&str]) -> String {
    use prost::Message as _;
    use rootspan_wire::otlp::batch::TraceBatch;
    let batch = TraceBatch::from_trusted(request(names).encode_to_vec().into()).expect("sound");
    let mut json = Vec::new();
    rootspan_wire::otlp::json::write_traces(&batch, &mut json).expect("memory");
    String::from_utf8(json).expect("JSON is text") + "\n"
}

fn append(path: &Path, text: &str) {
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).expect("there is room");
}

fn config(folder: &Path, exporter: &str) -> String {
    let id = exporter.split(':').next().unwrap_or_default();
    format!(
        "
receivers:
  otlpjsonfile: {{include: ['{}/*.json'], start_at: beginning, poll_interval: 5ms, max_log_size: 64KiB}}
exporters:
  {exporter}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlpjsonfile], exporters: [{id}]}}
    logs: {{receivers: [otlpjsonfile], exporters: [{id}]}}
",
        folder.display()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_go_to_the_pipelines_of_their_signals_and_bad_ones_are_counted() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("a.json");
    append(&path, &line(&["one", "two"]));
    append(
        &path,
        "{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[{\"body\":{\"stringValue\":\"x\"}},{\"body\":7}]}]}]}\n",
    );
    append(&path, "{\"resourceMetrics\":[]}\nnot JSON\n{\"resourceSpans\":7}\n");
    append(&path, &format!("{{\"a\":\"{}\"}}\n", "x".repeat(64 << 10)));
    let gateway = start_with(&config(folder.path(), "debug: {verbosity: normal}")).await;
    until(&gateway, |ledger| ledger.receivers[0].refused_requests.total() == 3).await;
    append(&path, &line(&["three"]));
    until(&gateway, |ledger| ledger.receivers[0].accepted == 3).await;
    let printed = gateway.printed();
    assert!(["one", "two", "three"].iter().all(|name| printed.contains(name)), "{printed}");
    let ledger = gateway.finish().await.ledger;
    let [traces, logs] = ledger.receivers.as_slice() else { panic!("two signals have pipelines") };
    assert_eq!((logs.signal, logs.accepted, logs.rejected), (Signal::Logs, 1, 1));
    assert_eq!(traces.refused_requests.of(RefusalReason::Malformed), 2);
    assert_eq!(traces.refused_requests.of(RefusalReason::TooLarge), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_is_refused_is_tried_until_it_is_taken() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("a.json");
    let names: Vec<String> = (0..100).map(|number| format!("span {number}")).collect();
    names.iter().for_each(|name| append(&path, &line(&[name.as_str()])));
    let server = Server::default();
    server.answers.lock().expect("sound").extend((0..10).map(|_| Err(Status::unavailable("away"))));
    let (address, _task) = server.start().await;
    let exporter = format!(
        "otlp: {{endpoint: '{address}', compression: none, tls: {{insecure: true}}, sending_queue: {{enabled: false}}, \
         retry_on_failure: {{enabled: false}}}}"
    );
    let gateway = start_with(&config(folder.path(), &exporter)).await;
    until(&gateway, |ledger| ledger.receivers[0].accepted == 100).await;
    let ledger = gateway.finish().await.ledger;
    assert_eq!(ledger.receivers[0].refused.of(RefusalReason::Unavailable), 10);
    let taken = server.taken.lock().expect("sound");
    let mut arrived: Vec<String> = taken
        .iter()
        .flat_map(|request| &request.resource_spans[0].scope_spans[0].spans)
        .map(|span| span.name.clone())
        .collect();
    arrived.sort();
    let mut expected = names;
    expected.sort();
    assert_eq!(arrived, expected, "each once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_reading_goes_on_where_it_was() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("a.json");
    let storage = folder.path().join("storage");
    let config = config(folder.path(), "debug: {verbosity: normal}")
        .replace("start_at: beginning", "start_at: beginning, storage: file_storage")
        .replace(
            "exporters:\n  debug",
            &format!("extensions: {{file_storage: {{directory: '{}'}}}}\nexporters:\n  debug", storage.display()),
        )
        .replace("service:", "service:\n  extensions: [file_storage]");
    let mut accepted = Vec::new();
    for names in [["one", "two"], ["three", "four"], ["five", "six"]] {
        append(&path, &line(&names));
        let gateway = start_with(&config).await;
        until(&gateway, |ledger| ledger.receivers[0].accepted == 2).await;
        let printed = gateway.printed();
        assert!(names.iter().all(|name| printed.contains(name)), "{printed}");
        accepted.push(gateway.finish().await.ledger.receivers[0].accepted);
    }
    assert_eq!(accepted, [2, 2, 2], "each line once");
}
