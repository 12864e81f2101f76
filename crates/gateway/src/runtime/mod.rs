//! The gateway that runs: sockets bound, pipelines connected, and the way to stop in order.
//!
//! Receivers hold the inputs of pipelines, pipelines those of exporters. So stopping is closing, from the front: the
//! receivers finish what they have accepted and go, which ends the pipelines, which ends delivery.

pub(crate) mod delivery;
pub(crate) mod ingress;
pub(crate) mod outlets;
pub(crate) mod pipeline;
#[cfg(test)]
mod unplugged;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rootspan_store::store::Store;
use rootspan_wire::otlp::payload::Signal;
use tokio::sync::mpsc;

use crate::budget::{self, Budget};
use crate::clock::Clock;
use crate::config::Config;
use crate::config::components::{Exporter as ExporterConfig, Extension, Processor as ProcessorConfig, Receiver};
use crate::config::id::ComponentId;
use crate::exporters::debug::{DebugExporter, Output, standard_output};
use crate::exporters::file::FileExporter;
use crate::exporters::otlp::grpc::OtlpGrpcExporter;
use crate::exporters::otlp::http::OtlpHttpExporter;
use crate::exporters::store::StoreExporter;
use crate::exporters::{Exporter, Surroundings};
use crate::extensions::auth::Authenticators;
use crate::extensions::health_check::{self, Health, HealthCheckConfig};
use crate::files;
use crate::ledger::{Ledger, Named, Place, Snapshot};
use crate::net::listen::{ListenError, Listener};
use crate::net::resolve::Resolver;
use crate::net::stop::{self, Stop, Stopper};
use crate::net::tls::server;
use crate::plan::{Plan, PlannedExporter, PlannedPipeline, PlannedReceiver, plan};
use crate::processors::Processor;
use crate::processors::fused::{Fused, Stage};
use crate::receivers::{cloudfront, otlp, otlpjsonfile};
use crate::tasks::{self, Task};
use crate::telemetry;
use crate::telemetry::metrics::{RecordCounts, Sources};
use delivery::Scatter;

use ingress::Ingresses;
use outlets::Outlets;
use pipeline::{Chain, Item};

pub use delivery::state::{DeliveryState, DiskFill, ExporterState, Histogram, LastError, QueueFill};

/// How often to look whether everything is settled at the end, and for how long.
const SETTLE_STEP: Duration = Duration::from_millis(1);
const SETTLE_TIME: Duration = Duration::from_secs(1);

/// What the gateway is given from outside.
#[derive(Clone)]
pub struct Environment {
    /// The open stores, by `exporters.store.directory` as configured.
    pub stores: HashMap<String, Store>,
    /// The time.
    pub clock: Clock,
    /// Bytes that the stores' tails may take of the process's memory.
    pub store_tail_bytes: u64,
    /// Where `exporters.debug` prints; `None`: standard output.
    pub debug_output: Option<Output>,
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment").field("stores", &self.stores.keys()).finish_non_exhaustive()
    }
}

/// Why the gateway did not start. One sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The caller did not open a store.
    #[error("the store in {0} is not open")]
    NoStore(String),
    /// Certificate, key or authorities cannot be used.
    #[error("the exporter {id} cannot use `exporters.{id}.tls`: {reason}")]
    Tls {
        /// Of the exporter.
        id: String,
        /// Which file, and what is wrong with it.
        reason: String,
    },
    /// An authenticator has no secret.
    #[error("the extension {id} cannot start: {reason}")]
    Auth {
        /// Of the extension.
        id: String,
        /// Which file, and what is wrong with it.
        reason: String,
    },
    /// The queue of an exporter cannot be opened.
    #[error("the queue of the exporter {id} in {folder} cannot be opened: {reason}")]
    Storage {
        /// Of the exporter.
        id: String,
        /// Its folder.
        folder: String,
        /// Why not.
        reason: String,
    },
    /// The places of a receiver in its files cannot be read.
    #[error("the receiver {id} cannot go on where it was: {reason}")]
    Places {
        /// Of the receiver.
        id: String,
        /// The path, and why not.
        reason: String,
    },
    /// A file cannot be written.
    #[error("the exporter {id} cannot write {reason}")]
    File {
        /// Of the exporter.
        id: String,
        /// The path, and why not.
        reason: String,
    },
}

