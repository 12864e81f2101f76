//! A distribution as a file, `rootspan edge emulate --distribution FILE`. What is absent is as in [`Config::default`]; all
//! problems are found at once, with line and column. docs/examples/distribution.yaml has every key.
//!
//! ```yaml
//! origin: http://127.0.0.1:8081
//! functions: {viewer_request: edge/viewer-request.js}   # relative to this file
//! behaviors:
//!   - {path_pattern: /static/*, cache: optimized}
//! logs:
//!   - {form: v2-json, firehose: "http://127.0.0.1:4433/", access_key: "${env:FIREHOSE_ACCESS_KEY}"}
//! ```

use std::path::PathBuf;
use std::time::Duration;

use super::config::{Behavior, Config, ErrorPage, Failover, ViewerProtocol, WafRule};
use super::headers::EventType;
use super::limits::AllowedMethods;
use super::policy::{CachePolicy, OriginRequestPolicy, Selection};
use crate::settings::Problem;
use crate::settings::yaml::{self, Mapping, Node};
use reader::{Reader, set};

mod logs;
mod reader;

/// What a file says.
#[derive(Debug)]
pub struct DistributionFile {
    /// All but the functions' code.
    pub config: Config,
    /// Where that is.
    pub functions: Vec<FunctionFile>,
}

/// A function that the file names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionFile {
    /// What it is attached to.
    pub event: EventType,
    /// As it stands in the file.
    pub path: PathBuf,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

const KEYS: [&str; 16] = [
    "listen",
    "origin",
    "origin_timeouts",
    "functions",
    "function_time_limit",
    "function_before_refusal",
    "lambda",
    "behaviors",
    "error_pages",
    "waf",
    "distribution",
    "clock_behind",
    "cache_max_bytes",
    "max_connections",
    "seed",
    "logs",
];

