//! The components: what rootspan has, by name, and what only the OpenTelemetry Collector has.
//!
//! To add a component: one module, one variant and one line in its `match` here.

use super::decode::{Decode as _, Table};
use super::id::ComponentId;
use super::node::Entry;
use super::problems::{Problems, did_you_mean};
use crate::exporters::debug::DebugConfig;
use crate::exporters::file::FileConfig;
use crate::exporters::otlp::{OtlpGrpcConfig, OtlpHttpConfig};
use crate::exporters::store::StoreConfig;
use crate::extensions::health_check::HealthCheckConfig;
use crate::extensions::memory_ballast::MemoryBallastConfig;
use crate::extensions::ui::UiConfig;
use crate::processors::attributes::AttributesConfig;
use crate::processors::probabilistic_sampler::SamplerConfig;
use crate::processors::resource::ResourceConfig;
use crate::processors::resource_detection::DetectionConfig;
use crate::processors::{BatchConfig, MemoryLimiterConfig};
use crate::receivers::cloudfront::CloudFrontConfig;
use crate::receivers::otlp::OtlpConfig;

/// A configured receiver.
#[derive(Clone, Debug, PartialEq)]
pub enum Receiver {
    /// `otlp`
    Otlp(OtlpConfig),
    /// `cloudfront`
    CloudFront(CloudFrontConfig),
}

/// A configured processor.
#[derive(Clone, Debug, PartialEq)]
pub enum Processor {
    /// `batch`
    Batch(BatchConfig),
    /// `memory_limiter`
    MemoryLimiter(MemoryLimiterConfig),
    /// `attributes`
    Attributes(Box<AttributesConfig>),
    /// `resource`
    Resource(ResourceConfig),
    /// `resourcedetection`, also `resource_detection`
    Detection(DetectionConfig),
    /// `probabilistic_sampler`
    Sampler(SamplerConfig),
}

/// A configured exporter.
#[derive(Clone, Debug, PartialEq)]
pub enum Exporter {
    /// `store`
    Store(StoreConfig),
    /// `debug`, formerly `logging`
    Debug(DebugConfig),
    /// `file`
    File(FileConfig),
    /// `otlp`, also `otlp_grpc`
    OtlpGrpc(Box<OtlpGrpcConfig>),
    /// `otlphttp`, also `otlp_http`
    OtlpHttp(Box<OtlpHttpConfig>),
}

/// A configured extension.
#[derive(Clone, Debug, PartialEq)]
pub enum Extension {
    /// `health_check`
    HealthCheck(HealthCheckConfig),
    /// `ui`
    Ui(UiConfig),
    /// `memory_ballast`: retired, accepted.
    MemoryBallast,
}

/// One kind of component as a section of the file.
pub(crate) trait Component: Sized {
    /// `receiver`, `processor`, …
    const NOUN: &'static str;
    /// The types that rootspan has, aliases last.
    const TYPES: &'static [&'static str];
    /// The types that only the collector has.
    const ELSEWHERE: &'static [&'static str];

    /// Decodes the component of type `kind`, or `None` if rootspan has no such type.
    fn decode(kind: &str, entry: &Entry, problems: &mut Problems) -> Option<Option<Self>>;
}

impl Component for Receiver {
    const NOUN: &'static str = "receiver";
    const TYPES: &'static [&'static str] = &["otlp", "cloudfront"];
    const ELSEWHERE: &'static [&'static str] = &[
        "active_directory_ds",
        "aerospike",
        "apache",
        "awscloudwatch",
        "awscontainerinsightreceiver",
        "awsecscontainermetrics",
        "awsfirehose",
        "awss3",
        "awsxray",
        "azureeventhub",
        "carbon",
        "collectd",
        "couchdb",
        "datadog",
        "docker_stats",
        "elasticsearch",
        "faro",
        "file_log",
        "filelog",
        "filestats",
        "fluentforward",
        "github",
        "google_cloud_pubsub",
        "googlecloudpubsub",
        "haproxy",
        "host_metrics",
        "hostmetrics",
        "httpcheck",
        "influxdb",
        "jaeger",
        "jmx",
        "journald",
        "k8s_cluster",
        "k8s_events",
        "k8sobjects",
        "kafka",
        "kafkametrics",
        "kubeletstats",
        "loki",
        "memcached",
        "mongodb",
        "mysql",
        "nginx",
        "nop",
        "opencensus",
        "oracledb",
        "otelarrow",
        "otlp_json_file",
        "otlpjsonfile",
        "postgresql",
        "prometheus",
        "prometheus_simple",
        "pulsar",
        "rabbitmq",
        "receiver_creator",
        "redis",
        "signalfx",
        "skywalking",
        "snmp",
        "solace",
        "splunk_hec",
        "sqlquery",
        "sqlserver",
        "statsd",
        "syslog",
        "tcplog",
        "udplog",
        "vcenter",
        "webhookevent",
        "zipkin",
        "zookeeper",
    ];

    fn decode(kind: &str, entry: &Entry, problems: &mut Problems) -> Option<Option<Self>> {
        match kind {
            "otlp" => Some(OtlpConfig::decode_checked(entry, problems).map(Self::Otlp)),
            "cloudfront" => Some(CloudFrontConfig::decode(&entry.value, problems).map(Self::CloudFront)),
            _ => None,
        }
    }
}

