//! The actions on attributes that `attributes` and `resource` share.
//!
//! ```yaml
//! actions:
//!   - {key: deployment.environment.name, action: insert, value: production}   # only where it is not there
//!   - {key: http.route, action: update, from_attribute: http.target}          # only where it is there
//!   - {key: team, action: upsert, value: checkout}
//!   - {pattern: ^internal\., action: delete}
//!   - {key: user.email, action: hash}                                         # SHA-256, in hexadecimal
//!   - {key: url.path, pattern: '^/(?P<tenant>[^/]+)/', action: extract}
//!   - {key: http.response.status_code, action: convert, converted_type: int}
//! ```

use rootspan_wire::otlp::edit::AttributeEdits;
use rootspan_wire::otlp::view::AnyValue;
use rootspan_wire::otlp::write::Value;
use sha2::{Digest as _, Sha256};

use crate::config;
use crate::config::any::{AnyConfig, Pattern};
use crate::config::decode::Decode;
use crate::config::node::Node;
use crate::config::problems::{Position, Problems};
use crate::config::values::choice;
use crate::context::{ClientContext, ContextKey};

config! {
    /// One action on attributes.
    pub struct ActionConfig {
        /// The attribute that is written, removed, hashed, read or converted.
        key: String = "",
        /// What is done.
        action: ActionKind,
        /// What `insert`, `update` and `upsert` write.
        value: Option<AnyConfig>,
        /// Another attribute whose value they write; without it they do nothing.
        from_attribute: String = "",
        /// What they write of the client: `client.address`, `metadata.NAME` (the receiver needs `include_metadata`) or
        /// `auth.username`; where it is not known they do nothing.
        from_context: String = "",
        /// For `extract`: the expression whose named groups become attributes; for `delete` and `hash`: further keys.
        pattern: Option<Pattern>,
        /// For `convert`: the type that the value gets.
        converted_type: Option<ConvertedType>,
        /// What is written where `from_attribute` or `from_context` has nothing.
        default_value: Option<AnyConfig>,
    }
}

/// What an action does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionKind {
    /// Writes where the key is not there.
    Insert,
    /// Writes where the key is there.
    Update,
    /// Writes.
    Upsert,
    /// Removes.
    Delete,
    /// Replaces the value by its SHA-256.
    Hash,
    /// Makes attributes of parts of the value.
    Extract,
    /// Changes the value's type.
    Convert,
}

impl Decode for ActionKind {
    const KIND: &'static str = "insert, update, upsert, delete, hash, extract or convert";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let choices = [
            ("insert", Self::Insert),
            ("update", Self::Update),
            ("upsert", Self::Upsert),
            ("delete", Self::Delete),
            ("hash", Self::Hash),
            ("extract", Self::Extract),
            ("convert", Self::Convert),
        ];
        choice(node, problems, &choices)
    }
}

/// The type that a value gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConvertedType {
    /// Text.
    String,
    /// A whole number.
    Int,
    /// A number.
    Double,
}

impl Decode for ConvertedType {
    const KIND: &'static str = "string, int or double";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        choice(node, problems, &[("string", Self::String), ("int", Self::Int), ("double", Self::Double)])
    }
}

/// One action that makes sense.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Write { key: String, source: Source, default: Option<AnyConfig>, if_absent: bool, if_present: bool },
    Delete { key: String, pattern: Option<Pattern> },
    Hash { key: String, pattern: Option<Pattern> },
    Extract { key: String, pattern: Pattern, names: Vec<String> },
    Convert { key: String, to: ConvertedType },
}

/// Where a value comes from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Value(AnyConfig),
    Attribute(String),
    Context(ContextKey),
}

/// Checks and resolves written actions; every mistake is added to `problems`.
pub(crate) fn resolve(written: &[ActionConfig], position: &Position, problems: &mut Problems) -> Vec<Action> {
    let mut actions = Vec::new();
    for (index, config) in written.iter().enumerate() {
        match resolve_one(config) {
            Ok(action) => actions.push(action),
            Err(reason) => problems.error(position, format!("action {}: {reason}", index + 1)),
        }
    }
    actions
}

