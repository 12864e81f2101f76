//! Span attributes as columns: collected key by key in one pass over a block's sorted rows.
//!
//! A key's column has the type of its first value. What does not fit (another type, arrays, bytes, a key that the
//! same span has twice, bytes that are not the canonical encoding) goes to the row's *overflow*, the attribute's own
//! bytes as field 9 of a span, so that nothing is lost. After the pass the frequent keys become Parquet columns; of
//! the others, strings go to the map of rare attributes and the rest to the overflow.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use rootspan_wire::otlp::view::{AnyValue, KeyValue};
use rootspan_wire::otlp::{field, write};

use super::filter::{HashedValue, integer, key_hash, value_hash};
use super::index::{KeyInfo, ValueType};

/// Keys on fewer rows than this share have no column of their own: below it a column costs more than the map.
const FREQUENT_SHARE: usize = 200;
/// Most columns. Each costs some 200 bytes of footer and a page reader per lookup.
const MAX_COLUMNS: usize = 300;
/// Most keys that are told apart in one block; more can only come from keys made of data, which all go to the overflow.
const MAX_KEYS: usize = 8192;
/// Most attributes of a span whose columns are guessed.
const MAX_SEQUENCE: usize = 64;
/// The pass.
#[derive(Debug, Default)]
pub(crate) struct Collector<'a> {
    columns: Vec<Column<'a>>,
    by_key: HashMap<&'a str, u32, foldhash::fast::RandomState>,
    overflow: Strings,
    /// Hashes of all (key, value) pairs for the block's filter.
    hashes: HashSet<u64, BuildHasherDefault<AsItIs>>,
    keys_incomplete: bool,
    /// For each span name the columns of its last span's attributes, in order: instrumentation writes the same ones in
    /// the same order every time, so this guess saves most hash lookups.
    sequences: Vec<Vec<u32>>,
}

/// The values of one key.
#[derive(Debug)]
pub(crate) struct Column<'a> {
    pub(crate) key: &'a str,
    pub(crate) values: Values,
    /// Rows that have a value, ascending.
    pub(crate) rows: Vec<u32>,
    key_hash: u64,
    in_overflow: bool,
    /// The last row of which this key went to the overflow; later values of that row must follow it there, so that
    /// the order of a key's duplicates is kept.
    overflow_row: Option<u32>,
}

/// Typed values, one per entry of [`Column::rows`].
#[derive(Debug)]
pub(crate) enum Values {
    String(Texts),
    Int(Vec<i64>),
    Double(Vec<f64>),
    Bool(Vec<bool>),
}

/// Many strings in one buffer.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    pub(crate) ends: Vec<u32>,
    pub(crate) data: Vec<u8>,
}

/// Byte strings of some rows, ascending.
#[derive(Debug, Default)]
pub(crate) struct Strings {
    pub(crate) rows: Vec<u32>,
    pub(crate) texts: Texts,
}

/// The map of rare string attributes: one entry per attribute, in the order of rows.
#[derive(Debug, Default)]
pub(crate) struct Rare<'a> {
    pub(crate) rows: Vec<u32>,
    pub(crate) keys: Vec<&'a str>,
    pub(crate) values: Texts,
}

/// What the pass gives.
#[derive(Debug)]
pub(crate) struct Attributes<'a> {
    /// Columns of frequent keys, in the order of keys.
    pub(crate) frequent: Vec<Column<'a>>,
    pub(crate) rare: Rare<'a>,
    pub(crate) overflow: Strings,
    /// Every key; `column` counts `frequent` from 0.
    pub(crate) keys: Vec<(&'a str, KeyInfo)>,
    pub(crate) keys_incomplete: bool,
    pub(crate) hashes: Vec<u64>,
}

/// What is hashed is a good hash already.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        debug_assert!(false, "only 64-bit hashes are entered");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// No column: there are too many.
const NO_COLUMN: u32 = u32::MAX;

impl Texts {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.data.extend_from_slice(bytes);
        self.end();
    }

    fn end(&mut self) {
        // A block holds at most some 100 MB of attributes: batches are capped and a seal takes few of them.
        self.ends.push(u32::try_from(self.data.len()).expect("a block's column is shorter than 4 GiB"));
    }

    pub(crate) fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        &self.data[start..self.ends[index] as usize]
    }
}

impl<'a> Collector<'a> {
    /// Takes the attribute at `position` of `row`, whose span has the name with this number; rows come in order.
    pub(crate) fn attribute(&mut self, row: u32, name: u32, position: usize, attribute: &KeyValue<'a>) {
        let index = self.column(name, position, attribute);
        if index == NO_COLUMN {
            self.hash(key_hash(attribute.key), attribute.value);
            self.overflow(row, attribute.bytes);
            return;
        }
        let hash = self.columns[index as usize].key_hash;
        self.hash(hash, attribute.value);
        let column = &mut self.columns[index as usize];
        let fits = column.overflow_row != Some(row)
            && column.rows.last() != Some(&row)
            && is_canonical(attribute)
            && column.values.push(attribute.value);
        if fits {
            column.rows.push(row);
        } else {
            column.in_overflow = true;
            column.overflow_row = Some(row);
            self.overflow(row, attribute.bytes);
        }
    }

