//! One block: an immutable Parquet file of the spans of one hour, sorted by trace, with its own index inside.
//!
//! [`write`] makes it, [`read`] reads columns of chosen rows, `rebuild` and `loose` turn rows back into OTLP.
//! `schema` documents the columns, `index` the part of a block that is kept decoded.

pub(crate) mod attributes;
mod columns;
pub(crate) mod entry;
pub(crate) mod filter;
pub(crate) mod index;
pub(crate) mod loose;
mod pages;
pub(crate) mod read;
pub(crate) mod rebuild;
pub(crate) mod schema;
pub(crate) mod write;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader};
use rootspan_journal::directory::checksum::{ChecksummedFile, ChecksummedWriter, rename};
use rootspan_journal::directory::{Directory, ReadableFile};

use crate::cache::Cache;
use entry::{BlockEntry, DAMAGED, FOOTER_KEY, FORMAT, Section, UNFINISHED};
use filter::Filter;
use index::BlockIndex;
use pages::Footer;
use read::Source;

/// A block that is part of the store.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) entry: BlockEntry,
    directory: Arc<dyn Directory>,
    /// A read found it damaged: it is left out until the maintenance thread has set it aside.
    damaged: AtomicBool,
}

/// Decoded parts of blocks, each kind within its own bound.
#[derive(Debug)]
pub(crate) struct Caches {
    files: Cache<ChecksummedFile>,
    footers: Cache<Footer>,
    indexes: Cache<BlockIndex>,
    trace_filters: Cache<Filter>,
    value_filters: Cache<Filter>,
}

/// A block lists at most some thousand span names.
const MAX_OPERATIONS_BYTES: usize = 16 << 20;
/// Far below the usual limit of 1,024 descriptors per process, which sockets need too.
const MAX_OPEN_FILES: usize = 256;
/// Footers of some 150 blocks.
const FOOTER_CACHE_BYTES: usize = 24 << 20;
/// Indexes of some 60 blocks.
const INDEX_CACHE_BYTES: usize = 32 << 20;
/// Trace filters of some 2,000 blocks: every trace lookup asks all of them.
const TRACE_FILTER_CACHE_BYTES: usize = 16 << 20;
const VALUE_FILTER_CACHE_BYTES: usize = 16 << 20;

impl Caches {
    pub(crate) fn new() -> Self {
        Self {
            files: Cache::new(MAX_OPEN_FILES),
            footers: Cache::new(FOOTER_CACHE_BYTES),
            indexes: Cache::new(INDEX_CACHE_BYTES),
            trace_filters: Cache::new(TRACE_FILTER_CACHE_BYTES),
            value_filters: Cache::new(VALUE_FILTER_CACHE_BYTES),
        }
    }

    pub(crate) fn remove(&self, block: u64) {
        self.files.remove(block);
        self.footers.remove(block);
        self.indexes.remove(block);
        self.trace_filters.remove(block);
        self.value_filters.remove(block);
    }
}

impl Block {
    /// A block whose entry is known. Its file is opened when it is first read.
    pub(crate) const fn new(directory: Arc<dyn Directory>, entry: BlockEntry) -> Self {
        Self { entry, directory, damaged: AtomicBool::new(false) }
    }

    fn file(&self, caches: &Caches) -> io::Result<Arc<ChecksummedFile>> {
        caches.files.get(self.entry.id, || {
            if self.entry.format != FORMAT {
                return Err(damaged(format!("{} has the unknown format {}", self.entry.path(), self.entry.format)));
            }
            Ok((ChecksummedFile::open(self.directory.as_ref(), &self.entry.path())?, 1))
        })
    }

    /// The entry in the footer of a block that no manifest names.
    pub(crate) fn read_entry(directory: &dyn Directory, path: &str) -> io::Result<BlockEntry> {
        let file = ChecksummedFile::open(directory, path)?;
        let source = Source::new(Arc::new(file));
        let metadata = ParquetMetaDataReader::new()
            .with_page_index_policy(PageIndexPolicy::Skip)
            .parse_and_finish(&source)
            .map_err(|error| damaged(format!("{path}: {error}")))?;
        let values = metadata.file_metadata().key_value_metadata();
        let value = values.and_then(|values| values.iter().find(|value| value.key == FOOTER_KEY));
        let json = value.and_then(|value| value.value.as_deref());
        let json = json.ok_or_else(|| damaged(format!("{path} is no block of this store")))?;
        let mut entry: BlockEntry = serde_json::from_str(json).map_err(|error| damaged(format!("{path}: {error}")))?;
        entry.bytes = source.file().length()?;
        let Section { offset, length } = entry.operations_section;
        let compressed = source.file().read(offset, usize::try_from(length).map_err(io::Error::other)?)?;
        let operations = zstd::bulk::decompress(&compressed, MAX_OPERATIONS_BYTES)?;
        entry.operations = serde_json::from_slice(&operations).map_err(|error| damaged(format!("{path}: {error}")))?;
        Ok(entry)
    }

