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

mod delivery;
mod firehose;

use std::net::SocketAddr;
use std::sync::Arc;

use rootspan_model::sampling::Threshold;
use rootspan_wire::cloudfront::rules::{Keep, PathPattern, PathRule, Rates, Trust};
use rootspan_wire::cloudfront::span::{self, Route, Settings};
use rootspan_wire::cloudfront::{Columns, Reader};

use crate::clock::Clock;
use crate::config;
use crate::config::decode::Decode;
use crate::config::node::{Entry, Node};
use crate::config::problems::Problems;
use crate::config::values::{ByteSize, Endpoint, Secret, choice};
use crate::net::listen::{ListenError, Listener};
use crate::net::stop::Stop;
use crate::net::tls::{ServerTlsConfig, server};
use crate::runtime::ingress::Ingress;
use crate::tasks::{self, Task};
use crate::telemetry::metrics::RecordCounts;

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
        /// Templates of paths, such as `/api/items/{id}` or `/static/*`; the first that matches names the span.
        routes: Vec<String>,
        /// What the edge function does with a `traceparent` that a viewer sends: `restart` or `continue`.
        trust: TrustSetting = "restart",
        /// What is kept of the viewer.
        privacy: PrivacyConfig,
        /// The fields of log lines that come without a header, in the order of delivery: those of real-time logs, as
        /// the API's answer lists them.
        real_time_fields: Option<LineFields>,
        /// Undo percent-encoding of the values in JSON records.
        percent_decode_json: bool = "false",
        /// Longest body, as sent and decompressed; Firehose sends up to 64 MiB.
        max_request_body_size: ByteSize = "64MiB",
        /// Encryption; without it there is none, and Firehose needs a balancer in front that has it.
        tls: Option<ServerTlsConfig>,
    }
}

config! {
    /// What is kept of the viewer. Cookies and values that carry credentials never are.
    pub struct PrivacyConfig {
        /// The viewer's address: its `network` (/24, /48), `full`, or `omitted`.
        client_address: ClientAddressSetting = "network",
        /// Take the viewer's address from `X-Forwarded-For`, which anyone can send.
        trust_forwarded_for: bool = "false",
        /// Query parameters whose values are kept.
        query_values: Vec<String>,
    }
}

/// `real_time_fields`.
#[derive(Clone, Debug, PartialEq)]
pub struct LineFields(Columns);

impl Decode for LineFields {
    const KIND: &'static str = "a list of CloudFront's field names";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let names = Vec::<String>::decode(node, problems)?;
        match Columns::new(&names) {
            Ok(columns) => Some(Self(columns)),
            Err(invalid) => {
                problems.error(&node.position, format!("these fields cannot be read: {invalid}"));
                None
            }
        }
    }
}

/// `trust`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustSetting(Trust);

impl Decode for TrustSetting {
    const KIND: &'static str = "restart or continue";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let choices = [("restart", Trust::Restart), ("continue", Trust::Continue)];
        choice(node, problems, &choices).map(Self)
    }
}

/// `privacy.client_address`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddressSetting(span::ClientAddress);

impl Decode for ClientAddressSetting {
    const KIND: &'static str = "network, full or omitted";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        use span::ClientAddress;
        let (network, full, omitted) = (ClientAddress::Network, ClientAddress::Full, ClientAddress::Omitted);
        choice(node, problems, &[("network", network), ("full", full), ("omitted", omitted)]).map(Self)
    }
}

impl CloudFrontConfig {
    /// Decodes and checks what belongs together.
    pub(crate) fn decode_checked(entry: &Entry, problems: &mut Problems) -> Option<Self> {
        let config = Self::decode(&entry.value, problems)?;
        if let Some(tls) = &config.tls {
            tls.check(&entry.position, problems);
        }
        Some(config)
    }

    /// What reads deliveries.
    fn reader(&self) -> Reader {
        Reader {
            line_fields: self.real_time_fields.as_ref().map(|fields| fields.0.clone()),
            percent_decode_json: self.percent_decode_json,
        }
    }

    /// What the spans are like.
    fn span_settings(&self) -> Settings {
        Settings {
            service_name: self.service_name.clone(),
            resource_attributes: Vec::new(),
            routes: self.routes.iter().map(Route::new).collect(),
            paths: vec![PathRule {
                pattern: PathPattern::new("*"),
                trust: self.trust.0,
                threshold: Some(Threshold::ALWAYS),
            }],
            rates: Rates::default(),
            keep: Keep::default(),
            privacy: span::Privacy {
                client_address: self.privacy.client_address.0,
                trust_forwarded_for: self.privacy.trust_forwarded_for,
                query_values: self.privacy.query_values.clone(),
            },
        }
    }
}

/// The listening socket of a receiver that has not started.
#[derive(Debug)]
pub(crate) struct Bound {
    listener: Listener,
    config: Box<CloudFrontConfig>,
}

/// Listens on the configured address.
pub(crate) async fn bind(id: &str, config: &CloudFrontConfig) -> Result<Bound, ListenError> {
    let (what, key) = (format!("the receiver {id}"), format!("receivers.{id}"));
    let listener = Listener::bind(&config.endpoint, &what, &format!("{key}.endpoint")).await?;
    let listener = listener.with_tls(config.tls.as_ref(), server::HTTP, &what, &key)?;
    Ok(Bound { listener, config: Box::new(config.clone()) })
}

impl Bound {
    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.address().expect("a TCP socket has an address")
    }

    /// Starts to receive. Also gives what became of the records, for the metrics.
    pub(crate) fn start(self, ingress: Ingress, stop: &Stop, clock: Clock) -> (Task, RecordCounts) {
        let server = Arc::new(firehose::Server::new(ingress, &self.config, clock));
        let counters = server.counters();
        let connection_stop = stop.clone();
        let serve = move |accepted| firehose::serve(accepted, Arc::clone(&server), connection_stop.clone());
        let task = tasks::start("cloudfront", self.listener.run("cloudfront connection", stop.clone(), serve));
        (task, Arc::new(move || counters.by_outcome()))
    }
}
