//! References as the OpenTelemetry Collector knows them: `${env:NAME}`, `${NAME}`, `${env:NAME:-fallback}`,
//! `${file:PATH}`, `${yaml:TEXT}`; `$$` is a dollar, and a bare `$NAME` is text. The result stays text until the field's
//! type is known; a value that is nothing but a reference may also stand for a number, a list or a map.
//!
//! One difference: what a variable holds is taken as it is, so that a password with a dollar in it needs no escaping.
//! A file that is taken in is configuration, and the references in it are replaced.

use std::path::Path;
use std::sync::Arc;

use super::node::{MAX_NODES, Node, Scalar, Value, count_nodes, parse};
use super::problems::{Position, Problem, Problems};

/// Looks up an environment variable.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads a file, or says in a sentence why it cannot be read.
pub type Files<'a> = &'a dyn Fn(&Path) -> Result<String, String>;

/// References within references (`${env:A:-${env:B}}`) deeper than the collector's own limit are refused.
const MAX_DEPTH: usize = 100;
/// Files that take in files; more is a circle.
const MAX_FILE_DEPTH: usize = 16;

/// What references can name.
#[derive(Clone, Copy)]
pub struct Outside<'a> {
    /// Variables.
    pub variables: Variables<'a>,
    /// Files.
    pub files: Files<'a>,
}

impl std::fmt::Debug for Outside<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outside")
    }
}

/// A text after expansion.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Expanded {
    /// The text.
    pub(crate) text: String,
    /// Set where the whole text is one reference: it may then be read as YAML.
    pub(crate) whole: Option<Origin>,
    /// Variables that are not set and have no fallback; they expand to nothing.
    pub(crate) unset: Vec<String>,
}

/// Where the value of a reference was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Where it has no places of its own: a variable, a fallback, a text in place.
    InPlace,
    /// In a file.
    File(String),
}

/// Replaces the references in every value of `root`.
pub(crate) fn expand_tree(root: &mut Node, outside: Outside<'_>, problems: &mut Problems) {
    let mut tree = Tree { outside, problems, nodes_left: MAX_NODES };
    tree.node(root, 0);
}

/// The work on one tree.
struct Tree<'a> {
    outside: Outside<'a>,
    problems: &'a mut Problems,
    /// What files may still add.
    nodes_left: usize,
}

impl Tree<'_> {
    fn node(&mut self, node: &mut Node, file_depth: usize) {
        match &mut node.value {
            Value::List(items) => items.iter_mut().for_each(|item| self.node(item, file_depth)),
            Value::Map(entries) => entries.iter_mut().for_each(|entry| self.node(&mut entry.value, file_depth)),
            Value::Scalar(scalar) if scalar.text.contains('$') => self.scalar(scalar, &node.position, file_depth),
            Value::Scalar(_) => {}
        }
    }

    fn scalar(&mut self, scalar: &mut Scalar, position: &Position, file_depth: usize) {
        let expanded = match expand(&scalar.text, self.outside) {
            Ok(expanded) => expanded,
            Err(reason) => return self.problems.error(position, reason),
        };
        for name in &expanded.unset {
            self.problems.unset_variable(position, name);
        }
        // Quotes around a reference are not quotes around its value. Text with a reference in it is text.
        *scalar = Scalar::new(expanded.text, expanded.whole.is_some());
        match expanded.whole {
            None => {}
            Some(Origin::InPlace) => scalar.read_as_yaml(position),
            Some(Origin::File(path)) => self.file(scalar, path, position, file_depth),
        }
    }

    /// Reads the text of a file as YAML: what is wrong in it is wrong at its place there.
    fn file(&mut self, scalar: &mut Scalar, path: String, position: &Position, file_depth: usize) {
        if file_depth >= MAX_FILE_DEPTH {
            let message = format!("`${{file:{path}}}`: files take in files more than {MAX_FILE_DEPTH} deep");
            return self.problems.error(position, message);
        }
        let mut problems = Problems::default();
        let Some(mut node) = parse(&Arc::from(path), &scalar.text, &mut problems) else {
            scalar.unreadable = problems.errors().first().map(|problem: &Problem| Box::new(problem.clone()));
            return;
        };
        if matches!(node.value, Value::Scalar(_)) {
            return;
        }
        problems.errors().iter().for_each(|problem| self.problems.add(problem.clone()));
        let Some(left) = self.nodes_left.checked_sub(count_nodes(&node)) else {
            return self.problems.error(position, format!("files hold more than {MAX_NODES} values"));
        };
        self.nodes_left = left;
        self.node(&mut node, file_depth + 1);
        scalar.structure = Some(Box::new(node));
    }
}

