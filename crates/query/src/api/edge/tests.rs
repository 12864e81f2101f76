//! The answer over HTTP, from what the store was given.

use expect_test::expect_file;
use rootspan_store::coverage::Arrival;
use rootspan_wire::cloudfront::observation::{Fate, Observation, Observations};
use serde_json::{Value, json};

use super::*;
use crate::testing::{START, get, ingest, request as spans, serve, store};

const MINUTE: u64 = 60_000_000_000;
/// The minute in which [`START`] lies.
const FULL_MINUTE: u64 = START.0 / MINUTE * MINUTE;

fn record(request: u64, fate: Fate) -> Observation<'static> {
    Observation {
        fate,
        status: StatusClass::Success,
        distribution: "d1.cloudfront.net",
        behaviour: "/api/*",
        result_type: "Miss",
        end: Some(UnixNanos(START.0 + 30 * MINUTE)),
        taken_nanos: Some(250_000_000),
        bytes: 100,
        request: Some(request),
        sent_to_origin: None,
    }
}

async fn observe(store: &Store, records: &[Observation<'_>]) {
    let mut observations = Observations::default();
    records.iter().for_each(|record| observations.push(record));
    let (done, result) = tokio::sync::oneshot::channel();
    store.observe(observations, Arrival::Delivered, Box::new(move |result| drop(done.send(result))));
    result.await.expect("done is always called").expect("the store takes it");
}

async fn ask(server: &crate::server::Running, parameters: &str) -> Value {
    let answer = get(server, &format!("/api/v1/edge/coverage{parameters}")).await;
    assert_eq!(answer.status, http::StatusCode::OK, "{parameters}: {:?}", answer.body);
    let typed: EdgeCoverageAnswer = serde_json::from_slice(&answer.body).expect("what the client reads");
    assert_eq!(serde_json::to_value(&typed).expect("JSON"), answer.json(), "nothing is lost on the way");
    answer.json()
}

#[test]
fn steps_are_whole_and_at_most_240() {
    let range = |start, end| Range::covering(UnixNanos(start), UnixNanos(end));
    let hour = 60 * MINUTE;
    for (start, end, expected) in [
        (0, 0, (0, MINUTE, MINUTE)),
        (5, 5, (0, MINUTE, MINUTE)),
        (MINUTE, 2 * MINUTE, (MINUTE, 2 * MINUTE, MINUTE)),
        (MINUTE - 1, 2 * MINUTE + 1, (0, 3 * MINUTE, MINUTE)),
        (0, 239 * MINUTE, (0, 239 * MINUTE, MINUTE)),
        (0, 4 * hour, (0, 4 * hour, 5 * MINUTE)),
        (1, 24 * hour + 1, (0, 24 * hour + 15 * MINUTE, 15 * MINUTE)),
        (0, 72 * hour, (0, 72 * hour, hour)),
    ] {
        assert_eq!(range(start, end), Range { start: expected.0, end: expected.1, step: expected.2 }, "{start}..{end}");
    }
    let all = range(0, u64::MAX);
    assert!(all.step % (24 * hour) == 0 && (all.end - all.start) / all.step <= 240, "{all:?}");
}

#[tokio::test]
async fn counts_add_up_by_step_behaviour_and_distribution() {
    let store = store();
    let server = serve(&store, None);
    let empty = ask(&server, "").await;
    assert_eq!(
        (&empty["totals"]["records"], &empty["distributions"], &empty["findings"]),
        (&json!(0), &json!([]), &json!([]))
    );
    assert_eq!(empty["totals"]["delayP50Nanos"], Value::Null);
    let at = |record: Observation<'static>, minutes: u64| Observation {
        end: Some(UnixNanos(START.0 + minutes * MINUTE)),
        ..record
    };
    observe(
        &store,
        &[
            record(1, Fate::Sampled),
            at(record(2, Fate::SampledOut), 31),
            Observation { behaviour: "*", status: StatusClass::None, result_type: "Error", ..record(3, Fate::Kept) },
            Observation { distribution: "d2", result_type: "Hit", ..at(record(4, Fate::Thinned), 31) },
            record(1, Fate::Sampled),
        ],
    )
    .await;
    let answer = ask(&server, "").await;
    assert_eq!(answer["stepNanos"], json!(MINUTE));
    assert_eq!(answer["startTimeUnixNano"], json!(FULL_MINUTE.to_string()), "the last hour by the store's clock");
    let totals = &answer["totals"];
    assert_eq!(
        *totals,
        json!({
            "records": 4, "redelivered": 1, "resultTypes": {"Error": 1, "Hit": 1, "Miss": 2},
            "statusClasses": {"000": 1, "2xx": 3, "3xx": 0, "4xx": 0, "5xx": 0},
            "sampled": 1, "sampledOut": 1, "kept": 1, "thinned": 1, "derived": 0, "unplaced": 0, "spans": 2, "secondary": 0,
            "delayP50Nanos": totals["delayP50Nanos"], "delayP99Nanos": totals["delayP99Nanos"],
            "durationP50Nanos": totals["durationP50Nanos"], "durationP99Nanos": totals["durationP99Nanos"],
            "bytes": 400, "missesExpected": 0, "missesWithoutBackend": 0,
        })
    );
    let delay = totals["delayP50Nanos"].as_u64().expect("delivered");
    assert!(delay.abs_diff(29 * MINUTE) < MINUTE, "{delay}");
    let names: Vec<&Value> =
        answer["distributions"].as_array().expect("a list").iter().map(|d| &d["distribution"]).collect();
    assert_eq!(names, ["d1.cloudfront.net", "d2"]);
    let behaviours = &answer["distributions"][0]["behaviours"];
    assert_eq!((&behaviours[0]["behaviour"], &behaviours[1]["behaviour"]), (&json!("/api/*"), &json!("*")));
    let steps = behaviours[0]["steps"].as_array().expect("a list");
    let step = |minutes: u64| json!((FULL_MINUTE + minutes * MINUTE).to_string());
    assert_eq!((&steps[0]["startTimeUnixNano"], &steps[1]["startTimeUnixNano"]), (&step(30), &step(31)));
    assert_eq!((&steps[0]["sampled"], &steps[1]["sampledOut"]), (&json!(1), &json!(1)));
    let filtered = ask(&server, "?distribution=d1.cloudfront.net&behaviour=*").await;
    assert_eq!((&filtered["totals"]["records"], &filtered["totals"]["kept"]), (&json!(1), &json!(1)));
    assert!(server.is_encrypted() || filtered["partial"].is_null());
}

