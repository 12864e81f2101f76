//! What a local CloudFront is told.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderMap, Uri};

use super::delivery::{Delivery, InvalidDelivery};
use super::headers::EventType;
use super::lambda::LambdaStartError;
use super::limits::AllowedMethods;
use super::policy::{CachePolicy, OriginRequestPolicy};
use super::sandbox::FunctionError;

/// Settings of the emulator. Take [`Config::default`] and change what matters.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where viewers connect, by plain HTTP/1.1. Port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The origin, `http://host:port` with an optional path that is put in front.
    pub origin: String,
    /// The functions of all behaviours that run any.
    pub functions: Functions,
    /// Cache behaviours in the order of matching. If none has the pattern `*`, a default one is added.
    pub behaviors: Vec<Behavior>,
    /// What is done with error statuses of the origin.
    pub error_pages: Vec<ErrorPage>,
    /// Requests that AWS WAF blocks with a 403.
    pub waf: Vec<WafRule>,
    /// Run viewer-request also for requests that WAF blocks and for redirects to HTTPS. AWS does not say which is so.
    pub function_before_refusal: bool,
    /// Where logs go; none keeps the ledger only.
    pub deliveries: Vec<Delivery>,
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
    /// How long a CloudFront function may run. It stops endless loops: CloudFront's millisecond of computing cannot be
    /// told from a machine that is busy with other things.
    pub function_time_limit: Duration,
    /// The program that runs Lambda@Edge functions.
    pub node: PathBuf,
    /// What a new environment of a Lambda@Edge function takes beside Node's own start.
    pub lambda_cold_start: Duration,
    /// Environments of one Lambda@Edge function at the same time; more invocations wait.
    pub lambda_max_environments: usize,
    /// How far all clocks of the edge are behind: its logs are late by that much.
    pub clock_behind: Duration,
    /// Total of cached bodies.
    pub cache_max_bytes: usize,
    /// Viewers connected at the same time; more wait.
    pub max_connections: usize,
    /// Requests that the ledger remembers; the oldest are forgotten, and counted.
    pub ledger_max_entries: usize,
    /// Makes request ids and jitter; two emulators beside each other need two seeds.
    pub seed: u64,
}

/// At most one function for each event.
#[derive(Clone, Debug, Default)]
pub struct Functions {
    /// Before the cache.
    pub viewer_request: Option<Function>,
    /// Before the origin; Lambda@Edge only.
    pub origin_request: Option<Function>,
    /// After the origin; Lambda@Edge only.
    pub origin_response: Option<Function>,
    /// Before the viewer.
    pub viewer_response: Option<Function>,
}

/// A function's code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// What runs it.
    pub runtime: Runtime,
    /// Its name, as in its log group.
    pub name: String,
    /// The code.
    pub code: String,
}

/// The two kinds of edge functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// CloudFront Functions, `cloudfront-js-2.0`.
    CloudFront,
    /// Lambda@Edge, as an ES module of Node.
    LambdaModule,
    /// Lambda@Edge, as a CommonJS module of Node.
    LambdaCommonJs,
}

/// How the paths of one pattern are treated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behavior {
    /// CloudFront's path pattern.
    pub path_pattern: String,
    /// What happens to plain HTTP.
    pub viewer_protocol: ViewerProtocol,
    /// Other methods are refused.
    pub allowed_methods: AllowedMethods,
    /// What is kept and by which key.
    pub cache: CachePolicy,
    /// What else the origin sees.
    pub origin_request: OriginRequestPolicy,
    /// Whether the functions are attached.
    pub runs_functions: bool,
    /// An origin of its own, as [`Config::origin`].
    pub origin: Option<String>,
    /// The second origin of an origin group.
    pub failover: Option<Failover>,
}

/// The second origin of an origin group: asked when the first cannot be reached or gives one of the statuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failover {
    /// As [`Config::origin`].
    pub origin: String,
    /// Statuses of the first origin that count as a failure.
    pub statuses: Vec<u16>,
}

