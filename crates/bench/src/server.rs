//! The process under test: started, watched through `/proc`, stopped.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// Longest wait for the process to accept requests, or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running `rootspan run` with its own folder and ports.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// From the start of the process to the first answer of the query API.
    pub(crate) ready: Duration,
    /// `host:port` of OTLP/gRPC.
    pub(crate) otlp: String,
    /// `host:port` of the query API.
    pub(crate) query: String,
}

/// What the kernel says about a process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// User and system time.
    pub(crate) cpu: Duration,
    /// Largest resident set so far, in bytes.
    pub(crate) peak_rss: u64,
}

impl Usage {
    /// Of a process, so far.
    pub(crate) fn of(process: u32) -> anyhow::Result<Self> {
        let folder = PathBuf::from(format!("/proc/{}", process));
        let stat = std::fs::read_to_string(folder.join("stat"))?;
        // Fields 14 and 15, in ticks of 10 ms; the name in brackets before them may contain spaces.
        let (_, fields) = stat.rsplit_once(") ").context("no process status")?;
        let ticks: u64 = fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        let status = std::fs::read_to_string(folder.join("status"))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        let kibibytes: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap_or_default();
        Ok(Self { cpu: Duration::from_millis(ticks * 10), peak_rss: kibibytes * 1024 })
    }
}

impl Server {
    /// Starts `binary` on `folder`, pinned to the first core if `pinned`.
    pub(crate) fn start(binary: &Path, folder: &Path) -> anyhow::Result<Self> {
        let [otlp, query, health, metrics] = free_ports()?;
        let config = folder.join("bench.yaml");
        let data = folder.join("data");
        std::fs::write(&config, configuration(&data, otlp, query, health, metrics))?;
        let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("log"))?;
        let started = Instant::now();
        let child = Command::new(binary)
            .args(["run", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let mut server = Self {
            child,
            ready: Duration::ZERO,
            otlp: format!("127.0.0.1:{otlp}"),
            query: format!("127.0.0.1:{query}"),
        };
        while std::net::TcpStream::connect(&server.query).is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("rootspan ended at once ({status}); see {}", folder.join("log").display());
            }
            if started.elapsed() > PATIENCE {
                bail!("rootspan did not listen within {PATIENCE:?}; see {}", folder.join("log").display());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        server.ready = started.elapsed();
        Ok(server)
    }

    /// CPU time and memory so far.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(self.child.id())
    }

    /// SIGTERM, and the wait for a clean end; gives the CPU time of the whole life.
    pub(crate) fn stop(mut self) -> anyhow::Result<Duration> {
        let before = children_cpu()?;
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let asked = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                if !status.success() {
                    bail!("rootspan ended with {status}");
                }
                return Ok(children_cpu()?.saturating_sub(before));
            }
            if asked.elapsed() > PATIENCE {
                bail!("rootspan did not end within {PATIENCE:?} of SIGTERM");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

/// A benchmark that fails must not leave its server behind.
impl Drop for Server {
    fn drop(&mut self) {
        // Already ended: nothing to do.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// User and system time of every child that has ended and been waited for.
pub(crate) fn children_cpu() -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(") ").context("no process status")?;
    let ticks: u64 = fields.split(' ').skip(13).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 10))
}

/// Ports that were free a moment ago.
fn free_ports() -> anyhow::Result<[u16; 4]> {
    let mut held = Vec::new();
    let mut ports = [0; 4];
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

fn configuration(data: &Path, otlp: u16, query: u16, health: u16, metrics: u16) -> String {
    format!(
        "receivers:
  otlp:
    protocols:
      grpc:
        endpoint: 127.0.0.1:{otlp}
        max_recv_msg_size_mib: 64
exporters:
  store:
    directory: {}
extensions:
  health_check:
    endpoint: 127.0.0.1:{health}
  ui:
    endpoint: 127.0.0.1:{query}
service:
  extensions: [health_check, ui]
  telemetry:
    metrics:
      address: 127.0.0.1:{metrics}
  pipelines:
    traces:
      receivers: [otlp]
      exporters: [store]
",
        data.display()
    )
}

/// Bytes of all files below `folder`.
pub(crate) fn bytes_below(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() { bytes_below(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}

/// Tells the kernel to forget the cached pages of every file below `folder`.
pub(crate) fn evict(folder: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            evict(&entry.path())?;
        } else {
            let file = std::fs::File::open(entry.path())?;
            file.sync_all()?;
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
        }
    }
    Ok(())
}
