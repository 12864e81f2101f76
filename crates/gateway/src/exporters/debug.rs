//! `debug` (formerly `logging`): prints what arrives on standard output.
//!
//! ```yaml
//! exporters:
//!   debug:
//!     verbosity: detailed   # basic (counts), normal (a line per span, data point, log record), detailed (everything)
//! ```

mod logs;
mod metrics;

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;

use rootspan_wire::otlp::batch::{SpanInBatch, TraceBatch};
use rootspan_wire::otlp::payload::Payload;
use rootspan_wire::otlp::raw::RawMessage;
use rootspan_wire::otlp::view::{AnyValue, KeyValue};

use super::{Export, Exported, Exporter};
use crate::ack::Refusal;
use crate::batch::Batch;
use crate::config;
use crate::config::decode::Decode;
use crate::config::node::Node;
use crate::config::problems::Problems;
use crate::config::values::choice;
use crate::ledger::RefusalReason;
use crate::tasks;

config! {
    /// Prints what arrives on standard output.
    pub struct DebugConfig {
        /// How much: a line per batch, a line per span, data point or log record, or everything.
        verbosity: Option<Verbosity>,
        /// The older name of `verbosity`: info, debug, …
        loglevel: Option<LegacyLevel>,
    }
    ignored {
        "sampling_initial": "every batch is printed",
        "sampling_thereafter": "every batch is printed",
        "use_internal_logger": "the text goes to standard output",
        "output_paths": "the text goes to standard output",
    }
}

/// How much is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// A line per batch.
    Basic,
    /// A line per span.
    Normal,
    /// Everything.
    Detailed,
}

impl Decode for Verbosity {
    const KIND: &'static str = "basic, normal or detailed";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        choice(node, problems, &[("basic", Self::Basic), ("normal", Self::Normal), ("detailed", Self::Detailed)])
    }
}

/// The values of `loglevel`, as the collector translated them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LegacyLevel(Verbosity);

impl Decode for LegacyLevel {
    const KIND: &'static str = "debug, info, warn or error";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let (detailed, normal, basic) = (Verbosity::Detailed, Verbosity::Normal, Verbosity::Basic);
        choice(node, problems, &[("debug", detailed), ("info", normal), ("warn", basic), ("error", basic)]).map(Self)
    }
}

impl DebugConfig {
    /// What is printed.
    #[must_use]
    pub fn verbosity(&self) -> Verbosity {
        self.verbosity.or(self.loglevel.map(|level| level.0)).unwrap_or(Verbosity::Basic)
    }
}

/// Where the text goes.
pub type Output = Arc<dyn Fn(&str) + Send + Sync>;

/// The exporter.
pub(crate) struct DebugExporter {
    id: String,
    verbosity: Verbosity,
    output: Output,
}

impl std::fmt::Debug for DebugExporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DebugExporter")
            .field("id", &self.id)
            .field("verbosity", &self.verbosity)
            .finish_non_exhaustive()
    }
}

impl DebugExporter {
    pub(crate) fn new(id: String, config: &DebugConfig, output: Output) -> Self {
        Self { id, verbosity: config.verbosity(), output }
    }
}

/// Standard output; one write per batch, so that batches do not mix.
pub(crate) fn standard_output() -> Output {
    Arc::new(|text| {
        // A closed pipe is the reader's decision.
        drop(std::io::stdout().lock().write_all(text.as_bytes()));
    })
}

impl Exporter for DebugExporter {
    fn export(&self, batch: Batch) -> Export {
        let (id, verbosity, output) = (self.id.clone(), self.verbosity, Arc::clone(&self.output));
        Box::pin(async move {
            // A terminal may take its time.
            let print = move || output(&print(&id, verbosity, batch.payload()));
            match tasks::blocking("debug exporter", print).await {
                Some(()) => Exported::DELIVERED,
                None => Exported::Failed(Refusal::never(RefusalReason::Unavailable, "the batch could not be printed")),
            }
        })
    }
}

