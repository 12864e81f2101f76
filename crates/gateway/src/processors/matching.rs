//! `include` and `exclude`: which spans a processor is about, or which data points or log records.
//!
//! ```yaml
//! include:
//!   match_type: regexp            # or strict
//!   services: ['^checkout']
//!   attributes: [{key: http.route}, {key: http.response.status_code, value: '5..'}]
//! ```
//!
//! Every condition that is given must hold. Of a list of names one must match, of a list of attributes all.

use regex::Regex;

use rootspan_wire::otlp::edit::{AttributeEdits, SpanEdits};
use rootspan_wire::otlp::view::{AnyValue, Scope};

use crate::config;
use crate::config::any::AnyConfig;
use crate::config::decode::Decode;
use crate::config::node::Node;
use crate::config::problems::{Position, Problems};
use crate::config::values::choice;

config! {
    /// Which spans.
    pub struct MatchConfig {
        /// Whether names and values are given as they are or as regular expressions.
        match_type: MatchType,
        /// Names of services.
        services: Vec<String>,
        /// Names of spans.
        span_names: Vec<String>,
        /// Kinds of spans: `SPAN_KIND_SERVER`, …
        span_kinds: Vec<String>,
        /// Attributes of spans, data points or log records.
        attributes: Vec<AttributeCondition>,
        /// Attributes of resources.
        resources: Vec<AttributeCondition>,
        /// Instrumentation scopes.
        libraries: Vec<LibraryCondition>,
    }
    known { "log_bodies", "log_severity_texts", "log_severity_number", "metric_names" }
    ignored { "regexp": "compiled expressions are kept as they are" }
}

config! {
    /// An attribute that must be there.
    pub struct AttributeCondition {
        /// Its key.
        key: String,
        /// Its value; any if it is not given.
        value: Option<AnyConfig>,
    }
}

config! {
    /// An instrumentation scope.
    pub struct LibraryCondition {
        /// Its name.
        name: String,
        /// Its version; any if it is not given.
        version: Option<String>,
    }
}

impl MatchConfig {
    fn is_empty(&self) -> bool {
        let names = self.services.len() + self.span_names.len() + self.span_kinds.len() + self.libraries.len();
        names + self.attributes.len() + self.resources.len() == 0
    }

    /// Whether it looks at the resource.
    #[must_use]
    pub fn reads_resource(&self) -> bool {
        !self.services.is_empty() || !self.resources.is_empty()
    }
}

impl MatchConfig {
    /// A condition that only spans can meet.
    pub(crate) fn names_spans(&self) -> Option<&'static str> {
        let conditions = [("span_names", &self.span_names), ("span_kinds", &self.span_kinds)];
        conditions.into_iter().find(|(_, names)| !names.is_empty()).map(|(key, _)| key)
    }
}

/// How names and values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchType {
    /// Equal.
    Strict,
    /// By regular expressions that may match anywhere.
    Regexp,
}

impl Decode for MatchType {
    const KIND: &'static str = "strict or regexp";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        choice(node, problems, &[("strict", Self::Strict), ("regexp", Self::Regexp)])
    }
}

/// A compiled [`MatchConfig`].
#[derive(Clone, Debug)]
pub(crate) struct Matcher {
    services: Vec<TextMatch>,
    span_names: Vec<TextMatch>,
    span_kinds: Vec<TextMatch>,
    attributes: Vec<AttributeMatch>,
    resources: Vec<AttributeMatch>,
    libraries: Vec<(TextMatch, Option<TextMatch>)>,
}

#[derive(Clone, Debug)]
enum TextMatch {
    Equal(String),
    Regexp(Regex),
}

#[derive(Clone, Debug)]
struct AttributeMatch {
    key: String,
    value: Option<ValueMatch>,
}

#[derive(Clone, Debug)]
enum ValueMatch {
    /// An encoded value.
    Equal(Vec<u8>),
    Regexp(Regex),
}

impl Matcher {
    /// Compiles; every mistake is added to `problems`.
    pub(crate) fn new(config: &MatchConfig, position: &Position, problems: &mut Problems) -> Self {
        if config.is_empty() {
            problems.error(position, "`include` and `exclude` need at least one condition");
        }
        let mut compile = Compile { kind: config.match_type, position, problems };
        Self {
            services: compile.texts(&config.services),
            span_names: compile.texts(&config.span_names),
            span_kinds: compile.texts(&config.span_kinds),
            attributes: compile.attributes(&config.attributes),
            resources: compile.attributes(&config.resources),
            libraries: compile.libraries(&config.libraries),
        }
    }

