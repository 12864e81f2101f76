//! `resourcedetection`: attributes of every resource from where the gateway runs: the environment and the system.
//!
//! ```yaml
//! processors:
//!   resourcedetection: {detectors: [env, system], override: false}
//! ```
//!
//! `env` reads `OTEL_RESOURCE_ATTRIBUTES`; `system` gives `host.name` and `os.type`. They are read once, at start.

use std::sync::Arc;

use rootspan_wire::otlp::edit::AttributeEdits;
use rootspan_wire::otlp::write::Value;

use crate::config;
use crate::config::decode::Decode;
use crate::config::node::{Entry, Node};
use crate::config::problems::Problems;
use crate::config::values::choice;
use crate::files;

/// Where OpenTelemetry's programs are told what they are.
const VARIABLE: &str = "OTEL_RESOURCE_ATTRIBUTES";

config! {
    /// Attributes of resources from where the gateway runs.
    pub struct DetectionConfig {
        /// `env`, `system`; of two that give the same attribute the first one counts.
        detectors: Vec<Detector>,
        /// Whether what is detected replaces what a resource has.
        r#override: bool = "true",
    }
    known { "system", "ec2", "ecs", "eks", "lambda", "elasticbeanstalk", "gcp", "azure", "aks", "docker", "consul", "heroku",
        "k8snode", "kubeadm", "openshift", "dynatrace", "hetzner", "akamai", "scaleway", "vultr", "upcloud", "digitalocean" }
    ignored {
        "timeout": "both detectors answer at once",
        "refresh_interval": "neither changes while the gateway runs",
    }
}

/// A source of attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detector {
    /// `OTEL_RESOURCE_ATTRIBUTES`.
    Environment,
    /// The host.
    System,
}

impl Decode for Detector {
    const KIND: &'static str = "env or system";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        choice(node, problems, &[("env", Self::Environment), ("system", Self::System)])
    }
}

impl DetectionConfig {
    /// Decodes and checks that something is detected.
    pub(crate) fn decode_checked(entry: &Entry, problems: &mut Problems) -> Option<Self> {
        let config = Self::decode(&entry.value, problems)?;
        if config.detectors.is_empty() {
            problems.error(&entry.position, "`detectors` must not be empty: env, system");
        }
        Some(config)
    }
}

/// Reads a variable of the environment.
type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The processor.
#[derive(Clone, Debug)]
pub(crate) struct Detected {
    attributes: Arc<[(String, String)]>,
    replaces: bool,
}

impl Detected {
    /// Detects.
    pub(crate) fn new(config: &DetectionConfig) -> Self {
        Self::from_sources(config, &|name| std::env::var(name).ok(), files::host_name().as_deref())
    }

    fn from_sources(config: &DetectionConfig, variables: Variables<'_>, host: Option<&str>) -> Self {
        let mut attributes: Vec<(String, String)> = Vec::new();
        for detector in &config.detectors {
            let found = match detector {
                Detector::Environment => parse(&variables(VARIABLE).unwrap_or_default()),
                Detector::System => {
                    let host = host.map(|host| ("host.name".to_owned(), host.to_owned()));
                    host.into_iter().chain([("os.type".to_owned(), std::env::consts::OS.to_owned())]).collect()
                }
            };
            for (key, value) in found {
                if attributes.iter().all(|(earlier, _)| *earlier != key) {
                    attributes.push((key, value));
                }
            }
        }
        Self { attributes: attributes.into(), replaces: config.r#override }
    }

    /// Adds what was detected.
    pub(crate) fn apply<'a>(&'a self, resource: &mut AttributeEdits<'a>) {
        for (key, value) in self.attributes.iter() {
            if self.replaces || resource.get(key).is_none() {
                resource.set(key, Value::String(value));
            }
        }
    }
}

/// `key=value,key=value`, percent-encoded (OpenTelemetry, "Specifying resource information via an environment
/// variable"). What is no pair is left out, with a word in the log.
fn parse(text: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        match part.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => pairs.push((decode(key.trim()), decode(value.trim()))),
            _ => tracing::warn!(variable = VARIABLE, "a part of the variable is not key=value and was left out"),
        }
    }
    pairs
}

/// Percent-decodes; what is not encoded properly stays as it is.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_and_the_system_are_detected_in_order() {
        let config = DetectionConfig { detectors: vec![Detector::Environment, Detector::System], r#override: false };
        let variable = "deployment.environment=test, team = a%20b,nonsense,,host.name=given,odd=100%";
        let detected = Detected::from_sources(&config, &|_| Some(variable.to_owned()), Some("machine"));
        let expected = [
            ("deployment.environment", "test"),
            ("team", "a b"),
            ("host.name", "given"),
            ("odd", "100%"),
            ("os.type", std::env::consts::OS),
        ];
        let found: Vec<_> = detected.attributes.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(found, expected);
    }
}
