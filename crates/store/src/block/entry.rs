//! What the manifest and a block's own footer say of the block.

use serde::{Deserialize, Serialize};

/// Key of the entry in the Parquet footer's key-value metadata.
pub(crate) const FOOTER_KEY: &str = "rootspan.block";
/// Version of the layout of blocks.
pub(crate) const FORMAT: u32 = 1;

/// Everything that must be known of a block without reading it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BlockEntry {
    /// [`FORMAT`] of its writer.
    pub(crate) format: u32,
    /// Never reused.
    pub(crate) id: u64,
    /// Hours since 1970 of the (clamped) start of its spans: its partition.
    pub(crate) hour: u64,
    pub(crate) spans: u64,
    pub(crate) traces: u64,
    /// Earliest start of a span.
    pub(crate) min_start: u64,
    /// Latest start of a span.
    pub(crate) max_start: u64,
    /// Bytes on disk with the sidecar; 0 in the footer, which is written before they are known.
    pub(crate) bytes: u64,
    pub(crate) index: Section,
    pub(crate) trace_filter: Section,
    pub(crate) value_filter: Section,
    /// The seal that made it.
    pub(crate) seal: Seal,
    /// zstd of the JSON of `operations`.
    pub(crate) operations_section: Section,
    /// Services and their span names; empty in the footer, which would hold them uncompressed.
    pub(crate) operations: Operations,
}

/// Span names by service.
pub(crate) type Operations = Vec<(String, Vec<String>)>;

/// A part of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Section {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// One transaction from the journal to blocks. When the manifest is lost, a seal all of whose blocks are there tells
/// how far the journal has been applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seal {
    /// The last frame of the journal that is in its blocks.
    pub(crate) applied_through: u64,
    /// How many blocks it wrote.
    pub(crate) blocks: u32,
}

impl BlockEntry {
    /// Path of the file in the store's folder.
    pub(crate) fn path(&self) -> String {
        block_path(self.hour, self.id)
    }
}

/// The folder of all blocks.
pub(crate) const FOLDER: &str = "blocks";
/// Ending of a block's file name.
pub(crate) const ENDING: &str = ".parquet";
/// Ending of a file that is being written.
pub(crate) const UNFINISHED: &str = ".unfinished";
/// Ending of a file that was set aside.
pub(crate) const DAMAGED: &str = ".damaged";

/// Sorted by hour, then age.
pub(crate) fn block_path(hour: u64, id: u64) -> String {
    format!("{FOLDER}/{hour:08}-{id:012}{ENDING}")
}