impl StartError {
    /// Whether another program listens on one of the addresses.
    #[must_use]
    pub const fn is_address_in_use(&self) -> bool {
        matches!(self, Self::Listen(ListenError::InUse { .. }))
    }
}

/// A gateway.
#[derive(Debug)]
pub struct Gateway;

/// One address that the gateway listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Id of the component, or `metrics`.
    pub component: String,
    /// `grpc` or `http`.
    pub protocol: &'static str,
    /// The address, with the port that the system chose if the configured one was 0.
    pub address: SocketAddr,
}

/// A gateway that runs. Dropping it ends everything at once; [`Running::shutdown`] drains first.
#[derive(Debug)]
pub struct Running {
    addresses: Vec<Address>,
    ledger: Arc<Ledger>,
    budget: Arc<Budget>,
    health: Arc<Health>,
    stop_receivers: Stopper,
    stop_others: Stopper,
    receivers: Vec<Task>,
    pipelines: Vec<Task>,
    deliveries: Vec<Task>,
    states: Vec<Arc<DeliveryState>>,
    others: Vec<Task>,
}

/// What a drain left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainReport {
    /// Everything accepted was delivered before the deadline.
    pub complete: bool,
    /// Spans that were on their way when the deadline passed. Those that wait in a queue in memory are counted as
    /// dropped; the senders of all others were not told that they are accepted.
    pub cut_off_spans: u64,
    /// The final accounts.
    pub ledger: Snapshot,
}

impl Gateway {
    /// Binds every socket, then starts everything. Call it within a tokio runtime.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then and no port is taken.
    pub async fn start(config: &Config, environment: Environment) -> Result<Running, StartError> {
        let plan = plan(config);
        let mut exporters = Vec::new();
        let authenticators = Authenticators::build(&plan.extensions);
        let authenticators = authenticators.map_err(|(id, reason)| StartError::Auth { id, reason })?;
        let surroundings = Surroundings { resolver: Resolver::new(config.hosts_file.clone()), authenticators };
        for (index, planned) in plan.exporters.iter().enumerate() {
            // A file is written by one, whatever signals it holds.
            let is_same =
                |other: &PlannedExporter| other.id == planned.id && matches!(other.config, ExporterConfig::File(_));
            let exporter = match plan.exporters[..index].iter().position(is_same) {
                Some(earlier) => Arc::clone(&exporters[earlier]),
                None => build_exporter(planned, &environment, &surroundings)?,
            };
            exporters.push(exporter);
        }
        let ledger = Arc::new(new_ledger(&plan));
        let storages = outlets::open_storages(&plan, &ledger, &environment.clock).await?;
        let sockets = Sockets::bind(config, &plan, &surroundings.authenticators).await?;
        let budget = Budget::new(payload_limit(&plan, environment.store_tail_bytes));
        let health = Arc::new(Health::new(Arc::clone(&environment.clock)));
        let exporters = exporters.into_iter().zip(storages).collect();
        let outlets = outlets::start(&plan, exporters, &budget, &Scatter::random(), &environment.clock);
        let Outlets { tasks: deliveries, inputs: outputs, states } = outlets;
        let (pipelines, inputs) = start_pipelines(&plan, &outputs, &budget, &environment.clock);
        drop(outputs);
        let (stop_receivers, receivers_stop) = stop::channel();
        let (stop_others, others_stop) = stop::channel();
        let mut running = Running {
            addresses: sockets.addresses(),
            ledger: Arc::clone(&ledger),
            budget: Arc::clone(&budget),
            health: Arc::clone(&health),
            stop_receivers,
            stop_others,
            receivers: Vec::new(),
            pipelines,
            deliveries,
            states: states.clone(),
            others: Vec::new(),
        };
        let mut cloudfront = Vec::new();
        for (planned, bound) in plan.receivers.iter().zip(sockets.receivers) {
            let ingresses = Ingresses::new(&planned.feeds, &inputs, &ledger, &budget);
            running.receivers.extend(bound.start(
                &planned.id.to_string(),
                &ingresses,
                &budget,
                &receivers_stop,
                &environment,
                &mut cloudfront,
            ));
        }
        let stores = environment.stores.into_iter().collect();
        let sources = Arc::new(Sources { ledger, budget, health: Arc::clone(&health), cloudfront, stores });
        for (_, listener, config) in sockets.health_checks {
            let auth = surroundings.authenticators.of(config.auth.as_ref());
            running.others.push(health_check::start(listener, config, auth, Arc::clone(&health), &others_stop));
        }
        running.others.extend(sockets.metrics.map(|listener| telemetry::start(listener, sources, &others_stop)));
        health.set_accepting(true);
        Ok(running)
    }
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// The address of one protocol of one component.
    #[must_use]
    pub fn address(&self, component: &str, protocol: &str) -> Option<SocketAddr> {
        let found =
            self.addresses.iter().find(|address| address.component == component && address.protocol == protocol);
        found.map(|address| address.address)
    }

