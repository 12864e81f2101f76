//! `file`: every request into a file, as OTLP JSON (a line each) or as protobuf (each behind its length).
//!
//! ```yaml
//! exporters:
//!   file:
//!     path: /var/lib/rootspan/traces.json
//!     rotation: {max_megabytes: 100, max_backups: 10}
//! ```
//!
//! No queue: a request is acknowledged when it is written; the kernel puts it on disk.

mod files;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rootspan_wire::otlp::json::write_request;

use super::otlp::Form;
use super::{Export, Exported, Exporter};
use crate::ack::Refusal;
use crate::batch::Batch;
use crate::clock::Clock;
use crate::config;
use crate::config::decode::Decode;
use crate::config::node::{Entry, Node};
use crate::config::problems::Problems;
use crate::config::values::choice;
use crate::ledger::RefusalReason;
use crate::tasks;
use files::Files;

/// When to try again after the disk failed: somebody has to do something about it.
const DISK_RETRY: Duration = Duration::from_secs(5);
/// Zstandard's usual level.
const ZSTD_LEVEL: i32 = 3;

config! {
    /// Every request into a file.
    pub struct FileConfig {
        /// The file; its folder must exist unless `create_directory` is set.
        path: String,
        /// `json` or `proto`.
        format: Form = "json",
        /// `none` or `zstd`: each request by itself.
        compression: FileCompression = "none",
        /// Whether a file that is there is continued. With `rotation` it always is.
        append: bool = "false",
        /// Whether the folder is made.
        create_directory: bool = "false",
        /// When a new file is begun.
        rotation: Option<RotationConfig>,
    }
    known { "group_by", "encoding", "directory_permissions" }
    ignored { "flush_interval": "every request is written at once" }
}

config! {
    /// When a new file is begun; the old one gets the time into its name.
    pub struct RotationConfig {
        /// Longest file.
        max_megabytes: u64 = "100" [MB],
        /// Most old files; 0 is no limit.
        max_backups: u64 = "100",
        /// Old files are removed when they were set aside longer ago; 0 is no limit. Looked at when a file is begun.
        max_days: u64 = "0" [days],
        /// Local time in their names: only `false`, for names sort by age in UTC alone.
        localtime: bool = "false",
    }
}

/// How requests are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileCompression {
    /// Not.
    None,
    /// Zstandard.
    Zstd,
}

impl Decode for FileCompression {
    const KIND: &'static str = "none or zstd";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        choice(node, problems, &[("none", Self::None), ("zstd", Self::Zstd)])
    }
}

impl FileConfig {
    /// Decodes and checks the path.
    pub(crate) fn decode_checked(entry: &Entry, problems: &mut Problems) -> Option<Self> {
        let config = Self::decode(&entry.value, problems)?;
        if config.path.is_empty() {
            problems.error(&entry.position, "`path` must not be empty");
        }
        if config.rotation.as_ref().is_some_and(|rotation| rotation.max_megabytes == 0) {
            problems.error(&entry.position, "`rotation.max_megabytes` must be above 0");
        }
        if config.rotation.as_ref().is_some_and(|rotation| rotation.localtime) {
            let reason = "`rotation.localtime: true` is known to the OpenTelemetry Collector, not supported by rootspan: names have UTC";
            problems.error(&entry.position, reason);
        }
        Some(config)
    }
}

/// The exporter.
#[derive(Debug)]
pub(crate) struct FileExporter {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    form: Form,
    compression: FileCompression,
    files: Mutex<Files>,
}

impl FileExporter {
    /// Opens the file; an error is one sentence.
    pub(crate) fn open(config: &FileConfig, clock: Clock) -> Result<Self, String> {
        let files = Files::open(config, clock).map_err(|error| format!("{}: {error}", config.path))?;
        let (form, compression) = (config.format, config.compression);
        Ok(Self { shared: Arc::new(Shared { form, compression, files: Mutex::new(files) }) })
    }
}

impl Exporter for FileExporter {
    fn export(&self, batch: Batch) -> Export {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            match tasks::blocking("write to a file", move || shared.write(&batch)).await {
                Some(Ok(())) => Exported::DELIVERED,
                Some(Err(error)) => {
                    let reason = match error.kind() {
                        std::io::ErrorKind::StorageFull => RefusalReason::DiskFull,
                        _ => RefusalReason::Unavailable,
                    };
                    Exported::Failed(Refusal::retry(reason, format!("cannot write: {error}"), DISK_RETRY))
                }
                None => Exported::Failed(Refusal::never(RefusalReason::Unavailable, "the batch cannot be written")),
            }
        })
    }
}

impl Shared {
    fn write(&self, batch: &Batch) -> std::io::Result<()> {
        let record = self.record(batch)?;
        // A write that failed leaves the file as it was, so a poisoned lock guards nothing broken.
        self.files.lock().unwrap_or_else(PoisonError::into_inner).append(&record)
    }

    /// One request as the file holds it: JSON is a line; everything else stands behind its length, four bytes,
    /// big-endian, as the collector writes it.
    fn record(&self, batch: &Batch) -> std::io::Result<Vec<u8>> {
        let mut message = Vec::new();
        match self.form {
            Form::Json => write_request(batch.payload(), &mut message)?,
            Form::Protobuf => message.extend_from_slice(batch.bytes()),
        }
        let message = match self.compression {
            FileCompression::None if self.form == Form::Json => {
                message.push(b'\n');
                return Ok(message);
            }
            FileCompression::None => message,
            FileCompression::Zstd => zstd::bulk::compress(&message, ZSTD_LEVEL)?,
        };
        let length = u32::try_from(message.len()).map_err(|_| std::io::ErrorKind::FileTooLarge)?;
        Ok([length.to_be_bytes().as_slice(), &message].concat())
    }
}

#[cfg(test)]
mod tests;
