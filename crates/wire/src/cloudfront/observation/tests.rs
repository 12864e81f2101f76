//! Every record is one observation with one fate, and its bytes give it back.

use std::ops::ControlFlow;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::cloudfront::Reader;
use crate::cloudfront::conversion::{AuthoritativeSource, Converter, Tally, What};
use crate::cloudfront::rules::{Keep, PathPattern, PathRule, Rates, Trust};
use crate::cloudfront::span::Settings;

/// A record of standard logging; `DATA` is the function's, `RESULT` the result type.
const RECORD: &str = r#"{"timestamp(ms)":"1789380930482","time-taken":"0.187","sc-bytes":"1142","cs(Host)":"d1.cloudfront.net","x-edge-result-type":"RESULT","x-edge-response-result-type":"RESULT","x-edge-detailed-result-type":"RESULT","x-edge-request-id":"ID","sc-status":"STATUS","cs-method":"GET","cs-uri-stem":"/api/items","cache-behavior-path-pattern":"/api/*","viewer-request-log-data":"DATA"}"#;
const SAMPLED: &str = "rs1;00-09d64ae8d7628a6968e3f996796f3f63-2184743dd888b4f1-03;-;1789380930295;-;-;-";
const UNSAMPLED: &str = "rs1;00-09d64ae8d7628a6968e3f996796f3f63-2184743dd888b4f1-02;-;1789380930295;-;-;-";

fn record(id: &str, result: &str, status: &str, data: &str) -> String {
    let record = RECORD.replace("RESULT", result).replace("STATUS", status).replace("DATA", data);
    record.replace("\"ID\"", &format!("\"{id}\"")) + "\n"
}

fn observe(settings: Settings, text: &str) -> (Observations, Tally) {
    let converter = Converter::new(Reader::default(), settings, AuthoritativeSource::AccessLog, false);
    let mut conversion = converter.begin();
    let mut sink = |_| ControlFlow::Continue(());
    assert!(conversion.read(text.as_bytes(), &mut sink).is_continue(), "nothing breaks it off");
    (conversion.take_observations(), *conversion.tally())
}

fn print(observations: &Observations) -> String {
    let mut text = String::new();
    read(observations.bytes(), &mut |found| {
        let end = found.end.map_or("-".to_owned(), |end| (end.0 / 1_000_000).to_string());
        let taken = found.taken_nanos.map_or("-".to_owned(), |taken| (taken / 1_000_000).to_string());
        let backend = if found.sent_to_origin.is_some() { " sent to the origin" } else { "" };
        text += &format!(
            "{:?} {} {} {:?} {} {end} {taken} {}{backend}\n",
            found.fate,
            found.distribution,
            found.behaviour,
            found.result_type,
            found.status.name(),
            found.bytes
        );
    })
    .expect("what was just written");
    text
}

fn check(settings: Settings, text: &str, expected: &Expect) {
    expected.assert_eq(&print(&observe(settings, text).0));
}