    /// The accounts at this moment.
    #[must_use]
    pub fn ledger(&self) -> Snapshot {
        self.ledger.snapshot()
    }

    /// A handle on the accounts that outlives this.
    #[must_use]
    pub fn ledger_handle(&self) -> Arc<Ledger> {
        Arc::clone(&self.ledger)
    }

    /// What each exporter's delivery tells of itself, in the order of the plan's exporters.
    #[must_use]
    pub fn deliveries(&self) -> &[Arc<DeliveryState>] {
        &self.states
    }

    /// The budget of payload bytes.
    #[must_use]
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Stops in order: takes nothing new, delivers what was taken, ends. What is not done by `deadline` is cut off,
    /// counted, and its senders hear no "accepted".
    pub async fn shutdown(mut self, deadline: Duration) -> DrainReport {
        self.health.set_accepting(false);
        self.stop_receivers.stop();
        let drained = tokio::time::timeout(deadline, self.drain()).await.is_ok();
        let cut_off_spans = if drained { 0 } else { self.ledger.snapshot().in_flight() };
        for task in self.receivers.iter_mut().chain(&mut self.pipelines).chain(&mut self.deliveries) {
            task.abort().await;
        }
        self.settled().await;
        self.stop_others.stop();
        for task in &mut self.others {
            // A scrape that hangs does not hold up the end.
            if tokio::time::timeout(Duration::from_secs(1), task.join()).await.is_err() {
                task.abort().await;
            }
        }
        DrainReport { complete: drained, cut_off_spans, ledger: self.ledger.snapshot() }
    }

    /// Waits until what the ended tasks held is settled: the runtime drops the exports of an aborted delivery a moment
    /// after it.
    async fn settled(&self) {
        let settled = async {
            while self.ledger.snapshot().in_flight() > 0 {
                tokio::time::sleep(SETTLE_STEP).await;
            }
        };
        if tokio::time::timeout(SETTLE_TIME, settled).await.is_err() {
            tracing::error!(spans = self.ledger.snapshot().in_flight(), "spans were not settled at the end");
        }
    }

    /// Cancel-safe: what has ended stays ended.
    async fn drain(&mut self) {
        for task in self.receivers.iter_mut().chain(&mut self.pipelines).chain(&mut self.deliveries) {
            task.join().await;
        }
    }
}

pub(crate) fn new_ledger(plan: &Plan) -> Ledger {
    let name = |id: &ComponentId, signal: Signal| (id.to_string(), signal);
    let receivers: Vec<Named> = plan.receiver_accounts.iter().map(|(id, signal)| name(id, *signal)).collect();
    let pipelines: Vec<Named> = plan.pipelines.iter().map(|planned| name(&planned.id, planned.signal)).collect();
    let exporters: Vec<Named> = plan.exporters.iter().map(|planned| name(&planned.id, planned.signal)).collect();
    Ledger::new(&receivers, &pipelines, &exporters)
}

