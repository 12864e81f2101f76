//! What listens: receivers, health checks, the gateway's own metrics. Each is a part of its own, with what it was made
//! from, so that a reload keeps those that would be made the same again.

use std::net::SocketAddr;
use std::sync::Arc;

use rootspan_store::store::Store;
use rootspan_wire::otlp::payload::Signal;

use super::ingress::Ingresses;
use super::{Address, Environment, StartError, outlets};
use crate::budget::Budget;
use crate::config::Config;
use crate::config::components::{Extension, Receiver};
use crate::config::id::{ComponentId, ExtensionReference};
use crate::config::values::Endpoint;
use crate::extensions::auth::Authenticators;
use crate::extensions::health_check::{self, HealthCheckConfig};
use crate::net::listen::{HandOver, Listener, Offered};
use crate::net::stop::{self, Stop, Stopper};
use crate::net::tls::server;
use crate::plan::{Plan, PlannedReceiver};
use crate::receivers::{cloudfront, nginxlog, otlp, otlpjsonfile};
use crate::tasks::Task;
use crate::telemetry;
use crate::telemetry::metrics::{Metric, RecordCounts, Sources};

/// Extensions that a component refers to, with their settings: part of what it is made from.
pub(super) type Referred = Vec<(ComponentId, Extension)>;

/// The extensions of `plan` that are called `ids`.
pub(super) fn referred(plan: &Plan, ids: &[&ComponentId]) -> Referred {
    plan.extensions.iter().filter(|(id, _)| ids.contains(&id)).cloned().collect()
}

/// Something that listens, running.
pub(super) struct Server {
    pub(super) stop: Stopper,
    pub(super) tasks: Vec<Task>,
}

/// What a receiver is made from.
#[derive(Clone, PartialEq)]
pub(super) struct ReceiverKey {
    id: ComponentId,
    config: Receiver,
    signals: Vec<Signal>,
    referred: Referred,
}

impl ReceiverKey {
    pub(super) fn of(plan: &Plan, planned: &PlannedReceiver) -> Self {
        Self {
            id: planned.id.clone(),
            config: planned.config.clone(),
            signals: planned.feeds.iter().map(|feed| feed.signal).collect(),
            referred: referred(plan, &planned.config.extensions()),
        }
    }
}

/// A receiver that runs.
pub(super) struct ReceiverPart {
    pub(super) key: ReceiverKey,
    pub(super) addresses: Vec<Address>,
    pub(super) sockets: Vec<Offered>,
    pub(super) counts: Vec<(Metric, RecordCounts)>,
    /// Where records are counted, if it reads CloudFront's.
    pub(super) counting: Option<cloudfront::Counting>,
    pub(super) ingresses: Ingresses,
    pub(super) server: Server,
}

/// A receiver whose sockets listen and that has not started.
pub(super) enum BoundReceiver {
    Otlp(otlp::Bound),
    CloudFront(cloudfront::Bound),
    OtlpJsonFile(otlpjsonfile::Opened),
    NginxLog(nginxlog::Bound),
}

impl BoundReceiver {
    pub(super) async fn bind(
        planned: &PlannedReceiver,
        plan: &Plan,
        authenticators: &Authenticators,
        hand_over: &HandOver,
    ) -> Result<Self, StartError> {
        let id = planned.id.to_string();
        let places = |reference: Option<&ExtensionReference>| {
            outlets::storage_of(plan, reference).map(|storage| storage.folder_of_receiver(&id))
        };
        match &planned.config {
            Receiver::Otlp(config) => Ok(Self::Otlp(otlp::bind(&id, config, authenticators, hand_over).await?)),
            Receiver::CloudFront(config) => {
                let objects = match outlets::storage_of(plan, config.storage_of_objects()) {
                    Some(storage) => {
                        let prepared = outlets::prepare(storage);
                        prepared.map_err(|reason| StartError::Places { id: id.clone(), reason })?;
                        Some(storage.folder_of_objects(&id))
                    }
                    None => None,
                };
                let folders = cloudfront::Folders { places: places(config.storage_of_files()), objects };
                Ok(Self::CloudFront(cloudfront::bind(&id, config, hand_over, folders).await?))
            }
            Receiver::NginxLog(config) => {
                Ok(Self::NginxLog(nginxlog::bind(&id, config, places(config.storage.as_ref())).await?))
            }
            Receiver::OtlpJsonFile(config) => {
                let opened = otlpjsonfile::open(&id, config, places(config.storage.as_ref()));
                opened.map(Self::OtlpJsonFile).map_err(|reason| StartError::Places { id, reason })
            }
        }
    }

