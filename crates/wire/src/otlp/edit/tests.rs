use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue as ProstValue, KeyValue as Pair, any_value};
use opentelemetry_proto::tonic::metrics::v1::ResourceMetrics;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::resource::v1::Resource;
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::otlp::batch::TraceBatch;
use crate::otlp::testing::signals::{logs_request, metrics_request};
use crate::otlp::testing::{normalised, plain_span, request, request_of, seen};
use crate::otlp::validate::{Limits, validate};

/// What a test does to attributes.
#[derive(Clone, Debug)]
enum Operation {
    Set(&'static str, i64),
    Copy(&'static str, &'static str),
    Remove(&'static str),
}

const KEYS: [&str; 4] = ["a", "http.route", "service.name", "new"];

fn operation() -> impl Strategy<Value = Operation> {
    let key = || prop::sample::select(KEYS.as_slice());
    prop_oneof![
        (key(), any::<i64>()).prop_map(|(key, value)| Operation::Set(key, value)),
        (key(), key()).prop_map(|(key, from)| Operation::Copy(key, from)),
        key().prop_map(Operation::Remove),
    ]
}

/// In place of a span's name: items are not edited.
const ONLY_RESOURCES: &str = "only resources";

/// Does the same to every resource and span; removes spans by their name.
struct Operations<'o> {
    operations: &'o [Operation],
    removed: &'o str,
    resources: u32,
}

fn apply(operations: &[Operation], attributes: &mut AttributeEdits<'_>) {
    for operation in operations {
        match *operation {
            Operation::Set(key, value) => attributes.set(key, value.into()),
            Operation::Copy(key, from) => _ = attributes.copy(key, from),
            Operation::Remove(key) => attributes.remove(key),
        }
    }
}

impl<'a> Edit<'a> for Operations<'_> {
    fn resource(&mut self, resource: &mut AttributeEdits<'a>) {
        self.resources += 1;
        apply(self.operations, resource);
    }

    fn span(&mut self, _: &AttributeEdits<'a>, _: &Scope<'a>, span: &mut SpanEdits<'a>) -> Fate {
        apply(self.operations, &mut span.attributes);
        if span.span.name == self.removed { Fate::Filtered } else { Fate::Keep }
    }

    fn edits_items(&self) -> bool {
        self.removed != ONLY_RESOURCES
    }

    fn item(&mut self, _: &AttributeEdits<'a>, _: &Scope<'a>, attributes: &mut AttributeEdits<'a>) {
        apply(self.operations, attributes);
    }
}

/// The same over prost's types.
fn apply_to_pairs(operations: &[Operation], pairs: &mut Vec<Pair>) {
    let put = |pairs: &mut Vec<Pair>, key: &str, value: Option<ProstValue>| {
        let first = pairs.iter().position(|pair| pair.key == key);
        match first {
            Some(first) => {
                pairs[first].value = value;
                let mut index = 0;
                pairs.retain(|pair| {
                    index += 1;
                    pair.key != key || index - 1 == first
                });
            }
            None => pairs.push(Pair { key: key.to_owned(), value, ..Default::default() }),
        }
    };
    for operation in operations {
        match *operation {
            Operation::Set(key, value) => {
                put(pairs, key, Some(ProstValue { value: Some(any_value::Value::IntValue(value)) }));
            }
            Operation::Copy(key, from) => {
                let found =
                    pairs.iter().find(|pair| pair.key == from).map(|pair| pair.value.clone().unwrap_or_default());
                if let Some(value) = found {
                    put(pairs, key, Some(value));
                }
            }
            Operation::Remove(key) => pairs.retain(|pair| pair.key != key),
        }
    }
}

/// A span's attributes are a map: their order is not compared.
fn sorted(mut request: ExportTraceServiceRequest) -> ExportTraceServiceRequest {
    for resource_spans in &mut request.resource_spans {
        resource_spans.resource.iter_mut().for_each(|resource| sort_pairs(&mut resource.attributes));
        for span in resource_spans.scope_spans.iter_mut().flat_map(|scope| &mut scope.spans) {
            sort_pairs(&mut span.attributes);
        }
    }
    request
}

fn batch_of(request: &ExportTraceServiceRequest) -> TraceBatch {
    validate(request.encode_to_vec().into(), &Limits::default()).expect("prost's bytes are well-formed").batch
}

