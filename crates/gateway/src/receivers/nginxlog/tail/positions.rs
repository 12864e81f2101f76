//! How far each log was read, across restarts.
//!
//! ```json
//! {"version":1,"files":[{"path":"/var/log/nginx/rootspan.log","device":2049,"inode":131,"offset":5120,"lines":9,"head_bytes":1024,
//!   "head_sha256":"…"}]}
//! ```

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Tail;
use crate::receivers::nginxlog::files::{self, Head, Identity};

/// What is remembered of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Saved {
    /// The log's name, also if the file has another one meanwhile.
    pub(in super::super) path: PathBuf,
    pub(in super::super) identity: Identity,
    pub(in super::super) offset: u64,
    pub(in super::super) lines: u64,
    pub(in super::super) head: Head,
}

/// The file of positions.
#[derive(Debug)]
pub(in super::super) struct Positions {
    file: PathBuf,
    entries: Vec<Saved>,
    /// What the file says.
    written: String,
    complaint: String,
}

impl Positions {
    /// Reads the file. One that cannot be read is as if there were none, and said: lines are then read again, which the store sees.
    pub(in super::super) fn read(file: PathBuf) -> Self {
        let read = match files::read_positions(&file) {
            Ok(None) => Ok(Vec::new()),
            Ok(Some(text)) => parse(&text).ok_or_else(|| "it has not the form of one".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let entries = read.unwrap_or_else(|reason| {
            tracing::warn!(file = %file.display(), reason, "the positions in nginx's logs cannot be read");
            Vec::new()
        });
        Self { file, entries, written: String::new(), complaint: String::new() }
    }

    /// The files of a log, oldest first.
    pub(in super::super) fn of(&self, path: &Path) -> Vec<Saved> {
        self.entries.iter().filter(|entry| entry.path == path).cloned().collect()
    }

    /// Takes over where `tails` are. A log that has no file keeps what is known of it.
    pub(in super::super) fn update(&mut self, tails: &[Tail]) {
        for tail in tails {
            let saved = tail.saved();
            if !saved.is_empty() {
                self.entries.retain(|entry| entry.path != *tail.as_ref());
                self.entries.extend(saved);
            }
        }
    }

    /// Writes the file if it says something else.
    pub(in super::super) fn write(mut self) -> Self {
        let text = print(&self.entries);
        if text == self.written || self.entries.is_empty() {
            return self;
        }
        match files::write_positions(&self.file, &text) {
            Ok(()) => {
                self.written = text;
                self.complaint.clear();
            }
            Err(error) => {
                let reason = error.to_string();
                if self.complaint != reason {
                    let file = self.file.display();
                    tracing::warn!(%file, reason, "the positions in nginx's logs cannot be written; after a restart lines are read again");
                    self.complaint = reason;
                }
            }
        }
        self
    }
}

fn parse(text: &str) -> Option<Vec<Saved>> {
    let value: Value = serde_json::from_str(text).ok()?;
    if value["version"] != 1 {
        return None;
    }
    let entry = |entry: &Value| {
        Some(Saved {
            path: entry["path"].as_str()?.into(),
            identity: Identity { device: entry["device"].as_u64()?, inode: entry["inode"].as_u64()? },
            offset: entry["offset"].as_u64()?,
            lines: entry["lines"].as_u64()?,
            head: Head { bytes: entry["head_bytes"].as_u64()?, hash: entry["head_sha256"].as_str()?.to_owned() },
        })
    };
    value["files"].as_array()?.iter().map(entry).collect()
}

fn print(entries: &[Saved]) -> String {
    let entry = |entry: &Saved| {
        json!({
            "path": entry.path.to_string_lossy(), "device": entry.identity.device, "inode": entry.identity.inode,
            "offset": entry.offset, "lines": entry.lines, "head_bytes": entry.head.bytes, "head_sha256": entry.head.hash,
        })
    };
    let files: Vec<Value> = entries.iter().map(entry).collect();
    json!({"version": 1, "files": files}).to_string() + "\n"
}
