use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::trace_context::TraceFlags;

#[test]
fn vectors() {
    let file: Value =
        serde_json::from_str(include_str!("../../../../testdata/propagation/xray.json")).expect("the vectors are JSON");
    for vector in file["vectors"].as_array().expect("vectors is a list") {
        let text = vector["header"].as_str().expect("a header is text");
        let parsed = XRay::parse(text).ok();
        let actual = parsed.map(|xray| {
            json!({
                "traceId": xray.trace_id.to_string(),
                "parentId": xray.parent.map(|parent| parent.to_string()),
                "sampled": xray.is_sampled,
            })
        });
        assert_eq!(actual.unwrap_or_default(), vector["expected"], "{}", vector["name"]);
        let Some(sent_on) = vector["sentOn"].as_str() else { continue };
        let parent = TraceParent {
            trace_id: parsed.expect("what is sent on was understood").trace_id,
            span_id: SpanId::new([0xab; 8]),
            flags: TraceFlags::SAMPLED,
        };
        assert_eq!(header(&parent, Some(text)), sent_on, "{}", vector["name"]);
    }
}

proptest! {
    #[test]
    fn any_text_is_parsed_without_panic_and_what_is_sent_is_understood(
        text in "[ -~\u{e9}]{0,80}|Root=1-[0-9a-f]{8}-[0-9a-f]{24};[A-Za-z]{1,8}=[0-9a-f:]{0,600}",
    ) {
        let Ok(xray) = XRay::parse(&text) else { return Ok(()) };
        let parent = TraceParent { trace_id: xray.trace_id, span_id: SpanId::new([1; 8]), flags: TraceFlags::default() };
        let sent = header(&parent, Some(&text));
        let again = XRay { parent: Some(parent.span_id), is_sampled: Some(false), ..xray };
        prop_assert!(sent.len() <= MAX_CHARS);
        prop_assert_eq!(XRay::parse(&sent), Ok(again));
    }
}
