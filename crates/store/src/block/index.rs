//! The part of a block that is kept decoded while it is in use: trace table, resources, scopes, attribute keys.
//!
//! It lies in the Parquet file between the last row group and the footer (other readers skip it):
//!
//! ```text
//! trace count u32 LE | trace ids, sorted, 16 bytes each | zstd of: names, resources, scopes, keys, trace rows
//! ```
//!
//! A trace row is prefixed by its length and decoded when somebody asks for that trace: a table of 5,000 traces takes
//! 300 KB in memory, not 2 MB. The root's span id is not in the table but the position of its row is: whoever needs
//! the id (only traces in several parts do) reads span ids anyway.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use rootspan_model::ids::{SpanId, TraceId};

use crate::codec::{Decoder, Malformed, put_bytes, put_number};
use crate::facts::{EdgeMarks, Entries, Part, ServicePart, Top};

/// Longest index that is decompressed: a block has at most some 100,000 spans.
const MAX_INDEX_BYTES: usize = 1 << 30;
const COMPRESSION_LEVEL: i32 = 3;

/// See the module.
#[derive(Debug)]
pub(crate) struct BlockIndex {
    pub(crate) traces: TraceTable,
    pub(crate) resources: Vec<Surrounding>,
    pub(crate) scopes: Vec<Surrounding>,
    pub(crate) keys: HashMap<Box<str>, KeyInfo, foldhash::fast::RandomState>,
    /// Some spans have keys that are not in `keys` (there were too many): they are all in the overflow column.
    pub(crate) keys_incomplete: bool,
    /// For each span name which attribute columns its spans have values in, a bit each, so that a lookup reads 30
    /// columns and not 100; empty if there are too many names.
    pub(crate) column_sets: HashMap<Box<[u8]>, Box<[u8]>, foldhash::fast::RandomState>,
    /// Memory taken, about.
    pub(crate) size: usize,
}

/// The lists of an index that is written.
#[derive(Debug)]
pub(crate) struct IndexLists<'l> {
    pub(crate) resources: &'l [Surrounding],
    pub(crate) scopes: &'l [Surrounding],
    pub(crate) keys: &'l [(&'l str, KeyInfo)],
    pub(crate) keys_incomplete: bool,
    pub(crate) column_sets: &'l [(&'l str, Vec<u8>)],
}

/// A resource or a scope: the message's bytes and the schema URL beside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Surrounding {
    pub(crate) bytes: Bytes,
    pub(crate) schema_url: Box<str>,
}

/// Where the values of one attribute key are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyInfo {
    /// Leaf column of the Parquet schema, and its type.
    pub(crate) column: Option<(u32, ValueType)>,
    /// Some values are in the map of rare string attributes.
    pub(crate) in_rare: bool,
    /// Some values are in the overflow column.
    pub(crate) in_overflow: bool,
}

/// Types that have columns of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ValueType {
    String,
    Int,
    Double,
    Bool,
}

impl ValueType {
    const ALL: [Self; 4] = [Self::String, Self::Int, Self::Double, Self::Bool];
}

/// One row per trace.
#[derive(Debug)]
pub(crate) struct TraceTable {
    ids: Bytes,
    /// Row of the first span of each trace, and one past the end.
    first_rows: Vec<u32>,
    starts: Vec<u64>,
    /// Where each trace's row is in `rows`, and the end.
    offsets: Vec<u32>,
    rows: Vec<u8>,
    names: Vec<Arc<str>>,
}

/// A decoded row of the trace table.
#[derive(Clone, Debug)]
pub(crate) struct TraceRow {
    /// Its top's span id is all zero; see the module.
    pub(crate) part: Part,
    /// Row of the top's span in the block.
    pub(crate) top_row: u32,
}

impl TraceTable {
    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Rows of the block.
    pub(crate) fn row_count(&self) -> u64 {
        self.first_rows.last().copied().map_or(0, u64::from)
    }

    pub(crate) fn id(&self, trace: usize) -> TraceId {
        self.ids.get(trace * 16..trace * 16 + 16).and_then(TraceId::from_slice).unwrap_or_default()
    }

    /// Start of the trace's first span here.
    pub(crate) fn start(&self, trace: usize) -> u64 {
        self.starts[trace]
    }

