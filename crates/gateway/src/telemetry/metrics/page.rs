//! Prometheus's text format, version 0.0.4, being written.

use std::fmt::Write as _;

use rootspan_wire::otlp::payload::Signal;

use super::Metric;
use crate::config::service::MetricNames;
use crate::ledger::{DropReason, Dropped, RefusalReason, Refused};
use crate::runtime::Histogram;

/// What the collector's metrics call the items of a signal.
pub(super) const fn items(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "spans",
        Signal::Metrics => "metric_points",
        Signal::Logs => "log_records",
    }
}

/// The text being written.
pub(super) struct Page {
    pub(super) text: String,
    names: MetricNames,
}

impl Page {
    /// An empty page, on which metrics under the collector's names are spelled so.
    pub(super) const fn new(names: MetricNames) -> Self {
        Self { text: String::new(), names }
    }

    /// The head of a metric; its name as it is spelled here.
    pub(super) fn family(&mut self, metric: Metric) -> String {
        self.family_of(metric, None)
    }

    fn family_of(&mut self, metric: Metric, signal: Option<Signal>) -> String {
        let (base, kind, help) = metric.describe();
        let mut name = signal.map_or_else(|| base.to_owned(), |signal| base.replace("{items}", items(signal)));
        if name.starts_with("otelcol_") {
            name += if self.names.units { metric.unit() } else { "" };
            name += if self.names.type_suffix && kind == "counter" { "_total" } else { "" };
        }
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        name
    }

    /// A metric of one signal, if it has accounts.
    pub(super) fn items<T>(
        &mut self,
        metric: Metric,
        signal: Signal,
        accounts: &[&T],
        put: impl Fn(&mut Self, &str, &T),
    ) {
        if accounts.is_empty() {
            return;
        }
        let name = self.family_of(metric, Some(signal));
        accounts.iter().for_each(|account| put(self, &name, account));
    }

    /// A metric with one sample.
    pub(super) fn single(&mut self, metric: Metric, value: f64) {
        let name = self.family(metric);
        self.named(&name, &[], value);
    }

    /// A sample of the family that was begun last for each entry; no family without entries.
    pub(super) fn each<T>(&mut self, metric: Metric, entries: &[T], put: impl Fn(&mut Self, &str, &T)) {
        if !entries.is_empty() {
            let name = self.family(metric);
            entries.iter().for_each(|entry| put(self, &name, entry));
        }
    }

    /// The samples of a histogram.
    pub(super) fn histogram(&mut self, name: &str, labels: &[(&str, &str)], histogram: &Histogram) {
        let (mut below, bucket) = (0, format!("{name}_bucket"));
        let bounds = histogram.bounds.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
        for (index, bound) in bounds.enumerate() {
            below += histogram.buckets.get(index).copied().unwrap_or(0);
            let labels: Vec<_> = labels.iter().copied().chain([("le", bound.as_str())]).collect();
            self.named(&bucket, &labels, below as f64);
        }
        self.named(&format!("{name}_sum"), labels, histogram.sum as f64);
        self.named(&format!("{name}_count"), labels, below as f64);
    }

    /// A sample.
    pub(super) fn named(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let open = if index == 0 { '{' } else { ',' };
            let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            self.write(format_args!("{open}{label}=\"{escaped}\""));
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        self.write(format_args!(" {value}\n"));
    }

    /// A sample for each reason, also for those that have not occurred: a rate needs a zero to begin with.
    pub(super) fn refused(&mut self, name: &str, label: &str, id: &str, refused: &Refused) {
        for reason in RefusalReason::ALL {
            self.named(name, &[(label, id), ("reason", reason.name())], refused.of(*reason) as f64);
        }
    }

    /// The same for drops.
    pub(super) fn dropped(&mut self, name: &str, label: &str, id: &str, dropped: &Dropped) {
        for reason in DropReason::ALL {
            self.named(name, &[(label, id), ("reason", reason.name())], dropped.of(*reason) as f64);
        }
    }

    fn write(&mut self, words: std::fmt::Arguments<'_>) {
        if self.text.write_fmt(words).is_err() {
            debug_assert!(false, "writing to a string does not fail");
        }
    }
}
