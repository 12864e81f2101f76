//! The metrics, in Prometheus's text format, under the collector's names where it has one.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::budget::Budget;
use crate::extensions::health_check::Health;
use crate::files;
use crate::ledger::{DropReason, Dropped, Ledger, RefusalReason, Refused, Snapshot};
use rootspan_store::store::Store;
use rootspan_wire::otlp::payload::Signal;

/// Every metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    ReceiverAcceptedItems,
    ReceiverRefusedItems,
    ReceiverFailedItems,
    ReceiverRefusedRequests,
    PipelineIncomingItems,
    PipelineOutgoingItems,
    PipelineDroppedItems,
    ExporterSentItems,
    ExporterSendFailedItems,
    ExporterDroppedItems,
    ExporterQueuedItems,
    CloudFrontRecords,
    ProcessUptime,
    ProcessCpuSeconds,
    ProcessMemoryRss,
    PayloadBytes,
    PayloadLimitBytes,
    StoreSpans,
    StoreBytes,
    StoreDamagedBlocks,
}

impl Metric {
    /// Name, type and help. `{items}` in a name is what the items of a signal are called.
    const fn describe(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::ReceiverAcceptedItems => {
                ("otelcol_receiver_accepted_{items}", "counter", "Items whose sender was told that they are accepted.")
            }
            Self::ReceiverRefusedItems => {
                ("otelcol_receiver_refused_{items}", "counter", "Items that were turned away, by reason.")
            }
            Self::ReceiverFailedItems => {
                ("otelcol_receiver_failed_{items}", "counter", "Items left out of requests because they are not valid.")
            }
            Self::ReceiverRefusedRequests => {
                ("rootspan_receiver_refused_requests_total", "counter", "Requests turned away unread, by reason.")
            }
            Self::PipelineIncomingItems => {
                ("rootspan_pipeline_incoming_{items}_total", "counter", "Items that entered a pipeline.")
            }
            Self::PipelineOutgoingItems => {
                ("rootspan_pipeline_outgoing_{items}_total", "counter", "Items that left a pipeline.")
            }
            Self::PipelineDroppedItems => {
                ("rootspan_pipeline_dropped_{items}_total", "counter", "Items lost in a pipeline, by reason.")
            }
            Self::ExporterSentItems => {
                ("otelcol_exporter_sent_{items}", "counter", "Items that the back end has taken.")
            }
            Self::ExporterSendFailedItems => {
                ("otelcol_exporter_send_failed_{items}", "counter", "Items that the back end has not taken, by reason.")
            }
            Self::ExporterDroppedItems => {
                ("rootspan_exporter_dropped_{items}_total", "counter", "Items lost at an exporter, by reason.")
            }
            Self::ExporterQueuedItems => {
                ("rootspan_exporter_queued_{items}", "gauge", "Items waiting or being delivered.")
            }
            Self::CloudFrontRecords => {
                ("rootspan_cloudfront_records_total", "counter", "Log records, by what became of them.")
            }
            Self::ProcessUptime => ("otelcol_process_uptime", "counter", "Seconds since start."),
            Self::ProcessCpuSeconds => ("otelcol_process_cpu_seconds", "counter", "Processor time in seconds."),
            Self::ProcessMemoryRss => ("otelcol_process_memory_rss", "gauge", "Resident memory in bytes."),
            Self::PayloadBytes => ("rootspan_payload_bytes", "gauge", "Bytes of payload that are reserved."),
            Self::PayloadLimitBytes => {
                ("rootspan_payload_limit_bytes", "gauge", "Bytes of payload that can be reserved.")
            }
            Self::StoreSpans => ("rootspan_store_ingested_spans_total", "counter", "Spans that the store has taken."),
            Self::StoreBytes => ("rootspan_store_bytes", "gauge", "Bytes of the store on disk."),
            Self::StoreDamagedBlocks => ("rootspan_store_damaged_blocks", "gauge", "Blocks set aside as damaged."),
        }
    }
}

/// Counts that a receiver keeps beside the ledger: label values and numbers.
pub(crate) type RecordCounts = Arc<dyn Fn() -> Vec<(&'static str, u64)> + Send + Sync>;

/// Where the numbers come from.
pub(crate) struct Sources {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) health: Arc<Health>,
    /// CloudFront receivers by id.
    pub(crate) cloudfront: Vec<(String, RecordCounts)>,
    /// Stores by directory.
    pub(crate) stores: Vec<(String, Store)>,
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").field("ledger", &self.ledger).finish_non_exhaustive()
    }
}

/// All metrics at this moment.
pub(crate) fn render(sources: &Sources) -> String {
    let mut page = Page { text: String::new() };
    render_ledger(&mut page, sources);
    for (id, counts) in &sources.cloudfront {
        page.family(Metric::CloudFrontRecords);
        for (outcome, count) in counts() {
            page.sample(Metric::CloudFrontRecords, &[("receiver", id), ("outcome", outcome)], count as f64);
        }
    }
    let seconds = sources.health.uptime_nanos() as f64 / 1e9;
    page.single(Metric::ProcessUptime, seconds);
    page.single(Metric::ProcessCpuSeconds, files::cpu_seconds());
    page.single(Metric::ProcessMemoryRss, files::resident_bytes() as f64);
    page.single(Metric::PayloadBytes, sources.budget.used() as f64);
    page.single(Metric::PayloadLimitBytes, sources.budget.limit() as f64);
    let statuses: Vec<_> = sources.stores.iter().map(|(directory, store)| (directory, store.status())).collect();
    for (metric, value) in [
        (Metric::StoreSpans, (|status| status.ingested_spans) as fn(&rootspan_store::store::StoreStatus) -> u64),
        (Metric::StoreBytes, |status| status.bytes_on_disk),
        (Metric::StoreDamagedBlocks, |status| status.damaged_blocks),
    ] {
        page.family(metric);
        for (directory, status) in &statuses {
            page.sample(metric, &[("directory", directory)], value(status) as f64);
        }
    }
    page.text
}

