//! The client's end: which servers are believed, the client's own certificate, and the handshake.

use std::io;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::material::{One, authorities, certificates, objecting, pair, system_authorities};
use super::validity::Validity;
use super::{ClientTlsConfig, period};
use crate::net::reload::{Reloading, Source};
use crate::net::stream::Plain;

/// `h2` alone: what a gRPC client speaks.
pub(crate) const GRPC: &[&[u8]] = &[b"h2"];
/// What an HTTP client speaks.
pub(crate) const HTTP: &[&[u8]] = &[b"h2", b"http/1.1"];

/// TLS of one client.
#[derive(Clone, Debug)]
pub(crate) struct TlsClient {
    config: Arc<Reloading<Arc<ClientConfig>>>,
    /// The name that the server's certificate must have, if not that of the endpoint.
    name: Option<ServerName<'static>>,
}

impl TlsClient {
    /// Reads what `config` names; an error is one sentence. `what` is for the log, `protocols` are those of ALPN.
    pub(crate) fn load(
        config: &ClientTlsConfig,
        what: &str,
        protocols: &'static [&'static [u8]],
    ) -> Result<Self, String> {
        let own = config.certificate().zip(config.key());
        let own_names = own.as_ref().map(|(certificate, key)| (certificate.shown(), key.shown()));
        let trusted = config.authorities();
        let trusted_name = trusted.as_ref().map(Source::shown);
        let mut sources: Vec<Source> = trusted.into_iter().collect();
        sources.extend(own.into_iter().flat_map(|(certificate, key)| [certificate, key]));
        let parameters = config.parameters();
        let (skips, with_system) = (config.insecure_skip_verify, config.include_system_ca_certs_pool);
        let make = move |contents: &[Vec<u8>]| {
            let (trusted, own) = contents.split_at(usize::from(trusted_name.is_some()));
            let trusted = trusted_name.as_deref().zip(trusted.first().map(Vec::as_slice));
            let verifier: Arc<dyn ServerCertVerifier> = if skips {
                Arc::new(Believing(Arc::clone(&parameters.provider)))
            } else {
                verifier(trusted, with_system, &parameters.provider)?
            };
            let builder = ClientConfig::builder_with_provider(Arc::clone(&parameters.provider));
            let builder = builder.with_protocol_versions(&parameters.versions).map_err(|error| error.to_string())?;
            let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
            let (mut config, objection) = match (&own_names, own) {
                (Some((certificate_name, key_name)), [certificate, key]) => {
                    let pair = pair((certificate_name, certificate), (key_name, key), &parameters.provider)?;
                    (builder.with_client_cert_resolver(Arc::new(One(pair.certified))), pair.objection)
                }
                _ => (builder.with_no_client_auth(), None),
            };
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            Ok((Arc::new(config), objection))
        };
        let name = match config.server_name_override.as_str() {
            "" => None,
            name => Some(server_name(name)?),
        };
        Ok(Self { config: objecting(what, sources, period(config.reload_interval), make)?, name })
    }

    /// The handshake with the server `host`.
    pub(crate) async fn connect(&self, host: &str, stream: Plain) -> io::Result<tokio_rustls::TlsStream<Plain>> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => server_name(host).map_err(io::Error::other)?,
        };
        let config = self.config.current().await;
        let stream = tokio_rustls::TlsConnector::from(Arc::clone(&*config)).connect(name, stream).await;
        stream.map(tokio_rustls::TlsStream::Client).map_err(|error| io::Error::new(error.kind(), words(&error)))
    }
}

fn server_name(host: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(host.to_owned()).map_err(|_| format!("{host} is neither a host's name nor an address"))
}

/// A failed handshake in words that say what to do.
fn words(error: &io::Error) -> String {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidCertificate(certificate)) => match certificate {
            CertificateError::UnknownIssuer => {
                "the server's certificate is of an authority that is not trusted (tls.ca_file)".to_owned()
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the server's certificate has expired".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "the server's certificate is not valid yet".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "the server's certificate is for another name (tls.server_name_override)".to_owned()
            }
            other => format!("the server's certificate is refused: {other}"),
        },
        Some(rustls::Error::InvalidMessage(_)) => {
            "the server does not speak TLS; if it need not, write tls: {insecure: true}".to_owned()
        }
        Some(rustls::Error::AlertReceived(alert)) => format!("the server ended the TLS handshake: {alert:?}"),
        _ => format!("the TLS handshake failed: {error}"),
    }
}

/// Believes servers whose certificate is of a trusted authority.
fn verifier(
    trusted: Option<(&str, &[u8])>,
    with_system: bool,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let mut store = RootCertStore::empty();
    let mut named = Vec::new();
    if let Some((name, text)) = trusted {
        authorities(name, text, &mut store)?;
        named = certificates(name, text)?;
    }
    if trusted.is_none() || with_system {
        system_authorities(&mut store)?;
    }
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider)).build();
    let inner = inner.map_err(|error| format!("the authorities cannot be used: {error}"))?;
    Ok(Arc::new(Verifier { inner, named }))
}

/// As webpki verifies, and one thing more: a server that shows the very certificate that `ca_file` holds. A certificate
/// that signs itself is its own authority, and webpki takes no authority for a server; Go and OpenSSL do.
#[derive(Debug)]
struct Verifier {
    inner: Arc<WebPkiServerVerifier>,
    named: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let Err(error) = verified else { return verified };
        let is_named = self.named.iter().any(|named| named.as_ref() == end_entity.as_ref());
        let is_valid = Validity::of(end_entity).is_some_and(|validity| validity.objection(now).is_none());
        if !is_named || !is_valid {
            return Err(error);
        }
        rustls::client::verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// `insecure_skip_verify`: every certificate is believed; that the server has its key is still verified.
#[derive(Debug)]
struct Believing(Arc<CryptoProvider>);

impl ServerCertVerifier for Believing {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
