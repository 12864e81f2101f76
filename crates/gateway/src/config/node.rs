//! YAML with positions: the tree that every decoder of configuration reads.
//!
//! Scalars stay text; the type that a field wants decides what they mean. `$`-expansion happens here, scalar by scalar.

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use super::expand::{Variables, expand};
use super::problems::{Position, Problems};

/// Aliases may repeat what they name; a small file must not become a large tree ("billion laughs").
const MAX_NODES: usize = 100_000;
/// Deeper nesting than any configuration has; keeps recursion bounded.
const MAX_DEPTH: usize = 64;

/// One YAML value and its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where the value begins.
    pub position: Position,
    /// What it is.
    pub value: Value,
}

/// The three shapes of YAML; null is a plain scalar.
#[derive(Clone, Debug)]
pub enum Value {
    /// Text whose meaning the field's type decides.
    Scalar(Scalar),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the file, keys unique.
    Map(Vec<Entry>),
}

/// A scalar.
#[derive(Clone, Debug)]
pub struct Scalar {
    /// Its text after expansion.
    pub text: String,
    /// Not quoted and not a block: only such a scalar can be null.
    pub plain: bool,
    /// The text came from a variable and may stand for a list or a map.
    pub substituted: bool,
}

/// A key with its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key begins.
    pub position: Position,
    /// The value.
    pub value: Node,
}

impl Node {
    /// A plain scalar that no file holds: a default.
    pub(crate) fn built_in(text: &str, position: Position) -> Self {
        Self { position, value: Value::Scalar(Scalar { text: text.to_owned(), plain: true, substituted: true }) }
    }

    /// A map without entries.
    pub(crate) fn empty_map(position: Position) -> Self {
        Self { position, value: Value::Map(Vec::new()) }
    }

    /// Whether this is YAML's null: nothing, `~` or `null`, not quoted.
    #[must_use]
    pub fn is_null(&self) -> bool {
        match &self.value {
            Value::Scalar(scalar) => {
                scalar.plain && matches!(scalar.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            Value::List(_) | Value::Map(_) => false,
        }
    }

    /// The value of `key` if this is a map that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key),
            Value::Scalar(_) | Value::List(_) => None,
        }
    }

    /// In words, for messages.
    #[must_use]
    pub fn describe(&self) -> &'static str {
        match &self.value {
            _ if self.is_null() => "nothing",
            Value::Scalar(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// This value with substituted text read as YAML, as the collector reads the values of variables.
    pub(crate) fn resolved(&self, problems: &mut Problems) -> Self {
        let Value::Scalar(scalar) = &self.value else { return self.clone() };
        let text = scalar.text.trim_start();
        let has_structure = text.starts_with(['[', '{', '-']) || text.contains(": ") || text.contains('\n');
        if !scalar.substituted || !has_structure {
            return self.clone();
        }
        let mut node = parse(&self.position.file, &scalar.text, &|_| None, problems);
        if let Some(node) = &mut node {
            node.move_to(&self.position);
        }
        node.unwrap_or_else(|| self.clone())
    }

    /// Places the whole tree at `position`: text from a variable has no place of its own.
    fn move_to(&mut self, position: &Position) {
        self.position = position.clone();
        match &mut self.value {
            Value::Scalar(_) => {}
            Value::List(items) => items.iter_mut().for_each(|item| item.move_to(position)),
            Value::Map(entries) => {
                for entry in entries {
                    entry.position = position.clone();
                    entry.value.move_to(position);
                }
            }
        }
    }

    /// Lays `later` over this tree: maps key by key, everything else is replaced (the collector's rule).
    pub(crate) fn merge(&mut self, later: Self) {
        match (&mut self.value, later.value) {
            (Value::Map(entries), Value::Map(later_entries)) => {
                for entry in later_entries {
                    match entries.iter_mut().find(|existing| existing.key == entry.key) {
                        Some(existing) => existing.value.merge(entry.value),
                        None => entries.push(entry),
                    }
                }
            }
            (_, value) => *self = Self { position: later.position, value },
        }
    }
}

/// Parses the first document of `text`; `None` if it holds nothing or is not YAML (which is then among the problems).
pub(crate) fn parse(file: &Arc<str>, text: &str, variables: Variables<'_>, problems: &mut Problems) -> Option<Node> {
    let mut builder = Builder {
        file: Arc::clone(file),
        variables,
        problems,
        open: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
        root: None,
    };
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => {
                if let Err(message) = builder.event(event, span.start) {
                    let position = position(&builder.file, span.start);
                    builder.problems.error(&position, message);
                    return None;
                }
            }
            Err(error) => {
                let position = position(&builder.file, *error.marker());
                builder.problems.error(&position, format!("not valid YAML: {}", error.info()));
                return None;
            }
        }
    }
    builder.root
}

