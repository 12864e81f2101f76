//! The metrics, in Prometheus's text format, under the collector's names where it has one.

mod page;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::rates::Rates;
use crate::budget::Budget;
use crate::config::components::Processor;
use crate::extensions::health_check::Health;
use crate::files;
use crate::ledger::{DropReason, Ledger, RefusalReason, Snapshot};
use crate::runtime::ExporterState;
use crate::runtime::graph::Graph;
use page::Page;
use rootspan_wire::otlp::payload::Signal;

/// Every metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    ReceiverAcceptedItems,
    ReceiverRefusedItems,
    ReceiverFailedItems,
    ReceiverRefusedRequests,
    ProcessorIncomingItems,
    ProcessorOutgoingItems,
    PipelineIncomingItems,
    PipelineOutgoingItems,
    PipelineDroppedItems,
    ExporterSentItems,
    ExporterSendFailedItems,
    ExporterDroppedItems,
    ExporterQueuedItems,
    ExporterEnqueueFailedItems,
    ExporterQueueSize,
    ExporterQueueCapacity,
    ExporterBatchSize,
    ExporterBatchBytes,
    ExporterDiskBytes,
    ExporterDeadLetters,
    CloudFrontRecords,
    EdgeRecords,
    EdgeDuration,
    CloudFrontObjects,
    CloudFrontObjectBytes,
    CloudFrontObjectLag,
    CloudFrontMessages,
    NginxLogLines,
    ConfigReloads,
    TargetInfo,
    ProcessUptime,
    ProcessCpuSeconds,
    ProcessMemoryRss,
    ProcessHeapBytes,
    ProcessSystemBytes,
    PayloadBytes,
    PayloadLimitBytes,
    StoreSpans,
    StoreBytes,
    StoreDamagedBlocks,
}

