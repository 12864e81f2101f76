//! `otlp`: OpenTelemetry's protocol over gRPC and HTTP.
//!
//! ```yaml
//! receivers:
//!   otlp:
//!     protocols:
//!       grpc: {endpoint: 0.0.0.0:4317, max_recv_msg_size_mib: 16}
//!       http: {endpoint: 0.0.0.0:4318}
//! ```

mod answer;
mod grpc;
mod http;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::config;
use crate::config::decode::Decode as _;
use crate::config::node::Entry;
use crate::config::problems::Problems;
use crate::config::values::{ByteSize, ListenAddress, Transport};
use crate::extensions::auth::{AuthConfig, Authenticator, Authenticators};
use crate::net::cors::CorsConfig;
use crate::net::decompress::Algorithms;
use crate::net::headers::Headers;
use crate::net::listen::{HandOver, ListenError, Listener, Offered};
use crate::net::stop::Stop;
use crate::net::tls::{ServerTlsConfig, server};
use crate::runtime::ingress::Ingresses;
use crate::tasks::{self, Task};

config! {
    /// OTLP over gRPC and HTTP.
    pub struct OtlpConfig {
        /// The transports; one that is not named is off, one without settings has its defaults.
        protocols: Protocols,
    }
}

config! {
    /// The transports of OTLP.
    pub struct Protocols {
        /// OTLP over gRPC.
        grpc: Option<GrpcConfig>,
        /// OTLP over HTTP, protobuf and JSON.
        http: Option<HttpConfig>,
    }
}

config! {
    /// OTLP over gRPC.
    pub struct GrpcConfig {
        /// Address to listen on.
        endpoint: ListenAddress = "localhost:4317",
        /// `tcp`, or `unix` with a path as the endpoint.
        transport: Transport = "tcp",
        /// Longest message, as sent and decompressed.
        max_recv_msg_size_mib: u64 = "4" [MiB],
        /// Requests of one connection at a time.
        max_concurrent_streams: u32 = "256",
        /// Life of connections.
        keepalive: Option<Keepalive>,
        /// Encryption; without it there is none.
        tls: Option<ServerTlsConfig>,
        /// Who may send; without it everybody who can connect.
        auth: Option<AuthConfig>,
        /// Keep the metadata of requests for actions with `from_context: metadata.…`.
        include_metadata: bool = "false",
    }
    known { "middlewares" }
    ignored {
        "read_buffer_size": "buffers grow as needed",
        "write_buffer_size": "buffers grow as needed",
    }
}

config! {
    /// Life of connections.
    pub struct Keepalive {
        /// When the server ends connections.
        server_parameters: Option<ServerParameters>,
    }
    ignored { "enforcement_policy": "pings cost nothing here and are always allowed" }
}

config! {
    /// When the server ends connections.
    pub struct ServerParameters {
        /// A connection without requests for so long is ended.
        max_connection_idle: Option<Duration>,
        /// A connection that has lived so long is ended, so that balancers can spread clients anew.
        max_connection_age: Option<Duration>,
        /// Requests that are on their way then have so long to end.
        max_connection_age_grace: Option<Duration>,
        /// A ping goes out so often.
        time: Duration = "2h",
        /// A peer that has not answered by then is gone.
        timeout: Duration = "20s",
    }
}

config! {
    /// OTLP over HTTP.
    pub struct HttpConfig {
        /// Address to listen on.
        endpoint: ListenAddress = "localhost:4318",
        /// `tcp`, or `unix` with a path as the endpoint.
        transport: Transport = "tcp",
        /// Path of traces.
        traces_url_path: String = "/v1/traces",
        /// Path of metrics.
        metrics_url_path: String = "/v1/metrics",
        /// Path of logs.
        logs_url_path: String = "/v1/logs",
        /// Longest body, as sent and decompressed; 0 is the default.
        max_request_body_size: ByteSize = "20MiB",
        /// Encodings that bodies may have; empty text stands for none. All by default.
        compression_algorithms: Algorithms,
        /// A client that has not sent its headers by then is cut off.
        read_header_timeout: Duration = "1m",
        /// Encryption; without it there is none.
        tls: Option<ServerTlsConfig>,
        /// Who may send; without it everybody who can connect.
        auth: Option<AuthConfig>,
        /// Which web pages may send from a browser; none without it.
        cors: Option<CorsConfig>,
        /// Headers that are put into each answer.
        response_headers: Headers,
        /// Keep the headers of requests for actions with `from_context: metadata.…`.
        include_metadata: bool = "false",
        /// A client that has not sent its body by then is cut off; 0 is a minute.
        read_timeout: Duration = "0s",
        /// A client that does not take its answer for so long is cut off; 0 is never.
        write_timeout: Duration = "30s",
        /// A connection that is without a request for so long, or for `read_header_timeout`, is ended; 0 is never.
        idle_timeout: Duration = "1m",
        /// Whether a connection may have several requests.
        keep_alives_enabled: bool = "true",
    }
    known { "middlewares" }
}

