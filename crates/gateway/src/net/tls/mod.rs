//! TLS with rustls: what the collector's `tls:` sections of servers and clients say, and the two ends of a connection
//! made of them.
//!
//! ```yaml
//! tls:                                   # of a server
//!   cert_file: /etc/rootspan/tls.crt
//!   key_file: /etc/rootspan/tls.key
//!   client_ca_file: /etc/rootspan/clients.crt   # mutual TLS: a client needs a certificate of these authorities
//!   reload_interval: 1h
//! ```
//!
//! Files are looked at again without being told: every `reload_interval`, else every ten seconds, when a connection is
//! set up. Connections that exist go on under the certificate that they began with. A pair that cannot be used leaves
//! the old one in place and is named in the log.

pub(crate) mod client;
mod material;
pub mod parameters;
pub mod server;
mod validity;

use std::time::Duration;

use super::reload::{DEFAULT_PERIOD, Source};
use crate::config;
use crate::config::problems::{Position, Problems};
use crate::config::values::Secret;
use parameters::{CipherSuite, Curve, Parameters, Version};

config! {
    /// Encryption of a server.
    pub struct ServerTlsConfig {
        /// File with the certificate, and those between it and its authority, in PEM.
        cert_file: String = "",
        /// The same as text.
        cert_pem: Option<Secret>,
        /// File with the certificate's private key, in PEM.
        key_file: String = "",
        /// The same as text.
        key_pem: Option<Secret>,
        /// File with the authorities of clients, in PEM; with it a client without a certificate of theirs is refused.
        client_ca_file: String = "",
        /// Take changes of `client_ca_file` over.
        client_ca_file_reload: bool = "false",
        /// Oldest version that is spoken: `1.2` or `1.3`.
        min_version: Option<Version>,
        /// Newest version that is spoken: `1.2` or `1.3`.
        max_version: Option<Version>,
        /// Cipher suites of TLS 1.2; those of 1.3 are always on.
        cipher_suites: Vec<CipherSuite>,
        /// Curves for the key exchange, preferred first.
        curve_preferences: Vec<Curve>,
        /// How often the files are looked at; 0 is every 10 seconds.
        reload_interval: Duration = "0s",
        /// Keys in a trusted platform module: not supported (yet).
        tpm: Option<TpmConfig>,
        /// Weak cipher suites: not supported.
        include_insecure_cipher_suites: bool = "false",
    }
    ignored {
        "ca_file": "a server needs authorities only for clients: `client_ca_file`",
        "ca_pem": "a server needs authorities only for clients: `client_ca_file`",
        "include_system_ca_certs_pool": "a server needs authorities only for clients: `client_ca_file`",
    }
}

config! {
    /// Encryption of a client.
    pub struct ClientTlsConfig {
        /// No encryption, unless an authority is given.
        insecure: bool = "false",
        /// Encrypt, but believe every server.
        insecure_skip_verify: bool = "false",
        /// Name that the server's certificate must have, if not that of the endpoint.
        server_name_override: String = "",
        /// File with the authorities of servers, in PEM; without it those of the system.
        ca_file: String = "",
        /// The same as text.
        ca_pem: Option<Secret>,
        /// The authorities of the system in addition.
        include_system_ca_certs_pool: bool = "false",
        /// File with the client's own certificate, in PEM.
        cert_file: String = "",
        /// The same as text.
        cert_pem: Option<Secret>,
        /// File with the private key of the client's own certificate, in PEM.
        key_file: String = "",
        /// The same as text.
        key_pem: Option<Secret>,
        /// Oldest version that is spoken: `1.2` or `1.3`.
        min_version: Option<Version>,
        /// Newest version that is spoken: `1.2` or `1.3`.
        max_version: Option<Version>,
        /// Cipher suites of TLS 1.2; those of 1.3 are always on.
        cipher_suites: Vec<CipherSuite>,
        /// Curves for the key exchange, preferred first.
        curve_preferences: Vec<Curve>,
        /// How often the files are looked at; 0 is every 10 seconds.
        reload_interval: Duration = "0s",
        /// Keys in a trusted platform module: not supported (yet).
        tpm: Option<TpmConfig>,
        /// Weak cipher suites: not supported.
        include_insecure_cipher_suites: bool = "false",
    }
}

config! {
    /// Keys in a trusted platform module.
    pub struct TpmConfig {
        /// Must be off.
        enabled: bool = "false",
    }
    ignored {
        "path": "keys in a trusted platform module are not supported (yet)",
        "owner_auth": "keys in a trusted platform module are not supported (yet)",
        "auth": "keys in a trusted platform module are not supported (yet)",
    }
}

