//! What becomes of spans when the back end is dead, and when the gateway is killed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::codec::Encoding;
use super::compare::mebibytes;
use super::generator::{FIRST, Load, Protocol, Sent, send};
use super::payload::Payloads;
use super::sink::{Arrived, Sink};
use super::system::{Kind, Ports, Program, Start, System};
use super::{Bench, configs};
use crate::server::bytes_below;

/// Spans offered while the back end is dead.
const DEAD_SPANS: u64 = 2_000_000;
const DEAD_RATE: u64 = 50_000;
/// A process that takes more than this is not left to take the machine's memory.
const MAX_RESIDENT: u64 = 12 << 30;
/// How long a gateway may take to deliver what it holds.
const DRAIN: Duration = Duration::from_secs(120);
/// Where nothing arrives for so long, nothing more will.
const SILENCE: Duration = Duration::from_secs(15);
/// The load of kills: requests of a hundred spans.
const KILL_SPANS_PER_REQUEST: usize = 100;
const KILL_RATE: u64 = 20_000;
/// From a start to its kill, at least and at most.
const LIFE: (Duration, Duration) = (Duration::from_millis(150), Duration::from_millis(550));

/// A dead back end, with one set of files.
#[derive(Clone, Copy, Debug)]
pub(super) struct DeadCase {
    pub(super) name: &'static str,
    configs: &'static [&'static str],
}

pub(super) const DEAD: &[DeadCase] = &[
    DeadCase {
        name: "dead back end, `batch`, queue in memory",
        configs: &[configs::PASS, configs::BATCH, configs::RETRY],
    },
    DeadCase {
        name: "dead back end, limit 256 MiB, `batch`, queue in memory",
        configs: &[configs::PASS, configs::BATCH, configs::RETRY, configs::LIMIT],
    },
    DeadCase {
        name: "dead back end, limit 256 MiB, `batch`, queue on disk",
        configs: &[configs::PASS, configs::BATCH, configs::QUEUE, configs::RETRY, configs::LIMIT],
    },
];

/// What a dead back end did to one system.
#[derive(Debug)]
pub(super) struct DeadFigures {
    pub(super) case: &'static str,
    pub(super) system: String,
    pub(super) peak_mib: f64,
    /// Spans accepted, refused, and refused with the time of another attempt.
    pub(super) accepted: u64,
    pub(super) refused: u64,
    pub(super) refused_with_delay: u64,
    /// On disk when all were offered.
    pub(super) disk_mib: f64,
    /// Accepted spans that did not arrive when the back end was back.
    pub(super) lost: u64,
    pub(super) drained_seconds: f64,
}

/// Every system in every case.
pub(super) async fn dead(bench: &mut Bench) -> anyhow::Result<Vec<DeadFigures>> {
    let mut rows = Vec::new();
    for case in DEAD {
        if !bench.options.wants(case.name) {
            continue;
        }
        for program in bench.programs.clone() {
            if matches!(program.kind, Kind::Floor) {
                continue;
            }
            let outcome = dead_once(bench, case, &program).await;
            let label = format!("{}, {}", case.name, program.name);
            if let Some(figures) = bench.valid(&label, outcome) {
                eprintln!("{label}: {figures:?}");
                rows.push(figures);
            }
        }
    }
    Ok(rows)
}

async fn dead_once(bench: &Bench, case: &DeadCase, program: &Program) -> anyhow::Result<DeadFigures> {
    let load = Load {
        protocol: Protocol::Grpc,
        encoding: Encoding::None,
        spans_per_request: 1000,
        rate: DEAD_RATE,
        spans: DEAD_SPANS,
    };
    let payloads = Arc::new(Payloads::new(load.spans_per_request));
    let (ports, folder) = (Ports::free()?, bench.folder()?);
    let start = Start { program, ports, folder: folder.path(), configs: case.configs, encoding: "none" };
    let system = System::start(&start, &bench.single_span).await?;
    let offer = send(load, (ports.grpc, ports.http), Arc::clone(&payloads), FIRST);
    let watch = async {
        loop {
            match system.resident() {
                Ok(resident) if resident < MAX_RESIDENT => tokio::time::sleep(Duration::from_millis(100)).await,
                _ => return,
            }
        }
    };
    let sent = tokio::select! {
        sent = offer => sent,
        () = watch => anyhow::bail!("ended, or took more than {} MiB", MAX_RESIDENT >> 20),
    };
    let disk = bytes_below(&folder.path().join("data"))?;
    let sink = Sink::start(ports.sink).await?;
    let back = Instant::now();
    let accepted = sent.accepted.len() as u64 * load.spans_per_request as u64;
    settle(&sink, accepted + 1).await;
    let drained_seconds = back.elapsed().as_secs_f64();
    let peak = system.usage()?.peak_rss;
    let arrived = sink.arrived();
    super::check(load, &sent, &arrived)?;
    Ok(DeadFigures {
        case: case.name,
        system: program.name.clone(),
        peak_mib: mebibytes(peak),
        accepted,
        refused: sent.refused * load.spans_per_request as u64,
        refused_with_delay: sent.refused_with_delay * load.spans_per_request as u64,
        disk_mib: mebibytes(disk),
        lost: lost(&sent, &arrived, load.spans_per_request),
        drained_seconds,
    })
}

