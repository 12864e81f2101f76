//! Versions, cipher suites and curves, under the names that the collector's configuration uses (Go's).

use std::sync::Arc;

use rootspan_model::spelling::did_you_mean;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{cipher_suite, default_provider, kx_group};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion};

use crate::config::decode::Decode;
use crate::config::node::Node;
use crate::config::problems::Problems;
use crate::config::values::scalar;

/// A version of TLS that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

impl Decode for Version {
    const KIND: &'static str = "1.2 or 1.3";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let text = scalar(node, Self::KIND, problems)?.text.trim();
        match text {
            "1.2" => return Some(Self::Tls12),
            "1.3" => return Some(Self::Tls13),
            "1.0" | "1.1" => {
                let message = format!("TLS {text} is broken (RFC 8996): rootspan speaks 1.2 and 1.3");
                problems.error(&node.position, message);
            }
            _ => problems.error(&node.position, format!("expected {}, found `{text}`", Self::KIND)),
        }
        None
    }
}

/// One name of `cipher_suites`.
#[derive(Clone, Debug, PartialEq)]
pub struct CipherSuite(SupportedCipherSuite);

/// TLS 1.2's suites with forward secrecy and authenticated encryption. All others that Go knows are weaker.
const SUITES: [(&str, SupportedCipherSuite); 9] = [
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_AES_128_GCM_SHA256", cipher_suite::TLS13_AES_128_GCM_SHA256),
    ("TLS_AES_256_GCM_SHA384", cipher_suite::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", cipher_suite::TLS13_CHACHA20_POLY1305_SHA256),
];

impl Decode for CipherSuite {
    const KIND: &'static str = "a cipher suite such as TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let text = scalar(node, Self::KIND, problems)?.text.trim();
        let found = SUITES.iter().find(|(name, _)| *name == text);
        if found.is_none() {
            let hint = did_you_mean(text, SUITES.map(|(name, _)| name));
            let message = format!(
                "`{text}` is no cipher suite that rootspan has (those with forward secrecy and authenticated encryption)\
                 {hint}"
            );
            problems.error(&node.position, message);
        }
        found.map(|(_, suite)| Self(*suite))
    }
}

/// One name of `curve_preferences`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// X25519.
    X25519,
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
}

impl Decode for Curve {
    const KIND: &'static str = "X25519, P256 or P384";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let text = scalar(node, Self::KIND, problems)?.text.trim();
        match text {
            "X25519" => return Some(Self::X25519),
            "P256" => return Some(Self::P256),
            "P384" => return Some(Self::P384),
            "P521" | "X25519MLKEM768" | "SecP256r1MLKEM768" | "SecP384r1MLKEM1024" => {
                let message = format!(
                    "the curve {text} is known to the OpenTelemetry Collector, not supported by rootspan (yet): {} are",
                    Self::KIND
                );
                problems.error(&node.position, message);
            }
            _ => problems.error(&node.position, format!("expected {}, found `{text}`", Self::KIND)),
        }
        None
    }
}

/// What a handshake may agree on.
#[derive(Clone, Debug)]
pub(crate) struct Parameters {
    pub(crate) provider: Arc<CryptoProvider>,
    pub(crate) versions: Vec<&'static SupportedProtocolVersion>,
}

impl Parameters {
    pub(crate) fn new(min: Option<Version>, max: Option<Version>, suites: &[CipherSuite], curves: &[Curve]) -> Self {
        let mut provider = default_provider();
        // As in Go, a list chooses among TLS 1.2's suites only.
        if suites.iter().any(|suite| suite.0.tls13().is_none()) {
            provider.cipher_suites.retain(|suite| suite.tls13().is_some());
            provider.cipher_suites.extend(suites.iter().map(|suite| suite.0).filter(|suite| suite.tls13().is_none()));
        }
        if !curves.is_empty() {
            let group = |curve: &Curve| match curve {
                Curve::X25519 => kx_group::X25519,
                Curve::P256 => kx_group::SECP256R1,
                Curve::P384 => kx_group::SECP384R1,
            };
            provider.kx_groups = curves.iter().map(group).collect();
        }
        let mut versions = Vec::new();
        if max != Some(Version::Tls12) {
            versions.push(&rustls::version::TLS13);
        }
        if min != Some(Version::Tls13) {
            versions.push(&rustls::version::TLS12);
        }
        Self { provider: Arc::new(provider), versions }
    }
}
