//! `service`: which components run, how they are connected, and what the gateway tells of itself.

use rootspan_model::spelling::did_you_mean;
use rootspan_wire::otlp::payload::Signal;

use super::components::unknown_type;
use super::decode::Decode;
use super::id::ComponentId;
use super::node::{Entry, Node, Scalar, Value};
use super::problems::{Position, Problems};
use super::values::{Endpoint, choice};
use crate::config;

/// A component that something refers to, and where.
pub type Reference = (ComponentId, Position);

/// One pipeline as written.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// `traces` or `traces/name`.
    pub id: ComponentId,
    /// What it carries, as its id says.
    pub signal: Signal,
    /// Where it is declared.
    pub position: Position,
    /// Where its spans come from.
    pub receivers: Vec<Reference>,
    /// What is done to them, in order.
    pub processors: Vec<Reference>,
    /// Where they go, a copy to each.
    pub exporters: Vec<Reference>,
}

/// `service` as written.
#[derive(Clone, Debug)]
pub struct Service {
    /// Extensions that run.
    pub extensions: Vec<Reference>,
    /// Pipelines.
    pub pipelines: Vec<Pipeline>,
    /// The gateway's own logs and metrics.
    pub telemetry: TelemetryConfig,
}

config! {
    /// What the gateway tells of itself.
    pub struct TelemetryConfig {
        /// The gateway's own log.
        logs: LogsConfig,
        /// The gateway's own metrics, for Prometheus to scrape.
        metrics: MetricsConfig,
        /// Attributes of the gateway itself, in its metric `target_info`; `null` takes a standard one away.
        resource: ResourceAttributes,
    }
    ignored { "traces": "rootspan writes no traces of its own" }
}

config! {
    /// The gateway's own log.
    pub struct LogsConfig {
        /// Least severe entry that is written.
        level: LogLevel = "info",
        /// How an entry is written: for people or as JSON.
        encoding: LogEncoding = "console",
        /// Where entries go: `stderr`, `stdout` or paths of files, which are appended to.
        output_paths: Vec<String> = "[stderr]",
    }
    known { "processors" }
    ignored {
        "development": "it belongs to the collector's logging library",
        "disable_caller": "it belongs to the collector's logging library",
        "disable_stacktrace": "it belongs to the collector's logging library",
        "sampling": "rootspan writes no entry per span",
        "error_output_paths": "every entry goes to `output_paths`",
        "initial_fields": "it belongs to the collector's logging library",
    }
}

config! {
    /// The gateway's own metrics.
    pub struct MetricsConfig {
        /// `none` turns the metrics and their port off.
        level: MetricsLevel = "normal",
        /// Where Prometheus scrapes; the older form of `readers`.
        address: Option<Endpoint>,
        /// Where Prometheus scrapes.
        readers: Vec<MetricsReader>,
    }
    ignored { "views": "the set of metrics is fixed" }
}

config! {
    /// One reader of the metrics.
    pub struct MetricsReader {
        /// A reader that is scraped.
        pull: Option<PullReader>,
    }
    known { "periodic" }
}

config! {
    /// A reader that is scraped.
    pub struct PullReader {
        /// In which form.
        exporter: PullExporter,
    }
}

config! {
    /// The form of a scraped reader.
    pub struct PullExporter {
        /// The text format of Prometheus.
        prometheus: PrometheusReader,
    }
}

config! {
    /// The text format of Prometheus.
    pub struct PrometheusReader {
        /// Address to listen on.
        host: String = "127.0.0.1",
        /// Port to listen on.
        port: u16 = "8888",
        /// Leave `_total` off the names of counters under the collector's names.
        without_type_suffix: bool = "false",
        /// Leave units such as `_bytes` off the names under the collector's names.
        without_units: bool = "false",
    }
    ignored {
        "without_scope_info": "there is no scope information",
        "with_resource_constant_labels": "`target_info` carries the resource",
    }
}

impl TelemetryConfig {
    /// Where the metrics are served; `None` if they are off.
    #[must_use]
    pub fn metrics_endpoint(&self) -> Option<Endpoint> {
        if self.metrics.level == MetricsLevel::None {
            return None;
        }
        let readers = self.metrics.readers.iter().filter_map(|reader| reader.pull.as_ref());
        let read = readers.map(|pull| &pull.exporter.prometheus).next();
        let read = read.map(|prometheus| Endpoint { host: prometheus.host.clone(), port: prometheus.port });
        let default = || Endpoint { host: "127.0.0.1".to_owned(), port: 8888 };
        Some(read.or_else(|| self.metrics.address.clone()).unwrap_or_else(default))
    }