fn payload_limit(plan: &Plan, store_tail_bytes: u64) -> u64 {
    let control_group = files::control_group_memory_limit();
    let configured = plan.memory_limits.iter().filter_map(|limit| limit.bytes(control_group));
    let process = budget::process_limit(configured, control_group);
    budget::payload_limit(process, files::resident_bytes(), store_tail_bytes)
}

fn build_exporter(
    planned: &PlannedExporter,
    environment: &Environment,
    surroundings: &Surroundings,
) -> Result<Arc<dyn Exporter>, StartError> {
    let (id, signal) = (planned.id.to_string(), planned.signal);
    match &planned.config {
        ExporterConfig::Store(config) => {
            let store = environment.stores.get(&config.directory);
            let store = store.ok_or_else(|| StartError::NoStore(config.directory.clone()))?;
            Ok(Arc::new(StoreExporter::new(store.clone(), config.directory.clone())))
        }
        ExporterConfig::Debug(config) => {
            let output = environment.debug_output.clone().unwrap_or_else(standard_output);
            Ok(Arc::new(DebugExporter::new(id, config, output)))
        }
        ExporterConfig::File(config) => {
            let exporter = FileExporter::open(config, Arc::clone(&environment.clock));
            let exporter = exporter.map_err(|reason| StartError::File { id, reason })?;
            Ok(Arc::new(exporter))
        }
        ExporterConfig::OtlpGrpc(config) => {
            let exporter = OtlpGrpcExporter::new(&format!("the exporter {id}"), config, signal, surroundings);
            Ok(Arc::new(exporter.map_err(|reason| StartError::Tls { id, reason })?))
        }
        ExporterConfig::OtlpHttp(config) => {
            let exporter = OtlpHttpExporter::new(&format!("the exporter {id}"), config, signal, surroundings);
            Ok(Arc::new(exporter.map_err(|reason| StartError::Tls { id, reason })?))
        }
    }
}

pub(crate) fn start_pipelines(
    plan: &Plan,
    outputs: &[mpsc::Sender<Item>],
    budget: &Arc<Budget>,
    clock: &Clock,
) -> (Vec<Task>, Vec<mpsc::Sender<Item>>) {
    let channels = plan.pipelines.iter().map(|_| mpsc::channel(pipeline::INPUT_BATCHES));
    let (senders, inputs): (Vec<_>, Vec<_>) = channels.unzip();
    let start = |(planned, input): (&PlannedPipeline, mpsc::Receiver<Item>)| {
        let exporters =
            planned.exporters.iter().map(|exporter| (Place::Exporter(*exporter), outputs[exporter.0].clone()));
        let pipelines = planned.pipelines.iter().map(|(_, next)| (Place::Pipeline(*next), senders[next.0].clone()));
        let (chain, places) = (build_chain(planned, budget), exporters.chain(pipelines).collect());
        tasks::start("pipeline", pipeline::run(input, chain, places, Arc::clone(clock)))
    };
    (plan.pipelines.iter().zip(inputs).map(start).collect(), senders)
}

pub(crate) fn build_chain(planned: &PlannedPipeline, budget: &Arc<Budget>) -> Chain {
    let fused = |pass: &Vec<(ComponentId, ProcessorConfig)>| -> Box<dyn Processor> {
        let stages = pass.iter().filter_map(|(_, config)| Stage::new(config)).collect();
        Box::new(Fused::new(stages, Arc::clone(budget)))
    };
    Chain::new(planned.passes.iter().map(fused).collect())
}

/// Every listening socket; dropping them frees the ports.
struct Sockets {
    receivers: Vec<BoundReceiver>,
    receiver_ids: Vec<String>,
    health_checks: Vec<(String, Listener, HealthCheckConfig)>,
    metrics: Option<Listener>,
}

/// The sockets of one receiver.
enum BoundReceiver {
    Otlp(otlp::Bound),
    CloudFront(cloudfront::Bound),
    OtlpJsonFile(otlpjsonfile::Opened),
}

