//! The cases with every way to attach functions: CloudFront Functions that log their ids by `console.log`, Lambda@Edge on
//! viewer events, on origin events beside a viewer-request function, and alone; spans of Lambda@Edge as log lines and by
//! OTLP. For each way: what the edge sent, what the log said, which spans exist, promptly and once, then twice, shuffled
//! and an hour late.

use std::time::Duration;

use rootspan_edge::build;
use rootspan_edge::emulator::{Delivery, Destination, Function, Functions, LedgerEntry, LogForm, Mishaps, V2Format};
use rootspan_edge::settings::Settings;
use serde_json::Value;

use super::cases::{CASES, Case, Origin, Sending};
use super::stage::{Seen, Stage};
use super::{attribute, records};
use crate::api;
use crate::process::{ACCESS_KEY, Setup, Site};

/// Which functions are attached, and where their data goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Attached {
    /// CloudFront Functions that log their ids into the access log.
    CustomData,
    /// CloudFront Functions that log their ids by `console.log`.
    Console,
    /// Lambda@Edge functions on viewer events.
    Viewer,
    /// The first, and Lambda@Edge functions on origin events with these settings.
    Beside(String),
    /// Only those.
    Alone(String),
}

/// A viewer-request function of a customer's own that calls ours; `LOG` is how it logs what that says.
const VIEWER_REQUEST: &str = "
function handler(event) {
    var text = rootspan(event);
    LOG(text);
    switch (event.request.uri) {
        case '/generated': return {statusCode: 403, statusDescription: 'Forbidden', body: 'no'};
        case '/moved': return {statusCode: 302, headers: {location: {value: '/new'}}};
        case '/throws': throw new Error('broken');
        case '/invalid': event.request.headers['x-edge-mine'] = {value: '1'};
    }
    return event.request;
}
";

const VIEWER_RESPONSE: &str = "
import cf from 'cloudfront';
function handler(event) { cf.logCustomData('ran'); return event.response; }
";

/// The same for Lambda@Edge.
const LAMBDA_VIEWER_REQUEST: &str = "
export const handler = async (event) => {
    console.log(viewerRequest(event));
    const request = event.Records[0].cf.request;
    switch (request.uri) {
        case '/generated': return {status: '403', statusDescription: 'Forbidden', body: 'no'};
        case '/moved': return {status: '302', headers: {location: [{key: 'Location', value: '/new'}]}};
        case '/throws': throw new Error('broken');
        case '/invalid': request.headers['x-edge-mine'] = [{key: 'X-Edge-Mine', value: '1'}];
    }
    return request;
};
";

/// The code of a file that `rootspan edge build` writes.
fn built(settings: &str, file: &str) -> String {
    let settings = Settings::parse(settings).expect("valid settings");
    let functions = build::all(&settings).expect("within the limits");
    let function = functions.into_iter().find(|function| function.file_name == file);
    function.unwrap_or_else(|| panic!("{file} is built")).code
}

impl Attached {
    pub(super) fn functions(&self) -> Functions {
        let cloudfront = |log: &str| {
            let code = VIEWER_REQUEST.replace("LOG", log);
            Functions {
                viewer_response: Some(Function::cloudfront("viewer-response", VIEWER_RESPONSE)),
                ..Functions::viewer_request(format!(
                    "import cf from 'cloudfront';\n{}{code}",
                    built("", "viewer-request.module.js")
                ))
            }
        };
        let origin = |settings: &str, functions: Functions| {
            let lambda = |name: &str| Some(Function::lambda(name, built(settings, &format!("{name}.mjs"))));
            Functions {
                origin_request: lambda("origin-request"),
                origin_response: lambda("origin-response"),
                ..functions
            }
        };
        match self {
            Self::CustomData => cloudfront("cf.logCustomData"),
            Self::Console => cloudfront("console.log"),
            Self::Viewer => {
                let code = format!("{}{LAMBDA_VIEWER_REQUEST}", built("", "lambda-edge.module.mjs"));
                Functions { viewer_request: Some(Function::lambda("viewer-request", code)), ..Functions::default() }
            }
            Self::Beside(settings) => origin(settings, cloudfront("cf.logCustomData")),
            Self::Alone(settings) => origin(settings, Functions::default()),
        }
    }

    /// Whether the functions' own log is delivered: spans that are sent are not in it.
    fn logs_by_itself(&self) -> bool {
        match self {
            Self::CustomData => false,
            Self::Console | Self::Viewer => true,
            Self::Beside(settings) | Self::Alone(settings) => settings.is_empty(),
        }
    }
}

/// In how many ways spans of Lambda@Edge come.
#[derive(Clone, Copy)]
enum Mode {
    Logged,
    Exported,
}

