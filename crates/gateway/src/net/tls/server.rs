//! The server's end: certificate, authorities of clients, and the handshake.

use std::io;
use std::sync::Arc;

use rustls::server::{Acceptor, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::LazyConfigAcceptor;

use super::material::{One, authorities, objecting, pair};
use super::{ServerTlsConfig, period};
use crate::net::reload::{Reloading, Source};
use crate::net::stream::Plain;

/// `h2` alone: what a gRPC server offers.
pub(crate) const GRPC: &[&[u8]] = &[b"h2"];
/// What an HTTP server offers.
pub(crate) const HTTP: &[&[u8]] = &[b"h2", b"http/1.1"];
/// What a server without HTTP/2 offers.
pub const HTTP_1: &[&[u8]] = &[b"http/1.1"];

/// TLS of one listener.
#[derive(Clone, Debug)]
pub struct TlsServer {
    config: Arc<Reloading<Arc<ServerConfig>>>,
}

/// A client that has said hello.
pub(crate) type Hello = tokio_rustls::StartHandshake<Plain>;

impl TlsServer {
    /// Reads what `config` names. `what` is for the log, `protocols` are those of ALPN.
    ///
    /// # Errors
    /// One sentence: which file, and what is wrong with it.
    pub fn load(config: &ServerTlsConfig, what: &str, protocols: &'static [&'static [u8]]) -> Result<Self, String> {
        let mut sources = Vec::new();
        let missing = "a server needs a certificate and its key";
        let certificate = config.certificate().ok_or(missing)?;
        let key = config.key().ok_or(missing)?;
        let (certificate_name, key_name) = (certificate.shown(), key.shown());
        sources.extend([certificate, key]);
        let clients = config.client_authorities();
        let clients_name = clients.as_ref().map(Source::shown).unwrap_or_default();
        let reads_clients_again = config.client_ca_file_reload;
        let clients_once = match &clients {
            Some(source) if !reads_clients_again => Some(source.read()?),
            _ => None,
        };
        let has_clients = clients.is_some();
        if reads_clients_again {
            sources.extend(clients);
        }
        let parameters = config.parameters();
        let make = move |contents: &[Vec<u8>]| {
            let [certificate, key, rest @ ..] = contents else { return Err(missing.to_owned()) };
            let names = ((certificate_name.as_str(), certificate.as_slice()), (key_name.as_str(), key.as_slice()));
            let pair = pair(names.0, names.1, &parameters.provider)?;
            let builder = ServerConfig::builder_with_provider(Arc::clone(&parameters.provider));
            let builder = builder.with_protocol_versions(&parameters.versions).map_err(|error| error.to_string())?;
            let clients = clients_once.as_ref().or_else(|| rest.first());
            let builder = match clients {
                None if has_clients => return Err(missing.to_owned()),
                None => builder.with_no_client_auth(),
                Some(text) => {
                    let mut store = RootCertStore::empty();
                    authorities(&clients_name, text, &mut store)?;
                    let provider = Arc::clone(&parameters.provider);
                    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider).build();
                    builder.with_client_cert_verifier(verifier.map_err(|error| format!("{clients_name}: {error}"))?)
                }
            };
            let mut config = builder.with_cert_resolver(Arc::new(One(Arc::clone(&pair.certified))));
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            Ok((Arc::new(config), pair.objection))
        };
        Ok(Self { config: objecting(what, sources, period(config.reload_interval), make)? })
    }

    /// Waits for the client's first message. Whoever sends something else, or nothing, costs no more than a connection.
    pub(crate) async fn hello(&self, stream: Plain) -> io::Result<Hello> {
        LazyConfigAcceptor::new(Acceptor::default(), stream).await
    }

    /// The rest of the handshake.
    pub(crate) async fn accept(&self, hello: Hello) -> io::Result<tokio_rustls::TlsStream<Plain>> {
        let config = self.config().await;
        Ok(tokio_rustls::TlsStream::Server(hello.into_stream(config).await?))
    }

    /// What the next handshake is made with; looks at the files if it is time.
    pub async fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&*self.config.current().await)
    }
}
