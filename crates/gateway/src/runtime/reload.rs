//! From one graph to the next, the first one from none. What would be made the same again is kept, with its connections,
//! listeners and queues: receivers, pipelines, exporters, each compared by what it is made from, the extensions that it
//! refers to included.
//!
//! Whatever can fail comes first: if an address is taken or a certificate cannot be read, what ran before runs on. Then
//! the new parts start, receivers that stay are led to them in one step, and only then are the others told to stop:
//! receivers finish their requests, pipelines let go what they hold, exporters deliver what they have queued, all in the
//! background and until the drain deadline.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use rootspan_store::store::Store;
use tokio::sync::mpsc;

use super::connect::{PipelineKey, PipelinePart, start_pipelines};
use super::graph::Graph;
use super::ingress::Ingresses;
use super::outlets::{self, OutletKey, OutletPart, Queueing};
use super::pipeline::Item;
use super::servers::{BoundReceiver, ReceiverKey, ReceiverPart, ServerKey, ServerPart};
use super::{Address, Environment, Running, StartError, accounts, payload_limit};
use crate::config::Config;
use crate::config::components::Exporter as ExporterConfig;
use crate::exporters::{Exporter, Surroundings};
use crate::extensions::auth::Authenticators;
use crate::ledger::Accounts;
use crate::net::listen::{HandOver, Listener};
use crate::net::resolve::Resolver;
use crate::plan::{Feed, Plan, plan};
use crate::tasks::{self, Task};

/// Everything of a graph that runs.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) outlets: Vec<OutletPart>,
    pub(super) pipelines: Vec<PipelinePart>,
    pub(super) receivers: Vec<ReceiverPart>,
    pub(super) servers: Vec<ServerPart>,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// Which parts a plan keeps, by position in it: the position among the parts that run.
struct Kept {
    outlets: Vec<Option<usize>>,
    pipelines: Vec<Option<usize>>,
    receivers: Vec<Option<usize>>,
    servers: Vec<Option<usize>>,
}

/// What parts are made from, in the order of a plan.
struct Keys {
    outlets: Vec<OutletKey>,
    pipelines: Vec<PipelineKey>,
    receivers: Vec<ReceiverKey>,
    servers: Vec<ServerKey>,
}

impl Keys {
    fn of(plan: &Plan, config: &Config) -> Self {
        Self {
            outlets: (0..plan.exporters.len()).map(|index| OutletKey::of(plan, index)).collect(),
            pipelines: plan.pipelines.iter().map(|planned| PipelineKey::of(plan, planned)).collect(),
            receivers: plan.receivers.iter().map(|planned| ReceiverKey::of(plan, planned)).collect(),
            servers: ServerKey::all(plan, config),
        }
    }
}

impl Kept {
    fn of(keys: &Keys, plan: &Plan, parts: &Parts) -> Self {
        let outlets: Vec<_> =
            keys.outlets.iter().map(|key| parts.outlets.iter().position(|part| part.key == *key)).collect();
        let mut pipelines: Vec<_> =
            keys.pipelines.iter().map(|key| parts.pipelines.iter().position(|part| part.key == *key)).collect();
        // A pipeline stays only if everything behind it stays, pipelines behind connectors included.
        loop {
            let leaves = |index: &usize| {
                let planned = &plan.pipelines[*index];
                let ends_elsewhere = planned.exporters.iter().any(|exporter| outlets[exporter.0].is_none());
                let goes_elsewhere = planned.pipelines.iter().any(|(_, next)| pipelines[next.0].is_none());
                pipelines[*index].is_some() && (ends_elsewhere || goes_elsewhere)
            };
            let Some(index) = (0..pipelines.len()).find(leaves) else { break };
            pipelines[index] = None;
        }
        let receivers = keys.receivers.iter().map(|key| parts.receivers.iter().position(|part| part.key == *key));
        let servers = keys.servers.iter().map(|key| parts.servers.iter().position(|part| part.key == *key));
        Self { outlets, receivers: receivers.collect(), servers: servers.collect(), pipelines }
    }

    /// The sockets of what will stop.
    fn hand_over(&self, parts: &Parts) -> HandOver {
        let receivers = parts.receivers.iter().enumerate();
        let receivers = receivers.filter(|(index, _)| !self.receivers.contains(&Some(*index)));
        let servers = parts.servers.iter().enumerate();
        let servers = servers.filter(|(index, _)| !self.servers.contains(&Some(*index)));
        let sockets = receivers.flat_map(|(_, part)| part.sockets.clone());
        HandOver::new(sockets.chain(servers.map(|(_, part)| part.socket.clone())).collect())
    }
}

