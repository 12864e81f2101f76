//! The program as a process: started, watched, stopped, killed.
//!
//! Everything that it writes is collected. A test fails if standard error has a WARN or ERROR that the test did not
//! name beforehand with [`Process::expect`], or a panic.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::wait::{PATIENCE, eventually};

/// Warnings that say something about how the tests were built, not about the program.
const ALWAYS_EXPECTED: [&str; 1] = ["this binary was built without the web UI"];

/// A configuration with a folder of its own. The strings are keys of a YAML flow mapping, each with a comma before it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Setup {
    /// Beside `endpoint` of OTLP/gRPC.
    pub(crate) grpc: &'static str,
    /// Beside `endpoint` of OTLP/HTTP.
    pub(crate) http: &'static str,
    /// Beside `directory` of the store.
    pub(crate) store: &'static str,
    /// Beside `endpoint` of the UI.
    pub(crate) ui: &'static str,
    /// The CloudFront receiver, with [`ACCESS_KEY`].
    pub(crate) cloudfront: bool,
    /// Beside the keys of the CloudFront receiver.
    pub(crate) cloudfront_keys: &'static str,
    /// `limit_mib` of the memory limiter.
    pub(crate) memory_limit_mib: Option<u32>,
}

/// The access key of the CloudFront receiver.
pub(crate) const ACCESS_KEY: &str = "key-of-the-test";

/// A folder with a configuration and the data of the store.
#[derive(Debug)]
pub(crate) struct Site {
    folder: TempDir,
}

impl Site {
    /// Writes the configuration; every address is `127.0.0.1:0`.
    pub(crate) fn new(setup: Setup) -> Self {
        let site = Self { folder: tempfile::tempdir().expect("a temporary folder can be made") };
        site.configure(setup, &site.data());
        site
    }

    /// Writes the configuration anew, with the store somewhere.
    pub(crate) fn configure(&self, setup: Setup, data: &Path) {
        let limiter =
            setup.memory_limit_mib.map(|mib| format!("memory_limiter: {{check_interval: 1s, limit_mib: {mib}}}"));
        let processors = limiter.as_ref().map_or("", |_| "memory_limiter");
        let cloudfront =
            format!("cloudfront: {{endpoint: \"127.0.0.1:0\", access_key: {ACCESS_KEY}{}}}", setup.cloudfront_keys);
        let (cloudfront, and_cloudfront) =
            if setup.cloudfront { (cloudfront.as_str(), ", cloudfront") } else { ("", "") };
        let text = format!(
            r#"
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: "127.0.0.1:0"{grpc}}}
      http: {{endpoint: "127.0.0.1:0"{http}}}
  {cloudfront}
processors: {{{limiter}}}
exporters:
  store: {{directory: "{data}"{store}}}
extensions:
  health_check: {{endpoint: "127.0.0.1:0"}}
  ui: {{endpoint: "127.0.0.1:0"{ui}}}
service:
  extensions: [health_check, ui]
  telemetry: {{metrics: {{readers: [{{pull: {{exporter: {{prometheus: {{port: 0}}}}}}}}]}}}}
  pipelines:
    traces: {{receivers: [otlp{and_cloudfront}], processors: [{processors}], exporters: [store]}}
"#,
            grpc = setup.grpc,
            http = setup.http,
            limiter = limiter.unwrap_or_default(),
            data = data.display(),
            store = setup.store,
            ui = setup.ui,
        );
        std::fs::write(self.config(), text).expect("the configuration can be written");
    }

    /// The configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("rootspan.yaml")
    }

    /// The store's folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A path beside them.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts `rootspan run` and waits until it listens.
    pub(crate) fn start(&self) -> Process {
        let process = self.spawn();
        process.wait_until_ready();
        process
    }

    /// Starts `rootspan run`.
    pub(crate) fn spawn(&self) -> Process {
        Process::spawn(rootspan().arg("run").arg("--config").arg(self.config()))
    }
}

