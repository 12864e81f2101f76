//! YAML with positions: the tree that every decoder of configuration reads.
//!
//! Scalars stay text; the type that a field wants decides what they mean. References (`${env:X}`) are text here, too:
//! [`super::expand`] replaces them when all sources lie over each other.

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use super::problems::{Position, Problem, Problems};

/// Aliases may repeat what they name; a small file must not become a large tree ("billion laughs").
pub(crate) const MAX_NODES: usize = 100_000;
/// Deeper nesting than any configuration has; keeps recursion bounded.
const MAX_DEPTH: usize = 64;
/// Between the keys of a path.
pub(crate) const PATH_SEPARATOR: &str = "::";

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
    /// The list or map that the text is as YAML, where it is the whole of what a reference or a default stands for. A
    /// field that wants text takes the text all the same.
    pub structure: Option<Box<Node>>,
    /// Why a referenced text is not YAML; a mistake only where a list or a map is wanted.
    pub unreadable: Option<Box<Problem>>,
}

impl Scalar {
    /// Reads the text as YAML, as the collector reads the values of variables; what is found stands at `position`.
    pub(crate) fn read_as_yaml(&mut self, position: &Position) {
        let mut problems = Problems::default();
        let node = parse(&position.file, &self.text, &mut problems);
        match node.filter(|node| !matches!(node.value, Value::Scalar(_)) && problems.is_empty()) {
            Some(mut node) => {
                node.move_to(position);
                self.structure = Some(Box::new(node));
            }
            None => self.unreadable = problems.errors().first().cloned().map(Box::new),
        }
    }

    /// Text that means nothing but itself.
    pub(crate) const fn new(text: String, plain: bool) -> Self {
        Self { text, plain, structure: None, unreadable: None }
    }
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
        let mut scalar = Scalar::new(text.to_owned(), true);
        if text.starts_with(['[', '{']) {
            scalar.read_as_yaml(&position);
        }
        Self { position, value: Value::Scalar(scalar) }
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

    /// The list or map that this stands for, else the value itself: where a field wants more than text.
    #[must_use]
    pub fn structure(&self) -> &Self {
        match &self.value {
            Value::Scalar(Scalar { structure: Some(structure), .. }) => structure,
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => self,
        }
    }

    /// [`Node::structure`], owned.
    pub(crate) fn resolved(&self, _problems: &mut Problems) -> Self {
        self.structure().clone()
    }

    /// Places the whole tree at `position`: text from a variable has no place of its own.
    pub(crate) fn move_to(&mut self, position: &Position) {
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

    /// Keys of this map that are written as a path (`exporters::debug::verbosity`) become maps within each other, as in
    /// every source of the collector.
    pub(crate) fn nest_paths(&mut self) {
        let Value::Map(entries) = &mut self.value else { return };
        if !entries.iter().any(|entry| entry.key.contains(PATH_SEPARATOR)) {
            return;
        }
        let mut nested = Self::empty_map(self.position.clone());
        for entry in std::mem::take(entries) {
            let path: Vec<&str> = entry.key.split(PATH_SEPARATOR).map(str::trim).collect();
            let (first, below) = path.split_first().expect("a split gives at least one part");
            let value = below.iter().rev().fold(entry.value, |value, key| {
                let inner = Entry { key: (*key).to_owned(), position: entry.position.clone(), value };
                Self { position: entry.position.clone(), value: Value::Map(vec![inner]) }
            });
            let outer = Entry { key: (*first).to_owned(), position: entry.position.clone(), value };
            nested.merge(Self { position: entry.position, value: Value::Map(vec![outer]) });
        }
        *self = nested;
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
pub(crate) fn parse(file: &Arc<str>, text: &str, problems: &mut Problems) -> Option<Node> {
    let mut builder =
        Builder { file: Arc::clone(file), problems, open: Vec::new(), anchors: HashMap::new(), nodes: 0, root: None };
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
                let scalar = Scalar::new(text.into_owned(), style == ScalarStyle::Plain);
                let node = Node { position, value: Value::Scalar(scalar) };
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
            // The collector reads the first document and passes over the others, which nobody notices.
            if self.root.is_some() && !node.is_null() {
                let message = "a second YAML document: only one is read; give it a file and a `--config` of its own";
                self.problems.error(&node.position, message);
            }
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

pub(crate) fn count_nodes(node: &Node) -> usize {
    match &node.value {
        Value::Scalar(_) => 1,
        Value::List(items) => 1 + items.iter().map(count_nodes).sum::<usize>(),
        Value::Map(entries) => 1 + entries.iter().map(|entry| count_nodes(&entry.value)).sum::<usize>(),
    }
}
