//! What is wrong with a configuration: everything at once, each with its place.

use std::fmt;
use std::sync::Arc;

/// A place in a source of configuration; lines and columns count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The file's path as the user gave it, or the name of another source.
    pub file: Arc<str>,
    /// Line, from 1; 0 in a source that has no lines, such as `--set`.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}:{}", self.file, self.column),
        }
    }
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where it is; absent if it is about no place (no file could be read, …).
    pub position: Option<Position>,
    /// What is wrong and, where it can be told, how to put it right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.position {
            Some(position) => write!(f, "{position}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// All mistakes of a configuration, one line each, and the warnings found on the way.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
    /// Variables that are not set: a warning each, or beside errors perhaps what they come from.
    unset: Vec<Problem>,
}

impl Problems {
    /// Adds a mistake.
    pub fn error(&mut self, position: &Position, message: impl Into<String>) {
        self.errors.push(Problem { position: Some(position.clone()), message: message.into() });
    }

    /// Adds a mistake that has no place.
    pub fn error_without_position(&mut self, message: impl Into<String>) {
        self.errors.push(Problem { position: None, message: message.into() });
    }

    /// Adds a mistake that was found elsewhere.
    pub(crate) fn add(&mut self, problem: Problem) {
        self.errors.push(problem);
    }

    /// Adds something that is accepted but has no effect, or that the user should know.
    pub fn warning(&mut self, position: &Position, message: impl Into<String>) {
        self.warnings.push(Problem { position: Some(position.clone()), message: message.into() });
    }

    /// Adds a variable that is not set.
    pub(crate) fn unset_variable(&mut self, position: &Position, name: &str) {
        let message = format!("the variable {name} is not set; nothing stands in its place");
        self.unset.push(Problem { position: Some(position.clone()), message });
    }

    /// Names the variables that are not set beside what is wrong.
    pub(crate) fn blame_unset(&mut self) {
        self.errors.append(&mut self.unset);
        self.sort();
    }

    /// Whether nothing is wrong; warnings do not count.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// The mistakes in the order of their places.
    #[must_use]
    pub fn errors(&self) -> &[Problem] {
        &self.errors
    }

    /// Takes the warnings out.
    pub(crate) fn take_warnings(&mut self) -> Vec<Problem> {
        self.warnings.append(&mut self.unset);
        self.sort();
        std::mem::take(&mut self.warnings)
    }

    /// Sorts by place and leaves out repetitions (a default may be decoded more than once).
    pub(crate) fn sort(&mut self) {
        for list in [&mut self.errors, &mut self.warnings] {
            list.sort();
            list.dedup();
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.errors.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