    /// Starts to receive.
    pub(super) fn start(
        self,
        key: ReceiverKey,
        ingresses: Ingresses,
        budget: &Arc<Budget>,
        stores: Vec<Store>,
        environment: &Environment,
    ) -> ReceiverPart {
        let mut counting = None;
        let (stopper, stop) = stop::channel();
        let (listens, sockets) = match &self {
            Self::Otlp(bound) => (bound.addresses(), bound.sockets()),
            Self::CloudFront(bound) => {
                (bound.address().map(|address| ("http", address)).into_iter().collect(), bound.sockets())
            }
            Self::OtlpJsonFile(_) => (Vec::new(), Vec::new()),
            Self::NginxLog(bound) => (bound.addresses(), Vec::new()),
        };
        let id = key.id.to_string();
        let address =
            |(protocol, address): (&'static str, SocketAddr)| Address { component: id.clone(), protocol, address };
        let addresses = listens.into_iter().map(address).collect();
        let traces = || {
            let ingress = ingresses.of(Signal::Traces);
            ingress.expect("a checked configuration has it in traces pipelines").clone()
        };
        let (tasks, counts) = match self {
            Self::Otlp(bound) => (bound.start(&ingresses, &stop), Vec::new()),
            Self::OtlpJsonFile(opened) => {
                let clock = Arc::clone(&environment.clock);
                (vec![opened.start(&id, ingresses.clone(), Arc::clone(budget), stop.clone(), clock)], Vec::new())
            }
            Self::CloudFront(bound) => {
                let counting = counting.insert(cloudfront::Counting::new(stores)).clone();
                bound.start(&id, traces(), counting, &stop, &environment.clock)
            }
            Self::NginxLog(bound) => {
                let (tasks, counts) = bound.start(&id, &traces(), &stop, Arc::clone(&environment.clock));
                (tasks, vec![(Metric::NginxLogLines, counts)])
            }
        };
        ReceiverPart { key, addresses, sockets, counts, counting, ingresses, server: Server { stop: stopper, tasks } }
    }
}

/// What another server is made from.
#[derive(Clone, PartialEq)]
pub(super) enum ServerKey {
    HealthCheck(ComponentId, Box<HealthCheckConfig>, Referred),
    Metrics(Endpoint),
}

/// A health check, or the metrics.
pub(super) struct ServerPart {
    pub(super) key: ServerKey,
    pub(super) address: Option<Address>,
    pub(super) socket: Offered,
    pub(super) server: Server,
}

impl ServerKey {
    /// All that a configuration asks for.
    pub(super) fn all(plan: &Plan, config: &Config) -> Vec<Self> {
        let mut keys = Vec::new();
        for (id, extension) in &plan.extensions {
            if let Extension::HealthCheck(health) = extension {
                let referred = referred(plan, &health.auth.iter().map(|auth| auth.extension()).collect::<Vec<_>>());
                keys.push(Self::HealthCheck(id.clone(), health.clone(), referred));
            }
        }
        keys.extend(config.service.telemetry.metrics_endpoint().map(Self::Metrics));
        keys
    }

    /// Listens.
    pub(super) async fn bind(&self, hand_over: &HandOver) -> Result<Listener, StartError> {
        match self {
            Self::HealthCheck(id, health, _) => {
                let (what, key) = (format!("the extension {id}"), format!("extensions.{id}"));
                let listener = Listener::bind(hand_over, &health.endpoint, &what, &format!("{key}.endpoint")).await?;
                Ok(listener.with_tls(health.tls.as_ref(), server::HTTP, &what, &key)?)
            }
            Self::Metrics(endpoint) => {
                let key = "service.telemetry.metrics.readers";
                Ok(Listener::bind(hand_over, endpoint, "the gateway's own metrics", key).await?)
            }
        }
    }

    /// Starts to answer.
    pub(super) fn start(
        self,
        listener: Listener,
        authenticators: &Authenticators,
        sources: &Arc<Sources>,
    ) -> ServerPart {
        let (stopper, stop) = stop::channel();
        let component = match &self {
            Self::HealthCheck(id, ..) => id.to_string(),
            Self::Metrics(_) => "metrics".to_owned(),
        };
        let (socket, address) = (listener.offered(), listener.address());
        let task = self.task(listener, authenticators, sources, &stop);
        let address = address.map(|address| Address { component, protocol: "http", address });
        ServerPart { key: self, address, socket, server: Server { stop: stopper, tasks: vec![task] } }
    }

    fn task(&self, listener: Listener, authenticators: &Authenticators, sources: &Arc<Sources>, stop: &Stop) -> Task {
        match self {
            Self::HealthCheck(_, health, _) => {
                let auth = authenticators.of(health.auth.as_ref());
                health_check::start(listener, (**health).clone(), auth, Arc::clone(&sources.health), stop)
            }
            Self::Metrics(_) => telemetry::start(listener, Arc::clone(sources), stop),
        }
    }
}
