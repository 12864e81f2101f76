//! From JSON to protobuf in one streaming pass; no tree of values is built.
//!
//! What is not JSON, or not an object with an array of resources, condemns the request. A value of the wrong type
//! inside a span, a scope or a resource condemns what protobuf validation would condemn: the span, or the spans of
//! that scope or resource. Everything else is left to [`validate`].

mod scalar;

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::otlp::payload::{Payload, Signal};
use crate::otlp::schema::{Content, FieldSchema, Message};
use crate::otlp::validate::{InvalidRequest, Limits, MAX_VALUE_DEPTH, Rejected, Validated, validate, validate_payload};
use crate::otlp::write::{begin_message, end_message, put_bytes, put_string};
use scalar::{Scalar, put_packed, put_scalar};

/// The body is not OTLP/JSON (answered with 400).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid OTLP/JSON request: {0}")]
pub struct InvalidJson(pub String);

/// Reads an `ExportTraceServiceRequest` in JSON.
///
/// # Errors
/// [`InvalidJson`] if the body as a whole cannot be read.
pub fn read_request(body: &[u8], limits: &Limits) -> Result<Validated, InvalidJson> {
    let (bytes, rejected) = to_protobuf(Message::Request, body, limits)?;
    let mut validated = validate(bytes.into(), limits).map_err(|error| unreadable(&error))?;
    let later = std::mem::replace(&mut validated.rejected, rejected);
    validated.rejected.absorb(&later);
    Ok(validated)
}

/// Reads a request of any signal in JSON.
///
/// # Errors
/// [`InvalidJson`] if the body as a whole cannot be read.
pub fn read_payload(signal: Signal, body: &[u8], limits: &Limits) -> Result<(Payload, Rejected), InvalidJson> {
    let message = match signal {
        Signal::Traces => Message::Request,
        Signal::Metrics => Message::MetricsRequest,
        Signal::Logs => Message::LogsRequest,
    };
    let (bytes, mut rejected) = to_protobuf(message, body, limits)?;
    let (payload, later) = validate_payload(signal, bytes.into(), limits).map_err(|error| unreadable(&error))?;
    rejected.absorb(&later);
    Ok((payload, rejected))
}

fn unreadable(error: &InvalidRequest) -> InvalidJson {
    InvalidJson(format!("encoded as protobuf: {error}"))
}

/// The request as protobuf, but for the items whose JSON cannot be encoded.
fn to_protobuf(request: Message, body: &[u8], limits: &Limits) -> Result<(Vec<u8>, Rejected), InvalidJson> {
    let text = simdutf8::basic::from_utf8(body).map_err(|_| InvalidJson("the body is not UTF-8".into()))?;
    let mut state = State {
        value_depth: limits.value_depth.min(MAX_VALUE_DEPTH),
        out: Vec::with_capacity(body.len() / 2),
        rejected: Rejected::default(),
        items: 0,
        fault: None,
    };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    ObjectOf { state: &mut state, message: request, depth: 0 }
        .deserialize(&mut deserializer)
        .and_then(|_| deserializer.end())
        .map_err(|error| InvalidJson(error.to_string()))?;
    if let Some(fault) = state.fault {
        return Err(InvalidJson(fault));
    }
    Ok((state.out, state.rejected))
}

/// serde_json stops at 128 nested values, and each level of an `AnyValue` takes four: after this many levels the rest
/// is read by a parser of its own.
const LEVELS_PER_PARSER: usize = 16;

struct State {
    value_depth: usize,
    /// The request in protobuf so far.
    out: Vec<u8>,
    rejected: Rejected,
    /// Items read, also rejected ones.
    items: u64,
    /// Why the item, metric, scope or resource being read is not taken: the first reason.
    fault: Option<String>,
}

impl State {
    fn reject(&mut self, reason: impl FnOnce() -> String) {
        if self.fault.is_none() {
            self.fault = Some(reason());
        }
    }
}

