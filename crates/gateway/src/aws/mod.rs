//! Amazon's services, and servers that speak their APIs: the credential chain, connections, what errors mean. Used by the
//! receiver `cloudfront` and by `rootspan import s3://…`; only with the feature `aws`.
//!
//! The SDKs bring the chain (environment, profiles with SSO and assumed roles, web identity, containers, instances), the
//! endpoints of every Region, signatures and retries; `docs/decisions/aws-sdk.md` says why they and not a smaller client.

pub mod bucket;
pub mod object;
pub mod problem;

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, Connector};

/// Attempts of one request; what lasts longer is the caller's to say and to wait for.
const MAX_ATTEMPTS: u32 = 3;
/// Until a connection stands.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a service is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The Region; `None`: that of the environment, the profile or the instance.
    pub region: Option<String>,
    /// A server other than Amazon's.
    pub endpoint: Option<String>,
}

/// What clients are made from. Credentials are looked up when they are first needed, and renewed before they expire.
pub async fn configuration(place: &Place) -> SdkConfig {
    // As the SDK's own client does it, and with the proxy that the environment names.
    let client = Builder::new().build_with_connector_fn(|settings, components| {
        let mut connector =
            Connector::builder().proxy_config(ProxyConfig::from_env()).tls_provider(Provider::Rustls(CryptoMode::Ring));
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        connector.build()
    });
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(client)
        .retry_config(RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS))
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).build());
    if let Some(region) = &place.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(endpoint) = &place.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    loader.load().await
}
