//! The Parquet schema of a block.
//!
//! ```text
//! message span {
//!   required fixed_len_byte_array(16) trace_id;
//!   required int64 span_id;            the eight bytes, big-endian
//!   required int64 start;              nanoseconds after the trace's first start in this block
//!   required int64 duration;           nanoseconds
//!   optional int32 parent;             how many rows before this one the parent is (negative: behind)
//!   optional int64 parent_id;          a parent that is not in this block
//!   required binary name (UTF8);
//!   required binary service (UTF8);    for other readers; ours knows it by `resource`
//!   required int32 kind;               OTLP's numbers
//!   optional int32 status;             OTLP's numbers; null: the span has no status
//!   optional binary status_message (UTF8);
//!   required int32 resource;           position in the block's own list (see `index`)
//!   required int32 scope;              likewise
//!   required int32 flags;
//!   optional binary rest;              all other fields of the span as OTLP protobuf: events, links, trace state, …
//!   optional binary overflow;          attributes that have no column, as OTLP protobuf
//!   optional group rare (MAP) { repeated group key_value { required binary key (UTF8); required binary value (UTF8); } }
//!   required group attributes { optional <type> <key>; … }
//! }
//! ```
//!
//! Times are kept with wrapping arithmetic, so any 64-bit value comes back. An end that the duration cannot express
//! (before the start, or more than 2^63 ns after it) is in `rest` as the span's own field 8.

use std::sync::Arc;

use parquet::basic::{Compression, ConvertedType, Encoding, LogicalType, Repetition, Type as PhysicalType, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::{ColumnPath, Type, TypePtr};

use super::index::ValueType;

/// Leaf columns in the order of the schema; attributes follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(dead_code, reason = "trace ids and services are written for other readers only")]
#[repr(usize)]
pub(crate) enum Leaf {
    TraceId,
    SpanId,
    Start,
    Duration,
    Parent,
    ParentId,
    Name,
    Service,
    Kind,
    Status,
    StatusMessage,
    Resource,
    Scope,
    Flags,
    Rest,
    Overflow,
    RareKey,
    RareValue,
    /// The first attribute column.
    Attributes,
}

/// Bytes per data page before compression: a trace is found by decoding one page of each column. Smaller pages compress
/// worse, larger ones cost more per lookup.
const PAGE_BYTES: usize = 32 * 1024;
/// Rows per data page of columns that take few bytes.
const PAGE_ROWS: usize = 8192;
/// Page limits are looked at after so many rows.
const WRITE_ROWS: usize = 256;
/// A dictionary is decompressed and decoded whole for every lookup; larger ones are not worth it.
const DICTIONARY_BYTES: usize = 64 * 1024;
/// Level 3 takes more time and saves nothing here.
const ZSTD_LEVEL: i32 = 1;

/// The schema of a block with these attribute columns.
pub(crate) fn schema(attributes: &[(&str, ValueType)]) -> Result<TypePtr, ParquetError> {
    let mut fields = vec![
        Type::primitive_type_builder("trace_id", PhysicalType::FIXED_LEN_BYTE_ARRAY)
            .with_length(16)
            .with_repetition(Repetition::REQUIRED)
            .build()
            .map(Arc::new)?,
        number("span_id", PhysicalType::INT64, Repetition::REQUIRED)?,
        number("start", PhysicalType::INT64, Repetition::REQUIRED)?,
        number("duration", PhysicalType::INT64, Repetition::REQUIRED)?,
        number("parent", PhysicalType::INT32, Repetition::OPTIONAL)?,
        number("parent_id", PhysicalType::INT64, Repetition::OPTIONAL)?,
        text("name", Repetition::REQUIRED)?,
        text("service", Repetition::REQUIRED)?,
        number("kind", PhysicalType::INT32, Repetition::REQUIRED)?,
        number("status", PhysicalType::INT32, Repetition::OPTIONAL)?,
        text("status_message", Repetition::OPTIONAL)?,
        number("resource", PhysicalType::INT32, Repetition::REQUIRED)?,
        number("scope", PhysicalType::INT32, Repetition::REQUIRED)?,
        number("flags", PhysicalType::INT32, Repetition::REQUIRED)?,
        number("rest", PhysicalType::BYTE_ARRAY, Repetition::OPTIONAL)?,
        number("overflow", PhysicalType::BYTE_ARRAY, Repetition::OPTIONAL)?,
        rare()?,
    ];
    // A group without fields is no valid Parquet.
    if !attributes.is_empty() {
        let mut columns = Vec::with_capacity(attributes.len());
        for (key, value_type) in attributes {
            columns.push(match value_type {
                ValueType::String => text(key, Repetition::OPTIONAL)?,
                ValueType::Int => number(key, PhysicalType::INT64, Repetition::OPTIONAL)?,
                ValueType::Double => number(key, PhysicalType::DOUBLE, Repetition::OPTIONAL)?,
                ValueType::Bool => number(key, PhysicalType::BOOLEAN, Repetition::OPTIONAL)?,
            });
        }
        let group = Type::group_type_builder("attributes").with_repetition(Repetition::REQUIRED).with_fields(columns);
        fields.push(Arc::new(group.build()?));
    }
    Type::group_type_builder("span").with_fields(fields).build().map(Arc::new)
}

fn number(name: &str, physical: PhysicalType, repetition: Repetition) -> Result<TypePtr, ParquetError> {
    Type::primitive_type_builder(name, physical).with_repetition(repetition).build().map(Arc::new)
}

fn text(name: &str, repetition: Repetition) -> Result<TypePtr, ParquetError> {
    Type::primitive_type_builder(name, PhysicalType::BYTE_ARRAY)
        .with_repetition(repetition)
        .with_logical_type(Some(LogicalType::String))
        .with_converted_type(ConvertedType::UTF8)
        .build()
        .map(Arc::new)
}

fn rare() -> Result<TypePtr, ParquetError> {
    let entries = Type::group_type_builder("key_value")
        .with_repetition(Repetition::REPEATED)
        .with_fields(vec![text("key", Repetition::REQUIRED)?, text("value", Repetition::REQUIRED)?])
        .build()?;
    Type::group_type_builder("rare")
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(Some(LogicalType::Map))
        .with_converted_type(ConvertedType::MAP)
        .with_fields(vec![Arc::new(entries)])
        .build()
        .map(Arc::new)
}

/// How columns are encoded.
pub(crate) fn properties() -> Result<WriterProperties, ParquetError> {
    let mut builder = WriterProperties::builder()
        .set_created_by("rootspan".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        // Pruning is by our own index; nobody reads these.
        .set_statistics_enabled(EnabledStatistics::None)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_data_page_size_limit(PAGE_BYTES)
        .set_write_batch_size(WRITE_ROWS)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_max_row_group_row_count(None);
    // Random bits: a compressor only costs time.
    builder = plain(builder, "span_id").set_column_compression(path("span_id"), Compression::UNCOMPRESSED);
    builder = plain(builder, "parent_id").set_column_compression(path("parent_id"), Compression::UNCOMPRESSED);
    // The high bytes are mostly zero, the low ones random: splitting them lets zstd see that.
    for column in ["start", "duration"] {
        builder = plain(builder, column).set_column_encoding(path(column), Encoding::BYTE_STREAM_SPLIT);
    }
    for column in ["rest", "overflow"] {
        builder = plain(builder, column);
    }
    Ok(builder.build())
}

fn plain(builder: WriterPropertiesBuilder, column: &str) -> WriterPropertiesBuilder {
    builder.set_column_dictionary_enabled(path(column), false)
}

fn path(column: &str) -> ColumnPath {
    ColumnPath::from(column)
}
