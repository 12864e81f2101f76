//! Component ids: `type` or `type/name`.

use std::fmt;

use super::decode::Decode;
use super::node::Node;
use super::problems::{Position, Problems};
use super::values::scalar;

/// Longest name that the collector takes.
const MAX_NAME_CHARACTERS: usize = 1024;

/// The id of a component or, with a signal as its type, of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ComponentId {
    /// `otlp` of `otlp/edge`; as written, also if it is an alias.
    pub kind: String,
    /// `edge` of `otlp/edge`; empty if there is none.
    pub name: String,
}

impl ComponentId {
    /// Parses an id, or says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (kind, name) = match text.split_once('/') {
            Some((kind, name)) => (kind.trim(), Some(name.trim())),
            None => (text.trim(), None),
        };
        let starts_well = kind.starts_with(|first: char| first.is_ascii_alphabetic());
        if !starts_well || kind.len() > 63 || !kind.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(format!(
                "`{text}` is not an id of the form type or type/name (letters, digits and underscores)"
            ));
        }
        let name = match name {
            Some("") => return Err(format!("`{text}`: nothing follows the slash")),
            Some(name) if name.chars().count() > MAX_NAME_CHARACTERS => {
                return Err(format!("the name is longer than {MAX_NAME_CHARACTERS} characters"));
            }
            Some(name) if name.chars().any(|c| c.is_whitespace() || c.is_control()) => {
                return Err(format!("`{text}`: a name has no spaces"));
            }
            Some(name) => name.to_owned(),
            None => String::new(),
        };
        Ok(Self { kind: kind.to_owned(), name })
    }

    /// The id in a scalar, and where it stands.
    pub(crate) fn decode(node: &Node, problems: &mut Problems) -> Option<(Self, Position)> {
        let text = &scalar(node, "a component's id", problems)?.text;
        match Self::parse(text) {
            Ok(id) => Some((id, node.position.clone())),
            Err(reason) => {
                problems.error(&node.position, reason);
                None
            }
        }
    }
}

/// The id of an extension that a component uses, and where it stands. The place is no part of what is meant: two that name
/// the same extension are equal.
#[derive(Clone, Debug)]
pub struct ExtensionReference {
    /// The extension.
    pub id: ComponentId,
    /// Where it is named.
    pub position: Position,
}

impl PartialEq for ExtensionReference {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Decode for ExtensionReference {
    const KIND: &'static str = "the id of an extension";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        ComponentId::decode(node, problems).map(|(id, position)| Self { id, position })
    }
}

impl fmt::Display for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        if !self.name.is_empty() {
            write!(f, "/{}", self.name)?;
        }
        Ok(())
    }
}
