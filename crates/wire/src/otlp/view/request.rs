//! What surrounds spans: request, resources, scopes.

use super::value::{self, AnyValue, KeyValue};
use super::{Span, field};
use crate::otlp::protobuf::{FieldValue, Fields, low_32_bits, repeated, text};

/// `ExportTraceServiceRequest` / `TracesData`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// The message's bytes, unknown fields included.
    pub bytes: &'a [u8],
}

impl<'a> Request<'a> {
    /// `resource_spans`, also those without a span.
    pub fn resource_spans(self) -> impl Iterator<Item = ResourceSpans<'a>> + Clone + use<'a> {
        repeated(self.bytes, field::request::RESOURCE_SPANS).map(ResourceSpans::decode)
    }
}

/// `ResourceSpans`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResourceSpans<'a> {
    /// The message's bytes, unknown fields included.
    pub bytes: &'a [u8],
    /// `resource` with `schema_url`.
    pub resource: Resource<'a>,
}

impl<'a> ResourceSpans<'a> {
    /// Reads the `ResourceSpans` message in `bytes`.
    #[must_use]
    pub fn decode(bytes: &'a [u8]) -> Self {
        let mut resource = Resource::default();
        for field in Fields::new(bytes) {
            match (field.number, field.value) {
                (field::resource_spans::RESOURCE, FieldValue::Bytes(message)) => resource.bytes = message,
                (field::resource_spans::SCHEMA_URL, FieldValue::Bytes(url)) => resource.schema_url = text(url),
                _ => {}
            }
        }
        Self { bytes, resource }
    }

    /// `scope_spans`, also those without a span.
    pub fn scope_spans(self) -> impl Iterator<Item = ScopeSpans<'a>> + Clone + use<'a> {
        repeated(self.bytes, field::resource_spans::SCOPE_SPANS).map(ScopeSpans::decode)
    }
}

/// `ScopeSpans`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScopeSpans<'a> {
    /// The message's bytes, unknown fields included.
    pub bytes: &'a [u8],
    /// `scope` with `schema_url`.
    pub scope: Scope<'a>,
}

impl<'a> ScopeSpans<'a> {
    /// Reads the `ScopeSpans` message in `bytes`.
    #[must_use]
    pub fn decode(bytes: &'a [u8]) -> Self {
        let (mut scope, mut schema_url) = (&[][..], &[][..]);
        for field in Fields::new(bytes) {
            match (field.number, field.value) {
                (field::scope_spans::SCOPE, FieldValue::Bytes(message)) => scope = message,
                (field::scope_spans::SCHEMA_URL, FieldValue::Bytes(url)) => schema_url = url,
                _ => {}
            }
        }
        Self { bytes, scope: Scope::decode(scope, text(schema_url)) }
    }

    /// `spans`.
    pub fn spans(self) -> impl Iterator<Item = Span<'a>> + Clone + use<'a> {
        repeated(self.bytes, field::scope_spans::SPANS).map(Span::decode)
    }
}

/// `opentelemetry.proto.resource.v1.Resource`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Resource<'a> {
    /// The message's bytes, unknown fields included.
    pub bytes: &'a [u8],
    /// `ResourceSpans.schema_url`.
    pub schema_url: &'a str,
}

impl<'a> Resource<'a> {
    /// `attributes`.
    pub fn attributes(self) -> impl Iterator<Item = KeyValue<'a>> + Clone + use<'a> {
        repeated(self.bytes, field::resource::ATTRIBUTES).map(KeyValue::decode)
    }

