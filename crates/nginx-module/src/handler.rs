//! What happens to a request, and in the life of a worker. Called by [`crate::ffi`] alone.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rootspan_wire::nginx::span;

use crate::config::{LocationConfig, MainConfig, Rate, Share, Text, TraceSetting};
use crate::context::{Context, Incoming, put_hex};
use crate::export::Exporter;
use crate::ffi::Request;
use crate::ids::IdSource;

/// What a worker has from its start to its end.
#[derive(Debug)]
struct Worker {
    ids: IdSource,
    /// `None` if there is no `otel_exporter`, or no thread could be started.
    exporter: Option<Exporter>,
    /// Losses that were reported, and nginx's clock when they were.
    reported: AtomicU64,
    reported_at_millis: AtomicU64,
}

/// Set once, after the fork. Never in the master, nor in the processes that look after caches.
static WORKER: OnceLock<Worker> = OnceLock::new();

/// The shortest time between two log lines about lost spans.
const REPORT_INTERVAL_MILLIS: u64 = 10_000;

// === the worker ===

/// Begins a worker.
///
/// # Errors
///
/// In words, for the error log; requests are served all the same, without spans.
pub(crate) fn start_worker(
    config: &MainConfig,
    host: &str,
    spawn: impl FnOnce(Box<dyn FnOnce() + Send>) -> std::io::Result<()>,
) -> Result<(), String> {
    let ids = IdSource::new().map_err(|error| format!("otel: no random numbers: {error}"))?;
    let started = config.exporter.as_ref().map(|exporter| Exporter::start(config, exporter, host, spawn)).transpose();
    let (exporter, outcome) = match started {
        Ok(exporter) => (exporter, Ok(())),
        Err(error) => (None, Err(format!("otel: cannot start the export thread: {error}"))),
    };
    let worker = Worker { ids, exporter, reported: AtomicU64::default(), reported_at_millis: AtomicU64::default() };
    if WORKER.set(worker).is_err() {
        return Err("otel: the worker was started twice".to_owned());
    }
    outcome
}

/// Ends it: sends what is left. Gives a line for the error log if spans were lost that no line told of.
pub(crate) fn stop_worker() -> Option<String> {
    let worker = WORKER.get()?;
    worker.exporter.as_ref()?.stop();
    worker.unreported_losses()
}

impl Worker {
    fn unreported_losses(&self) -> Option<String> {
        let losses = self.exporter.as_ref()?.losses();
        let total = losses.total();
        let before = self.reported.swap(total, Ordering::Relaxed);
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (total > before).then(|| {
            format!(
                "otel: {} spans dropped since the last report; in this worker so far: {} queue full, {} refused, {} unreachable",
                total - before,
                count(&losses.queue_full),
                count(&losses.refused),
                count(&losses.unreachable),
            )
        })
    }

    /// Reports losses in the error log, now and then.
    fn report(&self, request: Request<'_>) {
        let Some(exporter) = &self.exporter else { return };
        if exporter.losses().total() == self.reported.load(Ordering::Relaxed) {
            return;
        }
        let now = request.now_millis();
        let last = self.reported_at_millis.load(Ordering::Relaxed);
        if last != 0 && now.saturating_sub(last) < REPORT_INTERVAL_MILLIS {
            return;
        }
        self.reported_at_millis.store(now.max(1), Ordering::Relaxed);
        if let Some(line) = self.unreported_losses() {
            request.warn(&line);
        }
    }
}

// === a request ===

/// Before the request is served, in each location that it comes to: decides once, and rewrites its headers.
pub(crate) fn before(request: Request<'_>) {
    // A subrequest shares the headers of its request, and is part of its span.
    let Some(worker) = WORKER.get().filter(|_| request.is_main()) else { return };
    let known = request.context();
    if known.is_some_and(|context| context.decision().is_some()) {
        return;
    }
    let location = request.location();
    let mode = location.context_mode.unwrap_or_default();
    let Some((share, follows_parent)) = sampling(request, location) else { return };
    if share == Share::Nothing && !follows_parent && !mode.injects() {
        return;
    }
    let incoming = Incoming::collect(request.headers());
    let Some(context) = known.or_else(|| attach(request, worker, location, &incoming)) else { return };
    let decision = context.decide(share, follows_parent);
    context.remember_route(request.location_name());
    if !mode.injects() {
        return;
    }
    if decision.is_sampled && location.client_span == Some(true) {
        context.open_client_span(&worker.ids);
    }
    context.inject(&incoming, location.propagators.unwrap_or_default(), |name, value| {
        request.set_header(name, value);
    });
}