/// Waits until so many different spans have arrived, or no more come.
async fn settle(sink: &Sink, spans: u64) {
    let begun = Instant::now();
    let (mut last, mut since) = (0, Instant::now());
    while begun.elapsed() < DRAIN && since.elapsed() < SILENCE {
        let arrived = sink.arrived().spans;
        if arrived >= spans {
            return;
        }
        if arrived != last {
            (last, since) = (arrived, Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Accepted spans that did not arrive.
fn lost(sent: &Sent, arrived: &Arrived, spans_per_request: usize) -> u64 {
    sent.accepted.iter().map(|sequence| spans_per_request as u64 - arrived.spans_of(*sequence)).sum()
}

/// What kills did to one system.
#[derive(Debug)]
pub(super) struct KillFigures {
    pub(super) system: String,
    pub(super) kills: u32,
    pub(super) accepted: u64,
    pub(super) lost: u64,
    /// Spans that came again: at least once is the promise.
    pub(super) again: u64,
    /// From a start after a kill to the first accepted span: median, longest.
    pub(super) restart_millis: (f64, f64),
}

/// The name of the case.
pub(super) const KILL: &str = "kill -9, `batch`, queue on disk";

/// Kills every system again and again under a steady load, on the same folder.
pub(super) async fn kill(bench: &mut Bench) -> anyhow::Result<Vec<KillFigures>> {
    let mut rows = Vec::new();
    if !bench.options.wants(KILL) {
        return Ok(rows);
    }
    for program in bench.programs.clone() {
        if matches!(program.kind, Kind::Floor) {
            continue;
        }
        let outcome = kill_often(bench, &program).await;
        let label = format!("{KILL}, {}", program.name);
        if let Some(figures) = bench.valid(&label, outcome) {
            eprintln!("{label}: {figures:?}");
            rows.push(figures);
        }
    }
    Ok(rows)
}

async fn kill_often(bench: &Bench, program: &Program) -> anyhow::Result<KillFigures> {
    let kills = bench.options.kills;
    let payloads = Arc::new(Payloads::new(KILL_SPANS_PER_REQUEST));
    let (ports, folder) = (Ports::free()?, bench.folder()?);
    let files = &[configs::PASS, configs::BATCH, configs::QUEUE, configs::RETRY];
    let start = Start { program, ports, folder: folder.path(), configs: files, encoding: "none" };
    let sink = Sink::start(ports.sink).await?;
    let mut sent = Sent::default();
    let mut restarts = Vec::new();
    let mut system = System::start(&start, &bench.single_span).await?;
    for number in 0..kills {
        // Scattered, but the same in every run.
        let share = f64::from(number.wrapping_mul(2_654_435_769) >> 8) / f64::from(1 << 24);
        let life = LIFE.0 + (LIFE.1 - LIFE.0).mul_f64(share);
        let spans = (KILL_RATE as f64 * (life.as_secs_f64() + 0.1)) as u64;
        let load = Load {
            protocol: Protocol::Grpc,
            encoding: Encoding::None,
            spans_per_request: KILL_SPANS_PER_REQUEST,
            rate: KILL_RATE,
            spans,
        };
        let first = FIRST + number * 1000;
        let sending = tokio::spawn(send(load, (ports.grpc, ports.http), Arc::clone(&payloads), first));
        tokio::time::sleep(life).await;
        system.kill()?;
        sent.absorb(sending.await?);
        system = System::start(&start, &bench.single_span).await?;
        restarts.push(system.first_span);
        if (number + 1) % 50 == 0 {
            eprintln!("{KILL}, {}: {} of {kills}", program.name, number + 1);
        }
    }
    settle(&sink, sent.accepted.len() as u64 * KILL_SPANS_PER_REQUEST as u64).await;
    // What is counted as lost must have had its time.
    if lost(&sent, &sink.arrived(), KILL_SPANS_PER_REQUEST) > 0 {
        settle(&sink, u64::MAX).await;
    }
    system.stop().await?;
    let arrived = sink.arrived();
    anyhow::ensure!(!sent.accepted.is_empty() && arrived.spans > 0, "nothing was accepted or nothing arrived");
    restarts.sort_unstable();
    let millis = |share| crate::sender::quantile(&restarts, share).as_secs_f64() * 1e3;
    Ok(KillFigures {
        system: program.name.clone(),
        kills,
        accepted: sent.accepted.len() as u64 * KILL_SPANS_PER_REQUEST as u64,
        lost: lost(&sent, &arrived, KILL_SPANS_PER_REQUEST),
        again: arrived.again,
        restart_millis: (millis(0.5), millis(1.0)),
    })
}
