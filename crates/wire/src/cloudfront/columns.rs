//! Logs as lines: which value of a line is which field.

use std::ops::Range;

use super::InvalidRecord;
use super::record::{Field, Record, Source};
use super::scan::for_each_below;

/// Most columns of a line: CloudFront's delivery takes up to 128 fields.
const MAX_COLUMNS: usize = 128;

/// The fields of a line, in order. Values are separated by tabs (by spaces if a line has no tab) and percent-encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    fields: Vec<Option<Field>>,
    source: Source,
}

/// A list of fields that cannot be that of a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidColumns {
    /// None, or more than CloudFront delivers.
    #[error("a log has 1 to {MAX_COLUMNS} fields, not {0}")]
    Count(usize),
    /// The same field in two columns.
    #[error("the field {0} is listed twice")]
    Twice(String),
    /// Not one name is a field of CloudFront.
    #[error("none of the names is a field of CloudFront's logs that something is made of")]
    Unknown,
}

impl Columns {
    /// The columns that have these names, in the order of delivery (as the API gives back a real-time configuration).
    ///
    /// Two names mean different things in real-time and in standard logs; which one it is follows from the others:
    /// only standard logs have `date`, `timestamp(ms)` and names with parentheses.
    ///
    /// # Errors
    /// If the list cannot be right. Names that are not known are no error: CloudFront adds some now and then.
    pub fn new<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Result<Self, InvalidColumns> {
        let names: Vec<N> = names.into_iter().collect();
        if names.is_empty() || names.len() > MAX_COLUMNS {
            return Err(InvalidColumns::Count(names.len()));
        }
        let is_standard = |name: &str| name.contains('(') || name == "date" || name == "timestamp_ms";
        let standard = names.iter().any(|name| is_standard(name.as_ref()));
        let source = if standard { Source::Standard } else { Source::RealTime };
        let mut fields: Vec<Option<Field>> = Vec::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            let name = name.as_ref();
            let is_same = |other: &N| other.as_ref() == name;
            let field = Field::of(name, source);
            if field.is_some() && names.get(..index).is_some_and(|before| before.iter().any(is_same)) {
                return Err(InvalidColumns::Twice(name.to_owned()));
            }
            // Two names may mean the same, as the distribution's domain has two in real-time logs: the first is read.
            fields.push(field.filter(|_| !fields.contains(&field)));
        }
        if fields.iter().all(Option::is_none) {
            return Err(InvalidColumns::Unknown);
        }
        Ok(Self { fields, source })
    }

    /// Which log it is, by the names.
    #[must_use]
    pub const fn source(&self) -> Source {
        self.source
    }

    /// Reads a line without its line end into a record, whatever that was before. Tabs at the end are tolerated, AWS's
    /// own examples have them.
    ///
    /// # Errors
    /// If the line has another number of values: then it is not known which is which.
    pub(super) fn read_into<'a>(&self, line: &'a str, record: &mut Record<'a>) -> Result<(), InvalidRecord> {
        record.restart(self.source.into());
        let mut row = Row { line, fields: &self.fields, record, count: 0 };
        let (mut begin, mut has_escapes) = (0, false);
        // Spaces separate only where there is no tab.
        let separator = if memchr::memchr(b'\t', line.as_bytes()).is_some() { b'\t' } else { b' ' };
        for_each_below(line.as_bytes(), b'%' + 1, |at, byte| {
            if byte == separator {
                row.put(begin..at, has_escapes);
                (begin, has_escapes) = (at + 1, false);
            } else if byte == b'%' {
                has_escapes = true;
            }
        });
        row.put(begin..line.len(), has_escapes);
        row.end()
    }
}

/// A record of which the first columns have been read.
struct Row<'r, 'a> {
    line: &'a str,
    fields: &'r [Option<Field>],
    record: &'r mut Record<'a>,
    count: usize,
}

impl Row<'_, '_> {
    /// Where the value of the next column is; whether something in it may be percent-encoded.
    #[inline]
    fn put(&mut self, value: Range<usize>, has_escapes: bool) {
        match self.fields.get(self.count) {
            Some(Some(field)) => {
                let value = self.line.get(value).expect("it is between separators, which are ASCII");
                self.record.put(*field, value.into(), has_escapes);
            }
            Some(None) => {}
            None if value.is_empty() => return,
            None => {}
        }
        self.count += 1;
    }

    fn end(self) -> Result<(), InvalidRecord> {
        let (count, expected) = (self.count, self.fields.len());
        if count == expected {
            return Ok(());
        }
        Err(InvalidRecord(format!("the line has {count} values, the list of fields {expected} names")))
    }
}