proptest! {
    #[test]
    fn edits_are_what_the_same_edits_of_prosts_types_are(
        mut request in request(),
        operations in prop::collection::vec(operation(), 1..6),
        removed in prop::sample::select(vec!["", "gone"]),
    ) {
        // Every other span has a key that the operations know, some have it twice.
        let spans = request.resource_spans.iter_mut().flat_map(|rs| &mut rs.scope_spans).flat_map(|ss| &mut ss.spans);
        for (index, span) in spans.enumerate() {
            let text = |text: &str| Some(ProstValue { value: Some(any_value::Value::StringValue(text.to_owned())) });
            let pair = |key: &str| Pair { key: key.to_owned(), value: text(key), ..Default::default() };
            span.attributes.extend(KEYS.iter().take(index % 4).map(|key| pair(key)));
            if index % 5 == 4 {
                span.attributes.insert(0, pair("a"));
                span.name = "gone".to_owned();
            }
        }
        let batch = batch_of(&request);
        let mut operate = Operations { operations: &operations, removed, resources: 0 };
        let edited = edit(&Payload::from(batch.clone()), Vec::new(), &mut operate);
        prop_assert_eq!(operate.resources as usize, request.resource_spans.len());
        let mut expected = request;
        let before = batch.span_count() as u64;
        for resource_spans in &mut expected.resource_spans {
            let resource = resource_spans.resource.get_or_insert_default();
            apply_to_pairs(&operations, &mut resource.attributes);
            for scope in &mut resource_spans.scope_spans {
                scope.spans.iter_mut().for_each(|span| apply_to_pairs(&operations, &mut span.attributes));
                scope.spans.retain(|span| span.name != removed);
            }
            resource_spans.scope_spans.retain(|scope| !scope.spans.is_empty());
        }
        expected.resource_spans.retain(|resource_spans| !resource_spans.scope_spans.is_empty());
        let bytes = edited.request.unwrap_or_else(|| batch.bytes().to_vec());
        let after = ExportTraceServiceRequest::decode(bytes.as_slice()).expect("what is written is protobuf");
        let mut after_without_empty = after;
        for resource_spans in &mut after_without_empty.resource_spans {
            resource_spans.resource.get_or_insert_default();
            resource_spans.scope_spans.retain(|scope| !scope.spans.is_empty());
        }
        after_without_empty.resource_spans.retain(|resource_spans| !resource_spans.scope_spans.is_empty());
        prop_assert_eq!(sorted(normalised(after_without_empty)), sorted(normalised(expected)));
        let rewritten = TraceBatch::from_trusted(bytes.into()).expect("what is written is a request");
        prop_assert_eq!(rewritten.span_count() as u64, before - edited.filtered);
    }
}

proptest! {
    #[test]
    fn metrics_and_logs_are_edited_as_prosts_types_are(
        mut metrics in metrics_request(),
        mut logs in logs_request(),
        operations in prop::collection::vec(operation(), 1..6),
        with_items: bool,
    ) {
        let removed = if with_items { "" } else { ONLY_RESOURCES };
        let edited = |payload: &Payload| {
            let mut operate = Operations { operations: &operations, removed, resources: 0 };
            let edited = edit(payload, Vec::new(), &mut operate);
            edited.request.unwrap_or_else(|| payload.bytes().to_vec())
        };
        let after = edited(&Payload::from_trusted(Signal::Metrics, metrics.encode_to_vec().into()).expect("sound"));
        let mut after = ExportMetricsServiceRequest::decode(after.as_slice()).expect("protobuf");
        for (resource, points) in metrics.resource_metrics.iter_mut().map(parts_of_metrics) {
            apply_to_pairs(&operations, &mut resource.get_or_insert_default().attributes);
            points.into_iter().filter(|_| with_items).for_each(|pairs| apply_to_pairs(&operations, pairs));
        }
        for request in [&mut after, &mut metrics] {
            for (resource, points) in request.resource_metrics.iter_mut().map(parts_of_metrics) {
                sort_pairs(&mut resource.get_or_insert_default().attributes);
                points.into_iter().for_each(|pairs| sort_pairs(pairs));
            }
        }
        prop_assert_eq!(after, metrics);
        let after = edited(&Payload::from_trusted(Signal::Logs, logs.encode_to_vec().into()).expect("sound"));
        let mut after = ExportLogsServiceRequest::decode(after.as_slice()).expect("protobuf");
        for resource_logs in &mut logs.resource_logs {
            apply_to_pairs(&operations, &mut resource_logs.resource.get_or_insert_default().attributes);
            let records = resource_logs.scope_logs.iter_mut().flat_map(|scope| &mut scope.log_records);
            records.filter(|_| with_items).for_each(|record| apply_to_pairs(&operations, &mut record.attributes));
        }
        for resource_logs in after.resource_logs.iter_mut().chain(&mut logs.resource_logs) {
            sort_pairs(&mut resource_logs.resource.get_or_insert_default().attributes);
            let records = resource_logs.scope_logs.iter_mut().flat_map(|scope| &mut scope.log_records);
            records.for_each(|record| sort_pairs(&mut record.attributes));
        }
        prop_assert_eq!(after, logs);
    }
}

