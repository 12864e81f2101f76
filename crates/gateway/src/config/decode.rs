//! From nodes to values: the decoder of a type, the reader of a map's keys, and the table of keys that the reference
//! page is printed from. The structs themselves are declared with [`config!`](crate::config).

use rootspan_model::spelling::did_you_mean;

use super::node::{Entry, Node, Scalar, Value};
use super::problems::{Position, Problems};

/// A type that configuration can hold.
pub trait Decode: Sized {
    /// What the value is called in messages and in the reference: `a duration such as 5s`.
    const KIND: &'static str;
    /// Whether `key:` with nothing behind it is a value (a section with all its defaults) and not an absent key.
    const ACCEPTS_NULL: bool = false;
    /// The keys, if the type is a section of its own, or those of its items, if it is a list of sections.
    const TABLE: Option<&'static Table> = None;
    /// Whether the value may be a list or a map, also where a reference stands for it.
    const STRUCTURED: bool = false;
    /// Whether it is a list.
    const LIST: bool = false;
    /// Whether a key that is not given means that there is none.
    const OPTIONAL: bool = false;
    /// Whether the value must not be shown.
    const SECRET: bool = false;

    /// The value of `node`; `None` after every mistake in it was added to `problems`.
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self>;

    /// The value of a key that is not given and has no default; `None` if it must be given.
    fn absent(_position: &Position, _problems: &mut Problems) -> Option<Self> {
        None
    }
}

/// The keys of one section.
#[derive(Debug)]
pub struct Table {
    /// Name of the struct.
    pub name: &'static str,
    /// What it configures.
    pub doc: &'static [&'static str],
    /// Its keys.
    pub keys: &'static [Key],
    /// Keys that the OpenTelemetry Collector knows and rootspan refuses.
    pub known: &'static [&'static str],
    /// Keys that are accepted and change nothing, each with the reason.
    pub ignored: &'static [(&'static str, &'static str)],
}

/// One key.
#[derive(Debug)]
pub struct Key {
    /// As written.
    pub name: &'static str,
    /// [`Decode::KIND`].
    pub kind: &'static str,
    /// The default as YAML; `None` if there is none.
    pub default: Option<&'static str>,
    /// Unit of a plain number.
    pub unit: Option<&'static str>,
    /// What it does.
    pub doc: &'static [&'static str],
    /// The keys below it.
    pub table: Option<&'static Table>,
    /// [`Decode::ACCEPTS_NULL`].
    pub accepts_null: bool,
    /// [`Decode::STRUCTURED`].
    pub structured: bool,
    /// [`Decode::LIST`].
    pub list: bool,
    /// [`Decode::OPTIONAL`].
    pub optional: bool,
    /// [`Decode::SECRET`].
    pub secret: bool,
}

