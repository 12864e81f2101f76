//! When which edge function runs, what the origin is asked, what the log says and which spans exist: each case goes from
//! a viewer through the emulated CloudFront and the real receiver into the real store, in every form in which logs are
//! delivered, promptly and once, then twice, shuffled and an hour late. [`functions`] has the same with the other ways to
//! attach functions: ids by `console.log`, Lambda@Edge.
//!
//! All of it takes about 15 seconds on two cores. A new case is a line of [`cases::CASES`], a new form of delivery a line of
//! [`FORMS`].

#[cfg(feature = "aws")]
mod buckets;
mod cases;
mod files;
mod functions;
pub(crate) mod stage;

use std::collections::HashMap;
use std::time::Duration;

use rootspan_edge::emulator::{Delivery, Destination, LedgerEntry, LogForm, Mishaps, Packing, V2Format};
use serde_json::Value;

use crate::api;
use crate::process::{ACCESS_KEY, Process, Setup, Site};
use cases::{CASES, Case, Origin};
use stage::Stage;

/// A way in which logs come to the receiver.
struct Form {
    name: &'static str,
    log: fn() -> LogForm,
    packing: Packing,
    /// Whether the receiver must be told the fields.
    is_nameless: bool,
    way: Way,
}

/// How logs get there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Firehose,
    /// As files, compressed, in a folder that the receiver looks at.
    Folder,
    /// All of them one behind the other on standard input.
    Stdin,
}

const FORMS: [Form; 12] = [
    Form {
        name: "standard v2 JSON by Firehose",
        log: || LogForm::standard_v2(V2Format::Json),
        packing: Packing::Lines,
        is_nameless: false,
        way: Way::Firehose,
    },
    Form {
        name: "standard v2 JSON as CloudWatch envelopes by Firehose",
        log: || LogForm::standard_v2(V2Format::Json),
        packing: Packing::Envelopes { joined: false },
        is_nameless: false,
        way: Way::Firehose,
    },
    Form {
        name: "standard v2 JSON as joined CloudWatch envelopes by Firehose",
        log: || LogForm::standard_v2(V2Format::Json),
        packing: Packing::Envelopes { joined: true },
        is_nameless: false,
        way: Way::Firehose,
    },
    Form {
        name: "standard v2 plain by Firehose",
        log: || LogForm::standard_v2(V2Format::Plain),
        packing: Packing::Lines,
        is_nameless: true,
        way: Way::Firehose,
    },
    Form {
        name: "standard v2 plain as CloudWatch envelopes by Firehose",
        log: || LogForm::standard_v2(V2Format::Plain),
        packing: Packing::Envelopes { joined: true },
        is_nameless: true,
        way: Way::Firehose,
    },
    Form {
        name: "real-time lines by Firehose",
        log: LogForm::real_time,
        packing: Packing::Lines,
        is_nameless: true,
        way: Way::Firehose,
    },
    files::form("standard v1 in files", || LogForm::StandardV1, false, Way::Folder),
    files::form("standard v2 JSON in files", || LogForm::standard_v2(V2Format::Json), false, Way::Folder),
    files::form("standard v2 W3C in files", || LogForm::standard_v2(V2Format::W3c), false, Way::Folder),
    files::form("real-time lines in files", LogForm::real_time, true, Way::Folder),
    files::form("standard v1 on standard input", || LogForm::StandardV1, false, Way::Stdin),
    files::form("standard v2 JSON on standard input", || LogForm::standard_v2(V2Format::Json), false, Way::Stdin),
];

#[test]
fn every_case_in_every_form_delivered_once() {
    for form in &FORMS {
        check(form, Mishaps::default(), Duration::ZERO);
    }
}

#[test]
fn every_case_in_every_form_delivered_twice_and_an_hour_late() {
    for form in &FORMS {
        check(form, Mishaps { repeats: 1, shuffle: true, ..Mishaps::default() }, Duration::from_secs(3600));
    }
}

fn check(form: &Form, mishaps: Mishaps, behind: Duration) {
    let keys = if form.is_nameless {
        let fields: Vec<_> = (form.log)().fields().iter().map(|field| format!("\"{field}\"")).collect();
        // The keys of a test's configuration live as long as the tests.
        &*Box::leak(format!(", real_time_fields: [{}]", fields.join(", ")).into_boxed_str())
    } else {
        ""
    };
    let site = Site::new(Setup { cloudfront: true, cloudfront_keys: keys, ..Setup::default() });
    let delivered = site.path("delivered");
    files::configure(&site, form.way, &delivered);
    let mut gateway = (form.way != Way::Stdin).then(|| site.start());
    let destination = match (form.way, &gateway) {
        (Way::Firehose, Some(gateway)) => {
            let endpoint = format!("http://{}/", gateway.address("cloudfront", "http"));
            Destination::Firehose { endpoint, access_key: ACCESS_KEY.to_owned() }
        }
        _ => Destination::Folder(delivered.clone()),
    };
    let delivery = Delivery { packing: form.packing, mishaps, ..Delivery::new((form.log)(), destination) };
    let folder = site.path("logs");
    let mut stage = Stage::start(delivery, &folder, behind);
    for case in &CASES {
        stage.visit(case);
    }
    let (ledger, origin) = stage.stop();
    let gateway = gateway.take().unwrap_or_else(|| files::start_reading(&site, &delivered));
    if form.way != Way::Firehose {
        files::wait_until_read(&gateway, &delivered);
    }
    judge(form.name, &(form.log)(), &gateway, &ledger, &origin, &folder);
    gateway.stop();
}

