//! Values of a file, and what is wrong with them. A value that is wrong is as if it were absent.

use std::str::FromStr;
use std::time::Duration;

use crate::settings::Problem;
use crate::settings::yaml::{Mapping, Node};

pub(super) struct Reader<'e> {
    problems: Vec<Problem>,
    variable: &'e dyn Fn(&str) -> Option<String>,
}

/// Takes over what the file says, if it says something.
pub(super) fn set<T>(slot: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *slot = value;
    }
}

impl<'e> Reader<'e> {
    pub(super) fn new(variable: &'e dyn Fn(&str) -> Option<String>) -> Self {
        Self { problems: Vec::new(), variable }
    }

    pub(super) fn end(mut self) -> Result<(), Vec<Problem>> {
        self.problems.sort_by_key(|problem| (problem.line, problem.column));
        if self.problems.is_empty() { Ok(()) } else { Err(self.problems) }
    }

    pub(super) fn problem(&mut self, node: &Node, message: &str) {
        self.problems.push(Problem { line: node.line, column: node.column, message: message.to_owned() });
    }

    pub(super) fn mapping<'a>(&mut self, node: &'a Node, keys: &[&str], what: &str) -> Mapping<'a> {
        let Some(mapping) = node.mapping() else {
            self.problem(node, &format!("{what} must be a mapping"));
            return Mapping::default();
        };
        self.problems.extend(mapping.problems_of_keys(keys));
        mapping
    }

    /// A text that is not empty; `${env:NAME}` stands for a variable of the environment.
    pub(super) fn text(&mut self, mapping: &Mapping<'_>, key: &str) -> Option<String> {
        let node = mapping.get(key)?;
        let Some(text) = node.text().filter(|text| !text.is_empty()) else {
            self.problem(node, &format!("{key} must be a text"));
            return None;
        };
        let Some(name) = text.strip_prefix("${env:").and_then(|name| name.strip_suffix('}')) else {
            return Some(text.to_owned());
        };
        let value = (self.variable)(name);
        if value.is_none() {
            self.problem(node, &format!("the environment has no {name}"));
        }
        value
    }

    pub(super) fn parsed<T: FromStr>(&mut self, mapping: &Mapping<'_>, key: &str, what: &str) -> Option<T> {
        let value = self.text(mapping, key)?.parse().ok();
        if value.is_none() {
            self.of(mapping, key, what);
        }
        value
    }

    pub(super) fn flag(&mut self, mapping: &Mapping<'_>, key: &str) -> Option<bool> {
        self.choice(mapping, key, &[("true", true), ("false", false)])
    }

    pub(super) fn choice<T: Copy>(&mut self, mapping: &Mapping<'_>, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(mapping, key)?;
        let chosen = choices.iter().find(|(name, _)| *name == text).map(|(_, choice)| *choice);
        if chosen.is_none() {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            self.of(mapping, key, &format!("one of {}", names.join(", ")));
        }
        chosen
    }

    /// `0`, `250ms`, `10s`, `5m`, `24h`.
    pub(super) fn duration(&mut self, mapping: &Mapping<'_>, key: &str) -> Option<Duration> {
        const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
        let text = self.text(mapping, key)?;
        let of_unit = |(unit, millis): (&str, u64)| text.strip_suffix(unit)?.parse::<u64>().ok()?.checked_mul(millis);
        let millis = if text == "0" { Some(0) } else { UNITS.into_iter().find_map(of_unit) };
        if millis.is_none() {
            self.of(mapping, key, "a duration such as 250ms, 10s, 5m or 24h");
        }
        millis.map(Duration::from_millis)
    }

    /// `1000`, `64KiB`, `5MiB`, `1GiB`.
    pub(super) fn size(&mut self, mapping: &Mapping<'_>, key: &str) -> Option<usize> {
        const UNITS: [(&str, usize); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("", 1)];
        let text = self.text(mapping, key)?;
        let of_unit = |(unit, bytes): (&str, usize)| text.strip_suffix(unit)?.parse::<usize>().ok()?.checked_mul(bytes);
        let size = UNITS.into_iter().find_map(of_unit);
        if size.is_none() {
            self.of(mapping, key, "a number of bytes such as 5MiB");
        }
        size
    }

    pub(super) fn names(&mut self, mapping: &Mapping<'_>, key: &str) -> Option<Vec<String>> {
        self.each(mapping, key, |reader, node| {
            let text = node.text().unwrap_or_default();
            if text.is_empty() {
                reader.problem(node, "a name must be a text");
            }
            text.to_owned()
        })
    }

    /// The items of a list.
    pub(super) fn each<T>(
        &mut self,
        mapping: &Mapping<'_>,
        key: &str,
        mut item: impl FnMut(&mut Self, &Node) -> T,
    ) -> Option<Vec<T>> {
        let node = mapping.get(key)?;
        let Some(items) = node.sequence() else {
            self.problem(node, &format!("{key} must be a list"));
            return None;
        };
        Some(items.iter().map(|node| item(self, node)).collect())
    }

    fn of(&mut self, mapping: &Mapping<'_>, key: &str, what: &str) {
        if let Some(node) = mapping.get(key) {
            self.problem(node, &format!("{key} must be {what}"));
        }
    }
}
