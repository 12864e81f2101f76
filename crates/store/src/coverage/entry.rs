//! What the manifest says of a file of coverage.

use serde::{Deserialize, Serialize};

/// The folder of all files.
pub(crate) const FOLDER: &str = "coverage";
/// Ending of a file's name.
pub(crate) const ENDING: &str = ".coverage";

/// Everything that must be known of a file without reading it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CoverageEntry {
    /// Never reused, and no block's either.
    pub(crate) id: u64,
    /// Hours since 1970 of its (clamped) minutes: its partition.
    pub(crate) hour: u64,
    /// The first minute since 1970 that is counted in it.
    pub(crate) min_minute: u32,
    /// The last one.
    pub(crate) max_minute: u32,
    /// Bytes on disk with the sidecar.
    pub(crate) bytes: u64,
}

impl CoverageEntry {
    /// Path of the file in the store's folder.
    pub(crate) fn path(&self) -> String {
        coverage_path(self.hour, self.id)
    }

    /// Whether it may count something in these minutes.
    pub(crate) const fn touches(&self, first: u32, end: u32) -> bool {
        self.max_minute >= first && self.min_minute < end
    }
}

/// Sorted by hour, then age.
pub(crate) fn coverage_path(hour: u64, id: u64) -> String {
    format!("{FOLDER}/{hour:08}-{id:012}{ENDING}")
}
