//! Reads columns of chosen rows.

use std::cell::OnceCell;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use parquet::column::page::PageReader;
use parquet::column::reader::{ColumnReaderImpl, get_column_reader, get_typed_column_reader};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;
use rootspan_journal::directory::ReadableFile;
use rootspan_journal::directory::checksum::UNIT_BYTES;
use zstd::bulk::Decompressor;

use super::pages::{Footer, Pages, PlainColumn, SharedDecompressor};
use super::{Block, Caches};
use crate::limits::{Guard, Stop};

/// A range of fewer rows than this share of the block is read page by page.
const NARROW_SHARE: u64 = 16;

/// A file, and a part of it that is already in memory.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    file: Arc<dyn ReadableFile>,
    window_offset: u64,
    window: Bytes,
}

impl Source {
    pub(crate) const fn new(file: Arc<dyn ReadableFile>) -> Self {
        Self { file, window_offset: 0, window: Bytes::new() }
    }

    pub(crate) fn file(&self) -> &dyn ReadableFile {
        self.file.as_ref()
    }

    fn in_window(&self, start: u64, length: usize) -> Option<Bytes> {
        let from = usize::try_from(start.checked_sub(self.window_offset)?).ok()?;
        let to = from.checked_add(length)?;
        (to <= self.window.len()).then(|| self.window.slice(from..to))
    }
}

impl Length for Source {
    fn len(&self) -> u64 {
        self.file.length().unwrap_or(0)
    }
}

impl ChunkReader for Source {
    type T = io::Cursor<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let length = usize::try_from(self.len().saturating_sub(start)).map_err(external)?;
        Ok(io::Cursor::new(self.get_bytes(start, length)?))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        match self.in_window(start, length) {
            Some(bytes) => Ok(bytes),
            None => self.file.read(start, length).map_err(external),
        }
    }
}

fn external(error: impl std::error::Error + Send + Sync + 'static) -> ParquetError {
    ParquetError::External(Box::new(error))
}

/// Values of one column for the rows asked for.
#[derive(Clone, Debug)]
pub(crate) struct ColumnValues<T> {
    /// Values that are there, in order.
    pub(crate) values: Vec<T>,
    /// Definition levels; empty for a required column.
    pub(crate) definition: Vec<i16>,
    /// Repetition levels; empty unless the column repeats.
    pub(crate) repetition: Vec<i16>,
}

/// Reads columns of one block for one query.
pub(crate) struct ColumnReader<'a> {
    block: &'a Block,
    footer: Arc<Footer>,
    source: Source,
    /// Made for the first compressed column: it takes longer than reading a small one.
    decompressor: OnceCell<SharedDecompressor>,
    guard: &'a Guard,
}

impl<'a> ColumnReader<'a> {
    pub(crate) fn open(block: &'a Block, caches: &Caches, guard: &'a Guard) -> Result<Self, Stop> {
        guard.check()?;
        Ok(Self {
            block,
            footer: block.footer(caches)?,
            source: block.source(caches)?,
            decompressor: OnceCell::new(),
            guard,
        })
    }

    /// Reads the columns' bytes at once: for those who need most columns of few rows. One read of some MB costs less
    /// than a hundred small ones that each check a whole unit.
    pub(crate) fn load_all(&mut self) -> Result<(), Stop> {
        let end = self.block.entry.index.offset;
        self.guard.charge(end)?;
        self.source.window = self.source.file.read(0, usize::try_from(end).map_err(io::Error::other)?)?;
        Ok(())
    }

    pub(crate) fn leaf_count(&self) -> usize {
        self.footer.metadata.file_metadata().schema_descr().num_columns()
    }

    /// The name of a leaf column: the attribute's key.
    pub(crate) fn leaf_name(&self, leaf: usize) -> String {
        self.footer.metadata.file_metadata().schema_descr().column(leaf).name().to_owned()
    }

    pub(crate) fn physical_type(&self, leaf: usize) -> parquet::basic::Type {
        self.footer.metadata.file_metadata().schema_descr().column(leaf).physical_type()
    }

