//! `cloudfront`: access logs of Amazon CloudFront, delivered by Firehose over HTTP; each record becomes the span of the
//! viewer's request. Records are read by `wire::cloudfront`; this folder holds the ways in which they are delivered.
//!
//! ```yaml
//! receivers:
//!   cloudfront:
//!     endpoint: 0.0.0.0:4433
//!     access_key: ${env:FIREHOSE_ACCESS_KEY}
//!     routes: ["/api/items/{id}", "/static/*"]
//! ```

mod counting;
mod firehose;
mod intake;
pub mod pieces;
mod settings;

use std::net::SocketAddr;
use std::sync::Arc;

use crate::clock::Clock;
use crate::config::values::Secret;
use crate::net::listen::{HandOver, ListenError, Listener, Offered};
use crate::net::stop::Stop;
use crate::net::tls::server;
use crate::runtime::ingress::Ingress;
use crate::tasks::{self, Task};
use crate::telemetry::metrics::RecordCounts;
pub(crate) use counting::{Counting, Figures};
use intake::Intake;
pub use settings::CloudFrontConfig;

/// A receiver that has not started.
#[derive(Debug)]
pub(crate) struct Bound {
    /// Where Firehose delivers to, and the key that it shows.
    door: Option<(Listener, Secret)>,
    config: Box<CloudFrontConfig>,
}

/// Listens on the configured address, if there is one.
pub(crate) async fn bind(id: &str, config: &CloudFrontConfig, hand_over: &HandOver) -> Result<Bound, ListenError> {
    let mut door = None;
    if let Some((endpoint, access_key)) = config.door() {
        let (what, key) = (format!("the receiver {id}"), format!("receivers.{id}"));
        let listener = Listener::bind(hand_over, &endpoint, &what, &format!("{key}.endpoint")).await?;
        door = Some((listener.with_tls(config.tls.as_ref(), server::HTTP, &what, &key)?, access_key.clone()));
    }
    Ok(Bound { door, config: Box::new(config.clone()) })
}

impl Bound {
    /// Where it listens.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.door.as_ref().and_then(|(listener, _)| listener.address())
    }

    /// Its socket, for a server that takes over.
    pub(crate) fn sockets(&self) -> Vec<Offered> {
        self.door.iter().map(|(listener, _)| listener.offered()).collect()
    }

    /// Starts to receive. Also gives what became of the records, for the metrics.
    pub(crate) fn start(
        self,
        ingress: Ingress,
        counting: Counting,
        stop: &Stop,
        clock: Clock,
    ) -> (Vec<Task>, RecordCounts) {
        let intake = Arc::new(Intake::new(ingress, counting, &self.config));
        let counters = intake.counters();
        let mut running = Vec::new();
        if let Some((listener, access_key)) = self.door {
            let server = Arc::new(firehose::Server::new(intake, access_key, clock));
            let connection_stop = stop.clone();
            let serve = move |accepted| firehose::serve(accepted, Arc::clone(&server), connection_stop.clone());
            running.push(tasks::start("cloudfront", listener.run("cloudfront connection", stop.clone(), serve)));
        }
        (running, Arc::new(move || counters.by_outcome()))
    }
}
