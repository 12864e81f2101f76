//! The types of single values: each parses at the edge, once, and says in one sentence what it wants.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::decode::{Decode, Table};
use super::node::{Node, Scalar, Value};
use super::problems::{Position, Problems};

/// A host and a port to listen on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// Name or address, without brackets; empty means every address.
    pub host: String,
    /// Port; 0 lets the system choose.
    pub port: u16,
}

impl Endpoint {
    /// Parses `host:port`, `[v6]:port` or `:port`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let bare = match host.strip_prefix('[') {
            Some(bracketed) => bracketed.strip_suffix(']')?,
            None if host.contains([':', '/']) => return None,
            None => host,
        };
        Some(Self { host: bare.to_owned(), port: port.parse().ok()? })
    }

    /// Whether only this machine can connect.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let address = self.host.parse::<std::net::IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Where an OTLP server listens: the network, or a socket in the file system (`transport: unix`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// Host and port.
    Tcp(Endpoint),
    /// Path of a socket.
    Unix(PathBuf),
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(endpoint) => endpoint.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// `transport` of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// The network.
    Tcp,
    /// A socket in the file system.
    Unix,
}

impl Decode for Transport {
    const KIND: &'static str = "tcp or unix";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        choice(node, problems, &[("tcp", Self::Tcp), ("tcp4", Self::Tcp), ("tcp6", Self::Tcp), ("unix", Self::Unix)])
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// Text that must not be shown: not in logs, not in the printed configuration, not in messages.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself; only for comparing or sending it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

/// The scalar of `node`, or a problem that says what was wanted.
pub(crate) fn scalar<'a>(node: &'a Node, wanted: &str, problems: &mut Problems) -> Option<&'a Scalar> {
    if let Value::Scalar(scalar) = &node.value {
        return Some(scalar);
    }
    problems.error(&node.position, format!("expected {wanted}, found {}", node.describe()));
    None
}

/// Parses the scalar of `node` with `parse`; what does not parse is a problem that repeats the text.
fn parsed<T: Decode>(node: &Node, problems: &mut Problems, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    let text = scalar(node, T::KIND, problems)?.text.trim();
    let value = parse(text);
    if value.is_none() {
        problems.error(&node.position, format!("expected {}, found `{text}`", T::KIND));
    }
    value
}

/// Decodes one word out of a fixed list, in either case.
pub(crate) fn choice<T: Copy>(node: &Node, problems: &mut Problems, choices: &[(&str, T)]) -> Option<T> {
    let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    let wanted = format!("one of {}", names.join(", "));
    let text = scalar(node, &wanted, problems)?.text.trim().to_ascii_lowercase();
    let found = choices.iter().find(|(name, _)| *name == text);
    if found.is_none() {
        let hint = rootspan_model::spelling::did_you_mean(&text, names);
        problems.error(&node.position, format!("expected {wanted}, found `{text}`{hint}"));
    }
    found.map(|(_, value)| *value)
}

impl Decode for Endpoint {
    const KIND: &'static str = "an address such as 127.0.0.1:4317";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let text = scalar(node, Self::KIND, problems)?.text.trim();
        if text.contains("://") {
            problems.error(&node.position, format!("`{text}`: an address to listen on has no scheme; write host:port"));
            return None;
        }
        parsed(node, problems, Self::parse)
    }
}

impl Decode for ListenAddress {
    const KIND: &'static str = "an address such as 127.0.0.1:4317, or the path of a socket";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let text = scalar(node, Self::KIND, problems)?.text.trim();
        if text.starts_with(['/', '.']) {
            return Some(Self::Unix(PathBuf::from(text)));
        }
        Endpoint::decode(node, problems).map(Self::Tcp)
    }
}

impl Decode for Duration {
    const KIND: &'static str = "a duration such as 500ms, 5s or 1h30m";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        parsed(node, problems, parse_duration)
    }
}

