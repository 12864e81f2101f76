//! Where configuration comes from: what `--config` and `--set` name, laid over each other in order.

use std::path::PathBuf;
use std::sync::Arc;

use super::default::DefaultSettings;
use super::elsewhere;
use super::expand::{Outside, expand_tree};
use super::node::{self, Entry, Node, PATH_SEPARATOR, Value};
use super::problems::{Position, Problems};

/// Schemes of the collector's other sources.
const SCHEMES_ELSEWHERE: [&str; 6] = ["http", "https", "s3", "secretsmanager", "googlesecretmanager", "aes"];

/// One source; several are laid over each other in order.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// One value at a path of keys.
    Set {
        /// The keys, outermost first.
        path: Vec<String>,
        /// The value as YAML.
        text: String,
    },
    /// Something that rootspan does not read; a mistake that is reported with all others.
    Unknown {
        /// As written.
        argument: String,
        /// The part that says what it is.
        scheme: String,
    },
}

impl Source {
    /// What the argument of `--config` means: `file:PATH`, `env:NAME`, `yaml:TEXT` or a path.
    #[must_use]
    pub fn from_argument(argument: &str) -> Self {
        match argument.split_once(':') {
            Some(("file", path)) => Self::File(PathBuf::from(path)),
            Some(("env", name)) => Self::Variable(name.to_owned()),
            Some(("yaml", text)) => Self::Text { name: "yaml".to_owned(), text: text.to_owned() },
            Some((scheme, _)) if SCHEMES_ELSEWHERE.contains(&scheme) => {
                Self::Unknown { argument: argument.to_owned(), scheme: scheme.to_owned() }
            }
            Some(_) | None => Self::File(PathBuf::from(argument)),
        }
    }

    /// What the argument of `--set` means: `exporters.otlp.endpoint=tempo:4317`, or with `::` between the keys.
    ///
    /// # Errors
    /// One sentence if it is no path and value.
    pub fn from_set_argument(argument: &str) -> Result<Self, String> {
        let (path, text) = argument.split_once('=').ok_or("write path.to.key=value")?;
        let path = path.trim().replace('.', PATH_SEPARATOR);
        let path: Vec<String> = path.split(PATH_SEPARATOR).map(|key| key.trim().to_owned()).collect();
        if path.iter().any(String::is_empty) {
            return Err("write path.to.key=value: a key of the path is empty".to_owned());
        }
        Ok(Self::Set { path, text: text.trim().to_owned() })
    }

    /// The configuration that runs when no file is given.
    #[must_use]
    pub fn built_in(settings: &DefaultSettings) -> Self {
        Self::Text { name: "built-in configuration".to_owned(), text: settings.to_yaml() }
    }

    /// Its name for messages; never a value, which may be a secret.
    fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Text { name, .. } => name.clone(),
            Self::Variable(name) => format!("env:{name}"),
            Self::Set { path, .. } => format!("--set {}", path.join(".")),
            Self::Unknown { argument, .. } => argument.clone(),
        }
    }

    /// Its text, or why there is none.
    fn text(&self, outside: Outside<'_>) -> Result<String, String> {
        match self {
            Self::Text { text, .. } | Self::Set { text, .. } => Ok(text.clone()),
            Self::Variable(name) => (outside.variables)(name)
                .ok_or_else(|| format!("the variable {name}, which is to hold a configuration, is not set")),
            Self::File(path) => (outside.files)(path),
            Self::Unknown { argument, scheme } => {
                Err(format!("{argument}: rootspan reads `file:`, `env:` and `yaml:`, not `{scheme}:`"))
            }
        }
    }

    /// Its tree; `None` if there is nothing in it or it cannot be read (which is then among the problems).
    fn parse(&self, name: &Arc<str>, text: &str, problems: &mut Problems) -> Option<Node> {
        let Self::Set { path, .. } = self else {
            let mut node = node::parse(name, text, problems)?;
            node.nest_paths();
            return Some(node);
        };
        let position = Position { file: Arc::clone(name), line: 0, column: 0 };
        let mut found = Problems::default();
        let value = node::parse(name, text, &mut found);
        for problem in found.errors() {
            // Its lines and columns say nothing: the text stands on the command line.
            problems.error(&position, problem.message.clone());
        }
        let mut value = value.unwrap_or_else(|| Node::built_in("", position.clone()));
        value.move_to(&position);
        Some(path.iter().rev().fold(value, |value, key| {
            let entry = Entry { key: key.clone(), position: position.clone(), value };
            Node { position: position.clone(), value: Value::Map(vec![entry]) }
        }))
    }
}

/// All sources as one tree, references replaced.
pub(crate) fn read(sources: &[Source], outside: Outside<'_>, problems: &mut Problems) -> Option<Node> {
    let mut merged: Option<Node> = None;
    let mut empty: Vec<String> = Vec::new();
    for source in sources {
        let text = match source.text(outside) {
            Ok(text) => text,
            Err(reason) => {
                problems.error_without_position(reason);
                continue;
            }
        };
        let name = source.name();
        match (source.parse(&Arc::from(name.as_str()), &text, problems), &mut merged) {
            (None, _) => empty.push(name),
            (Some(node), Some(merged)) => merged.merge(node),
            (Some(node), None) => merged = Some(node),
        }
    }
    if merged.is_none() && problems.is_empty() {
        problems.error_without_position(format!("the configuration is empty: nothing in {}", empty.join(", ")));
    }
    // References last: a later source may replace one that cannot be followed.
    if let Some(merged) = &mut merged {
        expand_tree(merged, outside, problems);
    }
    merged.map(|root| root.structure().clone())
}

/// What is to be said of the argument of `--feature-gates`, a list such as `+a,-b,c`.
#[must_use]
pub fn feature_gate_warnings(argument: &str) -> Vec<String> {
    let gates =
        argument.split(',').map(|gate| gate.trim().trim_start_matches(['+', '-'])).filter(|gate| !gate.is_empty());
    let unknown = gates.filter(|gate| !elsewhere::FEATURE_GATES.contains(gate));
    unknown.map(|gate| format!("--feature-gates: `{gate}` is not known to rootspan and has no effect")).collect()
}