    /// How metrics under the collector's names are spelled. Without a reader of its own, the collector spells them
    /// plainly; with one, as the reader says.
    #[must_use]
    pub fn metric_names(&self) -> MetricNames {
        let reader = self.metrics.readers.iter().filter_map(|reader| reader.pull.as_ref()).next();
        reader.map_or(MetricNames { type_suffix: false, units: false }, |pull| MetricNames {
            type_suffix: !pull.exporter.prometheus.without_type_suffix,
            units: !pull.exporter.prometheus.without_units,
        })
    }

    /// Decodes, and says what is older than it should be.
    pub(crate) fn decode_checked(node: &Node, problems: &mut Problems) -> Option<Self> {
        let metrics = node.structure().get("metrics").map(|metrics| metrics.value.structure());
        if let Some(address) = metrics.and_then(|metrics| metrics.get("address")) {
            let has_readers = metrics.is_some_and(|metrics| metrics.get("readers").is_some());
            problems.warning(
                &address.position,
                if has_readers {
                    "`address` is retired in the collector and has no effect beside `readers`: say it there"
                } else {
                    "`address` is retired in the collector and still honoured here; `readers` takes its place"
                },
            );
        }
        Self::decode(node, problems)
    }
}

/// How metrics under the collector's names are spelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MetricNames {
    /// `_total` behind counters.
    pub type_suffix: bool,
    /// `_bytes`, `_seconds` behind quantities.
    pub units: bool,
}

/// Attributes of the gateway itself; without a value, one that is not wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceAttributes(pub Vec<(String, Option<String>)>);

impl Decode for ResourceAttributes {
    const KIND: &'static str = "a map of attributes";
    const ACCEPTS_NULL: bool = true;
    const STRUCTURED: bool = true;
    const OPTIONAL: bool = true;

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let node = node.structure();
        let entries = match &node.value {
            Value::Map(entries) => entries,
            _ if node.is_null() => return Some(Self::default()),
            Value::Scalar(_) | Value::List(_) => {
                problems.error(&node.position, format!("expected {}, found {}", Self::KIND, node.describe()));
                return None;
            }
        };
        let attribute = |entry: &Entry, problems: &mut Problems| {
            let value = if entry.value.is_null() { None } else { Some(String::decode(&entry.value, problems)?) };
            Some((entry.key.clone(), value))
        };
        entries.iter().map(|entry| attribute(entry, problems)).collect::<Option<_>>().map(Self)
    }

    fn absent(_position: &Position, _problems: &mut Problems) -> Option<Self> {
        Some(Self::default())
    }
}

/// Least severe entry of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// What an operator asked for.
    Info,
    /// Unexpected, nothing lost.
    Warn,
    /// A person must act.
    Error,
}

impl Decode for LogLevel {
    const KIND: &'static str = "debug, info, warn or error";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let choices = [("debug", Self::Debug), ("info", Self::Info), ("warn", Self::Warn), ("error", Self::Error)];
        // Beyond errors the collector's logger knows ends of the process, which rootspan does not log.
        let more = [("dpanic", Self::Error), ("panic", Self::Error), ("fatal", Self::Error)];
        let is_more = |scalar: &Scalar| more.iter().any(|(name, _)| scalar.text.eq_ignore_ascii_case(name));
        let choices = match &node.value {
            Value::Scalar(scalar) if is_more(scalar) => more.as_slice(),
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => choices.as_slice(),
        };
        choice(node, problems, choices)
    }
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogEncoding {
    /// For people.
    Console,
    /// One JSON object a line.
    Json,
}

impl Decode for LogEncoding {
    const KIND: &'static str = "console or json";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        choice(node, problems, &[("console", Self::Console), ("json", Self::Json)])
    }
}

/// How much is measured; rootspan knows only off and on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsLevel {
    /// Nothing, and no port.
    None,
    /// Everything; `basic`, `normal` and `detailed` are the same.
    All,
}

impl Decode for MetricsLevel {
    const KIND: &'static str = "none, basic, normal or detailed";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let choices = [("none", Self::None), ("basic", Self::All), ("normal", Self::All), ("detailed", Self::All)];
        choice(node, problems, &choices)
    }
}

