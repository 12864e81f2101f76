//! Metrics as text.

use std::fmt::Write as _;

use rootspan_wire::otlp::raw::RawMessage;
use rootspan_wire::otlp::view::KeyValue;

use super::{Surroundings, Verbosity, hexadecimal, line, print_attributes, service_of, value_text};

/// One kind of a metric's data: its field in `Metric`, its name, what its points are called, and where their attributes
/// and exemplars are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    number: u32,
    name: &'static str,
    points: &'static str,
    attributes: u32,
    exemplars: u32,
}

const GAUGE: Kind = Kind { number: 5, name: "Gauge", points: "NumberDataPoints", attributes: 7, exemplars: 5 };
const SUM: Kind = Kind { number: 7, name: "Sum", ..GAUGE };
const HISTOGRAM: Kind =
    Kind { number: 9, name: "Histogram", points: "HistogramDataPoints", attributes: 9, exemplars: 8 };
const EXPONENTIAL: Kind = Kind {
    number: 10,
    name: "ExponentialHistogram",
    points: "ExponentialHistogramDataPoints",
    attributes: 1,
    exemplars: 11,
};
/// Summaries have no exemplars; nothing has number 15.
const SUMMARY: Kind = Kind { number: 11, name: "Summary", points: "SummaryDataPoints", attributes: 7, exemplars: 15 };
const KINDS: [Kind; 5] = [GAUGE, SUM, HISTOGRAM, EXPONENTIAL, SUMMARY];

/// A batch of so many data points as text.
pub(super) fn print(id: &str, verbosity: Verbosity, request: &[u8], points: usize) -> String {
    let mut text = String::new();
    let request = RawMessage::new(request);
    let resources = request.messages(1).count();
    let scopes = request.messages(1).flat_map(|resource| resource.messages(2));
    let metrics: usize = scopes.map(|scope| scope.messages(2).count()).sum();
    let counts = format_args!("resource metrics: {resources}, metrics: {metrics}, data points: {points}");
    line(&mut text, 0, format_args!("{id}: metrics, {counts}"));
    if verbosity == Verbosity::Basic {
        return text;
    }
    let surroundings = Surroundings { kind: "Metrics" };
    for (number, resource_metrics) in request.messages(1).enumerate() {
        if verbosity == Verbosity::Detailed {
            surroundings.print_resource(&mut text, number, resource_metrics);
        }
        for (number, scope_metrics) in resource_metrics.messages(2).enumerate() {
            if verbosity == Verbosity::Detailed {
                surroundings.print_scope(&mut text, number, scope_metrics);
            }
            for (number, metric) in scope_metrics.messages(2).enumerate() {
                match verbosity {
                    Verbosity::Detailed => print_metric(&mut text, number, metric),
                    Verbosity::Basic | Verbosity::Normal => print_lines(&mut text, resource_metrics, metric),
                }
            }
        }
    }
    text
}

/// The data of a metric, which is of one kind.
fn data_of(metric: RawMessage<'_>) -> Option<(Kind, RawMessage<'_>)> {
    KINDS.into_iter().find_map(|kind| metric.message(kind.number).map(|data| (kind, data)))
}

/// `service name{key=value,…} value`, a line a point.
fn print_lines(text: &mut String, resource_metrics: RawMessage<'_>, metric: RawMessage<'_>) {
    let Some((kind, data)) = data_of(metric) else { return };
    for point in data.messages(1) {
        let pairs = |pair: KeyValue<'_>| format!("{}={}", pair.key, value_text(&pair.value));
        let labels: Vec<String> = point.attributes(kind.attributes).map(pairs).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let value = short_value(kind, point);
        line(text, 0, format_args!("{} {}{labels} {value}", service_of(resource_metrics), metric.text(1)));
    }
}

fn short_value(kind: Kind, point: RawMessage<'_>) -> String {
    if kind.points == GAUGE.points {
        return number_value(point, 4);
    }
    let mut value = format!("count={}", point.number(4));
    let mut put = |name: &str, number: f64| write_to(&mut value, format_args!(" {name}={number}"));
    point.double(5).into_iter().for_each(|sum| put("sum", sum));
    let (least, most) = if kind == HISTOGRAM { (11, 12) } else { (12, 13) };
    if kind != SUMMARY {
        point.double(least).into_iter().for_each(|number| put("min", number));
        point.double(most).into_iter().for_each(|number| put("max", number));
    }
    if kind == SUMMARY {
        for quantile in point.messages(6) {
            put(&format!("q{}", quantile.double(1).unwrap_or(0.0)), quantile.double(2).unwrap_or(0.0));
        }
    }
    value
}

