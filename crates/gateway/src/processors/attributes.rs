//! `attributes`: actions on the attributes of spans, of all or of those that `include` and `exclude` choose.

use rootspan_wire::otlp::edit::{AttributeEdits, Fate, SpanEdits};
use rootspan_wire::otlp::view::Scope;

use super::actions::{Action, ActionConfig, resolve};
use super::matching::{MatchConfig, Matcher};
use crate::config;
use crate::config::decode::Decode as _;
use crate::config::node::Entry;
use crate::config::problems::{Position, Problems};

config! {
    /// Actions on the attributes of spans.
    pub struct AttributesConfig {
        /// What is done, in order.
        actions: Vec<ActionConfig>,
        /// Only spans that match.
        include: Option<MatchConfig>,
        /// No spans that match.
        exclude: Option<MatchConfig>,
    }
}

impl AttributesConfig {
    /// Whether edits of the resource change what it does.
    #[must_use]
    pub fn reads_resource(&self) -> bool {
        self.include.iter().chain(&self.exclude).any(MatchConfig::reads_resource)
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

    /// Does the actions if the span is chosen.
    pub(crate) fn apply<'a>(
        &'a self,
        resource: &AttributeEdits<'a>,
        scope: &Scope<'a>,
        span: &mut SpanEdits<'a>,
    ) -> Fate {
        let is_included = self.include.as_ref().is_none_or(|include| include.matches(resource, scope, span));
        let is_excluded = self.exclude.as_ref().is_some_and(|exclude| exclude.matches(resource, scope, span));
        if is_included && !is_excluded {
            self.actions.iter().for_each(|action| action.apply(&mut span.attributes));
        }
        Fate::Keep
    }
}
