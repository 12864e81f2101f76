//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::coverage::CoverageArguments;
use clap::parser::ValueSource;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use rootspan_demo::scenario::Scenario;
use rootspan_edge::emulator::EventType;
use rootspan_gateway::config::Source;
use rootspan_wire::cloudfront::route::Route;

mod emulate;

pub(crate) use emulate::EdgeEmulateArguments;

/// Traces that begin at the CDN.
#[derive(Debug, Parser)]
#[command(name = "rootspan", version, about, max_term_width = 110)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Arguments {
    /// What the command line says; a mistake ends the process with clap's message.
    pub(crate) fn read() -> Self {
        let matches = Self::command().get_matches();
        let mut arguments = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        if let Command::Demo(demo) = &mut arguments.command
            && let Some(matches) = matches.subcommand_matches("demo")
        {
            let is_given = |id: &&clap::Id| matches.value_source(id.as_str()) == Some(ValueSource::CommandLine);
            demo.given = matches.ids().filter(is_given).map(|id| id.as_str().replace('_', "-")).collect();
        }
        arguments
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the gateway, the store and the web UI
    Run(RunArguments),
    /// Everything in one process: a local CloudFront, two services, gateway, store, UI, and traffic
    Demo(DemoArguments),
    /// Check configuration files and report every problem with its place
    Validate(ConfigArguments),
    /// Print the effective configuration: merged, with defaults, secrets redacted
    PrintConfig(PrintConfigArguments),
    /// List the components that are built in
    Components(ComponentsArguments),
    /// The functions that run at CloudFront
    #[command(subcommand)]
    Edge(EdgeCommand),
    /// Read CloudFront's logs or OTLP from files into a store; no server is needed
    Import(ImportArguments),
    /// Exporters' queues on disk
    #[command(subcommand)]
    Queue(QueueCommand),
    /// What nginx needs to be traced
    #[command(subcommand)]
    Nginx(NginxCommand),
    /// Find traces with a TraceQL query
    Search(SearchArguments),
    /// Show one trace as a tree
    Trace(TraceArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArguments {
    /// Configuration in the OpenTelemetry Collector's format: a file, `env:NAME` or `yaml:TEXT`. Several are laid over each
    /// other. Without one, the built-in default
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Vec<String>,
    /// One value, over everything else: exporters.otlp.endpoint=tempo:4317. May be given several times
    #[arg(long, value_name = "PATH=VALUE", value_parser = Source::from_set_argument)]
    pub(crate) set: Vec<Source>,
    /// The collector's feature gates; accepted, none changes anything
    #[arg(long, value_name = "GATES", allow_hyphen_values = true, hide_short_help = true)]
    pub(crate) feature_gates: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PrintConfigArguments {
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
    /// Print the graph that will run instead: fusions, queues, where `batch` went
    #[arg(long, conflicts_with = "format")]
    pub(crate) plan: bool,
    /// In which form
    #[arg(long, value_enum, default_value = "yaml")]
    pub(crate) format: Notation,
}

/// How a tree of values is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Notation {
    Yaml,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct ComponentsArguments {
    /// For people, or as the OpenTelemetry Collector lists its own
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: ComponentsFormat,
    /// With every key, its default and what it does
    #[arg(long, conflicts_with_all = ["format", "reference"])]
    pub(crate) keys: bool,
    /// The reference page of the configuration, in Markdown
    #[arg(long, conflicts_with = "format")]
    pub(crate) reference: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ComponentsFormat {
    /// A line each
    Text,
    /// The collector's form
    Yaml,
    /// The same as JSON
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Which fault to inject
    #[arg(long, value_name = "NAME", default_value = "steady", help = scenario_help())]
    pub(crate) scenario: Scenario,
    /// Send this many requests instead of a steady stream
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) requests: Option<u64>,
    /// After the requests compare every trace with the CDN's ledger, print the result and exit
    #[arg(long, requires = "requests")]
    pub(crate) exit: bool,
    /// Requests a second of the steady stream
    #[arg(long, value_name = "N", default_value_t = 4.0, value_parser = rate)]
    pub(crate) rate: f64,
    /// Share of requests that the edge function samples, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 1.0)]
    pub(crate) sampling_rate: f64,
    /// Put a real nginx with rootspan's module between the CDN and the services
    #[arg(long)]
    pub(crate) nginx: bool,
    /// The module, as `cargo xtask nginx-module` prints its path
    #[arg(long, value_name = "FILE", env = "ROOTSPAN_NGINX_MODULE")]
    pub(crate) nginx_module: Option<PathBuf>,
    /// Folder of the store; without it a temporary one that is removed at the end
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Address of the local CloudFront
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(crate) cdn: SocketAddr,
    /// Address of the upstream service
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    pub(crate) upstream: SocketAddr,
    /// Address of the downstream service
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8082")]
    pub(crate) downstream: SocketAddr,
    /// Address of the web UI and the query API
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:16686")]
    pub(crate) ui: SocketAddr,
    /// Address of the OTLP/gRPC receiver
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4317")]
    pub(crate) otlp_grpc: SocketAddr,
    /// Address of the OTLP/HTTP receiver
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4318")]
    pub(crate) otlp_http: SocketAddr,
    /// Address of the CloudFront log receiver
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4433")]
    pub(crate) firehose: SocketAddr,
    /// Address of the health check
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:13133")]
    pub(crate) health: SocketAddr,
    /// Address of the gateway's own metrics
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8888")]
    pub(crate) metrics: SocketAddr,
    /// The options that the user wrote: only defaults may move to other ports.
    #[arg(skip)]
    pub(crate) given: Vec<String>,
}

/// A number of requests a second.
fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if rate > 0.0 && f64::is_finite(rate) => Ok(rate),
        Ok(_) | Err(_) => Err("it must be a number above 0".to_owned()),
    }
}

fn scenario_help() -> String {
    let lines = Scenario::ALL.map(|scenario| format!("{}: {}", scenario.name(), scenario.description()));
    format!("Which fault to inject: {}", lines.join("; "))
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one, once")]
pub(crate) enum EdgeCommand {
    /// Write the functions with the settings baked in
    Build(EdgeBuildArguments),
    /// Run a local CloudFront in front of an origin
    #[command(long_about = emulate::EMULATE_ABOUT)]
    Emulate(EdgeEmulateArguments),
    /// Run a function on events and show what CloudFront would do
    Test(EdgeTestArguments),
    /// Show what became of all logged requests, and what to check first
    Coverage(CoverageArguments),
}

#[derive(Debug, Subcommand)]
pub(crate) enum NginxCommand {
    /// Print the lines for nginx's configuration, or convert one that is for opentelemetry-cpp-contrib's module
    Config(NginxConfigArguments),
}

#[derive(Debug, Args)]
pub(crate) struct NginxConfigArguments {
    /// For the module (the default)
    #[arg(long, conflicts_with = "log")]
    pub(crate) module: bool,
    /// Without a module: traces by the access log
    #[arg(long)]
    pub(crate) log: bool,
    /// Convert this configuration; what has no counterpart is listed on standard error
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
    /// Headers that carry the context: tracecontext, b3, b3multi, and with the module xray
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "tracecontext")]
    pub(crate) propagators: Vec<String>,
    /// service.name
    #[arg(long, value_name = "NAME", default_value = "nginx")]
    pub(crate) service_name: String,
    /// Where the module sends spans
    #[arg(long, value_name = "ENDPOINT", default_value = "http://127.0.0.1:4318/v1/traces")]
    pub(crate) endpoint: String,
    /// The log's file
    #[arg(long, value_name = "FILE", default_value = "/var/log/nginx/rootspan.log")]
    pub(crate) log_file: PathBuf,
    /// Log to syslog instead: unix:/path or host:port
    #[arg(long, value_name = "ADDRESS", requires = "log", conflicts_with = "log_file")]
    pub(crate) syslog: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct EdgeBuildArguments {
    /// Settings (YAML); an empty file, or none, gives the defaults
    #[arg(long, value_name = "FILE")]
    pub(crate) settings: Option<PathBuf>,
    /// Folder to write to
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Keep names and lines as in the source; without it the functions are minified, with a source map beside each
    #[arg(long)]
    pub(crate) readable: bool,
}

#[derive(Debug, Args)]
pub(crate) struct EdgeTestArguments {
    /// The function: .js for CloudFront Functions, .mjs or .cjs for Lambda@Edge
    pub(crate) function: PathBuf,
    /// What it is attached to; without it what the file is named for, else viewer-request
    #[arg(long, value_name = "EVENT", value_parser = event_type)]
    pub(crate) on: Option<EventType>,
    /// Files with an event, or a list of events; without them a built-in set
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) event: Vec<PathBuf>,
    /// How the result is printed
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: TestFormat,
}

