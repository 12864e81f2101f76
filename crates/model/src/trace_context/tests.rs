use proptest::prelude::*;
use serde_json::Value;

use super::trace_state::{OtMember, TraceState};
use super::*;

#[test]
fn traceparent_vectors() {
    let file: Value = serde_json::from_str(include_str!("../../../../testdata/propagation/traceparent.json"))
        .expect("the vectors are JSON");
    for vector in file["vectors"].as_array().expect("vectors is a list") {
        let headers = texts(&vector["headers"]);
        // More than one header is none: the specification forbids it, and which one counts would be a guess.
        let parsed = if let [header] = headers[..] { TraceParent::parse(header).ok() } else { None };
        let expected = &vector["expected"];
        let actual = parsed.map(|parsed| {
            serde_json::json!({
                "traceId": parsed.trace_id.to_string(), "spanId": parsed.span_id.to_string(),
                "sampled": parsed.flags.is_sampled(), "random": parsed.flags.is_random(),
            })
        });
        assert_eq!(actual.unwrap_or_default(), *expected, "{}", vector["name"]);
    }
}

#[test]
fn tracestate_vectors() {
    let file: Value = serde_json::from_str(include_str!("../../../../testdata/propagation/tracestate.json"))
        .expect("the vectors are JSON");
    for vector in file["vectors"].as_array().expect("vectors is a list") {
        let sent_on = TraceState::parse(texts(&vector["headers"])).ok().map(|mut state| {
            state.set_ot(&state.ot());
            state.to_header()
        });
        assert_eq!(sent_on.as_deref(), vector["expected"].as_str(), "{}", vector["name"]);
    }
}

#[test]
fn each_broken_rule_has_its_error() {
    let parse = |header: &str| TraceParent::parse(header).expect_err("the header is malformed");
    let ids = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
    assert_eq!(parse("00"), TraceParentError::Length);
    assert_eq!(parse(&format!("00-{ids}-01-")), TraceParentError::Length);
    assert_eq!(parse(&format!("ff-{ids}-01")), TraceParentError::Version);
    assert_eq!(parse(&format!("01-{ids}-01x")), TraceParentError::Delimiter);
    assert_eq!(parse(&format!("0G-{ids}-01")), TraceParentError::Digit);
    assert_eq!(parse(&format!("00-{}-{}-01", "0".repeat(32), "1".repeat(16))), TraceParentError::ZeroId);
}

#[test]
fn unknown_flags_are_not_sent() {
    let parent = TraceParent::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff").expect("valid");
    assert_eq!(parent.flags, TraceFlags(0xff));
    assert_eq!(parent.to_string(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03");
    assert_eq!(parent.flags.with_sampled(false), TraceFlags(0xfe));
}

#[test]
fn a_changed_member_moves_to_the_front_and_a_full_list_loses_its_last() {
    let header = (0..32).map(|index| format!("k{index}=1")).collect::<Vec<_>>().join(",");
    let mut state = TraceState::parse([header.as_str()]).expect("32 members are allowed");
    state.set("k5", "2").expect("valid member");
    assert_eq!(state.members().next(), Some(("k5", "2")));
    assert_eq!((state.members().count(), state.get("k31")), (32, Some("1")));
    state.set("new", "3").expect("valid member");
    assert_eq!((state.members().count(), state.get("k31")), (32, None));
    state.set("Bad", "3").expect_err("upper case is not allowed");
    state.set("new", "trailing ").expect_err("a trailing space would be lost");
    assert_eq!(state.get("new"), Some("3"));
}

proptest! {
    #[test]
    fn any_text_is_parsed_without_panic_and_what_is_valid_comes_back(text in "[ -~\u{e9}]{0,80}|[0f]{2}-[0-9a-f]{31,33}-[0-9a-f]{16}-[0-3]{2}") {
        if let Ok(parent) = TraceParent::parse(&text) {
            prop_assert_eq!(TraceParent::parse(&parent.to_string()).map(|again| again.span_id), Ok(parent.span_id));
        }
        if let Ok(state) = TraceState::parse([text.as_str()]) {
            prop_assert_eq!(TraceState::parse([state.to_header().as_str()]), Ok(state));
        }
        if let Some(ot) = OtMember::parse(&text) {
            prop_assert!(ot.to_value().len() <= crate::limits::OT_VALUE_MAX_CHARS);
        }
    }

    #[test]
    fn what_is_sent_keeps_to_the_limits(members in prop::collection::vec(("[a-z][a-z0-9]{0,12}", "[!-+]{1,200}"), 0..40)) {
        let mut state = TraceState::default();
        for (key, value) in &members {
            state.set(key, value).expect("the strategy makes valid members");
        }
        state.set_ot(&OtMember { threshold: Some(crate::sampling::Threshold::ALWAYS), ..OtMember::default() });
        let header = state.to_header();
        prop_assert!(header.len() <= crate::limits::TRACESTATE_MAX_CHARS);
        prop_assert!(header.starts_with("ot=th:0"));
        prop_assert!(TraceState::parse([header.as_str()]).is_ok());
    }
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().expect("headers is a list").iter().map(|text| text.as_str().expect("a header is text")).collect()
}