impl ServerTlsConfig {
    /// Adds what cannot be right, whatever the files hold.
    pub(crate) fn check(&self, position: &Position, problems: &mut Problems) {
        let mut error = |message: &str| problems.error(position, format!("`tls`: {message}"));
        if self.certificate().is_none() && self.key().is_none() {
            error("a server needs `cert_file` and `key_file` (or `cert_pem` and `key_pem`)");
        }
        check_pair(&self.cert_file, self.cert_pem.as_ref(), &self.key_file, self.key_pem.as_ref(), &mut error);
        check_versions(self.min_version, self.max_version, &mut error);
        check_unsupported(self.tpm.as_ref(), self.include_insecure_cipher_suites, &mut error);
        if self.client_ca_file.is_empty() && self.client_ca_file_reload {
            error("`client_ca_file_reload` needs a `client_ca_file`");
        }
    }

    fn certificate(&self) -> Option<Source> {
        source(("cert_file", &self.cert_file), ("cert_pem", self.cert_pem.as_ref()))
    }

    fn key(&self) -> Option<Source> {
        source(("key_file", &self.key_file), ("key_pem", self.key_pem.as_ref()))
    }

    fn client_authorities(&self) -> Option<Source> {
        source(("client_ca_file", &self.client_ca_file), ("", None))
    }

    fn parameters(&self) -> Parameters {
        Parameters::new(self.min_version, self.max_version, &self.cipher_suites, &self.curve_preferences)
    }
}

impl ClientTlsConfig {
    /// Adds what cannot be right, whatever the files hold.
    pub(crate) fn check(&self, position: &Position, problems: &mut Problems) {
        if self.insecure_skip_verify && !self.is_plain() {
            problems.warning(
                position,
                "`insecure_skip_verify`: the server's certificate is not looked at; whoever is on the way can read and \
                 change what is sent",
            );
        }
        let mut error = |message: &str| problems.error(position, format!("`tls`: {message}"));
        check_pair(&self.cert_file, self.cert_pem.as_ref(), &self.key_file, self.key_pem.as_ref(), &mut error);
        check_versions(self.min_version, self.max_version, &mut error);
        check_unsupported(self.tpm.as_ref(), self.include_insecure_cipher_suites, &mut error);
        if !self.ca_file.is_empty() && self.ca_pem.is_some() {
            error("there are both `ca_file` and `ca_pem`");
        }
        if !self.server_name_override.is_empty()
            && rustls::pki_types::ServerName::try_from(self.server_name_override.as_str()).is_err()
        {
            error("`server_name_override` is neither a host's name nor an address");
        }
    }

    /// Whether the section turns encryption off. As in the collector, an authority turns it on again.
    pub(crate) fn is_plain(&self) -> bool {
        self.insecure && self.authorities().is_none()
    }

    fn authorities(&self) -> Option<Source> {
        source(("ca_file", &self.ca_file), ("ca_pem", self.ca_pem.as_ref()))
    }

    fn certificate(&self) -> Option<Source> {
        source(("cert_file", &self.cert_file), ("cert_pem", self.cert_pem.as_ref()))
    }

    fn key(&self) -> Option<Source> {
        source(("key_file", &self.key_file), ("key_pem", self.key_pem.as_ref()))
    }

    fn parameters(&self) -> Parameters {
        Parameters::new(self.min_version, self.max_version, &self.cipher_suites, &self.curve_preferences)
    }
}

/// The source that is given; the file, if both are.
fn source(file: (&'static str, &str), text: (&'static str, Option<&Secret>)) -> Option<Source> {
    if !file.1.is_empty() {
        return Some(Source::File { key: file.0, path: file.1.into() });
    }
    text.1.map(|secret| Source::Inline { key: text.0, text: secret.clone() })
}

fn check_pair(
    cert_file: &str,
    cert_pem: Option<&Secret>,
    key_file: &str,
    key_pem: Option<&Secret>,
    error: &mut dyn FnMut(&str),
) {
    let has_certificate = !cert_file.is_empty() || cert_pem.is_some();
    let has_key = !key_file.is_empty() || key_pem.is_some();
    if has_certificate && !has_key {
        error("there is a certificate without its key: `key_file` or `key_pem`");
    }
    if has_key && !has_certificate {
        error("there is a key without its certificate: `cert_file` or `cert_pem`");
    }
    if !cert_file.is_empty() && cert_pem.is_some() {
        error("there are both `cert_file` and `cert_pem`");
    }
    if !key_file.is_empty() && key_pem.is_some() {
        error("there are both `key_file` and `key_pem`");
    }
}

fn check_versions(min: Option<Version>, max: Option<Version>, error: &mut dyn FnMut(&str)) {
    if min == Some(Version::Tls13) && max == Some(Version::Tls12) {
        error("`min_version` is above `max_version`");
    }
}

/// Keys that may be there as long as they are off.
fn check_unsupported(tpm: Option<&TpmConfig>, include_insecure_cipher_suites: bool, error: &mut dyn FnMut(&str)) {
    if tpm.is_some_and(|tpm| tpm.enabled) {
        error("`tpm` is known to the OpenTelemetry Collector, not supported by rootspan (yet)");
    }
    if include_insecure_cipher_suites {
        error("`include_insecure_cipher_suites` is known to the OpenTelemetry Collector, not supported by rootspan");
    }
}

fn period(reload_interval: Duration) -> Duration {
    if reload_interval.is_zero() { DEFAULT_PERIOD } else { reload_interval }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
