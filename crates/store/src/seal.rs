//! A frozen tail becomes blocks: one per hour of span start that it holds, in one transaction.
//!
//! Files synced → renamed → folder synced → one manifest frame synced. Until the frame is durable the journal is what
//! counts; afterwards the blocks do. A crash in between leaves files that no manifest names; opening removes them.

use std::io;
use std::sync::Arc;

use rootspan_journal::directory::checksum;
use rootspan_journal::journal::JournalError;
use rootspan_model::ids::{SpanId, TraceId};

use crate::block::entry::{BlockEntry, FOLDER, Seal};
use crate::block::write::{Identity, Row, write_block};
use crate::block::{Block, publish_file, unfinished_path, write_file};
use crate::coverage::entry::{CoverageEntry, FOLDER as COVERAGE_FOLDER};
use crate::coverage::file;
use crate::manifest::Manifest;
use crate::shared::Shared;
use crate::tail::{Tail, TailBatch, TailView};

/// Why a tail could not be sealed. It stays in memory and in the journal, and is tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealError {
    #[error("a block could not be encoded")]
    Encode(#[from] parquet::errors::ParquetError),
    #[error("a block could not be written")]
    Files(#[from] io::Error),
    #[error("the manifest could not be written")]
    Manifest(#[from] JournalError),
}

impl SealError {
    /// Nothing is wrong but that there is no space.
    pub(crate) fn is_disk_full(&self) -> bool {
        let kind = match self {
            Self::Encode(_) => None,
            Self::Files(error) => Some(error.kind()),
            Self::Manifest(error) => error.io_kind(),
        };
        kind == Some(io::ErrorKind::StorageFull)
    }
}

/// What orders the rows of a block, and where each span is.
type SortedSpan = (TraceId, u64, SpanId, u32, u32);

/// Seals `tail` and makes its blocks visible.
pub(crate) fn seal(
    shared: &Shared,
    manifest: &mut Manifest,
    next_id: &mut u64,
    tail: &Arc<Tail>,
) -> Result<(), SealError> {
    let view = tail.view();
    let hours = hours(&view);
    let seal =
        Seal { applied_through: tail.figures().through.0, blocks: u32::try_from(hours.len()).unwrap_or(u32::MAX) };
    let mut entries = Vec::with_capacity(hours.len());
    for hour in hours {
        let identity = Identity { id: *next_id, hour: u64::from(hour), seal };
        *next_id += 1;
        match write_hour(shared, &view, hour, identity) {
            Ok(entry) => entries.push(entry),
            Err(error) => {
                discard(shared, &entries);
                return Err(error);
            }
        }
    }
    let coverage = match write_coverage(shared, tail, next_id) {
        Ok(coverage) => coverage,
        Err(error) => {
            discard(shared, &entries);
            return Err(error.into());
        }
    };
    let directory = shared.directory.as_ref();
    for entry in &entries {
        publish_file(directory, entry)?;
    }
    for entry in &coverage {
        checksum::rename(directory, &file::unfinished_path(entry), &entry.path())?;
    }
    directory.sync_folder(FOLDER)?;
    if !coverage.is_empty() {
        directory.sync_folder(COVERAGE_FOLDER)?;
    }
    // From here on the files stay, also if the frame fails: it may be durable all the same.
    manifest.seal(entries.clone(), coverage.clone(), tail.figures().through)?;
    let blocks = entries.into_iter().map(|entry| Block::new(Arc::clone(&shared.directory), entry)).collect();
    shared.replace_tail(Some(tail), blocks, coverage);
    Ok(())
}

/// Writes what the tail has counted, a file an hour.
fn write_coverage(shared: &Shared, tail: &Tail, next_id: &mut u64) -> io::Result<Vec<CoverageEntry>> {
    tail.gathered(|gathered| {
        let mut entries: Vec<CoverageEntry> = Vec::with_capacity(gathered.hours.len());
        for (hour, part) in &gathered.hours {
            let id = *next_id;
            *next_id += 1;
            match file::write(shared.directory.as_ref(), id, *hour, part) {
                Ok(entry) => entries.push(entry),
                Err(error) => {
                    entries.iter().for_each(|entry| remove_unfinished(shared, &file::unfinished_path(entry)));
                    return Err(error);
                }
            }
        }
        Ok(entries)
    })
}

/// The hours that the tail's spans belong to, ascending.
fn hours(view: &TailView) -> Vec<u32> {
    let mut hours: Vec<u32> = Vec::new();
    for span in view.batches.iter().flat_map(|batch| &batch.spans) {
        if !hours.contains(&span.hour) {
            hours.push(span.hour);
        }
    }
    hours.sort_unstable();
    hours
}

fn write_hour(shared: &Shared, view: &TailView, hour: u32, identity: Identity) -> Result<BlockEntry, SealError> {
    let sorted = sorted(&view.batches, hour);
    let rows: Vec<Row<'_>> = sorted
        .into_iter()
        .map(|(trace_id, start, _, batch, index)| {
            let batch = &view.batches[batch as usize].batch;
            Row { trace_id, start, batch, index }
        })
        .collect();
    let (bytes, mut entry) = write_block(&rows, identity)?;
    drop(rows);
    if let Err(error) = write_file(shared.directory.as_ref(), &mut entry, &bytes) {
        discard(shared, std::slice::from_ref(&entry));
        return Err(error.into());
    }
    Ok(entry)
}

fn sorted(batches: &[Arc<TailBatch>], hour: u32) -> Vec<SortedSpan> {
    let mut sorted = Vec::new();
    for (number, batch) in batches.iter().enumerate() {
        let number = u32::try_from(number).expect("a tail has fewer than 2^32 batches");
        let of_hour = batch.spans.iter().filter(|span| span.hour == hour);
        sorted.extend(of_hour.map(|span| (span.trace_id, span.start, span.span_id, number, span.index)));
    }
    sorted.sort_unstable_by(|left, right| {
        (left.0, left.1, left.2.as_bytes(), left.3, left.4).cmp(&(
            right.0,
            right.1,
            right.2.as_bytes(),
            right.3,
            right.4,
        ))
    });
    sorted
}

/// Removes files that were written for nothing. What cannot be removed now is removed when the store is opened.
fn discard(shared: &Shared, entries: &[BlockEntry]) {
    entries.iter().for_each(|entry| remove_unfinished(shared, &unfinished_path(entry)));
}

fn remove_unfinished(shared: &Shared, path: &str) {
    if let Err(error) = checksum::remove(shared.directory.as_ref(), path) {
        tracing::warn!(%error, path, "an unfinished file could not be removed");
    }
}