/// Reads an object and appends the fields of `message`, without tag and length. Gives false for null.
struct ObjectOf<'s> {
    state: &'s mut State,
    message: Message,
    /// Levels of arrays and lists around it.
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for ObjectOf<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ObjectOf<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        while let Some(Text(key)) = map.next_key()? {
            match self.message.named(&key) {
                None => _ = map.next_value::<IgnoredAny>()?,
                Some(&FieldSchema { number, content, .. }) => {
                    let field = FieldOf { state: self.state, key: &key, number, content, depth: self.depth };
                    field.read(&mut map)?;
                }
            }
        }
        Ok(true)
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<bool, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        self.mismatch("an array")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<bool, E> {
        self.mismatch("a truth value")
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<bool, E> {
        self.mismatch("a number")
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<bool, E> {
        self.mismatch("a number")
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<bool, E> {
        self.mismatch("a number")
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<bool, E> {
        self.mismatch("a string")
    }
}

impl ObjectOf<'_> {
    #[expect(clippy::unnecessary_wraps, reason = "every caller is a visitor's method and returns it")]
    fn mismatch<E>(self, found: &str) -> Result<bool, E> {
        self.state.reject(|| format!("{:?} is {found} instead of an object", self.message));
        Ok(false)
    }
}

/// Reads the value of one known field.
struct FieldOf<'s> {
    state: &'s mut State,
    key: &'s str,
    number: u32,
    content: Content,
    depth: usize,
}

impl FieldOf<'_> {
    fn read<'de, A: MapAccess<'de>>(self, map: &mut A) -> Result<(), A::Error> {
        match self.content {
            Content::Message(message) => self.read_message(message, map),
            Content::Messages(_) | Content::Texts | Content::Doubles | Content::Fixed64s | Content::Uint64s => {
                map.next_value_seed(self)
            }
            content => {
                let scalar: Scalar<'de> = map.next_value()?;
                if let Err(problem) = put_scalar(&mut self.state.out, self.number, content, &scalar) {
                    self.state.reject(|| format!("{}: {problem}", self.key));
                }
                Ok(())
            }
        }
    }

    fn read_message<'de, A: MapAccess<'de>>(self, message: Message, map: &mut A) -> Result<(), A::Error> {
        let is_list = matches!(message, Message::ArrayValue | Message::KeyValueList);
        let depth = self.depth + usize::from(is_list);
        if depth > self.state.value_depth {
            let limit = self.state.value_depth;
            self.state.reject(|| format!("attribute value is nested more than {limit} levels deep"));
            map.next_value::<IgnoredAny>()?;
            return Ok(());
        }
        let begin = self.state.out.len();
        let open = begin_message(&mut self.state.out, self.number, 1);
        let object = ObjectOf { state: self.state, message, depth };
        let is_present = if is_list && depth.is_multiple_of(LEVELS_PER_PARSER) {
            let rest: &RawValue = map.next_value()?;
            object.deserialize(&mut serde_json::Deserializer::from_str(rest.get())).map_err(A::Error::custom)?
        } else {
            map.next_value_seed(object)?
        };
        finish(self.state, begin, open, is_present);
        Ok(())
    }

    /// Reads one element of `Content::Messages`.
    fn read_element<'de, A: SeqAccess<'de>>(&mut self, message: Message, seq: &mut A) -> Result<bool, A::Error> {
        let begin = self.state.out.len();
        let items_before = self.state.items;
        let rejected_before = self.state.rejected.items;
        let is_unit = message.is_unit();
        let outer_fault = if is_unit { self.state.fault.take() } else { None };
        let open = begin_message(&mut self.state.out, self.number, if message.item().is_some() { 2 } else { 1 });
        let Some(is_present) = seq.next_element_seed(ObjectOf { state: self.state, message, depth: self.depth })?
        else {
            self.state.out.truncate(begin);
            self.state.fault = self.state.fault.take().or(outer_fault);
            return Ok(false);
        };
        finish(self.state, begin, open, is_present);
        if message.item().is_some() {
            self.state.items += 1;
        }
        if !is_unit {
            return Ok(true);
        }
        if let Some(fault) = std::mem::replace(&mut self.state.fault, outer_fault) {
            self.state.out.truncate(begin);
            let rejected = (self.state.items - items_before) - (self.state.rejected.items - rejected_before);
            match message.item() {
                Some(item) => self.state.rejected.add(rejected, format_args!("{item} {items_before}: {fault}")),
                // Without items to reject nobody would hear of it: the request is refused.
                _ if rejected == 0 => self.state.reject(|| fault),
                _ => self.state.rejected.add(rejected, fault),
            }
        }
        Ok(true)
    }
}

/// Writes the length of a message, or takes it back if it was null.
fn finish(state: &mut State, begin: usize, open: crate::otlp::write::OpenMessage, is_present: bool) {
    if is_present {
        end_message(&mut state.out, open);
    } else {
        state.out.truncate(begin);
    }
}

/// Arrays.
impl<'de> DeserializeSeed<'de> for FieldOf<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for FieldOf<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array in {}", self.key)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        match self.content {
            Content::Messages(message) => while self.read_element(message, &mut seq)? {},
            Content::Texts => {
                while let Some(Text(text)) = seq.next_element()? {
                    put_string(&mut self.state.out, self.number, &text);
                }
            }
            content => {
                let mut packed = Vec::new();
                while let Some(scalar) = seq.next_element()? {
                    if let Err(problem) = put_packed(&mut packed, content, &scalar) {
                        self.state.reject(|| format!("{}: {problem}", self.key));
                    }
                }
                if !packed.is_empty() {
                    put_bytes(&mut self.state.out, self.number, &packed);
                }
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.mismatch("an object")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.mismatch("a truth value")
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.mismatch("a number")
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.mismatch("a number")
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.mismatch("a number")
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.mismatch("a string")
    }
}

impl FieldOf<'_> {
    #[expect(clippy::unnecessary_wraps, reason = "every caller is a visitor's method and returns it")]
    fn mismatch<E>(self, found: &str) -> Result<(), E> {
        self.state.reject(|| format!("{} is {found} instead of an array", self.key));
        Ok(())
    }
}

/// Text, borrowed from the body where it has no escapes.
struct Text<'de>(Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}
