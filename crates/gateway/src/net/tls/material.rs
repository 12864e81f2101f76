//! Certificates and keys: from PEM to what rustls takes, with sentences that say which file is wrong and how.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;

use super::validity::Validity;
use crate::net::reload::{Reloading, Source};

/// A certificate with those between it and its authority, and its key.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) certified: Arc<CertifiedKey>,
    /// What is wrong with it although it can be used: it is out of date.
    pub(crate) objection: Option<String>,
}

/// Reads a pair. `certificate_name` and `key_name` are the keys and files, for messages.
pub(crate) fn pair(
    (certificate_name, certificate): (&str, &[u8]),
    (key_name, key): (&str, &[u8]),
    provider: &CryptoProvider,
) -> Result<Pair, String> {
    let chain = certificates(certificate_name, certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| no_key(key_name, key))?;
    let objection = chain.first().and_then(|leaf| Validity::of(leaf)?.objection(UnixTime::now()));
    let certified = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            format!("the key in {key_name} does not belong to the certificate in {certificate_name}")
        }
        rustls::Error::InvalidCertificate(_) => format!("{certificate_name}: the first certificate cannot be read"),
        _ => format!("{key_name}: the key cannot be used; RSA, ECDSA (P-256, P-384) and Ed25519 keys can"),
    })?;
    let objection = objection.map(|objection| format!("{certificate_name}: the certificate {objection}"));
    Ok(Pair { certified: Arc::new(certified), objection })
}

fn no_key(name: &str, text: &[u8]) -> String {
    let contains = |words: &str| memchr::memmem::find(text, words.as_bytes()).is_some();
    if contains("ENCRYPTED") {
        format!("{name}: the key is encrypted; write it without a password")
    } else if contains("-----BEGIN CERTIFICATE-----") {
        format!("{name}: there is a certificate where a private key should be")
    } else {
        not_pem(name, "private key", text)
    }
}

fn not_pem(name: &str, wanted: &str, text: &[u8]) -> String {
    if memchr::memmem::find(text, b"-----BEGIN ").is_none() {
        format!("{name}: it is not PEM (-----BEGIN …-----)")
    } else {
        format!("{name}: there is no {wanted} in it")
    }
}

/// All certificates of a PEM text; at least one.
pub(crate) fn certificates(name: &str, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(not_pem(name, "certificate", text)),
    }
}

/// The authorities of a PEM text.
pub(crate) fn authorities(name: &str, text: &[u8], store: &mut RootCertStore) -> Result<(), String> {
    for certificate in certificates(name, text)? {
        let added = store.add(certificate);
        added.map_err(|_| format!("{name}: one of the certificates cannot be an authority: it cannot be read"))?;
    }
    Ok(())
}

/// Adds the authorities that the system trusts.
pub(crate) fn system_authorities(store: &mut RootCertStore) -> Result<(), String> {
    let system = rustls_native_certs::load_native_certs();
    let (added, _unreadable) = store.add_parsable_certificates(system.certs);
    if added == 0 {
        return Err("the system has no certificates of authorities (on Debian the package ca-certificates); \
                    give `tls.ca_file`"
            .to_owned());
    }
    Ok(())
}

/// Loads what `make` gives with an objection. An objection to the first is an ERROR in the log: whoever verifies will
/// refuse it, others go on. An objection to a later one leaves the old in place.
pub(super) fn objecting<T: Send + Sync + 'static>(
    what: &str,
    sources: Vec<Source>,
    period: Duration,
    make: impl Fn(&[Vec<u8>]) -> Result<(T, Option<String>), String> + Send + Sync + 'static,
) -> Result<Arc<Reloading<T>>, String> {
    let is_first = AtomicBool::new(true);
    let name = what.to_owned();
    Reloading::load(format!("TLS of {what}"), sources, period, move |contents| {
        let (value, objection) = make(contents)?;
        let is_first = is_first.swap(false, Ordering::AcqRel);
        match objection {
            Some(objection) if is_first => tracing::error!(what = name, "{objection}"),
            Some(objection) => return Err(objection),
            None => {}
        }
        Ok(value)
    })
}

/// One certificate for every name.
#[derive(Debug)]
pub(super) struct One(pub(super) Arc<CertifiedKey>);

impl rustls::server::ResolvesServerCert for One {
    fn resolve(&self, _hello: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

impl rustls::client::ResolvesClientCert for One {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}
