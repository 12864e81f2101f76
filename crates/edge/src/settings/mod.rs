//! `edge.yaml`: what the edge function does, per path. Every key is optional; an empty file gives the defaults.
//!
//! ```yaml
//! probability: 1          # share of traces that are sampled, 0 to 1, consistent by trace id
//! trust: restart          # restart: a new trace, linked to an incoming one; continue: go on with an incoming one
//! baggage: strip          # strip | keep the viewer's baggage header
//! continue_secret:        # a viewer whose header has this digest is continued on every path
//!   header: x-trace-secret
//!   sha256: 41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb
//! propagators: [tracecontext]  # sent beside W3C's headers: b3, b3multi, xray
//! ids_via: custom-data    # custom-data: into the access log; console: to the function's log; both
//! force_sampling:         # who knows the key may have a request sampled: <expires>.<HMAC-SHA-256 of that, in hexadecimal>
//!   header: x-trace-force
//!   key: at least 16 characters
//! response:               # tells the viewer the trace, by a viewer-response function
//!   server_timing: true
//!   header: x-trace-id
//! service_name: cloudfront  # of the spans that Lambda@Edge functions make
//! export:                 # Lambda@Edge: send spans by OTLP/HTTP; without it they are log lines
//!   endpoint: https://traces.example.com/v1/traces
//!   token: write-only-token
//!   budget: 50ms
//! paths:                  # CloudFront's patterns, the first match wins; what is absent comes from above
//!   - pattern: /partner/*
//!     trust: continue
//!   - pattern: /static/*
//!     probability: 0.01
//! ```

use std::fmt;
use std::path::Path;

use rootspan_model::sampling::Threshold;
use rootspan_model::spelling::did_you_mean;

use self::yaml::{Mapping, Node};

mod options;
pub(crate) mod yaml;

pub use options::{Export, ForceSampling, IdsVia, Options, Propagator};

/// The longest path pattern that CloudFront takes.
const PATTERN_MAX_CHARS: usize = 255;

/// The pattern of the last rule, which matches what no other did.
const DEFAULT_PATTERN: &str = "*";

/// Most problems that [`report`] names: who wrote another file than meant has one on every line.
const MAX_REPORTED: usize = 20;

/// Headers that the function itself writes or removes, or that CloudFront owns: no place for a secret.
const RESERVED_HEADERS: [&str; 7] = ["baggage", "content-length", "cookie", "host", "traceparent", "tracestate", "via"];

/// Resolved settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// In the order of matching; the last one has the pattern `*`.
    pub rules: Vec<Rule>,
    /// Lets a viewer's context be continued on every path.
    pub continue_secret: Option<ContinueSecret>,
    /// What is the same on all paths.
    pub options: Options,
}

/// What happens on the paths of one pattern.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// CloudFront's path pattern.
    pub pattern: String,
    /// The sampling threshold; `None` samples nothing.
    pub threshold: Option<Threshold>,
    /// What becomes of an incoming context.
    pub trust: Trust,
    /// What becomes of the viewer's `baggage`.
    pub baggage: Baggage,
}

/// What becomes of an incoming context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// A new trace with a link: anyone on the internet can send a `traceparent`.
    Restart,
    /// The incoming trace goes on.
    Continue,
}

/// What becomes of the viewer's `baggage` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Baggage {
    /// Removed.
    Strip,
    /// Left as it is.
    Keep,
}

/// A header with a shared secret. Only the digest is known here: code of functions is read by many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContinueSecret {
    /// The header, in lower case.
    pub header: String,
    /// SHA-256 of the header's value, 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// Something wrong in a settings file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// One sentence without a dot.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for Problem {}

/// What is wrong with a file, a line each; of very many the first, and how many more there are.
#[must_use]
pub fn report(file: &Path, problems: &[Problem]) -> Vec<String> {
    let mut lines: Vec<_> =
        problems.iter().take(MAX_REPORTED).map(|problem| format!("{}:{problem}", file.display())).collect();
    if let more @ 1.. = problems.len().saturating_sub(MAX_REPORTED) {
        lines.push(format!("and {more} more"));
    }
    lines
}

/// A word that is not among the known ones: with the one that may have been meant, or else with all of them.
fn unknown(what: &str, word: &str, known: &[&str]) -> String {
    match did_you_mean(word, known.iter().copied()) {
        hint if hint.is_empty() => format!("unknown {what} {word:?}, known are {}", known.join(", ")),
        hint => format!("unknown {what} {word:?}{hint}"),
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { rules: vec![Rule::default()], continue_secret: None, options: Options::default() }
    }
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            pattern: DEFAULT_PATTERN.to_owned(),
            threshold: Some(Threshold::ALWAYS),
            trust: Trust::Restart,
            baggage: Baggage::Strip,
        }
    }
}

impl Settings {
    /// Parses the text of a settings file.
    ///
    /// # Errors
    ///
    /// All problems at once, in the order of the file.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let Some(root) = yaml::parse(text).map_err(|problem| vec![problem])? else { return Ok(Self::default()) };
        let mut reader = Reader { problems: Vec::new() };
        let settings = reader.settings(&root);
        reader.problems.sort_by_key(|problem| (problem.line, problem.column));
        if reader.problems.is_empty() { Ok(settings) } else { Err(reader.problems) }
    }
}