fn render_ledger(page: &mut Page, sources: &Sources) {
    let snapshot = sources.ledger.snapshot();
    for signal in Signal::ALL {
        render_receivers(page, signal, &snapshot);
        render_pipelines(page, signal, &snapshot);
        render_exporters(page, signal, &snapshot);
    }
    page.family(Metric::ReceiverRefusedRequests);
    for receiver in &snapshot.receivers {
        let labels = [("receiver", receiver.id.as_str()), ("data_type", receiver.signal.name())];
        for reason in RefusalReason::ALL {
            let labels = [labels[0], labels[1], ("reason", reason.name())];
            let requests = receiver.refused_requests.of(*reason);
            page.sample(Metric::ReceiverRefusedRequests, &labels, requests as f64);
        }
    }
}

fn render_receivers(page: &mut Page, signal: Signal, snapshot: &Snapshot) {
    let receivers: Vec<_> = snapshot.receivers.iter().filter(|receiver| receiver.signal == signal).collect();
    page.items(Metric::ReceiverAcceptedItems, signal, &receivers, |page, name, receiver| {
        page.named(name, &[("receiver", &receiver.id)], receiver.accepted as f64);
    });
    page.items(Metric::ReceiverRefusedItems, signal, &receivers, |page, name, receiver| {
        page.refused(name, "receiver", &receiver.id, &receiver.refused);
    });
    page.items(Metric::ReceiverFailedItems, signal, &receivers, |page, name, receiver| {
        page.named(name, &[("receiver", &receiver.id)], receiver.rejected as f64);
    });
}

fn render_pipelines(page: &mut Page, signal: Signal, snapshot: &Snapshot) {
    let pipelines: Vec<_> = snapshot.pipelines.iter().filter(|pipeline| pipeline.signal == signal).collect();
    page.items(Metric::PipelineIncomingItems, signal, &pipelines, |page, name, pipeline| {
        page.named(name, &[("pipeline", &pipeline.id)], pipeline.entered as f64);
    });
    page.items(Metric::PipelineOutgoingItems, signal, &pipelines, |page, name, pipeline| {
        page.named(name, &[("pipeline", &pipeline.id)], pipeline.out as f64);
    });
    page.items(Metric::PipelineDroppedItems, signal, &pipelines, |page, name, pipeline| {
        page.dropped(name, "pipeline", &pipeline.id, &pipeline.dropped);
    });
}

fn render_exporters(page: &mut Page, signal: Signal, snapshot: &Snapshot) {
    let exporters: Vec<_> = snapshot.exporters.iter().filter(|exporter| exporter.signal == signal).collect();
    page.items(Metric::ExporterSentItems, signal, &exporters, |page, name, exporter| {
        page.named(name, &[("exporter", &exporter.id)], exporter.delivered as f64);
    });
    page.items(Metric::ExporterSendFailedItems, signal, &exporters, |page, name, exporter| {
        page.refused(name, "exporter", &exporter.id, &exporter.refused);
    });
    page.items(Metric::ExporterDroppedItems, signal, &exporters, |page, name, exporter| {
        page.dropped(name, "exporter", &exporter.id, &exporter.dropped);
    });
    page.items(Metric::ExporterQueuedItems, signal, &exporters, |page, name, exporter| {
        page.named(name, &[("exporter", &exporter.id)], exporter.queued as f64);
    });
}

/// What the collector's metrics call the items of a signal.
const fn items(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "spans",
        Signal::Metrics => "metric_points",
        Signal::Logs => "log_records",
    }
}

/// The text being written.
struct Page {
    text: String,
}

impl Page {
    fn family(&mut self, metric: Metric) {
        let (name, kind, help) = metric.describe();
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// A metric of one signal, if it has accounts.
    fn items<T>(&mut self, metric: Metric, signal: Signal, accounts: &[&T], put: impl Fn(&mut Self, &str, &T)) {
        if accounts.is_empty() {
            return;
        }
        let (name, kind, help) = metric.describe();
        let name = name.replace("{items}", items(signal));
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        accounts.iter().for_each(|account| put(self, &name, account));
    }

    fn single(&mut self, metric: Metric, value: f64) {
        self.family(metric);
        self.sample(metric, &[], value);
    }

    fn sample(&mut self, metric: Metric, labels: &[(&str, &str)], value: f64) {
        self.named(metric.describe().0, labels, value);
    }

    fn named(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
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
    fn refused(&mut self, name: &str, label: &str, id: &str, refused: &Refused) {
        for reason in RefusalReason::ALL {
            self.named(name, &[(label, id), ("reason", reason.name())], refused.of(*reason) as f64);
        }
    }

    fn dropped(&mut self, name: &str, label: &str, id: &str, dropped: &Dropped) {
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
