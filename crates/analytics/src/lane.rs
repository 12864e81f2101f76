//! What sort of thing a span's time is spent in: by OpenTelemetry's semantic conventions, and saying by which.

use rootspan_model::conventions::{cloudfront, db, messaging};
use rootspan_model::span::SpanKind;
use rootspan_wire::otlp::batch::SpanInBatch;
use rootspan_wire::otlp::view::KeyValue;

/// Where a row belongs in the picture from edge to database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Lane {
    /// A service's own code; also what is not known better.
    #[default]
    Service,
    /// The content delivery network.
    Cdn,
    /// A reverse proxy.
    Proxy,
    /// A database, as its client sees it.
    Database,
    /// A queue, as its client sees it.
    Queue,
    /// A call to something that sent no spans.
    External,
}

impl Lane {
    /// The number in the interface's protocol.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Cdn => "cdn",
            Self::Proxy => "proxy",
            Self::Database => "database",
            Self::Queue => "queue",
            Self::External => "external",
        }
    }
}

/// By what a span was put into its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum LaneReason {
    /// Nothing said otherwise.
    #[default]
    Default,
    /// The instrumentation scope is one of CloudFront's.
    CloudFrontScope,
    /// The service is called as CloudFront's spans are by default.
    CloudFrontService,
    /// The instrumentation scope or the service is a known proxy.
    ProxyName,
    /// `db.system.name` or `db.system` is there.
    DatabaseSystem,
    /// `messaging.system` is there on a span that sends, or waits to receive.
    MessagingSystem,
    /// The kind is producer.
    ProducerKind,
    /// A client span without children.
    ClientLeaf,
}

impl LaneReason {
    /// Why, as a phrase.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Default => "nothing says otherwise",
            Self::CloudFrontScope => "its instrumentation scope is CloudFront's",
            Self::CloudFrontService => "its service.name is CloudFront's",
            Self::ProxyName => "its instrumentation scope or service.name is a proxy's",
            Self::DatabaseSystem => "it has db.system.name",
            Self::MessagingSystem => "it has messaging.system and sends or receives",
            Self::ProducerKind => "its kind is producer",
            Self::ClientLeaf => "it is a client span and nothing answered with spans of its own",
        }
    }
}

/// Names under which proxies' instrumentation scopes are known; a scope matches if one is part of it.
const PROXIES: [&str; 6] = ["nginx", "envoy", "traefik", "haproxy", "istio", "kong"];

/// The lane that a scope and a resource decide for all their spans.
pub(crate) fn of_scope(span: &SpanInBatch<'_>, service: &str) -> (Lane, LaneReason) {
    let scope = span.scope.name;
    if scope == cloudfront::SCOPE_NAME || scope == cloudfront::LAMBDA_SCOPE_NAME {
        return (Lane::Cdn, LaneReason::CloudFrontScope);
    }
    if service == cloudfront::DEFAULT_SERVICE_NAME {
        return (Lane::Cdn, LaneReason::CloudFrontService);
    }
    let is_proxy = PROXIES.iter().any(|name| *name == service || scope.contains(name));
    if is_proxy { (Lane::Proxy, LaneReason::ProxyName) } else { (Lane::Service, LaneReason::Default) }
}

/// What a span's attributes say about its lane, collected while they are passed by.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Signs {
    database: bool,
    messaging: bool,
    receives: bool,
}

impl Signs {
    /// Takes note of one attribute, given as the bytes of its `KeyValue`.
    #[inline]
    pub(crate) fn see(&mut self, bytes: &[u8]) {
        // Encoders put the key first. Its length alone rules out nearly all attributes, without decoding them.
        if let [KEY_TAG, length, ..] = bytes
            && !LENGTHS.contains(length)
        {
            return;
        }
        let attribute = KeyValue::decode(bytes);
        match attribute.key {
            db::SYSTEM_NAME | db::SYSTEM_OLD => self.database = true,
            messaging::SYSTEM => self.messaging = true,
            messaging::OPERATION_TYPE => self.receives = attribute.value.as_str() == Some("receive"),
            _ => {}
        }
    }

    /// The lane of a span of this kind whose scope says nothing. Server spans are their service's.
    pub(crate) fn lane(self, kind: SpanKind) -> (Lane, LaneReason) {
        match kind {
            SpanKind::Server => (Lane::Service, LaneReason::Default),
            _ if self.database => (Lane::Database, LaneReason::DatabaseSystem),
            SpanKind::Producer => (Lane::Queue, LaneReason::ProducerKind),
            // A consumer that processes a message does a service's work; one that waits for a message does not.
            SpanKind::Client | SpanKind::Consumer if self.messaging && (self.receives || kind == SpanKind::Client) => {
                (Lane::Queue, LaneReason::MessagingSystem)
            }
            SpanKind::Unspecified | SpanKind::Internal | SpanKind::Client | SpanKind::Consumer => {
                (Lane::Service, LaneReason::Default)
            }
        }
    }
}

/// The first byte of a `KeyValue` whose key comes first: field 1, length-delimited.
const KEY_TAG: u8 = 0x0a;

/// Lengths of the keys that [`Signs::see`] knows.
const LENGTHS: [u8; 4] = [
    db::SYSTEM_NAME.len() as u8,
    db::SYSTEM_OLD.len() as u8,
    messaging::SYSTEM.len() as u8,
    messaging::OPERATION_TYPE.len() as u8,
];

#[cfg(test)]
mod tests;