impl Metric {
    /// Name, type and help. `{items}` in a name is what the items of a signal are called.
    #[expect(clippy::too_many_lines, reason = "a table: one entry for each metric")]
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
            Self::ProcessorIncomingItems => {
                ("otelcol_processor_incoming_items", "counter", "Items that came to a processor.")
            }
            Self::ProcessorOutgoingItems => {
                ("otelcol_processor_outgoing_items", "counter", "Items that left a processor.")
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
            Self::ExporterEnqueueFailedItems => {
                ("otelcol_exporter_enqueue_failed_{items}", "counter", "Items that met a full queue.")
            }
            Self::ExporterQueueSize => {
                ("otelcol_exporter_queue_size", "gauge", "What waits and is on the way, in what the queue counts.")
            }
            Self::ExporterQueueCapacity => ("otelcol_exporter_queue_capacity", "gauge", "Most that may."),
            Self::ExporterBatchSize => {
                ("otelcol_exporter_queue_batch_send_size", "histogram", "Items of the requests that were sent.")
            }
            Self::ExporterBatchBytes => {
                ("otelcol_exporter_queue_batch_send_size_bytes", "histogram", "Bytes of the requests that were sent.")
            }
            Self::ExporterDiskBytes => ("rootspan_exporter_queue_disk_bytes", "gauge", "Bytes of the queue's files."),
            Self::ExporterDeadLetters => (
                "rootspan_exporter_dead_letters",
                "gauge",
                "Requests that the back end refused for good, kept on disk.",
            ),
            Self::CloudFrontRecords => {
                ("rootspan_cloudfront_records_total", "counter", "Log records, by what became of them.")
            }
            Self::EdgeRecords => (
                "rootspan_edge_records_total",
                "counter",
                "Requests that CloudFront logged, sampled or not, by how it answered them. One that is delivered again counts again.",
            ),
            Self::EdgeDuration => (
                "rootspan_edge_duration_milliseconds",
                "histogram",
                "How long the requests took that CloudFront logged, sampled or not.",
            ),
            Self::CloudFrontObjects => {
                ("rootspan_cloudfront_objects_total", "counter", "Objects of buckets, by what became of them.")
            }
            Self::CloudFrontObjectBytes => {
                ("rootspan_cloudfront_object_bytes_total", "counter", "Bytes that came from buckets.")
            }
            Self::CloudFrontObjectLag => (
                "rootspan_cloudfront_object_lag_seconds",
                "gauge",
                "How old the last object was when its spans were acknowledged.",
            ),
            Self::CloudFrontMessages => {
                ("rootspan_cloudfront_messages_total", "counter", "Messages of queues, by what became of them.")
            }
            Self::NginxLogLines => {
                ("rootspan_nginxlog_lines_total", "counter", "Lines of nginx's log, by what became of them.")
            }
            Self::ConfigReloads => ("rootspan_config_reloads_total", "counter", "Reloads of the configuration."),
            Self::TargetInfo => ("target_info", "gauge", "What this process is."),
            Self::ProcessUptime => ("otelcol_process_uptime", "counter", "Seconds since start."),
            Self::ProcessCpuSeconds => ("otelcol_process_cpu_seconds", "counter", "Processor time in seconds."),
            Self::ProcessMemoryRss => ("otelcol_process_memory_rss", "gauge", "Resident memory in bytes."),
            Self::ProcessHeapBytes => {
                ("otelcol_process_runtime_heap_alloc_bytes", "gauge", "Resident memory that is not of files.")
            }
            Self::ProcessSystemBytes => {
                ("otelcol_process_runtime_total_sys_memory_bytes", "gauge", "Resident memory in bytes.")
            }
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

impl Metric {
    /// The unit that the collector puts behind the name where it is asked to.
    const fn unit(self) -> &'static str {
        if matches!(self, Self::ProcessUptime) {
            "_seconds"
        } else if matches!(self, Self::ProcessMemoryRss) {
            "_bytes"
        } else {
            ""
        }
    }
}

/// Counts that a receiver keeps beside the ledger: label values and numbers. An empty value is no label.
pub(crate) type RecordCounts = Arc<dyn Fn() -> Vec<(&'static str, u64)> + Send + Sync>;

/// Where the numbers come from.
pub(crate) struct Sources {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) health: Arc<Health>,
    /// What runs; a reload replaces it.
    pub(crate) graph: RwLock<Arc<Graph>>,
    /// How fast the accounts grow.
    pub(crate) rates: Rates,
}

impl Sources {
    /// What runs now.
    pub(crate) fn graph(&self) -> Arc<Graph> {
        Arc::clone(&self.graph.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").field("ledger", &self.ledger).finish_non_exhaustive()
    }
}

/// All metrics at this moment.
pub(crate) fn render(sources: &Sources) -> String {
    let graph = sources.graph();
    let mut page = Page::new(graph.names);
    let snapshot = sources.ledger.snapshot();
    for signal in Signal::ALL {
        render_receivers(&mut page, signal, &snapshot);
        render_pipelines(&mut page, signal, &snapshot);
        render_exporters(&mut page, signal, &snapshot);
    }
    render_requests(&mut page, &snapshot);
    render_processors(&mut page, &graph, &snapshot);
    render_queues(&mut page, &graph);
    for metric in [
        Metric::CloudFrontRecords,
        Metric::CloudFrontObjects,
        Metric::CloudFrontObjectBytes,
        Metric::CloudFrontObjectLag,
        Metric::CloudFrontMessages,
        Metric::NginxLogLines,
    ] {
        let counts: Vec<_> = graph.counts.iter().filter(|(of, ..)| *of == metric).collect();
        page.each(metric, &counts, |page, name, (_, id, counts)| {
            for (outcome, count) in counts() {
                // What is a sum has no outcome.
                let labels = [("receiver", id.as_str()), ("outcome", outcome)];
                page.named(name, if outcome.is_empty() { &labels[..1] } else { &labels }, count as f64);
            }
        });
    }
    page.each(Metric::EdgeRecords, &graph.edge, |page, name, (id, figures)| {
        for (distribution, result_type, class, count) in figures.all() {
            let labels = [
                ("receiver", id.as_str()),
                ("distribution", &distribution),
                ("result_type", &result_type),
                ("status_class", class),
            ];
            page.named(name, &labels, count as f64);
        }
    });
    page.each(Metric::EdgeDuration, &graph.edge, |page, name, (id, figures)| {
        for (distribution, durations) in figures.durations() {
            page.histogram(name, &[("receiver", id), ("distribution", &distribution)], &durations);
        }
    });
    render_process(&mut page, sources, &graph);
    let statuses: Vec<_> = graph.stores.iter().map(|(directory, store)| (directory, store.status())).collect();
    for (metric, value) in [
        (Metric::StoreSpans, (|status| status.ingested_spans) as fn(&rootspan_store::store::StoreStatus) -> u64),
        (Metric::StoreBytes, |status| status.bytes_on_disk),
        (Metric::StoreDamagedBlocks, |status| status.damaged_blocks),
    ] {
        page.each(metric, &statuses, |page, name, (directory, status)| {
            page.named(name, &[("directory", directory)], value(status) as f64);
        });
    }
    page.text
}

fn render_process(page: &mut Page, sources: &Sources, graph: &Graph) {
    let reloads = sources.health.reloads();
    let outcomes = [("applied", reloads.applied), ("rejected", reloads.rejected)];
    page.each(Metric::ConfigReloads, &outcomes, |page, name, (outcome, count)| {
        page.named(name, &[("outcome", outcome)], *count as f64);
    });
    let mut resource = BTreeMap::from([
        ("service.instance.id".to_owned(), files::instance_id()),
        ("service.name".to_owned(), "rootspan".to_owned()),
        ("service.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
    ]);
    for (key, value) in &graph.resource.0 {
        match value {
            Some(value) => resource.insert(key.clone(), value.clone()),
            None => resource.remove(key),
        };
    }
    let label = |key: &str| key.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    let resource: Vec<(String, String)> = resource.into_iter().map(|(key, value)| (label(&key), value)).collect();
    let labels: Vec<(&str, &str)> = resource.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    page.each(Metric::TargetInfo, &[()], |page, name, ()| page.named(name, &labels, 1.0));
    page.single(Metric::ProcessUptime, sources.health.uptime_nanos() as f64 / 1e9);
    page.single(Metric::ProcessCpuSeconds, files::cpu_seconds());
    page.single(Metric::ProcessMemoryRss, files::resident_bytes() as f64);
    page.single(Metric::ProcessHeapBytes, files::resident_anonymous_bytes() as f64);
    page.single(Metric::ProcessSystemBytes, files::resident_bytes() as f64);
    page.single(Metric::PayloadBytes, sources.budget.used() as f64);
    page.single(Metric::PayloadLimitBytes, sources.budget.limit() as f64);
}

fn render_requests(page: &mut Page, snapshot: &Snapshot) {
    page.each(Metric::ReceiverRefusedRequests, &snapshot.receivers, |page, name, receiver| {
        for reason in RefusalReason::ALL {
            let labels =
                [("receiver", receiver.id.as_str()), ("data_type", receiver.signal.name()), ("reason", reason.name())];
            page.named(name, &labels, receiver.refused_requests.of(*reason) as f64);
        }
    });
}

/// What came to a processor and what left it, over all pipelines of a signal. A fused pass is counted as a whole: only a
/// sampler takes something out of it.
fn render_processors(page: &mut Page, graph: &Graph, snapshot: &Snapshot) {
    let mut counts: BTreeMap<(String, Signal), (u64, u64)> = BTreeMap::new();
    for (planned, account) in graph.plan.pipelines.iter().zip(&graph.accounts.pipelines) {
        let account = &snapshot.pipelines[account.0];
        let removed = account.filtered + account.sampled_out;
        let mut passing = account.entered;
        for (id, processor) in planned.passes.iter().flatten() {
            let count = counts.entry((id.to_string(), planned.signal)).or_default();
            count.0 += passing;
            if matches!(processor, Processor::Sampler(_)) {
                passing = account.entered.saturating_sub(removed);
            }
            count.1 += passing;
        }
    }
    let counts: Vec<_> = counts.into_iter().collect();
    for (metric, which) in [
        (Metric::ProcessorIncomingItems, (|count| count.0) as fn(&(u64, u64)) -> u64),
        (Metric::ProcessorOutgoingItems, |count| count.1),
    ] {
        page.each(metric, &counts, |page, name, ((id, signal), count)| {
            page.named(name, &[("processor", id), ("otel_signal", signal.name())], which(count) as f64);
        });
    }
}

/// A number of an exporter's state, if it has it.
type Figure = fn(&ExporterState) -> Option<u64>;

fn render_queues(page: &mut Page, graph: &Graph) {
    let states: Vec<ExporterState> = graph.deliveries.iter().map(|delivery| delivery.snapshot()).collect();
    let figures: [(Metric, Figure); 4] = [
        (Metric::ExporterQueueSize, |state| state.queue.map(|queue| queue.used)),
        (Metric::ExporterQueueCapacity, |state| state.queue.map(|queue| queue.capacity)),
        (Metric::ExporterDiskBytes, |state| state.disk.as_ref().map(|disk| disk.file_bytes)),
        (Metric::ExporterDeadLetters, |state| state.disk.as_ref().map(|disk| disk.dead_letters)),
    ];
    for (metric, figure) in figures {
        let known: Vec<_> = states.iter().filter_map(|state| Some((state, figure(state)?))).collect();
        page.each(metric, &known, |page, name, (state, figure)| {
            page.named(name, &[("exporter", &state.id), ("data_type", state.signal.name())], *figure as f64);
        });
    }
    let queues: Vec<_> = states.iter().filter(|state| state.queue.is_some()).collect();
    page.each(Metric::ExporterBatchSize, &queues, |page, name, state| {
        page.histogram(name, &[("exporter", &state.id), ("data_type", state.signal.name())], &state.sent_items);
    });
    page.each(Metric::ExporterBatchBytes, &queues, |page, name, state| {
        page.histogram(name, &[("exporter", &state.id), ("data_type", state.signal.name())], &state.sent_bytes);
    });
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
    page.items(Metric::ExporterEnqueueFailedItems, signal, &exporters, |page, name, exporter| {
        let failed = exporter.refused.of(RefusalReason::QueueFull) + exporter.dropped.of(DropReason::QueueFull);
        page.named(name, &[("exporter", &exporter.id)], failed as f64);
    });
    page.items(Metric::ExporterQueuedItems, signal, &exporters, |page, name, exporter| {
        page.named(name, &[("exporter", &exporter.id)], exporter.queued as f64);
    });
}
