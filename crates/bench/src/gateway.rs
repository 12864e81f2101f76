//! `rootspan-bench gateway`: what the gateway costs beside a forwarder of raw bytes, the OpenTelemetry Collector and
//! others, and what it does when things fail.
//!
//! Every system is a process on the first core; generator and back end are this process, on the other cores. Requests
//! are sent at planned times (open loop) and spans are counted where they arrive, by id. CPU time is user and system
//! time of the process, of all its threads, from `/proc`. A run in which nothing was accepted, nothing arrived, or more
//! arrived than was sent, is not a figure: its row is left out and the program ends with an error.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures for people, far below where the types end"
)]

mod codec;
mod compare;
mod configs;
mod failure;
pub(crate) mod floor;
mod generator;
mod grpc;
mod payload;
mod sink;
mod system;
mod table;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, bail};

use generator::{Load, Sent};
use payload::Payloads;
use sink::Arrived;
use system::{Core, Kind, Program};

const USAGE: &str = "\
usage: rootspan-bench gateway ROOTSPAN [OPTION]…
  --otelcol PATH        an OpenTelemetry Collector to measure beside it
  --peer NAME=COMMAND   another gateway; its shell command sees GRPC_PORT HTTP_PORT SINK_PORT METRICS_PORT COMP DATA_DIR
  --rounds N            measurements of each figure, of which the median counts (3)
  --kills N             kills of each system (20)
  --only TEXT           only rows whose name contains TEXT; may be repeated";

/// What is asked for.
#[derive(Debug)]
struct Options {
    rounds: usize,
    kills: u32,
    only: Vec<String>,
}

impl Options {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| name.contains(only.as_str()))
    }
}

/// What all cases share.
#[derive(Debug)]
struct Bench {
    options: Options,
    programs: Vec<Program>,
    single_span: Payloads,
    parent: PathBuf,
    folders: AtomicUsize,
    /// Runs that gave no figure.
    invalid: Vec<String>,
}

/// A folder for one run, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Ours alone; what cannot be removed is in the system's folder for such things.
        let _removed = std::fs::remove_dir_all(&self.0);
    }
}

/// Measures and prints.
pub(crate) fn run(arguments: &[String], parent: &Path) -> anyhow::Result<()> {
    let (options, programs) = read(arguments)?;
    system::stay_on(Core::Others)?;
    let mut bench = Bench {
        options,
        programs,
        single_span: Payloads::new(1),
        parent: parent.to_owned(),
        folders: AtomicUsize::new(0),
        invalid: Vec::new(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(bench.everything())?;
    if !bench.invalid.is_empty() {
        bail!("{} runs gave no figure:\n  {}", bench.invalid.len(), bench.invalid.join("\n  "));
    }
    Ok(())
}

fn read(arguments: &[String]) -> anyhow::Result<(Options, Vec<Program>)> {
    let mut arguments = arguments.iter();
    let binary = arguments.next().filter(|first| !first.starts_with('-')).context(USAGE)?;
    let mut options = Options { rounds: 3, kills: 20, only: Vec::new() };
    let program = |name: &str, kind| Program { name: name.to_owned(), kind };
    let mut programs =
        vec![program("rootspan", Kind::Rootspan(std::path::absolute(binary)?)), program("floor", Kind::Floor)];
    while let Some(option) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{option} needs a value\n{USAGE}"))?;
        match option.as_str() {
            "--otelcol" => programs.push(program("otelcol", Kind::Collector(std::path::absolute(value)?))),
            "--peer" => {
                let (name, command) = value.split_once('=').context("--peer NAME=COMMAND")?;
                programs.push(program(name, Kind::Command(command.to_owned())));
            }
            "--rounds" => options.rounds = value.parse().context("--rounds takes a number")?,
            "--kills" => options.kills = value.parse().context("--kills takes a number")?,
            "--only" => options.only.push(value.clone()),
            _ => bail!("{option} is no option\n{USAGE}"),
        }
    }
    Ok((options, programs))
}

impl Bench {
    async fn everything(&mut self) -> anyhow::Result<()> {
        let cells = compare::run(self).await?;
        let dead = failure::dead(self).await?;
        let kills = failure::kill(self).await?;
        let systems: Vec<String> = self.programs.iter().map(|program| program.name.clone()).collect();
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        println!("\n{} bytes a span; load average {}", self.bytes_per_span(), load.trim());
        if !cells.is_empty() {
            println!("\n{}\n{}", table::costs(&cells, &systems), table::details(&cells));
        }
        if !dead.is_empty() {
            println!("\n{}", table::dead(&dead));
        }
        if !kills.is_empty() {
            println!("\n{}", table::kills(&kills));
        }
        Ok(())
    }

    fn bytes_per_span(&self) -> usize {
        let spans = 1000;
        Payloads::new(spans).request_bytes() / spans
    }

    /// A fresh folder.
    fn folder(&self) -> anyhow::Result<Folder> {
        let path = self.parent.join(self.folders.fetch_add(1, Ordering::Relaxed).to_string());
        std::fs::create_dir_all(&path)?;
        Ok(Folder(path))
    }

    /// The figures of a run; one without is remembered.
    fn valid<T>(&mut self, label: &str, outcome: anyhow::Result<T>) -> Option<T> {
        match outcome {
            Ok(figures) => Some(figures),
            Err(error) => {
                eprintln!("{label}: INVALID: {error:#}");
                self.invalid.push(format!("{label}: {error:#}"));
                None
            }
        }
    }
}

/// A run in which nothing happened, or more than was asked for, has no figures.
fn check(load: Load, sent: &Sent, arrived: &Arrived) -> anyhow::Result<()> {
    anyhow::ensure!(!sent.accepted.is_empty(), "nothing was accepted: {:?}", sent.reasons);
    anyhow::ensure!(arrived.spans > 1, "nothing arrived");
    // One more for the probe.
    let most = u64::from(load.requests()) * load.spans_per_request as u64 + 1;
    anyhow::ensure!(arrived.spans <= most, "{} spans arrived, {most} were sent", arrived.spans);
    anyhow::ensure!(arrived.broken == 0, "{} requests to the back end were broken", arrived.broken);
    Ok(())
}
