//! Single JSON values and what they become.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Content;
use crate::otlp::write::{
    put_bool, put_bytes, put_double, put_fixed32, put_fixed64, put_int, put_raw_varint, put_string, put_varint,
};

/// Any JSON value; what is no scalar is skipped.
#[derive(Debug)]
pub(super) enum Scalar<'de> {
    Null,
    Bool(bool),
    Int(i64),
    /// Above `i64::MAX`, or any non-negative integer.
    Uint(u64),
    Float(f64),
    Text(Cow<'de, str>),
    Array,
    Object,
}

impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Uint(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Float(value))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Array)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Object)
    }
}

/// Appends the field, or nothing for null.
///
/// # Errors
/// What is wrong with the value.
pub(super) fn put_scalar(
    out: &mut Vec<u8>,
    number: u32,
    content: Content,
    scalar: &Scalar<'_>,
) -> Result<(), &'static str> {
    if matches!(scalar, Scalar::Null) {
        return Ok(());
    }
    match content {
        Content::Text => put_string(out, number, text(scalar)?),
        Content::Hex | Content::Id(_) => put_bytes(out, number, &decode_hex(text(scalar)?)?),
        Content::Base64 => put_bytes(out, number, &decode_base64(text(scalar)?)?),
        Content::Bool => match scalar {
            Scalar::Bool(value) => put_bool(out, number, *value),
            _ => return Err("not a truth value"),
        },
        Content::Int64 => put_int(out, number, integer(scalar)?.try_into().map_err(|_| "does not fit 64 bits")?),
        Content::Double => put_double(out, number, double(scalar)?),
        Content::Uint32 => put_varint(out, number, small(scalar)?.into()),
        Content::Fixed32 => put_fixed32(out, number, small(scalar)?),
        Content::Fixed64 => {
            put_fixed64(out, number, integer(scalar)?.try_into().map_err(|_| "not an unsigned 64-bit integer")?);
        }
        // ZigZag: the sign is the lowest bit.
        Content::Sint32 => {
            let value: i32 = integer(scalar)?.try_into().map_err(|_| "does not fit 32 bits")?;
            put_varint(out, number, ((value << 1) ^ (value >> 31)).cast_unsigned().into());
        }
        Content::Sfixed64 => {
            let value: i64 = integer(scalar)?.try_into().map_err(|_| "does not fit 64 bits")?;
            put_fixed64(out, number, value.cast_unsigned());
        }
        Content::Enumeration(names) => put_int(out, number, enumeration(scalar, names)?.into()),
        Content::Message(_)
        | Content::Messages(_)
        | Content::Texts
        | Content::Doubles
        | Content::Fixed64s
        | Content::Uint64s => return Err("not a scalar"),
    }
    Ok(())
}

/// Appends one number of a packed field.
///
/// # Errors
/// What is wrong with the value.
pub(super) fn put_packed(out: &mut Vec<u8>, content: Content, scalar: &Scalar<'_>) -> Result<(), &'static str> {
    let unsigned = |scalar| u64::try_from(integer(scalar)?).map_err(|_| "not an unsigned 64-bit integer");
    match content {
        Content::Doubles => out.extend_from_slice(&double(scalar)?.to_le_bytes()),
        Content::Uint64s => put_raw_varint(out, unsigned(scalar)?),
        _ => out.extend_from_slice(&unsigned(scalar)?.to_le_bytes()),
    }
    Ok(())
}

fn text<'s>(scalar: &'s Scalar<'_>) -> Result<&'s str, &'static str> {
    match scalar {
        Scalar::Text(text) => Ok(text),
        _ => Err("not a string"),
    }
}

/// An integer given as a number or as a decimal string. All 64-bit ones fit.
fn integer(scalar: &Scalar<'_>) -> Result<i128, &'static str> {
    match scalar {
        Scalar::Int(value) => Ok((*value).into()),
        Scalar::Uint(value) => Ok((*value).into()),
        // 1e18 is an integer too; beyond 2^64 the target's range is exceeded anyway.
        Scalar::Float(value) if value.fract() == 0.0 && value.abs() < 2e19 => Ok(*value as i128),
        Scalar::Text(text) => text.parse().map_err(|_| "not an integer"),
        _ => Err("not an integer"),
    }
}

fn small(scalar: &Scalar<'_>) -> Result<u32, &'static str> {
    integer(scalar)?.try_into().map_err(|_| "not an unsigned 32-bit integer")
}

fn double(scalar: &Scalar<'_>) -> Result<f64, &'static str> {
    match scalar {
        Scalar::Float(value) => Ok(*value),
        Scalar::Int(value) => Ok(*value as f64),
        Scalar::Uint(value) => Ok(*value as f64),
        // `f64` reads "NaN", "Infinity" and "-Infinity" itself.
        Scalar::Text(text) => text.parse().map_err(|_| "not a number"),
        _ => Err("not a number"),
    }
}

fn enumeration(scalar: &Scalar<'_>, names: &[&str]) -> Result<i32, &'static str> {
    match scalar {
        Scalar::Text(text) => {
            let position = names.iter().position(|name| name == text).ok_or("not a name of the enumeration")?;
            i32::try_from(position).map_err(|_| "not a name of the enumeration")
        }
        _ => integer(scalar)?.try_into().map_err(|_| "not a number of the enumeration"),
    }
}

fn decode_hex(text: &str) -> Result<Vec<u8>, &'static str> {
    const PROBLEM: &str = "not hexadecimal";
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8).ok_or(PROBLEM);
    if !text.len().is_multiple_of(2) {
        return Err(PROBLEM);
    }
    text.as_bytes().chunks_exact(2).map(|pair| Ok(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

/// Both alphabets, with or without padding, as protobuf's JSON mapping asks of readers.
fn decode_base64(text: &str) -> Result<Vec<u8>, &'static str> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);
    let is_url_safe = text.bytes().any(|byte| matches!(byte, b'-' | b'_'));
    if is_url_safe { URL_SAFE.decode(text) } else { STANDARD.decode(text) }.map_err(|_| "not base64")
}
