//! `otlp` (OTLP over gRPC) and `otlphttp` (OTLP over HTTP): to any back end that speaks OTLP.
//!
//! ```yaml
//! exporters:
//!   otlp:
//!     endpoint: tempo:4317
//!     tls: {insecure: true}
//!   otlphttp:
//!     endpoint: https://jaeger.example.com:4318
//!     tls: {ca_file: /etc/ssl/example-ca.crt}
//!     compression: zstd
//! ```

pub mod compress;
pub(crate) mod grpc;
pub(crate) mod http;

use std::time::Duration;

use rootspan_wire::otlp::payload::Signal;

use self::compress::{CompressionParams, GrpcCompression, HttpCompression};
use super::sending::{RetryConfig, SendingQueueConfig};
use crate::config;
use crate::config::decode::Decode;
use crate::config::node::{Entry, Node};
use crate::config::problems::Problems;
use crate::config::values::choice;
use crate::extensions::auth::AuthConfig;
use crate::net::headers::Headers;
use crate::net::tls::ClientTlsConfig;

/// Longest answer that is read: it holds a message for people, never data.
const MAX_ANSWER_BYTES: usize = 64 << 10;

config! {
    /// OTLP over gRPC.
    pub struct OtlpGrpcConfig {
        /// Host and port; `https://` before them turns encryption on whatever `tls.insecure` says.
        endpoint: String,
        /// How requests are compressed: `none`, `gzip`, `zstd` or `snappy`.
        compression: GrpcCompression = "gzip",
        /// Encryption.
        tls: ClientTlsConfig,
        /// What the gateway shows to the back end.
        auth: Option<AuthConfig>,
        /// Longest time of one attempt.
        timeout: Duration = "5s",
        /// Metadata that is sent with each request.
        headers: Headers,
        /// Pings, which find out that the back end is gone.
        keepalive: Option<ClientKeepalive>,
        /// The host that the back end is told, if not that of `endpoint`.
        authority: String = "",
        /// What waits for the back end.
        sending_queue: SendingQueueConfig,
        /// What happens after a failure.
        retry_on_failure: RetryConfig,
    }
    known { "middlewares" }
    ignored {
        "read_buffer_size": "buffers grow as needed",
        "write_buffer_size": "buffers grow as needed",
        "wait_for_ready": "attempts are repeated as `retry_on_failure` says",
        "balancer_name": "there is one connection, renewed with a new look-up of the name",
        "user_agent": "rootspan says what it is",
    }
}

config! {
    /// OTLP over HTTP.
    pub struct OtlpHttpConfig {
        /// The back end's address, `https://` or `http://` (without encryption); `/v1/traces`, `/v1/metrics` or `/v1/logs`
        /// is appended.
        endpoint: String = "",
        /// The whole address for traces, if it is another one.
        traces_endpoint: String = "",
        /// The whole address for metrics, if it is another one.
        metrics_endpoint: String = "",
        /// The whole address for logs, if it is another one.
        logs_endpoint: String = "",
        /// The form of requests: `proto` or `json`.
        encoding: Form = "proto",
        /// How requests are compressed: `none`, `gzip`, `zstd`, `zlib`, `deflate`, `snappy`, `x-snappy-framed` or `lz4`.
        compression: HttpCompression = "gzip",
        /// How hard.
        compression_params: CompressionParams,
        /// Encryption.
        tls: ClientTlsConfig,
        /// What the gateway shows to the back end.
        auth: Option<AuthConfig>,
        /// Longest time of one attempt.
        timeout: Duration = "30s",
        /// Headers that are sent with each request.
        headers: Headers,
        /// Connections that are kept open without a request on them.
        max_idle_conns_per_host: Option<u32>,
        /// How long they are kept.
        idle_conn_timeout: Duration = "90s",
        /// With HTTP/2, a ping goes out so often while a request is on its way; 0 is never.
        http2_read_idle_timeout: Duration = "30s",
        /// A back end that has not answered a ping by then is given up, and connected to anew.
        http2_ping_timeout: Duration = "15s",
        /// A connection for each request.
        disable_keep_alives: bool = "false",
        /// What waits for the back end.
        sending_queue: SendingQueueConfig,
        /// What happens after a failure.
        retry_on_failure: RetryConfig,
    }
    known { "proxy_url", "cookies", "middlewares" }
    ignored {
        "read_buffer_size": "buffers grow as needed",
        "write_buffer_size": "buffers grow as needed",
        "max_idle_conns": "connections are kept as `num_consumers` needs them",
        "max_conns_per_host": "there are as many as `num_consumers`",
        "force_attempt_http2": "TLS agrees on the protocol",
    }
}

config! {
    /// Pings of a client.
    pub struct ClientKeepalive {
        /// A ping goes out so often; 0 is never.
        time: Duration = "0s",
        /// A back end that has not answered by then is given up, and connected to anew.
        timeout: Duration = "20s",
        /// Pings also while no request is on its way.
        permit_without_stream: bool = "false",
    }
}

/// The form of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Protobuf.
    Protobuf,
    /// OTLP's JSON.
    Json,
}

impl Decode for Form {
    const KIND: &'static str = "proto or json";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        choice(node, problems, &[("proto", Self::Protobuf), ("json", Self::Json)])
    }
}