impl OtlpConfig {
    /// Decodes and checks that there is a transport.
    pub(crate) fn decode_checked(entry: &Entry, problems: &mut Problems) -> Option<Self> {
        let config = Self::decode(&entry.value, problems)?;
        if config.protocols.grpc.is_none() && config.protocols.http.is_none() {
            problems.error(&entry.position, "`protocols` needs `grpc` or `http`: without one nothing is received");
        }
        let grpc = config.protocols.grpc.iter().map(|grpc| (&grpc.endpoint, grpc.transport));
        let http = config.protocols.http.iter().map(|http| (&http.endpoint, http.transport));
        for (endpoint, transport) in grpc.chain(http) {
            let is_path = matches!(endpoint, ListenAddress::Unix(_));
            if is_path != (transport == Transport::Unix) {
                let message = "`transport: unix`, and only it, has the path of a socket as its `endpoint`";
                problems.error(&entry.position, message);
            }
        }
        let grpc_tls = config.protocols.grpc.iter().filter_map(|grpc| grpc.tls.as_ref());
        let http_tls = config.protocols.http.iter().filter_map(|http| http.tls.as_ref());
        grpc_tls.chain(http_tls).for_each(|tls| tls.check(&entry.position, problems));
        Some(config)
    }
}

/// The listening sockets of a receiver that has not started.
#[derive(Debug)]
pub(crate) struct Bound {
    grpc: Option<(Listener, Box<GrpcConfig>)>,
    http: Option<(Listener, Box<HttpConfig>)>,
    grpc_auth: Option<Arc<Authenticator>>,
    http_auth: Option<Arc<Authenticator>>,
}

/// Listens on the configured addresses.
pub(crate) async fn bind(
    id: &str,
    config: &OtlpConfig,
    authenticators: &Authenticators,
    hand_over: &HandOver,
) -> Result<Bound, ListenError> {
    let what = format!("the receiver {id}");
    let mut bound = Bound { grpc: None, http: None, grpc_auth: None, http_auth: None };
    if let Some(grpc) = &config.protocols.grpc {
        let key = format!("receivers.{id}.protocols.grpc");
        let listener = Listener::bind_any(hand_over, &grpc.endpoint, &what, &format!("{key}.endpoint")).await?;
        bound.grpc_auth = authenticators.of(grpc.auth.as_ref());
        bound.grpc = Some((listener.with_tls(grpc.tls.as_ref(), server::GRPC, &what, &key)?, Box::new(grpc.clone())));
    }
    if let Some(http) = &config.protocols.http {
        let key = format!("receivers.{id}.protocols.http");
        let listener = Listener::bind_any(hand_over, &http.endpoint, &what, &format!("{key}.endpoint")).await?;
        bound.http_auth = authenticators.of(http.auth.as_ref());
        bound.http = Some((listener.with_tls(http.tls.as_ref(), server::HTTP, &what, &key)?, Box::new(http.clone())));
    }
    Ok(bound)
}

impl Bound {
    /// Where it listens on the network: the protocol and the address.
    pub(crate) fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        let grpc = self.grpc.iter().filter_map(|(listener, _)| Some(("grpc", listener.address()?)));
        grpc.chain(self.http.iter().filter_map(|(listener, _)| Some(("http", listener.address()?)))).collect()
    }

    /// Its sockets, for a server that takes over.
    pub(crate) fn sockets(&self) -> Vec<Offered> {
        let grpc = self.grpc.iter().map(|(listener, _)| listener.offered());
        grpc.chain(self.http.iter().map(|(listener, _)| listener.offered())).collect()
    }

    /// Starts to receive.
    pub(crate) fn start(self, ingresses: &Ingresses, stop: &Stop) -> Vec<Task> {
        let mut servers = Vec::new();
        if let Some((listener, config)) = self.grpc {
            let server = Arc::new(grpc::Server::new(ingresses.clone(), &config, self.grpc_auth));
            let connection_stop = stop.clone();
            let serve = move |accepted| grpc::serve(accepted, Arc::clone(&server), connection_stop.clone());
            servers.push(tasks::start("otlp grpc", listener.run("otlp grpc connection", stop.clone(), serve)));
        }
        if let Some((listener, config)) = self.http {
            let server = Arc::new(http::Server::new(ingresses.clone(), &config, self.http_auth));
            let connection_stop = stop.clone();
            let serve = move |accepted| http::serve(accepted, Arc::clone(&server), connection_stop.clone());
            servers.push(tasks::start("otlp http", listener.run("otlp http connection", stop.clone(), serve)));
        }
        servers
    }
}
