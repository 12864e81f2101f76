//! A gateway under test: a process on a core of its own, its ports, what the kernel says of it.

use std::fs::OpenOptions;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::generator::probe;
use super::payload::Payloads;
use crate::server::Usage;

/// Longest wait for the first accepted span, and for the end.
const PATIENCE: Duration = Duration::from_secs(20);
/// The kernel gives ports above to clients, which may then meet themselves.
const FIRST_PORT: u16 = 20_000;
const LAST_PORT: u16 = 32_000;
/// The number of the probe's request.
pub(super) const PROBE: u32 = u32::MAX;

/// A program that is measured.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) name: String,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// The binary of this project, started with configuration files.
    Rootspan(PathBuf),
    /// An OpenTelemetry Collector, started with the same files.
    Collector(PathBuf),
    /// The forwarder of raw bytes.
    Floor,
    /// A shell command; the variables say where to listen and what to do.
    Command(String),
}

/// Where everything listens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub(super) grpc: u16,
    pub(super) http: u16,
    pub(super) sink: u16,
    metrics: u16,
}

impl Ports {
    /// Ports that were free a moment ago.
    pub(super) fn free() -> anyhow::Result<Self> {
        let mut held = Vec::new();
        let begin = FIRST_PORT + u16::try_from(std::process::id() % 10_000)?;
        for port in (begin..LAST_PORT).chain(FIRST_PORT..begin) {
            if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
                held.push((port, listener));
            }
            if let [(grpc, _), (http, _), (sink, _), (metrics, _)] = held.as_slice() {
                return Ok(Self { grpc: *grpc, http: *http, sink: *sink, metrics: *metrics });
            }
        }
        bail!("no port is free")
    }
}

/// How a program is started.
#[derive(Clone, Debug)]
pub(super) struct Start<'a> {
    pub(super) program: &'a Program,
    pub(super) ports: Ports,
    /// A folder of its own: files, data, log.
    pub(super) folder: &'a Path,
    /// Configuration files, later ones over earlier ones.
    pub(super) configs: &'a [&'a str],
    /// Compression towards the back end.
    pub(super) encoding: &'a str,
}

/// A running program; killed when dropped.
#[derive(Debug)]
pub(super) struct System {
    child: Child,
    /// From the start of the process to the first accepted span.
    pub(super) first_span: Duration,
}

impl System {
    /// Starts it and waits for the first accepted span.
    pub(super) async fn start(start: &Start<'_>, single_span: &Payloads) -> anyhow::Result<Self> {
        let mut command = start.command()?;
        // The probe knocks already when the process begins.
        let knocking = probe(start.ports.grpc, single_span, PROBE);
        let started = Instant::now();
        let child = on_core(Core::Gateway, || command.spawn())?.with_context(|| format!("{command:?}"))?;
        let mut system = Self { child, first_span: Duration::ZERO };
        let ended = async {
            while matches!(system.child.try_wait(), Ok(None)) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            () = knocking => {}
            () = ended => bail!("{} ended at once: {}", start.program.name, start.log()),
            () = tokio::time::sleep(PATIENCE) => bail!("{} accepts nothing: {}", start.program.name, start.log()),
        }
        system.first_span = started.elapsed();
        Ok(system)
    }

    /// CPU time and largest resident set so far.
    pub(super) fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(self.child.id())
    }

    /// The resident set now, in bytes.
    pub(super) fn resident(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }

    /// SIGKILL.
    pub(super) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, and after some patience SIGKILL.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        rustix::process::kill_process(Pid::from_child(&self.child), rustix::process::Signal::TERM)?;
        let asked = Instant::now();
        while self.child.try_wait()?.is_none() {
            if asked.elapsed() > PATIENCE {
                return self.kill();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

/// A benchmark that fails leaves nothing behind.
impl Drop for System {
    fn drop(&mut self) {
        // Already ended: nothing to do.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Start<'_> {
    fn command(&self) -> anyhow::Result<Command> {
        let data = self.folder.join("data");
        std::fs::create_dir_all(&data)?;
        let mut command = match &self.program.kind {
            Kind::Rootspan(binary) => {
                let mut command = Command::new(binary);
                command.arg("run").args(self.config_arguments()?);
                command
            }
            Kind::Collector(binary) => {
                let mut command = Command::new(binary);
                command.args(self.config_arguments()?);
                command
            }
            Kind::Floor => {
                let mut command = Command::new(std::env::current_exe()?);
                let Ports { grpc, http, sink, .. } = self.ports;
                command.arg("floor").args([grpc, http, sink].map(|port| port.to_string())).arg(self.encoding);
                command
            }
            Kind::Command(line) => {
                let mut command = Command::new("sh");
                command.arg("-c").arg(format!("exec {line}"));
                command
            }
        };
        let log = OpenOptions::new().create(true).append(true).open(self.folder.join("log"))?;
        command
            .env("GRPC_PORT", self.ports.grpc.to_string())
            .env("HTTP_PORT", self.ports.http.to_string())
            .env("SINK_PORT", self.ports.sink.to_string())
            .env("METRICS_PORT", self.ports.metrics.to_string())
            .env("COMP", self.encoding)
            .env("DATA_DIR", &data)
            .current_dir(self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        Ok(command)
    }

    fn config_arguments(&self) -> anyhow::Result<Vec<String>> {
        let mut arguments = Vec::new();
        for (number, text) in self.configs.iter().enumerate() {
            let path = self.folder.join(format!("config-{number}.yaml"));
            std::fs::write(&path, text)?;
            arguments.push("--config".to_owned());
            arguments.push(path.to_string_lossy().into_owned());
        }
        Ok(arguments)
    }

    /// The end of what it said.
    pub(super) fn log(&self) -> String {
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }
}

// === cores ===

/// Who runs where: the gateway alone on the first core, everything else on the others, so that a figure does not depend
/// on who shares a cache with whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Core {
    Gateway,
    Others,
}

/// Restricts this thread, and what it starts from now on, to its cores. With a single core nothing is to be divided.
pub(super) fn stay_on(core: Core) -> anyhow::Result<()> {
    let count = std::thread::available_parallelism()?.get().max(sched_getaffinity(None)?.count() as usize);
    if count < 2 && core == Core::Others {
        return Ok(());
    }
    let mut set = CpuSet::new();
    match core {
        Core::Gateway => set.set(0),
        Core::Others => (1..CpuSet::MAX_CPU).for_each(|other| set.set(other)),
    }
    // A machine or a container that does not allow it measures without.
    let _restricted = sched_setaffinity(None, &set);
    Ok(())
}

/// Does something on the cores of `core`; what it starts stays there.
fn on_core<T: Send>(core: Core, work: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
    std::thread::scope(|scope| {
        let worker = scope.spawn(move || {
            stay_on(core)?;
            Ok(work())
        });
        worker.join().map_err(|_| anyhow::anyhow!("the starting thread failed"))?
    })
}