/// New parts that could be made and have not started.
struct Made {
    exporters: Vec<Option<(Arc<dyn Exporter>, Queueing)>>,
    receivers: Vec<Option<BoundReceiver>>,
    servers: Vec<Option<Listener>>,
    surroundings: Surroundings,
}

impl Running {
    /// Runs another configuration. What was queued by exporters that change or go is delivered in the background within
    /// `drain_deadline`; what is not is counted as lost, as at the end of the process.
    ///
    /// # Errors
    /// [`StartError`]; what ran before runs on.
    pub async fn reload(
        &mut self,
        config: &Config,
        environment: Environment,
        drain_deadline: Duration,
    ) -> Result<(), StartError> {
        let applied = self.apply(config, &environment, drain_deadline).await;
        self.sources.health.reloaded(applied.is_ok());
        applied
    }

    /// Counts a new configuration that could not even be read.
    pub fn reload_rejected(&self) {
        self.sources.health.reloaded(false);
    }

    pub(super) async fn apply(
        &mut self,
        config: &Config,
        environment: &Environment,
        drain_deadline: Duration,
    ) -> Result<(), StartError> {
        let plan = plan(config);
        let keys = Keys::of(&plan, config);
        let kept = Kept::of(&keys, &plan, &self.parts);
        let mut made = self.make(config, &plan, &keys, &kept, environment).await?;
        let accounts = accounts(&self.ledger, &plan);
        self.open_queues(&plan, &accounts, &kept, &mut made, environment).await?;
        // From here on nothing fails.
        self.budget.set_limit(payload_limit(&plan, environment.store_tail_bytes, self.resident_at_start));
        let old = std::mem::take(&mut self.parts);
        let leaving = self.start_parts(&plan, keys, &kept, made, &accounts, old, environment);
        self.tell(plan, accounts, environment, config);
        if !leaving.is_empty() {
            self.draining.push(tasks::start("drain of an earlier configuration", drain(leaving, drain_deadline)));
        }
        Ok(())
    }

    /// Makes what is new, as far as it can fail.
    async fn make(
        &self,
        config: &Config,
        plan: &Plan,
        keys: &Keys,
        kept: &Kept,
        environment: &Environment,
    ) -> Result<Made, StartError> {
        let authenticators = Authenticators::build(&plan.extensions);
        let authenticators = authenticators.map_err(|(id, reason)| StartError::Auth { id, reason })?;
        let surroundings = Surroundings { resolver: Resolver::new(config.hosts_file.clone()), authenticators };
        let hand_over = kept.hand_over(&self.parts);
        let mut made = Made { exporters: Vec::new(), receivers: Vec::new(), servers: Vec::new(), surroundings };
        for (index, (planned, is_kept)) in plan.exporters.iter().zip(&kept.outlets).enumerate() {
            if is_kept.is_some() {
                made.exporters.push(None);
                continue;
            }
            // A file is written by one, whatever signals it holds.
            let same = (0..index).find(|earlier| outlets::is_same_file(planned, &plan.exporters[*earlier]));
            let exporter = match same.and_then(|earlier| made.exporters[earlier].as_ref()) {
                Some((earlier, _)) => Arc::clone(earlier),
                None => match outlets::open_file(planned, &self.parts.outlets)? {
                    Some(open) => open,
                    None => outlets::build_exporter(planned, environment, &made.surroundings)?,
                },
            };
            made.exporters.push(Some((exporter, Queueing::Memory)));
        }
        for (planned, kept) in plan.receivers.iter().zip(&kept.receivers) {
            made.receivers.push(match kept {
                Some(_) => None,
                None => Some(BoundReceiver::bind(planned, plan, &made.surroundings.authenticators, &hand_over).await?),
            });
        }
        for (key, kept) in keys.servers.iter().zip(&kept.servers) {
            made.servers.push(match kept {
                Some(_) => None,
                None => Some(key.bind(&hand_over).await?),
            });
        }
        Ok(made)
    }

