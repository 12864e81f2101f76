//! Makes a function small without changing its syntax: comments and white space go, names become short. What CloudFront
//! runs is therefore what was tested and read, token by token; docs/decisions/own-minifier.md says why that matters more
//! than the last bytes.
//!
//! A name gets the same short name wherever it stands, so that no scopes have to be understood: equal names stay equal and
//! different ones different. Every statement stays on a line of its own, for CloudFront's engine names no columns.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::source_map::Mapping;
use super::tokens::{self, KEYWORDS, Kind, Role, Token};

/// The characters of short names, the first of them without digits.
const NAME_CHARACTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_$0123456789";
const FIRST_CHARACTERS: usize = 54;

/// A small function and where its parts come from.
#[derive(Debug)]
pub(super) struct Minified<'a> {
    pub(super) code: String,
    pub(super) mappings: Vec<Mapping<'a>>,
}

/// `source` behind `first_line`. Names in `kept`, and those that are exported where they are declared, stay.
///
/// # Errors
///
/// The line, from 1, on which something is no token.
pub(super) fn minified<'a>(first_line: &str, source: &'a str, kept: &[&str]) -> Result<Minified<'a>, usize> {
    let tokens = tokens::tokens(source)?;
    let is_variable = variables(&tokens);
    let short = short_names(&tokens, &is_variable, kept);
    let mut printer = Printer::new(first_line, tokens.len());
    let mut before: Option<&Token<'_>> = None;
    for (index, token) in tokens.iter().enumerate() {
        if token.text == ";"
            && tokens.get(index + 1).is_some_and(|next| next.text == "}")
            && !is_empty_body(&tokens, index)
        {
            continue;
        }
        let new_name = if is_variable[index] { short.get(token.text) } else { None };
        let is_key = tokens.get(index + 1).is_some_and(|next| next.text == ":");
        let begins_statement = before
            .is_some_and(|before| matches!(before.text, ";" | "{" | "}") && before.line != token.line && !is_key)
            && !matches!(token.text, "}" | "]" | ")");
        let gap = match before {
            Some(_) if begins_statement => "\n",
            Some(before) if needs_space(before, token) => " ",
            _ => "",
        };
        printer.token(gap, token, new_name.map(String::as_str));
        before = Some(token);
    }
    printer.code.push('\n');
    Ok(Minified { code: printer.code, mappings: printer.mappings })
}

/// For every token whether it is a name and names no property.
fn variables(tokens: &[Token<'_>]) -> Vec<bool> {
    let open = tokens::innermost(tokens);
    let is_variable = |(index, token): (usize, &Token<'_>)| {
        token.kind == Kind::Word
            && !KEYWORDS.contains(&token.text)
            && tokens::role(tokens, index, open[index]) == Role::Variable
    };
    tokens.iter().enumerate().map(is_variable).collect()
}

/// A short name for every name that may change: the more often it stands there, the shorter.
fn short_names<'a>(tokens: &[Token<'a>], is_variable: &[bool], kept: &[&str]) -> BTreeMap<&'a str, String> {
    let mut uses: BTreeMap<&str, usize> = BTreeMap::new();
    for (token, _) in tokens.iter().zip(is_variable).filter(|(_, is)| **is) {
        *uses.entry(token.text).or_default() += 1;
    }
    let exported = exported(tokens);
    let mut changing = tokens::declared(tokens);
    changing.retain(|name| !kept.contains(name) && !exported.contains(name));
    // The sort is stable: names of equal frequency stay in the order of the source, and the bytes are always the same.
    changing.sort_by_key(|name| Reverse(uses.get(name).copied().unwrap_or_default()));
    let staying: BTreeSet<&str> = uses.into_keys().filter(|name| !changing.contains(name)).collect();
    let is_free = |short: &String| !KEYWORDS.contains(&short.as_str()) && !staying.contains(short.as_str());
    changing.into_iter().zip((0..).map(numbered).filter(is_free)).collect()
}

/// The names of functions that are exported where they are declared.
fn exported<'a>(tokens: &[Token<'a>]) -> Vec<&'a str> {
    let mut names = Vec::new();
    for (index, _) in tokens.iter().enumerate().filter(|(_, token)| token.text == "export") {
        let mut rest = tokens.iter().skip(index + 1).map(|token| token.text).skip_while(|text| *text == "async");
        if rest.next() == Some("function") {
            names.extend(rest.next());
        }
    }
    names
}

/// The name of this number: `a` to `$`, then two characters, then three.
fn numbered(number: usize) -> String {
    let mut name = String::from(char::from(NAME_CHARACTERS[number % FIRST_CHARACTERS]));
    let mut rest = number / FIRST_CHARACTERS;
    while rest > 0 {
        rest -= 1;
        name.push(char::from(NAME_CHARACTERS[rest % NAME_CHARACTERS.len()]));
        rest /= NAME_CHARACTERS.len();
    }
    name
}

/// Whether the semicolon at `index` is the body of a loop or a condition, and must stay.
fn is_empty_body(tokens: &[Token<'_>], index: usize) -> bool {
    let mut depth = 0_usize;
    for at in (0..index).rev() {
        match tokens[at].text {
            ")" => depth += 1,
            "(" if depth == 1 => {
                return at > 0 && matches!(tokens[at - 1].text, "while" | "for" | "if");
            }
            "(" => depth -= 1,
            _ if depth == 0 => return false,
            _ => {}
        }
    }
    false
}

struct Printer<'a> {
    code: String,
    mappings: Vec<Mapping<'a>>,
    line: usize,
    /// Where in the code the line begins.
    line_start: usize,
}

impl<'a> Printer<'a> {
    /// `first_line` ends its line.
    fn new(first_line: &str, tokens: usize) -> Self {
        let line = first_line.matches('\n').count();
        Self { code: first_line.to_owned(), mappings: Vec::with_capacity(tokens), line, line_start: first_line.len() }
    }

    fn token(&mut self, gap: &str, token: &Token<'a>, new_name: Option<&str>) {
        self.code.push_str(gap);
        if gap == "\n" {
            self.line += 1;
            self.line_start = self.code.len();
        }
        self.mappings.push(Mapping {
            line: self.line,
            column: self.code.len() - self.line_start,
            source_line: token.line,
            source_column: token.column,
            name: new_name.is_some().then_some(token.text),
        });
        self.code.push_str(new_name.unwrap_or(token.text));
    }
}

/// Whether two tokens would become another one. The import keeps its spaces, in case a tool looks for them.
fn needs_space(before: &Token<'_>, token: &Token<'_>) -> bool {
    let is_wordy = |kind| matches!(kind, Kind::Word | Kind::Number);
    match (before.kind, token.kind) {
        (left, right) if is_wordy(left) && is_wordy(right) => true,
        (Kind::Pattern, Kind::Word) => true,
        (Kind::Word, Kind::Text) => before.text == "from",
        (Kind::Number, Kind::Sign) => token.text == ".",
        (Kind::Sign, Kind::Sign) => {
            let (left, right) = (before.text.chars().last(), token.text.chars().next());
            left == right && matches!(left, Some('+' | '-'))
        }
        (Kind::Sign, Kind::Pattern) => before.text.ends_with('/'),
        _ => false,
    }
}