#[tokio::test]
async fn what_wants_attention_is_found_and_says_what_to_check() {
    let store = store();
    let server = serve(&store, None);
    let trace_id = rootspan_model::ids::TraceId::new([7; 16]);
    let viewer = Some((trace_id, crate::testing::span_id(1)));
    ingest(&store, spans(trace_id, &["GET /api/*"])).await;
    let old = Some(UnixNanos(START.0 - 30 * MINUTE));
    observe(
        &store,
        &[
            Observation { sent_to_origin: viewer, ..record(1, Fate::Sampled) },
            Observation { behaviour: "/derived/*", ..record(2, Fate::Derived) },
            // A function that is attached does not see redirects and blocked requests.
            Observation { behaviour: "/redirected/*", result_type: "Redirect", ..record(5, Fate::Derived) },
            Observation { behaviour: "/blocked/*", result_type: "Error", ..record(6, Fate::Derived) },
            Observation { behaviour: "/continued/*", ..record(3, Fate::Unplaced) },
            Observation { behaviour: "/late/*", end: old, ..record(4, Fate::Sampled) },
        ],
    )
    .await;
    let patient = ask(&server, &format!("?start={}", START.0 - 60 * MINUTE)).await;
    let kinds = |answer: &Value| -> Vec<(String, String)> {
        let findings = answer["findings"].as_array().expect("a list");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        findings.iter().map(|finding| (text(&finding["kind"]), text(&finding["behaviour"]))).collect()
    };
    let found = |kind: &str, behaviour: &str| (kind.to_owned(), behaviour.to_owned());
    let rest = [found("unplaced", "/continued/*"), found("derived_ids", "/derived/*"), found("late", "/late/*")];
    assert_eq!(kinds(&patient), rest, "the record has just arrived");
    let answer = ask(&server, &format!("?start={}&wait=0", START.0 - 60 * MINUTE)).await;
    assert_eq!(kinds(&answer)[0], found("misses_without_backend", "/api/*"));
    assert_eq!(kinds(&answer)[1..], rest);
    let finding = &answer["findings"][0];
    assert_eq!(
        (&finding["count"], &finding["of"], &finding["traces"]),
        (&json!(1), &json!(1), &json!([trace_id.to_string()]))
    );
    let check = finding["check"].as_str().expect("a sentence");
    assert!(check.contains("origin request policy") && check.contains("within 0 seconds"), "{check}");
    // The back end's span arrives.
    ingest(&store, spans(trace_id, &["GET /api/*", "GET /items"])).await;
    let answer = ask(&server, "?wait=0").await;
    assert_eq!(
        (&answer["totals"]["missesExpected"], &answer["totals"]["missesWithoutBackend"]),
        (&json!(1), &json!(0))
    );
}

