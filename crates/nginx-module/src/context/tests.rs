use serde_json::Value;

use super::*;

const ALL: Propagators = Propagators { trace_context: true, b3: true, b3_multi: true, xray: true };
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn vectors(text: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(text).expect("the vectors are JSON");
    file["vectors"].as_array().expect("vectors is a list").clone()
}

fn collect<'a>(headers: &'a [(&'a str, &'a str)]) -> Incoming<'a> {
    Incoming::collect(headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

fn context(parent: Option<Parent>) -> Context {
    let ids = IdSource::new().expect("the system has randomness");
    Context::new(parent, &ids, Moment { time: UnixNanos(5_000_000_000), millis: 70, age_millis: 3 })
}

/// The headers that go on, as `name: value` lines; removed ones as `name:`.
fn sent_on(context: &Context, incoming: &Incoming<'_>, propagators: Propagators) -> Vec<String> {
    let mut lines = Vec::new();
    context.inject(incoming, propagators, |name, value| lines.push(format!("{name}: {value}").trim_end().to_owned()));
    lines
}

#[test]
fn traceparent_vectors() {
    for vector in vectors(include_str!("../../../../testdata/propagation/traceparent.json")) {
        let headers: Vec<_> = vector["headers"]
            .as_array()
            .expect("headers is a list")
            .iter()
            .map(|value| (TRACEPARENT, value.as_str().expect("a header is text")))
            .collect();
        let parent = collect(&headers).extract(Propagators::default());
        let actual = parent.map(|parent| {
            serde_json::json!({
                "traceId": parent.trace_id.map(|id| id.to_string()), "spanId": parent.span_id.to_string(),
                "sampled": parent.is_sampled, "random": parent.is_random,
            })
        });
        assert_eq!(actual.unwrap_or_default(), vector["expected"], "{}", vector["name"]);
    }
}

#[test]
fn tracestate_vectors() {
    // The vectors' own context, sampled.
    let traceparent = "00-000000000000000000ffffffffffffff-00f067aa0ba902b7-03";
    for vector in vectors(include_str!("../../../../testdata/propagation/tracestate.json")) {
        let values = vector["headers"].as_array().expect("headers is a list");
        let values = values.iter().map(|value| (TRACESTATE, value.as_str().expect("a header is text")));
        let headers: Vec<_> = [(TRACEPARENT, traceparent)].into_iter().chain(values).collect();
        let incoming = collect(&headers);
        let context = context(incoming.extract(Propagators::default()));
        let decision = context.decide(Share::Everything, false);
        // A header that breaks the rules is dropped, the trace goes on.
        assert_eq!(decision.state, vector["expected"].as_str().unwrap_or_default(), "{}", vector["name"]);
        let lines = sent_on(&context, &incoming, Propagators::default());
        assert!(lines.contains(&format!("tracestate: {}", decision.state).trim_end().to_owned()), "{lines:?}");
    }
}

#[test]
fn b3_vectors() {
    for vector in vectors(include_str!("../../../../testdata/propagation/b3.json")) {
        let headers = vector["headers"].as_object().expect("headers is an object");
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str().expect("a header is text"))).collect();
        let parent = collect(&headers).extract(ALL);
        let expected = &vector["expected"];
        assert_eq!(parent.is_some(), !expected.is_null(), "{}", vector["name"]);
        let Some(parent) = parent else { continue };
        assert_eq!(parent.trace_id.map(|id| id.to_string()).as_deref(), expected["traceId"].as_str());
        assert_eq!(
            parent.span_id.is_valid().then(|| parent.span_id.to_string()).as_deref(),
            expected["spanId"].as_str()
        );
        let sampled = match expected["sampling"].as_str() {
            Some("1" | "d") => Some(true),
            Some("0") => Some(false),
            _ => None,
        };
        assert_eq!(parent.is_sampled, sampled, "{}", vector["name"]);
    }
}

#[test]
fn xray_vectors() {
    for vector in vectors(include_str!("../../../../testdata/propagation/xray.json")) {
        let headers = [(xray::HEADER, vector["header"].as_str().expect("a header is text"))];
        let parent = collect(&headers).extract(ALL);
        let expected = &vector["expected"];
        assert_eq!(parent.is_some(), !expected.is_null(), "{}", vector["name"]);
        let Some(parent) = parent else { continue };
        assert_eq!(parent.trace_id.map(|id| id.to_string()).as_deref(), expected["traceId"].as_str());
        assert_eq!(parent.is_sampled, expected["sampled"].as_bool(), "{}", vector["name"]);
        assert_eq!(
            parent.span_id.is_valid().then(|| parent.span_id.to_string()).as_deref(),
            expected["parentId"].as_str()
        );
    }
}

#[test]
fn sampling_vectors() {
    let file: Value = serde_json::from_str(include_str!("../../../../testdata/propagation/sampling.json"))
        .expect("the vectors are JSON");
    let decisions = file["decisions"].as_array().expect("decisions is a list");
    assert!(!decisions.is_empty());
    for vector in decisions {
        let threshold = rootspan_model::sampling::Threshold::parse(vector["threshold"].as_str().expect("a threshold"))
            .expect("a valid threshold");
        let traceparent = format!("00-{}-{PARENT}-01", vector["traceId"].as_str().expect("a trace id"));
        let state = vector["randomValue"].as_str().map(|rv| format!("ot=rv:{rv}")).unwrap_or_default();
        let headers = [(TRACEPARENT, traceparent.as_str()), (TRACESTATE, state.as_str())];
        let context = context(collect(&headers).extract(Propagators::default()));
        let decision = context.decide(Share::Part(threshold), false);
        assert_eq!(Some(decision.is_sampled), vector["sampled"].as_bool(), "{vector}");
        assert_eq!(decision.state.contains("th:"), decision.is_sampled, "{vector}");
    }
}