/// Whether all cases came to what they should.
fn judge(
    form: &str,
    log_form: &LogForm,
    gateway: &Process,
    ledger: &[LedgerEntry],
    origin: &[stage::Seen],
    folder: &std::path::Path,
) {
    let log = records(folder);
    for case in &CASES {
        let place = format!("{form}, {}", case.name);
        // What is asked twice is judged by the second request.
        let entry = ledger.iter().rev().find(|entry| entry.path == case.path);
        let entry = entry.unwrap_or_else(|| panic!("{place}: it is not in the ledger"));
        check_origin(case, entry, origin, &place);
        check_log(case, log.get(&entry.request_id), &place);
        check_spans(case, entry, log_form, gateway, &place);
    }
}

/// What the edge sent to the origin.
fn check_origin(case: &Case, entry: &LedgerEntry, origin: &[stage::Seen], place: &str) {
    let seen: Vec<_> = origin.iter().filter(|seen| seen.path == case.path).collect();
    let (times, has_ids) = match case.origin {
        Origin::NotAsked => (0, false),
        Origin::AskedBefore => (1, false),
        Origin::Asked => (1, true),
        Origin::AskedAgain => (2, true),
    };
    assert_eq!(seen.len(), times, "{place}: requests to the origin");
    if has_ids {
        let expected = format!("00-{}-{}-03", entry.trace_id, entry.span_id);
        assert_eq!(seen[times - 1].traceparent, expected, "{place}: the origin's parent is the viewer's span");
    }
}

/// What the log said.
fn check_log(case: &Case, record: Option<&Value>, place: &str) {
    let Some(log) = &case.log else {
        assert!(record.is_none(), "{place}: CloudFront does not log this, but {record:?}");
        return;
    };
    let record = record.unwrap_or_else(|| panic!("{place}: there is no record"));
    let field = |name: &str| record[name].as_str().unwrap_or_default();
    let said = [
        field("sc-status"),
        field("x-edge-result-type"),
        field("x-edge-response-result-type"),
        field("x-edge-detailed-result-type"),
    ];
    assert_eq!(said, [log.status, log.result, log.response_result, log.detailed], "{place}: status and result types");
    assert_eq!(field("viewer-request-log-data").starts_with("rs1;"), case.viewer_request, "{place}: viewer-request");
    assert_eq!(field("viewer-response-log-data") == "ran", case.viewer_response, "{place}: viewer-response");
}

/// Which spans exist: exactly one for each record, however often and late that came.
fn check_spans(case: &Case, entry: &LedgerEntry, log_form: &LogForm, gateway: &Process, place: &str) {
    let spans = api::trace(gateway.ui(), &entry.trace_id.to_string());
    let Some(log) = &case.log else {
        assert_eq!(spans, None, "{place}: no record, no span");
        return;
    };
    let spans = spans.unwrap_or_else(|| panic!("{place}: there is no trace"));
    assert_eq!(spans.len(), 1, "{place}: one span");
    let span = &spans[0]["span"];
    assert_eq!(span["spanId"], entry.span_id.to_string(), "{place}: the span that the origin was told of");
    assert_eq!(span["kind"], 2, "{place}: SERVER");
    assert_eq!(span.get("parentSpanId"), None, "{place}: the root");
    assert_eq!(span["status"]["code"] == 2, log.is_error, "{place}: the span's status");
    let fields = log_form.fields();
    let has_field = |name: &str| fields.iter().any(|field| field == name);
    let context = if case.viewer_request && has_field("viewer-request-log-data") { "function" } else { "derived" };
    assert_eq!(attribute(span, "aws.cloudfront.context"), context, "{place}: where the ids come from");
    let status = if log.status == "000" { "" } else { log.status };
    assert_eq!(attribute(span, "http.response.status_code"), status, "{place}: the status");
    assert_eq!(attribute(span, "aws.cloudfront.request_id"), entry.request_id, "{place}: the request");
    assert_eq!(attribute(span, "url.path"), case.path, "{place}: the path without the query");
    let nanos: u64 = api::text(&span["startTimeUnixNano"]).parse().expect("a number");
    let distance = (nanos / 1_000_000).abs_diff(entry.start_unix_millis);
    // Standard logs of version 1 have whole seconds.
    let precise = has_field("timestamp(ms)") || has_field("timestamp");
    assert!(distance <= if precise { 2 } else { 1002 }, "{place}: the start, {distance} ms off");
}

/// The value of an attribute as text; empty if there is none.
pub(crate) fn attribute(span: &Value, key: &str) -> String {
    let attributes = span["attributes"].as_array().map_or(&[][..], Vec::as_slice);
    let value = attributes.iter().find(|attribute| attribute["key"] == key).map(|attribute| &attribute["value"]);
    match value.and_then(Value::as_object).and_then(|value| value.values().next()) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

/// The records in log files, by request id.
fn records(folder: &std::path::Path) -> HashMap<String, Value> {
    let mut found = HashMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the folder is there") {
            let path = entry.expect("it can be listed").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("log files are text");
            for line in text.lines() {
                let record: Value = serde_json::from_str(line).expect("records are JSON");
                found.insert(api::text(&record["x-edge-request-id"]).to_owned(), record);
            }
        }
    }
    found
}
