//! Names of all fields, in both spellings, and what they hold.

use crate::otlp::field;

/// The messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Request,
    ResourceSpans,
    Resource,
    EntityRef,
    ScopeSpans,
    Scope,
    Span,
    Event,
    Link,
    Status,
    KeyValue,
    AnyValue,
    ArrayValue,
    KeyValueList,
}

/// What a field holds, and so how its JSON is read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content {
    Text,
    Hex,
    Base64,
    Bool,
    Int64,
    Double,
    Uint32,
    Fixed32,
    Fixed64,
    Enumeration(&'static [&'static str]),
    Message(Message),
    Messages(Message),
    Texts,
}

const SPAN_KINDS: &[&str] = &[
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
];

const STATUS_CODES: &[&str] = &["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"];

/// Number and content of the field called `key`, or `None` if there is none.
pub(super) fn lookup(message: Message, key: &str) -> Option<(u32, Content)> {
    match message {
        Message::Request | Message::ResourceSpans | Message::ScopeSpans => lookup_in_wrapper(message, key),
        Message::Resource | Message::Scope => lookup_in_origin(message, key),
        Message::EntityRef => lookup_in_entity_ref(key),
        Message::Span => lookup_in_span(key),
        Message::Event | Message::Link | Message::Status => lookup_in_part_of_span(message, key),
        Message::AnyValue => lookup_in_any_value(key),
        Message::KeyValue | Message::ArrayValue | Message::KeyValueList => lookup_in_pair_or_list(message, key),
    }
}

fn lookup_in_wrapper(message: Message, key: &str) -> Option<(u32, Content)> {
    use Content as C;
    Some(match (message, key) {
        (Message::Request, "resourceSpans" | "resource_spans") => {
            (field::request::RESOURCE_SPANS, C::Messages(Message::ResourceSpans))
        }
        (Message::ResourceSpans, "resource") => (field::resource_spans::RESOURCE, C::Message(Message::Resource)),
        (Message::ResourceSpans, "scopeSpans" | "scope_spans") => {
            (field::resource_spans::SCOPE_SPANS, C::Messages(Message::ScopeSpans))
        }
        (Message::ResourceSpans, "schemaUrl" | "schema_url") => (field::resource_spans::SCHEMA_URL, C::Text),
        (Message::ScopeSpans, "scope") => (field::scope_spans::SCOPE, C::Message(Message::Scope)),
        (Message::ScopeSpans, "spans") => (field::scope_spans::SPANS, C::Messages(Message::Span)),
        (Message::ScopeSpans, "schemaUrl" | "schema_url") => (field::scope_spans::SCHEMA_URL, C::Text),
        _ => return None,
    })
}

fn lookup_in_origin(message: Message, key: &str) -> Option<(u32, Content)> {
    use Content as C;
    Some(match (message, key) {
        (Message::Resource, "attributes") => (field::resource::ATTRIBUTES, C::Messages(Message::KeyValue)),
        (Message::Resource, "droppedAttributesCount" | "dropped_attributes_count") => {
            (field::resource::DROPPED_ATTRIBUTES_COUNT, C::Uint32)
        }
        (Message::Resource, "entityRefs" | "entity_refs") => {
            (field::resource::ENTITY_REFS, C::Messages(Message::EntityRef))
        }
        (Message::Scope, "name") => (field::scope::NAME, C::Text),
        (Message::Scope, "version") => (field::scope::VERSION, C::Text),
        (Message::Scope, "attributes") => (field::scope::ATTRIBUTES, C::Messages(Message::KeyValue)),
        (Message::Scope, "droppedAttributesCount" | "dropped_attributes_count") => {
            (field::scope::DROPPED_ATTRIBUTES_COUNT, C::Uint32)
        }
        _ => return None,
    })
}

fn lookup_in_entity_ref(key: &str) -> Option<(u32, Content)> {
    Some(match key {
        "schemaUrl" | "schema_url" => (field::entity_ref::SCHEMA_URL, Content::Text),
        "type" => (field::entity_ref::TYPE, Content::Text),
        "idKeys" | "id_keys" => (field::entity_ref::ID_KEYS, Content::Texts),
        "descriptionKeys" | "description_keys" => (field::entity_ref::DESCRIPTION_KEYS, Content::Texts),
        _ => return None,
    })
}

