//! YAML as a tree whose nodes know their position. One document, no anchors, no tags: settings need neither.

use std::collections::HashSet;

use saphyr_parser::{Event, Marker, Parser};

use super::{Problem, unknown};

/// Nesting that a settings file may have; it needs three levels.
const MAX_DEPTH: usize = 16;

/// A value and where it begins.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) line: usize,
    pub(crate) column: usize,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Scalar(String),
    Sequence(Vec<Node>),
    Mapping(Vec<(Node, Node)>),
}

/// The entries of a mapping, in the order of the file.
#[derive(Default)]
pub(crate) struct Mapping<'a> {
    pub(crate) entries: &'a [(Node, Node)],
}

impl<'a> Mapping<'a> {
    /// Keys that are not known, and those that are there twice.
    pub(crate) fn problems_of_keys(&self, known: &[&str]) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut seen = HashSet::new();
        for (key, _) in self.entries {
            let name = key.text().unwrap_or_default();
            let message = if !known.contains(&name) {
                unknown("key", name, known)
            } else if !seen.insert(name) {
                format!("{name} is given twice")
            } else {
                continue;
            };
            problems.push(Problem { line: key.line, column: key.column, message });
        }
        problems
    }

    pub(crate) fn get(&self, key: &str) -> Option<&'a Node> {
        self.entries.iter().find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value)
    }
}

impl Node {
    pub(crate) fn text(&self) -> Option<&str> {
        if let Content::Scalar(text) = &self.content { Some(text) } else { None }
    }

    pub(crate) fn sequence(&self) -> Option<&[Self]> {
        match &self.content {
            Content::Sequence(items) => Some(items),
            // A key without a value is an empty list.
            Content::Scalar(text) if text.is_empty() => Some(&[]),
            Content::Scalar(_) | Content::Mapping(_) => None,
        }
    }

    pub(crate) fn mapping(&self) -> Option<Mapping<'_>> {
        match &self.content {
            Content::Mapping(entries) => Some(Mapping { entries }),
            Content::Scalar(text) if text.is_empty() => Some(Mapping::default()),
            Content::Scalar(_) | Content::Sequence(_) => None,
        }
    }
}

/// Parses a file; `None` if there is nothing in it.
pub(crate) fn parse(text: &str) -> Result<Option<Node>, Problem> {
    let mut events = Parser::new_from_str(text);
    let mut root = None;
    loop {
        let (event, position) = next(&mut events)?;
        match event {
            Event::StreamEnd => return Ok(root),
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            _ if root.is_some() => return Err(problem(position, "only one document is allowed")),
            event => root = Some(node(event, position, &mut events, 0)?),
        }
    }
}

fn node<'input>(
    event: Event<'input>,
    position: Marker,
    events: &mut Parser<'input, saphyr_parser::StrInput<'input>>,
    depth: usize,
) -> Result<Node, Problem> {
    if depth > MAX_DEPTH {
        return Err(problem(position, "nested too deeply"));
    }
    let content = match event {
        Event::Scalar(text, _, 0, None) => Content::Scalar(text.into_owned()),
        Event::SequenceStart(0, None) => {
            let mut items = Vec::new();
            loop {
                match next(events)? {
                    (Event::SequenceEnd, _) => break Content::Sequence(items),
                    (event, position) => items.push(node(event, position, events, depth + 1)?),
                }
            }
        }
        Event::MappingStart(0, None) => {
            let mut entries = Vec::new();
            loop {
                match next(events)? {
                    (Event::MappingEnd, _) => break Content::Mapping(entries),
                    (event, position) => {
                        let key = node(event, position, events, depth + 1)?;
                        let (event, position) = next(events)?;
                        entries.push((key, node(event, position, events, depth + 1)?));
                    }
                }
            }
        }
        _ => return Err(problem(position, "anchors, aliases and tags are not supported")),
    };
    Ok(Node { line: position.line(), column: position.col() + 1, content })
}

fn next<'input>(
    events: &mut Parser<'input, saphyr_parser::StrInput<'input>>,
) -> Result<(Event<'input>, Marker), Problem> {
    match events.next_event() {
        Some(Ok((event, span))) => Ok((event, span.start)),
        Some(Err(error)) => Err(problem(*error.marker(), error.info())),
        None => Err(Problem { line: 1, column: 1, message: "the file ends unexpectedly".to_owned() }),
    }
}

fn problem(position: Marker, message: &str) -> Problem {
    Problem { line: position.line(), column: position.col() + 1, message: message.to_owned() }
}