/// A field's name as it is written: some keys are words of Rust's.
pub(crate) const fn key_name(field: &'static str) -> &'static str {
    match field.as_bytes() {
        [b'r', b'#', ..] => field.split_at(2).1,
        _ => field,
    }
}

/// Declares a section of the configuration: key, type, default (as YAML), unit, documentation. One declaration gives
/// the struct, its decoder and its [`Table`].
///
/// ```ignore
/// config! {
///     /// Where to listen.
///     pub struct Server {
///         /// Address and port.
///         endpoint: Endpoint = "127.0.0.1:4317",
///         /// Largest message.
///         max_recv_msg_size_mib: u64 = "4" [MiB],
///     }
///     known { "tls" }
///     ignored { "read_buffer_size": "buffers grow as needed" }
/// }
/// ```
#[macro_export]
#[doc(hidden)]
macro_rules! config {
    (
        $(#[doc = $doc:literal])+
        pub struct $name:ident {
            $(
                $(#[doc = $key_doc:literal])+
                $key:ident : $type:ty $(= $default:literal)? $([$unit:ident])?,
            )*
        }
        $(known { $($known:literal),* $(,)? })?
        $(ignored { $($ignored:literal : $reason:literal),* $(,)? })?
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($(#[doc = $key_doc])+ pub $key: $type,)*
        }

        impl $name {
            const KEYS: $crate::config::decode::Table = $crate::config::decode::Table {
                name: stringify!($name),
                doc: &[$($doc),+],
                keys: &[$($crate::config::decode::Key {
                    name: $crate::config::decode::key_name(stringify!($key)),
                    kind: <$type as $crate::config::decode::Decode>::KIND,
                    default: $crate::config!(@optional $($default)?),
                    unit: $crate::config!(@optional $(stringify!($unit))?),
                    doc: &[$($key_doc),+],
                    table: <$type as $crate::config::decode::Decode>::TABLE,
                    accepts_null: <$type as $crate::config::decode::Decode>::ACCEPTS_NULL,
                    structured: <$type as $crate::config::decode::Decode>::STRUCTURED,
                    list: <$type as $crate::config::decode::Decode>::LIST,
                    optional: <$type as $crate::config::decode::Decode>::OPTIONAL,
                    secret: <$type as $crate::config::decode::Decode>::SECRET,
                }),*],
                known: &[$($($known),*)?],
                ignored: &[$($(($ignored, $reason)),*)?],
            };
        }

        impl $crate::config::decode::Decode for $name {
            const KIND: &'static str = "a section";
            const ACCEPTS_NULL: bool = true;
            const STRUCTURED: bool = true;
            const TABLE: Option<&'static $crate::config::decode::Table> = Some(&Self::KEYS);

            fn decode(node: &$crate::config::node::Node, problems: &mut $crate::config::problems::Problems) -> Option<Self> {
                let node = node.resolved(problems);
                #[allow(unused_variables, unused_mut, reason = "a section may have no keys of its own")]
                let mut reader = $crate::config::decode::Reader::new(&node, &Self::KEYS, problems)?;
                $(let $key = reader.key::<$type>($crate::config::decode::key_name(stringify!($key)), $crate::config!(@optional $($default)?));)*
                Some(Self { $($key: $key?),* })
            }

            fn absent(position: &$crate::config::problems::Position, problems: &mut $crate::config::problems::Problems) -> Option<Self> {
                Self::decode(&$crate::config::node::Node::empty_map(position.clone()), problems)
            }
        }
    };
    (@optional) => { None };
    (@optional $value:expr) => { Some($value) };
}

/// Reads the keys of one map.
pub(crate) struct Reader<'a> {
    node: &'a Node,
    problems: &'a mut Problems,
}

impl<'a> Reader<'a> {
    /// A reader of `node`, after every key that `table` does not have was reported. `None` if `node` is not a map.
    pub(crate) fn new(node: &'a Node, table: &Table, problems: &'a mut Problems) -> Option<Self> {
        if let Value::Map(entries) = &node.value {
            entries.iter().for_each(|entry| check_key(entry, table, problems));
        } else if let Value::Scalar(Scalar { unreadable: Some(problem), .. }) = &node.value {
            problems.add((**problem).clone());
            return None;
        } else if !node.is_null() {
            problems.error(&node.position, format!("expected a map of keys, found {}", node.describe()));
            return None;
        }
        Some(Self { node, problems })
    }

    /// The value of a key, else its default, else what its type says of an absent key.
    pub(crate) fn key<T: Decode>(&mut self, name: &str, default: Option<&str>) -> Option<T> {
        if let Some(entry) = self.node.get(name)
            && (T::ACCEPTS_NULL || !entry.value.is_null())
        {
            return T::decode(&entry.value, self.problems);
        }
        if let Some(default) = default {
            return T::decode(&Node::built_in(default, self.node.position.clone()), self.problems);
        }
        let before = self.problems.errors().len();
        let value = T::absent(&self.node.position, self.problems);
        if value.is_none() && self.problems.errors().len() == before {
            self.problems.error(&self.node.position, format!("the key `{name}` is missing: it needs {}", T::KIND));
        }
        value
    }
}

fn check_key(entry: &Entry, table: &Table, problems: &mut Problems) {
    let name = entry.key.as_str();
    if table.keys.iter().any(|key| key.name == name) {
        return;
    }
    if table.known.contains(&name) {
        // A file that spells out the collector's own default by an empty section means nothing by it.
        if !entry.value.is_null() {
            problems.error(
                &entry.position,
                format!("`{name}` is known to the OpenTelemetry Collector, not supported by rootspan (yet)"),
            );
        }
    } else if let Some((_, reason)) = table.ignored.iter().find(|(ignored, _)| *ignored == name) {
        problems.warning(&entry.position, format!("`{name}` is accepted and has no effect: {reason}"));
    } else {
        let names = table.keys.iter().map(|key| key.name);
        problems.error(&entry.position, format!("unknown key `{name}`{}", did_you_mean(name, names)));
    }
}
