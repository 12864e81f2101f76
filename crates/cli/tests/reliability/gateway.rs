//! The program with exporters to faulty back ends, and the watch over its ledgers.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use crate::http;
use crate::process::{Process, Setup, Site, rootspan};
use crate::wait::eventually;

/// How often the ledgers are read under load.
const LEDGER_INTERVAL: Duration = Duration::from_millis(100);

/// How an exporter speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Grpc,
    Http,
}

impl Protocol {
    pub(crate) const BOTH: [Self; 2] = [Self::Grpc, Self::Http];
}

/// A folder with a configuration: OTLP in, these exporters out.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) site: Site,
}

/// What is between receivers and exporters.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Middle {
    /// A YAML flow mapping without its braces.
    pub(crate) processors: &'static str,
    /// Their names in the pipeline.
    pub(crate) chain: &'static str,
    /// Lines of `extensions`, with indentation.
    pub(crate) extensions: &'static str,
    /// More names of extensions, each with a comma before it.
    pub(crate) more_extensions: &'static str,
}

/// An exporter to `address`; `keys` are those of a YAML flow mapping, each with a comma before it.
pub(crate) fn exporter(name: &str, protocol: Protocol, address: SocketAddr, keys: &str) -> (String, String) {
    let kind = match protocol {
        Protocol::Grpc => "otlp",
        Protocol::Http => "otlphttp",
    };
    let id = format!("{kind}/{name}");
    let definition = format!("{{endpoint: \"http://{address}\", tls: {{insecure: true}}{keys}}}");
    (id, definition)
}

impl Gateway {
    pub(crate) fn new(middle: Middle, exporters: &[(String, String)]) -> Self {
        let site = Site::new(Setup::default());
        let mut definitions = String::new();
        for (id, definition) in exporters {
            writeln!(definitions, "  {id}: {definition}").expect("a string takes everything");
        }
        let names: Vec<_> = exporters.iter().map(|(id, _)| id.as_str()).collect();
        let text = format!(
            r#"
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: "127.0.0.1:0", max_recv_msg_size_mib: 16}}
      http: {{endpoint: "127.0.0.1:0"}}
processors: {{{processors}}}
exporters:
{definitions}
extensions:
  health_check: {{endpoint: "127.0.0.1:0"}}
{extensions}
service:
  extensions: [health_check{more_extensions}]
  telemetry: {{metrics: {{readers: [{{pull: {{exporter: {{prometheus: {{port: 0, without_type_suffix: true, without_units: true}}}}}}}}]}}}}
  pipelines:
    traces: {{receivers: [otlp], processors: [{chain}], exporters: [{names}]}}
"#,
            processors = middle.processors,
            chain = middle.chain,
            extensions = middle.extensions.replace("FOLDER", &site.path("").display().to_string()),
            more_extensions = middle.more_extensions,
            names = names.join(", "),
        );
        std::fs::write(site.config(), text).expect("the configuration can be written");
        Self { site }
    }

    /// Starts it and waits until it listens.
    pub(crate) fn start(&self) -> Process {
        self.start_with(&[])
    }

    /// Starts it with more in its environment.
    pub(crate) fn start_with(&self, environment: &[(&str, &str)]) -> Process {
        let mut command = rootspan();
        command.arg("run").arg("--config").arg(self.site.config()).envs(environment.iter().copied());
        let mut process = Process::spawn(&mut command);
        // Back ends in trouble are what most of these tests are about; each says it once.
        process.expect("the back end does not take what is sent");
        process.ingest();
        process
    }
}

/// The ledgers at this moment, which must balance.
pub(crate) fn ledger(process: &Process) -> Value {
    ledger_at(process.address("metrics", "http")).expect("it answers")
}

fn ledger_at(address: SocketAddr) -> Option<Value> {
    let mut connection = http::Connection::open(address).ok()?;
    let answer = connection.send("GET", "/debug/ledger", &[], &[]).ok()?;
    let ledger = answer.json();
    assert_eq!(ledger["imbalances"], Value::Array(Vec::new()), "{ledger:#}");
    Some(ledger)
}

/// The account of one exporter.
pub(crate) fn account<'a>(ledger: &'a Value, kind: &str, id: &str) -> &'a Value {
    let accounts = ledger[kind].as_array().expect("a list");
    accounts.iter().find(|account| account["id"] == id).unwrap_or_else(|| panic!("{id} is not in {ledger:#}"))
}

/// A number of an account; a reason that did not occur is absent.
pub(crate) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// Waits until nothing is on its way, and gives the ledgers.
pub(crate) fn settled(process: &Process) -> Value {
    eventually("everything is settled", || {
        let ledger = ledger(process);
        let list = |kind: &str| ledger[kind].as_array().cloned().unwrap_or_default();
        let held: u64 = list("pipelines").iter().map(|pipeline| number(&pipeline["held"])).sum();
        let queued: u64 = list("exporters").iter().map(|exporter| number(&exporter["queued"])).sum();
        (held + queued == 0).then_some(ledger)
    })
}

/// Reads the ledgers every 100 ms.
#[derive(Debug)]
pub(crate) struct Watch {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<u64>,
}

impl Watch {
    pub(crate) fn start(process: &Process) -> Self {
        let address = process.address("metrics", "http");
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut times = 0;
            // Ends with the process, too.
            while ledger_at(address).is_some() {
                times += 1;
                if stopped.recv_timeout(LEDGER_INTERVAL) != Err(mpsc::RecvTimeoutError::Timeout) {
                    break;
                }
            }
            times
        });
        Self { stop, thread }
    }

    /// Every look was good, and there were some.
    pub(crate) fn end(self) {
        drop(self.stop);
        let times = self.thread.join().expect("the ledgers balance");
        assert!(times > 0, "nobody looked");
    }
}