/// Reads the text of a file. `variable` gives the environment's variables, for `${env:NAME}`.
///
/// # Errors
///
/// All problems at once, in the order of the file.
pub fn read(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<DistributionFile, Vec<Problem>> {
    let root = yaml::parse(text).map_err(|problem| vec![problem])?;
    let mut reader = Reader::new(variable);
    let mut file = DistributionFile { config: Config::default(), functions: Vec::new() };
    if let Some(root) = &root {
        reader.distribution(root, &mut file);
    }
    reader.end().map(|()| file)
}

impl Reader<'_> {
    fn distribution(&mut self, root: &Node, file: &mut DistributionFile) {
        let mapping = self.mapping(root, &KEYS, "a distribution");
        let config = &mut file.config;
        set(&mut config.listen, self.parsed(&mapping, "listen", "an address with a port"));
        set(&mut config.origin, self.text(&mapping, "origin"));
        set(&mut config.function_time_limit, self.duration(&mapping, "function_time_limit"));
        set(&mut config.function_before_refusal, self.flag(&mapping, "function_before_refusal"));
        set(&mut config.clock_behind, self.duration(&mapping, "clock_behind"));
        set(&mut config.cache_max_bytes, self.size(&mapping, "cache_max_bytes"));
        set(&mut config.max_connections, self.parsed(&mapping, "max_connections", "a number"));
        set(&mut config.seed, self.parsed(&mapping, "seed", "a number"));
        if let Some(node) = mapping.get("origin_timeouts") {
            let timeouts = self.mapping(node, &["connect", "response", "round_trip"], "origin_timeouts");
            set(&mut config.origin_connect_timeout, self.duration(&timeouts, "connect"));
            set(&mut config.origin_response_timeout, self.duration(&timeouts, "response"));
            set(&mut config.origin_round_trip, self.duration(&timeouts, "round_trip"));
        }
        if let Some(node) = mapping.get("lambda") {
            let lambda = self.mapping(node, &["node", "cold_start", "max_environments"], "lambda");
            set(&mut config.node, self.text(&lambda, "node").map(PathBuf::from));
            set(&mut config.lambda_cold_start, self.duration(&lambda, "cold_start"));
            set(&mut config.lambda_max_environments, self.parsed(&lambda, "max_environments", "a number"));
        }
        if let Some(node) = mapping.get("distribution") {
            let names = self.mapping(node, &["id", "domain", "edge_location"], "distribution");
            set(&mut config.distribution_id, self.text(&names, "id"));
            set(&mut config.distribution_domain, self.text(&names, "domain"));
            set(&mut config.edge_location, self.text(&names, "edge_location"));
        }
        self.functions(&mapping, file);
        let config = &mut file.config;
        set(&mut config.behaviors, self.each(&mapping, "behaviors", Self::behavior));
        set(&mut config.error_pages, self.each(&mapping, "error_pages", Self::error_page));
        set(&mut config.waf, self.each(&mapping, "waf", Self::waf_rule));
        set(&mut config.deliveries, self.each(&mapping, "logs", Self::log));
        self.check_patterns(&mapping, &config.behaviors);
    }

    fn functions(&mut self, mapping: &Mapping<'_>, file: &mut DistributionFile) {
        let Some(node) = mapping.get("functions") else { return };
        let names = ["viewer_request", "origin_request", "origin_response", "viewer_response"];
        let functions = self.mapping(node, &names, "functions");
        for (event, name) in EventType::ALL.into_iter().zip(names) {
            if let (Some(path), Some(node)) = (self.text(&functions, name), functions.get(name)) {
                let path = PathBuf::from(path);
                file.functions.push(FunctionFile { event, path, line: node.line, column: node.column });
            }
        }
    }

    fn behavior(&mut self, node: &Node) -> Behavior {
        let keys = [
            "path_pattern",
            "viewer_protocol",
            "allowed_methods",
            "cache",
            "origin_request",
            "functions",
            "origin",
            "failover",
        ];
        let mapping = self.mapping(node, &keys, "a behavior");
        let mut behavior = Behavior::default();
        let protocols = [
            ("allow-all", ViewerProtocol::AllowAll),
            ("redirect-to-https", ViewerProtocol::RedirectToHttps),
            ("https-only", ViewerProtocol::HttpsOnly),
        ];
        let methods = [
            ("read", AllowedMethods::Read),
            ("read-and-options", AllowedMethods::ReadAndOptions),
            ("all", AllowedMethods::All),
        ];
        match self.text(&mapping, "path_pattern") {
            Some(pattern) => behavior.path_pattern = pattern,
            None => self.problem(node, "a behavior needs a path_pattern; that of the default one is \"*\""),
        }
        set(&mut behavior.viewer_protocol, self.choice(&mapping, "viewer_protocol", &protocols));
        set(&mut behavior.allowed_methods, self.choice(&mapping, "allowed_methods", &methods));
        set(&mut behavior.runs_functions, self.flag(&mapping, "functions"));
        set(&mut behavior.cache, mapping.get("cache").map(|node| self.cache_policy(node)));
        set(&mut behavior.origin_request, mapping.get("origin_request").map(|node| self.origin_request_policy(node)));
        behavior.origin = self.text(&mapping, "origin");
        behavior.failover = mapping.get("failover").map(|node| self.failover(node));
        behavior
    }

    fn failover(&mut self, node: &Node) -> Failover {
        let mapping = self.mapping(node, &["origin", "statuses"], "failover");
        let origin = self.text(&mapping, "origin");
        if origin.is_none() {
            self.problem(node, "failover needs an origin");
        }
        let statuses = self.each(&mapping, "statuses", Self::status);
        // Those that CloudFront offers, but for 403, 404 and 429.
        Failover { origin: origin.unwrap_or_default(), statuses: statuses.unwrap_or_else(|| vec![500, 502, 503, 504]) }
    }

    /// `optimized`, `disabled`, or a policy of one's own.
    fn cache_policy(&mut self, node: &Node) -> CachePolicy {
        match node.text() {
            Some("optimized") => return CachePolicy::optimized(),
            Some("disabled") => return CachePolicy::disabled(),
            Some(_) => self.problem(node, "cache must be optimized, disabled, or a mapping"),
            None => {}
        }
        let keys = ["min_ttl", "default_ttl", "max_ttl", "headers", "queries", "cookies"];
        let mapping = if node.text().is_some() { Mapping::default() } else { self.mapping(node, &keys, "cache") };
        let mut policy = CachePolicy::default();
        set(&mut policy.min_ttl, self.duration(&mapping, "min_ttl"));
        set(&mut policy.default_ttl, self.duration(&mapping, "default_ttl"));
        set(&mut policy.max_ttl, self.duration(&mapping, "max_ttl"));
        set(&mut policy.headers, self.selection(&mapping, "headers"));
        set(&mut policy.queries, self.selection(&mapping, "queries"));
        set(&mut policy.cookies, self.selection(&mapping, "cookies"));
        policy
    }

    /// `all-viewer-except-host`, `none`, or a policy of one's own.
    fn origin_request_policy(&mut self, node: &Node) -> OriginRequestPolicy {
        match node.text() {
            Some("all-viewer-except-host") => return OriginRequestPolicy::all_viewer_except_host(),
            Some("none") => return OriginRequestPolicy::none(),
            Some(_) => {
                self.problem(node, "origin_request must be all-viewer-except-host, none, or a mapping");
                return OriginRequestPolicy::none();
            }
            None => {}
        }
        let mapping = self.mapping(node, &["headers", "queries", "cookies"], "origin_request");
        let mut policy = OriginRequestPolicy::none();
        set(&mut policy.headers, self.selection(&mapping, "headers"));
        set(&mut policy.queries, self.selection(&mapping, "queries"));
        set(&mut policy.cookies, self.selection(&mapping, "cookies"));
        policy
    }

    /// `none`, `all`, a list of names, or `{except: [names]}`.
    fn selection(&mut self, mapping: &Mapping<'_>, key: &str) -> Option<Selection> {
        let node = mapping.get(key)?;
        match node.text() {
            Some("none") => return Some(Selection::None),
            Some("all") => return Some(Selection::All),
            Some(_) => {
                self.problem(node, &format!("{key} must be none, all, a list of names, or except with one"));
                return None;
            }
            None => {}
        }
        if node.sequence().is_some() {
            return self.names(mapping, key).map(Selection::Listed);
        }
        let mapping = self.mapping(node, &["except"], key);
        self.names(&mapping, "except").map(Selection::AllExcept)
    }

    fn error_page(&mut self, node: &Node) -> ErrorPage {
        let mapping = self.mapping(node, &["status", "page", "response_status", "min_ttl"], "an error page");
        let status = mapping.get("status").map(|node| self.status(node));
        if status.is_none() {
            self.problem(node, "an error page needs the status that it is for");
        }
        let status = status.unwrap_or(500);
        let mut page = ErrorPage::cached_for(status, Duration::from_secs(10));
        page.page = self.text(&mapping, "page");
        if let (Some(path), Some(node)) = (&page.page, mapping.get("page"))
            && !path.starts_with('/')
        {
            self.problem(node, "page must be a path of this distribution, with a slash in front");
        }
        set(&mut page.response_status, mapping.get("response_status").map(|node| self.status(node)));
        set(&mut page.min_ttl, self.duration(&mapping, "min_ttl"));
        page
    }

    fn status(&mut self, node: &Node) -> u16 {
        let status = node.text().and_then(|text| text.parse().ok()).filter(|status| (100..600).contains(status));
        if status.is_none() {
            self.problem(node, "a status is a number from 100 to 599");
        }
        status.unwrap_or(500)
    }

    fn waf_rule(&mut self, node: &Node) -> WafRule {
        let mapping = self.mapping(node, &["path_pattern", "header", "contains", "query"], "a rule of waf");
        let header = self.text(&mapping, "header");
        let contains = self.text(&mapping, "contains");
        if header.is_some() != contains.is_some() {
            self.problem(node, "header and contains belong together");
        }
        let rule = WafRule {
            path_pattern: self.text(&mapping, "path_pattern"),
            header: header.zip(contains),
            query: self.text(&mapping, "query"),
        };
        if rule == WafRule::default() {
            self.problem(node, "a rule of waf needs a path_pattern, a header with contains, or a query");
        }
        rule
    }

    /// CloudFront has one default behaviour, which is the last, and no two of one pattern.
    fn check_patterns(&mut self, mapping: &Mapping<'_>, behaviors: &[Behavior]) {
        let nodes = mapping.get("behaviors").and_then(Node::sequence).unwrap_or_default();
        for (index, (node, behavior)) in nodes.iter().zip(behaviors).enumerate() {
            let before = behaviors.iter().take(index);
            let is_hidden = |other: &Behavior| other.path_pattern == behavior.path_pattern || other.path_pattern == "*";
            if before.into_iter().any(is_hidden) {
                self.problem(node, "this behavior is never reached, an earlier one has the same paths");
            }
        }
    }
}

#[cfg(test)]
mod tests;