impl Sockets {
    async fn bind(config: &Config, plan: &Plan, authenticators: &Authenticators) -> Result<Self, StartError> {
        let mut sockets =
            Self { receivers: Vec::new(), receiver_ids: Vec::new(), health_checks: Vec::new(), metrics: None };
        for receiver in &plan.receivers {
            sockets.receivers.push(bind_receiver(receiver, authenticators).await?);
            sockets.receiver_ids.push(receiver.id.to_string());
        }
        for (id, extension) in &plan.extensions {
            if let Extension::HealthCheck(health) = extension {
                let (what, key) = (format!("the extension {id}"), format!("extensions.{id}"));
                let listener = Listener::bind(&health.endpoint, &what, &format!("{key}.endpoint")).await?;
                let listener = listener.with_tls(health.tls.as_ref(), server::HTTP, &what, &key)?;
                sockets.health_checks.push((id.to_string(), listener, (**health).clone()));
            }
        }
        if let Some(endpoint) = config.service.telemetry.metrics_endpoint() {
            let key = "service.telemetry.metrics.readers";
            sockets.metrics = Some(Listener::bind(&endpoint, "the gateway's own metrics", key).await?);
        }
        Ok(sockets)
    }

    fn addresses(&self) -> Vec<Address> {
        let mut addresses = Vec::new();
        for (id, receiver) in self.receiver_ids.iter().zip(&self.receivers) {
            let listens = match receiver {
                BoundReceiver::Otlp(bound) => bound.addresses(),
                BoundReceiver::CloudFront(bound) => vec![("http", bound.address())],
                BoundReceiver::OtlpJsonFile(_) => Vec::new(),
            };
            let address = |(protocol, address)| Address { component: id.clone(), protocol, address };
            addresses.extend(listens.into_iter().map(address));
        }
        let health_checks = self.health_checks.iter().map(|(id, listener, _)| (id.clone(), listener));
        let metrics = self.metrics.iter().map(|listener| ("metrics".to_owned(), listener));
        let others = health_checks.chain(metrics);
        let address = |(component, listener): (String, &Listener)| {
            Some(Address { component, protocol: "http", address: listener.address()? })
        };
        addresses.extend(others.filter_map(address));
        addresses
    }
}

async fn bind_receiver(
    receiver: &PlannedReceiver,
    authenticators: &Authenticators,
) -> Result<BoundReceiver, StartError> {
    let id = receiver.id.to_string();
    match &receiver.config {
        Receiver::Otlp(config) => {
            otlp::bind(&id, config, authenticators).await.map(BoundReceiver::Otlp).map_err(StartError::Listen)
        }
        Receiver::CloudFront(config) => {
            cloudfront::bind(&id, config).await.map(BoundReceiver::CloudFront).map_err(StartError::Listen)
        }
        Receiver::OtlpJsonFile(config) => {
            let opened = otlpjsonfile::open(config, None).map_err(|reason| StartError::Places { id, reason });
            opened.map(BoundReceiver::OtlpJsonFile)
        }
    }
}

impl BoundReceiver {
    fn start(
        self,
        id: &str,
        ingresses: &Ingresses,
        budget: &Arc<Budget>,
        stop: &Stop,
        environment: &Environment,
        counts: &mut Vec<(String, RecordCounts)>,
    ) -> Vec<Task> {
        match self {
            Self::Otlp(bound) => bound.start(ingresses, stop),
            Self::OtlpJsonFile(opened) => {
                let clock = Arc::clone(&environment.clock);
                vec![opened.start(id, ingresses.clone(), Arc::clone(budget), stop.clone(), clock)]
            }
            Self::CloudFront(bound) => {
                let ingress = ingresses.of(Signal::Traces).expect("a checked configuration has it in traces pipelines");
                let (task, record_counts) = bound.start(ingress.clone(), stop, Arc::clone(&environment.clock));
                counts.push((id.to_owned(), record_counts));
                vec![task]
            }
        }
    }
}