impl Component for Processor {
    const NOUN: &'static str = "processor";
    const TYPES: &'static [&'static str] = &[
        "memory_limiter",
        "batch",
        "attributes",
        "resource",
        "probabilistic_sampler",
        "resourcedetection",
        "resource_detection",
    ];
    const ELSEWHERE: &'static [&'static str] = &[
        "coralogix",
        "cumulativetodelta",
        "deltatocumulative",
        "deltatorate",
        "experimental_metricsgeneration",
        "filter",
        "geoip",
        "groupbyattrs",
        "groupbytrace",
        "interval",
        "isolationforest",
        "k8s_attributes",
        "k8sattributes",
        "logdedup",
        "logstransform",
        "metricstransform",
        "redaction",
        "remotetap",
        "routing",
        "schema",
        "span",
        "spanmetrics",
        "sumologic",
        "tail_sampling",
        "transform",
        "unroll",
    ];

    fn decode(kind: &str, entry: &Entry, problems: &mut Problems) -> Option<Option<Self>> {
        match kind {
            "batch" => Some(BatchConfig::decode(&entry.value, problems).map(Self::Batch)),
            "memory_limiter" => Some(MemoryLimiterConfig::decode_checked(entry, problems).map(Self::MemoryLimiter)),
            "attributes" => {
                Some(AttributesConfig::decode_checked(entry, problems).map(|config| Self::Attributes(Box::new(config))))
            }
            "resourcedetection" | "resource_detection" => {
                Some(DetectionConfig::decode_checked(entry, problems).map(Self::Detection))
            }
            "resource" => Some(ResourceConfig::decode_checked(entry, problems).map(Self::Resource)),
            "probabilistic_sampler" => Some(SamplerConfig::decode_checked(entry, problems).map(Self::Sampler)),
            _ => None,
        }
    }
}

impl Component for Exporter {
    const NOUN: &'static str = "exporter";
    const TYPES: &'static [&'static str] =
        &["store", "debug", "otlp", "otlphttp", "file", "logging", "otlp_grpc", "otlp_http"];
    const ELSEWHERE: &'static [&'static str] = &[
        "alertmanager",
        "awscloudwatchlogs",
        "awsemf",
        "awskinesis",
        "awss3",
        "awsxray",
        "azureblob",
        "azuredataexplorer",
        "azuremonitor",
        "cassandra",
        "clickhouse",
        "coralogix",
        "datadog",
        "dataset",
        "doris",
        "elasticsearch",
        "faro",
        "google_cloud",
        "googlecloud",
        "googlecloudpubsub",
        "googlemanagedprometheus",
        "honeycombmarker",
        "influxdb",
        "jaeger",
        "kafka",
        "loadbalancing",
        "load_balancing",
        "logicmonitor",
        "logzio",
        "loki",
        "mezmo",
        "nop",
        "opencensus",
        "opensearch",
        "otelarrow",
        "prometheus",
        "prometheusremotewrite",
        "pulsar",
        "rabbitmq",
        "sapm",
        "sentry",
        "signalfx",
        "splunk_hec",
        "stef",
        "sumologic",
        "syslog",
        "tencentcloud_logservice",
        "tinybird",
        "zipkin",
    ];

    fn decode(kind: &str, entry: &Entry, problems: &mut Problems) -> Option<Option<Self>> {
        match kind {
            "store" => Some(StoreConfig::decode(&entry.value, problems).map(Self::Store)),
            "file" => Some(FileConfig::decode_checked(entry, problems).map(Self::File)),
            "otlp" | "otlp_grpc" => {
                Some(OtlpGrpcConfig::decode_checked(entry, problems).map(|config| Self::OtlpGrpc(Box::new(config))))
            }
            "otlphttp" | "otlp_http" => {
                Some(OtlpHttpConfig::decode_checked(entry, problems).map(|config| Self::OtlpHttp(Box::new(config))))
            }
            "debug" | "logging" => Some(DebugConfig::decode(&entry.value, problems).map(Self::Debug)),
            _ => None,
        }
    }
}