/// What the distribution does with an error status of the origin. Without one for a status, it is cached for ten seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorPage {
    /// The status.
    pub status: u16,
    /// A path of this distribution whose content the viewer gets instead.
    pub page: Option<String>,
    /// The status that the viewer gets with the page.
    pub response_status: u16,
    /// Error caching minimum TTL.
    pub min_ttl: Duration,
}

/// A request that AWS WAF blocks: all that is given must match.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct WafRule {
    /// A path pattern.
    pub path_pattern: Option<String>,
    /// A header and a text in its value.
    pub header: Option<(String, String)>,
    /// A text in the query.
    pub query: Option<String>,
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

/// A request header with a label for the ledger; it is removed before anything else looks at the request.
pub const CLASS_HEADER: &str = "x-rootspan-class";

/// A request header, `http` or `https`, with the protocol that the viewer pretends to use; it is removed, too.
pub const PROTOCOL_HEADER: &str = "x-rootspan-viewer-protocol";

/// Why an emulator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The function is refused.
    #[error("the {} function cannot be used", event.name())]
    Function {
        /// What it is attached to.
        event: EventType,
        /// Why.
        source: FunctionError,
    },
    /// A Lambda@Edge function does not start.
    #[error("the {} function cannot be used", event.name())]
    Lambda {
        /// What it is attached to.
        event: EventType,
        /// Why.
        source: LambdaStartError,
    },
    /// CloudFront Functions exist for viewer events only.
    #[error("{}: only Lambda@Edge functions are attached to origin events", event.name())]
    NotForOrigin {
        /// The event.
        event: EventType,
    },
    /// The viewer events must be of one kind.
    #[error("viewer-request and viewer-response must both be CloudFront Functions or both Lambda@Edge")]
    MixedViewerEvents,
    /// A delivery that cannot be.
    #[error("logs cannot be delivered")]
    Delivery(#[source] InvalidDelivery),
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
            functions: Functions::default(),
            behaviors: vec![Behavior::default()],
            error_pages: Vec::new(),
            waf: Vec::new(),
            function_before_refusal: false,
            deliveries: Vec::new(),
            distribution_id: "EDFDVBD6EXAMPLE".to_owned(),
            distribution_domain: "d111111abcdef8.cloudfront.net".to_owned(),
            edge_location: "FRA60-P4".to_owned(),
            // CloudFront's defaults.
            origin_connect_timeout: Duration::from_secs(10),
            origin_response_timeout: Duration::from_secs(30),
            origin_round_trip: Duration::ZERO,
            function_time_limit: Duration::from_secs(2),
            node: PathBuf::from("node"),
            lambda_cold_start: Duration::ZERO,
            lambda_max_environments: 4,
            clock_behind: Duration::ZERO,
            cache_max_bytes: 64 * 1024 * 1024,
            max_connections: 1024,
            ledger_max_entries: 100_000,
            seed: 0,
        }
    }
}

impl Function {
    /// A CloudFront function.
    #[must_use]
    pub fn cloudfront(name: &str, code: impl Into<String>) -> Self {
        Self { runtime: Runtime::CloudFront, name: name.to_owned(), code: code.into() }
    }

    /// A Lambda@Edge function, an ES module that exports `handler`.
    #[must_use]
    pub fn lambda(name: &str, code: impl Into<String>) -> Self {
        Self { runtime: Runtime::LambdaModule, name: name.to_owned(), code: code.into() }
    }
}

impl Functions {
    /// Only a CloudFront function for viewer-request.
    #[must_use]
    pub fn viewer_request(code: impl Into<String>) -> Self {
        Self { viewer_request: Some(Function::cloudfront("viewer-request", code)), ..Self::default() }
    }

