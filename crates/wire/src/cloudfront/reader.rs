//! One reader for whatever is delivered: each delivery says itself what it is.
//!
//! | begins with | is |
//! |---|---|
//! | `1f 8b` | gzip: the caller unpacks it, for memory is the caller's to bound, and reads the result |
//! | `{` | JSON values with anything or nothing between: records of standard logging v2, CloudWatch envelopes |
//! | `#` | lines, with their fields in a `#Fields:` line: standard logs, both versions |
//! | anything else | lines with the configured fields: real-time logs, or v2 in the format "plain"; or what functions log |

use serde_json::value::RawValue;

use super::columns::Columns;
use super::envelope::{Envelope, Event, MESSAGE_TYPE};
use super::json::{Names, Objects};
use super::{InvalidRecord, ReadOptions, Record, console};
use rootspan_model::log_payload::LogPayload;

/// How gzip begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Reads deliveries. It keeps nothing between them.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    /// The fields of lines that come without a header.
    pub line_fields: Option<Columns>,
    /// Undo percent-encoding of the values in JSON.
    pub percent_decode_json: bool,
}

/// Something that was delivered.
#[derive(Clone, Debug)]
pub enum Found<'a> {
    /// An access-log record, or a line of AWS's sample, which says as much as one.
    Record(&'a Record<'a>),
    /// What our function logged of a request by `console.log`: belongs to the record with this id.
    Payload {
        /// `x-edge-request-id`
        request_id: &'a str,
        /// The data.
        payload: Box<LogPayload>,
    },
    /// Spans in OTLP JSON, logged by a Lambda@Edge function.
    Otlp(&'a str),
    /// Still packed: all that was delivered, to be unpacked (all members of it) and read again.
    Gzip(&'a [u8]),
    /// A control message, or a line that is nobody's record: to be acknowledged and forgotten.
    Nothing,
    /// Part of the delivery that should have been a record.
    Invalid(InvalidRecord),
}

/// A log that is read piece by piece: its header, if it has one, holds for all that follows.
#[derive(Clone, Debug)]
pub struct Session<'r> {
    reader: &'r Reader,
    /// Columns that could not be read make all their lines unreadable: other columns would be a guess.
    header: Option<Option<Columns>>,
    names: Names,
}

impl Session<'_> {
    /// Begins another log, which may have another header.
    pub(super) fn restart(&mut self) {
        self.header = None;
    }

    /// Reads the next piece, which ends with a line's end, or with the log's.
    pub fn read(&mut self, data: &[u8], found: &mut dyn FnMut(Found<'_>)) {
        if self.header.is_some() {
            return self.read_lines(data, found);
        }
        if data.starts_with(&GZIP) {
            return found(Found::Gzip(data));
        }
        match data.trim_ascii_start().first() {
            None => {}
            Some(b'{') if has_envelopes(data) => self.reader.read_envelopes(data, &mut self.names, found),
            Some(b'{') => self.reader.read_records(data, &mut self.names, found),
            Some(_) => self.read_lines(data, found),
        }
    }

    fn read_lines(&mut self, data: &[u8], found: &mut dyn FnMut(Found<'_>)) {
        // One record for all lines: to make and to move one costs as much as some of its values.
        let mut record = Record::default();
        let line_ends = memchr::memchr_iter(b'\n', data).chain([data.len()]);
        let mut begin = 0;
        for end in line_ends {
            let line = &data[begin..end];
            begin = end + 1;
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let Ok(line) = simdutf8::basic::from_utf8(line) else {
                let problem = if line == LONG_LINE { "the line is too long" } else { "the line is not UTF-8" };
                found(Found::Invalid(InvalidRecord(problem.into())));
                continue;
            };
            if line.trim().is_empty() {
                continue;
            }
            if let Some(directive) = line.strip_prefix('#') {
                if let Some(names) = directive.strip_prefix("Fields:") {
                    let columns = Columns::new(names.split_ascii_whitespace());
                    if let Err(problem) = &columns {
                        found(Found::Invalid(InvalidRecord(problem.to_string())));
                    }
                    self.header = Some(columns.ok());
                }
                continue;
            }
            let columns = self.header.as_ref().map_or(self.reader.line_fields.as_ref(), Option::as_ref);
            read_line(line, columns, &mut record, found);
        }
    }
}

impl Reader {
    /// Reads one whole delivery: the data of a Firehose record, or a short file.
    pub fn read(&self, data: &[u8], found: &mut dyn FnMut(Found<'_>)) {
        self.session().read(data, found);
    }

    /// Begins to read a log piece by piece.
    #[must_use]
    pub fn session(&self) -> Session<'_> {
        Session { reader: self, header: None, names: Names::default() }
    }

    fn read_records(&self, data: &[u8], names: &mut Names, found: &mut dyn FnMut(Found<'_>)) {
        if let Some(text) = otlp(data) {
            return found(Found::Otlp(text));
        }
        let options = ReadOptions { percent_decode: self.percent_decode_json, ..ReadOptions::default() };
        let mut record = Record::default();
        let mut objects = Objects::new(data);
        while let Some(read) = objects.read_next(options, names, &mut record) {
            found(read.map_or_else(Found::Invalid, |()| Found::Record(&record)));
        }
    }

    fn read_envelopes(&self, data: &[u8], names: &mut Names, found: &mut dyn FnMut(Found<'_>)) {
        let mut rest = data;
        loop {
            rest = rest.trim_ascii_start();
            if rest.is_empty() {
                return;
            }
            let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<&RawValue>();
            match values.next() {
                Some(Ok(value)) => {
                    rest = &rest[values.byte_offset()..];
                    match serde_json::from_str::<Envelope<'_>>(value.get()) {
                        Ok(envelope) => self.read_envelope(&envelope, names, found),
                        // A record beside an envelope, or no object at all.
                        Err(_) => self.read_records(value.get().as_bytes(), names, found),
                    }
                }
                Some(Err(error)) => {
                    found(Found::Invalid(InvalidRecord(error.to_string())));
                    let next_line = memchr::memchr(b'\n', rest).map_or(rest.len(), |newline| newline + 1);
                    rest = &rest[next_line..];
                }
                None => return,
            }
        }
    }

    fn read_envelope(&self, envelope: &Envelope<'_>, names: &mut Names, found: &mut dyn FnMut(Found<'_>)) {
        if envelope.is_control() {
            return found(Found::Nothing);
        }
        for event in envelope.events() {
            match event {
                Ok(event) => self.read_event(&event, names, found),
                Err(problem) => found(Found::Invalid(InvalidRecord(problem))),
            }
        }
    }

    fn read_event(&self, event: &Event<'_>, names: &mut Names, found: &mut dyn FnMut(Found<'_>)) {
        let extracted = &event.extracted;
        if let (Some(start), Some(end), Some(b3)) = (&extracted.start_time, &extracted.end_time, &extracted.b3) {
            let request_id = extracted.request_id.as_deref().map(Into::into);
            if let Some(record) = console::sample(request_id, start, end, b3) {
                return found(Found::Record(&record));
            }
        }
        let message = event.message.trim();
        if message.starts_with('{') {
            return self.read_records(message.as_bytes(), names, found);
        }
        if let Some(line) = console::read(message) {
            return line.give(found);
        }
        let mut record = Record::default();
        match self.line_fields.as_ref().and_then(|columns| columns.read_into(message, &mut record).ok()) {
            Some(()) => found(Found::Record(&record)),
            // A function may log whatever its owner likes.
            None => found(Found::Nothing),
        }
    }
}

