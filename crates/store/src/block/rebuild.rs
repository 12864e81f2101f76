//! Rows back to spans; `loose` makes a request of them.

use std::ops::Range;

use bytes::Bytes;
use parquet::basic::Type as PhysicalType;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type};
use rootspan_model::ids::{SpanId, TraceId};
use rootspan_wire::otlp::field;
use rootspan_wire::otlp::protobuf::Fields;
use rootspan_wire::otlp::write;

use super::index::{BlockIndex, Surrounding};
use super::loose::LooseSpan;
use super::read::{ColumnReader, ColumnValues};
use super::schema::Leaf;
use crate::limits::Stop;

/// Which attributes are wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted<'k> {
    All,
    /// At least those with these keys; the spans are only asked about them.
    Keys(&'k [String]),
}

/// The spans in `rows`, in order.
pub(crate) fn rebuild(
    columns: &ColumnReader<'_>,
    index: &BlockIndex,
    rows: &[Range<u32>],
    wanted: Wanted<'_>,
) -> Result<Vec<LooseSpan>, Stop> {
    let fixed = FixedColumns::read(columns, rows)?;
    let first = Leaf::Attributes as usize;
    let leaves: Vec<usize> = match wanted {
        Wanted::All => {
            let count = columns.leaf_count().saturating_sub(first);
            let used = index.columns_of(fixed.names.iter().map(ByteArray::data), count);
            used.iter().enumerate().filter(|(_, is_used)| **is_used).map(|(column, _)| first + column).collect()
        }
        Wanted::Keys(keys) => {
            let leaf = |key: &String| index.keys.get(key.as_str())?.column.map(|(leaf, _)| leaf as usize);
            keys.iter().filter_map(leaf).collect()
        }
    };
    let mut attributes = Vec::new();
    for leaf in leaves {
        let column = AttributeColumn::read(columns, leaf, rows)?;
        if column.has_values() {
            attributes.push(column);
        }
    }
    let mut rare = RareCursor::read(columns, rows)?;
    let mut spans = Vec::new();
    let mut trace = 0;
    let mut bytes = Vec::new();
    for row in rows.iter().cloned().flatten() {
        trace = index.traces.trace_of(row, trace);
        bytes.clear();
        let (start, span_id) = fixed.span(&mut bytes, index, trace, row, spans.len());
        for column in &mut attributes {
            column.put(&mut bytes, spans.len());
        }
        rare.put(&mut bytes);
        fixed.tail(&mut bytes, spans.len());
        let place = |list: &[Surrounding], position: i32| {
            usize::try_from(position).ok().and_then(|position| list.get(position)).cloned()
        };
        let resource = place(&index.resources, fixed.resources[spans.len()]);
        let scope = place(&index.scopes, fixed.scopes[spans.len()]);
        let (Some(resource), Some(scope)) = (resource, scope) else {
            return Err(columns.malformed("a row has no resource or scope"));
        };
        spans.push(LooseSpan { start, span_id, resource, scope, bytes: Bytes::copy_from_slice(&bytes) });
    }
    Ok(spans)
}

/// An optional column with one slot per row.
struct Optional<T> {
    values: Vec<T>,
    /// For each row one past the position in `values`, or 0.
    places: Vec<u32>,
}

impl<T> Optional<T> {
    fn new(column: ColumnValues<T>) -> Self {
        let mut next = 0;
        let places = column
            .definition
            .iter()
            .map(|level| {
                next += u32::from(*level > 0);
                if *level > 0 { next } else { 0 }
            })
            .collect();
        Self { values: column.values, places }
    }

    fn get(&self, position: usize) -> Option<&T> {
        let place = *self.places.get(position)?;
        self.values.get((place as usize).checked_sub(1)?)
    }
}

struct FixedColumns {
    span_ids: Vec<i64>,
    /// Span ids of all rows of the traces concerned, for the parents: the first row and the ids.
    family: Vec<(Range<u32>, Vec<i64>)>,
    starts: Vec<i64>,
    durations: Vec<i64>,
    parents: Optional<i32>,
    parent_ids: Optional<i64>,
    names: Vec<ByteArray>,
    kinds: Vec<i32>,
    statuses: Optional<i32>,
    status_messages: Optional<ByteArray>,
    resources: Vec<i32>,
    scopes: Vec<i32>,
    flags: Vec<i32>,
    rest: Optional<ByteArray>,
    overflow: Optional<ByteArray>,
}