/// When the request is logged: makes its spans.
pub(crate) fn after(request: Request<'_>) {
    let Some(worker) = WORKER.get().filter(|_| request.is_main()) else { return };
    let Some(exporter) = &worker.exporter else { return };
    let location = request.location();
    let decided = request.context().filter(|context| context.decision().is_some());
    let context = match decided {
        Some(context) => context,
        // It never came to a location: a malformed request, or a redirect of the whole server.
        None => {
            let Some((share, follows_parent)) = sampling(request, location) else { return };
            if share == Share::Nothing && !follows_parent {
                return;
            }
            let Some(context) = ensure_context(request, worker) else { return };
            context.decide(share, follows_parent);
            context
        }
    };
    if context.decision().is_some_and(|decision| decision.is_sampled) {
        export(request, worker, exporter, context, location);
    }
    worker.report(request);
}

fn export(request: Request<'_>, worker: &Worker, exporter: &Exporter, context: &Context, location: &LocationConfig) {
    let mut served = request.served();
    // The page of an error belongs to the location that failed.
    if served.route.starts_with(b"@") {
        served.route = context.route().map_or(served.route, |route| request.config_text(route));
    }
    let place = context.place();
    let upstream = place.client_span_id.and_then(|_| request.upstream(context, served.ended));
    let name = location.span_name.as_ref().and_then(|name| evaluate(request, name));
    let attributes: Vec<_> = location
        .span_attributes
        .iter()
        .flat_map(|attributes| attributes.iter())
        .filter_map(|(key, value)| Some((key.as_str(), evaluate(request, value)?)))
        .collect();
    let count = 1 + upstream.as_ref().map_or(0, |upstream| upstream.tries.len());
    exporter.add(count, |out| {
        span::put_server(out, &place, &served, name, |out| {
            for (key, value) in &attributes {
                span::put_configured(out, key, value);
            }
        });
        if let Some(upstream) = &upstream {
            span::put_clients(out, &place, &served, upstream, |_| worker.ids.span_id());
        }
    });
}

/// What `otel_trace` says of this request; `None` if it says nothing.
fn sampling(request: Request<'_>, location: &LocationConfig) -> Option<(Share, bool)> {
    let Some(TraceSetting { rate, follows_parent }) = location.trace else { return Some((Share::Nothing, false)) };
    let share = match rate {
        Rate::Fixed(share) => share,
        Rate::Variable(value) => Share::parse(request.evaluate(value)?),
    };
    Some((share, follows_parent))
}

fn ensure_context<'r>(request: Request<'r>, worker: &Worker) -> Option<&'r Context> {
    if let Some(context) = request.context() {
        return Some(context);
    }
    attach(request, worker, request.location(), &Incoming::collect(request.headers()))
}

fn attach<'r>(
    request: Request<'r>,
    worker: &Worker,
    location: &LocationConfig,
    incoming: &Incoming<'_>,
) -> Option<&'r Context> {
    let extracts = location.context_mode.unwrap_or_default().extracts();
    let parent = extracts.then(|| incoming.extract(location.propagators.unwrap_or_default())).flatten();
    request.attach(Context::new(parent, &worker.ids, request.moment()))
}

fn evaluate<'a>(request: Request<'a>, text: &'a Text) -> Option<&'a [u8]> {
    match text {
        Text::Fixed(text) => Some(text.as_bytes()),
        Text::Variable(value) => request.evaluate(*value),
    }
}

// === variables ===

/// nginx's variables that the module adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variable {
    /// `$otel_trace_id`
    TraceId,
    /// `$otel_span_id`
    SpanId,
    /// `$otel_parent_id`
    ParentId,
    /// `$otel_parent_sampled`
    ParentSampled,
    /// `$otel_dropped_spans`: how many this worker lost.
    DroppedSpans,
}

/// Every variable with its name.
pub(crate) const VARIABLES: [(&str, Variable); 5] = [
    ("otel_trace_id", Variable::TraceId),
    ("otel_span_id", Variable::SpanId),
    ("otel_parent_id", Variable::ParentId),
    ("otel_parent_sampled", Variable::ParentSampled),
    ("otel_dropped_spans", Variable::DroppedSpans),
];

/// A variable's value; `None` if it cannot be had.
pub(crate) fn variable(request: Request<'_>, variable: Variable) -> Option<String> {
    let worker = WORKER.get()?;
    let hex = |bytes: &[u8]| {
        let mut digits = vec![0; bytes.len() * 2];
        put_hex(bytes, &mut digits);
        String::from_utf8(digits).ok()
    };
    let main = request.main();
    match variable {
        Variable::TraceId => hex(ensure_context(main, worker)?.trace_id.as_bytes()),
        Variable::SpanId => hex(ensure_context(main, worker)?.span_id.as_bytes()),
        Variable::ParentId => {
            let parent = ensure_context(main, worker)?.parent.span_id;
            if parent.is_valid() { hex(parent.as_bytes()) } else { Some(String::new()) }
        }
        Variable::ParentSampled => {
            let is_sampled = ensure_context(main, worker)?.parent.is_sampled == Some(true);
            Some(u8::from(is_sampled).to_string())
        }
        Variable::DroppedSpans => {
            Some(worker.exporter.as_ref().map_or(0, |exporter| exporter.losses().total()).to_string())
        }
    }
}
