//! Collected columns to Parquet, one after another.

use bytes::Bytes;
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArray, FixedLenByteArrayType, Int32Type,
    Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedRowGroupWriter;
use rootspan_model::ids::TraceId;

use super::attributes::{Attributes, Column, Strings, Texts, Values};

/// The fixed columns.
#[derive(Debug, Default)]
pub(super) struct Fixed {
    pub(super) span_ids: Vec<i64>,
    pub(super) starts: Vec<i64>,
    pub(super) durations: Vec<i64>,
    pub(super) parents: Sparse<i32>,
    pub(super) parent_ids: Sparse<i64>,
    pub(super) names: Texts,
    pub(super) kinds: Vec<i32>,
    pub(super) statuses: Sparse<i32>,
    pub(super) status_messages: Strings,
    pub(super) resources: Vec<i32>,
    pub(super) scopes: Vec<i32>,
    pub(super) flags: Vec<i32>,
    pub(super) rest: Strings,
}

/// Values of some rows, ascending.
#[derive(Debug, Default)]
pub(super) struct Sparse<T> {
    pub(super) rows: Vec<u32>,
    pub(super) values: Vec<T>,
}

impl<T> Sparse<T> {
    pub(super) fn push(&mut self, row: u32, value: T) {
        self.rows.push(row);
        self.values.push(value);
    }
}

type Group<'g> = SerializedRowGroupWriter<'g, Vec<u8>>;

pub(super) fn write_fixed(
    group: &mut Group<'_>,
    fixed: Fixed,
    traces: &[(TraceId, u32)],
    services: &[Bytes],
) -> Result<(), ParquetError> {
    let row_count = fixed.span_ids.len();
    let mut trace_ids = Vec::with_capacity(row_count);
    for (id, spans) in traces {
        let id = FixedLenByteArray::from(ByteArray::from(Bytes::copy_from_slice(id.as_bytes())));
        trace_ids.extend(std::iter::repeat_n(id, *spans as usize));
    }
    column::<FixedLenByteArrayType>(group, &trace_ids, None)?;
    drop(trace_ids);
    column::<Int64Type>(group, &fixed.span_ids, None)?;
    column::<Int64Type>(group, &fixed.starts, None)?;
    column::<Int64Type>(group, &fixed.durations, None)?;
    sparse::<Int32Type>(group, &fixed.parents.values, &fixed.parents.rows, row_count)?;
    sparse::<Int64Type>(group, &fixed.parent_ids.values, &fixed.parent_ids.rows, row_count)?;
    column::<ByteArrayType>(group, &byte_arrays(fixed.names), None)?;
    let service = |resource: &i32| {
        usize::try_from(*resource).ok().and_then(|resource| services.get(resource)).cloned().unwrap_or_default()
    };
    let service_names: Vec<ByteArray> = fixed.resources.iter().map(|resource| service(resource).into()).collect();
    column::<ByteArrayType>(group, &service_names, None)?;
    column::<Int32Type>(group, &fixed.kinds, None)?;
    sparse::<Int32Type>(group, &fixed.statuses.values, &fixed.statuses.rows, row_count)?;
    strings(group, fixed.status_messages, row_count)?;
    column::<Int32Type>(group, &fixed.resources, None)?;
    column::<Int32Type>(group, &fixed.scopes, None)?;
    column::<Int32Type>(group, &fixed.flags, None)?;
    strings(group, fixed.rest, row_count)
}

pub(super) fn write_attributes(
    group: &mut Group<'_>,
    attributes: &mut Attributes<'_>,
    row_count: usize,
) -> Result<(), ParquetError> {
    strings(group, std::mem::take(&mut attributes.overflow), row_count)?;
    write_rare(group, attributes, row_count)?;
    for Column { values, rows, .. } in std::mem::take(&mut attributes.frequent) {
        match values {
            Values::String(texts) => sparse::<ByteArrayType>(group, &byte_arrays(texts), &rows, row_count)?,
            Values::Int(values) => sparse::<Int64Type>(group, &values, &rows, row_count)?,
            Values::Double(values) => sparse::<DoubleType>(group, &values, &rows, row_count)?,
            Values::Bool(values) => sparse::<BoolType>(group, &values, &rows, row_count)?,
        }
    }
    Ok(())
}

/// The two leaves of the map: definition level 0 for rows without it, 1 would be an empty map, 2 an entry; repetition
/// level 1 for all entries of a row but the first.
fn write_rare(group: &mut Group<'_>, attributes: &mut Attributes<'_>, row_count: usize) -> Result<(), ParquetError> {
    let rare = std::mem::take(&mut attributes.rare);
    let mut definition = Vec::with_capacity(row_count + rare.rows.len());
    let mut repetition = Vec::with_capacity(row_count + rare.rows.len());
    let mut entry = 0;
    for row in 0..row_count as u64 {
        let first = entry;
        while rare.rows.get(entry).is_some_and(|rare_row| u64::from(*rare_row) == row) {
            definition.push(2);
            repetition.push(i16::from(entry > first));
            entry += 1;
        }
        if entry == first {
            definition.push(0);
            repetition.push(0);
        }
    }
    let mut keys = Texts::default();
    for key in &rare.keys {
        keys.push(key.as_bytes());
    }
    for texts in [keys, rare.values] {
        let mut column = next_column(group)?;
        column.typed::<ByteArrayType>().write_batch(&byte_arrays(texts), Some(&definition), Some(&repetition))?;
        column.close()?;
    }
    Ok(())
}

fn strings(group: &mut Group<'_>, strings: Strings, row_count: usize) -> Result<(), ParquetError> {
    sparse::<ByteArrayType>(group, &byte_arrays(strings.texts), &strings.rows, row_count)
}

fn sparse<T: DataType>(
    group: &mut Group<'_>,
    values: &[T::T],
    rows: &[u32],
    row_count: usize,
) -> Result<(), ParquetError> {
    let mut levels = vec![0_i16; row_count];
    for row in rows {
        levels[*row as usize] = 1;
    }
    column::<T>(group, values, Some(&levels))
}

fn column<T: DataType>(group: &mut Group<'_>, values: &[T::T], levels: Option<&[i16]>) -> Result<(), ParquetError> {
    let mut column = next_column(group)?;
    column.typed::<T>().write_batch(values, levels, None)?;
    column.close()
}

fn next_column<'w>(
    group: &'w mut Group<'_>,
) -> Result<parquet::file::writer::SerializedColumnWriter<'w>, ParquetError> {
    group.next_column()?.ok_or_else(|| ParquetError::General("the schema has fewer columns".to_owned()))
}

/// The texts as Parquet's values, which share one buffer.
fn byte_arrays(texts: Texts) -> Vec<ByteArray> {
    let data = Bytes::from(texts.data);
    let mut start = 0;
    let mut arrays = Vec::with_capacity(texts.ends.len());
    for end in texts.ends {
        arrays.push(ByteArray::from(data.slice(start..end as usize)));
        start = end as usize;
    }
    arrays
}
