//! What the tests of delivery share: requests on their way into it, and time for everything to happen.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use rootspan_wire::otlp::validate::{Limits, validate};
use tokio::sync::oneshot;

use crate::ack::{self, Outcome};
use crate::batch::Batch;
use crate::budget::Budget;
use crate::ledger::{ExporterIndex, Ledger, PipelineIndex, Place, ReceiverIndex};
use crate::runtime::pipeline::Item;

/// Spans as they come out of the one pipeline for the one exporter, and what their sender will hear.
pub(super) fn item(ledger: &Arc<Ledger>, budget: &Arc<Budget>, spans: Vec<Span>) -> (Item, oneshot::Receiver<Outcome>) {
    let count = spans.len() as u64;
    let scope_spans = vec![ScopeSpans { spans, ..Default::default() }];
    let request =
        ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..Default::default() }] };
    let traces = validate(request.encode_to_vec().into(), &Limits::default()).expect("sound").batch;
    let reservation = budget.try_reserve(traces.bytes().len() as u64).expect("there is room");
    let (mut acks, answer) = ack::begin(ledger, ReceiverIndex(0), &[PipelineIndex(0)], count);
    let ack = acks.remove(0).fan_out(&[Place::Exporter(ExporterIndex(0))]).remove(0);
    (Item { batch: Batch::new(traces, reservation), ack }, answer)
}

/// Lets everything happen that can happen now; the ledger balances all the while.
pub(super) async fn settle(ledger: &Ledger) {
    for _ in 0..50 {
        tokio::task::yield_now().await;
        assert_eq!(ledger.snapshot().imbalances(), Vec::<String>::new());
    }
}