    /// Rows of the trace's spans.
    pub(crate) fn rows(&self, trace: usize) -> std::ops::Range<u32> {
        self.first_rows[trace]..self.first_rows[trace + 1]
    }

    /// The trace to which a row belongs; `hint` is the answer for an earlier row.
    pub(crate) fn trace_of(&self, row: u32, hint: usize) -> usize {
        let mut trace = hint;
        // Rows are asked for in order, and matches are mostly near each other.
        for _ in 0..8 {
            if row < self.first_rows[trace + 1] {
                return trace;
            }
            trace += 1;
        }
        trace + self.first_rows[trace + 1..].partition_point(|first| *first <= row)
    }

    pub(crate) fn find(&self, id: &TraceId) -> Option<usize> {
        let (ids, _) = self.ids.as_chunks::<16>();
        ids.binary_search(id.as_bytes()).ok()
    }

    /// Start of the trace's span that starts last.
    pub(crate) fn latest_start(&self, trace: usize) -> Result<u64, Malformed> {
        let mut row = self.encoded(trace);
        row.number()?;
        row.number()?;
        Ok(self.starts[trace].wrapping_add(row.number()?))
    }

    pub(crate) fn row(&self, trace: usize) -> Result<TraceRow, Malformed> {
        let start = self.starts[trace];
        let mut row = self.encoded(trace);
        let spans = row.number_u32()?;
        row.number()?;
        let latest_start = start.wrapping_add(row.number()?);
        let end = start.wrapping_add(row.number()?);
        let errors = row.number_u32()?;
        let mut error_extent = None;
        if errors > 0 {
            let first = start.wrapping_add(row.number()?);
            error_extent = Some((first, first.wrapping_add(row.number()?)));
        }
        let mut services = Vec::with_capacity(row.count()?);
        for _ in 0..services.capacity() {
            let name = self.name(&mut row)?;
            services.push(ServicePart { name, spans: row.number_u32()?, errors: row.number_u32()? });
        }
        let flags = row.number()?;
        let top = Top {
            span_id: SpanId::default(),
            is_root: flags & 1 != 0,
            cdn: flags & 2 != 0,
            marks: EdgeMarks::from_bits(u8::try_from(flags >> 4 & 3).unwrap_or_default()),
            service: self.name(&mut row)?,
            name: self.name(&mut row)?,
            start: start.wrapping_add(row.number()?),
            duration: row.number()?,
        };
        let longest_child = row.number()?;
        let top_row = self.first_rows[trace].saturating_add(row.number_u32()?);
        let entries = match flags >> 2 & 3 {
            0 => Entries::None,
            1 => Entries::Of { parent: SpanId::new(row.array()?), longest: row.number()? },
            _ => Entries::Mixed,
        };
        let part =
            Part { start, end, latest_start, spans, errors, error_extent, services, top, longest_child, entries };
        Ok(TraceRow { part, top_row })
    }

    fn encoded(&self, trace: usize) -> Decoder<'_> {
        let range = self.offsets[trace] as usize..self.offsets[trace + 1] as usize;
        let mut row = Decoder::new(self.rows.get(range).unwrap_or_default());
        // The row's own length; the offsets were made from it.
        _ = row.number();
        row
    }

    fn name(&self, row: &mut Decoder<'_>) -> Result<Arc<str>, Malformed> {
        let index = usize::try_from(row.number()?).map_err(|_| Malformed)?;
        self.names.get(index).cloned().ok_or(Malformed)
    }
}

/// Collects an index while a block is written.
#[derive(Debug, Default)]
pub(crate) struct IndexWriter {
    ids: Vec<u8>,
    rows: Vec<u8>,
    names: HashMap<Arc<str>, u64, foldhash::fast::RandomState>,
    names_in_order: Vec<Arc<str>>,
    scratch: Vec<u8>,
}

