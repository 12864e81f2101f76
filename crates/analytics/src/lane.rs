//! What sort of thing a span's time is spent in: by OpenTelemetry's semantic conventions, and saying by which.

use rootspan_model::conventions::{cloudfront, db, messaging};
use rootspan_model::span::SpanKind;
use rootspan_wire::otlp::batch::SpanInBatch;

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

/// The lane of a span whose scope says nothing. Server spans are their service's, so their attributes are not read.
pub(crate) fn of_span(span: &SpanInBatch<'_>, kind: SpanKind) -> (Lane, LaneReason) {
    if kind == SpanKind::Server {
        return (Lane::Service, LaneReason::Default);
    }
    let mut receives = false;
    let mut is_messaging = false;
    for attribute in span.span.attributes() {
        match attribute.key {
            db::SYSTEM_NAME | db::SYSTEM_OLD => return (Lane::Database, LaneReason::DatabaseSystem),
            messaging::SYSTEM => is_messaging = true,
            messaging::OPERATION_TYPE => receives = attribute.value.as_str() == Some("receive"),
            _ => {}
        }
    }
    match kind {
        SpanKind::Producer => (Lane::Queue, LaneReason::ProducerKind),
        // A consumer that processes a message does a service's work; one that waits for a message does not.
        SpanKind::Client | SpanKind::Consumer if is_messaging && (receives || kind == SpanKind::Client) => {
            (Lane::Queue, LaneReason::MessagingSystem)
        }
        SpanKind::Unspecified | SpanKind::Internal | SpanKind::Server | SpanKind::Client | SpanKind::Consumer => {
            (Lane::Service, LaneReason::Default)
        }
    }
}
