//! `resource`: actions on the attributes of resources.

use rootspan_wire::otlp::edit::AttributeEdits;

use super::actions::{Action, ActionConfig, resolve};
use crate::config;
use crate::config::decode::Decode as _;
use crate::config::node::Entry;
use crate::config::problems::{Position, Problems};
use crate::context::ClientContext;

config! {
    /// Actions on the attributes of resources.
    pub struct ResourceConfig {
        /// What is done, in order.
        attributes: Vec<ActionConfig>,
    }
}

impl ResourceConfig {
    /// Decodes and checks that every action makes sense.
    pub(crate) fn decode_checked(entry: &Entry, problems: &mut Problems) -> Option<Self> {
        let config = Self::decode(&entry.value, problems)?;
        if config.attributes.is_empty() {
            problems.error(&entry.position, "`attributes` must not be empty");
        }
        drop(ResourceActions::new(&config, &entry.position, problems));
        Some(config)
    }
}

/// The processor.
#[derive(Debug)]
pub(crate) struct ResourceActions {
    actions: Vec<Action>,
}

impl ResourceActions {
    pub(crate) fn new(config: &ResourceConfig, position: &Position, problems: &mut Problems) -> Self {
        Self { actions: resolve(&config.attributes, position, problems) }
    }

    /// Does the actions.
    pub(crate) fn apply<'a>(&'a self, resource: &mut AttributeEdits<'a>, client: Option<&ClientContext>) {
        self.actions.iter().for_each(|action| action.apply(resource, client));
    }
}