/// How much of the beginning of `text` is whole JSON values; 0 if it does not begin with an object. Logs in JSON need no lines.
#[must_use]
pub fn whole_values(text: &[u8]) -> usize {
    if !text.trim_ascii_start().starts_with(b"{") {
        return 0;
    }
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<&RawValue>();
    let mut end = 0;
    while let Some(Ok(_)) = values.next() {
        end = values.byte_offset();
    }
    end
}

/// The last `#Fields:` line of a piece of a log: it holds for what follows the piece.
#[must_use]
pub fn last_header(piece: &[u8]) -> Option<&str> {
    let is_first = |start: &usize| *start == 0 || piece.get(start - 1) == Some(&b'\n');
    let start = memchr::memmem::rfind_iter(piece, HEADER).find(is_first)?;
    let line = piece.get(start..)?;
    let line = line.get(..memchr::memchr(b'\n', line).unwrap_or(line.len()))?;
    std::str::from_utf8(line.trim_ascii_end()).ok()
}

/// Stands in a piece of its own for a line that is too long to be held. It is not UTF-8, so that it is a bad record whatever
/// the log's form is.
pub const LONG_LINE: &[u8] = b"\xff\xfflong\xff\xff";

/// How the line begins that names the fields.
const HEADER: &[u8] = b"#Fields:";

/// Whether there may be a CloudWatch envelope in JSON: the name can only be in one, or in a record's value.
fn has_envelopes(data: &[u8]) -> bool {
    memchr::memmem::find(data, MESSAGE_TYPE.as_bytes()).is_some()
}

/// The delivery if it is OTLP in JSON.
fn otlp(data: &[u8]) -> Option<&str> {
    let text = data.trim_ascii();
    text.starts_with(b"{\"resourceSpans\":").then(|| simdutf8::basic::from_utf8(text).ok())?
}

fn read_line<'a>(line: &'a str, columns: Option<&Columns>, record: &mut Record<'a>, found: &mut dyn FnMut(Found<'_>)) {
    let problem = match columns.map(|columns| columns.read_into(line, record)) {
        Some(Ok(())) => return found(Found::Record(record)),
        Some(Err(problem)) => problem,
        None => InvalidRecord("lines without a #Fields header need a list of fields".into()),
    };
    match console::read(line) {
        Some(line) => line.give(found),
        None => found(Found::Invalid(problem)),
    }
}

impl console::Line<'_> {
    fn give(self, found: &mut dyn FnMut(Found<'_>)) {
        match self {
            Self::Payload { request_id, payload } => found(Found::Payload { request_id, payload: Box::new(payload) }),
            Self::Sample(record) => found(Found::Record(&record)),
            Self::Otlp(text) => found(Found::Otlp(text)),
            Self::Frame => found(Found::Nothing),
        }
    }
}

#[cfg(test)]
mod tests;
