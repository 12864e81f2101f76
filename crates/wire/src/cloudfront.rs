//! CloudFront's access-log records in all forms: JSON, lines with a `#Fields` header, lines with a configured list of fields,
//! and what edge functions log to CloudWatch. All fill the same [`Record`], for a record is what its field names say, wherever
//! they come from. [`Reader`] takes whatever is delivered and finds out what it is; [`read_json`] takes JSON only.
//!
//! Values are strings or numbers; `-` and the empty string mean that there is none. Whether JSON values are
//! percent-encoded as in the other formats is not documented, so undoing it is a choice of the caller.

mod columns;
mod console;
pub mod conversion;
mod envelope;
mod join;
pub mod observation;
mod reader;
mod record;
pub mod rules;
pub mod span;

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

pub use columns::{Columns, InvalidColumns};
pub use reader::{Found, Reader, Session};
pub use record::{Field, Log, Record, Source};

/// How records are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ReadOptions {
    /// Which log it is: two names mean different things.
    pub source: Source,
    /// Undo percent-encoding of all values.
    pub percent_decode: bool,
}

/// Part of a delivery that is no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a log record: {0}")]
pub struct InvalidRecord(pub String);

/// Reads JSON objects that follow each other, with a newline, space or nothing between them.
///
/// After something that is no object, reading goes on at the next line.
#[must_use]
pub fn read_json(data: &[u8], options: ReadOptions) -> JsonRecords<'_> {
    JsonRecords { rest: data, options }
}

/// Iterator of [`read_json`].
#[derive(Clone, Debug)]
pub struct JsonRecords<'a> {
    rest: &'a [u8],
    options: ReadOptions,
}

impl<'a> Iterator for JsonRecords<'a> {
    type Item = Result<Record<'a>, InvalidRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        self.rest = self.rest.trim_ascii_start();
        if self.rest.is_empty() {
            return None;
        }
        let mut stream = serde_json::Deserializer::from_slice(self.rest).into_iter::<Members<'a>>();
        match stream.next()? {
            Ok(Members(members)) => {
                self.rest = &self.rest[stream.byte_offset()..];
                let mut record = Record::new(self.options.source.into());
                for (name, value) in members {
                    record.set(&name, value, self.options);
                }
                Some(Ok(record))
            }
            Err(error) => {
                let next_line = memchr::memchr(b'\n', self.rest).map_or(self.rest.len(), |newline| newline + 1);
                self.rest = &self.rest[next_line..];
                Some(Err(InvalidRecord(error.to_string())))
            }
        }
    }
}

/// The members of an object whose values are strings or numbers; others are left out.
struct Members<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                #[derive(serde::Deserialize)]
                struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
                let mut members = Vec::new();
                while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    let raw = value.get();
                    match raw.as_bytes().first() {
                        Some(b'"') => {
                            let Name(text) = serde_json::from_str(raw).map_err(serde::de::Error::custom)?;
                            members.push((name, text));
                        }
                        Some(b'-' | b'0'..=b'9') => members.push((name, Cow::Borrowed(raw))),
                        _ => {}
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

#[cfg(test)]
mod tests;
