//! Measures the store on generated spans:
//!
//! ```text
//! ingest_bench generate FILE [SPANS] [ROOT_DELAY_SECONDS]   OTLP requests, each with its length before it
//! ingest_bench ingest FILE DIRECTORY                        OTLP → durable → sealed, closed
//! ingest_bench query DIRECTORY                              warm queries
//! ingest_bench lookup DIRECTORY TIMES                       the newest traces by id, again and again
//! ingest_bench columns FILE                                 what each column of a block takes
//! ```
#![expect(clippy::print_stdout, reason = "a command's result")]
#![expect(clippy::disallowed_methods, reason = "a program has a clock")]

use std::error::Error;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use parquet::file::reader::{FileReader, SerializedFileReader};
use rootspan_journal::directory::files::FilesDirectory;
use rootspan_model::ids::TraceId;
use rootspan_model::time::UnixNanos;
use rootspan_store::store::{Options, QueryLimits, SearchRequest, Store};
use rootspan_testkit::generate::generate;
use rootspan_traceql::parser::parse;
use rootspan_wire::otlp::validate::{Limits, validate};

/// Batches that are on their way at once, as a gateway with several connections has.
const IN_FLIGHT: usize = 16;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [_, "generate", file] => write_requests(file, 1_000_000, 0),
        [_, "generate", file, spans] => write_requests(file, spans.parse()?, 0),
        [_, "generate", file, spans, delay] => write_requests(file, spans.parse()?, delay.parse()?),
        [_, "ingest", file, directory] => ingest(file, directory),
        [_, "query", directory] => query(directory),
        [_, "lookup", directory, times] => lookup(directory, times.parse()?),
        [_, "columns", file] => columns(file),
        _ => Err("usage: ingest_bench generate FILE [SPANS] [DELAY] | ingest FILE DIRECTORY | query DIRECTORY".into()),
    }
}

fn write_requests(file: &str, spans: u64, delay: u64) -> Result<(), Box<dyn Error>> {
    let mut out = BufWriter::new(File::create(file)?);
    let now = u64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos())?;
    let start = UnixNanos((now / 3_600_000_000_000 - 2) * 3_600_000_000_000);
    let options = rootspan_testkit::generate::Options {
        spans,
        start,
        root_delay: Duration::from_secs(delay),
        ..rootspan_testkit::generate::Options::default()
    };
    for batch in generate(options) {
        out.write_all(&u32::try_from(batch.bytes().len())?.to_le_bytes())?;
        out.write_all(batch.bytes())?;
    }
    Ok(out.flush()?)
}

fn open(directory: &str) -> Result<Store, Box<dyn Error>> {
    let options = Options {
        retention: Duration::from_hours(72),
        max_bytes: None,
        min_free_percent: 5.0,
        seal_spans: 50_000,
        seal_after: Duration::from_mins(2),
        clock: Arc::new(|| {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            UnixNanos(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
        }),
    };
    let (store, report) = Store::open(Arc::new(FilesDirectory::open(directory)?), options)?;
    for repair in report.repairs {
        println!("{repair}");
    }
    Ok(store)
}

fn ingest(file: &str, directory: &str) -> Result<(), Box<dyn Error>> {
    let store = open(directory)?;
    let mut input = BufReader::with_capacity(1 << 20, File::open(file)?);
    let begun = Instant::now();
    let limits = Limits::default();
    let (permits, answers) = sync_channel::<Result<(), String>>(IN_FLIGHT);
    let (mut in_flight, mut spans, mut bytes) = (0, 0, 0);
    let mut length = [0; 4];
    while input.read_exact(&mut length).is_ok() {
        let mut request = vec![0; u32::from_le_bytes(length) as usize];
        input.read_exact(&mut request)?;
        bytes += request.len();
        let batch = validate(Bytes::from(request), &limits)?.batch;
        spans += batch.span_count();
        if in_flight == IN_FLIGHT {
            answers.recv()??;
            in_flight -= 1;
        }
        let permits = permits.clone();
        store.ingest(batch, Box::new(move |result| _ = permits.send(result.map_err(|error| error.to_string()))));
        in_flight += 1;
    }
    for _ in 0..in_flight {
        answers.recv()??;
    }
    let acknowledged = begun.elapsed();
    store.close()?;
    let status = store.status();
    let per_span = |bytes: u64| bytes as f64 / spans as f64;
    println!("spans {spans}, {} OTLP bytes each", bytes / spans);
    println!("acknowledged after {acknowledged:?}, closed after {:?}", begun.elapsed());
    println!("CPU {:.2} s per 1 M spans", cpu_seconds()? * 1e6 / spans as f64);
    println!("peak RSS {} MB", peak_rss_kib()? / 1024);
    println!("disk {:.1} bytes per span in {} blocks", per_span(status.bytes_on_disk), status.blocks);
    Ok(())
}

/// User and system time of this process.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(") ").ok_or("no stat")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(ticks as f64 / 100.0)
}

