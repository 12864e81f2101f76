//! What the OpenTelemetry Collector does with the same files and the same spans.
//!
//! `testdata/collector/answers` holds what it did: here rootspan must do the same. With the feature `collector` and the
//! path of a collector in `OTELCOL` (`cargo xtask test --collector` sets both) the recorded answers are compared with
//! that collector, too, and spans travel through both programs in every protocol and compression.

mod changes;
#[cfg(feature = "collector")]
mod live;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::http::Connection;
use crate::process::rootspan;
use crate::wait::eventually;
use changes::{Spans, changes, spans_of};

/// Where the recorded answers are.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/collector")
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of all answers.
fn names() -> Vec<String> {
    let entries = std::fs::read_dir(folder().join("answers")).expect("the folder is in the repository");
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        let name = entry.expect("it can be listed").file_name().into_string().expect("names are ASCII");
        name.strip_suffix(".yaml").map(str::to_owned)
    };
    let mut names: Vec<String> = entries.filter_map(name).collect();
    names.sort();
    names
}

/// Which of the two programs.
#[derive(Clone, Debug)]
enum Program {
    Rootspan,
    #[cfg(feature = "collector")]
    Collector(PathBuf),
}

impl Program {
    fn command(&self) -> Command {
        match self {
            Self::Rootspan => {
                let mut command = rootspan();
                command.arg("run");
                command
            }
            #[cfg(feature = "collector")]
            Self::Collector(path) => Command::new(path),
        }
    }
}

/// Ports that were free a moment ago: the collector cannot say which ones the system chose.
#[derive(Clone, Copy, Debug)]
struct Ports {
    grpc: u16,
    http: u16,
    metrics: u16,
}

impl Ports {
    fn free() -> Self {
        let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port is free"));
        let [grpc, http, metrics] =
            listeners.each_ref().map(|listener| listener.local_addr().expect("it is bound").port());
        Self { grpc, http, metrics }
    }
}

/// A program on configuration files, with a file to which it writes.
#[derive(Debug)]
struct Gateway {
    child: Child,
    ports: Ports,
    output: PathBuf,
    log: PathBuf,
}

impl Gateway {
    fn start(program: &Program, configs: &[PathBuf], ports: Ports, folder: &Path, more: &[(&str, String)]) -> Self {
        std::fs::create_dir_all(folder).expect("a folder can be made");
        let (output, log) = (folder.join("output.json"), folder.join("log"));
        let said = std::fs::File::create(&log).expect("a file can be made");
        let mut command = program.command();
        for config in configs {
            command.arg("--config").arg(config);
        }
        let ports_of = [("GRPC_PORT", ports.grpc), ("HTTP_PORT", ports.http), ("METRICS_PORT", ports.metrics)];
        let child = command
            .envs(ports_of.map(|(name, port)| (name, port.to_string())))
            .envs(more.iter().map(|(name, value)| (*name, value)))
            .env("OUTPUT", &output)
            .stdin(Stdio::null())
            .stdout(said.try_clone().expect("it is open"))
            .stderr(said)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut gateway = Self { child, ports, output, log };
        eventually("the gateway listens", || {
            let ended = gateway.child.try_wait().expect("it is a child of ours");
            assert!(ended.is_none(), "it ended at once:\n{}", gateway.log());
            Connection::open(([127, 0, 0, 1], ports.http).into()).ok()
        });
        gateway
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends OTLP JSON.
    fn send(&self, body: &[u8]) {
        let answer =
            crate::http::post(([127, 0, 0, 1], self.ports.http).into(), "/v1/traces", "application/json", body);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Ends it and gives what it wrote.
    fn finish(mut self) -> Spans {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it is running");
        eventually("the gateway ends", || self.child.try_wait().expect("it is a child of ours"));
        let text = std::fs::read_to_string(&self.output).unwrap_or_default();
        let requests = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line is OTLP JSON"));
        requests.flat_map(|request| spans_of(&request)).collect()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Ended already, unless a test failed.
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// What `program` does with the input on one file of answers/.
fn answer_of(program: &Program, name: &str) -> Value {
    let temporary = tempfile::tempdir().expect("a temporary folder can be made");
    let configs = [folder().join("base.yaml"), folder().join("answers").join(format!("{name}.yaml"))];
    let gateway = Gateway::start(program, &configs, Ports::free(), temporary.path(), &[]);
    let input = read(&folder().join("answers/input.json"));
    gateway.send(&input);
    let request: Value = serde_json::from_slice(&input).expect("the input is OTLP JSON");
    changes(&spans_of(&request).into_iter().collect(), &gateway.finish())
}

/// The first difference of two answers, for people.
fn difference(name: &str, collector: &Value, rootspan: &Value) -> Option<String> {
    let empty = serde_json::Map::new();
    let (collector, rootspan) = (collector.as_object().unwrap_or(&empty), rootspan.as_object().unwrap_or(&empty));
    let ids: std::collections::BTreeSet<&String> = collector.keys().chain(rootspan.keys()).collect();
    let different = ids.iter().filter(|id| collector.get(**id) != rootspan.get(**id)).collect::<Vec<_>>();
    let first = different.first()?;
    let shown = |answer: Option<&Value>| answer.map_or("left out".to_owned(), Value::to_string);
    let (count, theirs, ours) = (different.len(), shown(collector.get(**first)), shown(rootspan.get(**first)));
    Some(format!("{name}: {count} spans differ; {first}\n  the collector: {theirs}\n  rootspan:      {ours}"))
}

#[test]
fn rootspan_answers_as_the_collector_did() {
    let mut differences = Vec::new();
    let names = names();
    assert!(names.len() > 10, "the answers are in the repository");
    for name in names {
        let recorded = read(&folder().join("answers").join(format!("{name}.json")));
        let recorded: Value = serde_json::from_slice(&recorded).expect("an answer is JSON");
        differences.extend(difference(&name, &recorded, &answer_of(&Program::Rootspan, &name)));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
