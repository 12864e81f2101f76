//! `attributes`: actions on the attributes of spans, of all or of those that `include` and `exclude` choose. In pipelines
//! of logs it is about the attributes of log records, in those of metrics about the attributes of data points, as in the
//! collector; those of resources are the business of `resource` everywhere.

use rootspan_wire::otlp::edit::{AttributeEdits, Fate, SpanEdits};
use rootspan_wire::otlp::view::Scope;

use super::actions::{Action, ActionConfig, resolve};
use super::matching::{MatchConfig, Matcher};
use crate::config;
use crate::config::decode::Decode as _;
use crate::config::node::Entry;
use crate::config::problems::{Position, Problems};
use crate::context::ClientContext;

config! {
    /// Actions on the attributes of spans, log records or data points.
    pub struct AttributesConfig {
        /// What is done, in order.
        actions: Vec<ActionConfig>,
        /// Only spans, log records or data points that match.
        include: Option<MatchConfig>,
        /// None that match.
        exclude: Option<MatchConfig>,
    }
}

impl AttributesConfig {
    /// Whether edits of the resource change what it does.
    #[must_use]
    pub fn reads_resource(&self) -> bool {
        self.include.iter().chain(&self.exclude).any(MatchConfig::reads_resource)
    }

    /// A condition that only spans can meet.
    pub(crate) fn names_spans(&self) -> Option<&'static str> {
        self.include.iter().chain(&self.exclude).find_map(MatchConfig::names_spans)
    }

    /// Decodes and checks that every action makes sense.
    pub(crate) fn decode_checked(entry: &Entry, problems: &mut Problems) -> Option<Self> {
        let config = Self::decode(&entry.value, problems)?;
        if config.actions.is_empty() {
            problems.error(&entry.position, "`actions` must not be empty");
        }
        drop(Attributes::new(&config, &entry.position, problems));
        Some(config)
    }
}

/// The processor.
#[derive(Debug)]
pub(crate) struct Attributes {
    actions: Vec<Action>,
    include: Option<Matcher>,
    exclude: Option<Matcher>,
}

impl Attributes {
    pub(crate) fn new(config: &AttributesConfig, position: &Position, problems: &mut Problems) -> Self {
        let mut matcher =
            |config: &Option<MatchConfig>| config.as_ref().map(|config| Matcher::new(config, position, problems));
        let (include, exclude) = (matcher(&config.include), matcher(&config.exclude));
        Self { actions: resolve(&config.actions, position, problems), include, exclude }
    }

    /// Does the actions if the data point or log record is chosen.
    pub(crate) fn apply_to_item<'a>(
        &'a self,
        resource: &AttributeEdits<'a>,
        scope: &Scope<'a>,
        item: &mut AttributeEdits<'a>,
        client: Option<&ClientContext>,
    ) {
        let is_included = self.include.as_ref().is_none_or(|include| include.matches_item(resource, scope, item));
        let is_excluded = self.exclude.as_ref().is_some_and(|exclude| exclude.matches_item(resource, scope, item));
        if is_included && !is_excluded {
            self.actions.iter().for_each(|action| action.apply(item, client));
        }
    }

    /// Does the actions if the span is chosen.
    pub(crate) fn apply<'a>(
        &'a self,
        resource: &AttributeEdits<'a>,
        scope: &Scope<'a>,
        span: &mut SpanEdits<'a>,
        client: Option<&ClientContext>,
    ) -> Fate {
        let is_included = self.include.as_ref().is_none_or(|include| include.matches(resource, scope, span));
        let is_excluded = self.exclude.as_ref().is_some_and(|exclude| exclude.matches(resource, scope, span));
        if is_included && !is_excluded {
            self.actions.iter().for_each(|action| action.apply(&mut span.attributes, client));
        }
        Fate::Keep
    }
}