fn print_metric(text: &mut String, number: usize, metric: RawMessage<'_>) {
    line(text, 0, format_args!("Metric #{number}"));
    line(text, 0, format_args!("Descriptor:"));
    line(text, 1, format_args!("-> Name: {}", metric.text(1)));
    line(text, 1, format_args!("-> Description: {}", metric.text(2)));
    line(text, 1, format_args!("-> Unit: {}", metric.text(3)));
    let Some((kind, data)) = data_of(metric) else {
        line(text, 1, format_args!("-> DataType: Empty"));
        return;
    };
    line(text, 1, format_args!("-> DataType: {}", kind.name));
    if kind == SUM {
        line(text, 1, format_args!("-> IsMonotonic: {}", data.number(3) != 0));
    }
    if [SUM, HISTOGRAM, EXPONENTIAL].contains(&kind) {
        let temporality = match data.number(2) {
            1 => "Delta",
            2 => "Cumulative",
            _ => "Unspecified",
        };
        line(text, 1, format_args!("-> AggregationTemporality: {temporality}"));
    }
    for (number, point) in data.messages(1).enumerate() {
        line(text, 0, format_args!("{} #{number}", kind.points));
        print_attributes(text, "Data point attributes:", 0, point.attributes(kind.attributes));
        line(text, 0, format_args!("StartTimestamp: {}", point.number(2)));
        line(text, 0, format_args!("Timestamp: {}", point.number(3)));
        print_value(text, kind, point);
        print_exemplars(text, point.messages(kind.exemplars));
    }
}

fn print_value(text: &mut String, kind: Kind, point: RawMessage<'_>) {
    if kind.points == GAUGE.points {
        line(text, 0, format_args!("Value: {}", number_value(point, 4)));
        return;
    }
    line(text, 0, format_args!("Count: {}", point.number(4)));
    let mut optional = |name: &str, value: Option<f64>| {
        if let Some(value) = value {
            line(text, 0, format_args!("{name}: {value}"));
        }
    };
    optional("Sum", point.double(5));
    match kind {
        HISTOGRAM => {
            optional("Min", point.double(11));
            optional("Max", point.double(12));
            for (number, bits) in point.fixed64s(7).into_iter().enumerate() {
                line(text, 0, format_args!("ExplicitBounds #{number}: {}", f64::from_bits(bits)));
            }
            for (number, count) in point.fixed64s(6).into_iter().enumerate() {
                line(text, 0, format_args!("Buckets #{number}, Count: {count}"));
            }
        }
        EXPONENTIAL => {
            optional("Min", point.double(12));
            optional("Max", point.double(13));
            print_exponential(text, point);
        }
        _ => {
            for (number, quantile) in point.messages(6).enumerate() {
                let (at, value) = (quantile.double(1).unwrap_or(0.0), quantile.double(2).unwrap_or(0.0));
                line(text, 0, format_args!("QuantileValue #{number}: Quantile {at}, Value {value}"));
            }
        }
    }
}

/// The buckets from the most negative to the most positive, each with its bounds: base^index, where the base is
/// 2^(2^-scale).
fn print_exponential(text: &mut String, point: RawMessage<'_>) {
    let base = 2_f64.powf(2_f64.powi(-point.zigzag(6)));
    let bound = |buckets: RawMessage<'_>, index: usize| base.powf(f64::from(buckets.zigzag(1)) + index as f64);
    if let Some(negative) = point.message(9) {
        for (index, count) in negative.varints(2).into_iter().enumerate().rev() {
            let (low, high) = (-bound(negative, index + 1), -bound(negative, index));
            line(text, 0, format_args!("Bucket [{low}, {high}), Count: {count}"));
        }
    }
    if point.number(7) > 0 {
        line(text, 0, format_args!("Bucket [0, 0], Count: {}", point.number(7)));
    }
    if let Some(positive) = point.message(8) {
        for (index, count) in positive.varints(2).into_iter().enumerate() {
            let (low, high) = (bound(positive, index), bound(positive, index + 1));
            line(text, 0, format_args!("Bucket ({low}, {high}], Count: {count}"));
        }
    }
}

fn print_exemplars<'a>(text: &mut String, exemplars: impl Iterator<Item = RawMessage<'a>>) {
    for (number, exemplar) in exemplars.enumerate() {
        if number == 0 {
            line(text, 0, format_args!("Exemplars:"));
        }
        line(text, 0, format_args!("Exemplar #{number}"));
        line(text, 1, format_args!("-> Trace ID: {}", hexadecimal(exemplar.bytes(5))));
        line(text, 1, format_args!("-> Span ID: {}", hexadecimal(exemplar.bytes(4))));
        line(text, 1, format_args!("-> Timestamp: {}", exemplar.number(2)));
        line(text, 1, format_args!("-> Value: {}", number_value(exemplar, 3)));
        print_attributes(text, "-> FilteredAttributes:", 1, exemplar.attributes(7));
    }
}

/// A number that is a double under `double`, or a whole one under 6.
fn number_value(message: RawMessage<'_>, double: u32) -> String {
    match (message.double(double), message.optional_number(6)) {
        (_, Some(whole)) => whole.cast_signed().to_string(),
        (Some(value), None) => value.to_string(),
        (None, None) => "none".to_owned(),
    }
}

fn write_to(text: &mut String, words: std::fmt::Arguments<'_>) {
    if text.write_fmt(words).is_err() {
        debug_assert!(false, "writing to a string does not fail");
    }
}
