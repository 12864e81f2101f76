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
    static VALUES: [u8; 256] = hex_values(true);
    text.len() == bytes.len() * 2 && decode_hex_by(&VALUES, text, bytes)
}

/// In no table of values: what is no digit.
const NO_DIGIT: u8 = 0xff;

/// The value of every byte as a hexadecimal digit. Ids are random, so that a processor could not guess which of the ranges
/// of digits comes next: to look the value up takes a third of the time.
pub(crate) const fn hex_values(with_upper_case: bool) -> [u8; 256] {
    let mut values = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        values[b"0123456789abcdef"[value] as usize] = value as u8;
        if with_upper_case {
            values[b"0123456789ABCDEF"[value] as usize] = value as u8;
        }
        value += 1;
    }
    values
}

/// Decodes pairs of digits into bytes, as many as there are of both; false if a digit is wrong.
pub(crate) fn decode_hex_by(values: &[u8; 256], text: &[u8], bytes: &mut [u8]) -> bool {
    let mut seen = 0;
    for (byte, pair) in bytes.iter_mut().zip(text.as_chunks::<2>().0) {
        let [high, low] = pair.map(|digit| values[usize::from(digit)]);
        seen |= high | low;
        *byte = high << 4 | low;
    }
    seen < 16
}

#[cfg(test)]
mod tests;