fn lookup_in_part_of_span(message: Message, key: &str) -> Option<(u32, Content)> {
    use Content as C;
    Some(match (message, key) {
        (Message::Event, "timeUnixNano" | "time_unix_nano") => (field::event::TIME_UNIX_NANO, C::Fixed64),
        (Message::Event, "name") => (field::event::NAME, C::Text),
        (Message::Event, "attributes") => (field::event::ATTRIBUTES, C::Messages(Message::KeyValue)),
        (Message::Event, "droppedAttributesCount" | "dropped_attributes_count") => {
            (field::event::DROPPED_ATTRIBUTES_COUNT, C::Uint32)
        }
        (Message::Link, "traceId" | "trace_id") => (field::link::TRACE_ID, C::Hex),
        (Message::Link, "spanId" | "span_id") => (field::link::SPAN_ID, C::Hex),
        (Message::Link, "traceState" | "trace_state") => (field::link::TRACE_STATE, C::Text),
        (Message::Link, "attributes") => (field::link::ATTRIBUTES, C::Messages(Message::KeyValue)),
        (Message::Link, "droppedAttributesCount" | "dropped_attributes_count") => {
            (field::link::DROPPED_ATTRIBUTES_COUNT, C::Uint32)
        }
        (Message::Link, "flags") => (field::link::FLAGS, C::Fixed32),
        (Message::Status, "message") => (field::status::MESSAGE, C::Text),
        (Message::Status, "code") => (field::status::CODE, C::Enumeration(STATUS_CODES)),
        _ => return None,
    })
}

fn lookup_in_pair_or_list(message: Message, key: &str) -> Option<(u32, Content)> {
    use Content as C;
    Some(match (message, key) {
        (Message::KeyValue, "key") => (field::key_value::KEY, C::Text),
        (Message::KeyValue, "value") => (field::key_value::VALUE, C::Message(Message::AnyValue)),
        (Message::ArrayValue, "values") => (field::values::VALUES, C::Messages(Message::AnyValue)),
        (Message::KeyValueList, "values") => (field::values::VALUES, C::Messages(Message::KeyValue)),
        _ => return None,
    })
}

fn lookup_in_span(key: &str) -> Option<(u32, Content)> {
    use Content as C;
    Some(match key {
        "traceId" | "trace_id" => (field::span::TRACE_ID, C::Hex),
        "spanId" | "span_id" => (field::span::SPAN_ID, C::Hex),
        "traceState" | "trace_state" => (field::span::TRACE_STATE, C::Text),
        "parentSpanId" | "parent_span_id" => (field::span::PARENT_SPAN_ID, C::Hex),
        "flags" => (field::span::FLAGS, C::Fixed32),
        "name" => (field::span::NAME, C::Text),
        "kind" => (field::span::KIND, C::Enumeration(SPAN_KINDS)),
        "startTimeUnixNano" | "start_time_unix_nano" => (field::span::START_TIME_UNIX_NANO, C::Fixed64),
        "endTimeUnixNano" | "end_time_unix_nano" => (field::span::END_TIME_UNIX_NANO, C::Fixed64),
        "attributes" => (field::span::ATTRIBUTES, C::Messages(Message::KeyValue)),
        "droppedAttributesCount" | "dropped_attributes_count" => (field::span::DROPPED_ATTRIBUTES_COUNT, C::Uint32),
        "events" => (field::span::EVENTS, C::Messages(Message::Event)),
        "droppedEventsCount" | "dropped_events_count" => (field::span::DROPPED_EVENTS_COUNT, C::Uint32),
        "links" => (field::span::LINKS, C::Messages(Message::Link)),
        "droppedLinksCount" | "dropped_links_count" => (field::span::DROPPED_LINKS_COUNT, C::Uint32),
        "status" => (field::span::STATUS, C::Message(Message::Status)),
        _ => return None,
    })
}

fn lookup_in_any_value(key: &str) -> Option<(u32, Content)> {
    use Content as C;
    Some(match key {
        "stringValue" | "string_value" => (field::any_value::STRING, C::Text),
        "boolValue" | "bool_value" => (field::any_value::BOOL, C::Bool),
        "intValue" | "int_value" => (field::any_value::INT, C::Int64),
        "doubleValue" | "double_value" => (field::any_value::DOUBLE, C::Double),
        "arrayValue" | "array_value" => (field::any_value::ARRAY, C::Message(Message::ArrayValue)),
        "kvlistValue" | "kvlist_value" => (field::any_value::KEY_VALUE_LIST, C::Message(Message::KeyValueList)),
        "bytesValue" | "bytes_value" => (field::any_value::BYTES, C::Base64),
        _ => return None,
    })
}