fn position(file: &Arc<str>, marker: Marker) -> Position {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Position { file: Arc::clone(file), line: count(marker.line()), column: count(marker.col() + 1) }
}

/// Builds the tree from events.
struct Builder<'a> {
    file: Arc<str>,
    variables: Variables<'a>,
    problems: &'a mut Problems,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    root: Option<Node>,
}

/// A list or a map whose end has not been seen.
struct Open {
    anchor: usize,
    node: Node,
    /// In a map: the key that waits for its value.
    key: Option<(String, Position)>,
    /// In a map: what `<<` named; taken over at the end, where the map's own keys are known.
    merges: Vec<Node>,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, marker: Marker) -> Result<(), String> {
        let position = position(&self.file, marker);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned().ok_or("the alias names nothing that is complete here")?;
                self.nodes += count_nodes(&node);
                self.close(node)
            }
            Event::Scalar(text, style, anchor, _) => {
                let node = self.scalar(&text, style, position);
                self.remember(anchor, &node);
                self.close(node)
            }
            Event::SequenceStart(anchor, _) => self.begin(anchor, Node { position, value: Value::List(Vec::new()) }),
            Event::MappingStart(anchor, _) => self.begin(anchor, Node::empty_map(position)),
            Event::SequenceEnd | Event::MappingEnd => {
                let mut open = self.open.pop().ok_or("an end without a beginning")?;
                if let Value::Map(entries) = &mut open.node.value {
                    open.merges.into_iter().try_for_each(|merged| merge_key(entries, merged))?;
                }
                self.remember(open.anchor, &open.node);
                self.close(open.node)
            }
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, position: Position) -> Node {
        let plain = style == ScalarStyle::Plain;
        let is_key =
            self.open.last().is_some_and(|open| matches!(open.node.value, Value::Map(_)) && open.key.is_none());
        let (text, substituted) = if is_key || !text.contains('$') {
            (text.to_owned(), false)
        } else {
            match expand(text, self.variables) {
                Ok(expanded) => {
                    for name in &expanded.unset {
                        self.problems
                            .warning(&position, format!("the variable {name} is not set; nothing stands in its place"));
                    }
                    (expanded.text, expanded.substituted)
                }
                Err(reason) => {
                    self.problems.error(&position, reason);
                    (text.to_owned(), false)
                }
            }
        };
        Node { position, value: Value::Scalar(Scalar { text, plain, substituted }) }
    }

    fn begin(&mut self, anchor: usize, node: Node) -> Result<(), String> {
        if self.open.len() >= MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH} levels"));
        }
        self.open.push(Open { anchor, node, key: None, merges: Vec::new() });
        Ok(())
    }

    fn remember(&mut self, anchor: usize, node: &Node) {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
    }

    /// Puts a complete node where it belongs.
    fn close(&mut self, node: Node) -> Result<(), String> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(format!("more than {MAX_NODES} values, aliases counted in full"));
        }
        let Some(open) = self.open.last_mut() else {
            // Further documents of the stream are not read, as in the collector.
            self.root.get_or_insert(node);
            return Ok(());
        };
        match &mut open.node.value {
            Value::Scalar(_) => {}
            Value::List(items) => items.push(node),
            Value::Map(entries) => match open.key.take() {
                None => {
                    let Value::Scalar(scalar) = node.value else { return Err("a key must be text".to_owned()) };
                    open.key = Some((scalar.text, node.position));
                }
                Some((key, _)) if key == "<<" => open.merges.push(node),
                Some((key, position)) => match entries.iter().position(|entry| entry.key == key) {
                    Some(_) => self.problems.error(&position, format!("the key `{key}` is already given above")),
                    None => entries.push(Entry { key, position, value: node }),
                },
            },
        }
        Ok(())
    }
}

/// `<<: *defaults`: entries of the named map that are not given themselves.
fn merge_key(entries: &mut Vec<Entry>, node: Node) -> Result<(), String> {
    let maps = match node.value {
        Value::List(items) => items,
        Value::Map(_) | Value::Scalar(_) => vec![node],
    };
    for map in maps {
        let Value::Map(merged) = map.value else { return Err("`<<` needs a map or a list of maps".to_owned()) };
        for entry in merged {
            if entries.iter().all(|existing| existing.key != entry.key) {
                entries.push(entry);
            }
        }
    }
    Ok(())
}

fn count_nodes(node: &Node) -> usize {
    match &node.value {
        Value::Scalar(_) => 1,
        Value::List(items) => 1 + items.iter().map(count_nodes).sum::<usize>(),
        Value::Map(entries) => 1 + entries.iter().map(|entry| count_nodes(&entry.value)).sum::<usize>(),
    }
}
