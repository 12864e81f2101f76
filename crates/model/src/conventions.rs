//! Attribute names that several crates use, spelled once.
//!
//! OpenTelemetry's semantic conventions where they have a name (1.44); `aws.cloudfront.*` is our own namespace, since the
//! conventions have none for CDNs.

/// Resource attributes.
pub mod resource {
    /// The logical name of the service.
    pub const SERVICE_NAME: &str = "service.name";
    /// Groups services.
    pub const SERVICE_NAMESPACE: &str = "service.namespace";
    /// One running instance.
    pub const SERVICE_INSTANCE_ID: &str = "service.instance.id";
    /// The version of the service.
    pub const SERVICE_VERSION: &str = "service.version";
    /// `production`, `staging`, …
    pub const DEPLOYMENT_ENVIRONMENT_NAME: &str = "deployment.environment.name";
    /// The host.
    pub const HOST_NAME: &str = "host.name";
    /// `aws` for everything that comes from CloudFront.
    pub const CLOUD_PROVIDER: &str = "cloud.provider";
    /// The account that owns the resource.
    pub const CLOUD_ACCOUNT_ID: &str = "cloud.account.id";
    /// The distribution's ARN.
    pub const CLOUD_RESOURCE_ID: &str = "cloud.resource_id";
    /// The SDK's name.
    pub const TELEMETRY_SDK_NAME: &str = "telemetry.sdk.name";
    /// The SDK's language.
    pub const TELEMETRY_SDK_LANGUAGE: &str = "telemetry.sdk.language";
}

/// HTTP, URL, client, server and network attributes of spans.
pub mod http {
    /// `GET`, …, or `_OTHER`.
    pub const REQUEST_METHOD: &str = "http.request.method";
    /// The method as it was received, if `http.request.method` is `_OTHER`.
    pub const REQUEST_METHOD_ORIGINAL: &str = "http.request.method_original";
    /// Bytes of the request, with headers.
    pub const REQUEST_SIZE: &str = "http.request.size";
    /// Tries before this one.
    pub const REQUEST_RESEND_COUNT: &str = "http.request.resend_count";
    /// `Referer`, captured.
    pub const REQUEST_HEADER_REFERER: &str = "http.request.header.referer";
    /// The status code.
    pub const RESPONSE_STATUS_CODE: &str = "http.response.status_code";
    /// Bytes of the response, with headers.
    pub const RESPONSE_SIZE: &str = "http.response.size";
    /// `Content-Type`, captured.
    pub const RESPONSE_HEADER_CONTENT_TYPE: &str = "http.response.header.content-type";
    /// The route template of the application.
    pub const ROUTE: &str = "http.route";
    /// The status code in conventions before 1.20; still met.
    pub const STATUS_CODE_OLD: &str = "http.status_code";
    /// The method in conventions before 1.20; still met.
    pub const METHOD_OLD: &str = "http.method";
    /// The whole URL.
    pub const URL_FULL: &str = "url.full";
    /// The path.
    pub const URL_PATH: &str = "url.path";
    /// The query, without the `?`.
    pub const URL_QUERY: &str = "url.query";
    /// `https`, `http`, `wss`, …
    pub const URL_SCHEME: &str = "url.scheme";
    /// The host that was asked for.
    pub const SERVER_ADDRESS: &str = "server.address";
    /// The port that was asked for, if it is not the scheme's own.
    pub const SERVER_PORT: &str = "server.port";
    /// The client behind all proxies.
    pub const CLIENT_ADDRESS: &str = "client.address";
    /// The client's port.
    pub const CLIENT_PORT: &str = "client.port";
    /// The other end of the connection.
    pub const NETWORK_PEER_ADDRESS: &str = "network.peer.address";
    /// The port at the other end of the connection.
    pub const NETWORK_PEER_PORT: &str = "network.peer.port";
    /// `1.1`, `2`, `3`.
    pub const NETWORK_PROTOCOL_VERSION: &str = "network.protocol.version";
    /// `tcp`, `quic`.
    pub const NETWORK_TRANSPORT: &str = "network.transport";
    /// The `User-Agent` header.
    pub const USER_AGENT_ORIGINAL: &str = "user_agent.original";
    /// `tls`.
    pub const TLS_PROTOCOL_NAME: &str = "tls.protocol.name";
    /// `1.3`, …
    pub const TLS_PROTOCOL_VERSION: &str = "tls.protocol.version";
    /// The cipher suite.
    pub const TLS_CIPHER: &str = "tls.cipher";
    /// The client's country.
    pub const GEO_COUNTRY_ISO_CODE: &str = "geo.country.iso_code";
}

/// Databases.
pub mod db {
    /// `postgresql`, `redis`, `sqlite`, …
    pub const SYSTEM_NAME: &str = "db.system.name";
    /// The system in conventions before 1.28; still met.
    pub const SYSTEM_OLD: &str = "db.system";
    /// The database.
    pub const NAMESPACE: &str = "db.namespace";
    /// The table or collection.
    pub const COLLECTION_NAME: &str = "db.collection.name";
    /// `SELECT`, `HSET`, …
    pub const OPERATION_NAME: &str = "db.operation.name";
    /// The statement, without values.
    pub const QUERY_TEXT: &str = "db.query.text";
    /// A short form of the statement.
    pub const QUERY_SUMMARY: &str = "db.query.summary";
}