    /// The one for an event.
    #[must_use]
    pub const fn of(&self, event: EventType) -> Option<&Function> {
        match event {
            EventType::ViewerRequest => self.viewer_request.as_ref(),
            EventType::OriginRequest => self.origin_request.as_ref(),
            EventType::OriginResponse => self.origin_response.as_ref(),
            EventType::ViewerResponse => self.viewer_response.as_ref(),
        }
    }

    /// Where the one for an event is kept.
    pub const fn slot(&mut self, event: EventType) -> &mut Option<Function> {
        match event {
            EventType::ViewerRequest => &mut self.viewer_request,
            EventType::OriginRequest => &mut self.origin_request,
            EventType::OriginResponse => &mut self.origin_response,
            EventType::ViewerResponse => &mut self.viewer_response,
        }
    }

    /// CloudFront's rules for what may be attached together.
    pub(crate) fn check(&self) -> Result<(), StartError> {
        for event in [EventType::OriginRequest, EventType::OriginResponse] {
            if self.of(event).is_some_and(|function| function.runtime == Runtime::CloudFront) {
                return Err(StartError::NotForOrigin { event });
            }
        }
        let is_lambda = |function: &Function| function.runtime != Runtime::CloudFront;
        match (&self.viewer_request, &self.viewer_response) {
            (Some(request), Some(response)) if is_lambda(request) != is_lambda(response) => {
                Err(StartError::MixedViewerEvents)
            }
            _ => Ok(()),
        }
    }
}

impl Default for Behavior {
    fn default() -> Self {
        Self {
            path_pattern: "*".to_owned(),
            viewer_protocol: ViewerProtocol::AllowAll,
            allowed_methods: AllowedMethods::All,
            cache: CachePolicy::default(),
            origin_request: OriginRequestPolicy::default(),
            runs_functions: true,
            origin: None,
            failover: None,
        }
    }
}

impl ErrorPage {
    /// No page of its own, only another time for which the status is cached.
    #[must_use]
    pub const fn cached_for(status: u16, min_ttl: Duration) -> Self {
        Self { status, page: None, response_status: status, min_ttl }
    }
}

impl WafRule {
    /// Whether it blocks a request.
    pub(crate) fn blocks(&self, path: &str, query: &str, headers: &HeaderMap) -> bool {
        let has_header = |(name, text): &(String, String)| {
            let mut values = headers.get_all(name.as_str()).iter();
            values.any(|value| String::from_utf8_lossy(value.as_bytes()).contains(text))
        };
        let is_any = self.path_pattern.is_some() || self.header.is_some() || self.query.is_some();
        is_any
            && self.path_pattern.as_deref().is_none_or(|pattern| path_matches(pattern, path))
            && self.header.as_ref().is_none_or(has_header)
            && self.query.as_deref().is_none_or(|text| query.contains(text))
    }
}

/// A behaviour and where its requests go.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) behavior: Behavior,
    pub(crate) origin: Uri,
    pub(crate) second_origin: Option<Uri>,
}

impl Config {
    /// The behaviours, with a default one at the end, and their origins.
    pub(crate) fn routes(&self) -> Result<Vec<Route>, StartError> {
        let default_origin = http_address("origin", &self.origin)?;
        let mut routes = Vec::with_capacity(self.behaviors.len() + 1);
        for behavior in &self.behaviors {
            let own =
                behavior.origin.as_deref().map(|origin| http_address("origin of a behaviour", origin)).transpose()?;
            let second = behavior.failover.as_ref().map(|failover| failover.origin.as_str());
            routes.push(Route {
                behavior: behavior.clone(),
                origin: own.unwrap_or_else(|| default_origin.clone()),
                second_origin: second.map(|origin| http_address("second origin", origin)).transpose()?,
            });
        }
        if !self.behaviors.iter().any(|behavior| behavior.path_pattern == "*") {
            routes.push(Route { behavior: Behavior::default(), origin: default_origin, second_origin: None });
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