/// A batch as text.
fn print(id: &str, verbosity: Verbosity, payload: &Payload) -> String {
    match payload {
        Payload::Traces(traces) => print_traces(id, verbosity, traces),
        Payload::Metrics(metrics) => metrics::print(id, verbosity, metrics.bytes(), payload.items()),
        Payload::Logs(logs) => logs::print(id, verbosity, logs.bytes(), payload.items()),
    }
}

fn print_traces(id: &str, verbosity: Verbosity, batch: &TraceBatch) -> String {
    let mut text = String::new();
    let resources = batch.request().resource_spans().count();
    line(&mut text, 0, format_args!("{id}: traces, resource spans: {resources}, spans: {}", batch.span_count()));
    match verbosity {
        Verbosity::Basic => {}
        Verbosity::Normal => batch.spans().for_each(|span| print_line(&mut text, &span)),
        Verbosity::Detailed => {
            let mut before: Option<(usize, usize)> = None;
            for span in batch.spans() {
                print_surroundings(&mut text, &span, before);
                before = Some((span.resource_index, span.scope_index));
                print_span(&mut text, &span);
            }
        }
    }
    text
}

fn line(text: &mut String, indent: usize, words: std::fmt::Arguments<'_>) {
    for _ in 0..indent {
        text.push_str("    ");
    }
    if text.write_fmt(words).is_err() {
        debug_assert!(false, "writing to a string does not fail");
    }
    // A field without a value leaves no space behind.
    text.truncate(text.trim_end_matches(' ').len());
    text.push('\n');
}

/// `service name trace span kind duration key=value …`
fn print_line(text: &mut String, item: &SpanInBatch<'_>) {
    let span = &item.span;
    let milliseconds = std::time::Duration::from_nanos(span.duration_nanos());
    let attributes = attributes_text(span.attributes());
    let service = item.resource.service_name();
    let (kind, status) = (span.kind().name(), span.status().name());
    let words = format_args!(
        "{service} {} {} {} {kind} {status} {milliseconds:?}{attributes}",
        span.name, span.trace_id, span.span_id
    );
    line(text, 0, words);
}

/// ` key=value` for each.
fn attributes_text<'a>(attributes: impl Iterator<Item = KeyValue<'a>>) -> String {
    attributes.map(|attribute| format!(" {}={}", attribute.key, value_text(&attribute.value))).collect()
}

/// The name of the service whose `ResourceMetrics` or `ResourceLogs` it is.
fn service_of(resource_items: RawMessage<'_>) -> String {
    let name = resource_items.message(1).and_then(|resource| resource.attribute(1, "service.name"));
    name.map(|name| value_text(&name)).unwrap_or_default()
}

/// What stands around metrics or logs.
struct Surroundings {
    /// `Metrics` or `Logs`.
    kind: &'static str,
}

impl Surroundings {
    fn print_resource(&self, text: &mut String, number: usize, items: RawMessage<'_>) {
        line(text, 0, format_args!("Resource{} #{number}", self.kind));
        line(text, 0, format_args!("Resource SchemaURL: {}", items.text(3)));
        if let Some(resource) = items.message(1) {
            print_attributes(text, "Resource attributes:", 0, resource.attributes(1));
        }
    }

    fn print_scope(&self, text: &mut String, number: usize, items: RawMessage<'_>) {
        line(text, 0, format_args!("Scope{} #{number}", self.kind));
        line(text, 0, format_args!("Scope{} SchemaURL: {}", self.kind, items.text(3)));
        if let Some(scope) = items.message(1) {
            line(text, 0, format_args!("InstrumentationScope {} {}", scope.text(1), scope.text(2)));
            print_attributes(text, "InstrumentationScope attributes:", 0, scope.attributes(3));
        }
    }
}