fn resolve_one(config: &ActionConfig) -> Result<Action, &'static str> {
    let has_source = config.value.is_some() || !config.from_attribute.is_empty() || !config.from_context.is_empty();
    let takes_pattern = matches!(config.action, ActionKind::Delete | ActionKind::Hash | ActionKind::Extract);
    let by_pattern = matches!(config.action, ActionKind::Delete | ActionKind::Hash) && config.pattern.is_some();
    let writes = matches!(config.action, ActionKind::Insert | ActionKind::Update | ActionKind::Upsert);
    if config.key.is_empty() && !by_pattern {
        return Err("the key `key` is missing");
    }
    if !takes_pattern && config.pattern.is_some() {
        return Err("only `delete`, `hash` and `extract` have a `pattern`");
    }
    if writes != has_source {
        return Err(if writes {
            "it needs `value`, `from_attribute` or `from_context`"
        } else {
            "it has no `value`, no `from_attribute` and no `from_context`"
        });
    }
    if config.default_value.is_some() && (!writes || config.value.is_some()) {
        return Err("only what has `from_attribute` or `from_context` has a `default_value`");
    }
    if (config.action == ActionKind::Convert) != config.converted_type.is_some() {
        return Err("`convert`, and only it, has a `converted_type`");
    }
    let key = config.key.clone();
    let pattern = config.pattern.clone();
    match config.action {
        ActionKind::Insert | ActionKind::Update | ActionKind::Upsert => {
            let source = match (&config.value, config.from_attribute.as_str(), config.from_context.as_str()) {
                (Some(value), "", "") => Source::Value(value.clone()),
                (None, from, "") => Source::Attribute(from.to_owned()),
                (None, "", key) => Source::Context(ContextKey::parse(key)?),
                _ => return Err("it has more than one of `value`, `from_attribute` and `from_context`"),
            };
            let (if_absent, if_present) = (config.action != ActionKind::Update, config.action != ActionKind::Insert);
            let default = config.default_value.clone();
            Ok(Action::Write { key, source, default, if_absent, if_present })
        }
        ActionKind::Delete => Ok(Action::Delete { key, pattern }),
        ActionKind::Hash => Ok(Action::Hash { key, pattern }),
        ActionKind::Extract => {
            let pattern = pattern.ok_or("`extract` needs a `pattern`")?;
            let names: Option<Vec<String>> =
                pattern.0.capture_names().skip(1).map(|name| name.map(str::to_owned)).collect();
            match names {
                Some(names) if !names.is_empty() => Ok(Action::Extract { key, pattern, names }),
                _ => Err("every group of its `pattern` needs a name, and there must be one: (?P<name>…)"),
            }
        }
        ActionKind::Convert => {
            let to = config.converted_type.ok_or("`convert` needs a `converted_type`")?;
            Ok(Action::Convert { key, to })
        }
    }
}

impl Action {
    /// Does it to what comes from `client`.
    pub(crate) fn apply<'a>(&'a self, attributes: &mut AttributeEdits<'a>, client: Option<&ClientContext>) {
        match self {
            Self::Write { key, source, default, if_absent, if_present } => {
                let is_present = attributes.get(key).is_some();
                if if is_present { *if_present } else { *if_absent } {
                    let is_written = write(attributes, key, source, client);
                    if let (false, Some(default)) = (is_written, default) {
                        default.with_value(|value| attributes.set(key, value));
                    }
                }
            }
            Self::Delete { key, pattern } => {
                attributes.remove(key);
                for key in matching(pattern.as_ref(), attributes) {
                    attributes.remove(key);
                }
            }
            Self::Hash { key, pattern } => {
                let matching = matching(pattern.as_ref(), attributes);
                hash(attributes, key);
                // A key that is named and matches is hashed twice, as the collector does it.
                matching.into_iter().for_each(|key| hash(attributes, key));
            }
            Self::Extract { key, pattern, names } => extract(attributes, key, pattern, names),
            Self::Convert { key, to } => convert(attributes, key, *to),
        }
    }
}

