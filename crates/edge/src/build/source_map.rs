//! Source maps, revision 3 (ECMA-426): from the small code back to the readable source with its settings.

use serde_json::json;

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Where one token of the code comes from; all numbers from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mapping<'a> {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) source_line: usize,
    pub(super) source_column: usize,
    /// Its name in the source, if it has another one in the code.
    pub(super) name: Option<&'a str>,
}

/// The map of `file`. The source is in it, for it is nowhere else: it has this user's settings.
pub(super) fn json(file: &str, source_name: &str, source: &str, mappings: &[Mapping<'_>]) -> String {
    let mut names: Vec<&str> = Vec::new();
    let mut encoded = String::with_capacity(mappings.len() * 6);
    let mut last = Mapping { line: 0, column: 0, source_line: 0, source_column: 0, name: None };
    let mut last_name = 0;
    for (index, mapping) in mappings.iter().enumerate() {
        if mapping.line > last.line {
            encoded.extend(std::iter::repeat_n(';', mapping.line - last.line));
            last.column = 0;
        } else if index > 0 {
            encoded.push(',');
        }
        push(&mut encoded, mapping.column, last.column);
        // There is one source: its index never changes.
        push(&mut encoded, 0, 0);
        push(&mut encoded, mapping.source_line, last.source_line);
        push(&mut encoded, mapping.source_column, last.source_column);
        if let Some(name) = mapping.name {
            let number = names.iter().position(|known| *known == name).unwrap_or_else(|| {
                names.push(name);
                names.len() - 1
            });
            push(&mut encoded, number, last_name);
            last_name = number;
        }
        last = *mapping;
    }
    let map = json!({
        "version": 3,
        "file": file,
        "sources": [source_name],
        "sourcesContent": [source],
        "names": names,
        "mappings": encoded,
    });
    format!("{map}\n")
}

/// The difference of two numbers as a variable-length quantity: the sign in the lowest bit, five bits a character.
fn push(encoded: &mut String, now: usize, before: usize) {
    let mut rest = now.abs_diff(before) << 1 | usize::from(now < before);
    loop {
        let more = if rest >> 5 == 0 { 0 } else { 32 };
        encoded.push(char::from(BASE64[rest & 31 | more]));
        rest >>= 5;
        if rest == 0 {
            return;
        }
    }
}
