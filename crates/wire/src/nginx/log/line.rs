//! One line: the values of the keys that mean something.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use rootspan_model::conventions::http;

use super::InvalidLine;

macro_rules! fields {
    ($($(#[doc = $doc:literal])+ $field:ident = $name:literal),+ $(,)?) => {
        /// A key that means something.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Field {
            $($(#[doc = $doc])+ $field,)+
        }

        impl Field {
            const NAMES: &[&str] = &[$($name),+];

            /// The key.
            pub(super) const fn name(self) -> &'static str {
                match self {
                    $(Self::$field => $name,)+
                }
            }
        }
    };
}

fields! {
    /// `$request_id`
    RequestId = "request_id",
    /// What came in.
    Context = "context",
    /// What went on.
    TraceParent = "traceparent",
    /// What went on.
    TraceState = "tracestate",
    /// When the line was written, in seconds.
    Msec = "msec",
    /// Seconds from the first byte of the request to the last of the answer.
    RequestTime = "request_time",
    /// `$request_method`
    RequestMethod = "request_method",
    /// Path and query as received.
    RequestUri = "request_uri",
    /// `$scheme`
    Scheme = "scheme",
    /// `$status`, `000` if nothing was sent.
    Status = "status",
    /// `$host`
    Host = "host",
    /// `$server_port`
    ServerPort = "server_port",
    /// `$remote_addr`
    RemoteAddr = "remote_addr",
    /// `HTTP/1.1`, …
    ServerProtocol = "server_protocol",
    /// `$http_user_agent`
    UserAgent = "http_user_agent",
    /// Name, and port if it is not the protocol's own, in `proxy_pass`.
    ProxyHost = "proxy_host",
    /// List of addresses.
    UpstreamAddr = "upstream_addr",
    /// List of statuses.
    UpstreamStatus = "upstream_status",
    /// List of seconds.
    UpstreamConnectTime = "upstream_connect_time",
    /// List of seconds.
    UpstreamHeaderTime = "upstream_header_time",
    /// List of seconds.
    UpstreamResponseTime = "upstream_response_time",
    /// List of lengths.
    UpstreamBytesReceived = "upstream_bytes_received",
    /// List of lengths.
    UpstreamBytesSent = "upstream_bytes_sent",
    /// Replaces the SERVER span's name.
    SpanName = "span_name",
}

/// A line that was read.
#[derive(Debug)]
pub(super) struct Line<'a> {
    values: [Option<Cow<'a, str>>; Field::NAMES.len()],
    /// Keys with a dot.
    attributes: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Line<'a> {
    /// Reads a JSON object.
    pub(super) fn parse(text: &'a str) -> Result<Self, InvalidLine> {
        serde_json::from_str(text).map_err(|error| InvalidLine::Json(error.to_string()))
    }

    /// A value; `None` if it is empty or `-`, which is how nginx writes what there is not.
    pub(super) fn get(&self, field: Field) -> Option<&str> {
        present(self.values[field as usize].as_deref()?)
    }

    /// A value that must be there.
    pub(super) fn required(&self, field: Field) -> Result<&str, InvalidLine> {
        self.get(field).ok_or(InvalidLine::Missing(field.name()))
    }

    /// The value of a key with a dot.
    pub(super) fn attribute(&self, wanted: &str) -> Option<&str> {
        let found = self.attributes.iter().rev().find(|(key, _)| key == wanted);
        present(&found?.1)
    }

    /// Every other key with a dot; the route has its place.
    pub(super) fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        let others = self.attributes.iter().filter(|(key, _)| key != http::ROUTE);
        others.filter_map(|(key, value)| Some((&**key, present(value)?)))
    }
}

fn present(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty() && *text != "-")
}

impl<'de: 'a, 'a> Deserialize<'de> for Line<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Line<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Line<'de>, M::Error> {
                let mut line = Line { values: [const { None }; Field::NAMES.len()], attributes: Vec::new() };
                while let Some(Text(key)) = map.next_key()? {
                    let key = key.unwrap_or_default();
                    let known = Field::NAMES.iter().position(|name| *name == key);
                    match known {
                        Some(index) => line.values[index] = map.next_value::<Text<'de>>()?.0,
                        None if key.contains('.') => {
                            if let Text(Some(value)) = map.next_value()? {
                                line.attributes.push((key, value));
                            }
                        }
                        None => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(line)
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// A string, or a number as text; absent for anything else.
struct Text<'a>(Option<Cow<'a, str>>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;

        impl<'de> Visitor<'de> for Scalar {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a number")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Some(text.into())))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Some(text.to_owned().into())))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Text<'de>, E> {
                Ok(Text(Some(number.to_string().into())))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Text<'de>, E> {
                Ok(Text(Some(number.to_string().into())))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Text<'de>, E> {
                Ok(Text(Some(number.to_string().into())))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Text<'de>, E> {
                Ok(Text(None))
            }

            fn visit_unit<E>(self) -> Result<Text<'de>, E> {
                Ok(Text(None))
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Text<'de>, S::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Text(None))
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Text<'de>, M::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Text(None))
            }
        }

        deserializer.deserialize_any(Scalar)
    }
}
