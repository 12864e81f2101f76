//! Pages of a column, decompressed by one context for all columns.
//!
//! parquet's page reader makes a zstd compression *and* a decompression context for each column it opens; for a lookup
//! of a few rows in dozens of columns that took a third of the time. So it is told that the column is not compressed,
//! and its pages are decompressed here.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::basic::{Compression, CompressionCodec};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::serialized_reader::SerializedPageReader;
use zstd::bulk::Decompressor;

use super::read::Source;

/// A page holds some thousand rows; a value has at most some MB. More is damage.
const MAX_PAGE_BYTES: u64 = 1 << 30;

/// Decompresses pages; shared by the columns of one read.
pub(super) type SharedDecompressor = Arc<Mutex<Decompressor<'static>>>;

/// A block's metadata, and its columns as if they were not compressed.
#[derive(Debug)]
pub(crate) struct Footer {
    pub(crate) metadata: ParquetMetaData,
    pub(super) columns: Vec<PlainColumn>,
}

/// A column, and whether it is compressed after all.
#[derive(Debug)]
pub(super) struct PlainColumn {
    pub(super) chunk: ColumnChunkMetaData,
    pub(super) is_compressed: bool,
}

impl Footer {
    /// Of a file with one row group.
    pub(crate) fn new(metadata: ParquetMetaData) -> Result<Self, ParquetError> {
        let columns = metadata
            .row_group(0)
            .columns()
            .iter()
            .map(|chunk| {
                let is_compressed = chunk.compression_codec() != CompressionCodec::UNCOMPRESSED;
                let chunk = chunk.clone().into_builder().set_compression(Compression::UNCOMPRESSED).build()?;
                Ok(PlainColumn { chunk, is_compressed })
            })
            .collect::<Result<_, ParquetError>>()?;
        Ok(Self { metadata, columns })
    }
}

/// See the module.
pub(super) struct Pages {
    pub(super) inner: SerializedPageReader<Source>,
    /// `None`: the column is not compressed.
    pub(super) decompressor: Option<SharedDecompressor>,
}

impl Pages {
    fn plain(&self, page: Page) -> Result<Page, ParquetError> {
        let Some(decompressor) = &self.decompressor else { return Ok(page) };
        let decompress = |bytes: &Bytes| -> Result<Bytes, ParquetError> {
            let length = zstd::zstd_safe::get_frame_content_size(bytes).ok().flatten().unwrap_or(0);
            if length > MAX_PAGE_BYTES {
                return Err(ParquetError::General(format!("a page of {length} bytes")));
            }
            let length = usize::try_from(length).map_err(|error| ParquetError::External(Box::new(error)))?;
            let mut decompressor = decompressor.lock().unwrap_or_else(PoisonError::into_inner);
            let plain = decompressor.decompress(bytes, length);
            Ok(Bytes::from(plain.map_err(|error| ParquetError::General(error.to_string()))?))
        };
        Ok(match page {
            Page::DataPage { buf, num_values, encoding, def_level_encoding, rep_level_encoding, statistics } => {
                let buf = decompress(&buf)?;
                Page::DataPage { buf, num_values, encoding, def_level_encoding, rep_level_encoding, statistics }
            }
            Page::DictionaryPage { buf, num_values, encoding, is_sorted } => {
                Page::DictionaryPage { buf: decompress(&buf)?, num_values, encoding, is_sorted }
            }
            Page::DataPageV2 { .. } => {
                return Err(ParquetError::General("a page of version 2, which is never written".to_owned()));
            }
        })
    }
}

impl Iterator for Pages {
    type Item = Result<Page, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>, ParquetError> {
        match self.inner.get_next_page()? {
            Some(page) => self.plain(page).map(Some),
            None => Ok(None),
        }
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>, ParquetError> {
        self.inner.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<(), ParquetError> {
        self.inner.skip_next_page()
    }

    fn supports_deferred_dictionary(&self) -> bool {
        self.inner.supports_deferred_dictionary()
    }

    fn take_deferred_dictionary(&mut self) -> Result<Option<Page>, ParquetError> {
        match self.inner.take_deferred_dictionary()? {
            Some(page) => self.plain(page).map(Some),
            None => Ok(None),
        }
    }

    fn at_record_boundary(&mut self) -> Result<bool, ParquetError> {
        self.inner.at_record_boundary()
    }
}
