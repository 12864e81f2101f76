//! The metrics, in Prometheus's text format, under the collector's names where it has one.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::budget::Budget;
use crate::extensions::health_check::Health;
use crate::files;
use crate::ledger::{DropReason, Dropped, Ledger, RefusalReason, Refused};
use rootspan_store::store::Store;

/// Every metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    ReceiverAcceptedSpans,
    ReceiverRefusedSpans,
    ReceiverFailedSpans,
    ReceiverRefusedRequests,
    ProcessorIncomingSpans,
    ProcessorOutgoingSpans,
    ProcessorDroppedSpans,
    ExporterSentSpans,
    ExporterSendFailedSpans,
    ExporterDroppedSpans,
    ExporterQueuedSpans,
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
    /// Name, type and help.
    const fn describe(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::ReceiverAcceptedSpans => {
                ("otelcol_receiver_accepted_spans", "counter", "Spans whose sender was told that they are accepted.")
            }
            Self::ReceiverRefusedSpans => {
                ("otelcol_receiver_refused_spans", "counter", "Spans that were turned away, by reason.")
            }
            Self::ReceiverFailedSpans => {
                ("otelcol_receiver_failed_spans", "counter", "Spans left out of requests because they are not valid.")
            }
            Self::ReceiverRefusedRequests => {
                ("rootspan_receiver_refused_requests_total", "counter", "Requests turned away unread, by reason.")
            }
            Self::ProcessorIncomingSpans => {
                ("rootspan_pipeline_incoming_spans_total", "counter", "Spans that entered a pipeline.")
            }
            Self::ProcessorOutgoingSpans => {
                ("rootspan_pipeline_outgoing_spans_total", "counter", "Spans that left a pipeline.")
            }
            Self::ProcessorDroppedSpans => {
                ("rootspan_pipeline_dropped_spans_total", "counter", "Spans lost in a pipeline, by reason.")
            }
            Self::ExporterSentSpans => ("otelcol_exporter_sent_spans", "counter", "Spans that the back end has taken."),
            Self::ExporterSendFailedSpans => {
                ("otelcol_exporter_send_failed_spans", "counter", "Spans that the back end has not taken, by reason.")
            }
            Self::ExporterDroppedSpans => {
                ("rootspan_exporter_dropped_spans_total", "counter", "Spans lost at an exporter, by reason.")
            }
            Self::ExporterQueuedSpans => {
                ("rootspan_exporter_queued_spans", "gauge", "Spans waiting or being delivered.")
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
    page.family(Metric::ReceiverAcceptedSpans);
    for receiver in &snapshot.receivers {
        page.sample(Metric::ReceiverAcceptedSpans, &[("receiver", &receiver.id)], receiver.accepted as f64);
    }
    page.family(Metric::ReceiverRefusedSpans);
    for receiver in &snapshot.receivers {
        page.refused(Metric::ReceiverRefusedSpans, "receiver", &receiver.id, &receiver.refused);
    }
    page.family(Metric::ReceiverFailedSpans);
    for receiver in &snapshot.receivers {
        page.sample(Metric::ReceiverFailedSpans, &[("receiver", &receiver.id)], receiver.rejected as f64);
    }
    page.family(Metric::ReceiverRefusedRequests);
    for receiver in &snapshot.receivers {
        page.refused(Metric::ReceiverRefusedRequests, "receiver", &receiver.id, &receiver.refused_requests);
    }
    page.family(Metric::ProcessorIncomingSpans);
    for pipeline in &snapshot.pipelines {
        page.sample(Metric::ProcessorIncomingSpans, &[("pipeline", &pipeline.id)], pipeline.entered as f64);
    }
    page.family(Metric::ProcessorOutgoingSpans);
    for pipeline in &snapshot.pipelines {
        page.sample(Metric::ProcessorOutgoingSpans, &[("pipeline", &pipeline.id)], pipeline.out as f64);
    }
    page.family(Metric::ProcessorDroppedSpans);
    for pipeline in &snapshot.pipelines {
        page.dropped(Metric::ProcessorDroppedSpans, "pipeline", &pipeline.id, &pipeline.dropped);
    }
    page.family(Metric::ExporterSentSpans);
    for exporter in &snapshot.exporters {
        page.sample(Metric::ExporterSentSpans, &[("exporter", &exporter.id)], exporter.delivered as f64);
    }
    page.family(Metric::ExporterSendFailedSpans);
    for exporter in &snapshot.exporters {
        page.refused(Metric::ExporterSendFailedSpans, "exporter", &exporter.id, &exporter.refused);
    }
    page.family(Metric::ExporterDroppedSpans);
    for exporter in &snapshot.exporters {
        page.dropped(Metric::ExporterDroppedSpans, "exporter", &exporter.id, &exporter.dropped);
    }
    page.family(Metric::ExporterQueuedSpans);
    for exporter in &snapshot.exporters {
        page.sample(Metric::ExporterQueuedSpans, &[("exporter", &exporter.id)], exporter.queued as f64);
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

    fn single(&mut self, metric: Metric, value: f64) {
        self.family(metric);
        self.sample(metric, &[], value);
    }

    fn sample(&mut self, metric: Metric, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(metric.describe().0);
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
    fn refused(&mut self, metric: Metric, label: &str, id: &str, refused: &Refused) {
        for reason in RefusalReason::ALL {
            self.sample(metric, &[(label, id), ("reason", reason.name())], refused.of(*reason) as f64);
        }
    }

    fn dropped(&mut self, metric: Metric, label: &str, id: &str, dropped: &Dropped) {
        for reason in DropReason::ALL {
            self.sample(metric, &[(label, id), ("reason", reason.name())], dropped.of(*reason) as f64);
        }
    }

    fn write(&mut self, words: std::fmt::Arguments<'_>) {
        if self.text.write_fmt(words).is_err() {
            debug_assert!(false, "writing to a string does not fail");
        }
    }
}