    /// Opens the queues on disk of new exporters. One that another exporter still has is opened when that is done.
    async fn open_queues(
        &self,
        plan: &Plan,
        accounts: &Accounts,
        kept: &Kept,
        made: &mut Made,
        environment: &Environment,
    ) -> Result<(), StartError> {
        for (index, exporter) in made.exporters.iter_mut().enumerate() {
            let Some((_, queueing)) = exporter else { continue };
            let account = (Arc::clone(&self.ledger), accounts.exporters[index]);
            let Some(opening) = outlets::Opening::of(plan, index, account, &environment.clock) else { continue };
            let is_leaving = |(position, part): &(usize, &OutletPart)| {
                !kept.outlets.contains(&Some(*position)) && part.folder.as_ref() == Some(opening.folder())
            };
            *queueing = if self.parts.outlets.iter().enumerate().any(|part| is_leaving(&part)) {
                Queueing::After(opening)
            } else {
                Queueing::Disk(Box::new(opening.open().await?))
            };
        }
        Ok(())
    }

    /// Starts what is new and leads receivers to it. Gives what is left of the old parts, told to stop.
    #[expect(clippy::too_many_arguments, reason = "the one place where everything comes together")]
    fn start_parts(
        &mut self,
        plan: &Plan,
        keys: Keys,
        kept: &Kept,
        made: Made,
        accounts: &Accounts,
        old: Parts,
        environment: &Environment,
    ) -> Vec<Task> {
        let mut old = Leaving::of(old);
        let mut parts = Parts::default();
        let exporters = made.exporters.into_iter().zip(&kept.outlets).enumerate();
        for (index, (exporter, kept)) in exporters {
            parts.outlets.push(match (exporter, kept.and_then(|kept| old.outlets[kept].take())) {
                (Some((exporter, queueing)), _) => {
                    let before = old.take_outlet_in(queueing.awaited_folder());
                    outlets::start_one(plan, index, (exporter, queueing), before, self.shared(environment))
                }
                (None, part) => part.expect("a part is kept for one place of the plan"),
            });
        }
        let outputs: Vec<mpsc::Sender<Item>> = parts.outlets.iter().map(|part| part.input.clone()).collect();
        let mut pipelines: Vec<_> =
            kept.pipelines.iter().map(|kept| kept.and_then(|kept| old.pipelines[kept].take())).collect();
        let inputs = pipelines.iter().map(|part| part.as_ref().map(|part| part.input.clone())).collect();
        let connected = start_pipelines(plan, accounts, inputs, &outputs, (&self.budget, &environment.clock));
        for (index, (key, (input, task))) in keys.pipelines.into_iter().zip(connected).enumerate() {
            parts.pipelines.push(match (pipelines[index].take(), task) {
                (None, Some(task)) => PipelinePart { key, input, task },
                (part, _) => part.expect("a pipeline is kept or started"),
            });
        }
        let inputs: Vec<mpsc::Sender<Item>> = parts.pipelines.iter().map(|part| part.input.clone()).collect();
        let receivers = keys.receivers.into_iter().zip(made.receivers).zip(&kept.receivers).enumerate();
        for (index, ((key, bound), kept)) in receivers {
            let feeds = &plan.receivers[index].feeds;
            let stores = stores_behind(plan, feeds, environment);
            parts.receivers.push(match (bound, kept.and_then(|kept| old.receivers[kept].take())) {
                (Some(bound), _) => {
                    let ingresses = Ingresses::new(feeds, &inputs, accounts, &self.ledger, &self.budget);
                    bound.start(key, ingresses, &self.budget, stores, environment)
                }
                (None, part) => {
                    let part = part.expect("a part is kept for one place of the plan");
                    part.ingresses.switch(feeds, &inputs, accounts);
                    if let Some(counting) = &part.counting {
                        counting.switch(stores);
                    }
                    part
                }
            });
        }
        for ((key, listener), kept) in keys.servers.into_iter().zip(made.servers).zip(&kept.servers) {
            parts.servers.push(match (listener, kept.and_then(|kept| old.servers[kept].take())) {
                (Some(listener), _) => key.start(listener, &made.surroundings.authenticators, &self.sources),
                (None, part) => part.expect("a part is kept for one place of the plan"),
            });
        }
        self.parts = parts;
        old.stop()
    }