/// Resource and scope, where they differ from those of the span before.
fn print_surroundings(text: &mut String, item: &SpanInBatch<'_>, before: Option<(usize, usize)>) {
    if before.is_none_or(|(resource, _)| resource != item.resource_index) {
        line(text, 0, format_args!("ResourceSpans #{}", item.resource_index));
        line(text, 0, format_args!("Resource SchemaURL: {}", item.resource.schema_url));
        print_attributes(text, "Resource attributes:", 0, item.resource.attributes());
    }
    if before.is_none_or(|(_, scope)| scope != item.scope_index) {
        line(text, 0, format_args!("ScopeSpans #{}", item.scope_index));
        line(text, 0, format_args!("InstrumentationScope {} {}", item.scope.name, item.scope.version));
    }
}

fn print_span(text: &mut String, item: &SpanInBatch<'_>) {
    let span = &item.span;
    line(text, 0, format_args!("Span #{}", item.index));
    let mut field = |name: &str, value: &dyn std::fmt::Display| line(text, 1, format_args!("{name:<14} : {value}"));
    field("Trace ID", &span.trace_id);
    if span.is_root() {
        field("Parent ID", &"");
    } else {
        field("Parent ID", &span.parent_span_id);
    }
    field("ID", &span.span_id);
    field("Name", &span.name);
    field("Kind", &span.kind().name());
    field("Start time", &span.start.0);
    field("End time", &span.end.0);
    field("Status code", &span.status().name());
    field("Status message", &span.status_message);
    if !span.trace_state.is_empty() {
        field("TraceState", &span.trace_state);
    }
    print_attributes(text, "Attributes:", 0, span.attributes());
    for (index, event) in span.events().enumerate() {
        line(text, 0, format_args!("SpanEvent #{index}"));
        line(text, 1, format_args!("-> Name: {}", event.name));
        line(text, 1, format_args!("-> Timestamp: {}", event.time.0));
        print_attributes(text, "-> Attributes:", 1, event.attributes());
    }
    for (index, link) in span.links().enumerate() {
        line(text, 0, format_args!("SpanLink #{index}"));
        line(text, 1, format_args!("-> Trace ID: {}", hexadecimal(link.trace_id)));
        line(text, 1, format_args!("-> ID: {}", hexadecimal(link.span_id)));
        print_attributes(text, "-> Attributes:", 1, link.attributes());
    }
}

fn print_attributes<'a>(text: &mut String, title: &str, indent: usize, attributes: impl Iterator<Item = KeyValue<'a>>) {
    for (index, attribute) in attributes.enumerate() {
        if index == 0 {
            line(text, indent, format_args!("{title}"));
        }
        line(text, indent + 1, format_args!("-> {}: {}", attribute.key, typed_text(&attribute.value)));
    }
}

/// `Str(GET)`, as the collector prints values.
fn typed_text(value: &AnyValue<'_>) -> String {
    let kind = match value {
        AnyValue::Empty => return "Empty()".to_owned(),
        AnyValue::String(_) => "Str",
        AnyValue::Bool(_) => "Bool",
        AnyValue::Int(_) => "Int",
        AnyValue::Double(_) => "Double",
        AnyValue::Bytes(_) => "Bytes",
        AnyValue::Array(_) => "Slice",
        AnyValue::KeyValueList(_) => "Map",
    };
    format!("{kind}({})", value_text(value))
}

fn value_text(value: &AnyValue<'_>) -> String {
    match value {
        AnyValue::Empty => String::new(),
        AnyValue::String(text) => (*text).to_owned(),
        AnyValue::Bool(value) => value.to_string(),
        AnyValue::Int(value) => value.to_string(),
        AnyValue::Double(value) => value.to_string(),
        AnyValue::Bytes(bytes) => hexadecimal(bytes),
        AnyValue::Array(array) => {
            let values: Vec<String> = array.values().map(|value| value_text(&value)).collect();
            format!("[{}]", values.join(","))
        }
        AnyValue::KeyValueList(list) => {
            let pairs: Vec<String> =
                list.values().map(|pair| format!("{}:{}", pair.key, value_text(&pair.value))).collect();
            format!("{{{}}}", pairs.join(","))
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