/// Whether the source had something.
fn write<'a>(
    attributes: &mut AttributeEdits<'a>,
    key: &'a str,
    source: &'a Source,
    client: Option<&ClientContext>,
) -> bool {
    match source {
        Source::Value(value) => {
            value.with_value(|value| attributes.set(key, value));
            true
        }
        Source::Attribute(from) => attributes.copy(key, from),
        Source::Context(from) => match client.and_then(|client| client.value(from)) {
            Some(text) => {
                attributes.set(key, Value::String(&text));
                true
            }
            None => false,
        },
    }
}

fn matching<'a>(pattern: Option<&Pattern>, attributes: &AttributeEdits<'a>) -> Vec<&'a str> {
    let Some(pattern) = pattern else { return Vec::new() };
    attributes.keys().into_iter().filter(|key| pattern.0.is_match(key)).collect()
}

/// Text is hashed as it is, numbers as eight bytes, little-endian; what has no such form becomes empty text.
fn hash<'a>(attributes: &mut AttributeEdits<'a>, key: &'a str) {
    let digest = match attributes.get(key) {
        None => return,
        Some(AnyValue::String(text)) => Some(Sha256::digest(text)),
        Some(AnyValue::Bool(value)) => Some(Sha256::digest([u8::from(value)])),
        Some(AnyValue::Int(value)) => Some(Sha256::digest(value.to_le_bytes())),
        Some(AnyValue::Double(value)) => Some(Sha256::digest(value.to_bits().to_le_bytes())),
        Some(AnyValue::Empty | AnyValue::Bytes(_) | AnyValue::Array(_) | AnyValue::KeyValueList(_)) => None,
    };
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 64];
    let mut length = 0;
    for (pair, byte) in text.as_chunks_mut().0.iter_mut().zip(digest.iter().flatten()) {
        *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 0xf)]];
        length += 2;
    }
    let text = std::str::from_utf8(&text[..length]).unwrap_or_default();
    attributes.set(key, Value::String(text));
}

fn extract<'a>(attributes: &mut AttributeEdits<'a>, key: &str, pattern: &Pattern, names: &'a [String]) {
    let found: Vec<(&'a str, String)> = {
        let Some(AnyValue::String(text)) = attributes.get(key) else { return };
        let Some(captures) = pattern.0.captures(text) else { return };
        let group = |(index, name): (usize, &'a String)| {
            let text = captures.get(index + 1).map_or("", |group| group.as_str());
            (name.as_str(), text.to_owned())
        };
        names.iter().enumerate().map(group).collect()
    };
    for (name, text) in found {
        attributes.set(name, Value::String(&text));
    }
}

/// What cannot be converted stays as it is.
fn convert<'a>(attributes: &mut AttributeEdits<'a>, key: &'a str, to: ConvertedType) {
    match (to, attributes.get(key)) {
        (_, None)
        | (ConvertedType::String, Some(AnyValue::String(_)))
        | (ConvertedType::Int, Some(AnyValue::Int(_)))
        | (ConvertedType::Double, Some(AnyValue::Double(_))) => {}
        (ConvertedType::String, Some(value)) => {
            let text = value.to_string();
            attributes.set(key, Value::String(&text));
        }
        (ConvertedType::Int, Some(value)) => {
            #[expect(clippy::cast_possible_truncation, reason = "cut off and saturated on purpose")]
            let number = match value {
                AnyValue::Bool(value) => Some(i64::from(value)),
                AnyValue::Double(value) => Some(value as i64),
                AnyValue::String(text) => text.parse().ok(),
                _ => None,
            };
            if let Some(number) = number {
                attributes.set(key, Value::Int(number));
            }
        }
        (ConvertedType::Double, Some(value)) => {
            let number = match value {
                AnyValue::Bool(value) => Some(f64::from(u8::from(value))),
                AnyValue::Int(value) => Some(value as f64),
                AnyValue::String(text) => text.parse().ok(),
                _ => None,
            };
            if let Some(number) = number {
                attributes.set(key, Value::Double(number));
            }
        }
    }
}
