//! Follows files for the receivers that read them: finds them by their patterns, follows them through rotation, reads whole
//! lines within the budget, and remembers how far it came once that was acknowledged.
//!
//! A log is rotated in one of two ways. *Renamed*: the name leads to another file; what writes it may go on in the old one for a
//! while, so that is read until it has not grown for [`LINGER`]. *Copied and cut*: the file is shorter than what was read, or begins
//! otherwise; what was not read yet is in the copy, which begins as the log did. Both can happen while nobody looks, so it is
//! remembered how each file began, and a file beside it that begins so is where to go on. That holds for what a compressed file
//! unpacks to, too: a log that is compressed after it was read is not read again.
//!
//! [`files`] touches the disk, [`place`] says which file is which, [`tracker`] keeps them, [`pieces`] cuts at the ends of lines, and
//! [`follower::Follower`] is what a
//! receiver asks for the next piece.

mod files;
pub(crate) mod follower;
pub(crate) mod glob;
pub mod packing;
pub(crate) mod pieces;
mod place;
pub mod start_at;
pub(crate) mod stdin;
pub(crate) mod tracker;

use std::path::PathBuf;
use std::time::Duration;

use glob::Pattern;
use packing::Packing;
use pieces::Cutting;

use crate::config::problems::{Position, Problems};

/// How long a file that its name has left is read after it has grown last: what writes it reopens its logs within a moment, but a
/// worker that still has long requests writes when these end.
const LINGER: Duration = Duration::from_secs(60);

/// What is followed, and how.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The receiver, for messages.
    pub(crate) id: String,
    pub(crate) include: Vec<Pattern>,
    pub(crate) exclude: Vec<Pattern>,
    /// Files that were not written to for so long are left out; 0 takes all.
    pub(crate) exclude_older_than: Duration,
    /// Files that are there at the start and were not read before are read from their ends.
    pub(crate) from_the_end: bool,
    pub(crate) packing: Packing,
    /// A last line without an end is taken, if it is whole, after the file did not change for so long.
    pub(crate) flush_after: Duration,
    pub(crate) cutting: Cutting,
    /// What the receiver must know of the beginning of a file that is read from its end.
    pub(crate) note_of: fn(&[u8]) -> Option<String>,
    /// The folder in which the places are kept; `None`: in memory only.
    pub(crate) storage: Option<PathBuf>,
}

/// The patterns that these texts stand for; an error is one sentence.
pub(crate) fn patterns(texts: &[String]) -> Result<Vec<Pattern>, String> {
    let parsed: Result<Vec<Vec<Pattern>>, String> = texts.iter().map(|text| Pattern::parse(text)).collect();
    Ok(parsed?.into_iter().flatten().collect())
}

/// Says what is wrong with the patterns of a section.
pub(crate) fn check_patterns(include: &[String], exclude: &[String], position: &Position, problems: &mut Problems) {
    for text in include.iter().chain(exclude) {
        if let Err(reason) = Pattern::parse(text) {
            problems.error(position, reason);
        }
    }
}

#[cfg(test)]
mod tests;