/// Reads nodes and collects what is wrong with them; a value that is wrong is replaced by its default.
struct Reader {
    problems: Vec<Problem>,
}

impl Reader {
    fn settings(&mut self, root: &Node) -> Settings {
        let keys: Vec<_> =
            ["probability", "trust", "baggage", "continue_secret", "paths"].into_iter().chain(options::KEYS).collect();
        let mapping = self.mapping(root, &keys, "settings");
        let defaults = self.rule(&mapping, Rule::default());
        let mut rules = Vec::new();
        for path in mapping.get("paths").map(|node| self.sequence(node, "paths")).unwrap_or_default() {
            let keys = ["pattern", "probability", "trust", "baggage"];
            let mapping = self.mapping(path, &keys, "a path");
            let rule = self.rule(&mapping, defaults.clone());
            let pattern = match mapping.get("pattern") {
                Some(node) => self.pattern(node, &rules),
                None => {
                    self.problem(path, "a path needs a pattern");
                    None
                }
            };
            rules.push(Rule { pattern: pattern.unwrap_or_default(), ..rule });
        }
        rules.push(defaults);
        let continue_secret = mapping.get("continue_secret").and_then(|node| self.secret(node));
        let options = self.options(&mapping);
        Settings { rules, continue_secret, options }
    }

    fn rule(&mut self, mapping: &Mapping<'_>, mut rule: Rule) -> Rule {
        if let Some(node) = mapping.get("probability") {
            match node.text().and_then(|text| text.parse::<f64>().ok()).filter(|share| (0.0..=1.0).contains(share)) {
                Some(share) => rule.threshold = Threshold::from_probability(share),
                None => self.problem(node, "probability must be a number from 0 to 1"),
            }
        }
        if let Some(node) = mapping.get("trust") {
            match node.text() {
                Some("restart") => rule.trust = Trust::Restart,
                Some("continue") => rule.trust = Trust::Continue,
                _ => self.problem(node, "trust must be restart or continue"),
            }
        }
        if let Some(node) = mapping.get("baggage") {
            match node.text() {
                Some("strip") => rule.baggage = Baggage::Strip,
                Some("keep") => rule.baggage = Baggage::Keep,
                _ => self.problem(node, "baggage must be strip or keep"),
            }
        }
        rule
    }

    fn pattern(&mut self, node: &Node, earlier: &[Rule]) -> Option<String> {
        let is_pattern = |text: &&str| {
            (1..=PATTERN_MAX_CHARS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let Some(text) = node.text().filter(is_pattern) else {
            self.problem(node, "pattern must be 1 to 255 printable ASCII characters without spaces");
            return None;
        };
        // CloudFront treats a missing slash at the front as if it were there.
        let pattern = if text.starts_with(['/', '*']) { text.to_owned() } else { format!("/{text}") };
        if earlier.iter().any(|rule| rule.pattern == pattern || matches!(rule.pattern.as_str(), "*" | "/*")) {
            self.problem(node, "this pattern is never reached, an earlier one matches the same paths");
        }
        Some(pattern)
    }

    fn secret(&mut self, node: &Node) -> Option<ContinueSecret> {
        let mapping = self.mapping(node, &["header", "sha256"], "continue_secret");
        let (Some(header_node), Some(digest_node)) = (mapping.get("header"), mapping.get("sha256")) else {
            self.problem(node, "continue_secret needs a header and the sha256 of its value");
            return None;
        };
        let header = self.header(header_node);
        let sha256 = digest_node.text().unwrap_or_default().to_ascii_lowercase();
        if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            self.problem(digest_node, "sha256 must be 64 hexadecimal digits");
        }
        Some(ContinueSecret { header, sha256 })
    }

    /// A header's name in lower case.
    fn header(&mut self, node: &Node) -> String {
        let header = node.text().unwrap_or_default().to_ascii_lowercase();
        let is_name = !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !is_name || RESERVED_HEADERS.contains(&header.as_str()) || crate::emulator::headers::is_disallowed(&header) {
            self.problem(node, "header must be a header name of your own");
        }
        header
    }

    fn mapping<'a>(&mut self, node: &'a Node, keys: &[&str], what: &str) -> Mapping<'a> {
        let Some(mapping) = node.mapping() else {
            self.problem(node, &format!("{what} must be a mapping"));
            return Mapping::default();
        };
        self.problems.extend(mapping.problems_of_keys(keys));
        mapping
    }

    fn sequence<'a>(&mut self, node: &'a Node, name: &str) -> Vec<&'a Node> {
        match node.sequence() {
            Some(items) => items.iter().collect(),
            None => {
                self.problem(node, &format!("{name} must be a list"));
                Vec::new()
            }
        }
    }

    fn problem(&mut self, node: &Node, message: &str) {
        self.problems.push(Problem { line: node.line, column: node.column, message: message.to_owned() });
    }
}

#[cfg(test)]
mod tests;
