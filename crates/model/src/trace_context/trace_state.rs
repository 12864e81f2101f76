//! The `tracestate` header (W3C Trace Context level 2, section 3.3) and OpenTelemetry's member in it, `ot`
//! (specification, "TraceState handling"): `ot=th:fd70a4;rv:00000000000000;later:value`.

use crate::limits::{OT_VALUE_MAX_CHARS, TRACESTATE_LARGE_MEMBER_CHARS, TRACESTATE_MAX_CHARS, TRACESTATE_MAX_MEMBERS};
use crate::sampling::{Randomness, Threshold};

/// OpenTelemetry's key.
const OT_KEY: &str = "ot";

/// The longest key and the longest value (sections 3.3.1.3.1 and 3.3.1.3.2).
const MAX_PART_CHARS: usize = 256;

/// The members of a `tracestate`, most recently changed first. Keys are unique, the count is within the limit.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TraceState {
    members: Vec<(String, String)>,
}

impl TraceState {
    /// Parses one or several header values; several are one list, in the order received. Empty members are skipped.
    ///
    /// # Errors
    ///
    /// The first rule that is broken. The specification then wants the whole header dropped, but `traceparent` kept.
    pub fn parse<'a>(headers: impl IntoIterator<Item = &'a str>) -> Result<Self, TraceStateError> {
        let mut members: Vec<(String, String)> = Vec::new();
        for member in headers.into_iter().flat_map(|header| header.split(',')) {
            let member = member.trim_matches([' ', '\t']);
            if member.is_empty() {
                continue;
            }
            let Some((key, value)) = member.split_once('=') else { return Err(TraceStateError::Member) };
            check_member(key, value)?;
            if members.iter().any(|(earlier, _)| earlier == key) {
                return Err(TraceStateError::DuplicateKey);
            }
            if members.len() == TRACESTATE_MAX_MEMBERS {
                return Err(TraceStateError::TooManyMembers);
            }
            members.push((key.to_owned(), value.to_owned()));
        }
        Ok(Self { members })
    }

    /// Whether there is no member; then no header is sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The members in order.
    pub fn members(&self) -> impl Iterator<Item = (&str, &str)> {
        self.members.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The value of a member.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.members().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// Adds or changes a member and moves it to the front (section 3.5); a list that is full loses its last member.
    ///
    /// # Errors
    ///
    /// If key or value break the grammar; nothing is changed then.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), TraceStateError> {
        check_member(key, value)?;
        self.remove(key);
        self.members.truncate(TRACESTATE_MAX_MEMBERS - 1);
        self.members.insert(0, (key.to_owned(), value.to_owned()));
        Ok(())
    }

    /// Removes a member if it is there.
    pub fn remove(&mut self, key: &str) {
        self.members.retain(|(name, _)| name != key);
    }

    /// OpenTelemetry's member; empty if it is absent or does not follow its grammar.
    #[must_use]
    pub fn ot(&self) -> OtMember {
        self.get(OT_KEY).and_then(OtMember::parse).unwrap_or_default()
    }

    /// Replaces OpenTelemetry's member; an empty one is removed.
    pub fn set_ot(&mut self, ot: &OtMember) {
        let value = ot.to_value();
        if value.is_empty() {
            self.remove(OT_KEY);
        } else {
            self.set(OT_KEY, &value).expect("an ot value has only characters that tracestate allows");
        }
    }

    /// The header value, at most 512 characters: members longer than 128 go first, then the last ones (section 3.3.1.5).
    /// `ot` always stays, for a sampled span without its threshold would be counted wrongly.
    #[must_use]
    pub fn to_header(&self) -> String {
        let mut members: Vec<String> = self.members().map(|(key, value)| format!("{key}={value}")).collect();
        let length = |members: &[String]| members.iter().map(String::len).sum::<usize>() + members.len().max(1) - 1;
        for smallest in [TRACESTATE_LARGE_MEMBER_CHARS + 1, 0] {
            for index in (0..members.len()).rev() {
                if length(&members) <= TRACESTATE_MAX_CHARS {
                    return members.join(",");
                }
                if members[index].len() >= smallest && !members[index].starts_with("ot=") {
                    members.remove(index);
                }
            }
        }
        members.join(",")
    }
}

/// What OpenTelemetry keeps in `tracestate`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct OtMember {
    /// `th`: the rejection threshold with which the sender sampled.
    pub threshold: Option<Threshold>,
    /// `rv`: the randomness to use instead of the trace id's.
    pub random_value: Option<Randomness>,
    /// Sub-members with other keys, as `key:value`, kept in order.
    pub other: Vec<String>,
}

impl OtMember {
    /// Parses the member's value. `None` if it breaks the grammar; a `th` or `rv` that is not one is left out alone.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let mut ot = Self::default();
        if value.len() > OT_VALUE_MAX_CHARS {
            return None;
        }
        for part in value.split(';') {
            let (key, text) = part.split_once(':')?;
            let key_is_valid = key.starts_with(|first: char| first.is_ascii_lowercase())
                && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
            let text_is_valid = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
            if !key_is_valid || !text_is_valid {
                return None;
            }
            match key {
                "th" => ot.threshold = Threshold::parse(text),
                "rv" => ot.random_value = Randomness::parse(text),
                _ => ot.other.push(part.to_owned()),
            }
        }
        Some(ot)
    }

    /// The member's value: `th`, `rv`, then the others as long as they fit; empty if there is nothing.
    #[must_use]
    pub fn to_value(&self) -> String {
        let own = [self.threshold.map(|th| format!("th:{th}")), self.random_value.map(|rv| format!("rv:{rv}"))];
        let mut value = String::new();
        for part in own.iter().flatten().chain(&self.other) {
            if value.len() + 1 + part.len() > OT_VALUE_MAX_CHARS {
                break;
            }
            if !value.is_empty() {
                value.push(';');
            }
            value.push_str(part);
        }
        value
    }
}

/// Why a `tracestate` is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TraceStateError {
    /// A member without `=`.
    #[error("tracestate members must be key=value")]
    Member,
    /// A key that is empty, too long, or has a character that is not allowed.
    #[error("tracestate keys must begin with a lower-case letter or digit and have at most 256 allowed characters")]
    Key,
    /// A value that is empty, too long, or has a character that is not allowed.
    #[error("tracestate values must have 1 to 256 printable ASCII characters without , and =")]
    Value,
    /// The same key twice.
    #[error("tracestate keys must be unique")]
    DuplicateKey,
    /// More than 32 members.
    #[error("tracestate must not have more than 32 members")]
    TooManyMembers,
}

fn check_member(key: &str, value: &str) -> Result<(), TraceStateError> {
    let lower_or_digit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let key_is_valid = key.len() <= MAX_PART_CHARS
        && key.bytes().next().is_some_and(lower_or_digit)
        && key.bytes().all(|byte| lower_or_digit(byte) || b"_-*/@".contains(&byte));
    if !key_is_valid {
        return Err(TraceStateError::Key);
    }
    // The last character must not be a space; a trimmed member cannot end in one, one that is set could.
    let value_is_valid = (1..=MAX_PART_CHARS).contains(&value.len())
        && value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b',' && byte != b'=')
        && !value.ends_with(' ');
    if !value_is_valid {
        return Err(TraceStateError::Value);
    }
    Ok(())
}
