//! Contexts in headers: W3C, B3, X-Ray, and what the edge function logs. What was read is written, and read as the same.

use rootspan_model::b3::{B3, B3Headers, single_header};
use rootspan_model::log_payload::LogPayload;
use rootspan_model::sampling::{Randomness, Threshold};
use rootspan_model::trace_context::trace_state::TraceState;
use rootspan_model::trace_context::{TraceFlags, TraceParent};
use rootspan_model::xray::{self, XRay};

use crate::Target;

pub(super) const PROPAGATION: Target = Target {
    name: "propagation",
    about: "traceparent, tracestate, B3, X-Amzn-Trace-Id, payloads of the edge function",
    corpus: || {
        let headers = [
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes-later",
            "ot=th:fd70a4;rv:fe0123456789ab,vendor@system=value, other=1",
            "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1-05e3ac9a4f6e3b90",
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=a:0",
            "rs1;00-09d64ae8d7628a6968e3f996796f3f63-2184743dd888b4f1-03;-;1789380930295;8;-;-",
        ];
        headers.iter().map(|header| header.as_bytes().to_vec()).collect()
    },
    dictionary: &[
        b"-", b"00", b"ff", b";", b",", b"=", b"Root=", b"Self=", b"ot=", b"th:", b"rv:", b"\t", b" ", b"%3B", b"rs1;",
    ],
    usual_inputs: 60_000,
    body: |input| {
        let Ok(header) = std::str::from_utf8(input) else { return };
        if let Ok(parent) = TraceParent::parse(header) {
            let written = parent.to_string();
            let again = TraceParent::parse(&written).expect("we write what we read");
            let known = TraceFlags::SAMPLED.0 | TraceFlags::RANDOM.0;
            assert_eq!((again.trace_id, again.span_id), (parent.trace_id, parent.span_id));
            assert_eq!(again.flags.0, parent.flags.0 & known);
            let b3 = B3::parse_single(&single_header(&parent)).expect("we write what we read");
            assert_eq!(b3.context, Some((parent.trace_id, parent.span_id)));
            let xray = XRay::parse(&xray::header(&parent, Some(header))).expect("we write what we read");
            assert_eq!((xray.trace_id, xray.parent), (parent.trace_id, Some(parent.span_id)));
        }
        if let Ok(state) = TraceState::parse([header]) {
            let again = TraceState::parse([state.to_header().as_str()]).expect("we write what we read");
            assert!(state.members().eq(again.members()));
        }
        let multi = B3Headers { trace_id: Some(header), span_id: Some(header), ..B3Headers::default() };
        for found in [B3::parse_single(header).ok(), B3::parse_multi(&multi).ok().flatten()].into_iter().flatten() {
            assert!(found.context.is_none_or(|(trace, span)| trace.is_valid() && span.is_valid()));
        }
        if let Ok(found) = XRay::parse(header) {
            assert!(found.trace_id.is_valid());
        }
        if let Some(mut payload) = LogPayload::find(header) {
            // Bits that this level does not know are not handed on.
            payload.traceparent.flags.0 &= TraceFlags::SAMPLED.0 | TraceFlags::RANDOM.0;
            assert_eq!(LogPayload::find(&payload.to_string()), Some(payload));
        }
        if let Some(threshold) = Threshold::parse(header) {
            assert_eq!(Threshold::parse(&threshold.to_string()), Some(threshold));
        }
        if let Some(randomness) = Randomness::parse(header) {
            assert_eq!(Randomness::parse(&randomness.to_string()), Some(randomness));
        }
    },
};