    /// Adds a resource's attribute to the filter.
    pub(crate) fn hash_attribute(&mut self, attribute: &KeyValue<'a>) {
        self.hash(key_hash(attribute.key), attribute.value);
    }

    /// Enters a value, and the elements of an array: a search for one of them finds the span.
    fn hash(&mut self, key: u64, value: AnyValue<'a>) {
        let value = match value {
            AnyValue::Array(array) => {
                for element in array.values() {
                    if !matches!(element, AnyValue::Array(_)) {
                        self.hash(key, element);
                    }
                }
                return;
            }
            AnyValue::String(text) => HashedValue::String(text),
            AnyValue::Int(number) => HashedValue::Int(number),
            AnyValue::Bool(value) => HashedValue::Bool(value),
            AnyValue::Double(number) => match integer(number) {
                Some(number) => HashedValue::Int(number),
                None => return,
            },
            AnyValue::Empty | AnyValue::Bytes(_) | AnyValue::KeyValueList(_) => return,
        };
        self.hashes.insert(value_hash(key, value));
    }

    fn overflow(&mut self, row: u32, attribute: &[u8]) {
        self.overflow.append(row, |data| write::put_bytes(data, field::span::ATTRIBUTES, attribute));
    }

    /// The column of the attribute's key, made if need be; [`NO_COLUMN`] if there are too many.
    fn column(&mut self, name: u32, position: usize, attribute: &KeyValue<'a>) -> u32 {
        let guess = self.sequences.get(name as usize).and_then(|sequence| sequence.get(position).copied());
        if let Some(guess) = guess
            && let Some(column) = self.columns.get(guess as usize)
            && column.key == attribute.key
        {
            return guess;
        }
        let index = match self.by_key.get(attribute.key) {
            Some(index) => *index,
            None => match self.add_column(attribute) {
                Some(index) => index,
                None => return NO_COLUMN,
            },
        };
        if position < MAX_SEQUENCE {
            if self.sequences.len() <= name as usize {
                self.sequences.resize_with(name as usize + 1, Vec::new);
            }
            let sequence = &mut self.sequences[name as usize];
            if sequence.len() <= position {
                sequence.resize(position + 1, NO_COLUMN);
            }
            sequence[position] = index;
        }
        index
    }

    fn add_column(&mut self, attribute: &KeyValue<'a>) -> Option<u32> {
        if self.columns.len() >= MAX_KEYS {
            self.keys_incomplete = true;
            return None;
        }
        let values = match attribute.value {
            AnyValue::Int(_) => Values::Int(Vec::new()),
            AnyValue::Double(_) => Values::Double(Vec::new()),
            AnyValue::Bool(_) => Values::Bool(Vec::new()),
            // Other types never fit a column; strings are the likeliest to come later.
            AnyValue::String(_)
            | AnyValue::Empty
            | AnyValue::Bytes(_)
            | AnyValue::Array(_)
            | AnyValue::KeyValueList(_) => Values::String(Texts::default()),
        };
        let index = u32::try_from(self.columns.len()).ok()?;
        self.columns.push(Column {
            key: attribute.key,
            values,
            rows: Vec::new(),
            key_hash: key_hash(attribute.key),
            in_overflow: false,
            overflow_row: None,
        });
        self.by_key.insert(attribute.key, index);
        Some(index)
    }

    /// Ends the pass over `row_count` rows.
    pub(crate) fn finish(mut self, row_count: usize) -> Attributes<'a> {
        let threshold = row_count.div_ceil(FREQUENT_SHARE).max(1);
        let mut columns = std::mem::take(&mut self.columns);
        columns.sort_by(|left, right| right.rows.len().cmp(&left.rows.len()).then(left.key.cmp(right.key)));
        let frequent_count =
            columns.iter().take(MAX_COLUMNS).take_while(|column| column.rows.len() >= threshold).count();
        let rest = columns.split_off(frequent_count);
        columns.sort_by(|left, right| left.key.cmp(right.key));

        let mut keys = Vec::with_capacity(columns.len() + rest.len());
        for (position, column) in columns.iter().enumerate() {
            let position = u32::try_from(position).unwrap_or(u32::MAX);
            let column_type = Some((position, column.values.value_type()));
            keys.push((column.key, KeyInfo { column: column_type, in_rare: false, in_overflow: column.in_overflow }));
        }
        let (rare_columns, moved): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|column| matches!(column.values, Values::String(_)));
        for column in &rare_columns {
            let info = KeyInfo { column: None, in_rare: !column.rows.is_empty(), in_overflow: column.in_overflow };
            keys.push((column.key, info));
        }
        for column in &moved {
            keys.push((column.key, KeyInfo { column: None, in_rare: false, in_overflow: true }));
        }
        Attributes {
            frequent: columns,
            rare: rare(&rare_columns),
            overflow: move_to_overflow(self.overflow, &moved),
            keys,
            keys_incomplete: self.keys_incomplete,
            hashes: self.hashes.into_iter().collect(),
        }
    }
}