type Way = (&'static str, fn(&str) -> Attached, Mode);

/// An endpoint's settings make an export; a log line needs none.
const WAYS: [Way; 6] = [
    ("ids by console.log", |_| Attached::Console, Mode::Logged),
    ("Lambda@Edge on viewer events", |_| Attached::Viewer, Mode::Logged),
    ("Lambda@Edge beside, logging", |_| Attached::Beside(String::new()), Mode::Logged),
    ("Lambda@Edge beside, exporting", |settings| Attached::Beside(settings.to_owned()), Mode::Exported),
    ("Lambda@Edge alone, logging", |_| Attached::Alone(String::new()), Mode::Logged),
    ("Lambda@Edge alone, exporting", |settings| Attached::Alone(settings.to_owned()), Mode::Exported),
];

#[test]
fn every_case_with_all_functions_delivered_once() {
    for way in &WAYS {
        check(way, Mishaps::default(), Duration::ZERO);
    }
}

#[test]
fn every_case_with_all_functions_delivered_twice_and_an_hour_late() {
    for way in &WAYS {
        check(way, Mishaps { repeats: 1, shuffle: true, ..Mishaps::default() }, Duration::from_secs(3600));
    }
}

fn check((name, attached, mode): &Way, mishaps: Mishaps, behind: Duration) {
    // With it a record waits for what the function logged of it.
    let site = Site::new(Setup { cloudfront: true, cloudfront_keys: ", edge: {ids_via: both}", ..Setup::default() });
    let gateway = site.start();
    // The budget is for busy machines: what is not there in time would be logged instead.
    let settings = match mode {
        Mode::Logged => String::new(),
        Mode::Exported => {
            let endpoint = format!("http://{}/v1/traces", gateway.address("otlp", "http"));
            format!("export: {{endpoint: \"{endpoint}\", token: write-only-token, budget: 2000ms}}")
        }
    };
    let attached = attached(&settings);
    let endpoint = format!("http://{}/", gateway.address("cloudfront", "http"));
    let destination = Destination::Firehose { endpoint, access_key: ACCESS_KEY.to_owned() };
    let mut deliveries = Vec::new();
    if !matches!(attached, Attached::Alone(_)) {
        deliveries
            .push(Delivery { mishaps, ..Delivery::new(LogForm::standard_v2(V2Format::Json), destination.clone()) });
    }
    if attached.logs_by_itself() {
        deliveries.push(Delivery { mishaps, ..Delivery::new(LogForm::Functions, destination) });
    }
    let folder = site.path("logs");
    let mut stage = Stage::with(attached.functions(), deliveries, &folder, behind);
    for case in &CASES {
        stage.visit(case);
    }
    let (ledger, origin) = stage.stop();
    let log = records(&folder);
    for case in &CASES {
        let place = format!("{name}, {}", case.name);
        let entry = ledger.iter().rev().find(|entry| entry.path == case.path);
        let entry = entry.unwrap_or_else(|| panic!("{place}: it is not in the ledger"));
        let spans = api::trace(gateway.ui(), &entry.trace_id.to_string()).unwrap_or_default();
        let spans: Vec<_> = spans.iter().map(|span| span["span"].clone()).collect();
        check_log(&attached, case, log.get(&entry.request_id), &place);
        match attached {
            Attached::Alone(_) => check_alone(case, entry, &spans, &place),
            _ => check_viewer(&attached, case, entry, &spans, &place),
        }
        check_origin(&attached, case, entry, &spans, &origin, &place);
    }
    gateway.stop();
}

/// Whether viewer-request ran; alone there is none.
fn viewer_request_ran(attached: &Attached, case: &Case) -> bool {
    case.viewer_request && !matches!(attached, Attached::Alone(_))
}

/// Whether this very request had an answer of an origin, with functions around it.
fn has_origin_response(case: &Case) -> bool {
    matches!(case.origin, Origin::Asked | Origin::AskedAgain) && case.send != Sending::LeavesBefore
}

/// Alone, nothing stops what only a viewer-request function stops: the origin is asked and answers.
fn is_stopped_by_function(case: &Case) -> bool {
    matches!(case.path, "/generated" | "/moved" | "/throws" | "/invalid")
}

/// What the log said: the kinds of functions have their own names in it.
fn check_log(attached: &Attached, case: &Case, record: Option<&Value>, place: &str) {
    let Some(log) = &case.log else {
        assert!(record.is_none(), "{place}: CloudFront does not log this, but {record:?}");
        return;
    };
    let record = record.unwrap_or_else(|| panic!("{place}: there is no record"));
    if matches!(attached, Attached::Alone(_)) && is_stopped_by_function(case) {
        assert_eq!(record["x-edge-result-type"], "Miss", "{place}: nothing stops it");
        return;
    }
    let named = |name: &str| match attached {
        Attached::Viewer if name.starts_with("Function") => name.replacen("Function", "Lambda", 1),
        _ => name.to_owned(),
    };
    let said = ["sc-status", "x-edge-result-type", "x-edge-response-result-type", "x-edge-detailed-result-type"];
    let said = said.map(|field| record[field].as_str().unwrap_or_default().to_owned());
    let expected = [log.status.to_owned(), named(log.result), named(log.response_result), named(log.detailed)];
    assert_eq!(said, expected, "{place}: status and result types");
    let has_data = record["viewer-request-log-data"].as_str().is_some_and(|data| data.starts_with("rs1;"));
    let logs_data = matches!(attached, Attached::CustomData | Attached::Beside(_));
    assert_eq!(has_data, case.viewer_request && logs_data, "{place}: data in the access log");
}

/// The viewer's span, and below it one for each answer of an origin if there are functions around it.
fn check_viewer(attached: &Attached, case: &Case, entry: &LedgerEntry, spans: &[Value], place: &str) {
    let Some(log) = &case.log else {
        assert!(spans.is_empty(), "{place}: no record, no span");
        return;
    };
    let servers: Vec<_> = spans.iter().filter(|span| span["kind"] == 2).collect();
    assert_eq!(servers.len(), 1, "{place}: one viewer span: {spans:?}");
    let server = servers[0];
    assert_eq!(server["spanId"], entry.span_id.to_string(), "{place}");
    assert_eq!(server.get("parentSpanId"), None, "{place}: the root");
    assert_eq!(server["status"]["code"] == 2, log.is_error, "{place}: the span's status");
    // Whichever came first, what the function said beats what was derived.
    let context = if case.viewer_request { "function" } else { "derived" };
    assert_eq!(attribute(server, "aws.cloudfront.context"), context, "{place}: where the ids come from");
    let has_calls = matches!(attached, Attached::Beside(_)) && has_origin_response(case);
    let calls: Vec<_> = spans.iter().filter(|span| span["kind"] == 3).collect();
    assert_eq!(calls.len(), usize::from(has_calls), "{place}: calls of the origin: {spans:?}");
    for call in calls {
        assert_eq!(call["parentSpanId"], entry.span_id.to_string(), "{place}: below the viewer's span");
        assert_eq!(attribute(call, "aws.cloudfront.request_id"), entry.request_id, "{place}");
    }
    assert_eq!(spans.len(), 1 + usize::from(has_calls), "{place}: {spans:?}");
}

/// The root, from the request to the origin to its answer; without an answer there is no trace.
fn check_alone(case: &Case, entry: &LedgerEntry, spans: &[Value], place: &str) {
    let is_there = has_origin_response(case) || is_stopped_by_function(case);
    assert_eq!(spans.len(), usize::from(is_there), "{place}: {spans:?}");
    for span in spans {
        assert_eq!((&span["kind"], span.get("parentSpanId")), (&Value::from(2), None), "{place}: the root");
        assert_eq!(span["spanId"], entry.span_id.to_string(), "{place}");
        assert_eq!(attribute(span, "aws.cloudfront.request_id"), entry.request_id, "{place}");
        let is_error = attribute(span, "http.response.status_code").starts_with('5');
        assert_eq!(span["status"]["code"] == 2, is_error, "{place}: as the origin answered");
    }
}

/// What the edge sent to the origin: its parent is the call of the origin if there is a span of that, else the viewer's.
fn check_origin(attached: &Attached, case: &Case, entry: &LedgerEntry, spans: &[Value], seen: &[Seen], place: &str) {
    let sent = seen.iter().rev().find(|seen| seen.path == case.path);
    let has_ids = match attached {
        Attached::Alone(_) => matches!(case.origin, Origin::Asked | Origin::AskedAgain) || is_stopped_by_function(case),
        _ => viewer_request_ran(attached, case) && matches!(case.origin, Origin::Asked | Origin::AskedAgain),
    };
    if !has_ids {
        return;
    }
    let sent = sent.unwrap_or_else(|| panic!("{place}: the origin was not asked"));
    let call = spans.iter().find(|span| span["kind"] == 3);
    let parent = match (attached, call) {
        (_, Some(call)) => api::text(&call["spanId"]).to_owned(),
        // The call had no answer, so there is no span of it.
        (Attached::Beside(_), None) => {
            assert!(sent.traceparent.starts_with(&format!("00-{}-", entry.trace_id)), "{place}: {}", sent.traceparent);
            return;
        }
        (_, None) => entry.span_id.to_string(),
    };
    assert_eq!(sent.traceparent, format!("00-{}-{parent}-03", entry.trace_id), "{place}: the origin's parent");
    let leaks = sent.headers.iter().any(|(name, _)| name == "x-rootspan-origin");
    assert_eq!(leaks, matches!(attached, Attached::Beside(_) | Attached::Alone(_)), "{place}: the documented header");
}
