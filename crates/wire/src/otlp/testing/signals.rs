//! Random metrics and logs.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, exemplar, number_data_point,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::{attributes, id, resource, scope, text, value};

fn double() -> impl Strategy<Value = f64> {
    prop_oneof![-1e9..1e9, Just(f64::INFINITY), Just(-0.0), Just(0.0)]
}

fn exemplar() -> impl Strategy<Value = Exemplar> {
    let number =
        prop_oneof![double().prop_map(exemplar::Value::AsDouble), any::<i64>().prop_map(exemplar::Value::AsInt)];
    (attributes(), any::<u64>(), option::of(number), prop_oneof![id(16), id(0)], prop_oneof![id(8), id(0)]).prop_map(
        |(filtered_attributes, time_unix_nano, value, trace_id, span_id)| Exemplar {
            filtered_attributes,
            time_unix_nano,
            value,
            trace_id,
            span_id,
        },
    )
}

fn number_point() -> impl Strategy<Value = NumberDataPoint> {
    let number = prop_oneof![
        double().prop_map(number_data_point::Value::AsDouble),
        any::<i64>().prop_map(number_data_point::Value::AsInt)
    ];
    (attributes(), any::<(u64, u64)>(), option::of(number), vec(exemplar(), 0..2), any::<u32>()).prop_map(
        |(attributes, (start_time_unix_nano, time_unix_nano), value, exemplars, flags)| NumberDataPoint {
            attributes,
            start_time_unix_nano,
            time_unix_nano,
            value,
            exemplars,
            flags,
        },
    )
}

fn histogram_point() -> impl Strategy<Value = HistogramDataPoint> {
    let buckets = (vec(any::<u64>(), 0..4), vec(double(), 0..4));
    let statistics = (option::of(double()), option::of(double()), option::of(double()));
    (attributes(), any::<(u64, u64, u64)>(), statistics, buckets, vec(exemplar(), 0..2), any::<u32>()).prop_map(
        |(attributes, times_and_count, (sum, min, max), (bucket_counts, explicit_bounds), exemplars, flags)| {
            let (start_time_unix_nano, time_unix_nano, count) = times_and_count;
            HistogramDataPoint {
                attributes,
                start_time_unix_nano,
                time_unix_nano,
                count,
                sum,
                bucket_counts,
                explicit_bounds,
                exemplars,
                flags,
                min,
                max,
            }
        },
    )
}

fn buckets() -> impl Strategy<Value = Buckets> {
    (any::<i32>(), vec(any::<u64>(), 0..4)).prop_map(|(offset, bucket_counts)| Buckets { offset, bucket_counts })
}

fn exponential_point() -> impl Strategy<Value = ExponentialHistogramDataPoint> {
    let statistics = (option::of(double()), option::of(double()), option::of(double()), double());
    let buckets = (option::of(buckets()), option::of(buckets()), any::<i32>());
    (attributes(), any::<(u64, u64, u64, u64)>(), statistics, buckets, vec(exemplar(), 0..2), any::<u32>()).prop_map(
        |(attributes, numbers, (sum, min, max, zero_threshold), (positive, negative, scale), exemplars, flags)| {
            let (start_time_unix_nano, time_unix_nano, count, zero_count) = numbers;
            ExponentialHistogramDataPoint {
                attributes,
                start_time_unix_nano,
                time_unix_nano,
                count,
                sum,
                scale,
                zero_count,
                positive,
                negative,
                flags,
                exemplars,
                min,
                max,
                zero_threshold,
            }
        },
    )
}

fn summary_point() -> impl Strategy<Value = SummaryDataPoint> {
    let quantiles = vec((double(), double()).prop_map(|(quantile, value)| ValueAtQuantile { quantile, value }), 0..3);
    (attributes(), any::<(u64, u64, u64)>(), double(), quantiles, any::<u32>()).prop_map(
        |(attributes, (start_time_unix_nano, time_unix_nano, count), sum, quantile_values, flags)| SummaryDataPoint {
            attributes,
            start_time_unix_nano,
            time_unix_nano,
            count,
            sum,
            quantile_values,
            flags,
        },
    )
}

fn data() -> impl Strategy<Value = Data> {
    prop_oneof![
        vec(number_point(), 0..3).prop_map(|data_points| Data::Gauge(Gauge { data_points })),
        (vec(number_point(), 0..3), 0..3_i32, any::<bool>()).prop_map(
            |(data_points, aggregation_temporality, is_monotonic)| {
                Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic })
            }
        ),
        (vec(histogram_point(), 0..3), 0..3_i32).prop_map(|(data_points, aggregation_temporality)| Data::Histogram(
            Histogram { data_points, aggregation_temporality }
        )),
        (vec(exponential_point(), 0..3), 0..3_i32).prop_map(|(data_points, aggregation_temporality)| {
            Data::ExponentialHistogram(ExponentialHistogram { data_points, aggregation_temporality })
        }),
        vec(summary_point(), 0..3).prop_map(|data_points| Data::Summary(Summary { data_points })),
    ]
}

fn metric() -> impl Strategy<Value = Metric> {
    (text(), text(), text(), attributes(), option::weighted(0.9, data()))
        .prop_map(|(name, description, unit, metadata, data)| Metric { name, description, unit, metadata, data })
}

/// Random metrics.
pub(crate) fn metrics_request() -> impl Strategy<Value = ExportMetricsServiceRequest> {
    let scope_metrics = (option::of(scope()), vec(metric(), 0..3), text())
        .prop_map(|(scope, metrics, schema_url)| ScopeMetrics { scope, metrics, schema_url });
    let resource_metrics = (option::of(resource()), vec(scope_metrics, 0..3), text())
        .prop_map(|(resource, scope_metrics, schema_url)| ResourceMetrics { resource, scope_metrics, schema_url });
    vec(resource_metrics, 0..3).prop_map(|resource_metrics| ExportMetricsServiceRequest { resource_metrics })
}

fn log_record() -> impl Strategy<Value = LogRecord> {
    let ids = (prop_oneof![id(16), id(0)], prop_oneof![id(8), id(0)]);
    (any::<(u64, u64)>(), 0..25_i32, (text(), text()), option::of(value()), attributes(), any::<(u32, u32)>(), ids)
        .prop_map(|(times, severity_number, (severity_text, event_name), body, attributes, numbers, ids)| {
            let (time_unix_nano, observed_time_unix_nano) = times;
            let (dropped_attributes_count, flags) = numbers;
            let (trace_id, span_id) = ids;
            LogRecord {
                time_unix_nano,
                observed_time_unix_nano,
                severity_number,
                severity_text,
                body,
                attributes,
                dropped_attributes_count,
                flags,
                trace_id,
                span_id,
                event_name,
            }
        })
}

/// Random logs.
pub(crate) fn logs_request() -> impl Strategy<Value = ExportLogsServiceRequest> {
    let scope_logs = (option::of(scope()), vec(log_record(), 0..4), text())
        .prop_map(|(scope, log_records, schema_url)| ScopeLogs { scope, log_records, schema_url });
    let resource_logs = (option::of(resource()), vec(scope_logs, 0..3), text())
        .prop_map(|(resource, scope_logs, schema_url)| ResourceLogs { resource, scope_logs, schema_url });
    vec(resource_logs, 0..3).prop_map(|resource_logs| ExportLogsServiceRequest { resource_logs })
}