    pub(crate) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Acquire)
    }

    /// True for the first who says so.
    pub(crate) fn set_damaged(&self) -> bool {
        !self.damaged.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn source(&self, caches: &Caches) -> io::Result<Source> {
        Ok(Source::new(self.file(caches)? as Arc<dyn ReadableFile>))
    }

    pub(crate) fn footer(&self, caches: &Caches) -> io::Result<Arc<Footer>> {
        caches.footers.get(self.entry.id, || {
            let metadata = ParquetMetaDataReader::new()
                .with_column_index_policy(PageIndexPolicy::Skip)
                .with_offset_index_policy(PageIndexPolicy::Required)
                .parse_and_finish(&self.source(caches)?)
                .map_err(|error| self.malformed(&error))?;
            if metadata.file_metadata().num_rows().cast_unsigned() != self.entry.spans || metadata.num_row_groups() != 1
            {
                return Err(self.malformed(&"its footer and the manifest disagree"));
            }
            // The columns are there twice.
            let size = metadata.memory_size() * 2;
            let footer = Footer::new(metadata).map_err(|error| self.malformed(&error))?;
            Ok((footer, size))
        })
    }

    pub(crate) fn index(&self, caches: &Caches) -> io::Result<Arc<BlockIndex>> {
        caches.indexes.get(self.entry.id, || {
            let section = self.index_section(caches)?;
            let index = BlockIndex::decode(&section).map_err(|error| self.malformed(&error))?;
            if index.traces.row_count() != self.entry.spans {
                return Err(self.malformed(&"its index and the manifest disagree"));
            }
            let size = index.size;
            Ok((index, size))
        })
    }

    fn index_section(&self, caches: &Caches) -> io::Result<Bytes> {
        self.section(caches, self.entry.index)
    }

    pub(crate) fn trace_filter(&self, caches: &Caches) -> io::Result<Arc<Filter>> {
        caches.trace_filters.get(self.entry.id, || self.filter(caches, self.entry.trace_filter))
    }

    pub(crate) fn value_filter(&self, caches: &Caches) -> io::Result<Arc<Filter>> {
        caches.value_filters.get(self.entry.id, || self.filter(caches, self.entry.value_filter))
    }

    fn filter(&self, caches: &Caches, section: Section) -> io::Result<(Filter, usize)> {
        // The read is widened to whole checksummed units; a copy keeps only the filter.
        let bytes = Bytes::copy_from_slice(&self.section(caches, section)?);
        let size = bytes.len();
        Ok((Filter::from_bytes(bytes), size))
    }

    fn section(&self, caches: &Caches, section: Section) -> io::Result<Bytes> {
        let length = usize::try_from(section.length).map_err(io::Error::other)?;
        self.file(caches)?.read(section.offset, length)
    }

    /// Checksums are right and the content is not: a bug or foreign hands, treated as damage.
    pub(crate) fn malformed(&self, reason: &dyn std::fmt::Display) -> io::Error {
        damaged(format!("{} cannot be read: {reason}", self.entry.path()))
    }
}

/// Writes a block under its unfinished name and makes its bytes durable. The caller renames it.
pub(crate) fn write_file(directory: &dyn Directory, entry: &mut BlockEntry, bytes: &[u8]) -> io::Result<()> {
    let path = unfinished_path(entry);
    let mut writer = ChecksummedWriter::create(directory, &path)?;
    writer.append(bytes)?;
    entry.bytes = writer.finish()?;
    Ok(())
}

/// Gives a finished block its final name; durable once the folder is synced.
pub(crate) fn publish_file(directory: &dyn Directory, entry: &BlockEntry) -> io::Result<()> {
    rename(directory, &unfinished_path(entry), &entry.path())
}

/// Renames a damaged block so that nobody reads it and its bytes remain for whoever wants to look.
pub(crate) fn set_aside(directory: &dyn Directory, path: &str) -> io::Result<()> {
    directory.rename(path, &format!("{path}{DAMAGED}"))
}

pub(crate) fn unfinished_path(entry: &BlockEntry) -> String {
    format!("{}{UNFINISHED}", entry.path())
}

fn damaged(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
pub(crate) mod tests;
