//! `file_storage`: the folder in which exporters with `sending_queue.storage` keep their queues, and receivers of files with
//! `storage` how far they have read.
//!
//! ```yaml
//! extensions: {file_storage: {directory: /var/lib/rootspan/queues}}
//! exporters: {otlp: {endpoint: "backend:4317", sending_queue: {storage: file_storage}}}
//! service: {extensions: [file_storage]}
//! ```
//!
//! Each exporter has a folder of its own for each signal, `<directory>/<exporter>/<signal>`, with the queue in `queue` and
//! what the back end refused for good in `dead-letters`; `runtime/delivery/storage` says what is in them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rootspan_wire::otlp::payload::Signal;
use sha2::{Digest as _, Sha256};

use rootspan_model::spelling::did_you_mean;

use crate::config;
use crate::config::Config;
use crate::config::components::{Exporter, Extension, Receiver};
use crate::config::decode::Decode;
use crate::config::id::ExtensionReference;
use crate::config::node::{Entry, Node};
use crate::config::problems::Problems;
use crate::config::values::{ByteSize, scalar};

config! {
    /// Keeps the queues of exporters on disk. What is acknowledged is synced to the disk first.
    pub struct FileStorageConfig {
        /// Folder of the queues; each exporter has one of its own in it.
        directory: String = "/var/lib/otelcol/file_storage",
        /// Whether the folder is created if it is missing.
        create_directory: bool = "true",
        /// Permissions of a folder that is created, octal. What is in it is readable by its owner only.
        directory_permissions: Permissions = "0750",
        /// Spans are refused while the disk has less free space than this.
        min_free_percent: f64 = "5" [percent],
        /// Most bytes of requests that a back end refused for good, for each exporter; the oldest go first. 0 keeps none.
        dead_letter_max_bytes: ByteSize = "256MiB",
        /// How long they are kept; 0 is for ever.
        dead_letter_retention: Duration = "168h",
    }
    ignored {
        "timeout": "the lock of a folder is had at once or not at all",
        "fsync": "what is acknowledged is always synced",
        "compaction": "whole files are removed once they are delivered",
        "recreate": "what is damaged is counted and passed over, the rest is delivered",
    }
}

impl FileStorageConfig {
    /// Decodes and checks.
    pub(crate) fn decode_checked(entry: &Entry, problems: &mut Problems) -> Option<Self> {
        let config = Self::decode(&entry.value, problems)?;
        if config.directory.is_empty() {
            problems.error(&entry.position, "`directory` must not be empty");
        }
        if !(0.0..100.0).contains(&config.min_free_percent) {
            problems.error(&entry.position, "`min_free_percent` is at least 0 and below 100");
        }
        Some(config)
    }

    /// The folder of a receiver that keeps how far it has read.
    #[must_use]
    pub fn folder_of_receiver(&self, receiver: &str) -> PathBuf {
        Path::new(&self.directory).join(folder_name(receiver)).join("places")
    }

    /// The folder of a receiver that keeps which objects it has read.
    #[must_use]
    pub fn folder_of_objects(&self, receiver: &str) -> PathBuf {
        Path::new(&self.directory).join(folder_name(receiver)).join("objects")
    }

    /// The folder of one exporter.
    #[must_use]
    pub fn folder(&self, exporter: &str, signal: Signal) -> PathBuf {
        Path::new(&self.directory).join(folder_name(exporter)).join(signal.name())
    }
}

/// Checks every reference: a queue on disk needs an extension that is one, and runs. `defined` are the ids of all
/// extensions, also of those with mistakes of their own.
pub(crate) fn check(config: &Config, defined: &[String], problems: &mut Problems) {
    for queue in config.exporters.values().filter_map(Exporter::sending_queue) {
        let Some(reference) = &queue.storage else { continue };
        if queue.wait_for_result {
            let message = "`wait_for_result` and `storage` exclude each other: what is on disk is answered";
            problems.error(&reference.position, message);
        }
        check_reference(reference, config, defined, problems);
    }
    config
        .receivers
        .values()
        .flat_map(Receiver::storages)
        .for_each(|reference| check_reference(reference, config, defined, problems));
}

fn check_reference(reference: &ExtensionReference, config: &Config, defined: &[String], problems: &mut Problems) {
    let ExtensionReference { id, position } = reference;
    let text = id.to_string();
    if !defined.contains(&text) {
        let hint = did_you_mean(&text, defined.iter().map(String::as_str));
        problems.error(position, format!("the extension `{text}` is not defined under `extensions`{hint}"));
        return;
    }
    if !config.service.extensions.iter().any(|(running, _)| running == id) {
        problems.error(position, format!("the extension `{text}` does not run: add it to `service.extensions`"));
    }
    // One with a mistake of its own is not there.
    if config.extensions.get(id).is_some_and(|extension| !matches!(extension, Extension::FileStorage(_))) {
        problems.error(position, format!("the extension `{text}` keeps nothing; `file_storage` does"));
    }
}

/// The permissions of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permissions(pub u32);

impl Decode for Permissions {
    const KIND: &'static str = "octal permissions such as '0750'";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let text = scalar(node, Self::KIND, problems)?.text.trim();
        // Without the right to enter it, its owner could not use the folder.
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777 && mode & 0o700 == 0o700);
        if mode.is_none() {
            problems.error(&node.position, format!("expected {} that let the owner in, found `{text}`", Self::KIND));
        }
        mode.map(Self)
    }
}

/// Longest folder name; file systems take 255 bytes.
const MAX_FOLDER_NAME: usize = 200;

/// A folder's name for an exporter's id: no two ids have the same, and none leads elsewhere. All but letters, digits, `_`
/// and `-` is written as `%` and two hexadecimal digits; of a long one the end is replaced by a digest.
pub(crate) fn folder_name(id: &str) -> String {
    let mut name = String::with_capacity(id.len());
    for byte in id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => name.push(char::from(byte)),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    if name.len() <= MAX_FOLDER_NAME {
        return name;
    }
    let digest = Sha256::digest(id.as_bytes());
    name.truncate(MAX_FOLDER_NAME - 33);
    name.push('~');
    digest.iter().take(16).for_each(|byte| name.push_str(&format!("{byte:02x}")));
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_names_are_distinct_and_lead_nowhere_else() {
        assert_eq!(folder_name("otlp"), "otlp");
        assert_eq!(folder_name("otlp/back-end_2"), "otlp%2Fback-end_2");
        assert_eq!(folder_name("otlp/../../etc"), "otlp%2F%2E%2E%2F%2E%2E%2Fetc");
        assert_eq!(folder_name("otlp/%2F"), "otlp%2F%252F");
        let long = |last: char| folder_name(&format!("otlp/{}{last}", "ä".repeat(300)));
        assert_eq!(long('a').len(), MAX_FOLDER_NAME);
        assert_ne!(long('a'), long('b'));
        assert!(long('a').contains('~'), "no short name has a tilde");
    }
}
