//! A checked message by its field numbers: for what has no view of its own, and is only shown.

use super::protobuf::{FieldValue, Fields, Reader, low_32_bits, repeated, text};
use super::view::{AnyValue, KeyValue};

/// A message. Of a scalar that comes twice, the last one counts; what is absent reads as empty or zero.
#[derive(Clone, Copy, Debug)]
pub struct RawMessage<'a> {
    bytes: &'a [u8],
}

impl<'a> RawMessage<'a> {
    /// The message in checked bytes.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// A repeated message (number below 16, as all numbers here).
    pub fn messages(&self, number: u32) -> impl Iterator<Item = Self> + use<'a> {
        repeated(self.bytes, number).map(Self::new)
    }

    /// A single message, if it is there.
    #[must_use]
    pub fn message(&self, number: u32) -> Option<Self> {
        self.messages(number).last()
    }

    /// Attributes.
    pub fn attributes(&self, number: u32) -> impl Iterator<Item = KeyValue<'a>> + use<'a> {
        repeated(self.bytes, number).map(KeyValue::decode)
    }

    /// The value of an attribute, if it is there.
    #[must_use]
    pub fn attribute(&self, number: u32, key: &str) -> Option<AnyValue<'a>> {
        self.attributes(number).find(|attribute| attribute.key == key).map(|attribute| attribute.value)
    }

    /// A value of any type, if it is there.
    #[must_use]
    pub fn any_value(&self, number: u32) -> Option<AnyValue<'a>> {
        self.message(number).map(|message| AnyValue::decode(message.bytes))
    }

    /// A field `string`.
    #[must_use]
    pub fn text(&self, number: u32) -> &'a str {
        text(self.bytes(number))
    }

    /// A field `bytes`.
    #[must_use]
    pub fn bytes(&self, number: u32) -> &'a [u8] {
        match self.last(number) {
            Some(FieldValue::Bytes(bytes)) => bytes,
            _ => &[],
        }
    }

    /// A field of whole numbers of any encoding but ZigZag.
    #[must_use]
    pub fn number(&self, number: u32) -> u64 {
        self.optional_number(number).unwrap_or(0)
    }

    /// [`Self::number`], if it is there.
    #[must_use]
    pub fn optional_number(&self, number: u32) -> Option<u64> {
        match self.last(number)? {
            FieldValue::Varint(value) | FieldValue::Fixed64(value) => Some(value),
            FieldValue::Fixed32(value) => Some(value.into()),
            FieldValue::Bytes(_) | FieldValue::Group => None,
        }
    }

    /// A field `sint32`.
    #[must_use]
    pub fn zigzag(&self, number: u32) -> i32 {
        let value = low_32_bits(self.number(number));
        (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
    }

    /// A field `double`, if it is there.
    #[must_use]
    pub fn double(&self, number: u32) -> Option<f64> {
        match self.last(number)? {
            FieldValue::Fixed64(bits) => Some(f64::from_bits(bits)),
            _ => None,
        }
    }

    /// A repeated field of 64-bit numbers of fixed length.
    #[must_use]
    pub fn fixed64s(&self, number: u32) -> Vec<u64> {
        let mut numbers = Vec::new();
        for field in Fields::new(self.bytes).filter(|field| field.number == number) {
            match field.value {
                FieldValue::Bytes(packed) => {
                    numbers.extend(packed.as_chunks().0.iter().copied().map(u64::from_le_bytes))
                }
                FieldValue::Fixed64(value) => numbers.push(value),
                FieldValue::Varint(_) | FieldValue::Fixed32(_) | FieldValue::Group => {}
            }
        }
        numbers
    }

    /// A repeated field of varints.
    #[must_use]
    pub fn varints(&self, number: u32) -> Vec<u64> {
        let mut numbers = Vec::new();
        for field in Fields::new(self.bytes).filter(|field| field.number == number) {
            match field.value {
                FieldValue::Bytes(packed) => {
                    let mut packed = Reader::new(packed);
                    while let Ok(Some(value)) = packed.packed_varint() {
                        numbers.push(value);
                    }
                }
                FieldValue::Varint(value) => numbers.push(value),
                FieldValue::Fixed64(_) | FieldValue::Fixed32(_) | FieldValue::Group => {}
            }
        }
        numbers
    }

    fn last(&self, number: u32) -> Option<FieldValue<'a>> {
        Fields::new(self.bytes).filter(|field| field.number == number).last().map(|field| field.value)
    }
}