/// How `rootspan edge test` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum TestFormat {
    Text,
    Json,
}

fn event_type(name: &str) -> Result<EventType, String> {
    EventType::ALL.into_iter().find(|event| event.name() == name).ok_or_else(|| {
        let known = EventType::ALL.map(EventType::name);
        format!("there are {}", known.join(", "))
    })
}

#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// Files, folders, s3://bucket/prefix, or - for standard input: logs of CloudFront in every form (standard v1 and v2,
    /// real-time lines, what functions log), OTLP in JSON or protobuf; plain, gzip or zstd. Which it is, is found out
    #[arg(value_name = "FILE", required = true)]
    pub(crate) from: Vec<String>,
    /// Folder of the store; it is made if it is not there
    #[arg(long, value_name = "DIR", default_value = "./rootspan-data")]
    pub(crate) data: PathBuf,
    /// Settings of the edge function: a record without its data is placed and sampled as the function would
    #[arg(long, value_name = "FILE")]
    pub(crate) edge: Option<PathBuf>,
    /// Template of a path such as /api/items/{id}, which names spans; the first that matches. May be given several times
    #[arg(long, value_name = "TEMPLATE")]
    pub(crate) route: Vec<Route>,
    /// The fields of real-time logs, in the order of delivery, as the API's answer lists them
    #[arg(long, value_name = "NAMES")]
    pub(crate) real_time_fields: Option<String>,
    /// Make spans of what AWS's tracing sample logs instead of access logs
    #[arg(long)]
    pub(crate) function_log: bool,
    /// service.name of the CDN's spans
    #[arg(long, value_name = "NAME", default_value = "cloudfront")]
    pub(crate) service_name: String,
    /// Leave out what is before, by the hour in the names of CloudFront's files: 2026-09-14 or 2026-09-14T10. Files
    /// without an hour in their names are read
    #[arg(long, value_name = "TIME", value_parser = Hour::parse)]
    pub(crate) start: Option<Hour>,
    /// Leave out this time and what is after it, likewise
    #[arg(long, value_name = "TIME", value_parser = Hour::parse)]
    pub(crate) end: Option<Hour>,
    /// The bucket's Region; otherwise that of the environment, the profile or the instance
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// A server other than Amazon's that has the bucket: http://127.0.0.1:9000
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint_url: Option<String>,
}

