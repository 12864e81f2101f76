//! The protobuf wire format (<https://protobuf.dev/programming-guides/encoding/>), without knowledge of any message.
//!
//! [`Reader`] checks everything and reports where it failed; [`Fields`] is the same for bytes that were checked
//! before: an iterator that ends at the first fault instead of reporting it, so reading can never panic.

/// Deepest nesting of unknown groups that is skipped. protobuf's own parsers stop at 100; nobody sends any.
const MAX_GROUP_DEPTH: u32 = 32;

/// What is wrong with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The message ends within a field.
    Truncated,
    /// A varint has more than 64 bits.
    VarintOverflow,
    /// A tag with field number 0 or above 2^29 − 1.
    BadFieldNumber,
    /// Wire type 6 or 7.
    BadWireType,
    /// A group ends that did not begin, or does not end, or another one ends.
    UnbalancedGroup,
    /// Groups in groups, deeper than anybody sends.
    GroupsTooDeep,
    /// A field of the schema is encoded as another type than the schema says.
    WrongType,
    /// Longer than protobuf's 2 GiB.
    TooLong,
}

impl Fault {
    /// The fault in the words of the protobuf encoding.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Truncated => "message ends within a field",
            Self::VarintOverflow => "varint has more than 64 bits",
            Self::BadFieldNumber => "illegal field number",
            Self::BadWireType => "illegal wire type",
            Self::UnbalancedGroup => "group start and end do not match",
            Self::GroupsTooDeep => "groups are nested too deeply",
            Self::WrongType => "field has another wire type than its schema",
            Self::TooLong => "message is longer than 2 GiB",
        }
    }
}

/// A [`Fault`] and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireError {
    /// What.
    pub fault: Fault,
    /// Offset in the outermost message's bytes.
    pub offset: u32,
}

/// The content of one field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FieldValue<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64(u64),
    /// Wire type 2: strings, bytes, messages.
    Bytes(&'a [u8]),
    /// Wire type 5.
    Fixed32(u32),
    /// Wire types 3 and 4, skipped as a whole.
    Group,
}

/// One field of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field<'a> {
    /// Field number.
    pub number: u32,
    /// Its content.
    pub value: FieldValue<'a>,
}