/// Expands `text`, or says why it cannot be.
pub(crate) fn expand(text: &str, outside: Outside<'_>) -> Result<Expanded, String> {
    expand_within(text, outside, 0)
}

fn expand_within(text: &str, outside: Outside<'_>, depth: usize) -> Result<Expanded, String> {
    if depth > MAX_DEPTH {
        return Err(format!("`${{…}}` is nested more than {MAX_DEPTH} times"));
    }
    let whole = text.strip_prefix("${").and_then(split_at_closing_brace).filter(|(_, after)| after.is_empty());
    if let Some((inside, _)) = whole {
        return substitute(inside, outside, depth);
    }
    let mut out = Expanded::default();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.text.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.text.push('$');
            rest = after;
        } else if let Some(inside_and_rest) = after.strip_prefix('{') {
            let (inside, after) = split_at_closing_brace(inside_and_rest)
                .ok_or_else(|| "`${` has no closing `}`; write `$$` for a dollar".to_owned())?;
            let value = substitute(inside, outside, depth)?;
            out.text.push_str(&value.text);
            out.unset.extend(value.unset);
            rest = after;
        } else {
            out.text.push('$');
            rest = after;
        }
    }
    out.text.push_str(rest);
    Ok(out)
}

/// The value that `inside` of `${inside}` names.
fn substitute(inside: &str, outside: Outside<'_>, depth: usize) -> Result<Expanded, String> {
    let in_place = |expanded: Expanded| Expanded { whole: expanded.whole.or(Some(Origin::InPlace)), ..expanded };
    match inside.split_once(':') {
        Some(("file", path)) => {
            let path = expand_within(path, outside, depth + 1)?.text;
            let text = (outside.files)(Path::new(&path)).map_err(|reason| format!("`${{{inside}}}`: {reason}"))?;
            // The line break at the end of a file is no part of a token or a name in it.
            let text = text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text)).unwrap_or(&text);
            return Ok(Expanded { text: text.to_owned(), whole: Some(Origin::File(path)), unset: Vec::new() });
        }
        Some(("yaml", text)) => return expand_within(text, outside, depth + 1).map(in_place),
        Some(_) | None => {}
    }
    let (reference, fallback) = match inside.split_once(":-") {
        Some((reference, fallback)) => (reference, Some(fallback)),
        None => (inside, None),
    };
    let name = match reference.split_once(':') {
        None => reference,
        Some(("env", name)) => name,
        Some((scheme, _)) => {
            return Err(format!("`${{{inside}}}`: rootspan expands `env:`, `file:` and `yaml:`, not `{scheme}:`"));
        }
    };
    let name = expand_within(name, outside, depth + 1)?.text;
    if !is_name(&name) {
        return Err(format!("`${{{inside}}}`: `{name}` is not a name of ASCII letters, digits and underscores"));
    }
    let found = |text| Expanded { text, whole: Some(Origin::InPlace), unset: Vec::new() };
    match ((outside.variables)(&name), fallback) {
        (Some(value), None) => Ok(found(value)),
        (Some(value), Some(_)) if !value.is_empty() => Ok(found(value)),
        (_, Some(fallback)) => expand_within(fallback, outside, depth + 1).map(in_place),
        (None, None) => Ok(Expanded { unset: vec![name], ..found(String::new()) }),
    }
}

fn is_name(name: &str) -> bool {
    let starts_well = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    starts_well && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Splits before the brace that closes an already opened one.
fn split_at_closing_brace(text: &str) -> Option<(&str, &str)> {
    let mut open = 1_usize;
    for (index, character) in text.char_indices() {
        match character {
            '{' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            let (inside, closing_and_rest) = text.split_at(index);
            return Some((inside, closing_and_rest.strip_prefix('}')?));
        }
    }
    None
}

#[cfg(test)]
mod tests;