#[tokio::test]
async fn only_secondary_records_are_a_finding_of_everything() {
    let store = store();
    let server = serve(&store, None);
    observe(&store, &[Observation { distribution: "", behaviour: "", ..record(1, Fate::Secondary) }]).await;
    let answer = ask(&server, "").await;
    assert_eq!((&answer["findings"][0]["kind"], &answer["totals"]["secondary"]), (&json!("all_secondary"), &json!(1)));
    observe(&store, &[record(2, Fate::Sampled)]).await;
    assert_eq!(ask(&server, "").await["findings"], json!([]));
}

#[tokio::test]
async fn mistakes_are_named() {
    let server = serve(&store(), None);
    for (query, part) in [
        ("from=1", "there is no parameter \"from\""),
        ("start=20&end=10", "start is later than end"),
        ("wait=10m", "wait=\"10m\" is not a number of seconds"),
        ("wait=-1", "wait=\"-1\""),
        ("start=now", "is not a point in time"),
    ] {
        let answer = get(&server, &format!("/api/v1/edge/coverage?{query}")).await;
        assert_eq!(answer.status, http::StatusCode::BAD_REQUEST, "{query}");
        assert!(answer.error().contains(part), "{}", answer.error());
    }
}

/// The answer by which the tests of the page hold their made-up one (`web/src/lib/coverage.test.ts`).
#[tokio::test]
async fn the_answer_that_the_page_is_tested_with() {
    let store = store();
    let server = serve(&store, None);
    let trace_id = rootspan_model::ids::TraceId::new([7; 16]);
    ingest(&store, spans(trace_id, &["GET /api/*"])).await;
    let viewer = Some((trace_id, crate::testing::span_id(1)));
    observe(
        &store,
        &[
            Observation { sent_to_origin: viewer, ..record(1, Fate::Sampled) },
            Observation {
                behaviour: "*",
                result_type: "Hit",
                status: StatusClass::Redirection,
                ..record(2, Fate::Derived)
            },
            Observation { distribution: "d2", status: StatusClass::ServerError, ..record(3, Fate::Unplaced) },
            Observation { end: Some(UnixNanos(START.0 - 30 * MINUTE)), ..record(4, Fate::SampledOut) },
        ],
    )
    .await;
    let answer = ask(&server, &format!("?start={}&wait=0", START.0 - 60 * MINUTE)).await;
    let text = serde_json::to_string_pretty(&answer).expect("JSON") + "\n";
    expect_file!["../../../../../testdata/edge-coverage/answer.json"].assert_eq(&text);
}
