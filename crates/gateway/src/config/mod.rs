//! The configuration: the OpenTelemetry Collector's YAML, read strictly, with every mistake reported at once.
//!
//! What was written (nodes, component sections) is decoded here into what is meant ([`Config`]). Start with [`load`];
//! a section's keys are declared beside the component that they configure, with [`config!`](crate::config).

pub mod any;
pub mod components;
pub mod decode;
pub mod expand;
pub mod id;
pub mod node;
pub mod problems;
pub mod service;
pub mod values;

mod default;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

pub use default::{CloudFrontSettings, DefaultSettings};

use components::{
    CONNECTORS_ELSEWHERE, Component, Exporter, Extension, Processor, Receiver, decode_entry, unknown_type,
};
use expand::Variables;
use id::ComponentId;
use node::{Entry, Node, Value};
use problems::{Problem, Problems, did_you_mean};
use service::{Reference, Service, decode_service};

use crate::exporters::store::StoreConfig;
use crate::extensions::ui::UiConfig;
use crate::files;

/// Where configuration comes from; several sources are laid over each other in order.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// Text with a name for messages.
    Text {
        /// Name.
        name: String,
        /// YAML.
        text: String,
    },
    /// The value of an environment variable.
    Variable(String),
}

impl Source {
    /// What the argument of `--config` means: `file:PATH`, `env:NAME`, `yaml:TEXT` or a path.
    #[must_use]
    pub fn from_argument(argument: &str) -> Self {
        match argument.split_once(':') {
            Some(("file", path)) => Self::File(PathBuf::from(path)),
            Some(("env", name)) => Self::Variable(name.to_owned()),
            Some(("yaml", text)) => Self::Text { name: "yaml".to_owned(), text: text.to_owned() },
            _ => Self::File(PathBuf::from(argument)),
        }
    }

    /// The configuration that runs when no file is given.
    #[must_use]
    pub fn built_in(settings: &DefaultSettings) -> Self {
        Self::Text { name: "built-in configuration".to_owned(), text: settings.to_yaml() }
    }
}

/// A configuration without mistakes. Definitions that nothing uses are in it too; [`crate::plan`] looks at `service`.
#[derive(Clone, Debug)]
pub struct Config {
    /// Receivers by id.
    pub receivers: BTreeMap<ComponentId, Receiver>,
    /// Processors by id.
    pub processors: BTreeMap<ComponentId, Processor>,
    /// Exporters by id.
    pub exporters: BTreeMap<ComponentId, Exporter>,
    /// Extensions by id.
    pub extensions: BTreeMap<ComponentId, Extension>,
    /// What runs.
    pub service: Service,
    /// What was accepted but has no effect, or should be known; for the log.
    pub warnings: Vec<Problem>,
}

impl Config {
    /// The UI's settings if the extension `ui` runs.
    #[must_use]
    pub fn ui(&self) -> Option<&UiConfig> {
        let running = self.service.extensions.iter().filter_map(|(id, _)| self.extensions.get(id));
        running.filter_map(|extension| if let Extension::Ui(ui) = extension { Some(ui) } else { None }).next()
    }

    /// The embedded stores that running pipelines write to, each directory once.
    #[must_use]
    pub fn stores(&self) -> Vec<&StoreConfig> {
        let mut stores: Vec<&StoreConfig> = Vec::new();
        for (id, _) in self.service.pipelines.iter().flat_map(|pipeline| &pipeline.exporters) {
            if let Some(Exporter::Store(store)) = self.exporters.get(id)
                && stores.iter().all(|known| known.directory != store.directory)
            {
                stores.push(store);
            }
        }
        stores
    }
}

/// Reads and checks a configuration.
///
/// # Errors
/// Every mistake of every source, with its place.
pub fn load(sources: &[Source]) -> Result<Config, Problems> {
    load_with(sources, &|name| std::env::var(name).ok())
}

/// [`load`] with the environment given.
///
/// # Errors
/// As [`load`].
pub fn load_with(sources: &[Source], variables: Variables<'_>) -> Result<Config, Problems> {
    let mut problems = Problems::default();
    let config = read(sources, variables, &mut problems).and_then(|root| decode_root(&root, &mut problems));
    problems.sort();
    match config {
        Some(mut config) if problems.is_empty() => {
            config.warnings = problems.take_warnings();
            Ok(config)
        }
        _ => {
            debug_assert!(!problems.is_empty(), "a configuration that is not there has a reason");
            Err(problems)
        }
    }
}

