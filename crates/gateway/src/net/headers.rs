//! Headers as the configuration gives them: a map, or (the collector's newer form) a list of names and values.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::decode::Decode;
use crate::config::node::{Entry, Node, Value};
use crate::config::problems::{Position, Problems};
use crate::config::values::scalar;

/// Headers; their values are secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(HeaderName, HeaderValue)>);

impl std::fmt::Debug for Headers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Headers {
    /// Puts them into a request or an answer, in place of headers of the same names.
    pub(crate) fn add_to(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.0 {
            headers.insert(name.clone(), value.clone());
        }
    }
}

impl Decode for Headers {
    const KIND: &'static str = "a map of headers";
    const ACCEPTS_NULL: bool = true;
    const STRUCTURED: bool = true;
    const OPTIONAL: bool = true;
    const SECRET: bool = true;

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let node = node.resolved(problems);
        match &node.value {
            Value::Map(entries) => {
                let headers = entries.iter().map(|entry| header(&entry.key, &entry.position, &entry.value, problems));
                headers.collect::<Vec<_>>().into_iter().collect::<Option<_>>().map(Self)
            }
            Value::List(items) => {
                let headers = items.iter().map(|item| listed(item, problems));
                headers.collect::<Vec<_>>().into_iter().collect::<Option<_>>().map(Self)
            }
            Value::Scalar(_) if node.is_null() => Some(Self::default()),
            Value::Scalar(_) => {
                problems.error(&node.position, format!("expected {}, found {}", Self::KIND, node.describe()));
                None
            }
        }
    }

    fn absent(_position: &Position, _problems: &mut Problems) -> Option<Self> {
        Some(Self::default())
    }
}

/// `{name: …, value: …}`.
fn listed(item: &Node, problems: &mut Problems) -> Option<(HeaderName, HeaderValue)> {
    let entries: &[Entry] = if let Value::Map(entries) = &item.value { entries } else { &[] };
    let (Some(name), Some(value), 2) = (item.get("name"), item.get("value"), entries.len()) else {
        problems.error(&item.position, "expected a header of the form {name: …, value: …}");
        return None;
    };
    let key = &scalar(&name.value, "the name of a header", problems)?.text;
    header(key, &name.position, &value.value, problems)
}

fn header(key: &str, position: &Position, value: &Node, problems: &mut Problems) -> Option<(HeaderName, HeaderValue)> {
    let text = &scalar(value, "the text of a header", problems)?.text;
    let Ok(name) = HeaderName::from_bytes(key.to_ascii_lowercase().as_bytes()) else {
        problems.error(position, format!("`{key}` cannot be the name of a header"));
        return None;
    };
    let Ok(mut header) = HeaderValue::from_str(text) else {
        // The value is not repeated: it may be a secret.
        problems.error(&value.position, "the value cannot be sent in a header");
        return None;
    };
    header.set_sensitive(true);
    Some((name, header))
}
