//! Templates of paths, which name spans.

use std::fmt;
use std::str::FromStr;

/// A template of paths: segments are literal, `{name}` (any one segment), or `*` (any one segment, at the end: any rest).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route(String);

/// Why a template can never match: where, in characters from 1, and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteError {
    column: usize,
    reason: &'static str,
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no path can match, for {} (character {})", self.reason, self.column)
    }
}

impl std::error::Error for RouteError {}

impl FromStr for Route {
    type Err = RouteError;

    fn from_str(template: &str) -> Result<Self, RouteError> {
        let mut column = 1;
        for (index, segment) in template.split('/').enumerate() {
            let fault = match segment {
                "*" => None,
                _ if index == 0 && !segment.is_empty() || template.is_empty() => {
                    Some((0, "it does not begin with a slash"))
                }
                _ => fault(segment),
            };
            if let Some((at, reason)) = fault {
                return Err(RouteError { column: column + at, reason });
            }
            column += segment.chars().count() + 1;
        }
        Ok(Self(template.to_owned()))
    }
}

impl Route {
    /// The template.
    pub(super) fn template(&self) -> &str {
        &self.0
    }

    pub(super) fn matches(&self, path: &str) -> bool {
        let (mut template, mut path) = (self.0.split('/').peekable(), path.split('/'));
        loop {
            match (template.next(), path.next()) {
                (None, None) => return true,
                (Some("*"), Some(_)) if template.peek().is_none() => return true,
                (Some(expected), Some(segment)) => {
                    let is_variable = expected.starts_with('{') && expected.ends_with('}') && !segment.is_empty();
                    if !is_variable && expected != "*" && expected != segment {
                        return false;
                    }
                }
                (None, Some(_)) | (Some(_), None) => return false,
            }
        }
    }
}

/// What is wrong with a segment, and after how many characters.
fn fault(segment: &str) -> Option<(usize, &'static str)> {
    let mut open = None;
    for (at, character) in segment.chars().enumerate() {
        match (character, open) {
            ('{', None) => open = Some(at),
            ('{', Some(_)) => return Some((at, "a brace is opened within braces")),
            ('}', None) => return Some((at, "a brace is closed that is not open")),
            ('}', Some(_)) => open = None,
            ('*', None) => return Some((at, "* must be a whole segment")),
            ('?' | '#', _) => return Some((at, "the query is no part of a path")),
            _ => {}
        }
    }
    if let Some(at) = open {
        return Some((at, "this brace is not closed"));
    }
    let at = segment.chars().position(|character| character == '{')?;
    let is_whole = segment.starts_with('{') && segment.ends_with('}');
    (!is_whole).then_some((at, "what is in braces must be a whole segment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_that_can_never_match_is_refused() {
        for (template, expected) in [
            ("{", "it does not begin with a slash (character 1)"),
            ("", "it does not begin with a slash (character 1)"),
            ("noslash", "it does not begin with a slash (character 1)"),
            ("nonsense{", "it does not begin with a slash (character 1)"),
            ("{id}/a", "it does not begin with a slash (character 1)"),
            ("/a/{", "this brace is not closed (character 4)"),
            ("/ä/b}", "a brace is closed that is not open (character 5)"),
            ("/{a{b}}", "a brace is opened within braces (character 4)"),
            ("/items/{id}.json", "what is in braces must be a whole segment (character 8)"),
            ("/items/v{id}", "what is in braces must be a whole segment (character 9)"),
            ("/static*", "* must be a whole segment (character 8)"),
            ("/items?id={id}", "the query is no part of a path (character 7)"),
        ] {
            let error = template.parse::<Route>().expect_err(template);
            assert_eq!(error.to_string(), format!("no path can match, for {expected}"), "{template}");
        }
    }

    #[test]
    fn a_template_matches_segments() {
        for (template, path, expected) in [
            ("/", "/", true),
            ("*", "/a/b", true),
            ("/*", "/a/b", true),
            ("/a/*/c", "/a/b/c", true),
            ("/a/*/c", "/a/b/b/c", false),
            ("/{a}/{b}", "/x/y", true),
            ("/{a}", "/", false),
            ("/a/", "/a", false),
        ] {
            let route: Route = template.parse().expect(template);
            assert_eq!(route.matches(path), expected, "{template} {path}");
        }
    }
}