/// Go's syntax: a sequence of decimal numbers, each with its unit; `0` needs none.
fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut nanos = 0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit_and_rest) = rest.split_at(digits);
        let unit_length = unit_and_rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(unit_and_rest.len());
        let (unit, after) = unit_and_rest.split_at(unit_length);
        let nanos_per_unit = match unit {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3_600e9,
            _ => return None,
        };
        nanos += number.parse::<f64>().ok()? * nanos_per_unit;
        rest = after;
    }
    (!text.is_empty()).then(|| Duration::try_from_secs_f64(nanos / 1e9).ok()).flatten()
}

impl Decode for ByteSize {
    const KIND: &'static str = "a size such as 512KiB, 10GiB or a number of bytes";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        parsed(node, problems, parse_size)
    }
}

/// A whole or decimal number and an optional unit; `KiB` counts in 1024s, `KB` in 1000s.
fn parse_size(text: &str) -> Option<ByteSize> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let bytes_per_unit: u64 = match unit.trim_start() {
        "" | "B" => 1,
        "KiB" | "Ki" => 1 << 10,
        "MiB" | "Mi" => 1 << 20,
        "GiB" | "Gi" => 1 << 30,
        "TiB" | "Ti" => 1 << 40,
        "KB" | "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return None,
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(bytes_per_unit).map(ByteSize);
    }
    #[expect(clippy::cast_precision_loss, reason = "sizes with a fraction are written by hand and small")]
    let bytes = number.parse::<f64>().ok()? * bytes_per_unit as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the number has no sign and is in range"
    )]
    (bytes < 9e18).then_some(ByteSize(bytes as u64))
}

impl Decode for bool {
    const KIND: &'static str = "true or false";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        parsed(node, problems, |text| match text {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            _ => None,
        })
    }
}

macro_rules! number {
    ($type:ty, $kind:literal) => {
        impl Decode for $type {
            const KIND: &'static str = $kind;

            fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
                parsed(node, problems, |text| text.replace('_', "").parse().ok())
            }
        }
    };
}

number!(i32, "a whole number");
number!(u16, "a whole number from 0 to 65535");
number!(u32, "a whole number");
number!(u64, "a whole number");
number!(f64, "a number");

impl Decode for String {
    const KIND: &'static str = "text";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        scalar(node, Self::KIND, problems).map(|scalar| scalar.text.clone())
    }
}

impl Decode for Secret {
    const KIND: &'static str = "secret text";
    // Nothing, where a secret stands, is a mistake and no absent key.
    const ACCEPTS_NULL: bool = true;
    const SECRET: bool = true;

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let text = &scalar(node, Self::KIND, problems)?.text;
        if text.is_empty() {
            // A secret from a variable that is not set must never become an open door.
            problems.error(&node.position, "a secret must not be empty");
            return None;
        }
        Some(Self(text.clone()))
    }
}

impl<T: Decode> Decode for Option<T> {
    const KIND: &'static str = T::KIND;
    const ACCEPTS_NULL: bool = T::ACCEPTS_NULL;
    const TABLE: Option<&'static Table> = T::TABLE;
    const STRUCTURED: bool = T::STRUCTURED;
    const LIST: bool = T::LIST;
    const OPTIONAL: bool = true;
    const SECRET: bool = T::SECRET;

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        T::decode(node, problems).map(Some)
    }

    fn absent(_position: &Position, _problems: &mut Problems) -> Option<Self> {
        Some(None)
    }
}

impl<T: Decode> Decode for Vec<T> {
    const KIND: &'static str = "a list";
    const TABLE: Option<&'static Table> = T::TABLE;
    const STRUCTURED: bool = true;
    const LIST: bool = true;
    const OPTIONAL: bool = true;
    const SECRET: bool = T::SECRET;

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let node = node.structure();
        match &node.value {
            Value::List(items) => {
                let values: Vec<Option<T>> = items.iter().map(|item| T::decode(item, problems)).collect();
                values.into_iter().collect()
            }
            // The collector takes a single value for a list of one.
            Value::Scalar(_) if !node.is_null() => T::decode(node, problems).map(|value| vec![value]),
            Value::Scalar(_) => Some(Self::new()),
            Value::Map(_) => {
                problems.error(&node.position, "expected a list, found a map");
                None
            }
        }
    }

    fn absent(_position: &Position, _problems: &mut Problems) -> Option<Self> {
        Some(Self::new())
    }
}

#[cfg(test)]
mod tests;