/// An hour as CloudFront's file names have it, `2026-09-14-10`, or a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hour(pub(crate) String);

impl Hour {
    fn parse(text: &str) -> Result<Self, String> {
        let hour = text.replace(['T', ' '], "-");
        let form = b"dddd-dd-dd-dd";
        let fits = |(byte, form): (u8, &u8)| if *form == b'd' { byte.is_ascii_digit() } else { byte == *form };
        let is_whole = matches!(hour.len(), 10 | 13) && hour.bytes().zip(form).all(fits);
        is_whole.then_some(Self(hour)).ok_or_else(|| "write a day or an hour: 2026-09-14 or 2026-09-14T10".to_owned())
    }
}

/// Where answers come from.
#[derive(Debug, Args)]
pub(crate) struct SourceArguments {
    /// A running rootspan
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:16686")]
    pub(crate) url: String,
    /// Bearer token, if the server wants one
    #[arg(long, value_name = "TOKEN", env = "ROOTSPAN_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// Name and password, if the server wants those
    #[arg(long, value_name = "NAME:PASSWORD", env = "ROOTSPAN_USER", hide_env_values = true, conflicts_with = "token")]
    pub(crate) user: Option<String>,
    /// Output format
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// For programs: the API's own JSON
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct SearchArguments {
    /// TraceQL, e.g. '{ resource.service.name = "upstream" && duration > 200ms }'
    #[arg(value_name = "TRACEQL", default_value = "{}")]
    pub(crate) query: String,
    #[command(flatten)]
    pub(crate) source: SourceArguments,
    /// How far back, e.g. 30m, 2h
    #[arg(long, value_name = "DURATION")]
    pub(crate) since: Option<String>,
    /// Most traces
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) limit: usize,
}

#[derive(Debug, Args)]
pub(crate) struct TraceArguments {
    /// The trace id, 32 hexadecimal digits
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) source: SourceArguments,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// Say what waits in each queue, and what back ends refused for good
    Inspect(QueueInspectArguments),
    /// Write what waits, or the dead letters, as OTLP
    Export(QueueExportArguments),
}

#[derive(Debug, Args)]
pub(crate) struct QueueInspectArguments {
    /// Folder of the extension `file_storage`; the gateway may be running
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct QueueExportArguments {
    /// Folder of the extension `file_storage`; the gateway may be running
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Only the queues of this exporter
    #[arg(long, value_name = "ID")]
    pub(crate) exporter: Option<String>,
    /// What back ends refused for good instead of what waits
    #[arg(long)]
    pub(crate) dead_letters: bool,
    /// How to write it
    #[arg(long, value_enum, default_value = "json")]
    pub(crate) format: QueueFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum QueueFormat {
    /// OTLP JSON, one request a line
    Json,
    /// Protobuf, each request behind its length (4 bytes, big-endian), as the exporter `file` writes it
    Proto,
}
