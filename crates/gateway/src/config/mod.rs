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

pub mod effective;
pub mod reference;
pub mod yaml;

mod connections;
mod default;
mod elsewhere;
mod source;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use default::{CloudFrontSettings, DefaultSettings};
pub use source::{Source, feature_gate_warnings};

use components::{Component, Connector, Exporter, Extension, Processor, Receiver, decode_entry};
use connections::Defined;
use expand::{Outside, Variables};
use id::ComponentId;
use node::{Entry, Node, Value};
use rootspan_model::spelling::did_you_mean;

use problems::{Problem, Problems};
use service::{Pipeline, Reference, Service, decode_service};

use crate::exporters::store::StoreConfig;
use crate::extensions::ui::UiConfig;
use crate::extensions::{auth, file_storage};
use crate::files;

/// Names a file like `/etc/hosts` for the names of back ends.
const HOSTS_VARIABLE: &str = "ROOTSPAN_HOSTS";

/// A configuration without mistakes. Definitions that nothing uses are in it too; [`crate::plan`] looks at `service`.
#[derive(Clone, Debug)]
pub struct Config {
    /// Receivers by id.
    pub receivers: BTreeMap<ComponentId, Receiver>,
    /// Processors by id.
    pub processors: BTreeMap<ComponentId, Processor>,
    /// Exporters by id.
    pub exporters: BTreeMap<ComponentId, Exporter>,
    /// Connectors by id.
    pub connectors: BTreeMap<ComponentId, Connector>,
    /// Extensions by id.
    pub extensions: BTreeMap<ComponentId, Extension>,
    /// What runs.
    pub service: Service,
    /// A file like `/etc/hosts` in which the names of back ends are looked up first: `ROOTSPAN_HOSTS`.
    pub hosts_file: Option<PathBuf>,
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
    load_tree(sources, variables).map(|(config, _)| config)
}

/// Reads and checks a configuration, and gives its effective form for printing ([`effective`]): secrets are redacted.
///
/// # Errors
/// As [`load`].
pub fn load_effective(sources: &[Source]) -> Result<(Config, Node), Problems> {
    let (config, root) = load_tree(sources, &|name| std::env::var(name).ok())?;
    let effective = effective::effective(&config, &root);
    Ok((config, effective))
}

