//! The built-in configuration: a YAML text that takes the way of every file.

use std::path::PathBuf;

use super::values::Endpoint;

/// The text, with places for the settings.
const TEMPLATE: &str = include_str!("default.yaml");

/// What the command line can change in the built-in configuration.
#[derive(Clone, Debug)]
pub struct DefaultSettings {
    /// OTLP over gRPC.
    pub otlp_grpc: Endpoint,
    /// OTLP over HTTP.
    pub otlp_http: Endpoint,
    /// Access logs of CloudFront; off if there is no key, because the receiver is never open without one.
    pub cloudfront: Option<CloudFrontSettings>,
    /// UI and query API.
    pub ui: Endpoint,
    /// Health check.
    pub health_check: Endpoint,
    /// Own metrics.
    pub metrics: Endpoint,
    /// Folder of the embedded store.
    pub directory: PathBuf,
}

/// The CloudFront receiver of the built-in configuration.
#[derive(Clone, Debug)]
pub struct CloudFrontSettings {
    /// Where Firehose delivers.
    pub endpoint: Endpoint,
    /// The key that it must present.
    pub access_key: String,
}

impl Default for DefaultSettings {
    /// The documented ports, on this machine only.
    fn default() -> Self {
        let local = |port| Endpoint { host: "127.0.0.1".to_owned(), port };
        Self {
            otlp_grpc: local(4317),
            otlp_http: local(4318),
            cloudfront: None,
            ui: local(16686),
            health_check: local(13133),
            metrics: local(8888),
            directory: PathBuf::from("./rootspan-data"),
        }
    }
}

impl DefaultSettings {
    /// The configuration as YAML.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let cloudfront = self.cloudfront.as_ref().map_or_else(String::new, |cloudfront| {
            let key = quoted(&cloudfront.access_key);
            format!("  cloudfront:\n    endpoint: {}\n    access_key: '{key}'\n", cloudfront.endpoint)
        });
        let reference = if self.cloudfront.is_some() { ", cloudfront" } else { "" };
        TEMPLATE
            .replace("{otlp_grpc}", &self.otlp_grpc.to_string())
            .replace("{otlp_http}", &self.otlp_http.to_string())
            .replace("{cloudfront_receiver}", &cloudfront)
            .replace("{cloudfront_reference}", reference)
            .replace("{directory}", &quoted(&self.directory.to_string_lossy()))
            .replace("{health_check}", &self.health_check.to_string())
            .replace("{ui}", &self.ui.to_string())
            .replace("{metrics_host}", &quoted(&self.metrics.host))
            .replace("{metrics_port}", &self.metrics.port.to_string())
    }
}

/// `text` for a single-quoted scalar that is expanded afterwards.
fn quoted(text: &str) -> String {
    text.replace('\'', "''").replace('$', "$$")
}
