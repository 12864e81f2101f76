//! The phases of the benchmark, each on a folder of its own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::ask::{Asker, encode};
use crate::disk::Probe;
use crate::sender::{self, Sent, quantile};
use crate::server::{Server, bytes_below, evict};
use crate::workload::Workload;

/// Requests under way at once.
const IN_FLIGHT: usize = 8;

/// The paced load: 50 requests of a thousand spans a second, for twenty seconds.
const PACED_SPANS: u64 = 1_000_000;
const PACED_INTERVAL: Duration = Duration::from_millis(20);

/// The load that is killed, and the one whose roots come late.
const KILL_SPANS: u64 = 200_000;
const LATE_SPANS: u64 = 100_000;

/// Times that a query is asked for its median.
const REPEATS: usize = 21;

/// A line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) value: String,
}

fn row(name: &str, value: String) -> Row {
    eprintln!("{name}: {value}");
    Row { name: name.to_owned(), value }
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1000.0)
}

/// Runs the phase called `only`, or every one.
pub(crate) async fn all(binary: &Path, folder: &Path, spans: u64, only: Option<&str>) -> anyhow::Result<Vec<Row>> {
    const PHASES: [&str; 4] = ["ingest", "paced", "kill", "late"];
    ensure!(only.is_none_or(|only| PHASES.contains(&only)), "the phases are {}", PHASES.join(", "));
    let wanted = |phase| only.is_none_or(|only| only == phase);
    let mut rows = Vec::new();
    if wanted("ingest") {
        eprintln!("generating {spans} spans");
        let workload = Workload::generate(spans, 1, Duration::ZERO)?;
        let per_span = workload.bytes() / spans.max(1);
        rows.push(row("workload", format!("{spans} spans, {} traces, {per_span} B/span", workload.truth.traces)));
        let data = fresh(folder, "ingest")?;
        ingest(binary, &data, &workload, &mut rows).await?;
        queries(binary, &data, &workload, &mut rows).await?;
    }
    if wanted("paced") {
        paced(binary, &fresh(folder, "paced")?, &mut rows).await?;
    }
    if wanted("kill") {
        kill(binary, &fresh(folder, "kill")?, &mut rows).await?;
    }
    if wanted("late") {
        late(binary, &fresh(folder, "late")?, &mut rows).await?;
    }
    Ok(rows)
}

fn fresh(folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let path = folder.join(name);
    std::fs::create_dir_all(&path)?;
    Ok(path)
}

/// As fast as it is acknowledged: CPU, memory, disk.
async fn ingest(binary: &Path, folder: &Path, workload: &Workload, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let server = Server::start(binary, folder)?;
    rows.push(row("process start to ready, empty store", milliseconds(server.ready)));
    let before = server.usage()?;
    let sent = sender::load(&server.otlp, Arc::clone(&workload.payloads), IN_FLIGHT, None).await?;
    let after = server.usage()?;
    ensure!(sent.failed == 0, "{} requests were not acknowledged", sent.failed);
    let spans: u64 = workload.spans.iter().sum();
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rate = spans as f64 / sent.wall.as_secs_f64();
    rows.push(row("ingest, 8 requests under way, cores shared with the sender", format!("{rate:.0} spans/s")));
    rows.push(row("ack p50 / p99, 8 under way", latencies(&sent)));
    rows.push(row("CPU until the last ack", seconds(after.cpu.saturating_sub(before.cpu))));
    rows.push(row("peak RSS while ingesting", format!("{} MB", after.peak_rss / 1_000_000)));
    let whole = server.stop()?;
    rows.push(row("CPU of the whole life, durable and sealed", seconds(whole)));
    let bytes = bytes_below(&folder.join("data"))?;
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    let per_span = bytes as f64 / spans as f64;
    rows.push(row("disk, everything in the store's folder", format!("{per_span:.1} B/span")));
    Ok(())
}

fn latencies(sent: &Sent) -> String {
    let (middle, tail) = (quantile(&sent.latencies, 0.5), quantile(&sent.latencies, 0.99));
    format!("{} / {}", milliseconds(middle), milliseconds(tail))
}