    /// Lets everybody who tells of the graph tell of this one.
    fn tell(&self, plan: Plan, accounts: Accounts, environment: &Environment, config: &Config) {
        let counts = self.parts.receivers.iter().zip(&plan.receivers);
        let counts = counts.flat_map(|(part, planned)| {
            part.counts.iter().map(|(metric, counts)| (*metric, planned.id.to_string(), Arc::clone(counts)))
        });
        let edge = self.parts.receivers.iter().zip(&plan.receivers);
        let edge = edge.filter_map(|(part, planned)| {
            let figures = part.counting.as_ref()?.figures();
            Some((planned.id.to_string(), figures))
        });
        let graph = Graph {
            addresses: self.addresses(),
            counts: counts.collect(),
            edge: edge.collect(),
            deliveries: self.parts.outlets.iter().map(|part| Arc::clone(&part.state)).collect(),
            stores: environment.stores.iter().map(|(path, store)| (path.clone(), store.clone())).collect(),
            names: config.service.telemetry.metric_names(),
            resource: config.service.telemetry.resource.clone(),
            plan,
            accounts,
        };
        *self.sources.graph.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(graph);
    }
}

/// The embedded stores that batches of a receiver come to.
fn stores_behind(plan: &Plan, feeds: &[Feed], environment: &Environment) -> Vec<Store> {
    let mut directories: Vec<&str> = Vec::new();
    let mut pipelines: Vec<_> = feeds.iter().flat_map(|feed| feed.pipelines.iter().copied()).collect();
    let mut position = 0;
    while let Some(index) = pipelines.get(position).copied() {
        position += 1;
        let planned = &plan.pipelines[index.0];
        for exporter in &planned.exporters {
            if let ExporterConfig::Store(config) = &plan.exporters[exporter.0].config
                && !directories.contains(&config.directory.as_str())
            {
                directories.push(&config.directory);
            }
        }
        for (_, next) in &planned.pipelines {
            if !pipelines.contains(next) {
                pipelines.push(*next);
            }
        }
    }
    directories.into_iter().filter_map(|directory| environment.stores.get(directory).cloned()).collect()
}

/// Parts that the next graph takes from, one by one; what is left stops.
struct Leaving {
    outlets: Vec<Option<OutletPart>>,
    pipelines: Vec<Option<PipelinePart>>,
    receivers: Vec<Option<ReceiverPart>>,
    servers: Vec<Option<ServerPart>>,
}

impl Leaving {
    fn of(parts: Parts) -> Self {
        Self {
            outlets: parts.outlets.into_iter().map(Some).collect(),
            pipelines: parts.pipelines.into_iter().map(Some).collect(),
            receivers: parts.receivers.into_iter().map(Some).collect(),
            servers: parts.servers.into_iter().map(Some).collect(),
        }
    }

    /// The task of the exporter that has its queue in `folder`; the next one waits for its end.
    fn take_outlet_in(&mut self, folder: Option<&std::path::PathBuf>) -> Option<Task> {
        let folder = folder?;
        let found =
            self.outlets.iter_mut().find(|part| part.as_ref().is_some_and(|part| part.folder.as_ref() == Some(folder)));
        found.and_then(Option::take).map(|part| part.task)
    }

    /// Tells receivers and servers to stop. Pipelines and exporters end when nobody has the way into them any more: from
    /// here on only connections that finish their requests have.
    fn stop(self) -> Vec<Task> {
        let mut tasks = Vec::new();
        for part in self.receivers.into_iter().flatten() {
            part.server.stop.stop();
            tasks.extend(part.server.tasks);
        }
        for part in self.servers.into_iter().flatten() {
            part.server.stop.stop();
            tasks.extend(part.server.tasks);
        }
        tasks.extend(self.pipelines.into_iter().flatten().map(|part| part.task));
        tasks.extend(self.outlets.into_iter().flatten().map(|part| part.task));
        tasks
    }
}

/// Waits for the ends, from the front, until the deadline; then ends what is left.
async fn drain(mut tasks: Vec<Task>, deadline: Duration) {
    let all = async {
        for task in &mut tasks {
            task.join().await;
        }
    };
    if tokio::time::timeout(deadline, all).await.is_err() {
        tracing::warn!("parts of an earlier configuration did not end within the drain deadline and were cut off");
        for task in &mut tasks {
            task.abort().await;
        }
    }
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> Vec<Address> {
        let receivers = self.parts.receivers.iter().flat_map(|part| part.addresses.clone());
        receivers.chain(self.parts.servers.iter().filter_map(|part| part.address.clone())).collect()
    }
}
