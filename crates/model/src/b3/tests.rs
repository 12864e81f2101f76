use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

#[test]
fn vectors() {
    let file: Value =
        serde_json::from_str(include_str!("../../../../testdata/propagation/b3.json")).expect("the vectors are JSON");
    for vector in file["vectors"].as_array().expect("vectors is a list") {
        let header = |name: &str| vector["headers"][name].as_str();
        let parsed = match header(SINGLE_HEADER) {
            Some(text) => B3::parse_single(text).map(Some),
            None => B3::parse_multi(&B3Headers {
                trace_id: header("x-b3-traceid"),
                span_id: header("x-b3-spanid"),
                parent_span_id: header("x-b3-parentspanid"),
                sampled: header("x-b3-sampled"),
                flags: header("x-b3-flags"),
            }),
        };
        let actual = parsed.ok().flatten().map(|b3| {
            json!({
                "traceId": b3.context.map(|(trace, _)| trace.to_string()),
                "spanId": b3.context.map(|(_, span)| span.to_string()),
                "sampling": b3.sampling.to_string(),
            })
        });
        assert_eq!(actual.unwrap_or_default(), vector["expected"], "{}", vector["name"]);
    }
}

#[test]
fn what_is_sent_is_understood() {
    for sampled in [false, true] {
        let parent = TraceParent {
            trace_id: TraceId::new([7; 16]),
            span_id: SpanId::new([9; 8]),
            flags: TraceFlags(2).with_sampled(sampled),
        };
        let expected = B3 {
            context: Some((parent.trace_id, parent.span_id)),
            sampling: if sampled { B3Sampling::Accept } else { B3Sampling::Deny },
        };
        assert_eq!(B3::parse_single(&single_header(&parent)), Ok(expected));
        let [(_, trace), (_, span), (_, sampled)] = &multi_headers(&parent);
        let headers =
            B3Headers { trace_id: Some(trace), span_id: Some(span), sampled: Some(sampled), ..B3Headers::default() };
        assert_eq!(B3::parse_multi(&headers), Ok(Some(expected)));
    }
}

#[test]
fn no_header_is_no_error() {
    assert_eq!(B3::parse_multi(&B3Headers::default()), Ok(None));
}

proptest! {
    #[test]
    fn any_text_is_parsed_without_panic(text in "[ -~\u{e9}]{0,80}|[0-9a-f]{31,33}-[0-9a-f]{15,17}(-[01d])?") {
        if let Ok(B3 { context: Some((trace, span)), .. }) = B3::parse_single(&text) {
            prop_assert!(trace.is_valid() && span.is_valid());
        }
    }
}