    /// The values of `rows`, which are ascending and do not overlap.
    pub(crate) fn read<T: DataType>(&self, leaf: usize, rows: &[Range<u32>]) -> Result<ColumnValues<T::T>, Stop> {
        let count: usize = rows.iter().map(|range| (range.end - range.start) as usize).sum();
        let mut column =
            ColumnValues { values: Vec::with_capacity(count), definition: Vec::new(), repetition: Vec::new() };
        // One trace needs a page or two of a column, not all of it.
        let is_narrow = rows.len() <= 1 && count as u64 * NARROW_SHARE < self.block.entry.spans;
        let mut reader = self.column::<T>(leaf, is_narrow)?;
        let descriptor = self.footer.metadata.file_metadata().schema_descr().column(leaf);
        let is_optional = descriptor.max_def_level() > 0;
        let is_repeated = descriptor.max_rep_level() > 0;
        let mut position = 0;
        for range in rows {
            let skip = (range.start - position) as usize;
            if skip > 0 {
                reader.skip_records(skip).map_err(|error| self.error(error))?;
            }
            let length = (range.end - range.start) as usize;
            let definition = is_optional.then_some(&mut column.definition);
            let repetition = is_repeated.then_some(&mut column.repetition);
            let read = reader.read_records(length, definition, repetition, &mut column.values);
            let (records, _, _) = read.map_err(|error| self.error(error))?;
            if records != length {
                return Err(self.block.malformed(&"a column has too few rows").into());
            }
            position = range.end;
        }
        Ok(column)
    }

    fn column<T: DataType>(&self, leaf: usize, is_narrow: bool) -> Result<ColumnReaderImpl<T>, Stop> {
        let Some(PlainColumn { chunk, is_compressed }) = self.footer.columns.get(leaf) else {
            return Err(self.block.malformed(&"it has fewer columns than its index says").into());
        };
        let (start, length) = chunk.byte_range();
        let mut source = self.source.clone();
        let length = usize::try_from(length).map_err(io::Error::other)?;
        if let Some(window) = self.source.in_window(start, length) {
            source.window = window;
        } else if is_narrow {
            self.guard.charge(UNIT_BYTES as u64)?;
        } else {
            self.guard.charge(length as u64)?;
            source.window = self.source.file.read(start, length)?;
        }
        source.window_offset = start;
        let rows = usize::try_from(self.block.entry.spans).map_err(io::Error::other)?;
        let locations = self.footer.metadata.page_index().and_then(|index| index.page_locations(0, leaf)).cloned();
        let pages = SerializedPageReader::new(Arc::new(source), chunk, rows, locations);
        let decompressor = if *is_compressed { Some(self.decompressor()?) } else { None };
        let pages = Pages { inner: pages.map_err(|error| self.error(error))?, decompressor };
        let pages: Box<dyn PageReader> = Box::new(pages);
        let descriptor = self.footer.metadata.file_metadata().schema_descr().column(leaf);
        if descriptor.physical_type() != T::get_physical_type() {
            return Err(self.block.malformed(&"a column has another type than its index says").into());
        }
        Ok(get_typed_column_reader::<T>(get_column_reader(descriptor, pages)))
    }

    fn decompressor(&self) -> Result<SharedDecompressor, Stop> {
        if let Some(known) = self.decompressor.get() {
            return Ok(Arc::clone(known));
        }
        let new: SharedDecompressor = Arc::new(Mutex::new(Decompressor::new()?));
        Ok(Arc::clone(self.decompressor.get_or_init(|| new)))
    }

    /// Checksums are right and the content is not.
    pub(crate) fn malformed(&self, reason: &str) -> Stop {
        Stop::Block(self.block.malformed(&reason))
    }

    /// What the file layer said, or that the content makes no sense although its checksums are right.
    fn error(&self, error: ParquetError) -> Stop {
        match error {
            ParquetError::External(source) => match source.downcast::<io::Error>() {
                Ok(error) => Stop::Block(*error),
                Err(other) => Stop::Block(self.block.malformed(&other)),
            },
            other => Stop::Block(self.block.malformed(&other)),
        }
    }
}