impl IndexWriter {
    /// Adds a trace; ids must be given in order. `top_row` counts from the trace's first row.
    pub(crate) fn trace(&mut self, id: &TraceId, part: &Part, top_row: u32, block_start: u64) {
        self.ids.extend_from_slice(id.as_bytes());
        let mut row = std::mem::take(&mut self.scratch);
        row.clear();
        let start = part.start;
        put_number(&mut row, u64::from(part.spans));
        put_number(&mut row, start.wrapping_sub(block_start));
        put_number(&mut row, part.latest_start.wrapping_sub(start));
        put_number(&mut row, part.end.wrapping_sub(start));
        put_number(&mut row, u64::from(part.errors));
        if let Some((first, last)) = part.error_extent {
            put_number(&mut row, first.wrapping_sub(start));
            put_number(&mut row, last.wrapping_sub(first));
        }
        put_number(&mut row, part.services.len() as u64);
        for service in &part.services {
            put_number(&mut row, self.name(&service.name));
            put_number(&mut row, u64::from(service.spans));
            put_number(&mut row, u64::from(service.errors));
        }
        let entries = match part.entries {
            Entries::None => 0,
            Entries::Of { .. } => 1,
            Entries::Mixed => 2,
        };
        let marks = u64::from(part.top.marks.bits());
        put_number(&mut row, u64::from(part.top.is_root) | u64::from(part.top.cdn) << 1 | entries << 2 | marks << 4);
        put_number(&mut row, self.name(&part.top.service));
        put_number(&mut row, self.name(&part.top.name));
        put_number(&mut row, part.top.start.wrapping_sub(start));
        put_number(&mut row, part.top.duration);
        put_number(&mut row, part.longest_child);
        put_number(&mut row, u64::from(top_row));
        if let Entries::Of { parent, longest } = part.entries {
            row.extend_from_slice(parent.as_bytes());
            put_number(&mut row, longest);
        }
        put_bytes(&mut self.rows, &row);
        self.scratch = row;
    }

    fn name(&mut self, name: &Arc<str>) -> u64 {
        if let Some(index) = self.names.get(name) {
            return *index;
        }
        let index = self.names_in_order.len() as u64;
        self.names.insert(Arc::clone(name), index);
        self.names_in_order.push(Arc::clone(name));
        index
    }

    /// The section's bytes.
    pub(crate) fn finish(self, block_start: u64, lists: &IndexLists<'_>) -> std::io::Result<Vec<u8>> {
        let mut plain = Vec::with_capacity(self.rows.len() + 4096);
        put_number(&mut plain, block_start);
        put_number(&mut plain, self.names_in_order.len() as u64);
        for name in &self.names_in_order {
            put_bytes(&mut plain, name.as_bytes());
        }
        for list in [lists.resources, lists.scopes] {
            put_number(&mut plain, list.len() as u64);
            for surrounding in list {
                put_bytes(&mut plain, &surrounding.bytes);
                put_bytes(&mut plain, surrounding.schema_url.as_bytes());
            }
        }
        put_number(&mut plain, lists.keys.len() as u64);
        for (key, info) in lists.keys {
            put_bytes(&mut plain, key.as_bytes());
            put_number(&mut plain, u64::from(info.in_rare) | u64::from(info.in_overflow) << 1);
            match info.column {
                None => put_number(&mut plain, 0),
                Some((column, value_type)) => {
                    put_number(&mut plain, u64::from(column) + 1);
                    put_number(&mut plain, value_type as u64);
                }
            }
        }
        put_number(&mut plain, u64::from(lists.keys_incomplete));
        put_number(&mut plain, lists.column_sets.len() as u64);
        for (name, columns) in lists.column_sets {
            put_bytes(&mut plain, name.as_bytes());
            put_bytes(&mut plain, columns);
        }
        plain.extend_from_slice(&self.rows);

        let compressed = zstd::bulk::compress(&plain, COMPRESSION_LEVEL)?;
        let traces = u32::try_from(self.ids.len() / 16).map_err(std::io::Error::other)?;
        let mut out = Vec::with_capacity(8 + self.ids.len() + compressed.len() + 8);
        out.extend_from_slice(&traces.to_le_bytes());
        out.extend_from_slice(&self.ids);
        put_number(&mut out, plain.len() as u64);
        out.extend_from_slice(&compressed);
        Ok(out)
    }
}

