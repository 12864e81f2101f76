//! The gateway that runs: sockets bound, pipelines connected, and the way to stop in order.
//!
//! Receivers hold the inputs of pipelines, pipelines those of exporters. So stopping is closing, from the front: the
//! receivers finish what they have accepted and go, which ends the pipelines, which ends delivery. A reload ([`reload`])
//! goes from one graph to the next, and starting is the first reload, from none.

pub(crate) mod connect;
pub(crate) mod delivery;
pub(crate) mod graph;
pub(crate) mod ingress;
pub(crate) mod outlets;
pub(crate) mod pipeline;
mod reload;
mod servers;
#[cfg(test)]
mod unplugged;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use rootspan_store::store::Store;
use rootspan_wire::otlp::payload::Signal;

use crate::budget::{self, Budget};
use crate::clock::Clock;
use crate::config::Config;
use crate::config::id::ComponentId;
use crate::exporters::debug::Output;
use crate::extensions::health_check::Health;
use crate::files;
use crate::ledger::{Accounts, Ledger, Named, Snapshot};
use crate::net::listen::ListenError;
use crate::net::stop::{self, Stopper};
use crate::plan::Plan;
use crate::tasks::Task;
use crate::telemetry;
use crate::telemetry::metrics::Sources;
use crate::telemetry::rates::Rates;
use delivery::Scatter;
use graph::Graph;
use reload::Parts;

pub use delivery::state::{DeliveryState, DiskFill, ExporterState, Histogram, LastError, QueueFill};
pub use delivery::storage::look;

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
    ledger: Arc<Ledger>,
    budget: Arc<Budget>,
    sources: Arc<Sources>,
    /// What the process needed for itself when it began.
    resident_at_start: u64,
    parts: Parts,
    /// What of earlier graphs has not ended.
    draining: Vec<Task>,
    stop_watch: Stopper,
    watch: Option<Task>,
    /// Receivers that have no sockets.
    #[cfg(test)]
    stop_simulation: Option<Stopper>,
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
        let health = Arc::new(Health::new(Arc::clone(&environment.clock)));
        let mut running = Running::without_parts(health);
        let (stopper, stop) = stop::channel();
        running.stop_watch = stopper;
        running.apply(config, &environment, Duration::ZERO).await?;
        running.watch = Some(telemetry::watch(Arc::clone(&running.sources), stop));
        running.sources.health.set_accepting(true);
        Ok(running)
    }
}

impl Running {
    fn without_parts(health: Arc<Health>) -> Self {
        let (ledger, budget) = (Arc::new(Ledger::new(&[], &[], &[])), Budget::new(0));
        Self::with_accounts(ledger, budget, health)
    }

    fn with_accounts(ledger: Arc<Ledger>, budget: Arc<Budget>, health: Arc<Health>) -> Self {
        let graph = RwLock::new(Arc::new(Graph::default()));
        let sources = Sources {
            ledger: Arc::clone(&ledger),
            budget: Arc::clone(&budget),
            health,
            graph,
            rates: Rates::default(),
        };
        Self {
            ledger,
            budget,
            sources: Arc::new(sources),
            resident_at_start: files::resident_bytes(),
            parts: Parts::default(),
            draining: Vec::new(),
            stop_watch: stop::channel().0,
            watch: None,
            #[cfg(test)]
            stop_simulation: None,
        }
    }

    /// The address of one protocol of one component.
    #[must_use]
    pub fn address(&self, component: &str, protocol: &str) -> Option<SocketAddr> {
        let found =
            self.addresses().into_iter().find(|address| address.component == component && address.protocol == protocol);
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
    pub fn deliveries(&self) -> Vec<Arc<DeliveryState>> {
        self.parts.outlets.iter().map(|part| Arc::clone(&part.state)).collect()
    }

    /// The budget of payload bytes.
    #[must_use]
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Stops in order: takes nothing new, delivers what was taken, ends. What is not done by `deadline` is cut off,
    /// counted, and its senders hear no "accepted".
    pub async fn shutdown(mut self, deadline: Duration) -> DrainReport {
        self.sources.health.set_accepting(false);
        #[cfg(test)]
        if let Some(stopper) = &self.stop_simulation {
            stopper.stop();
        }
        let Parts { outlets, pipelines, receivers, servers } = std::mem::take(&mut self.parts);
        // Only the tasks are kept: the ways into pipelines and exporters end with those who use them.
        let mut tasks = std::mem::take(&mut self.draining);
        for part in receivers {
            part.server.stop.stop();
            tasks.extend(part.server.tasks);
        }
        tasks.extend(pipelines.into_iter().map(|part| part.task));
        tasks.extend(outlets.into_iter().map(|part| part.task));
        let drained = tokio::time::timeout(deadline, join_all(&mut tasks)).await.is_ok();
        let cut_off_spans = if drained { 0 } else { self.ledger.snapshot().in_flight() };
        for task in &mut tasks {
            task.abort().await;
        }
        self.settled().await;
        self.stop_watch.stop();
        servers.iter().for_each(|part| part.server.stop.stop());
        for task in servers.into_iter().flat_map(|part| part.server.tasks).chain(self.watch.take()) {
            let mut task = task;
            // A scrape that hangs does not hold up the end.
            if tokio::time::timeout(Duration::from_secs(1), task.join()).await.is_err() {
                task.abort().await;
            }
        }
        DrainReport { complete: drained, cut_off_spans, ledger: self.ledger.snapshot() }
    }

    /// What every delivery is given.
    fn shared(&self, environment: &Environment) -> outlets::Shared {
        outlets::Shared {
            budget: Arc::clone(&self.budget),
            scatter: Scatter::random(),
            clock: Arc::clone(&environment.clock),
        }
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
}

/// Cancel-safe: what has ended stays ended.
async fn join_all(tasks: &mut [Task]) {
    for task in tasks {
        task.join().await;
    }
}

/// The accounts of a plan, opened where they are not there.
pub(crate) fn accounts(ledger: &Ledger, plan: &Plan) -> Accounts {
    let name = |id: &ComponentId, signal: Signal| (id.to_string(), signal);
    let receivers: Vec<Named> = plan.receiver_accounts.iter().map(|(id, signal)| name(id, *signal)).collect();
    let pipelines: Vec<Named> = plan.pipelines.iter().map(|planned| name(&planned.id, planned.signal)).collect();
    let exporters: Vec<Named> = plan.exporters.iter().map(|planned| name(&planned.id, planned.signal)).collect();
    ledger.adopt(&receivers, &pipelines, &exporters)
}

fn payload_limit(plan: &Plan, store_tail_bytes: u64, resident_at_start: u64) -> u64 {
    let control_group = files::control_group_memory_limit();
    let configured = plan.memory_limits.iter().filter_map(|limit| limit.bytes(control_group));
    let process = budget::process_limit(configured, control_group);
    budget::payload_limit(process, resident_at_start, store_tail_bytes)
}