/// The questions of the page, cold and warm, and the count of everything.
async fn queries(binary: &Path, folder: &Path, workload: &Workload, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    evict(&folder.join("data"))?;
    let server = Server::start(binary, folder)?;
    rows.push(row("process start to ready, full store, cold", milliseconds(server.ready)));
    let mut asker = Asker::connect(&server.query).await?;
    let samples = &workload.truth.samples;
    let sample = samples.first().context("the generator samples traces")?;
    let by_id = |id: &rootspan_model::ids::TraceId| format!("/api/v1/traces/{id}");
    let cold = asker.get(&by_id(&sample.trace_id)).await?.latency;
    rows.push(row("trace by id, OTLP JSON: the very first, cold", milliseconds(cold)));
    for pass in ["for the first time", "again"] {
        let mut latencies = Vec::new();
        for sample in samples.iter().take(200) {
            let answer = asker.get(&by_id(&sample.trace_id)).await?;
            let found = count_spans(&answer.json);
            ensure!(found == sample.spans, "trace {} has {found} spans, not {}", sample.trace_id, sample.spans);
            latencies.push(answer.latency);
        }
        latencies.sort_unstable();
        let name = format!("trace by id: 200 others {pass}, median / p99");
        let (middle, tail) = (quantile(&latencies, 0.5), quantile(&latencies, 0.99));
        rows.push(row(&name, format!("{} / {}", milliseconds(middle), milliseconds(tail))));
    }

    let marker = workload.truth.markers.first().context("the generator sets markers")?;
    let service = workload.truth.service_spans.keys().find(|name| **name != "cloudfront" && **name != "nginx");
    let service = service.copied().context("there are services")?;
    let searches = [
        ("service + duration, newest 20", format!("{{ resource.service.name = \"{service}\" && duration > 200ms }}")),
        ("errors, newest 20", "{ status = error }".to_owned()),
        ("rare attribute, one value", format!("{{ span.app.debug.marker = \"{}\" }}", marker.value)),
        ("attribute that nobody has", "{ span.app.nothing = \"x\" }".to_owned()),
        ("everything, newest 20", "{}".to_owned()),
    ];
    for (name, query) in searches {
        let path = format!("/api/v1/search?limit=20&q={}", encode(&query));
        let first = asker.get(&path).await?;
        let found = first.json["traces"].as_array().map_or(0, Vec::len);
        let warm = median(&mut asker, &path).await?;
        let name = format!("search: {name} ({found} found): first / median");
        rows.push(row(&name, format!("{} / {}", milliseconds(first.latency), milliseconds(warm))));
    }
    for (name, path) in [
        ("services", "/api/v1/services".to_owned()),
        ("operations of a service", format!("/api/v1/operations?service={service}")),
    ] {
        let warm = median(&mut asker, &path).await?;
        rows.push(row(name, milliseconds(warm)));
    }
    let (traces, spans) = asker.count("{}").await?;
    let lost = workload.truth.spans.saturating_sub(spans);
    rows.push(row("spans lost (search through all pages)", lost.to_string()));
    ensure!(traces == workload.truth.traces, "{traces} traces found, {} sent", workload.truth.traces);
    rows.push(row("peak RSS while answering", format!("{} MB", server.usage()?.peak_rss / 1_000_000)));
    server.stop()?;
    Ok(())
}

async fn median(asker: &mut Asker, path: &str) -> anyhow::Result<Duration> {
    let mut latencies = Vec::new();
    for _ in 0..REPEATS {
        latencies.push(asker.get(path).await?.latency);
    }
    latencies.sort_unstable();
    Ok(quantile(&latencies, 0.5))
}

fn count_spans(json: &serde_json::Value) -> u64 {
    let empty = Vec::new();
    let resources = json["resourceSpans"].as_array().unwrap_or(&empty);
    let scopes = resources.iter().filter_map(|resource| resource["scopeSpans"].as_array()).flatten();
    scopes.filter_map(|scope| scope["spans"].as_array()).map(|spans| spans.len() as u64).sum()
}

/// Acknowledgement under a steady load, beside the disk's own sync.
async fn paced(binary: &Path, folder: &Path, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let workload = Workload::generate(PACED_SPANS, 2, Duration::ZERO)?;
    let server = Server::start(binary, folder)?;
    let probe = Probe::start(folder.join("probe"));
    let sent = sender::load(&server.otlp, Arc::clone(&workload.payloads), 256, Some(PACED_INTERVAL)).await?;
    let disk = probe.stop()?;
    ensure!(sent.failed == 0, "{} requests were not acknowledged", sent.failed);
    rows.push(row("ack p50 / p99 at 50,000 spans/s, from the planned time", latencies(&sent)));
    let (middle, tail) = (quantile(&disk, 0.5), quantile(&disk, 0.99));
    let name = "the disk's own 4 KiB append + fdatasync in that run, p50 / p99";
    rows.push(row(name, format!("{} / {}", milliseconds(middle), milliseconds(tail))));
    server.stop()?;
    Ok(())
}

/// SIGKILL in mid-load; what was acknowledged must be there.
async fn kill(binary: &Path, folder: &Path, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let workload = Workload::generate(KILL_SPANS, 3, Duration::ZERO)?;
    let server = Server::start(binary, folder)?;
    let payloads = Arc::clone(&workload.payloads);
    let otlp = server.otlp.clone();
    let load = tokio::spawn(async move { sender::load(&otlp, payloads, IN_FLIGHT, None).await });
    tokio::time::sleep(Duration::from_millis(700)).await;
    server.kill()?;
    let sent = load.await??;
    let acknowledged: BTreeSet<usize> = sent.acknowledged.iter().copied().collect();
    let spans: u64 = acknowledged.iter().map(|index| workload.spans[*index]).sum();
    let server = Server::start(binary, folder)?;
    let ready = server.ready;
    let mut asker = Asker::connect(&server.query).await?;
    let (_, found) = asker.count("{}").await?;
    let lost = spans.saturating_sub(found);
    let value = format!("{lost} of {spans} acknowledged, ready again after {}", milliseconds(ready));
    rows.push(row("lost by SIGKILL in mid-load", value));
    server.stop()?;
    Ok(())
}

/// The CDN's spans arrive an hour after their traces.
async fn late(binary: &Path, folder: &Path, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let workload = Workload::generate(LATE_SPANS, 4, Duration::from_secs(3600))?;
    let server = Server::start(binary, folder)?;
    let sent = sender::load(&server.otlp, Arc::clone(&workload.payloads), IN_FLIGHT, None).await?;
    ensure!(sent.failed == 0, "{} requests were not acknowledged", sent.failed);
    let mut asker = Asker::connect(&server.query).await?;
    let (traces, spans) = asker.count("{ resource.service.name = \"cloudfront\" }").await?;
    let value = format!("{traces} of {} traces found by their late root, with {spans} spans", workload.truth.traces);
    rows.push(row("roots an hour late", value));
    server.stop()?;
    Ok(())
}
