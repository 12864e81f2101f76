//! What a subscription of CloudWatch Logs delivers: log lines with where they come from.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// The member that every envelope has and no record.
pub(super) const MESSAGE_TYPE: &str = "\"messageType\"";

/// One envelope.
#[derive(Deserialize)]
pub(super) struct Envelope<'a> {
    #[serde(rename = "messageType", borrow)]
    message_type: Cow<'a, str>,
    #[serde(rename = "logEvents", borrow, default)]
    events: Vec<&'a RawValue>,
}

/// One line of a log. An event is read by itself, so that a bad one is alone in being bad.
#[derive(Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow)]
    pub(super) message: Cow<'a, str>,
    #[serde(rename = "extractedFields", borrow, default)]
    pub(super) extracted: Extracted<'a>,
}

/// What a filter pattern found in a message. Only those of AWS's sample are known: its pattern names them.
#[derive(Default)]
pub(super) struct Extracted<'a> {
    pub(super) request_id: Option<Cow<'a, str>>,
    pub(super) start_time: Option<Cow<'a, str>>,
    pub(super) end_time: Option<Cow<'a, str>>,
    pub(super) b3: Option<Cow<'a, str>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Extracted<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ExtractedVisitor;
        impl<'de> serde::de::Visitor<'de> for ExtractedVisitor {
            type Value = Extracted<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object or null")
            }

            fn visit_unit<E>(self) -> Result<Extracted<'de>, E> {
                Ok(Extracted::default())
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Extracted<'de>, A::Error> {
                #[derive(Deserialize)]
                struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
                let mut found = Extracted::default();
                while let Some(Text(name)) = map.next_key::<Text<'de>>()? {
                    let slot = match name.as_ref() {
                        "request_id" => &mut found.request_id,
                        "start_time" => &mut found.start_time,
                        "end_time" => &mut found.end_time,
                        "b3" => &mut found.b3,
                        // Others, such as account and Region, may have values of any type.
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    *slot = Some(map.next_value::<Text<'de>>()?.0);
                }
                Ok(found)
            }
        }
        deserializer.deserialize_any(ExtractedVisitor)
    }
}

impl<'a> Envelope<'a> {
    /// Sent to find out whether the destination is there: nothing is in it.
    pub(super) fn is_control(&self) -> bool {
        self.message_type == "CONTROL_MESSAGE"
    }

    /// The lines; those that cannot be read with the reason.
    pub(super) fn events(&self) -> impl Iterator<Item = Result<Event<'a>, String>> {
        self.events.iter().map(|event| serde_json::from_str(event.get()).map_err(|error| error.to_string()))
    }
}
