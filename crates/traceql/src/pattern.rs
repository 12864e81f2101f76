//! Regular expressions: matched against the whole text, as Tempo does, and bounded in size.

use regex::{Regex, RegexBuilder};

/// Most bytes that one compiled regex may take. The largest useful ones (hundreds of alternatives) take tens of
/// kilobytes; nested repetition of character classes reaches this before it hurts.
const MAX_REGEX_BYTES: usize = 1 << 20;

/// Why a pattern is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It is no regular expression.
    #[error("invalid regular expression {pattern:?}: {reason}")]
    Malformed {
        /// The regular expression.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It takes too much memory.
    #[error("the regular expression {0:?} is too large when compiled")]
    TooLarge(String),
}

/// The regex for a pattern: anchored at both ends, bounded in size.
pub(crate) fn regex(pattern: &str) -> Result<Regex, PatternError> {
    // Compiling the bare pattern first: the error speaks of what the user wrote, and `a)|(b` cannot leave the group.
    let build =
        |text: &str| RegexBuilder::new(text).size_limit(MAX_REGEX_BYTES).dfa_size_limit(MAX_REGEX_BYTES).build();
    build(pattern).and_then(|_| build(&format!("^(?:{pattern})$"))).map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => PatternError::TooLarge(pattern.to_owned()),
        error => PatternError::Malformed { pattern: pattern.to_owned(), reason: reason(&error) },
    })
}

/// The last line of the library's multi-line drawing is the sentence.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let line = text.lines().last().unwrap_or_default().trim();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests;
