//! Sorted spans to the bytes of a block, in one pass over the spans and one over the columns.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue as FooterValue;
use parquet::file::writer::SerializedFileWriter;
use rootspan_model::ids::{SpanId, TraceId};
use rootspan_wire::otlp::batch::{SpanInBatch, TraceBatch};
use rootspan_wire::otlp::field;
use rootspan_wire::otlp::protobuf::{FieldValue, Fields, Reader};
use rootspan_wire::otlp::view::KeyValue;

use super::attributes::{Collector, Column};
use super::columns::{Fixed, write_attributes, write_fixed};
use super::entry::{BlockEntry, FOOTER_KEY, FORMAT, Operations, Seal, Section};
use super::filter::{Filter, trace_hash};
use super::index::{IndexLists, IndexWriter, Surrounding};
use super::schema::{Leaf, properties, schema};
use crate::facts::{Names, SpanFacts, summarise};

/// Most span names of one block that are listed for completion; instrumentation that makes names of data has more.
const MAX_OPERATIONS: usize = 5000;
/// Longest span name that is listed.
pub(crate) const MAX_LISTED_NAME_BYTES: usize = 512;
/// Most span names whose columns are noted; with more of them the notes cost more than they save.
const MAX_COLUMN_SETS: usize = 4096;

/// A span to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    pub(crate) batch: &'a TraceBatch,
    pub(crate) index: u32,
    pub(crate) trace_id: TraceId,
    pub(crate) start: u64,
}

/// What identifies the block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    pub(crate) id: u64,
    pub(crate) hour: u64,
    pub(crate) seal: Seal,
}

/// Resources or scopes, each once.
#[derive(Debug, Default)]
struct Surroundings {
    list: Vec<Surrounding>,
    by_content: HashMap<Surrounding, i32, foldhash::fast::RandomState>,
    /// The place found last: most rows are like the one before.
    last: Option<((usize, usize), i32)>,
    /// By batch and position in it: most others are found here.
    by_place: HashMap<(usize, usize), i32, foldhash::fast::RandomState>,
}

impl Surroundings {
    /// The position in the list of a resource or scope, and whether it is new.
    fn position(&mut self, batch: &TraceBatch, place: usize, bytes: &[u8], schema_url: &str) -> (i32, bool) {
        let place = (std::ptr::from_ref(batch) as usize, place);
        if let Some((last, position)) = self.last
            && last == place
        {
            return (position, false);
        }
        if let Some(position) = self.by_place.get(&place) {
            self.last = Some((place, *position));
            return (*position, false);
        }
        let content = Surrounding { bytes: Bytes::copy_from_slice(bytes), schema_url: Box::from(schema_url) };
        let next = i32::try_from(self.list.len()).unwrap_or(i32::MAX);
        let position = *self.by_content.entry(content.clone()).or_insert(next);
        if position == next {
            self.list.push(content);
        }
        self.by_place.insert(place, position);
        (position, position == next)
    }
}

/// The distinct names, and which one each row has.
#[derive(Debug, Default)]
struct SpanNames<'a> {
    list: Vec<&'a str>,
    numbers: HashMap<&'a str, u32, foldhash::fast::RandomState>,
    of_rows: Vec<u32>,
}

impl<'a> SpanNames<'a> {
    fn push(&mut self, name: &'a str) -> u32 {
        let next = u32::try_from(self.list.len()).expect("a block has fewer than 2^32 rows");
        let number = *self.numbers.entry(name).or_insert(next);
        if number == next {
            self.list.push(name);
        }
        self.of_rows.push(number);
        number
    }