impl FixedColumns {
    fn read(columns: &ColumnReader<'_>, rows: &[Range<u32>]) -> Result<Self, Stop> {
        let parents = Optional::new(columns.read::<Int32Type>(Leaf::Parent as usize, rows)?);
        let family_rows = family_rows(rows, &parents);
        let family_ids = columns.read::<Int64Type>(Leaf::SpanId as usize, &family_rows)?.values;
        let mut family = Vec::with_capacity(family_rows.len());
        let mut next = 0;
        for range in family_rows {
            let end = next + (range.end - range.start) as usize;
            family.push((range, family_ids.get(next..end).unwrap_or_default().to_vec()));
            next = end;
        }
        let required32 = |leaf: Leaf| columns.read::<Int32Type>(leaf as usize, rows).map(|column| column.values);
        let required64 = |leaf: Leaf| columns.read::<Int64Type>(leaf as usize, rows).map(|column| column.values);
        let texts = |leaf: Leaf| columns.read::<ByteArrayType>(leaf as usize, rows);
        Ok(Self {
            span_ids: required64(Leaf::SpanId)?,
            family,
            starts: required64(Leaf::Start)?,
            durations: required64(Leaf::Duration)?,
            parents,
            parent_ids: Optional::new(columns.read::<Int64Type>(Leaf::ParentId as usize, rows)?),
            names: texts(Leaf::Name)?.values,
            kinds: required32(Leaf::Kind)?,
            statuses: Optional::new(columns.read::<Int32Type>(Leaf::Status as usize, rows)?),
            status_messages: Optional::new(texts(Leaf::StatusMessage)?),
            resources: required32(Leaf::Resource)?,
            scopes: required32(Leaf::Scope)?,
            flags: required32(Leaf::Flags)?,
            rest: Optional::new(texts(Leaf::Rest)?),
            overflow: Optional::new(texts(Leaf::Overflow)?),
        })
    }

    /// Writes everything before the attributes; gives start and id.
    fn span(&self, out: &mut Vec<u8>, index: &BlockIndex, trace: usize, row: u32, position: usize) -> (u64, SpanId) {
        let trace_id: TraceId = index.traces.id(trace);
        let span_id = SpanId::new(self.span_ids[position].to_be_bytes());
        write::put_bytes(out, field::span::TRACE_ID, trace_id.as_bytes());
        write::put_bytes(out, field::span::SPAN_ID, span_id.as_bytes());
        if let Some(parent) = self.parent(row, position) {
            write::put_bytes(out, field::span::PARENT_SPAN_ID, &parent.to_be_bytes());
        }
        if self.flags[position] != 0 {
            write::put_fixed32(out, field::span::FLAGS, self.flags[position].cast_unsigned());
        }
        if !self.names[position].is_empty() {
            write::put_bytes(out, field::span::NAME, self.names[position].data());
        }
        if self.kinds[position] != 0 {
            write::put_int(out, field::span::KIND, i64::from(self.kinds[position]));
        }
        let start = index.traces.start(trace).wrapping_add(self.starts[position].cast_unsigned());
        if start != 0 {
            write::put_fixed64(out, field::span::START_TIME_UNIX_NANO, start);
        }
        let end = start.wrapping_add(self.durations[position].cast_unsigned());
        if end != 0 && !self.rest_has(position, field::span::END_TIME_UNIX_NANO) {
            write::put_fixed64(out, field::span::END_TIME_UNIX_NANO, end);
        }
        (start, span_id)
    }

    fn parent(&self, row: u32, position: usize) -> Option<i64> {
        if let Some(distance) = self.parents.get(position) {
            let parent_row = u32::try_from(i64::from(row) - i64::from(*distance)).ok()?;
            let after = self.family.partition_point(|(range, _)| range.end <= parent_row);
            let (range, ids) = self.family.get(after)?;
            return ids.get(parent_row.checked_sub(range.start)? as usize).copied();
        }
        self.parent_ids.get(position).copied()
    }

    /// Writes everything after the attributes with columns.
    fn tail(&self, out: &mut Vec<u8>, position: usize) {
        if let Some(overflow) = self.overflow.get(position) {
            out.extend_from_slice(overflow.data());
        }
        if let Some(rest) = self.rest.get(position) {
            out.extend_from_slice(rest.data());
        }
        let code = self.statuses.get(position);
        let message = self.status_messages.get(position);
        if (code.is_some() || message.is_some()) && !self.rest_has(position, field::span::STATUS) {
            write::put_message(out, field::span::STATUS, |out| {
                if let Some(message) = message {
                    write::put_bytes(out, field::status::MESSAGE, message.data());
                }
                if let Some(code) = code.filter(|code| **code != 0) {
                    write::put_int(out, field::status::CODE, i64::from(*code));
                }
            });
        }
    }

    /// Whether the row's other fields include this one.
    fn rest_has(&self, position: usize, number: u32) -> bool {
        self.rest.get(position).is_some_and(|rest| Fields::new(rest.data()).any(|found| found.number == number))
    }
}

