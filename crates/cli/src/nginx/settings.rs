//! The file that `opentelemetry_config` names: TOML of one level of tables, with texts, numbers and booleans.

use std::collections::BTreeMap;

/// Values by `table.key`, with their lines.
#[derive(Debug, Default)]
pub(super) struct Settings {
    values: BTreeMap<String, (usize, String)>,
    /// Lines that were not understood.
    pub(super) unknown: Vec<(usize, String)>,
}

impl Settings {
    /// Reads what this file can hold; anything else of TOML is listed.
    pub(super) fn parse(text: &str) -> Self {
        let mut settings = Self::default();
        let mut table = String::new();
        for (index, line) in text.lines().enumerate() {
            let (number, line) = (index + 1, without_comment(line).trim());
            if line.is_empty() {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                name.trim().clone_into(&mut table);
                continue;
            }
            let pair = line.split_once('=').and_then(|(key, value)| Some((key.trim(), scalar(value.trim())?)));
            match pair {
                Some((key, value)) => {
                    let key = if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") };
                    settings.values.insert(key, (number, value));
                }
                None => settings.unknown.push((number, line.to_owned())),
            }
        }
        settings
    }

    /// Takes a value out, so that what is left has no counterpart.
    pub(super) fn take(&mut self, key: &str) -> Option<String> {
        self.values.remove(key).map(|(_, value)| value)
    }

    /// What nobody took: line and key.
    pub(super) fn rest(&self) -> impl Iterator<Item = (usize, &str)> {
        self.values.iter().map(|(key, (line, _))| (*line, key.as_str()))
    }
}

fn without_comment(line: &str) -> &str {
    let mut quote = None;
    for (at, byte) in line.bytes().enumerate() {
        match (quote, byte) {
            (None, b'#') => return line.get(..at).unwrap_or(line),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    line
}

fn scalar(value: &str) -> Option<String> {
    let inner = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote).filter(|text| !text.contains(quote));
    if let Some(text) = inner('"') {
        return Some(text.replace("\\\\", "\\"));
    }
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte);
    let bare = (!value.is_empty() && value.bytes().all(is_bare)).then_some(value);
    inner('\'').or(bare).map(str::to_owned)
}
