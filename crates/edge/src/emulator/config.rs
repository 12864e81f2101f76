//! What a local CloudFront is told.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use http::Uri;

use super::sandbox::FunctionError;

/// Settings of the emulator. Take [`Config::default`] and change what matters.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where viewers connect, by plain HTTP/1.1. Port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The one origin, `http://host:port` with an optional path that is put in front.
    pub origin: String,
    /// Code of the viewer-request function; `None` runs none.
    pub function: Option<String>,
    /// Cache behaviours in the order of matching. If none has the pattern `*`, a default one is added.
    pub behaviors: Vec<Behavior>,
    /// Where access-log records go; `None` keeps the ledger only.
    pub delivery: Option<Delivery>,
    /// `context.distributionId` and `DistributionId`.
    pub distribution_id: String,
    /// `context.distributionDomainName` and `cs(Host)`.
    pub distribution_domain: String,
    /// `x-edge-location`; the first three letters are `cf.edgeLocation.name`.
    pub edge_location: String,
    /// How long a connection to the origin may take; then 502.
    pub origin_connect_timeout: Duration,
    /// How long the origin may take until its response begins; then 504.
    pub origin_response_timeout: Duration,
    /// How far away the origin pretends to be: half of it passes before a request reaches the origin, half before its
    /// answer is back.
    pub origin_round_trip: Duration,
    /// How long a function may run. It stops endless loops: CloudFront's millisecond of computing cannot be told from a
    /// machine that is busy with other things.
    pub function_time_limit: Duration,
    /// Total of cached bodies.
    pub cache_max_bytes: usize,
    /// Viewers connected at the same time; more wait.
    pub max_connections: usize,
    /// Requests that the ledger remembers; the oldest are forgotten, and counted.
    pub ledger_max_entries: usize,
    /// Makes request ids and jitter; two emulators beside each other need two seeds.
    pub seed: u64,
}

/// How the paths of one pattern are treated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behavior {
    /// CloudFront's path pattern.
    pub path_pattern: String,
    /// What happens to plain HTTP.
    pub viewer_protocol: ViewerProtocol,
    /// How long a response without `max-age` is kept; zero keeps it not at all.
    pub default_ttl: Duration,
    /// Whether the function is attached.
    pub runs_function: bool,
    /// An origin of its own, as [`Config::origin`].
    pub origin: Option<String>,
}

/// The viewer protocol policy. The emulator has no TLS: a viewer counts as HTTPS unless it sends [`PROTOCOL_HEADER`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewerProtocol {
    /// HTTP and HTTPS.
    AllowAll,
    /// 301 to the same URL with `https`.
    RedirectToHttps,
    /// 403 for HTTP.
    HttpsOnly,
}

/// Firehose with an HTTP endpoint as destination.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// `http://host:port/path`.
    pub endpoint: String,
    /// `X-Amz-Firehose-Access-Key`.
    pub access_key: String,
    /// Whether bodies are compressed.
    pub gzip: bool,
    /// A batch goes out when it has this many records.
    pub max_records: usize,
    /// … or when its first record is this old.
    pub interval: Duration,
    /// How long a batch is tried; then Firehose would write it to its backup bucket.
    pub retry_duration: Duration,
    /// The first delay; it doubles.
    pub retry_delay: Duration,
    /// The longest delay.
    pub retry_delay_max: Duration,
    /// How long the endpoint may take to answer.
    pub response_timeout: Duration,
    /// Records that wait; more are lost, and counted.
    pub max_waiting_records: usize,
    /// How long [`super::Running::shutdown`] goes on delivering.
    pub drain: Duration,
}

/// A request header with a label for the ledger; it is removed before anything else looks at the request.
pub const CLASS_HEADER: &str = "x-rootspan-class";

/// A request header, `http` or `https`, with the protocol that the viewer pretends to use; it is removed, too.
pub const PROTOCOL_HEADER: &str = "x-rootspan-viewer-protocol";