impl Values {
    /// Appends a value if it is of the column's type.
    fn push(&mut self, value: AnyValue<'_>) -> bool {
        match (self, value) {
            (Self::String(texts), AnyValue::String(text)) => texts.push(text.as_bytes()),
            (Self::Int(values), AnyValue::Int(value)) => values.push(value),
            (Self::Double(values), AnyValue::Double(value)) => values.push(value),
            (Self::Bool(values), AnyValue::Bool(value)) => values.push(value),
            _ => return false,
        }
        true
    }

    pub(crate) const fn value_type(&self) -> ValueType {
        match self {
            Self::String(_) => ValueType::String,
            Self::Int(_) => ValueType::Int,
            Self::Double(_) => ValueType::Double,
            Self::Bool(_) => ValueType::Bool,
        }
    }
}

impl Strings {
    /// Adds the bytes of `row`, which must be behind the last one.
    pub(crate) fn push(&mut self, row: u32, bytes: &[u8]) {
        self.rows.push(row);
        self.texts.push(bytes);
    }

    /// Appends to the bytes of `row`, which must not be before the last one.
    fn append(&mut self, row: u32, write: impl FnOnce(&mut Vec<u8>)) {
        if self.rows.last() == Some(&row) {
            self.texts.ends.pop();
        } else {
            self.rows.push(row);
        }
        write(&mut self.texts.data);
        self.texts.end();
    }
}

/// Whether an attribute is encoded as `wire` would encode it: no unknown fields, nothing twice. Only then
/// may its bytes be forgotten.
fn is_canonical(attribute: &KeyValue<'_>) -> bool {
    attribute.bytes.len() == attribute_length(attribute.key.len(), value_length(attribute.value))
}

/// Length of the `AnyValue` message.
fn value_length(value: AnyValue<'_>) -> usize {
    match value {
        AnyValue::String(text) => 1 + number_length(text.len() as u64) + text.len(),
        AnyValue::Int(number) => 1 + number_length(number.cast_unsigned()),
        AnyValue::Double(_) => 9,
        AnyValue::Bool(_) => 2,
        AnyValue::Empty | AnyValue::Bytes(_) | AnyValue::Array(_) | AnyValue::KeyValueList(_) => usize::MAX / 2,
    }
}

/// Length of the `KeyValue` message.
fn attribute_length(key: usize, value: usize) -> usize {
    1 + number_length(key as u64) + key + 1 + number_length(value as u64) + value
}

/// Bytes of a varint.
fn number_length(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// The map column of keys that are too rare for a column.
fn rare<'a>(columns: &[Column<'a>]) -> Rare<'a> {
    let mut places = Vec::new();
    for (index, column) in columns.iter().enumerate() {
        places.extend(column.rows.iter().enumerate().map(|(entry, row)| (*row, index, entry)));
    }
    places.sort_unstable();
    let mut rare = Rare::default();
    for (row, index, entry) in places {
        let column = &columns[index];
        if let Values::String(texts) = &column.values {
            rare.rows.push(row);
            rare.keys.push(column.key);
            rare.values.push(texts.get(entry));
        }
    }
    rare
}

/// Writes the values of `moved` into the overflow, before what a row already has there.
fn move_to_overflow(overflow: Strings, moved: &[Column<'_>]) -> Strings {
    let mut places = Vec::new();
    for (index, column) in moved.iter().enumerate() {
        places.extend(column.rows.iter().enumerate().map(|(entry, row)| (*row, index, entry)));
    }
    if places.is_empty() {
        return overflow;
    }
    places.sort_unstable();
    let mut merged = Strings::default();
    let mut old = 0;
    for (row, index, entry) in places {
        while old < overflow.rows.len() && overflow.rows[old] < row {
            merged.append(overflow.rows[old], |data| data.extend_from_slice(overflow.texts.get(old)));
            old += 1;
        }
        let column = &moved[index];
        merged.append(row, |data| {
            let (field, key) = (field::span::ATTRIBUTES, column.key);
            match &column.values {
                Values::String(_) => debug_assert!(false, "strings go to the map"),
                Values::Int(values) => write::put_attribute(data, field, key, values[entry]),
                Values::Double(values) => write::put_attribute(data, field, key, values[entry]),
                Values::Bool(values) => write::put_attribute(data, field, key, values[entry]),
            }
        });
    }
    while old < overflow.rows.len() {
        merged.append(overflow.rows[old], |data| data.extend_from_slice(overflow.texts.get(old)));
        old += 1;
    }
    merged
}
