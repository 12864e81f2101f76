//! Certificates, read when the configuration is.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// Where distributions keep the authorities that the system trusts: Debian and its kin, Red Hat and its kin, others.
const SYSTEM_AUTHORITIES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// A TLS client that trusts the authorities in `file`, or else the system's, and speaks `protocol`.
pub(super) fn tls(file: Option<&Path>, protocol: &[u8]) -> Result<Arc<ClientConfig>, String> {
    let system = || SYSTEM_AUTHORITIES.iter().map(Path::new).find(|path| path.is_file());
    let Some(file) = file.or_else(system) else {
        return Err("needs \"trusted_certificate\": the system has no certificates".to_owned());
    };
    let name = file.display();
    let text = std::fs::read(file).map_err(|error| format!("cannot read \"{name}\": {error}"))?;
    let mut roots = RootCertStore::empty();
    // A system's collection may hold some that are not understood; what matters is that some are.
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&text).flatten());
    if roots.is_empty() {
        return Err(format!("\"{name}\" has no certificates"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| format!("cannot use TLS: {error}"))?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(Arc::new(config))
}