impl Component for Extension {
    const NOUN: &'static str = "extension";
    const TYPES: &'static [&'static str] = &["health_check", "ui", "memory_ballast"];
    const ELSEWHERE: &'static [&'static str] = &[
        "ack",
        "asapclient",
        "avro_log_encoding",
        "aws_logs_encoding",
        "awsproxy",
        "azureauth",
        "basicauth",
        "bearertokenauth",
        "cgroupruntime",
        "db_storage",
        "docker_observer",
        "ecs_observer",
        "file_storage",
        "googleclientauth",
        "headers_setter",
        "healthcheckv2",
        "host_observer",
        "http_forwarder",
        "jaeger_encoding",
        "jaegerremotesampling",
        "json_log_encoding",
        "k8s_leader_elector",
        "k8s_observer",
        "oauth2client",
        "oidc",
        "opamp",
        "otlp_encoding",
        "pprof",
        "redis_storage",
        "remotetap",
        "sigv4auth",
        "skywalking_encoding",
        "solarwindsapmsettings",
        "sumologic",
        "text_encoding",
        "zipkin_encoding",
        "zpages",
    ];

    fn decode(kind: &str, entry: &Entry, problems: &mut Problems) -> Option<Option<Self>> {
        match kind {
            "health_check" => Some(HealthCheckConfig::decode(&entry.value, problems).map(Self::HealthCheck)),
            "ui" => Some(UiConfig::decode_checked(entry, problems).map(Self::Ui)),
            "memory_ballast" => {
                problems.warning(&entry.position, "`memory_ballast` is retired and has no effect");
                Some(MemoryBallastConfig::decode(&entry.value, problems).map(|_| Self::MemoryBallast))
            }
            _ => None,
        }
    }
}

/// The collector's connectors; rootspan has none yet.
pub(crate) const CONNECTORS_ELSEWHERE: &[&str] = &[
    "count",
    "datadog",
    "exceptions",
    "failover",
    "forward",
    "grafanacloud",
    "metricsaslogs",
    "otlpjson",
    "roundrobin",
    "routing",
    "servicegraph",
    "service_graph",
    "signaltometrics",
    "slowsql",
    "spanmetrics",
    "span_metrics",
    "sum",
];

/// One entry of a section: its id and component. `None` after the mistakes were reported.
pub(crate) fn decode_entry<C: Component>(entry: &Entry, problems: &mut Problems) -> Option<(ComponentId, C)> {
    let id = match ComponentId::parse(&entry.key) {
        Ok(id) => id,
        Err(reason) => {
            problems.error(&entry.position, reason);
            return None;
        }
    };
    let Some(component) = C::decode(&id.kind, entry, problems) else {
        problems.error(&entry.position, unknown_type(C::NOUN, &id.kind, C::TYPES, C::ELSEWHERE));
        return None;
    };
    Some((id, component?))
}

/// Why a type is not there: not yet, or not at all.
pub(crate) fn unknown_type(noun: &str, kind: &str, types: &[&str], elsewhere: &[&str]) -> String {
    if elsewhere.contains(&kind) {
        return format!("the {noun} `{kind}` is known to the OpenTelemetry Collector, not supported by rootspan (yet)");
    }
    let all = types.iter().chain(elsewhere).copied();
    format!("unknown {noun} `{kind}`{}", did_you_mean(kind, all))
}

/// Every component with its table of keys, in the order of the reference page.
#[must_use]
pub fn tables() -> Vec<(&'static str, Option<&'static Table>)> {
    vec![
        ("receivers.otlp", OtlpConfig::TABLE),
        ("receivers.cloudfront", CloudFrontConfig::TABLE),
        ("processors.memory_limiter", MemoryLimiterConfig::TABLE),
        ("processors.batch", BatchConfig::TABLE),
        ("processors.attributes", AttributesConfig::TABLE),
        ("processors.resource", ResourceConfig::TABLE),
        ("processors.resourcedetection", DetectionConfig::TABLE),
        ("processors.probabilistic_sampler", SamplerConfig::TABLE),
        ("exporters.store", StoreConfig::TABLE),
        ("exporters.debug", DebugConfig::TABLE),
        ("exporters.file", FileConfig::TABLE),
        ("exporters.otlp", OtlpGrpcConfig::TABLE),
        ("exporters.otlphttp", OtlpHttpConfig::TABLE),
        ("extensions.health_check", HealthCheckConfig::TABLE),
        ("extensions.ui", UiConfig::TABLE),
        ("extensions.memory_ballast", MemoryBallastConfig::TABLE),
        ("service.telemetry", super::service::TelemetryConfig::TABLE),
    ]
}