#[test]
fn w3c_wins_whatever_else_came() {
    let b3 = format!("{}-{}-1", "1".repeat(32), "2".repeat(16));
    let traceparent = format!("00-{TRACE}-{PARENT}-00");
    let headers = [("b3", b3.as_str()), (TRACEPARENT, traceparent.as_str())];
    let parent = collect(&headers).extract(ALL).expect("two contexts");
    assert_eq!((parent.trace_id.map(|id| id.to_string()), parent.is_sampled), (Some(TRACE.to_owned()), Some(false)));
    // A malformed one does not count, so B3 does.
    let headers = [("b3", b3.as_str()), (TRACEPARENT, "00-x")];
    let parent = collect(&headers).extract(ALL).expect("one context");
    assert_eq!(parent.trace_id, TraceId::from_hex(&"1".repeat(32)));
}

#[test]
fn every_propagator_hands_the_same_context_on_and_stale_headers_go() {
    let xray = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0;Lineage=a:1";
    let headers = [
        ("b3", "0"),
        ("x-b3-parentspanid", "05e3ac9a4f6e3b90"),
        ("x-b3-flags", "1"),
        ("x-amzn-trace-id", xray),
        ("accept", "*/*"),
    ];
    let incoming = collect(&headers);
    let context = context(None);
    context.decide(Share::Everything, false);
    let (trace, span) = (context.trace_id.to_string(), context.span_id.to_string());
    let (time, unique) = trace.split_at(8);
    assert_eq!(
        sent_on(&context, &incoming, ALL),
        [
            "x-b3-parentspanid:".to_owned(),
            "x-b3-flags:".to_owned(),
            format!("traceparent: 00-{trace}-{span}-03"),
            format!("b3: {trace}-{span}-1"),
            format!("x-b3-traceid: {trace}"),
            format!("x-b3-spanid: {span}"),
            "x-b3-sampled: 1".to_owned(),
            format!("x-amzn-trace-id: Root=1-{time}-{unique};Parent={span};Sampled=1;Lineage=a:1"),
        ]
    );
    // With W3C alone B3 is dropped, and the load balancer's id stays as it is.
    assert_eq!(
        sent_on(&context, &incoming, Propagators::default()),
        ["b3:", "x-b3-parentspanid:", "x-b3-flags:", &format!("traceparent: 00-{trace}-{span}-03")]
    );
}

#[test]
fn what_is_decided_stays_decided() {
    let context = context(None);
    assert!(!context.decide(Share::Nothing, false).is_sampled);
    assert!(!context.decide(Share::Everything, false).is_sampled);
}

#[test]
fn the_senders_decision_is_followed_only_where_it_is_told() {
    let decide = |flags: &str, share, follows| {
        let header = format!("00-{TRACE}-{PARENT}-{flags}");
        let headers = [(TRACEPARENT, header.as_str()), (TRACESTATE, "ot=th:4;rv:80000000000000")];
        let context = context(collect(&headers).extract(Propagators::default()));
        let Decision { is_sampled, state } = context.decide(share, follows).clone();
        (is_sampled, state)
    };
    let (kept, forgotten) = ("ot=th:4;rv:80000000000000".to_owned(), "ot=rv:80000000000000".to_owned());
    assert_eq!(decide("01", Share::Nothing, true), (true, kept.clone()));
    assert_eq!(decide("00", Share::Everything, true), (false, forgotten.clone()));
    assert_eq!(decide("01", Share::Nothing, false), (false, forgotten.clone()));
    assert_eq!(decide("01", Share::Everything, false), (true, kept));
    assert_eq!(decide("00", Share::Everything, false), (true, forgotten));
}

#[test]
fn the_start_lies_before_the_context_by_the_requests_age() {
    let context = context(None);
    assert_eq!((context.started, context.made), (UnixNanos(4_997_000_000), UnixNanos(5_000_000_000)));
}

#[test]
fn a_try_within_one_turn_of_the_event_loop_is_as_long_as_the_request() {
    let context = made_at(5_000);
    let ended = UnixNanos(context.made.0 + 400_000);
    assert_eq!(context.last_try([5_000, 5_000], 0, ended), (context.made, ended));
}

#[test]
fn a_try_ends_before_its_request_by_nginxs_clock() {
    let context = made_at(5_000);
    let (start, end) = context.last_try([5_006, 5_020], 10, later(context.made, 30));
    assert_eq!((start, end), (later(context.made, 6), later(context.made, 26)));
}

#[test]
fn rounded_milliseconds_do_not_lead_out_of_the_request() {
    let context = made_at(5_000);
    let ended = UnixNanos(context.made.0 + 300_000);
    // nginx's clock turned to the next millisecond meanwhile.
    assert_eq!(context.last_try([5_001, 5_001], 0, ended), (ended, ended));
}

fn made_at(millis: u64) -> Context {
    let ids = IdSource::new().expect("the system has randomness");
    Context::new(None, &ids, Moment { time: UnixNanos(1_000_000_000_000_000_000), millis, age_millis: 0 })
}