    /// For each name the columns that its spans have values in, a bit each; see `index`.
    fn column_sets(&self, columns: &[Column<'_>]) -> Vec<(&'a str, Vec<u8>)> {
        if self.list.len() > MAX_COLUMN_SETS {
            return Vec::new();
        }
        let mut sets: Vec<_> = self.list.iter().map(|name| (*name, vec![0_u8; columns.len().div_ceil(8)])).collect();
        for (position, column) in columns.iter().enumerate() {
            for row in &column.rows {
                let name = self.of_rows[*row as usize];
                sets[name as usize].1[position / 8] |= 1 << (position % 8);
            }
        }
        sets
    }
}

/// The pass over the spans.
#[derive(Debug, Default)]
struct Builder<'a> {
    fixed: Fixed,
    attributes: Collector<'a>,
    resources: Surroundings,
    scopes: Surroundings,
    services: Vec<&'a str>,
    span_names: SpanNames<'a>,
    /// Resource and name of spans, each pair once.
    operations: HashSet<(i32, u32), foldhash::fast::RandomState>,
    index: IndexWriter,
    names: Names,
    trace_ids: Vec<(TraceId, u32)>,
    trace: Vec<SpanInBatch<'a>>,
    scratch: Vec<u8>,
}

/// Makes a block of `rows`, which are sorted by trace id, then start, and not empty.
pub(crate) fn write_block(rows: &[Row<'_>], identity: Identity) -> Result<(Vec<u8>, BlockEntry), ParquetError> {
    let mut builder = Builder::default();
    let starts = rows.iter().map(|row| row.start);
    let (min_start, max_start) = starts.fold((u64::MAX, 0), |(min, max), start| (min.min(start), max.max(start)));
    for trace in rows.chunk_by(|left, right| left.trace_id == right.trace_id) {
        builder.trace(trace, min_start);
    }
    builder.finish(rows.len(), identity, min_start, max_start)
}

impl<'a> Builder<'a> {
    fn trace(&mut self, rows: &[Row<'a>], block_start: u64) {
        let id = rows[0].trace_id;
        let mut trace = std::mem::take(&mut self.trace);
        trace.clear();
        trace.extend(rows.iter().map(|row| row.batch.span(row.index as usize)));
        let facts: Vec<SpanFacts<'_>> = trace.iter().map(SpanFacts::of).collect();
        let part = summarise(&facts, &mut self.names);
        let top = trace.iter().position(|span| span.span.span_id == part.top.span_id).unwrap_or(0);
        self.index.trace(&id, &part, u32::try_from(top).unwrap_or(0), block_start);
        self.trace_ids.push((id, part.spans));

        let distances = parent_distances(&trace);
        for ((row, span), distance) in rows.iter().zip(&trace).zip(distances) {
            self.span(row.batch, span, part.start, distance);
        }
        self.trace = trace;
    }

    fn span(&mut self, batch: &'a TraceBatch, view: &SpanInBatch<'a>, trace_start: u64, parent: Option<i32>) {
        let span = &view.span;
        let row = u32::try_from(self.fixed.span_ids.len()).expect("a block has fewer than 2^32 rows");
        let (resource, is_new) =
            self.resources.position(batch, view.resource_index, view.resource.bytes, view.resource.schema_url);
        if is_new {
            self.services.push(view.resource.service_name());
            for attribute in view.resource.attributes() {
                self.attributes.hash_attribute(&attribute);
            }
        }
        let (scope, _) = self.scopes.position(batch, view.scope_index, view.scope.bytes, view.scope.schema_url);
        let name = self.span_names.push(span.name);
        if self.operations.len() < MAX_OPERATIONS && span.name.len() <= MAX_LISTED_NAME_BYTES {
            self.operations.insert((resource, name));
        }

        let fixed = &mut self.fixed;
        fixed.span_ids.push(i64::from_be_bytes(*span.span_id.as_bytes()));
        fixed.starts.push(span.start.0.wrapping_sub(trace_start).cast_signed());
        let duration = span.end.0.checked_sub(span.start.0).and_then(|duration| i64::try_from(duration).ok());
        fixed.durations.push(duration.unwrap_or(if span.end < span.start { 0 } else { i64::MAX }));
        match parent {
            Some(distance) => fixed.parents.push(row, distance),
            None if span.parent_span_id.is_valid() => {
                fixed.parent_ids.push(row, i64::from_be_bytes(*span.parent_span_id.as_bytes()));
            }
            None => {}
        }
        fixed.names.push(span.name.as_bytes());
        fixed.kinds.push(span.kind_number);
        fixed.resources.push(resource);
        fixed.scopes.push(scope);
        fixed.flags.push(span.flags.cast_signed());

        let mut rest = std::mem::take(&mut self.scratch);
        rest.clear();
        if duration.is_none() {
            rootspan_wire::otlp::write::put_fixed64(&mut rest, field::span::END_TIME_UNIX_NANO, span.end.0);
        }
        self.fields(row, name, view, &mut rest);
        if !rest.is_empty() {
            self.fixed.rest.push(row, &rest);
        }
        self.scratch = rest;
    }

    /// Goes over the span's fields: attributes to their columns, the status to its own, and what has no column to
    /// `rest`, byte by byte.
    fn fields(&mut self, row: u32, name: u32, view: &SpanInBatch<'a>, rest: &mut Vec<u8>) {
        let bytes = view.span.bytes;
        let mut reader = Reader::new(bytes);
        let mut position = 0;
        let mut has_status = false;
        loop {
            let start = reader.position();
            let Ok(Some(found)) = reader.field() else { break };
            match (found.number, found.value) {
                (field::span::ATTRIBUTES, FieldValue::Bytes(attribute)) => {
                    self.attributes.attribute(row, name, position, &KeyValue::decode(attribute));
                    position += 1;
                }
                (field::span::TRACE_ID, FieldValue::Bytes(_))
                | (field::span::SPAN_ID, FieldValue::Bytes(_))
                | (field::span::PARENT_SPAN_ID, FieldValue::Bytes(_))
                | (field::span::NAME, FieldValue::Bytes(_))
                | (field::span::KIND, FieldValue::Varint(_))
                | (field::span::START_TIME_UNIX_NANO, FieldValue::Fixed64(_))
                | (field::span::END_TIME_UNIX_NANO, FieldValue::Fixed64(_))
                | (field::span::FLAGS, FieldValue::Fixed32(_)) => {}
                (field::span::STATUS, FieldValue::Bytes(status)) if has_only_known_fields(status) => has_status = true,
                _ => rest.extend_from_slice(&bytes[start..reader.position()]),
            }
        }
        if has_status || view.span.status_number != 0 {
            self.fixed.statuses.push(row, view.span.status_number);
        }
        if !view.span.status_message.is_empty() {
            self.fixed.status_messages.push(row, view.span.status_message.as_bytes());
        }
    }

    /// Services and their span names, sorted.
    fn operations(&self) -> Operations {
        let mut names: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (resource, name) in &self.operations {
            let service = usize::try_from(*resource).ok().and_then(|resource| self.services.get(resource));
            let service = service.copied().unwrap_or_default();
            names.entry(service).or_default().insert(self.span_names.list[*name as usize]);
        }
        let owned = |(service, names): (&str, BTreeSet<&str>)| {
            (service.to_owned(), names.into_iter().map(str::to_owned).collect())
        };
        names.into_iter().map(owned).collect()
    }

    fn finish(
        self,
        row_count: usize,
        identity: Identity,
        min_start: u64,
        max_start: u64,
    ) -> Result<(Vec<u8>, BlockEntry), ParquetError> {
        let operations = self.operations();
        let mut attributes = self.attributes.finish(row_count);
        let column_sets = self.span_names.column_sets(&attributes.frequent);
        let leaves: Vec<_> =
            attributes.frequent.iter().map(|column| (column.key, column.values.value_type())).collect();
        for (_, info) in &mut attributes.keys {
            info.column = info.column.map(|(position, value_type)| {
                (position + u32::try_from(Leaf::Attributes as usize).unwrap_or(0), value_type)
            });
        }
        let properties = std::sync::Arc::new(properties()?);
        let mut writer = SerializedFileWriter::new(Vec::with_capacity(row_count * 64), schema(&leaves)?, properties)?;
        let mut group = writer.next_row_group()?;
        let services: Vec<Bytes> =
            self.services.iter().map(|service| Bytes::copy_from_slice(service.as_bytes())).collect();
        write_fixed(&mut group, self.fixed, &self.trace_ids, &services)?;
        write_attributes(&mut group, &mut attributes, row_count)?;
        group.close()?;

        let traces = self.trace_ids.len() as u64;
        let trace_filter = Filter::of_traces(self.trace_ids.iter().map(|(id, _)| trace_hash(id.as_bytes())));
        let value_filter = Filter::of_values(attributes.hashes.iter().copied());
        let lists = IndexLists {
            resources: &self.resources.list,
            scopes: &self.scopes.list,
            keys: &attributes.keys,
            keys_incomplete: attributes.keys_incomplete,
            column_sets: &column_sets,
        };
        let index = self.index.finish(min_start, &lists)?;
        let operations_json = to_json(&operations)?;
        let mut entry = BlockEntry {
            format: FORMAT,
            id: identity.id,
            hour: identity.hour,
            spans: row_count as u64,
            traces,
            min_start,
            max_start,
            bytes: 0,
            index: append(&mut writer, &index)?,
            trace_filter: append(&mut writer, trace_filter.as_bytes())?,
            value_filter: append(&mut writer, value_filter.as_bytes())?,
            seal: identity.seal,
            operations_section: append(&mut writer, &zstd::bulk::compress(operations_json.as_bytes(), 1)?)?,
            operations: Vec::new(),
        };
        writer.append_key_value_metadata(FooterValue::new(FOOTER_KEY.to_owned(), to_json(&entry)?));
        entry.operations = operations;
        Ok((writer.into_inner()?, entry))
    }
}

fn to_json(value: &impl serde::Serialize) -> Result<String, ParquetError> {
    serde_json::to_string(value).map_err(|error| ParquetError::External(Box::new(error)))
}

fn append(writer: &mut SerializedFileWriter<Vec<u8>>, bytes: &[u8]) -> Result<Section, ParquetError> {
    let section = Section { offset: writer.bytes_written() as u64, length: bytes.len() as u64 };
    writer.write_all(bytes)?;
    Ok(section)
}

/// Whether a `Status` has nothing but what the columns hold.
fn has_only_known_fields(status: &[u8]) -> bool {
    Fields::new(status).all(|found| {
        matches!(
            (found.number, found.value),
            (field::status::MESSAGE, FieldValue::Bytes(_)) | (field::status::CODE, FieldValue::Varint(_))
        )
    })
}

/// For each span of a trace how many rows before it its parent is, if it is there.
fn parent_distances(trace: &[SpanInBatch<'_>]) -> Vec<Option<i32>> {
    /// Where a hash table becomes faster than looking at each.
    const SMALL: usize = 24;
    let by_id: HashMap<SpanId, usize, foldhash::fast::RandomState> = if trace.len() > SMALL {
        trace.iter().enumerate().map(|(row, span)| (span.span.span_id, row)).collect()
    } else {
        HashMap::default()
    };
    let find = |id: SpanId| {
        if trace.len() > SMALL {
            by_id.get(&id).copied()
        } else {
            trace.iter().position(|span| span.span.span_id == id)
        }
    };
    let distance = |(row, span): (usize, &SpanInBatch<'_>)| {
        let parent = span.span.parent_span_id;
        let parent_row = if parent.is_valid() { find(parent)? } else { return None };
        i32::try_from(row as i64 - parent_row as i64).ok()
    };
    trace.iter().enumerate().map(distance).collect()
}
