//! Looking at queues from outside, also beside the gateway that has them: nothing is changed and nothing is locked.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rootspan_journal::directory::Directory as _;
use rootspan_journal::directory::files::FilesDirectory;
use rootspan_journal::journal::{Journal, JournalError, Sequence};
use rootspan_model::time::UnixNanos;
use rootspan_wire::otlp::payload::Signal;

use super::book::Recovering;
use super::disk::QUEUE_FOLDER;
use super::frame::{DeadLetter, Frame};
use super::letters::DEAD_LETTER_FOLDER;

/// The queue of one exporter for one signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Id of the exporter. A long one is shortened.
    pub exporter: String,
    /// What it gets.
    pub signal: Signal,
    /// Where it is.
    pub folder: PathBuf,
}

/// What is in a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Requests that wait.
    pub requests: u64,
    /// Their spans, data points or records.
    pub items: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the oldest of them was taken.
    pub oldest: Option<UnixNanos>,
    /// Dead letters by the back end's reason: how many, and how many items.
    pub dead_letters: BTreeMap<String, (u64, u64)>,
    /// A sentence for each damaged place.
    pub damaged: Vec<String>,
}

/// A request that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// When it was taken from its sender.
    pub taken: UnixNanos,
    /// When and why the back end refused it, if it is a dead letter.
    pub refused: Option<(UnixNanos, String)>,
    /// What it tells of.
    pub signal: Signal,
    /// The OTLP request.
    pub request: Bytes,
}

/// Every queue below the folder of a `file_storage`.
///
/// # Errors
/// Those of the folder.
pub fn queues(directory: &Path) -> io::Result<Vec<Queue>> {
    let top = FilesDirectory::open(directory)?;
    let mut found = Vec::new();
    for exporter in top.list("")?.into_iter().filter(|entry| entry.is_folder) {
        for entry in top.list(&exporter.name)?.into_iter().filter(|entry| entry.is_folder) {
            let Some(signal) = Signal::from_name(&entry.name) else { continue };
            let folder = directory.join(&exporter.name).join(&entry.name);
            found.push(Queue { exporter: exporter_id(&exporter.name), signal, folder });
        }
    }
    Ok(found)
}

/// The id that a folder's name stands for.
fn exporter_id(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = tail.first_chunk::<2>().filter(|_| *first == b'%');
        let byte = escaped.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Queue {
    /// Counts what is in it.
    ///
    /// # Errors
    /// One sentence.
    pub fn contents(&self) -> Result<Contents, String> {
        let mut contents = Contents::default();
        contents.damaged = self.waiting(&mut |found, items| {
            contents.requests += 1;
            contents.items += items;
            contents.bytes += found.request.len() as u64;
            contents.oldest = contents.oldest.into_iter().chain([found.taken]).min();
            Ok(())
        })?;
        let damaged = self.letters(&mut |letter| {
            let counts = contents.dead_letters.entry(letter.reason.clone()).or_default();
            *counts = (counts.0 + 1, counts.1 + u64::from(letter.items));
            Ok(())
        })?;
        contents.damaged.extend(damaged);
        Ok(contents)
    }

    /// Hands over every request that waits, or every dead letter, in order.
    ///
    /// # Errors
    /// One sentence; that of `take`, if it ends it.
    pub fn export(
        &self,
        dead_letters: bool,
        take: &mut dyn FnMut(Found) -> Result<(), String>,
    ) -> Result<Vec<String>, String> {
        if !dead_letters {
            return self.waiting(&mut |found, _| take(found));
        }
        self.letters(&mut |letter| {
            let DeadLetter { signal, refused, taken, reason, request, .. } = letter;
            take(Found { taken, refused: Some((refused, reason)), signal, request })
        })
    }

    /// Twice through the journal: what was delivered is told behind it.
    fn waiting(&self, take: &mut dyn FnMut(Found, u64) -> Result<(), String>) -> Result<Vec<String>, String> {
        let mut recovering = Recovering::default();
        let damaged = self.look_at(QUEUE_FOLDER, &mut |segment, sequence, payload| {
            recovering.visit(segment, sequence, &payload);
            Ok(())
        })?;
        self.look_at(QUEUE_FOLDER, &mut |_, sequence, payload| match Frame::decode(&payload) {
            Some(Frame::Request(head, request)) if !recovering.is_done(sequence) => {
                let found = Found { taken: head.taken, refused: None, signal: head.signal, request };
                take(found, u64::from(head.items))
            }
            _ => Ok(()),
        })?;
        Ok(damaged)
    }

    fn letters(&self, take: &mut dyn FnMut(DeadLetter) -> Result<(), String>) -> Result<Vec<String>, String> {
        self.look_at(DEAD_LETTER_FOLDER, &mut |_, _, payload| match DeadLetter::decode(&payload) {
            Some(letter) => take(letter),
            None => Ok(()),
        })
    }

    fn look_at(
        &self,
        folder: &str,
        take: &mut dyn FnMut(Sequence, Sequence, Bytes) -> Result<(), String>,
    ) -> Result<Vec<String>, String> {
        let directory = FilesDirectory::open(&self.folder).map_err(|error| super::describe(&error))?;
        let mut visit = |segment: Sequence, sequence: Sequence, payload: Bytes| {
            let taken = take(segment, sequence, payload);
            taken.map_err(|reason| JournalError::Replay { sequence: sequence.0, reason })
        };
        match Journal::look_at(&directory, folder, &mut visit) {
            Err(error) if error.io_kind() == Some(io::ErrorKind::NotFound) => Ok(Vec::new()),
            other => other.map_err(|error| super::describe(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extensions::file_storage::folder_name;

    #[test]
    fn folders_tell_whose_they_are() {
        for id in ["otlp", "otlp/../..", "otlp/100%", "otlphttp/ä-b_c"] {
            assert_eq!(exporter_id(&folder_name(id)), id);
        }
        assert_eq!(exporter_id("%zz%4"), "%zz%4");
    }
}
