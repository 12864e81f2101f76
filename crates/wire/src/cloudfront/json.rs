//! Records in JSON: objects that follow each other, with a newline, space or nothing between them.
//!
//! What CloudFront writes is simpler than JSON: one level, strings without escapes, the same names in the same order in
//! every record. That is read here, in one pass and without a look-up for each name. An object that has anything else in it
//! is left to `serde_json`, which knows all of it, so that what is read is the same either way.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::record::{Field, Record};
use super::scan::find_string_end;
use super::{InvalidRecord, ReadOptions};

/// Most names that are remembered: CloudFront's delivery takes up to 128 fields.
const MAX_NAMES: usize = 128;

/// Reads JSON objects that follow each other, with a newline, space or nothing between them.
///
/// After something that is no object, reading goes on at the next line.
#[must_use]
pub fn read_json(data: &[u8], options: ReadOptions) -> JsonRecords<'_> {
    JsonRecords { objects: Objects::new(data), options, names: Names::default() }
}

/// Iterator of [`read_json`].
#[derive(Clone, Debug)]
pub struct JsonRecords<'a> {
    objects: Objects<'a>,
    options: ReadOptions,
    names: Names,
}

impl<'a> Iterator for JsonRecords<'a> {
    type Item = Result<Record<'a>, InvalidRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut record = Record::new(self.options.source.into());
        let read = self.objects.read_next(self.options, &mut self.names, &mut record)?;
        Some(read.map(|()| record))
    }
}

/// A delivery, and how far it has been read.
#[derive(Clone, Debug)]
pub(super) struct Objects<'a> {
    data: &'a [u8],
    /// The same, if all of it is UTF-8: then this is known once for all strings in it.
    text: Option<&'a str>,
    at: usize,
}

impl<'a> Objects<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, text: simdutf8::basic::from_utf8(data).ok(), at: 0 }
    }

    /// Reads the next object into a record, whatever that was before; `None` at the end.
    pub(super) fn read_next(
        &mut self,
        options: ReadOptions,
        names: &mut Names,
        record: &mut Record<'a>,
    ) -> Option<Result<(), InvalidRecord>> {
        let rest = self.data.get(self.at..).unwrap_or_default().trim_ascii_start();
        if rest.is_empty() {
            return None;
        }
        self.at = self.data.len() - rest.len();
        record.restart(options.source.into());
        if let Some(text) = self.text {
            if let Some(end) = read_plain(text, self.at, options, names, record) {
                self.at = end;
                return Some(Ok(()));
            }
            record.restart(options.source.into());
        }
        let mut stream = serde_json::Deserializer::from_slice(rest).into_iter::<Members<'a>>();
        match stream.next()? {
            Ok(Members(members)) => {
                self.at += stream.byte_offset();
                for (name, value) in members {
                    record.set(&name, value, options);
                }
                Some(Ok(()))
            }
            Err(error) => {
                self.at += memchr::memchr(b'\n', rest).map_or(rest.len(), |newline| newline + 1);
                Some(Err(InvalidRecord(error.to_string())))
            }
        }
    }
}

// === what CloudFront writes ===

/// The names of the members of the last record, in their order: those of the next one are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(Vec<Name>);

#[derive(Clone, Debug)]
struct Name {
    /// With the quote and the colon behind it.
    text: Box<[u8]>,
    field: Option<Field>,
}

impl Names {
    /// The field of the member whose name begins at `at`, and where its value begins.
    #[inline]
    fn read(&mut self, index: usize, text: &str, at: usize, options: ReadOptions) -> Option<(Option<Field>, usize)> {
        if let Some(known) = self.0.get(index)
            && text.as_bytes().get(at..)?.starts_with(&known.text)
        {
            return Some((known.field, at + known.text.len()));
        }
        self.read_unknown(index, text, at, options)
    }

    #[cold]
    fn read_unknown(
        &mut self,
        index: usize,
        text: &str,
        at: usize,
        options: ReadOptions,
    ) -> Option<(Option<Field>, usize)> {
        let end = find_string_end(text.as_bytes(), at)?;
        let behind = end + 2;
        if text.as_bytes().get(end..behind)? != b"\":" {
            return None;
        }
        let field = Field::of(text.get(at..end)?, options.source);
        let name = Name { text: text.as_bytes().get(at..behind)?.into(), field };
        match self.0.get_mut(index) {
            Some(known) => *known = name,
            None if index < MAX_NAMES => self.0.push(name),
            None => {}
        }
        Some((field, behind))
    }
}

/// Reads the object that begins at `at` and gives its end; `None` if it is not that simple. Then the record may have some
/// of it.
fn read_plain<'a>(
    text: &'a str,
    at: usize,
    options: ReadOptions,
    names: &mut Names,
    record: &mut Record<'a>,
) -> Option<usize> {
    let bytes = text.as_bytes();
    if bytes.get(at) != Some(&b'{') {
        return None;
    }
    let mut at = at + 1;
    for index in 0.. {
        if bytes.get(at) != Some(&b'"') {
            return None;
        }
        let (field, begin) = names.read(index, text, at + 1, options)?;
        let (value, end) = match bytes.get(begin)? {
            b'"' => {
                let end = find_string_end(bytes, begin + 1).filter(|end| bytes[*end] == b'"')?;
                (begin + 1..end, end + 1)
            }
            b'0'..=b'9' => {
                let end = begin + plain_number_length(&bytes[begin..])?;
                (begin..end, end)
            }
            _ => return None,
        };
        if let Some(field) = field {
            record.put(field, text.get(value)?.into(), options.percent_decode);
        }
        match bytes.get(end)? {
            b',' => at = end + 1,
            b'}' => return Some(end + 1),
            _ => return None,
        }
    }
    None
}

/// The length of a number without sign and exponent: digits, and more of them behind a dot.
fn plain_number_length(text: &[u8]) -> Option<usize> {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits(text);
    // A leading zero is none of JSON's numbers.
    if whole == 0 || whole > 1 && text[0] == b'0' {
        return None;
    }
    if text.get(whole) != Some(&b'.') {
        return Some(whole);
    }
    let fraction = digits(&text[whole + 1..]);
    (fraction > 0).then_some(whole + 1 + fraction)
}

// === all of JSON ===

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
