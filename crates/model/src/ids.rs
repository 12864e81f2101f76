//! Trace and span ids (W3C Trace Context level 2, sections 2.2.3.2 and 2.2.3.3; OTLP `Span.trace_id`, `Span.span_id`).

use std::fmt;

/// A 16-byte trace id. All zeroes is invalid on the wire; [`TraceId::is_valid`] tells.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TraceId([u8; 16]);

/// An 8-byte span id. All zeroes is invalid as a span's own id and means "no parent" as a parent id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SpanId([u8; 8]);

macro_rules! id_methods {
    ($name:ident, $length:literal) => {
        impl $name {
            /// Length in bytes.
            pub const LENGTH: usize = $length;

            /// The id with these bytes; every value is accepted, also all zeroes.
            #[must_use]
            pub const fn new(bytes: [u8; $length]) -> Self {
                Self(bytes)
            }

            /// The id in `bytes`, or `None` if the length is not exactly [`Self::LENGTH`].
            #[must_use]
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }

            /// Parses exactly twice [`Self::LENGTH`] hexadecimal digits, of either case.
            #[must_use]
            pub fn from_hex(text: &str) -> Option<Self> {
                let mut bytes = [0; $length];
                decode_hex(text.as_bytes(), &mut bytes).then_some(Self(bytes))
            }

            /// The bytes, most significant first.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }

            /// Whether any byte is not zero.
            #[must_use]
            pub fn is_valid(&self) -> bool {
                self.0 != [0; $length]
            }
        }

        /// Lower-case hexadecimal digits, as every text format of traces wants them.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                for byte in self.0 {
                    write!(f, "{byte:02x}")?;
                }
                Ok(())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

id_methods!(TraceId, 16);
id_methods!(SpanId, 8);

/// Decodes `text` into the whole of `bytes`; false if the length or a digit is wrong.
fn decode_hex(text: &[u8], bytes: &mut [u8]) -> bool {
    if text.len() != bytes.len() * 2 {
        return false;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let (Some(high), Some(low)) = (hex_digit(pair[0]), hex_digit(pair[1])) else { return false };
        *byte = high << 4 | low;
    }
    true
}

const fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