/// The program under test, without anything in its environment that changes what it does.
pub(crate) fn rootspan() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rootspan"));
    command
        .env_remove("RUST_LOG")
        .env("RUST_BACKTRACE", "0")
        .env_remove("FIREHOSE_ACCESS_KEY")
        .env_remove("ROOTSPAN_TOKEN")
        .env_remove("ROOTSPAN_USER");
    command
}

/// The example configurations of the manual.
pub(crate) fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples")
}

/// What a command that ends by itself left.
#[derive(Debug)]
pub(crate) struct Ended {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// Everything on standard output.
    pub(crate) stdout: String,
    /// Everything on standard error.
    pub(crate) stderr: String,
}

/// Lines as they come.
#[derive(Debug, Default)]
struct Lines {
    state: Mutex<(Vec<String>, bool)>,
    changed: Condvar,
}

impl Lines {
    fn collect(from: impl Read + Send + 'static) -> Arc<Self> {
        let lines = Arc::new(Self::default());
        let shared = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
                shared.lock().0.push(String::from_utf8_lossy(&line).into_owned());
                shared.changed.notify_all();
            }
            shared.lock().1 = true;
            shared.changed.notify_all();
        });
        lines
    }

    fn lock(&self) -> MutexGuard<'_, (Vec<String>, bool)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn text(&self) -> String {
        self.lock().0.join("\n")
    }

    /// Waits for the first line in which `find` finds something; `None` if the stream ends without one.
    fn wait_for<T>(&self, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        let give_up = Instant::now() + PATIENCE;
        let mut state = self.lock();
        let mut seen = 0;
        loop {
            if let Some(found) = state.0.iter().skip(seen).find_map(|line| find(line)) {
                return Some(found);
            }
            if state.1 {
                return None;
            }
            seen = state.0.len();
            let left = give_up.saturating_duration_since(Instant::now());
            assert!(left > Duration::ZERO, "waited {PATIENCE:?} for a line in vain; so far:\n{}", state.0.join("\n"));
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for the end of the stream.
    fn wait_for_end(&self) -> String {
        let _end = self.wait_for(|_| None::<()>);
        self.text()
    }
}

/// Both receivers of OTLP.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ingest {
    /// OTLP over HTTP.
    pub(crate) http: SocketAddr,
    /// OTLP over gRPC.
    pub(crate) grpc: SocketAddr,
}

/// A running process; one that is dropped is killed.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    stdout: Arc<Lines>,
    stderr: Arc<Lines>,
    expected: Vec<&'static str>,
}

