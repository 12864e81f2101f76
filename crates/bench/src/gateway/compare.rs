//! What a span costs at a fixed rate: each system in turn, in the same minute, several rounds, medians.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::codec::{Encoding, zlib_length};
use super::generator::{FIRST, Load, Protocol, send};
use super::payload::Payloads;
use super::sink::Sink;
use super::system::{Kind, Ports, Program, Start, System};
use super::{Bench, configs};

/// Spans a second: far below what one core can take, so that nothing waits.
const RATE: u64 = 50_000;
const SPANS: u64 = 300_000;
/// Requests of ten spans: 500 a second.
const SMALL_RATE: u64 = 5_000;
const SMALL_SPANS: u64 = 50_000;
/// How long what was accepted may take to arrive.
const SETTLE: Duration = Duration::from_secs(15);
/// Rest after the first span, before the idle memory is read.
const REST: Duration = Duration::from_secs(1);

/// One load on one configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) name: &'static str,
    load: Load,
    configs: &'static [&'static str],
    /// Whether the floor does the same: it neither merges nor edits nor stores.
    has_floor: bool,
    /// What is to be reached.
    pub(super) aim: &'static str,
    /// The case that this one adds something to.
    pub(super) base: Option<&'static str>,
}

const fn load(protocol: Protocol, encoding: Encoding) -> Load {
    Load { protocol, encoding, spans_per_request: 1000, rate: RATE, spans: SPANS }
}

const PASS: &str = "gRPC → gRPC, none";

/// The rows of the table.
pub(super) const CASES: &[Case] = &[
    Case {
        name: PASS,
        load: load(Protocol::Grpc, Encoding::None),
        configs: &[configs::PASS],
        has_floor: true,
        aim: "≤ 1/5 of otelcol, ≤ 1.5 × floor",
        base: None,
    },
    Case {
        name: "gRPC → gRPC, gzip",
        load: load(Protocol::Grpc, Encoding::Gzip),
        configs: &[configs::PASS],
        has_floor: true,
        aim: "≤ 1/5 of otelcol",
        base: None,
    },
    Case {
        name: "gRPC → gRPC, zstd",
        load: load(Protocol::Grpc, Encoding::Zstd),
        configs: &[configs::PASS],
        has_floor: true,
        aim: "≤ 1/4 of otelcol",
        base: None,
    },
    Case {
        name: "HTTP → gRPC, none",
        load: load(Protocol::Http, Encoding::None),
        configs: &[configs::PASS],
        has_floor: true,
        aim: "≤ 1/5 of otelcol",
        base: None,
    },
    Case {
        name: "10 spans a request, `batch`",
        load: Load {
            protocol: Protocol::Grpc,
            encoding: Encoding::None,
            spans_per_request: 10,
            rate: SMALL_RATE,
            spans: SMALL_SPANS,
        },
        configs: &[configs::PASS, configs::BATCH],
        has_floor: true,
        aim: "≤ 1/3 of otelcol",
        base: None,
    },
    Case {
        name: "`attributes` + `resource` + `batch`",
        load: load(Protocol::Grpc, Encoding::None),
        configs: &[configs::PASS, configs::ACTIONS],
        has_floor: false,
        aim: "≤ 1/4 of otelcol",
        base: None,
    },
    Case {
        name: "queue on disk",
        load: load(Protocol::Grpc, Encoding::None),
        configs: &[configs::PASS, configs::QUEUE],
        has_floor: false,
        aim: "at most 0.8 µs more than without",
        base: Some(PASS),
    },
];

/// What one run of one system gave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figures {
    /// User and system time for each span that arrived, in microseconds.
    pub(super) cpu_micros: f64,
    pub(super) idle_mib: f64,
    pub(super) peak_mib: f64,
    pub(super) first_span_millis: f64,
    pub(super) ack_p99_millis: f64,
    /// Bytes of requests divided by their bytes on the way to the back end, and the same for zlib's level 6.
    pub(super) ratio: f64,
    pub(super) zlib_ratio: f64,
    /// Spans in each request to the back end.
    pub(super) spans_per_call: f64,
}

/// A measured cell: the runs of one system in one case.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) case: &'static str,
    pub(super) system: String,
    pub(super) runs: Vec<Figures>,
}

/// Runs every case, round by round.
pub(super) async fn run(bench: &mut Bench) -> anyhow::Result<Vec<Cell>> {
    let mut cells: Vec<Cell> = Vec::new();
    for round in 0..bench.options.rounds {
        for case in CASES {
            if !bench.options.wants(case.name) {
                continue;
            }
            let payloads = Arc::new(Payloads::new(case.load.spans_per_request));
            for program in bench.programs.clone() {
                if matches!(program.kind, Kind::Floor) && !case.has_floor {
                    continue;
                }
                let outcome = measure(bench, case, &program, &payloads).await;
                let label = format!("{}, {}, round {}", case.name, program.name, round + 1);
                let Some(figures) = bench.valid(&label, outcome) else { continue };
                eprintln!(
                    "{label}: {:.2} µs/span, peak {:.1} MiB, p99 {:.1} ms",
                    figures.cpu_micros, figures.peak_mib, figures.ack_p99_millis
                );
                match cells.iter_mut().find(|cell| cell.case == case.name && cell.system == program.name) {
                    Some(cell) => cell.runs.push(figures),
                    None => cells.push(Cell { case: case.name, system: program.name, runs: vec![figures] }),
                }
            }
        }
    }
    Ok(cells)
}

async fn measure(bench: &Bench, case: &Case, program: &Program, payloads: &Arc<Payloads>) -> anyhow::Result<Figures> {
    let ports = Ports::free()?;
    let sink = Sink::start(ports.sink).await?;
    let folder = bench.folder()?;
    let encoding = case.load.encoding.name();
    let start = Start { program, ports, folder: folder.path(), configs: case.configs, encoding };
    let system = System::start(&start, &bench.single_span).await?;
    tokio::time::sleep(REST).await;
    let idle = system.resident()?;
    let (before, before_calls) = (system.usage()?, sink.arrived().calls);
    let sent = send(case.load, (ports.grpc, ports.http), Arc::clone(payloads), FIRST).await;
    let accepted = sent.accepted.len() as u64 * case.load.spans_per_request as u64;
    let deadline = Instant::now() + SETTLE;
    // The probe's span counts, too, and may come late.
    while sink.arrived().spans < accepted + 1 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let after = system.usage()?;
    let arrived = sink.arrived();
    super::check(case.load, &sent, &arrived)?;
    let lost: u64 =
        sent.accepted.iter().map(|sequence| payloads.spans_per_request as u64 - arrived.spans_of(*sequence)).sum();
    anyhow::ensure!(lost == 0, "{lost} accepted spans did not arrive; {:?}", start.log());
    let spans = arrived.spans as f64;
    let zlib_ratio = arrived.sample.len() as f64 / zlib_length(&arrived.sample)? as f64;
    Ok(Figures {
        cpu_micros: after.cpu.saturating_sub(before.cpu).as_secs_f64() * 1e6 / spans,
        idle_mib: mebibytes(idle),
        peak_mib: mebibytes(after.peak_rss),
        first_span_millis: system.first_span.as_secs_f64() * 1e3,
        ack_p99_millis: crate::sender::quantile(&sent.latencies, 0.99).as_secs_f64() * 1e3,
        ratio: arrived.plain_bytes as f64 / arrived.wire_bytes as f64,
        zlib_ratio,
        spans_per_call: spans / (arrived.calls - before_calls).max(1) as f64,
    })
}

pub(super) fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