#[test]
fn every_record_has_one_fate() {
    let settings = Settings {
        rates: Rates::new([("Hit".into(), None)]),
        keep: Keep { errors: true, slower_than: None },
        paths: vec![PathRule {
            pattern: PathPattern::new("/continued"),
            trust: Trust::Continue,
            threshold: Some(rootspan_model::sampling::Threshold::ALWAYS),
        }],
        ..Settings::default()
    };
    let continued = record("7", "Miss", "200", "-").replace("/api/items", "/continued");
    let timeless = record("8", "Miss", "200", SAMPLED.replace("1789380930295", "0").as_str());
    let text = [
        record("1", "Miss", "200", SAMPLED),
        record("2", "Miss", "200", "-"),
        record("3", "Miss", "200", UNSAMPLED),
        record("4", "Error", "502", UNSAMPLED),
        record("5", "Hit", "304", SAMPLED),
        record("6", "Redirect", "301", SAMPLED),
        continued,
        timeless.replace(r#""timestamp(ms)":"1789380930482","#, ""),
        record("9", "Error", "000", SAMPLED),
    ]
    .concat();
    check(
        settings,
        &text,
        &expect![[r#"
        Sampled d1.cloudfront.net /api/* "Miss" 2xx 1789380930482 187 1142 sent to the origin
        Derived d1.cloudfront.net /api/* "Miss" 2xx 1789380930482 187 1142
        SampledOut d1.cloudfront.net /api/* "Miss" 2xx 1789380930482 187 1142
        Kept d1.cloudfront.net /api/* "Error" 5xx 1789380930482 187 1142
        Thinned d1.cloudfront.net /api/* "Hit" 3xx 1789380930482 187 1142
        Sampled d1.cloudfront.net /api/* "Redirect" 3xx 1789380930482 187 1142
        Unplaced d1.cloudfront.net /api/* "Miss" 2xx 1789380930482 187 1142
        Sampled d1.cloudfront.net /api/* "Miss" 2xx 187 187 1142 sent to the origin
        Sampled d1.cloudfront.net /api/* "Error" 000 1789380930482 187 1142
    "#]],
    );
}

#[test]
fn only_what_the_origin_must_have_seen_misses_a_backend() {
    for (change, expected) in [
        (("", ""), true),
        (("\"Miss\"", "\"RefreshHit\""), true),
        (("\"Miss\"", "\"Hit\""), false),
        (("detailed-result-type\":\"Miss\"", "detailed-result-type\":\"OriginShieldHit\""), false),
        (("\"Miss\"", "\"LimitExceeded\""), false),
        (("\"Miss\"", "\"FunctionGeneratedResponse\""), false),
        // The firewall's refusal, an error from the cache: no latency of the origin.
        (("\"Miss\"", "\"Error\""), false),
        (("\"Miss\",\"x-edge-response", "\"Error\",\"origin-fbl\":\"0.101\",\"x-edge-response"), true),
        (("\"Miss\",\"x-edge-response", "\"Error\",\"origin-fbl\":\"-\",\"x-edge-response"), false),
    ] {
        let text = record("1", "Miss", "200", SAMPLED).replace(change.0, change.1);
        let text = if change.0.is_empty() { record("1", "Miss", "200", SAMPLED) } else { text };
        let (observations, _) = observe(Settings::default(), &text);
        let mut found = Vec::new();
        read(observations.bytes(), &mut |observation| found.push(observation.sent_to_origin.is_some())).expect("valid");
        assert_eq!(found, [expected], "{change:?}");
    }
}

#[test]
fn a_function_line_beside_access_logs_is_another_record_of_the_same_request() {
    let line =
        "REQUEST-ID 1789380930295000000 1789380930482000000 09d64ae8d7628a6968e3f996796f3f63-2184743dd888b4f1-1\n";
    let converter = |source| Converter::new(Reader::default(), Settings::default(), source, false);
    let converter = converter(AuthoritativeSource::AccessLog);
    let mut conversion = converter.begin();
    let mut sink = |_| ControlFlow::Continue(());
    assert!(conversion.read(line.as_bytes(), &mut sink).is_continue());
    let secondary = conversion.take_observations();
    assert_eq!(conversion.tally().of(What::Secondary), 1);
    expect![[r#"
        Secondary   "" 000 1789380930482 187 0
    "#]]
    .assert_eq(&print(&secondary));
    assert!(conversion.take_observations().is_empty(), "taken");
    assert_ne!(request_hash("REQUEST-ID", Fate::Secondary), request_hash("REQUEST-ID", Fate::Sampled));
    assert_eq!(request_hash("REQUEST-ID", Fate::Kept), request_hash("REQUEST-ID", Fate::Sampled));
}

#[test]
fn data_that_comes_later_corrects_a_derived_one() {
    let converter = Converter::new(Reader::default(), Settings::default(), AuthoritativeSource::AccessLog, true);
    let mut conversion = converter.begin();
    let mut sink = |_| ControlFlow::Continue(());
    let logged = format!("REQUEST {SAMPLED}\n");
    for text in [&record("REQUEST", "Miss", "200", "-"), &logged, &record("REQUEST", "Miss", "200", "-")] {
        assert!(conversion.read(text.as_bytes(), &mut sink).is_continue());
    }
    let observations = conversion.take_observations();
    let mut fates = Vec::new();
    read(observations.bytes(), &mut |found| fates.push((found.fate, found.request, found.sent_to_origin.is_some())))
        .expect("valid");
    let request = Some(request_hash("REQUEST", Fate::Sampled));
    assert_eq!(fates, [(Fate::Derived, request, false), (Fate::Joined, request, true), (Fate::Sampled, request, true)]);
}

#[test]
fn texts_are_bounded() {
    let mut observations = Observations::default();
    let blank = Observation {
        fate: Fate::Sampled,
        status: StatusClass::None,
        distribution: "",
        behaviour: "",
        result_type: "",
        end: None,
        taken_nanos: None,
        bytes: 0,
        request: None,
        sent_to_origin: None,
    };
    let names: Vec<String> = (0..5000).map(|number| format!("/{number}")).collect();
    for name in &names {
        observations.push(&Observation { behaviour: name, ..blank });
    }
    observations.push(&Observation { distribution: &"x".repeat(256), ..blank });
    let mut found = Vec::new();
    read(observations.bytes(), &mut |observation| found.push((observation.distribution, observation.behaviour)))
        .expect("valid");
    assert_eq!(found.len(), 5001);
    assert_eq!(found[4000].1, "/4000");
    assert_eq!(found[4999].1, OTHER);
    assert_eq!(found[5000], (OTHER, ""));
}

type Ids = Option<([u8; 16], [u8; 8])>;

fn any_observation() -> impl Strategy<Value = (u8, u8, [String; 3], [Option<u64>; 4], Ids)> {
    (
        0_u8..8,
        0_u8..6,
        ["[a-c*/]{0,4}", "[a-c*/]{0,4}", "[A-C]{0,2}"],
        [
            proptest::option::of(any::<u64>()),
            proptest::option::of(any::<u64>()),
            proptest::option::of(any::<u64>()),
            proptest::option::of(any::<u64>()),
        ],
        proptest::option::of((any::<[u8; 16]>(), any::<[u8; 8]>())),
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read(all in proptest::collection::vec(any_observation(), 0..40)) {
        let mut observations = Observations::default();
        let made: Vec<Observation<'_>> = all.iter().map(|(fate, status, texts, numbers, ids)| Observation {
            fate: Fate::ALL[usize::from(*fate)],
            status: StatusClass::ALL[usize::from(*status)],
            distribution: &texts[0],
            behaviour: &texts[1],
            result_type: &texts[2],
            end: numbers[0].map(UnixNanos),
            taken_nanos: numbers[1],
            bytes: numbers[2].unwrap_or(0),
            request: numbers[3],
            sent_to_origin: ids.map(|(trace, span)| (TraceId::new(trace), SpanId::new(span))),
        }).collect();
        made.iter().for_each(|observation| observations.push(observation));
        let mut found = Vec::new();
        prop_assert!(read(observations.bytes(), &mut |observation| found.push(*observation)).is_ok());
        prop_assert_eq!(found, made);
        prop_assert_eq!(observations.count(), all.len() as u64);
    }

    #[test]
    fn anything_else_is_an_error_at_most(bytes in proptest::collection::vec(any::<u8>(), 0..200), is_ours in any::<bool>()) {
        let bytes: Vec<u8> = if is_ours { [VERSION].into_iter().chain(bytes).collect() } else { bytes };
        let mut count = 0;
        let _result = read(&bytes, &mut |_| count += 1);
        prop_assert!(count <= bytes.len());
    }
}