/// Queues and topics.
pub mod messaging {
    /// `kafka`, …
    pub const SYSTEM: &str = "messaging.system";
    /// The queue or topic.
    pub const DESTINATION_NAME: &str = "messaging.destination.name";
    /// The operation's own name.
    pub const OPERATION_NAME: &str = "messaging.operation.name";
    /// `send`, `receive`, `process`, …
    pub const OPERATION_TYPE: &str = "messaging.operation.type";
    /// The message.
    pub const MESSAGE_ID: &str = "messaging.message.id";
    /// The group of consumers.
    pub const CONSUMER_GROUP_NAME: &str = "messaging.consumer.group.name";
}

/// Remote procedure calls.
pub mod rpc {
    /// `grpc`, …
    pub const SYSTEM: &str = "rpc.system";
    /// The service.
    pub const SERVICE: &str = "rpc.service";
    /// The method.
    pub const METHOD: &str = "rpc.method";
}

/// Errors.
pub mod error {
    /// The class of the error: low cardinality.
    pub const TYPE: &str = "error.type";
    /// Name of the event that carries an exception.
    pub const EXCEPTION_EVENT: &str = "exception";
    /// The exception's class.
    pub const EXCEPTION_TYPE: &str = "exception.type";
    /// The exception's message.
    pub const EXCEPTION_MESSAGE: &str = "exception.message";
    /// The exception's stack trace.
    pub const EXCEPTION_STACKTRACE: &str = "exception.stacktrace";
}

/// What a call is made to, where nothing else names it.
pub const PEER_SERVICE: &str = "peer.service";

/// nginx, by its module or by its log.
pub mod nginx {
    /// Name of the instrumentation scope.
    pub const SCOPE_NAME: &str = "rootspan/nginx";
    /// Seconds until the upstream was connected (double).
    pub const UPSTREAM_CONNECT_TIME: &str = "nginx.upstream.connect_time";
    /// Seconds until the upstream's head had come (double).
    pub const UPSTREAM_HEADER_TIME: &str = "nginx.upstream.header_time";
    /// Seconds until the upstream had answered (double).
    pub const UPSTREAM_RESPONSE_TIME: &str = "nginx.upstream.response_time";
}

/// The viewer's span at CloudFront.
pub mod cloudfront {
    /// Name of the instrumentation scope of spans that are made from access-log records.
    pub const SCOPE_NAME: &str = "rootspan/cloudfront";
    /// Scope name of spans that Lambda@Edge functions make.
    pub const LAMBDA_SCOPE_NAME: &str = "rootspan/lambda-edge";
    /// The default of `service.name`.
    pub const DEFAULT_SERVICE_NAME: &str = "cloudfront";
    /// `x-edge-request-id`; the viewer sees it as `X-Amz-Cf-Id`.
    pub const REQUEST_ID: &str = "aws.cloudfront.request_id";
    /// The distribution.
    pub const DISTRIBUTION_ID: &str = "aws.cloudfront.distribution_id";
    /// Its domain, e.g. `d111111abcdef8.cloudfront.net`; every log has it.
    pub const DISTRIBUTION_DOMAIN: &str = "aws.cloudfront.distribution_domain";
    /// `x-edge-location`, e.g. `FRA60-P4`.
    pub const EDGE_LOCATION: &str = "aws.cloudfront.edge_location";
    /// `x-edge-result-type`: the result after the last byte.
    pub const RESULT_TYPE: &str = "aws.cloudfront.result_type";
    /// `x-edge-response-result-type`: the result before the response was sent.
    pub const RESPONSE_RESULT_TYPE: &str = "aws.cloudfront.response_result_type";
    /// `x-edge-detailed-result-type`: the error's class.
    pub const DETAILED_RESULT_TYPE: &str = "aws.cloudfront.detailed_result_type";
    /// `cache-behavior-path-pattern`.
    pub const CACHE_BEHAVIOR: &str = "aws.cloudfront.cache_behavior";
    /// Where the ids come from: see [`super::cloudfront::context`].
    pub const CONTEXT: &str = "aws.cloudfront.context";
    /// Seconds from the request to the first byte of the response (double).
    pub const TIME_TO_FIRST_BYTE: &str = "aws.cloudfront.time_to_first_byte";
    /// Seconds from asking the origin to its first byte (double).
    pub const ORIGIN_FIRST_BYTE_LATENCY: &str = "aws.cloudfront.origin_first_byte_latency";
    /// Seconds from asking the origin to its last byte (double).
    pub const ORIGIN_LAST_BYTE_LATENCY: &str = "aws.cloudfront.origin_last_byte_latency";
    /// Seconds from the request to the last byte of the response (double).
    pub const TIME_TAKEN: &str = "aws.cloudfront.time_taken";
    /// The viewer's autonomous system.
    pub const ASN: &str = "aws.cloudfront.asn";
    /// Why the span was kept although the trace was not sampled; shown as "backend not recorded".
    pub const KEPT_BY: &str = "rootspan.kept_by";

    /// Which log the span was made from; see [`super::cloudfront::log`].
    pub const LOG: &str = "aws.cloudfront.log";

    /// Values of [`LOG`].
    pub mod log {
        /// Standard logging, both versions.
        pub const STANDARD: &str = "standard";
        /// Real-time logs.
        pub const REAL_TIME: &str = "real_time";
        /// What a function logged by itself.
        pub const FUNCTION: &str = "function";
    }

    /// Values of [`CONTEXT`].
    pub mod context {
        /// The edge function logged them.
        pub const FUNCTION: &str = "function";
        /// Computed from the request id: no payload in the record.
        pub const DERIVED: &str = "derived";
        /// Read from the viewer's headers in the record.
        pub const HEADERS: &str = "headers";
    }
}
