//! `/debug/pipelines`: what runs, from receivers to exporters, and how it fares: a page for people, and the same as JSON
//! (`?format=json`). This module gathers the facts at one moment; [`html`] writes the page.

mod html;

use http::{HeaderValue, StatusCode, header};
use rootspan_model::time::UnixNanos;
use rootspan_wire::otlp::payload::Signal;
use serde_json::{Map, Value, json};

use super::metrics::Sources;
use super::rates::{Rate, Rates};
use crate::config::components::Exporter;
use crate::config::id::ComponentId;
use crate::ledger::{DropReason, Dropped, RefusalReason, Refused, Snapshot};
use crate::net::http::{Answer, answer};
use crate::plan::PlannedPipeline;
use crate::runtime::ExporterState;
use crate::runtime::graph::Graph;

/// Everything that the page shows.
#[derive(Debug)]
struct View {
    version: &'static str,
    now: UnixNanos,
    uptime_seconds: f64,
    accepting: bool,
    reload: Value,
    reserved_bytes: u64,
    limit_bytes: u64,
    resident_bytes: u64,
    receivers: Vec<Component>,
    pipelines: Vec<Pipeline>,
    exporters: Vec<Component>,
    extensions: Vec<String>,
}

/// One component, or one pipeline as a whole.
#[derive(Debug)]
struct Component {
    id: String,
    signal: Signal,
    /// Where it listens, or what it sends to.
    about: Vec<String>,
    rate: Rate,
    totals: Vec<(&'static str, u64)>,
    refused: Vec<(&'static str, u64)>,
    dropped: Vec<(&'static str, u64)>,
    queue: Option<Queue>,
    last_error: Option<(String, UnixNanos)>,
}

/// What waits in front of an exporter.
#[derive(Debug)]
struct Queue {
    used: u64,
    capacity: Option<u64>,
    sizer: &'static str,
    memory_bytes: u64,
    disk_bytes: Option<u64>,
    sending: u64,
    consumers: u64,
    oldest: Option<UnixNanos>,
}

/// One pipeline and what it connects.
#[derive(Debug)]
struct Pipeline {
    component: Component,
    /// Positions among the receivers.
    from: Vec<usize>,
    /// Connectors that it gets batches from.
    connectors: Vec<String>,
    /// Processors; those of one list are fused into one pass.
    passes: Vec<Vec<String>>,
    /// What its `batch` became.
    merging: Option<String>,
    /// Positions among the exporters.
    to: Vec<usize>,
    /// Pipelines behind connectors.
    next: Vec<String>,
}

/// Answers a request for the page.
pub(super) fn respond(query: Option<&str>, sources: &Sources) -> Answer {
    let view = View::now(sources);
    let wants_json = query.is_some_and(|query| query.split('&').any(|pair| pair == "format=json"));
    let mut answer = if wants_json {
        answer(StatusCode::OK, "application/json", view.to_json().to_string())
    } else {
        answer(StatusCode::OK, "text/html; charset=utf-8", html::page(&view))
    };
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(policy) = HeaderValue::from_str(html::policy()) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    answer
}

impl View {
    fn now(sources: &Sources) -> Self {
        let graph = sources.graph();
        let snapshot = sources.ledger.snapshot();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            now: sources.health.now(),
            uptime_seconds: sources.health.uptime_nanos() as f64 / 1e9,
            accepting: sources.health.is_accepting(),
            reload: sources.health.reload_json(),
            reserved_bytes: sources.budget.used(),
            limit_bytes: sources.budget.limit(),
            resident_bytes: crate::files::resident_bytes(),
            receivers: receivers(&graph, &snapshot, &sources.rates),
            pipelines: graph
                .plan
                .pipelines
                .iter()
                .enumerate()
                .map(|(index, planned)| pipeline(index, planned, &graph, &snapshot, &sources.rates))
                .collect(),
            exporters: exporters(&graph, &snapshot, &sources.rates),
            extensions: graph.plan.extensions.iter().map(|(id, _)| id.to_string()).collect(),
        }
    }

    fn to_json(&self) -> Value {
        let of = |pipeline: &Pipeline| {
            let ids =
                |list: &[usize], of: &[Component]| list.iter().map(|index| of[*index].id.clone()).collect::<Vec<_>>();
            let mut json = pipeline.component.to_json(self.now);
            json.insert("from".to_owned(), ids(&pipeline.from, &self.receivers).into());
            json.insert("connectors".to_owned(), pipeline.connectors.clone().into());
            json.insert("passes".to_owned(), json!(pipeline.passes));
            json.insert("batch".to_owned(), json!(pipeline.merging));
            json.insert("to".to_owned(), ids(&pipeline.to, &self.exporters).into());
            json.insert("pipelines".to_owned(), pipeline.next.clone().into());
            Value::Object(json)
        };
        let components = |list: &[Component]| {
            list.iter().map(|component| Value::Object(component.to_json(self.now))).collect::<Vec<_>>()
        };
        json!({
            "version": self.version,
            "uptime_seconds": self.uptime_seconds,
            "accepting": self.accepting,
            "reload": self.reload,
            "memory": {
                "reserved_bytes": self.reserved_bytes, "limit_bytes": self.limit_bytes,
                "resident_bytes": self.resident_bytes,
            },
            "receivers": components(&self.receivers),
            "pipelines": self.pipelines.iter().map(of).collect::<Vec<_>>(),
            "exporters": components(&self.exporters),
            "extensions": self.extensions,
        })
    }
}

impl Component {
    fn to_json(&self, now: UnixNanos) -> Map<String, Value> {
        let numbers = |list: &[(&str, u64)]| {
            Value::Object(list.iter().map(|(name, number)| ((*name).to_owned(), (*number).into())).collect())
        };
        let queue = self.queue.as_ref().map(|queue| {
            json!({
                "used": queue.used, "capacity": queue.capacity, "sizer": queue.sizer,
                "memory_bytes": queue.memory_bytes, "disk_bytes": queue.disk_bytes,
                "sending": queue.sending, "consumers": queue.consumers,
                "oldest_seconds": queue.oldest.map(|oldest| now.nanos_since(oldest) as f64 / 1e9),
            })
        });
        let error = self.last_error.as_ref().map(|(message, at)| {
            json!({"message": message, "at_unix_nanos": at.0.to_string(), "seconds_ago": now.nanos_since(*at) as f64 / 1e9})
        });
        let fields = [
            ("id", self.id.clone().into()),
            ("signal", self.signal.name().into()),
            ("about", self.about.clone().into()),
            ("rate", json!({"second": self.rate.second, "minute": self.rate.minute})),
            ("totals", numbers(&self.totals)),
            ("refused", numbers(&self.refused)),
            ("dropped", numbers(&self.dropped)),
            ("queue", json!(queue)),
            ("last_error", json!(error)),
        ];
        fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }
}

fn receivers(graph: &Graph, snapshot: &Snapshot, rates: &Rates) -> Vec<Component> {
    let component = |(position, (id, signal)): (usize, &(ComponentId, Signal))| {
        let index = graph.accounts.receivers[position].0;
        let account = &snapshot.receivers[index];
        let listens = graph.addresses.iter().filter(|address| address.component == id.to_string());
        Component {
            id: id.to_string(),
            signal: *signal,
            about: listens.map(|address| format!("{} {}", address.protocol, address.address)).collect(),
            rate: rates.of(|snapshot| snapshot.receivers.get(index).map(|account| account.received)),
            totals: vec![
                ("received", account.received),
                ("accepted", account.accepted),
                ("invalid", account.rejected),
                ("pending", account.pending),
            ],
            refused: refused(&account.refused),
            dropped: Vec::new(),
            queue: None,
            last_error: None,
        }
    };
    graph.plan.receiver_accounts.iter().enumerate().map(component).collect()
}

fn pipeline(position: usize, planned: &PlannedPipeline, graph: &Graph, snapshot: &Snapshot, rates: &Rates) -> Pipeline {
    let index = graph.accounts.pipelines[position].0;
    let account = &snapshot.pipelines[index];
    let merging = planned.merging.as_ref().map(|batch| {
        format!("batch, merged at delivery: up to {} items or {:?}", batch.send_batch_size, batch.timeout)
    });
    Pipeline {
        component: Component {
            id: planned.id.to_string(),
            signal: planned.signal,
            about: Vec::new(),
            rate: rates.of(|snapshot| snapshot.pipelines.get(index).map(|account| account.entered)),
            totals: vec![
                ("in", account.entered),
                ("out", account.out),
                ("filtered", account.filtered),
                ("sampled out", account.sampled_out),
                ("held", account.held),
            ],
            refused: refused(&account.refused),
            dropped: dropped(&account.dropped),
            queue: None,
            last_error: None,
        },
        from: planned.receivers.iter().map(|receiver| receiver.0).collect(),
        connectors: planned.connectors.iter().map(ToString::to_string).collect(),
        passes: planned.passes.iter().map(|pass| pass.iter().map(|(id, _)| id.to_string()).collect()).collect(),
        merging,
        to: planned.exporters.iter().map(|exporter| exporter.0).collect(),
        next: planned.pipelines.iter().map(|(_, next)| graph.plan.pipelines[next.0].id.to_string()).collect(),
    }
}

fn exporters(graph: &Graph, snapshot: &Snapshot, rates: &Rates) -> Vec<Component> {
    let component = |position: usize| {
        let planned = &graph.plan.exporters[position];
        let index = graph.accounts.exporters[position].0;
        let account = &snapshot.exporters[index];
        let state = graph.deliveries.get(position).map(|delivery| delivery.snapshot());
        Component {
            id: planned.id.to_string(),
            signal: planned.signal,
            about: vec![target(&planned.config)],
            rate: rates.of(|snapshot| snapshot.exporters.get(index).map(|account| account.delivered)),
            totals: vec![
                ("delivered", account.delivered),
                ("queued", account.queued),
                ("of them on disk", account.stored),
                ("recovered", account.recovered),
            ],
            refused: refused(&account.refused),
            dropped: dropped(&account.dropped),
            last_error: state
                .as_ref()
                .and_then(|state| state.last_error.clone())
                .map(|error| (error.message, error.at)),
            queue: state.map(queue),
        }
    };
    (0..graph.plan.exporters.len()).map(component).collect()
}

fn queue(state: ExporterState) -> Queue {
    Queue {
        used: state.queue.map_or(0, |queue| queue.used),
        capacity: state.queue.map(|queue| queue.capacity),
        sizer: state.queue.map_or("requests", |queue| queue.sizer.name()),
        memory_bytes: state.memory_bytes,
        disk_bytes: state.disk.map(|disk| disk.file_bytes),
        sending: state.sending,
        consumers: state.consumers,
        oldest: state.oldest,
    }
}

/// Where an exporter sends to.
fn target(config: &Exporter) -> String {
    match config {
        Exporter::Store(store) => format!("the embedded store in {}", store.directory),
        Exporter::Debug(_) => "standard output".to_owned(),
        Exporter::File(file) => format!("the file {}", file.path),
        Exporter::OtlpGrpc(otlp) => format!("gRPC to {}", without_credentials(&otlp.endpoint)),
        Exporter::OtlpHttp(otlp) => format!("HTTP to {}", without_credentials(&otlp.endpoint)),
    }
}

/// An address without what stands before its `@`.
fn without_credentials(endpoint: &str) -> String {
    let (scheme, rest) = match endpoint.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), endpoint),
    };
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    format!("{scheme}{host}")
}

/// Reasons that occurred.
fn refused(refused: &Refused) -> Vec<(&'static str, u64)> {
    let all = RefusalReason::ALL.iter().map(|reason| (reason.name(), refused.of(*reason)));
    all.filter(|(_, items)| *items > 0).collect()
}

fn dropped(dropped: &Dropped) -> Vec<(&'static str, u64)> {
    let all = DropReason::ALL.iter().map(|reason| (reason.name(), dropped.of(*reason)));
    all.filter(|(_, items)| *items > 0).collect()
}

#[cfg(test)]
mod tests;