fn sort_pairs(pairs: &mut [Pair]) {
    pairs.sort_by(|left, right| (&left.key, left.encode_to_vec()).cmp(&(&right.key, right.encode_to_vec())));
}

/// The resource, and the attributes of all data points.
fn parts_of_metrics(metrics: &mut ResourceMetrics) -> (&mut Option<Resource>, Vec<&mut Vec<Pair>>) {
    let all = metrics.scope_metrics.iter_mut().flat_map(|scope| &mut scope.metrics);
    let points = all.filter_map(|metric| metric.data.as_mut()).flat_map(|data| -> Vec<&mut Vec<Pair>> {
        match data {
            Data::Gauge(data) => data.data_points.iter_mut().map(|point| &mut point.attributes).collect(),
            Data::Sum(data) => data.data_points.iter_mut().map(|point| &mut point.attributes).collect(),
            Data::Histogram(data) => data.data_points.iter_mut().map(|point| &mut point.attributes).collect(),
            Data::ExponentialHistogram(data) => {
                data.data_points.iter_mut().map(|point| &mut point.attributes).collect()
            }
            Data::Summary(data) => data.data_points.iter_mut().map(|point| &mut point.attributes).collect(),
        }
    });
    (&mut metrics.resource, points.collect())
}

#[test]
fn what_is_not_touched_is_not_written() {
    let batch = batch_of(&request_of(vec![plain_span(1), plain_span(2)]));
    let mut nothing = Operations { operations: &[Operation::Remove("absent")], removed: "absent", resources: 0 };
    assert_eq!(edit(&Payload::from(batch.clone()), Vec::new(), &mut nothing), Edited::default());
}

#[test]
fn a_resource_that_is_not_there_is_made_and_unknown_fields_stay() {
    let mut original = request_of(vec![plain_span(1)]);
    original.resource_spans[0].resource = None;
    let mut bytes = original.encode_to_vec();
    put_string(&mut bytes, 100, "of the request");
    let batch = validate(bytes.into(), &Limits::default()).expect("sound").batch;
    let mut set = Operations { operations: &[Operation::Set("a", 7)], removed: "", resources: 0 };
    let edited = edit(&Payload::from(batch.clone()), Vec::new(), &mut set).request.expect("changed");
    assert!(edited.windows(14).any(|window| window == b"of the request"));
    let batch = TraceBatch::from_trusted(edited.into()).expect("a request");
    assert_eq!(batch.span(0).resource.attribute("a"), Some(AnyValue::Int(7)));
    let expected = Resource {
        attributes: seen(batch.request()).resource_spans[0].scope_spans[0].spans[0].attributes.clone(),
        ..Default::default()
    };
    assert_eq!(expected.attributes.last().map(|pair| pair.key.as_str()), Some("a"));
}

/// Replaces `trace_state`.
struct TraceState(&'static str);

impl<'a> Edit<'a> for TraceState {
    fn resource(&mut self, _: &mut AttributeEdits<'a>) {}

    fn span(&mut self, _: &AttributeEdits<'a>, _: &Scope<'a>, span: &mut SpanEdits<'a>) -> Fate {
        span.set_trace_state(self.0.to_owned());
        Fate::Keep
    }

    fn edits_items(&self) -> bool {
        false
    }

    fn item(&mut self, _: &AttributeEdits<'a>, _: &Scope<'a>, _: &mut AttributeEdits<'a>) {}
}

#[test]
fn a_trace_state_is_replaced_added_and_removed() {
    let mut with = plain_span(1);
    with.trace_state = "a=1".to_owned();
    let batch = batch_of(&request_of(vec![with, plain_span(2)]));
    let edited = edit(&Payload::from(batch.clone()), Vec::new(), &mut TraceState("ot=th:8")).request.expect("changed");
    let batch = TraceBatch::from_trusted(edited.into()).expect("a request");
    assert!(batch.spans().all(|span| span.span.trace_state == "ot=th:8"));
    let edited = edit(&Payload::from(batch.clone()), Vec::new(), &mut TraceState("")).request.expect("changed");
    let batch = TraceBatch::from_trusted(edited.into()).expect("a request");
    assert!(batch.spans().all(|span| span.span.trace_state.is_empty()));
}
