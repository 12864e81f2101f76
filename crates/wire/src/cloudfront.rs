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
mod json;
pub mod observation;
mod reader;
mod record;
pub mod route;
pub mod rules;
mod scan;
pub mod span;

pub use columns::{Columns, InvalidColumns};
pub use json::{JsonRecords, read_json};
pub use reader::{Found, LONG_LINE, Reader, Session, last_header, whole_values};
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

#[cfg(test)]
mod field_tests;
#[cfg(test)]
mod tests;