impl OtlpGrpcConfig {
    /// Decodes and checks where it goes.
    pub(crate) fn decode_checked(entry: &Entry, problems: &mut Problems) -> Option<Self> {
        let config = Self::decode(&entry.value, problems)?;
        let (scheme, target) = split_scheme(&config.endpoint);
        if target.is_empty() || authority(target).is_none() {
            problems.error(&entry.position, "`endpoint` is the back end's host and port, such as tempo:4317");
        }
        if scheme.is_some_and(|scheme| scheme != "http" && scheme != "https") {
            problems.error(&entry.position, "`endpoint` has no scheme but http:// or https://");
        }
        if scheme == Some("http") && config.is_encrypted() {
            // As in the collector. Not an error: such files run there.
            let message = "`http://` in the endpoint of a gRPC exporter does not turn encryption off: TLS is used; write \
                           `tls: {insecure: true}` if the back end has none";
            problems.warning(&entry.position, message);
        }
        if config.auth.is_some() && !config.is_encrypted() {
            let message = "`auth` needs encryption: whoever is on the way could read the credentials";
            problems.error(&entry.position, message);
        }
        config.tls.check(&entry.position, problems);
        check_sending(&config.sending_queue, &config.retry_on_failure, entry, problems);
        Some(config)
    }

    /// Whether TLS is used: by the scheme `https`, else unless `insecure` is set (and no authority given). The collector's
    /// rule, in which `http` says nothing.
    pub(crate) fn is_encrypted(&self) -> bool {
        split_scheme(&self.endpoint).0 == Some("https") || !self.tls.is_plain()
    }

    /// Host and port.
    pub(crate) fn authority(&self) -> ::http::uri::Authority {
        authority(split_scheme(&self.endpoint).1).expect("the endpoint was checked when it was decoded")
    }
}

impl OtlpHttpConfig {
    /// Decodes and checks where it goes.
    pub(crate) fn decode_checked(entry: &Entry, problems: &mut Problems) -> Option<Self> {
        let config = Self::decode(&entry.value, problems)?;
        config.tls.check(&entry.position, problems);
        let has_address = |signal: &Signal| !config.address(*signal).is_empty();
        let uris: Vec<_> = Signal::ALL.into_iter().filter(has_address).map(|signal| config.uri(signal)).collect();
        if uris.is_empty() || uris.iter().any(Option::is_none) {
            problems.error(&entry.position, "`endpoint` is the back end's address, such as http://jaeger:4318");
        }
        let is_plain = |uri: &Option<::http::Uri>| uri.as_ref().and_then(::http::Uri::scheme_str) == Some("http");
        if config.auth.is_some() && uris.iter().any(is_plain) {
            // As in the collector, which refuses it for gRPC only.
            let message = "`auth` without encryption: whoever is on the way can read the credentials";
            problems.warning(&entry.position, message);
        }
        config.compression_params.check(config.compression.0, &entry.position, problems);
        check_sending(&config.sending_queue, &config.retry_on_failure, entry, problems);
        Some(config)
    }

    /// The address of a signal's own key, or what follows from `endpoint`; empty if there is neither.
    fn address(&self, signal: Signal) -> String {
        let own = match signal {
            Signal::Traces => &self.traces_endpoint,
            Signal::Metrics => &self.metrics_endpoint,
            Signal::Logs => &self.logs_endpoint,
        };
        match (own.as_str(), self.endpoint.trim_end_matches('/')) {
            ("", "") => String::new(),
            ("", base) => format!("{base}/v1/{}", signal.name()),
            (whole, _) => whole.to_owned(),
        }
    }

    /// Where a signal goes; `None` if that is no address.
    pub(crate) fn uri(&self, signal: Signal) -> Option<::http::Uri> {
        let text = self.address(signal);
        let has_scheme = |uri: &::http::Uri| matches!(uri.scheme_str(), Some("http" | "https"));
        text.parse().ok().filter(|uri: &::http::Uri| uri.host().is_some() && has_scheme(uri))
    }
}

fn split_scheme(endpoint: &str) -> (Option<&str>, &str) {
    // How gRPC writes that a name is to be looked up, or that there is nothing to look up: that happens by itself.
    let resolved = endpoint.strip_prefix("dns:///").or_else(|| endpoint.strip_prefix("passthrough:///"));
    let endpoint = resolved.unwrap_or(endpoint);
    match endpoint.split_once("://") {
        Some((scheme, target)) => (Some(scheme), target.trim_end_matches('/')),
        None => (None, endpoint),
    }
}

fn authority(target: &str) -> Option<::http::uri::Authority> {
    let authority: ::http::uri::Authority = target.parse().ok()?;
    (authority.port_u16().is_some() && !authority.host().is_empty()).then_some(authority)
}

fn check_sending(queue: &SendingQueueConfig, retry: &RetryConfig, entry: &Entry, problems: &mut Problems) {
    if queue.enabled && (queue.num_consumers == 0 || queue.queue_size == 0) {
        problems.error(&entry.position, "`num_consumers` and `queue_size` must be above 0");
    }
    if let Some(batch) = &queue.batch
        && batch.max_size > 0
        && batch.max_size < batch.min_size
    {
        problems.error(&entry.position, "`batch.max_size` must not be below `min_size`");
    }
    if !(0.0..=1.0).contains(&retry.randomization_factor) || !retry.multiplier.is_finite() || retry.multiplier < 1.0 {
        problems.error(&entry.position, "`randomization_factor` is between 0 and 1, `multiplier` at least 1");
    }
}
