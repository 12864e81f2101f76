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

mod firehose;
mod intake;
mod settings;

use std::net::SocketAddr;
use std::sync::Arc;

use crate::clock::Clock;
use crate::net::listen::{HandOver, ListenError, Listener, Offered};
use crate::net::stop::Stop;
use crate::net::tls::server;
use crate::runtime::ingress::Ingress;
use crate::tasks::{self, Task};
use crate::telemetry::metrics::RecordCounts;
use intake::Intake;
pub use settings::CloudFrontConfig;

/// The listening socket of a receiver that has not started.
#[derive(Debug)]
pub(crate) struct Bound {
    listener: Listener,
    config: Box<CloudFrontConfig>,
}

/// Listens on the configured address.
pub(crate) async fn bind(id: &str, config: &CloudFrontConfig, hand_over: &HandOver) -> Result<Bound, ListenError> {
    let (what, key) = (format!("the receiver {id}"), format!("receivers.{id}"));
    let listener = Listener::bind(hand_over, &config.endpoint, &what, &format!("{key}.endpoint")).await?;
    let listener = listener.with_tls(config.tls.as_ref(), server::HTTP, &what, &key)?;
    Ok(Bound { listener, config: Box::new(config.clone()) })
}

impl Bound {
    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.address().expect("a TCP socket has an address")
    }

    /// Its socket, for a server that takes over.
    pub(crate) fn sockets(&self) -> Vec<Offered> {
        vec![self.listener.offered()]
    }

    /// Starts to receive. Also gives what became of the records, for the metrics.
    pub(crate) fn start(self, ingress: Ingress, stop: &Stop, clock: Clock) -> (Task, RecordCounts) {
        let intake = Arc::new(Intake::new(ingress, &self.config));
        let counters = intake.counters();
        let server = Arc::new(firehose::Server::new(intake, &self.config, clock));
        let connection_stop = stop.clone();
        let serve = move |accepted| firehose::serve(accepted, Arc::clone(&server), connection_stop.clone());
        let task = tasks::start("cloudfront", self.listener.run("cloudfront connection", stop.clone(), serve));
        (task, Arc::new(move || counters.by_outcome()))
    }
}