    /// The value of the first attribute called `key`.
    #[must_use]
    pub fn attribute(self, key: &str) -> Option<AnyValue<'a>> {
        value::find(self.bytes, field::resource::ATTRIBUTES, key)
    }

    /// The string attribute `service.name`, or `""` if absent or not a string.
    #[must_use]
    pub fn service_name(self) -> &'a str {
        match self.attribute("service.name") {
            Some(AnyValue::String(name)) => name,
            _ => "",
        }
    }

    /// `dropped_attributes_count`.
    #[must_use]
    pub fn dropped_attributes_count(self) -> u32 {
        last_count(self.bytes, field::resource::DROPPED_ATTRIBUTES_COUNT)
    }

    /// `entity_refs`.
    pub fn entity_refs(self) -> impl Iterator<Item = EntityRef<'a>> + Clone + use<'a> {
        repeated(self.bytes, field::resource::ENTITY_REFS).map(EntityRef::decode)
    }
}

/// `EntityRef`: which attributes of a resource identify and describe an entity.
#[derive(Clone, Copy, Debug, Default)]
pub struct EntityRef<'a> {
    /// The message's bytes.
    pub bytes: &'a [u8],
    /// `schema_url`.
    pub schema_url: &'a str,
    /// `type`, such as `service`.
    pub entity_type: &'a str,
}

impl<'a> EntityRef<'a> {
    /// Reads the `EntityRef` message in `bytes`.
    #[must_use]
    pub fn decode(bytes: &'a [u8]) -> Self {
        let mut entity = Self { bytes, ..Self::default() };
        for field in Fields::new(bytes) {
            match (field.number, field.value) {
                (field::entity_ref::SCHEMA_URL, FieldValue::Bytes(url)) => entity.schema_url = text(url),
                (field::entity_ref::TYPE, FieldValue::Bytes(name)) => entity.entity_type = text(name),
                _ => {}
            }
        }
        entity
    }

    /// `id_keys`.
    pub fn id_keys(self) -> impl Iterator<Item = &'a str> + Clone + use<'a> {
        repeated(self.bytes, field::entity_ref::ID_KEYS).map(text)
    }

    /// `description_keys`.
    pub fn description_keys(self) -> impl Iterator<Item = &'a str> + Clone + use<'a> {
        repeated(self.bytes, field::entity_ref::DESCRIPTION_KEYS).map(text)
    }
}

/// `InstrumentationScope`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scope<'a> {
    /// The message's bytes, unknown fields included.
    pub bytes: &'a [u8],
    /// `ScopeSpans.schema_url`.
    pub schema_url: &'a str,
    /// `name`.
    pub name: &'a str,
    /// `version`.
    pub version: &'a str,
}

impl<'a> Scope<'a> {
    /// Reads the scalar fields of the `InstrumentationScope` message in `bytes`.
    #[must_use]
    pub fn decode(bytes: &'a [u8], schema_url: &'a str) -> Self {
        let mut scope = Self { bytes, schema_url, name: "", version: "" };
        for field in Fields::new(bytes) {
            match (field.number, field.value) {
                (field::scope::NAME, FieldValue::Bytes(name)) => scope.name = text(name),
                (field::scope::VERSION, FieldValue::Bytes(version)) => scope.version = text(version),
                _ => {}
            }
        }
        scope
    }

    /// `attributes`.
    pub fn attributes(self) -> impl Iterator<Item = KeyValue<'a>> + Clone + use<'a> {
        repeated(self.bytes, field::scope::ATTRIBUTES).map(KeyValue::decode)
    }

    /// The value of the first attribute called `key`.
    #[must_use]
    pub fn attribute(self, key: &str) -> Option<AnyValue<'a>> {
        value::find(self.bytes, field::scope::ATTRIBUTES, key)
    }

    /// `dropped_attributes_count`.
    #[must_use]
    pub fn dropped_attributes_count(self) -> u32 {
        last_count(self.bytes, field::scope::DROPPED_ATTRIBUTES_COUNT)
    }
}

fn last_count(message: &[u8], number: u32) -> u32 {
    let mut count = 0;
    for field in Fields::new(message) {
        if let FieldValue::Varint(value) = field.value
            && field.number == number
        {
            count = low_32_bits(value);
        }
    }
    count
}
