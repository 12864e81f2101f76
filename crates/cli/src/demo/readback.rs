//! Reads the demo's traces back over HTTP, as any client would, until they agree with the ledger or time is up.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use rootspan_demo::check::{self, Outcome, Report, Request, Trace};
use rootspan_edge::emulator::Summary;
use rootspan_model::conventions::{cloudfront, db, error, http};
use rootspan_model::ids::TraceId;
use rootspan_model::span::{SpanKind, StatusCode};
use rootspan_query::client::{Client, SearchParameters};
use rootspan_wire::otlp::batch::TraceBatch;
use rootspan_wire::otlp::view::{AnyValue, Span};

/// The last records and spans were sent before this begins; a trace that is not there by then is missing.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two readings.
const PAUSE: Duration = Duration::from_millis(500);

/// Compares the requests of `summary` with every trace of the server at `ui`.
pub(crate) async fn compare(ui: SocketAddr, summary: &Summary, has_nginx: bool) -> anyhow::Result<Report> {
    let requests: Vec<Request> = summary
        .ledger
        .iter()
        .map(|entry| Request {
            request_id: entry.request_id.clone(),
            trace_id: entry.trace_id,
            method: entry.method.clone(),
            path: entry.path.clone(),
            // A request that the function did not see has a span with derived ids, which is always kept.
            sampled: entry.sampled.unwrap_or(true),
            origin_asked: entry.asked_origin,
            outcome: Outcome { status: entry.status, result: entry.result_type.name().to_owned() },
        })
        .collect();
    let first = summary.ledger.iter().map(|entry| entry.start_unix_millis).min().unwrap_or_default();
    let client = Client::new(&format!("http://{ui}"), None)?;
    let give_up = tokio::time::Instant::now() + PATIENCE;
    loop {
        let traces = read_all(&client, first).await?;
        let report = check::compare(&requests, &traces, has_nginx);
        if report.agrees() || tokio::time::Instant::now() > give_up {
            return Ok(report);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Every trace that has a span since `first`, page by page.
async fn read_all(client: &Client, first: u64) -> anyhow::Result<BTreeMap<TraceId, Trace>> {
    let mut traces = BTreeMap::new();
    let mut parameters = SearchParameters {
        query: "{}".to_owned(),
        // A folder that was there before may hold older traces.
        start: Some((first * 1_000_000).to_string()),
        limit: Some(200),
        ..SearchParameters::default()
    };
    loop {
        let page = client.search(&parameters).await?;
        for row in &page.traces {
            let id = TraceId::from_hex(&row.trace_id).context("the server's trace id is none")?;
            let batch = client.trace(&id).await?.with_context(|| format!("trace {id} was found, but is not there"))?;
            traces.insert(id, observed(&batch));
        }
        match page.next_cursor {
            Some(cursor) => parameters.cursor = Some(cursor),
            None => return Ok(traces),
        }
    }
}

fn observed(batch: &TraceBatch) -> Trace {
    let mut trace = Trace::default();
    let mut by_id = BTreeMap::new();
    let mut tries = Vec::new();
    for span in batch.spans() {
        let service = span.resource.service_name().to_owned();
        if span.span.is_root() {
            trace.roots.push(service.clone());
        }
        if service == check::CDN {
            trace.cdn = Some((outcome(span.span), span.span.status() == StatusCode::Error));
        }
        let kind = span.span.kind();
        if service == check::NGINX && kind == SpanKind::Client {
            let error = span.span.attribute(error::TYPE).and_then(|value| value.as_str().map(str::to_owned));
            tries.push((span.span.start, span.span.end, error.unwrap_or_default()));
        }
        by_id.insert(span.span.span_id, (service.clone(), kind, span.span.parent_span_id));
        trace.services.insert(service);
        trace.database_spans += usize::from(span.span.attribute(db::SYSTEM_NAME).is_some());
    }
    tries.sort();
    trace.nginx_tries = tries.into_iter().map(|(.., error)| error).collect();
    let is_edge = |service: &str| service == check::NGINX || service == check::CDN;
    for (service, kind, parent) in by_id.values() {
        if let Some((parent_service, parent_kind, _)) = by_id.get(parent)
            && (is_edge(service) || is_edge(parent_service))
        {
            trace.edges.insert(format!("{service} {} < {parent_service} {}", name(*kind), name(*parent_kind)));
        }
    }
    trace
}

/// What a span of the CDN says of its request's end.
fn outcome(span: Span<'_>) -> Outcome {
    let status = match span.attribute(http::RESPONSE_STATUS_CODE) {
        Some(AnyValue::Int(status)) => u16::try_from(status).unwrap_or_default(),
        _ => 0,
    };
    let result = match span.attribute(cloudfront::RESULT_TYPE) {
        Some(AnyValue::String(result)) => result.to_owned(),
        _ => String::new(),
    };
    Outcome { status, result }
}

const fn name(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
        SpanKind::Internal => "internal",
        SpanKind::Unspecified => "unspecified",
    }
}