/// The configuration, and the tree that it was decoded from.
fn load_tree(sources: &[Source], variables: Variables<'_>) -> Result<(Config, Node), Problems> {
    let mut problems = Problems::default();
    let outside = Outside { variables, files: &|path| files::read_configuration(path) };
    let root = source::read(sources, outside, &mut problems);
    let config = root.as_ref().and_then(|root| decode_root(root, &mut problems));
    problems.sort();
    match config.zip(root) {
        Some((mut config, root)) if problems.is_empty() => {
            config.hosts_file = variables(HOSTS_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
            config.warnings = problems.take_warnings();
            Ok((config, root))
        }
        _ => {
            debug_assert!(!problems.is_empty(), "a configuration that is not there has a reason");
            problems.blame_unset();
            Err(problems)
        }
    }
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
    let service = decode_service(root.get("service"), &root.position, problems);
    let pipelines = service.as_ref().map(|service| service.pipelines.as_slice()).unwrap_or_default();
    let used = |list: fn(&Pipeline) -> &[Reference]| pipelines.iter().flat_map(list).cloned().collect::<Vec<_>>();
    let (as_receivers, as_exporters) = (used(|pipeline| &pipeline.receivers), used(|pipeline| &pipeline.exporters));
    let as_processors = used(|pipeline| &pipeline.processors);
    let ends = [as_receivers.as_slice(), &as_exporters].concat();
    let connectors = Definitions::<Connector>::decode(root, "connectors", &ends, problems);
    let receivers = Definitions::decode(root, "receivers", &as_receivers, problems);
    let processors = Definitions::decode(root, "processors", &as_processors, problems);
    let exporters = Definitions::decode(root, "exporters", &as_exporters, problems);
    receivers.check(&connectors.not_among(as_receivers), problems);
    processors.check(&as_processors, problems);
    exporters.check(&connectors.not_among(as_exporters), problems);
    connectors.refuse_others(&receivers, problems);
    connectors.refuse_others(&exporters, problems);
    let running = service.as_ref().map(|service| service.extensions.as_slice()).unwrap_or_default();
    let extensions = Definitions::decode(root, "extensions", running, problems);
    extensions.check(running, problems);
    let defined = Defined {
        receivers: &receivers.components,
        processors: &processors.components,
        exporters: &exporters.components,
        connectors: &connectors.components,
    };
    connections::check(pipelines, &defined, problems);
    let service = service?;
    let config = Config {
        receivers: receivers.components,
        processors: processors.components,
        exporters: exporters.components,
        connectors: connectors.components,
        extensions: extensions.components,
        service,
        hosts_file: None,
        warnings: Vec::new(),
    };
    // One without settings that does not run is taken for none, but it stands there.
    let defined = [extensions.ids, extensions.empty].concat();
    auth::check(&config, &defined, problems);
    file_storage::check(&config, &defined, problems);
    check_stdin(&config, problems);
    Some(config)
}

/// Standard input can be read once only.
fn check_stdin(config: &Config, problems: &mut Problems) {
    let reads = |receiver: &Receiver| matches!(receiver, Receiver::CloudFront(cloudfront) if cloudfront.reads_stdin());
    let ids: Vec<_> = config.receivers.iter().filter(|(_, receiver)| reads(receiver)).map(|(id, _)| id).collect();
    if let [first, second, ..] = ids.as_slice() {
        problems.error_without_position(format!("both `{first}` and `{second}` read standard input: only one can"));
    }
}

/// One section of definitions.
struct Definitions<C> {
    section: &'static str,
    components: BTreeMap<ComponentId, C>,
    /// Ids as written, also those whose definition has a mistake: a reference to them is no second mistake.
    ids: Vec<String>,
    /// Ids of those that nothing names and that have no settings.
    empty: Vec<String>,
}

impl<C: Component> Definitions<C> {
    /// The definitions of a section; `used` is what pipelines name.
    fn decode(root: &Node, section: &'static str, used: &[Reference], problems: &mut Problems) -> Self {
        let mut definitions = Self { section, components: BTreeMap::new(), ids: Vec::new(), empty: Vec::new() };
        if let Some(entry) = root.get(section) {
            let node = entry.value.structure();
            match &node.value {
                Value::Map(entries) => entries.iter().for_each(|entry| definitions.add(entry, used, problems)),
                _ if node.is_null() => {}
                _ => {
                    let message = format!("expected a map of {}s, found {}", C::NOUN, node.describe());
                    problems.error(&entry.position, message);
                }
            }
        }
        definitions
    }

    /// Those of `references` that are not of this section.
    fn not_among(&self, references: Vec<Reference>) -> Vec<Reference> {
        references.into_iter().filter(|(id, _)| !self.ids.contains(&id.to_string())).collect()
    }

    /// An id that stands in another section too says nothing.
    fn refuse_others<O: Component>(&self, others: &Definitions<O>, problems: &mut Problems) {
        for id in self.ids.iter().filter(|id| others.ids.contains(id)) {
            let (section, other) = (self.section, others.section);
            problems.error_without_position(format!("`{id}` is defined both under `{section}` and under `{other}`"));
        }
    }

    fn add(&mut self, entry: &Entry, used: &[Reference], problems: &mut Problems) {
        let id = entry.key.trim();
        // `jaeger: null` in a later file takes away what an earlier one defined.
        if entry.value.is_null() && !used.iter().any(|(used, _)| used.to_string() == id) {
            self.empty.push(id.to_owned());
            return;
        }
        self.ids.push(id.to_owned());
        self.components.extend(decode_entry::<C>(entry, problems));
    }

    fn check(&self, references: &[Reference], problems: &mut Problems) {
        for (id, position) in references {
            let text = id.to_string();
            if self.ids.contains(&text) {
                continue;
            }
            let hint = did_you_mean(&text, self.ids.iter().map(String::as_str));
            problems.error(position, format!("the {} `{text}` is not defined under `{}`{hint}", C::NOUN, self.section));
        }
    }
}

#[cfg(test)]
mod tests;