impl BlockIndex {
    /// Which of `count` attribute columns spans with these names may have values in.
    pub(crate) fn columns_of<'n>(&self, names: impl Iterator<Item = &'n [u8]>, count: usize) -> Vec<bool> {
        let mut columns = vec![self.column_sets.is_empty(); count];
        if self.column_sets.is_empty() {
            return columns;
        }
        let mut last: &[u8] = &[];
        for (position, name) in names.enumerate() {
            if position > 0 && name == last {
                continue;
            }
            last = name;
            let Some(set) = self.column_sets.get(name) else { return vec![true; count] };
            for (column, is_used) in columns.iter_mut().enumerate() {
                *is_used |= set.get(column / 8).is_some_and(|bits| bits & 1 << (column % 8) != 0);
            }
        }
        columns
    }

    /// Decodes the section.
    pub(crate) fn decode(section: &Bytes) -> Result<Self, Malformed> {
        let mut head = Decoder::new(section);
        let count = u32::from_le_bytes(head.array()?) as usize;
        head.take(count.checked_mul(16).ok_or(Malformed)?)?;
        let ids = section.slice(4..4 + count * 16);
        let plain_length = usize::try_from(head.number()?).map_err(|_| Malformed)?;
        if plain_length > MAX_INDEX_BYTES {
            return Err(Malformed);
        }
        let compressed = head.take(head.remaining())?;
        let plain = zstd::bulk::decompress(compressed, plain_length).map_err(|_| Malformed)?;
        let plain = Bytes::from(plain);
        let mut decoder = Decoder::new(&plain);
        let block_start = decoder.number()?;
        let mut names = Vec::with_capacity(decoder.count()?);
        for _ in 0..names.capacity() {
            names.push(Arc::from(decoder.text()?));
        }
        let resources = decode_surroundings(&mut decoder, &plain)?;
        let scopes = decode_surroundings(&mut decoder, &plain)?;
        let mut keys = HashMap::default();
        for _ in 0..decoder.count()? {
            let key = decoder.text()?;
            keys.insert(Box::from(key), decode_key(&mut decoder)?);
        }
        let keys_incomplete = decoder.number()? != 0;
        let mut column_sets = HashMap::default();
        for _ in 0..decoder.count()? {
            column_sets.insert(Box::from(decoder.bytes()?), Box::from(decoder.bytes()?));
        }
        let traces = decode_rows(&mut decoder, ids, count, block_start, names)?;
        let size = plain.len() + count * 40 + (keys.len() + column_sets.len()) * 64;
        Ok(Self { traces, resources, scopes, keys, keys_incomplete, column_sets, size })
    }
}

fn decode_surroundings(decoder: &mut Decoder<'_>, plain: &Bytes) -> Result<Vec<Surrounding>, Malformed> {
    let count = decoder.count()?;
    let mut list = Vec::with_capacity(count);
    for _ in 0..count {
        let bytes = plain.slice_ref(decoder.bytes()?);
        list.push(Surrounding { bytes, schema_url: Box::from(decoder.text()?) });
    }
    Ok(list)
}

fn decode_key(decoder: &mut Decoder<'_>) -> Result<KeyInfo, Malformed> {
    let flags = decoder.number()?;
    let column = match decoder.number_u32()? {
        0 => None,
        column => {
            let value_type = usize::try_from(decoder.number()?).map_err(|_| Malformed)?;
            Some((column - 1, *ValueType::ALL.get(value_type).ok_or(Malformed)?))
        }
    };
    Ok(KeyInfo { column, in_rare: flags & 1 != 0, in_overflow: flags & 2 != 0 })
}

fn decode_rows(
    decoder: &mut Decoder<'_>,
    ids: Bytes,
    count: usize,
    block_start: u64,
    names: Vec<Arc<str>>,
) -> Result<TraceTable, Malformed> {
    let rows = decoder.take(decoder.remaining())?;
    let mut walk = Decoder::new(rows);
    let mut first_rows = Vec::with_capacity(count + 1);
    let mut offsets = Vec::with_capacity(count + 1);
    let mut starts = Vec::with_capacity(count);
    let mut next_row = 0_u32;
    for _ in 0..count {
        offsets.push(u32::try_from(rows.len() - walk.remaining()).map_err(|_| Malformed)?);
        first_rows.push(next_row);
        let mut row = Decoder::new(walk.bytes()?);
        next_row = next_row.checked_add(row.number_u32()?).ok_or(Malformed)?;
        starts.push(block_start.wrapping_add(row.number()?));
    }
    offsets.push(u32::try_from(rows.len()).map_err(|_| Malformed)?);
    first_rows.push(next_row);
    Ok(TraceTable { ids, first_rows, starts, offsets, rows: rows.to_vec(), names })
}

#[cfg(test)]
mod tests;