/// Reads `service`. The references are checked against the definitions by the caller.
pub(crate) fn decode_service(entry: Option<&Entry>, root: &Position, problems: &mut Problems) -> Option<Service> {
    let Some(entry) = entry else {
        problems.error(root, "the section `service` is missing: without it nothing runs");
        return None;
    };
    let node = entry.value.resolved(problems);
    let Value::Map(keys) = &node.value else {
        problems.error(&entry.position, format!("expected a map of keys, found {}", node.describe()));
        return None;
    };
    const KEYS: [&str; 3] = ["extensions", "pipelines", "telemetry"];
    for key in keys.iter().filter(|key| !KEYS.contains(&key.key.as_str())) {
        problems.error(&key.position, format!("unknown key `{}`{}", key.key, did_you_mean(&key.key, KEYS)));
    }
    let telemetry = match node.get("telemetry") {
        Some(telemetry) => TelemetryConfig::decode_checked(&telemetry.value, problems),
        None => TelemetryConfig::absent(&node.position, problems),
    };
    let extensions = node.get("extensions").map(|list| references(&list.value, problems)).unwrap_or_default();
    let pipelines = match node.get("pipelines") {
        Some(pipelines) => decode_pipelines(pipelines, problems),
        None => {
            problems.error(&entry.position, "`service` has no `pipelines`: without one nothing is received");
            Vec::new()
        }
    };
    Some(Service { extensions, pipelines, telemetry: telemetry? })
}

fn decode_pipelines(entry: &Entry, problems: &mut Problems) -> Vec<Pipeline> {
    let node = entry.value.resolved(problems);
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => {
            entries.iter().filter_map(|entry| decode_pipeline(entry, problems)).collect()
        }
        _ => {
            problems.error(&entry.position, "`pipelines` has no pipeline: without one nothing is received");
            Vec::new()
        }
    }
}

fn decode_pipeline(entry: &Entry, problems: &mut Problems) -> Option<Pipeline> {
    let id = match ComponentId::parse(&entry.key) {
        Ok(id) => id,
        Err(reason) => {
            problems.error(&entry.position, reason);
            return None;
        }
    };
    let signal = match id.kind.as_str() {
        "traces" => Signal::Traces,
        "metrics" => Signal::Metrics,
        "logs" => Signal::Logs,
        "profiles" => {
            let message = format!("the pipeline `{id}` carries profiles: rootspan carries traces, metrics and logs");
            problems.error(&entry.position, message);
            return None;
        }
        other => {
            let message = unknown_type("signal", other, ["traces", "metrics", "logs"].into_iter(), &[]);
            problems.error(&entry.position, message);
            return None;
        }
    };
    let node = entry.value.resolved(problems);
    const KEYS: [&str; 3] = ["receivers", "processors", "exporters"];
    if let Value::Map(keys) = &node.value {
        for key in keys.iter().filter(|key| !KEYS.contains(&key.key.as_str())) {
            problems.error(&key.position, format!("unknown key `{}`{}", key.key, did_you_mean(&key.key, KEYS)));
        }
    }
    let mut list = |key: &str| node.get(key).map(|list| references(&list.value, problems)).unwrap_or_default();
    let [receivers, processors, exporters] = KEYS.map(&mut list);
    for (key, list) in [("receivers", &receivers), ("exporters", &exporters)] {
        if list.is_empty() {
            problems.error(&entry.position, format!("the pipeline `{id}` has no {key}"));
        }
    }
    Some(Pipeline { id, signal, position: entry.position.clone(), receivers, processors, exporters })
}

/// A list of ids, each with its place; an id given twice is a mistake.
fn references(node: &Node, problems: &mut Problems) -> Vec<Reference> {
    let node = node.resolved(problems);
    let items = match &node.value {
        Value::List(items) => items.as_slice(),
        Value::Scalar(_) if node.is_null() => &[],
        Value::Scalar(_) => std::slice::from_ref(&node),
        Value::Map(_) => {
            problems.error(&node.position, "expected a list of component ids, found a map");
            &[]
        }
    };
    let mut found: Vec<Reference> = Vec::new();
    for item in items {
        let Some((id, position)) = ComponentId::decode(item, problems) else { continue };
        if found.iter().any(|(earlier, _)| *earlier == id) {
            problems.error(&position, format!("`{id}` is given twice in this list"));
        } else {
            found.push((id, position));
        }
    }
    found
}