fn peak_rss_kib() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse()?)
}

fn query(directory: &str) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    let store = open(directory)?;
    println!("opened in {:?}", begun.elapsed());
    let limits = QueryLimits { deadline: Duration::from_secs(30), bytes: u64::MAX, cancel: Arc::default() };
    let search = |text: &str| -> Result<Vec<TraceId>, Box<dyn Error>> {
        let request = SearchRequest { query: parse(text)?, start: None, end: None, limit: 20, after: None };
        let page = store.search(&request, &limits)?;
        if let Some(partial) = page.partial {
            println!("partial: {partial}");
        }
        Ok(page.traces.iter().map(|trace| trace.trace_id).collect())
    };
    let services = store.services();
    println!("{} services", services.len());
    for text in [
        "{}".to_owned(),
        "{ status = error }".to_owned(),
        format!("{{ resource.service.name = \"{}\" && duration > 100ms }}", services[services.len() / 2]),
        format!("{{ resource.service.name = \"{}\" && duration > 1h }}", services[services.len() / 2]),
        "{ duration > 5s }".to_owned(),
        "{ span.app.debug.marker != nil }".to_owned(),
        "{ span.http.response.status_code = 503 }".to_owned(),
        "{ span.no.such.key = \"x\" }".to_owned(),
        "{ name =~ \"GET .*\" && status = error }".to_owned(),
        "{ traceDuration > 2s }".to_owned(),
        "{ event.exception.type = \"none\" }".to_owned(),
    ] {
        let first = Instant::now();
        let found = search(&text)?;
        let first = first.elapsed();
        let runs = if first > Duration::from_secs(1) { 1 } else { 9 };
        let mut times = Vec::new();
        for _ in 0..runs {
            let begun = Instant::now();
            search(&text)?;
            times.push(begun.elapsed());
        }
        times.sort();
        println!("{text}: {} traces, first {first:?}, warm {:?}", found.len(), times[times.len() / 2]);
    }
    by_id(&store, &limits, &search("{}")?)
}

fn by_id(store: &Store, limits: &QueryLimits, ids: &[TraceId]) -> Result<(), Box<dyn Error>> {
    let mut times = Vec::new();
    for round in 0..3 {
        for id in ids {
            let begun = Instant::now();
            let trace = store.trace(id, limits)?.ok_or("a trace is gone")?;
            if round > 0 {
                times.push((begun.elapsed(), trace.batch.span_count()));
            }
        }
    }
    times.sort();
    println!("trace by id, warm: median {:?}, slowest {:?} (spans)", times[times.len() / 2], times[times.len() - 1]);
    let begun = Instant::now();
    store.trace(&TraceId::new([7; 16]), limits)?;
    println!("absent trace: {:?}", begun.elapsed());
    Ok(())
}

fn lookup(directory: &str, times: u32) -> Result<(), Box<dyn Error>> {
    let store = open(directory)?;
    let limits = QueryLimits { deadline: Duration::from_secs(30), bytes: u64::MAX, cancel: Arc::default() };
    let request = SearchRequest { query: parse("{}")?, start: None, end: None, limit: 1000, after: None };
    let page = store.search(&request, &limits)?;
    let ids: Vec<TraceId> = page.traces.iter().map(|trace| trace.trace_id).collect();
    let begun = Instant::now();
    let (mut lookups, mut spans) = (0, 0);
    for _ in 0..times {
        for id in &ids {
            spans += store.trace(id, &limits)?.ok_or("a trace is gone")?.batch.span_count();
            lookups += 1;
        }
    }
    println!(
        "{lookups} lookups, {:.1} spans each, {:?} each",
        spans as f64 / f64::from(lookups),
        begun.elapsed() / lookups
    );
    Ok(())
}

fn columns(file: &str) -> Result<(), Box<dyn Error>> {
    let reader = SerializedFileReader::new(File::open(file)?)?;
    let group = reader.metadata().row_group(0);
    for column in group.columns() {
        println!(
            "{:>8} bytes, {:>8} uncompressed, {}",
            column.compressed_size(),
            column.uncompressed_size(),
            column.column_path()
        );
    }
    let footer = reader.metadata().file_metadata().key_value_metadata();
    for value in footer.into_iter().flatten() {
        println!("{} = {}", value.key, value.value.as_deref().unwrap_or_default());
    }
    Ok(())
}