/// All sources as one tree.
fn read(sources: &[Source], variables: Variables<'_>, problems: &mut Problems) -> Option<Node> {
    let mut merged: Option<Node> = None;
    let mut empty: Vec<String> = Vec::new();
    for source in sources {
        let (name, text) = match source {
            Source::Text { name, text } => (name.clone(), text.clone()),
            Source::Variable(name) => match variables(name) {
                Some(text) => (format!("env:{name}"), text),
                None => {
                    problems.error_without_position(format!(
                        "the variable {name}, which is to hold a configuration, is not set"
                    ));
                    continue;
                }
            },
            Source::File(path) => match files::read_configuration(path) {
                Ok(text) => (path.display().to_string(), text),
                Err(reason) => {
                    problems.error_without_position(reason);
                    continue;
                }
            },
        };
        let Some(node) = node::parse(&Arc::from(name.as_str()), &text, variables, problems) else {
            empty.push(name);
            continue;
        };
        match &mut merged {
            Some(merged) => merged.merge(node),
            None => merged = Some(node),
        }
    }
    if merged.is_none() && problems.is_empty() {
        problems.error_without_position(format!("the configuration is empty: nothing in {}", empty.join(", ")));
    }
    merged
}

fn decode_root(root: &Node, problems: &mut Problems) -> Option<Config> {
    let Value::Map(sections) = &root.value else {
        problems.error(&root.position, format!("expected the sections of a configuration, found {}", root.describe()));
        return None;
    };
    const SECTIONS: [&str; 6] = ["receivers", "processors", "exporters", "connectors", "extensions", "service"];
    for section in sections.iter().filter(|section| !SECTIONS.contains(&section.key.as_str())) {
        let hint = did_you_mean(&section.key, SECTIONS);
        problems.error(&section.position, format!("unknown section `{}`{hint}", section.key));
    }
    if let Some(connectors) = root.get("connectors") {
        refuse_connectors(connectors, problems);
    }
    let receivers = Definitions::decode(root, "receivers", problems);
    let processors = Definitions::decode(root, "processors", problems);
    let exporters = Definitions::decode(root, "exporters", problems);
    let extensions = Definitions::decode(root, "extensions", problems);
    let service = decode_service(root.get("service"), &root.position, problems)?;
    for pipeline in &service.pipelines {
        receivers.check(&pipeline.receivers, problems);
        processors.check(&pipeline.processors, problems);
        exporters.check(&pipeline.exporters, problems);
    }
    extensions.check(&service.extensions, problems);
    Some(Config {
        receivers: receivers.components,
        processors: processors.components,
        exporters: exporters.components,
        extensions: extensions.components,
        service,
        warnings: Vec::new(),
    })
}

/// One section of definitions.
struct Definitions<C> {
    section: &'static str,
    components: BTreeMap<ComponentId, C>,
    /// Ids as written, also those whose definition has a mistake: a reference to them is no second mistake.
    ids: Vec<String>,
}

impl<C: Component> Definitions<C> {
    fn decode(root: &Node, section: &'static str, problems: &mut Problems) -> Self {
        let mut definitions = Self { section, components: BTreeMap::new(), ids: Vec::new() };
        let Some(entry) = root.get(section) else { return definitions };
        let node = entry.value.resolved(problems);
        match &node.value {
            Value::Map(entries) => {
                for entry in entries {
                    definitions.ids.push(entry.key.clone());
                    definitions.components.extend(decode_entry::<C>(entry, problems));
                }
            }
            _ if node.is_null() => {}
            _ => problems.error(&entry.position, format!("expected a map of {}s, found {}", C::NOUN, node.describe())),
        }
        definitions
    }

    fn check(&self, references: &[Reference], problems: &mut Problems) {
        for (id, position) in references {
            let text = id.to_string();
            if self.ids.iter().any(|defined| defined.trim() == text) {
                continue;
            }
            let hint = did_you_mean(&text, self.ids.iter().map(String::as_str));
            problems.error(position, format!("the {} `{text}` is not defined under `{}`{hint}", C::NOUN, self.section));
        }
    }
}

fn refuse_connectors(section: &Entry, problems: &mut Problems) {
    let Value::Map(entries) = &section.value.value else { return };
    for entry in entries {
        let kind = entry.key.split('/').next().unwrap_or_default();
        problems.error(&entry.position, unknown_type("connector", kind, &[], CONNECTORS_ELSEWHERE));
    }
}

#[cfg(test)]
mod tests;