/// Why an emulator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The function is refused.
    #[error("the viewer-request function cannot be used")]
    Function(#[source] FunctionError),
    /// An address that is none, or not plain HTTP.
    #[error("{what} must be http://host:port, not {address:?}")]
    Address {
        /// `origin` or `delivery endpoint`.
        what: &'static str,
        /// What was given.
        address: String,
    },
    /// The port is in use, or not allowed.
    #[error("cannot listen on {address}")]
    Listen {
        /// The wanted address.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            origin: String::new(),
            function: None,
            behaviors: vec![Behavior::default()],
            delivery: None,
            distribution_id: "EDFDVBD6EXAMPLE".to_owned(),
            distribution_domain: "d111111abcdef8.cloudfront.net".to_owned(),
            edge_location: "FRA60-P4".to_owned(),
            // CloudFront's defaults.
            origin_connect_timeout: Duration::from_secs(10),
            origin_response_timeout: Duration::from_secs(30),
            origin_round_trip: Duration::ZERO,
            function_time_limit: Duration::from_secs(2),
            cache_max_bytes: 64 * 1024 * 1024,
            max_connections: 1024,
            ledger_max_entries: 100_000,
            seed: 0,
        }
    }
}

impl Default for Behavior {
    fn default() -> Self {
        Self {
            path_pattern: "*".to_owned(),
            viewer_protocol: ViewerProtocol::AllowAll,
            default_ttl: Duration::ZERO,
            runs_function: true,
            origin: None,
        }
    }
}

impl Delivery {
    /// Delivery to an endpoint with Firehose's own rules, but for the interval: a second instead of a minute.
    #[must_use]
    pub fn to_endpoint(endpoint: &str, access_key: &str) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            access_key: access_key.to_owned(),
            gzip: true,
            max_records: 500,
            interval: Duration::from_secs(1),
            retry_duration: Duration::from_secs(300),
            retry_delay: Duration::from_secs(1),
            retry_delay_max: Duration::from_secs(120),
            response_timeout: Duration::from_secs(180),
            max_waiting_records: 100_000,
            drain: Duration::from_secs(10),
        }
    }
}

/// A behaviour and where its requests go.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) behavior: Behavior,
    pub(crate) origin: Uri,
}

impl Config {
    /// The behaviours, with a default one at the end, and their origins.
    pub(crate) fn routes(&self) -> Result<Vec<Route>, StartError> {
        let default_origin = http_address("origin", &self.origin)?;
        let mut routes = Vec::with_capacity(self.behaviors.len() + 1);
        for behavior in &self.behaviors {
            let own =
                behavior.origin.as_deref().map(|origin| http_address("origin of a behaviour", origin)).transpose()?;
            routes.push(Route { behavior: behavior.clone(), origin: own.unwrap_or_else(|| default_origin.clone()) });
        }
        if !self.behaviors.iter().any(|behavior| behavior.path_pattern == "*") {
            routes.push(Route { behavior: Behavior::default(), origin: default_origin });
        }
        Ok(routes)
    }
}

/// An address of plain HTTP.
pub(crate) fn http_address(what: &'static str, address: &str) -> Result<Uri, StartError> {
    let uri = address.parse::<Uri>().ok();
    uri.filter(|uri| uri.scheme_str() == Some("http") && uri.authority().is_some())
        .ok_or_else(|| StartError::Address { what, address: address.to_owned() })
}

/// Whether a path matches CloudFront's pattern: `*` is any characters, `?` exactly one; a slash in front is optional.
/// Goes back to the last star only, so it takes at most length × length steps.
pub(crate) fn path_matches(pattern: &str, path: &str) -> bool {
    let with_slash = format!("/{pattern}");
    let pattern = if pattern.starts_with(['/', '*']) { pattern } else { &with_slash };
    let (pattern, path) = (pattern.as_bytes(), path.as_bytes());
    let (mut at, mut from, mut star) = (0, 0, None);
    while from < path.len() {
        match (pattern.get(at), star) {
            (Some(b'*'), _) => {
                star = Some((at, from));
                at += 1;
            }
            (Some(&byte), _) if byte == b'?' || byte == path[from] => {
                at += 1;
                from += 1;
            }
            (_, Some((star_at, star_from))) => {
                star = Some((star_at, star_from + 1));
                at = star_at + 1;
                from = star_from + 1;
            }
            (_, None) => return false,
        }
    }
    pattern.iter().skip(at).all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests;
