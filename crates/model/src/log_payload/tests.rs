use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::edge_id::EdgeIds;
use crate::limits::LOG_PAYLOAD_MAX_BYTES;
use crate::trace_context::TraceFlags;

const ROOT: &str = "rs1;00-09d64ae8d7628a6968e3f996796f3f63-2184743dd888b4f1-03;-;1789380930295;0;-;-";
const LONGEST: &str = "rs1;00-09d64ae8d7628a6968e3f996796f3f63-2184743dd888b4f1-03;00f067aa0ba902b7;178938093029500;\
    123456789abcde;fd70a3d70a3d71;4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";

#[test]
fn what_is_printed_is_parsed() {
    for text in [ROOT, LONGEST] {
        assert!(text.len() <= LOG_PAYLOAD_MAX_BYTES);
        assert_eq!(LogPayload::find(text).expect("valid payload").to_string(), text);
    }
}

#[test]
fn it_is_found_anywhere_in_the_field() {
    let expected = LogPayload::find(ROOT).expect("valid payload");
    for field in [
        format!("ab=variant-a|{ROOT}"),
        format!("{ROOT}|ab=variant-a"),
        format!("rs1;not a payload;{ROOT}"),
        format!("rs1;{ROOT}"),
        ROOT.replace(';', "%3B"),
        format!("%E4%BD%A0%zz% {ROOT}"),
        format!("%FF{ROOT}%"),
    ] {
        assert_eq!(LogPayload::find(&field), Some(expected), "{field}");
    }
}

#[test]
fn what_is_cut_or_malformed_is_no_payload() {
    for length in 0..LONGEST.len() {
        assert_eq!(LogPayload::find(LONGEST.get(..length).expect("ASCII")), None, "cut at {length}");
    }
    for field in [
        "",
        "-",
        "rs1;",
        &format!("{ROOT}x"),
        &ROOT.replace("rs1", "rs2"),
        &ROOT.replace(";1789380930295;", ";-;"),
        &ROOT.replace(";1789380930295;", ";1789380930295000;"),
        &ROOT.replace(";0;", ";G;"),
        &ROOT.replace("2184743dd888b4f1", "0000000000000000"),
    ] {
        assert_eq!(LogPayload::find(field), None, "{field}");
    }
}

/// The expectations of the edge function agree with what the receiver makes of them.
#[test]
fn viewer_request_vectors() {
    let file: Value = serde_json::from_str(include_str!("../../../../testdata/propagation/viewer-request.json"))
        .expect("the vectors are JSON");
    for vector in file["vectors"].as_array().expect("vectors is a list") {
        let expected = &vector["expected"];
        let Some(text) = expected["payload"].as_str() else { continue };
        let text = text.replace("{start}", "1789380930295");
        let payload = LogPayload::find(&text).expect("valid payload");
        assert_eq!(payload.to_string(), text, "{}", vector["name"]);
        assert_eq!(payload.traceparent.to_string(), expected["headers"]["traceparent"], "{}", vector["name"]);
        let ids = EdgeIds::of_request(vector["event"]["context"]["requestId"].as_str().expect("text"));
        assert_eq!(payload.traceparent.span_id, ids.viewer_span_id, "{}", vector["name"]);
        let is_restarted = payload.incoming_parent.is_none();
        assert_eq!(payload.traceparent.trace_id == ids.trace_id, is_restarted, "{}", vector["name"]);
        assert!(!(payload.link.is_some() && payload.incoming_parent.is_some()), "{}", vector["name"]);
    }
}

proptest! {
    #[test]
    fn any_text_is_searched_without_panic(field in "(rs1;|%3B|%|[ -~\u{e9}]){0,60}") {
        prop_assert_eq!(LogPayload::find(&field), None);
    }

    #[test]
    fn round_trip(
        trace in any::<[u8; 16]>(), span in any::<[u8; 8]>(), flags in 0_u8..4, start in 0_u64..1_000_000_000_000_000,
        probability in prop::option::of(1e-6_f64..1.0), parent in prop::option::of(any::<[u8; 8]>()),
        link in prop::option::of((any::<[u8; 16]>(), any::<[u8; 8]>())),
    ) {
        let trace_id = TraceId::new(trace);
        prop_assume!(trace_id.is_valid() && SpanId::new(span).is_valid());
        let payload = LogPayload {
            traceparent: TraceParent { trace_id, span_id: SpanId::new(span), flags: TraceFlags(flags) },
            incoming_parent: parent.map(SpanId::new),
            start_unix_millis: start,
            threshold: probability.and_then(Threshold::from_probability),
            random_value: parent.map(|_| Randomness::of_trace(trace_id)),
            link: link.map(|(trace, span)| (TraceId::new(trace), SpanId::new(span))),
        };
        prop_assert!(payload.to_string().len() <= LOG_PAYLOAD_MAX_BYTES);
        prop_assert_eq!(LogPayload::find(&format!("a;{payload};b")), Some(payload));
    }
}