/// Reads the fields of a message that is a part of `bytes`. Positions are absolute, so that errors and indexes of
/// nested messages speak of the outermost one.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// The outermost message up to the end of this one.
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// Reads the whole of `bytes` as a message.
    #[must_use]
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Reads the message in `bytes[range]`.
    #[must_use]
    #[inline]
    pub fn within(bytes: &'a [u8], range: std::ops::Range<usize>) -> Self {
        Self { bytes: &bytes[..range.end], position: range.start }
    }

    /// Where the next field begins.
    #[must_use]
    #[inline]
    pub const fn position(&self) -> usize {
        self.position
    }

    /// The bytes not yet read.
    #[must_use]
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.position..).unwrap_or_default()
    }

    /// A reader of the length-delimited field that was just read and had `length` bytes.
    #[must_use]
    #[inline]
    pub fn nested(&self, length: usize) -> Self {
        Self { bytes: &self.bytes[..self.position], position: self.position - length }
    }

    /// The next field, or `None` at the end of the message.
    ///
    /// # Errors
    /// [`WireError`] if what follows is no field.
    #[inline]
    pub fn field(&mut self) -> Result<Option<Field<'a>>, WireError> {
        if self.position >= self.bytes.len() {
            return Ok(None);
        }
        let tag = self.tag()?;
        let number = tag >> 3;
        let value = match tag & 7 {
            0 => FieldValue::Varint(self.varint()?),
            1 => FieldValue::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => FieldValue::Bytes(self.delimited()?),
            3 => {
                self.skip_group(number, MAX_GROUP_DEPTH)?;
                FieldValue::Group
            }
            4 => return Err(self.error(Fault::UnbalancedGroup)),
            5 => FieldValue::Fixed32(u32::from_le_bytes(self.array()?)),
            _ => return Err(self.error(Fault::BadWireType)),
        };
        Ok(Some(Field { number, value }))
    }

    /// The next number of a packed field, or `None` at its end.
    ///
    /// # Errors
    /// [`WireError`] if what follows is no varint.
    pub fn packed_varint(&mut self) -> Result<Option<u64>, WireError> {
        if self.position >= self.bytes.len() { Ok(None) } else { self.varint().map(Some) }
    }

    /// The next field's content if its tag is `tag` and it is of the common form that [`split_delimited`] knows.
    #[inline]
    #[must_use]
    pub fn delimited_with_tag(&mut self, tag: u8) -> Option<&'a [u8]> {
        let rest = self.bytes.get(self.position..)?;
        let (content, after) = split_delimited(rest, tag)?;
        self.position = self.bytes.len() - after.len();
        Some(content)
    }

    /// A [`WireError`] at the current position.
    #[cold]
    #[must_use]
    pub fn error(&self, fault: Fault) -> WireError {
        WireError { fault, offset: u32::try_from(self.position).unwrap_or(u32::MAX) }
    }

    #[inline]
    fn tag(&mut self) -> Result<u32, WireError> {
        let tag = self.varint()?;
        // Field numbers have 29 bits, so a tag fits 32; number 0 is illegal.
        match u32::try_from(tag) {
            Ok(tag) if tag >= 8 => Ok(tag),
            _ => Err(self.error(Fault::BadFieldNumber)),
        }
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, WireError> {
        match self.bytes.get(self.position) {
            Some(&byte) if byte < 0x80 => {
                self.position += 1;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0;
        for (index, &byte) in self.bytes.get(self.position..).unwrap_or_default().iter().take(10).enumerate() {
            // The tenth byte holds the 64th bit and nothing else.
            if index == 9 && byte > 1 {
                return Err(self.error(Fault::VarintOverflow));
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.position += index + 1;
                return Ok(value);
            }
        }
        Err(self.error(Fault::Truncated))
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let Some(bytes) = self.bytes.get(self.position..).and_then(|rest| rest.first_chunk::<N>()) else {
            return Err(self.error(Fault::Truncated));
        };
        self.position += N;
        Ok(*bytes)
    }

    #[inline]
    fn delimited(&mut self) -> Result<&'a [u8], WireError> {
        let length = self.varint()?;
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        match usize::try_from(length) {
            Ok(length) if length <= rest.len() => {
                self.position += length;
                Ok(&rest[..length])
            }
            _ => Err(self.error(Fault::Truncated)),
        }
    }

    #[cold]
    fn skip_group(&mut self, number: u32, depth: u32) -> Result<(), WireError> {
        if depth == 0 {
            return Err(self.error(Fault::GroupsTooDeep));
        }
        loop {
            if self.position >= self.bytes.len() {
                return Err(self.error(Fault::UnbalancedGroup));
            }
            let tag = self.tag()?;
            match tag & 7 {
                0 => _ = self.varint()?,
                1 => _ = self.array::<8>()?,
                2 => _ = self.delimited()?,
                3 => self.skip_group(tag >> 3, depth - 1)?,
                4 if tag >> 3 == number => return Ok(()),
                4 => return Err(self.error(Fault::UnbalancedGroup)),
                5 => _ = self.array::<4>()?,
                _ => return Err(self.error(Fault::BadWireType)),
            }
        }
    }
}

/// The fields of a message that was checked before; ends at the end or at a fault.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(Reader<'a>);

impl<'a> Fields<'a> {
    /// The fields of `message`.
    #[must_use]
    pub const fn new(message: &'a [u8]) -> Self {
        Self(Reader::new(message))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        self.0.field().ok().flatten()
    }
}

/// Tag of a length-delimited field whose number is below 16, so that it is one byte.
#[must_use]
pub const fn delimited_tag(number: u32) -> u8 {
    debug_assert!(number < 16);
    (number << 3 | 2) as u8
}

/// Splits off a length-delimited field if it has this tag and a length of one or two bytes, as nearly all have: content
/// and what follows. `None` says nothing: the field must be read in the general way.
#[inline]
#[must_use]
pub fn split_delimited(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    match bytes {
        [found, length, rest @ ..] if *found == tag && *length < 0x80 => rest.split_at_checked(usize::from(*length)),
        [found, low, high, rest @ ..] if *found == tag && *high < 0x80 => {
            rest.split_at_checked(usize::from(low & 0x7f) | usize::from(*high) << 7)
        }
        _ => None,
    }
}

/// The contents of all length-delimited fields with this number (below 16), in order.
pub(crate) fn repeated(message: &[u8], number: u32) -> Repeated<'_> {
    Repeated { reader: Reader::new(message), number, tag: delimited_tag(number) }
}

/// Iterator of [`repeated`].
#[derive(Clone, Debug)]
pub(crate) struct Repeated<'a> {
    reader: Reader<'a>,
    number: u32,
    tag: u8,
}

impl<'a> Iterator for Repeated<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            // They usually follow each other.
            if let Some(content) = self.reader.delimited_with_tag(self.tag) {
                return Some(content);
            }
            let field = self.reader.field().ok()??;
            if let FieldValue::Bytes(content) = field.value
                && field.number == self.number
            {
                return Some(content);
            }
        }
    }
}

/// The text in checked bytes; `""` if it is none after all.
#[inline]
pub(crate) fn text(bytes: &[u8]) -> &str {
    simdutf8::basic::from_utf8(bytes).unwrap_or_default()
}

/// The number of the enumeration or count in a varint: protobuf takes the low 32 bits.
pub(crate) const fn low_32_bits(varint: u64) -> u32 {
    varint as u32
}