/// `rows` and the rows of all their parents.
fn family_rows(rows: &[Range<u32>], parents: &Optional<i32>) -> Vec<Range<u32>> {
    let mut wanted: Vec<Range<u32>> = rows.to_vec();
    for (position, row) in rows.iter().cloned().flatten().enumerate() {
        if let Some(distance) = parents.get(position)
            && let Ok(parent) = u32::try_from(i64::from(row) - i64::from(*distance))
            && !rows.get(rows.partition_point(|range| range.end <= parent)).is_some_and(|range| range.contains(&parent))
        {
            wanted.push(parent..parent + 1);
        }
    }
    wanted.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<u32>> = Vec::with_capacity(wanted.len());
    for range in wanted {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

struct AttributeColumn {
    key: String,
    values: AttributeValues,
}

enum AttributeValues {
    String(Optional<ByteArray>),
    Int(Optional<i64>),
    Double(Optional<f64>),
    Bool(Optional<bool>),
}

impl AttributeColumn {
    fn read(columns: &ColumnReader<'_>, leaf: usize, rows: &[Range<u32>]) -> Result<Self, Stop> {
        fn optional<T: DataType>(
            columns: &ColumnReader<'_>,
            leaf: usize,
            rows: &[Range<u32>],
        ) -> Result<Optional<T::T>, Stop> {
            columns.read::<T>(leaf, rows).map(Optional::new)
        }
        let values = match columns.physical_type(leaf) {
            PhysicalType::BYTE_ARRAY => AttributeValues::String(optional::<ByteArrayType>(columns, leaf, rows)?),
            PhysicalType::INT64 => AttributeValues::Int(optional::<Int64Type>(columns, leaf, rows)?),
            PhysicalType::DOUBLE => AttributeValues::Double(optional::<DoubleType>(columns, leaf, rows)?),
            PhysicalType::BOOLEAN => AttributeValues::Bool(optional::<BoolType>(columns, leaf, rows)?),
            PhysicalType::INT32 | PhysicalType::INT96 | PhysicalType::FLOAT | PhysicalType::FIXED_LEN_BYTE_ARRAY => {
                return Err(columns.malformed("an attribute column has a type that is never written"));
            }
        };
        Ok(Self { key: columns.leaf_name(leaf), values })
    }

    fn has_values(&self) -> bool {
        match &self.values {
            AttributeValues::String(column) => !column.values.is_empty(),
            AttributeValues::Int(column) => !column.values.is_empty(),
            AttributeValues::Double(column) => !column.values.is_empty(),
            AttributeValues::Bool(column) => !column.values.is_empty(),
        }
    }

    fn put(&self, out: &mut Vec<u8>, position: usize) {
        const FIELD: u32 = field::span::ATTRIBUTES;
        match &self.values {
            AttributeValues::String(column) => {
                if let Some(value) = column.get(position) {
                    put_text_attribute(out, self.key.as_bytes(), value.data());
                }
            }
            AttributeValues::Int(column) => {
                if let Some(value) = column.get(position) {
                    write::put_attribute(out, FIELD, &self.key, *value);
                }
            }
            AttributeValues::Double(column) => {
                if let Some(value) = column.get(position) {
                    write::put_attribute(out, FIELD, &self.key, *value);
                }
            }
            AttributeValues::Bool(column) => {
                if let Some(value) = column.get(position) {
                    write::put_attribute(out, FIELD, &self.key, *value);
                }
            }
        }
    }
}

/// A string attribute whose texts were checked when they came in.
fn put_text_attribute(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    write::put_message(out, field::span::ATTRIBUTES, |out| {
        write::put_bytes(out, field::key_value::KEY, key);
        write::put_message(out, field::key_value::VALUE, |out| {
            write::put_bytes(out, field::any_value::STRING, value);
        });
    });
}

/// Walks the map column row by row.
struct RareCursor {
    keys: ColumnValues<ByteArray>,
    values: Vec<ByteArray>,
    level: usize,
    entry: usize,
}

impl RareCursor {
    fn read(columns: &ColumnReader<'_>, rows: &[Range<u32>]) -> Result<Self, Stop> {
        let keys = columns.read::<ByteArrayType>(Leaf::RareKey as usize, rows)?;
        let values = columns.read::<ByteArrayType>(Leaf::RareValue as usize, rows)?.values;
        Ok(Self { keys, values, level: 0, entry: 0 })
    }

    /// Writes the next row's entries.
    fn put(&mut self, out: &mut Vec<u8>) {
        let mut is_first = true;
        while let Some(definition) = self.keys.definition.get(self.level) {
            if !is_first && self.keys.repetition.get(self.level) != Some(&1) {
                break;
            }
            is_first = false;
            self.level += 1;
            if *definition == 2 {
                if let (Some(key), Some(value)) = (self.keys.values.get(self.entry), self.values.get(self.entry)) {
                    put_text_attribute(out, key.data(), value.data());
                }
                self.entry += 1;
            }
        }
    }
}
