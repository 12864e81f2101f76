//! A CloudFront on this machine: one distribution, with an origin (or a group of two) for each behaviour.
//!
//! It runs edge functions under CloudFront's rules, CloudFront Functions in [`sandbox`] and Lambda@Edge in Node
//! ([`lambda`]), keeps what may be kept, forwards the rest, and writes an access-log record for every request, which it
//! delivers in any of CloudFront's forms. What it did is also in its own ledger, so that traces can be compared with the
//! truth.
//!
//! ```text
//! viewer ─▶ Emulator ─▶ Distribution ─▶ functions, cache, origin
//!                            │
//!                            └ Exchange ends ─▶ ledger, and Outboxes ─▶ Couriers ─▶ Firehose endpoint, folder, bucket
//! ```
//!
//! Not imitated: TLS, HTTP/2 and HTTP/3, compression, parts of cached objects, S3 origins, signed URLs, geo restriction,
//! Origin Shield, key-value stores, bodies of requests in functions, `Vary`, Parquet.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use self::cache::Cache;
use self::delivery::{Courier, DeliveryCounts, stop_limit};
use self::distribution::Distribution;
use self::distribution::functions::Attached;
use self::exchange::Sinks;
use self::ledger::Ledger;
use self::random::Random;

mod cache;
mod clock;
pub mod config;
pub mod delivery;
mod digest;
mod distribution;
mod event;
mod exchange;
pub mod file;
pub(crate) mod headers;
pub mod lambda;
mod lambda_event;
pub mod ledger;
mod limits;
pub mod log_form;
pub mod policy;
mod random;
mod record;
pub mod sandbox;
pub mod trial;

pub use self::config::{
    Behavior, CLASS_HEADER, Config, ErrorPage, Failover, Function, Functions, PROTOCOL_HEADER, Runtime, StartError,
    ViewerProtocol, WafRule,
};
pub use self::delivery::{Bucket, Delivery, Destination, Mishaps, Packing};
pub use self::headers::EventType;
pub use self::ledger::{LedgerEntry, ResultType};
pub use self::limits::AllowedMethods;
pub use self::log_form::{LogForm, V2Format};
pub use self::policy::{CachePolicy, OriginRequestPolicy, Selection};

/// How long open requests may take once the emulator was told to stop.
const CLOSE_LIMIT: std::time::Duration = std::time::Duration::from_secs(10);

/// Starts emulators.
#[derive(Clone, Copy, Debug)]
pub struct Emulator;

/// An emulator that is serving.
#[derive(Debug)]
pub struct Running {
    /// Where viewers connect.
    pub address: SocketAddr,
    sinks: Arc<Sinks>,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    couriers: Vec<(JoinHandle<()>, std::time::Duration)>,
}

/// What was done, when it is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Every request, in the order in which they ended.
    pub ledger: Vec<LedgerEntry>,
    /// Older requests that the ledger did not keep.
    pub forgotten: u64,
    /// What became of the log records, for each delivery.
    pub deliveries: Vec<DeliveryCounts>,
}

impl Emulator {
    /// Starts serving. Must be called within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// If the configuration cannot be used or the address is taken.
    pub async fn start(config: Config) -> Result<Running, StartError> {
        let routes = config.routes()?;
        let listener = TcpListener::bind(config.listen).await;
        let listen_error = |source| StartError::Listen { address: config.listen, source };
        let listener = listener.map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;

        let (stop, stopping) = watch::channel(false);
        let random = Arc::new(Random::new(config.seed, clock::unix_millis()));
        let functions = Attached::start(&config, &random).await?;
        let (mut outboxes, mut couriers) = (Vec::new(), Vec::new());
        for delivery in config.deliveries.clone() {
            let limit = stop_limit(&delivery);
            let courier = Courier::new(delivery, &config.distribution_id, Arc::clone(&random), stopping.clone());
            let (outbox, courier) = courier.map_err(StartError::Delivery)?;
            outboxes.push(outbox);
            couriers.push((tokio::spawn(courier.run()), limit));
        }
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(config.origin_connect_timeout));
        connector.set_nodelay(true);
        let clock = clock::Clock { behind: config.clock_behind };
        let sinks = Arc::new(Sinks { ledger: Ledger::new(config.ledger_max_entries), outboxes, clock });
        let distribution = Distribution {
            routes,
            functions,
            cache: Arc::new(Cache::new(config.cache_max_bytes)),
            sinks: Arc::clone(&sinks),
            random,
            client: Client::builder(TokioExecutor::new()).build(connector),
            config,
        };
        let server = tokio::spawn(serve(listener, Arc::new(distribution), stopping));
        Ok(Running { address, sinks, stop, server, couriers })
    }
}

impl Running {
    /// The requests that have ended so far.
    #[must_use]
    pub fn ledger(&self) -> Vec<LedgerEntry> {
        self.sinks.ledger.snapshot().0
    }

    /// Waits until so many requests have ended since the start. A viewer may have its whole response a moment before
    /// that, and one that left has none.
    pub async fn ended(&self, count: u64) {
        self.sinks.ledger.wait_for(count).await;
    }

    /// What became of the log records so far, for each delivery.
    #[must_use]
    pub fn deliveries(&self) -> Vec<DeliveryCounts> {
        self.sinks.outboxes.iter().map(delivery::Outbox::counts).collect()
    }

    /// Stops listening, lets open requests end, delivers the records that wait, and says what was done.
    pub async fn shutdown(self) -> Summary {
        self.stop.send_replace(true);
        if self.server.await.is_err() {
            tracing::error!("the emulator's server ended by a panic");
        }
        self.sinks.outboxes.iter().for_each(delivery::Outbox::close);
        for (outbox, (mut courier, limit)) in self.sinks.outboxes.iter().zip(self.couriers) {
            if timeout(limit, &mut courier).await.is_err() {
                courier.abort();
                outbox.fail_rest();
            }
        }
        let (ledger, forgotten) = self.sinks.ledger.snapshot();
        Summary { ledger, forgotten, deliveries: self.sinks.outboxes.iter().map(delivery::Outbox::counts).collect() }
    }
}

/// Accepts viewers until told to stop, then lets their requests end.
async fn serve(listener: TcpListener, distribution: Arc<Distribution>, mut stopping: watch::Receiver<bool>) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(distribution.config.max_connections.max(1)));
    let mut connections = JoinSet::new();
    loop {
        // All branches are cancel-safe: a place or a connection that is not taken is not lost.
        let accepted = tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => break,
            accepted = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (place, listener.accept().await)
            } => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let (Ok(place), accepted) = accepted else { break };
        let (stream, viewer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, or the viewer was gone: both pass.
                tracing::warn!(%error, "accepting a viewer failed");
                sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "setting TCP_NODELAY failed");
        }
        let distribution = Arc::clone(&distribution);
        let service = service_fn(move |request| {
            let distribution = Arc::clone(&distribution);
            async move { Ok::<_, Infallible>(distribution.serve(viewer, request).await) }
        });
        let connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        connections.spawn(async move {
            // A viewer that leaves is an error here and an ordinary record in the log.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection of a viewer ended");
            }
            drop(place);
        });
    }
    if timeout(CLOSE_LIMIT, graceful.shutdown()).await.is_err() {
        // Their records say that the viewer left.
        tracing::warn!(requests = connections.len(), "requests were still open when the emulator stopped");
        connections.shutdown().await;
    }
}

#[cfg(test)]
mod tests;