    /// Whether all conditions hold.
    pub(crate) fn matches(&self, resource: &AttributeEdits<'_>, scope: &Scope<'_>, span: &SpanEdits<'_>) -> bool {
        any(&self.span_names, span.span.name)
            && (self.span_kinds.is_empty() || any(&self.span_kinds, kind_name(span)))
            && self.matches_item(resource, scope, &span.attributes)
    }

    /// Whether all conditions hold that are not about spans.
    pub(crate) fn matches_item(
        &self,
        resource: &AttributeEdits<'_>,
        scope: &Scope<'_>,
        attributes: &AttributeEdits<'_>,
    ) -> bool {
        let service_matches = self.services.is_empty()
            || matches!(resource.get("service.name"), Some(AnyValue::String(name)) if any(&self.services, name));
        let library_matches = |(name, version): &(TextMatch, Option<TextMatch>)| {
            name.matches(scope.name) && version.as_ref().is_none_or(|version| version.matches(scope.version))
        };
        service_matches
            && (self.libraries.is_empty() || self.libraries.iter().any(library_matches))
            && self.attributes.iter().all(|condition| condition.matches(attributes))
            && self.resources.iter().all(|condition| condition.matches(resource))
    }
}

/// Whether one of the names is matched, or there are none.
fn any(matches: &[TextMatch], text: &str) -> bool {
    matches.is_empty() || matches.iter().any(|wanted| wanted.matches(text))
}

/// The name of the enumeration's member.
fn kind_name(span: &SpanEdits<'_>) -> &'static str {
    const NAMES: [&str; 6] = [
        "SPAN_KIND_UNSPECIFIED",
        "SPAN_KIND_INTERNAL",
        "SPAN_KIND_SERVER",
        "SPAN_KIND_CLIENT",
        "SPAN_KIND_PRODUCER",
        "SPAN_KIND_CONSUMER",
    ];
    usize::try_from(span.span.kind_number).ok().and_then(|number| NAMES.get(number)).unwrap_or(&NAMES[0])
}

impl TextMatch {
    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Equal(wanted) => wanted == text,
            Self::Regexp(pattern) => pattern.is_match(text),
        }
    }
}

impl AttributeMatch {
    fn matches(&self, attributes: &AttributeEdits<'_>) -> bool {
        let Some(found) = attributes.get(&self.key) else { return false };
        match &self.value {
            None => true,
            Some(ValueMatch::Equal(wanted)) => found == AnyValue::decode(wanted),
            Some(ValueMatch::Regexp(pattern)) => match found {
                AnyValue::String(text) => pattern.is_match(text),
                AnyValue::Bool(_) | AnyValue::Int(_) | AnyValue::Double(_) => pattern.is_match(&found.to_string()),
                AnyValue::Empty | AnyValue::Bytes(_) | AnyValue::Array(_) | AnyValue::KeyValueList(_) => false,
            },
        }
    }
}

struct Compile<'a> {
    kind: MatchType,
    position: &'a Position,
    problems: &'a mut Problems,
}

impl Compile<'_> {
    fn regexp(&mut self, text: &str) -> Option<Regex> {
        match Regex::new(text) {
            Ok(pattern) => Some(pattern),
            Err(_) => {
                self.problems.error(self.position, format!("`{text}` is not a regular expression"));
                None
            }
        }
    }

    fn text(&mut self, text: &str) -> Option<TextMatch> {
        match self.kind {
            MatchType::Strict => Some(TextMatch::Equal(text.to_owned())),
            MatchType::Regexp => self.regexp(text).map(TextMatch::Regexp),
        }
    }

    fn texts(&mut self, texts: &[String]) -> Vec<TextMatch> {
        texts.iter().filter_map(|text| self.text(text)).collect()
    }

    fn attributes(&mut self, conditions: &[AttributeCondition]) -> Vec<AttributeMatch> {
        let mut compiled = Vec::new();
        for condition in conditions {
            let value = match (&condition.value, self.kind) {
                (None, _) => None,
                (Some(value), MatchType::Strict) => Some(ValueMatch::Equal(value.encoded())),
                (Some(value), MatchType::Regexp) => {
                    let text = AnyValue::decode(&value.encoded()).to_string();
                    let Some(pattern) = self.regexp(&text) else { continue };
                    Some(ValueMatch::Regexp(pattern))
                }
            };
            compiled.push(AttributeMatch { key: condition.key.clone(), value });
        }
        compiled
    }

    fn libraries(&mut self, conditions: &[LibraryCondition]) -> Vec<(TextMatch, Option<TextMatch>)> {
        let mut compiled = Vec::new();
        for condition in conditions {
            let version = condition.version.as_ref().and_then(|version| self.text(version));
            compiled.extend(self.text(&condition.name).map(|name| (name, version)));
        }
        compiled
    }
}