impl Process {
    /// Starts a command.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self::spawn_reading(command, Stdio::null())
    }

    /// Starts a command that reads from somewhere.
    pub(crate) fn spawn_reading(command: &mut Command, stdin: impl Into<Stdio>) -> Self {
        let mut child = command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program can be started");
        let stdout = Lines::collect(child.stdout.take().expect("it is piped"));
        let stderr = Lines::collect(child.stderr.take().expect("it is piped"));
        Self { child, stdout, stderr, expected: ALWAYS_EXPECTED.to_vec() }
    }

    /// A WARN or ERROR line with these words is part of what is tested.
    pub(crate) fn expect(&mut self, words: &'static str) {
        self.expected.push(words);
    }

    /// Waits until everything listens: the UI is announced last.
    pub(crate) fn wait_until_ready(&self) {
        let ready = self.stderr.wait_for(|line| line.contains("web UI on http://").then_some(()));
        assert!(ready.is_some(), "rootspan ended at its start:\n{}", self.stderr.text());
    }

    /// Waits for a line on standard error and gives it.
    pub(crate) fn wait_for_log(&self, words: &str) -> String {
        let found = self.stderr.wait_for(|line| line.contains(words).then(|| line.to_owned()));
        found.unwrap_or_else(|| panic!("it ended without saying {words:?}:\n{}", self.stderr.text()))
    }

    /// Waits for a line on standard error, but not longer than `most`.
    pub(crate) fn wait_for_log_or(&self, most: Duration, words: &str) {
        let give_up = Instant::now() + most;
        let mut state = self.stderr.lock();
        while !state.1 && !state.0.iter().any(|line| line.contains(words)) {
            let left = give_up.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.stderr.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for what follows `prefix` on a line of standard output.
    pub(crate) fn wait_for_output(&self, prefix: &str) -> String {
        let found = self.stdout.wait_for(|line| line.split_once(prefix).map(|(_, rest)| rest.to_owned()));
        found.unwrap_or_else(|| {
            panic!("it ended without saying {prefix:?}:\n{}\n{}", self.stdout.text(), self.stderr.text())
        })
    }

    /// Where a component listens.
    pub(crate) fn address(&self, component: &str, protocol: &str) -> SocketAddr {
        let (component, protocol) = (format!("component={component} "), format!("protocol=\"{protocol}\""));
        let found = self.stderr.wait_for(|line| {
            (line.contains(&component) && line.contains(&protocol))
                .then(|| line.rsplit_once("address=").and_then(|(_, address)| address.parse().ok()))
                .flatten()
        });
        found.unwrap_or_else(|| panic!("{component} {protocol} does not listen:\n{}", self.stderr.text()))
    }

    /// Where the UI listens.
    pub(crate) fn ui(&self) -> SocketAddr {
        let line = self.wait_for_log("web UI on http://");
        let (_, address) = line.split_once("http://").expect("just found");
        address.trim_end_matches('/').parse().expect("an address is announced")
    }

    /// Where load goes.
    pub(crate) fn ingest(&self) -> Ingest {
        Ingest { http: self.otlp_http(), grpc: self.otlp_grpc() }
    }

    /// OTLP over HTTP.
    pub(crate) fn otlp_http(&self) -> SocketAddr {
        self.address("otlp", "http")
    }

    /// OTLP over gRPC.
    pub(crate) fn otlp_grpc(&self) -> SocketAddr {
        self.address("otlp", "grpc")
    }

    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Largest resident set so far, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it is running");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says it");
        peak.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }

    /// Asks for the configuration to be read again (SIGHUP).
    pub(crate) fn hang_up(&self) {
        kill_process(Pid::from_child(&self.child), Signal::HUP).expect("it is running");
    }

    /// Asks for the end (SIGTERM).
    pub(crate) fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it is running");
    }

    /// SIGTERM, and the wait for an end with exit code 0 and nothing unexpected said.
    pub(crate) fn stop(mut self) {
        self.terminate();
        let ended = self.wait();
        assert!(ended.status.success(), "SIGTERM ends in {}:\n{}", ended.status, ended.stderr);
        self.check(&ended.stderr);
    }

    /// SIGKILL, in the middle of whatever it does.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it is running");
        let ended = self.wait();
        self.check(&ended.stderr);
    }

    /// Waits until it ends by itself.
    pub(crate) fn end(mut self) -> Ended {
        let ended = self.wait();
        self.check(&ended.stderr);
        ended
    }

    fn wait(&mut self) -> Ended {
        let status = eventually("the process ends", || self.child.try_wait().expect("it is a child of ours"));
        Ended { status, stdout: self.stdout.wait_for_end(), stderr: self.stderr.wait_for_end() }
    }

    fn check(&self, stderr: &str) {
        let bad = |line: &&str| {
            let loud = [" WARN ", " ERROR ", "panicked at"].iter().any(|level| line.contains(level));
            loud && !self.expected.iter().any(|expected| line.contains(expected))
        };
        let unexpected: Vec<_> = stderr.lines().filter(bad).collect();
        assert!(unexpected.is_empty(), "unexpected on standard error:\n{}", unexpected.join("\n"));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Ended already, unless a test failed.
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Runs a command to its end.
pub(crate) fn run<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Ended {
    Process::spawn(rootspan().args(arguments)).end()
}
