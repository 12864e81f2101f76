//! Settings that are the same on all paths.

use std::net::IpAddr;

use http::Uri;

use super::yaml::{Mapping, Node};
use super::{Reader, unknown};

/// The keys of these settings.
pub(super) const KEYS: [&str; 6] = ["propagators", "ids_via", "force_sampling", "response", "service_name", "export"];

/// Names of propagators. W3C's headers are sent whether it is named or not.
const PROPAGATORS: [&str; 4] = ["tracecontext", "b3", "b3multi", "xray"];

/// The shortest key for [`ForceSampling`]: 128 bits if it is random characters of all kinds.
const KEY_MIN_CHARS: usize = 16;

/// What is the same on all paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Headers sent to the origin beside W3C's, which always are.
    pub propagators: Vec<Propagator>,
    /// Where the function logs the ids.
    pub ids_via: IdsVia,
    /// Lets a request ask for being sampled.
    pub force_sampling: Option<ForceSampling>,
    /// Tell viewers the context by `Server-Timing`.
    pub server_timing: bool,
    /// Tell viewers the trace id by this header, in lower case.
    pub trace_id_header: Option<String>,
    /// `service.name` of the spans that Lambda@Edge functions make.
    pub service_name: String,
    /// Where Lambda@Edge functions send spans; without it they log them.
    pub export: Option<Export>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            propagators: Vec::new(),
            ids_via: IdsVia::CustomData,
            force_sampling: None,
            server_timing: false,
            trace_id_header: None,
            service_name: "cloudfront".to_owned(),
            export: None,
        }
    }
}

/// A way of handing the context on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagator {
    /// The single header `b3`.
    B3,
    /// `X-B3-TraceId`, `X-B3-SpanId`, `X-B3-Sampled`.
    B3Multi,
    /// `X-Amzn-Trace-Id`
    XRay,
}

impl Propagator {
    /// OpenTelemetry's name for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::B3 => "b3",
            Self::B3Multi => "b3multi",
            Self::XRay => "xray",
        }
    }
}

/// Where the function logs the ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdsVia {
    /// Into the access-log record.
    CustomData,
    /// Into the function's own log, for logs without the field of custom data.
    Console,
    /// Both.
    Both,
}

/// Who knows the key may have requests sampled.
#[derive(Clone, PartialEq, Eq)]
pub struct ForceSampling {
    /// The header, in lower case.
    pub header: String,
    /// The key of the HMAC. It is part of the function's code.
    pub key: String,
}

/// Where Lambda@Edge functions send spans.
#[derive(Clone, PartialEq, Eq)]
pub struct Export {
    /// An OTLP/HTTP endpoint with its path.
    pub endpoint: String,
    /// Sent as `Authorization: Bearer`; empty for none. It is part of the function's code.
    pub token: String,
    /// How long a response may be held up, in milliseconds.
    pub budget_millis: u64,
}

/// Without the key.
impl std::fmt::Debug for ForceSampling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ForceSampling").field("header", &self.header).finish_non_exhaustive()
    }
}

/// Without the token.
impl std::fmt::Debug for Export {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Export").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Reader {
    pub(super) fn options(&mut self, mapping: &Mapping<'_>) -> Options {
        let mut options = Options::default();
        if let Some(node) = mapping.get("propagators") {
            options.propagators = self.propagators(node);
        }
        if let Some(node) = mapping.get("ids_via") {
            match node.text() {
                Some("custom-data") => options.ids_via = IdsVia::CustomData,
                Some("console") => options.ids_via = IdsVia::Console,
                Some("both") => options.ids_via = IdsVia::Both,
                _ => self.problem(node, "ids_via must be custom-data, console or both"),
            }
        }
        options.force_sampling = mapping.get("force_sampling").and_then(|node| self.force_sampling(node));
        if let Some(node) = mapping.get("response") {
            let response = self.mapping(node, &["server_timing", "header"], "response");
            if let Some(node) = response.get("server_timing") {
                match node.text() {
                    Some("true") => options.server_timing = true,
                    Some("false") => {}
                    _ => self.problem(node, "server_timing must be true or false"),
                }
            }
            options.trace_id_header = response.get("header").map(|node| self.header(node));
        }
        if let Some(node) = mapping.get("service_name") {
            match node.text() {
                Some(name) if !name.is_empty() && !name.contains(char::is_control) => {
                    options.service_name = name.to_owned();
                }
                _ => self.problem(node, "service_name must be a name without control characters"),
            }
        }
        options.export = mapping.get("export").and_then(|node| self.export(node));
        options
    }

    fn propagators(&mut self, node: &Node) -> Vec<Propagator> {
        let mut propagators = Vec::new();
        for item in self.sequence(node, "propagators") {
            let propagator = match item.text().unwrap_or_default() {
                "tracecontext" => continue,
                "b3" => Propagator::B3,
                "b3multi" => Propagator::B3Multi,
                "xray" => Propagator::XRay,
                word => {
                    self.problem(item, &unknown("propagator", word, &PROPAGATORS));
                    continue;
                }
            };
            if !propagators.contains(&propagator) {
                propagators.push(propagator);
            }
        }
        propagators
    }

    fn force_sampling(&mut self, node: &Node) -> Option<ForceSampling> {
        let mapping = self.mapping(node, &["header", "key"], "force_sampling");
        let (Some(header), Some(key_node)) = (mapping.get("header"), mapping.get("key")) else {
            self.problem(node, "force_sampling needs a header and a key");
            return None;
        };
        let key = key_node.text().unwrap_or_default();
        if key.chars().count() < KEY_MIN_CHARS {
            self.problem(key_node, "key must have at least 16 characters");
        }
        Some(ForceSampling { header: self.header(header), key: key.to_owned() })
    }

    fn export(&mut self, node: &Node) -> Option<Export> {
        let mapping = self.mapping(node, &["endpoint", "token", "budget"], "export");
        let endpoint = mapping.get("endpoint");
        let uri = endpoint.and_then(Node::text).and_then(|text| Some((text, text.parse::<Uri>().ok()?)));
        let is_url = |(_, uri): &(&str, Uri)| matches!(uri.scheme_str(), Some("https" | "http"));
        let Some((endpoint, uri)) = uri.filter(is_url) else {
            self.problem(endpoint.unwrap_or(node), "export needs an endpoint such as https://host/v1/traces");
            return None;
        };
        let token = mapping.get("token").map(|node| self.token(node, &uri)).unwrap_or_default();
        let mut budget_millis = 50;
        if let Some(node) = mapping.get("budget") {
            let millis = node.text().and_then(|text| text.strip_suffix("ms")?.parse::<u64>().ok());
            match millis.filter(|millis| (1..=5000).contains(millis)) {
                Some(millis) => budget_millis = millis,
                None => self.problem(node, "budget must be 1ms to 5000ms"),
            }
        }
        Some(Export { endpoint: endpoint.to_owned(), token, budget_millis })
    }

    fn token(&mut self, node: &Node, endpoint: &Uri) -> String {
        let token = node.text().unwrap_or_default();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let rule = "token must be printable ASCII characters without spaces; leave the key out if there is none";
            self.problem(node, rule);
        } else if endpoint.scheme_str() == Some("http") && !is_this_machine(endpoint.host().unwrap_or_default()) {
            let reason = "this token would cross the network unencrypted, for everyone on the way to read: the endpoint must \
                          begin with https:// (http:// is for this machine only), or there must be no token";
            self.problem(node, reason);
        }
        token.to_owned()
    }
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}
