//! The components: what rootspan has, by name, and what only the OpenTelemetry Collector has.
//!
//! To add a component: one module, one variant and one line in its `match` here.

use rootspan_model::spelling::did_you_mean;
use rootspan_wire::otlp::payload::Signal;

use super::decode::{Decode as _, Table};
use super::elsewhere;
use super::id::{ComponentId, ExtensionReference};
use super::node::Entry;
use super::problems::Problems;
use crate::connectors::forward::ForwardConfig;
use crate::exporters::debug::DebugConfig;
use crate::exporters::file::FileConfig;
use crate::exporters::otlp::{OtlpGrpcConfig, OtlpHttpConfig};
use crate::exporters::sending::SendingQueueConfig;
use crate::exporters::store::StoreConfig;
use crate::extensions::basicauth::BasicAuthConfig;
use crate::extensions::bearertokenauth::BearerTokenAuthConfig;
use crate::extensions::file_storage::FileStorageConfig;
use crate::extensions::health_check::HealthCheckConfig;
use crate::extensions::retired;
use crate::extensions::ui::UiConfig;
use crate::processors::attributes::AttributesConfig;
use crate::processors::probabilistic_sampler::SamplerConfig;
use crate::processors::resource::ResourceConfig;
use crate::processors::resource_detection::DetectionConfig;
use crate::processors::{BatchConfig, MemoryLimiterConfig};
use crate::receivers::cloudfront::CloudFrontConfig;
use crate::receivers::nginxlog::NginxLogConfig;
use crate::receivers::otlp::OtlpConfig;
use crate::receivers::otlpjsonfile::OtlpJsonFileConfig;

/// Components that carry spans.
const TRACES: &[Signal] = &[Signal::Traces];
/// Components that carry everything.
const ALL: &[Signal] = &Signal::ALL;

/// One line for each component: where it is written, its other names, what it carries, the type of its settings. Its
/// example lies in `examples/`.
macro_rules! built_in {
    ($path:literal, $aliases:expr, $signals:expr, $config:ty) => {
        BuiltIn {
            path: $path,
            aliases: $aliases,
            signals: $signals,
            table: <$config as super::decode::Decode>::TABLE,
            example: include_str!(concat!("examples/", $path, ".yaml")),
        }
    };
}

/// A configured receiver.
#[derive(Clone, Debug, PartialEq)]
pub enum Receiver {
    /// `otlp`
    Otlp(Box<OtlpConfig>),
    /// `cloudfront`
    CloudFront(Box<CloudFrontConfig>),
    /// `otlpjsonfile`, also `otlp_json_file`
    OtlpJsonFile(OtlpJsonFileConfig),
    /// `nginxlog`
    NginxLog(Box<NginxLogConfig>),
}

impl Receiver {
    /// The extensions that keep what it has read.
    pub(crate) fn storages(&self) -> Vec<&ExtensionReference> {
        match self {
            Self::OtlpJsonFile(config) => config.storage.as_ref().into_iter().collect(),
            Self::NginxLog(config) => config.storage.as_ref().into_iter().collect(),
            Self::CloudFront(config) => config.storages(),
            Self::Otlp(_) => Vec::new(),
        }
    }
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

/// A configured connector.
#[derive(Clone, Debug, PartialEq)]
pub enum Connector {
    /// `forward`
    Forward(ForwardConfig),
}

/// A configured extension.
#[derive(Clone, Debug, PartialEq)]
pub enum Extension {
    /// `health_check`
    HealthCheck(Box<HealthCheckConfig>),
    /// `bearertokenauth`
    BearerTokenAuth(BearerTokenAuthConfig),
    /// `basicauth`
    BasicAuth(Box<BasicAuthConfig>),
    /// `ui`
    Ui(UiConfig),
    /// `file_storage`
    FileStorage(FileStorageConfig),
    /// `memory_ballast`, `pprof`, …: accepted, nothing runs.
    Retired,
}

impl Exporter {
    /// The extensions that it refers to.
    #[must_use]
    pub fn extensions(&self) -> Vec<&ComponentId> {
        let auth = match self {
            Self::OtlpGrpc(config) => config.auth.as_ref(),
            Self::OtlpHttp(config) => config.auth.as_ref(),
            Self::Store(_) | Self::Debug(_) | Self::File(_) => None,
        };
        let storage = self.sending_queue().and_then(|queue| queue.storage.as_ref()).map(|storage| &storage.id);
        auth.map(|auth| auth.extension()).into_iter().chain(storage).collect()
    }

    /// The settings of its queue, if it can have one.
    #[must_use]
    pub fn sending_queue(&self) -> Option<&SendingQueueConfig> {
        match self {
            Self::OtlpGrpc(config) => Some(&config.sending_queue),
            Self::OtlpHttp(config) => Some(&config.sending_queue),
            Self::Store(_) | Self::Debug(_) | Self::File(_) => None,
        }
    }
}

impl Receiver {
    /// The extensions that it refers to.
    #[must_use]
    pub fn extensions(&self) -> Vec<&ComponentId> {
        match self {
            Self::Otlp(config) => {
                let grpc = config.protocols.grpc.iter().filter_map(|grpc| grpc.auth.as_ref());
                let http = config.protocols.http.iter().filter_map(|http| http.auth.as_ref());
                grpc.chain(http).map(|auth| auth.extension()).collect()
            }
            Self::OtlpJsonFile(_) | Self::CloudFront(_) | Self::NginxLog(_) => {
                self.storages().into_iter().map(|storage| &storage.id).collect()
            }
        }
    }
}

/// One kind of component as a section of the file.
pub(crate) trait Component: Sized {
    /// `receiver`, `processor`, …
    const NOUN: &'static str;
    /// What rootspan has, in the order of the reference page.
    const BUILT_IN: &'static [BuiltIn];
    /// The types that the collector has.
    const ELSEWHERE: &'static [&'static str];

    /// Decodes the component of type `kind`, or `None` if rootspan has no such type.
    fn decode(kind: &str, entry: &Entry, problems: &mut Problems) -> Option<Option<Self>>;

    /// Why its settings do not fit a pipeline of a signal that its type carries.
    fn unfit_for(&self, _signal: Signal) -> Option<String> {
        None
    }
}

impl Component for Receiver {
    const NOUN: &'static str = "receiver";
    const BUILT_IN: &'static [BuiltIn] = &[
        built_in!("receivers.otlp", &[], ALL, OtlpConfig),
        built_in!("receivers.cloudfront", &[], TRACES, CloudFrontConfig),
        built_in!("receivers.otlpjsonfile", &["otlp_json_file"], ALL, OtlpJsonFileConfig),
        built_in!("receivers.nginxlog", &[], TRACES, NginxLogConfig),
    ];
    const ELSEWHERE: &'static [&'static str] = elsewhere::RECEIVERS;

    fn decode(kind: &str, entry: &Entry, problems: &mut Problems) -> Option<Option<Self>> {
        match kind {
            "otlp" => Some(OtlpConfig::decode_checked(entry, problems).map(|config| Self::Otlp(Box::new(config)))),
            "cloudfront" => {
                Some(CloudFrontConfig::decode_checked(entry, problems).map(|config| Self::CloudFront(Box::new(config))))
            }
            "otlpjsonfile" | "otlp_json_file" => {
                Some(OtlpJsonFileConfig::decode_checked(entry, problems).map(Self::OtlpJsonFile))
            }
            "nginxlog" => {
                Some(NginxLogConfig::decode_checked(entry, problems).map(|config| Self::NginxLog(Box::new(config))))
            }
            _ => None,
        }
    }
}

impl Component for Processor {
    const NOUN: &'static str = "processor";
    const BUILT_IN: &'static [BuiltIn] = &[
        built_in!("processors.memory_limiter", &[], ALL, MemoryLimiterConfig),
        built_in!("processors.batch", &[], ALL, BatchConfig),
        built_in!("processors.attributes", &[], ALL, AttributesConfig),
        built_in!("processors.resource", &[], ALL, ResourceConfig),
        built_in!("processors.resourcedetection", &["resource_detection"], ALL, DetectionConfig),
        built_in!("processors.probabilistic_sampler", &[], TRACES, SamplerConfig),
    ];
    const ELSEWHERE: &'static [&'static str] = elsewhere::PROCESSORS;

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

    fn unfit_for(&self, signal: Signal) -> Option<String> {
        match self {
            Self::Attributes(config) if signal != Signal::Traces => config
                .names_spans()
                .map(|key| format!("`{key}` in `include` or `exclude` names spans, and there are none")),
            Self::Attributes(_)
            | Self::Batch(_)
            | Self::MemoryLimiter(_)
            | Self::Resource(_)
            | Self::Detection(_)
            | Self::Sampler(_) => None,
        }
    }
}

impl Component for Exporter {
    const NOUN: &'static str = "exporter";
    const BUILT_IN: &'static [BuiltIn] = &[
        built_in!("exporters.store", &[], TRACES, StoreConfig),
        built_in!("exporters.debug", &["logging"], ALL, DebugConfig),
        built_in!("exporters.file", &[], ALL, FileConfig),
        built_in!("exporters.otlp", &["otlp_grpc"], ALL, OtlpGrpcConfig),
        built_in!("exporters.otlphttp", &["otlp_http"], ALL, OtlpHttpConfig),
    ];
    const ELSEWHERE: &'static [&'static str] = elsewhere::EXPORTERS;

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

    fn unfit_for(&self, signal: Signal) -> Option<String> {
        match self {
            Self::OtlpHttp(config) if config.uri(signal).is_none() => {
                Some(format!("it has neither `endpoint` nor `{}_endpoint`", signal.name()))
            }
            Self::Store(_) | Self::Debug(_) | Self::File(_) | Self::OtlpGrpc(_) | Self::OtlpHttp(_) => None,
        }
    }
}

impl Component for Connector {
    const NOUN: &'static str = "connector";
    const BUILT_IN: &'static [BuiltIn] = &[built_in!("connectors.forward", &[], ALL, ForwardConfig)];
    const ELSEWHERE: &'static [&'static str] = elsewhere::CONNECTORS;

    fn decode(kind: &str, entry: &Entry, problems: &mut Problems) -> Option<Option<Self>> {
        match kind {
            "forward" => Some(ForwardConfig::decode(&entry.value, problems).map(Self::Forward)),
            _ => None,
        }
    }
}

impl Component for Extension {
    const NOUN: &'static str = "extension";
    const BUILT_IN: &'static [BuiltIn] = &[
        built_in!("extensions.health_check", &[], &[], HealthCheckConfig),
        built_in!("extensions.bearertokenauth", &[], &[], BearerTokenAuthConfig),
        built_in!("extensions.basicauth", &[], &[], BasicAuthConfig),
        built_in!("extensions.ui", &[], &[], UiConfig),
        built_in!("extensions.file_storage", &[], &[], FileStorageConfig),
    ];
    const ELSEWHERE: &'static [&'static str] = elsewhere::EXTENSIONS;

    fn decode(kind: &str, entry: &Entry, problems: &mut Problems) -> Option<Option<Self>> {
        match kind {
            "health_check" => Some(
                HealthCheckConfig::decode_checked(entry, problems).map(|config| Self::HealthCheck(Box::new(config))),
            ),
            "bearertokenauth" => {
                Some(BearerTokenAuthConfig::decode_checked(entry, problems).map(Self::BearerTokenAuth))
            }
            "basicauth" => {
                Some(BasicAuthConfig::decode_checked(entry, problems).map(|config| Self::BasicAuth(Box::new(config))))
            }
            "ui" => Some(UiConfig::decode_checked(entry, problems).map(Self::Ui)),
            "file_storage" => Some(FileStorageConfig::decode_checked(entry, problems).map(Self::FileStorage)),
            _ => retired::REASONS.iter().find(|(name, _)| *name == kind).map(|(name, reason)| {
                problems.warning(&entry.position, format!("`{name}` is accepted and has no effect: {reason}"));
                Some(Self::Retired)
            }),
        }
    }
}

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
        problems.error(&entry.position, unknown_type(C::NOUN, &id.kind, kinds::<C>(), C::ELSEWHERE));
        return None;
    };
    Some((id, component?))
}

/// Why a type is not there: not yet, or not at all.
pub(crate) fn unknown_type<'a>(
    noun: &str,
    kind: &str,
    types: impl Iterator<Item = &'a str>,
    elsewhere: &[&'a str],
) -> String {
    let types: Vec<&str> = types.collect();
    if elsewhere::has(elsewhere, kind) && !elsewhere::has(&types, kind) {
        return format!("the {noun} `{kind}` is known to the OpenTelemetry Collector, not supported by rootspan");
    }
    format!("unknown {noun} `{kind}`{}", did_you_mean(kind, types.iter().chain(elsewhere).copied()))
}

/// A component that rootspan has.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    /// Its section and type: `exporters.otlp`.
    pub path: &'static str,
    /// Other types for the same, newer and older.
    pub aliases: &'static [&'static str],
    /// What it carries.
    pub signals: &'static [Signal],
    /// Its keys.
    pub table: Option<&'static Table>,
    /// A configuration that uses it.
    pub example: &'static str,
}

impl BuiltIn {
    /// Section and type.
    #[must_use]
    pub fn section_and_kind(&self) -> (&'static str, &'static str) {
        self.path.split_once('.').expect("a path has a section and a type")
    }

    /// The names of the signals that it carries.
    #[must_use]
    pub fn signal_names(&self) -> Vec<&'static str> {
        self.signals.iter().map(|signal| signal.name()).collect()
    }

    /// Its type and its aliases.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.section_and_kind().1).chain(self.aliases.iter().copied())
    }
}

/// Every component that rootspan has, in the order of the reference page.
#[must_use]
pub fn built_in() -> Vec<&'static BuiltIn> {
    let sections =
        [Receiver::BUILT_IN, Processor::BUILT_IN, Exporter::BUILT_IN, Connector::BUILT_IN, Extension::BUILT_IN];
    sections.into_iter().flatten().collect()
}

/// Every section with its table of keys: the components, and what the gateway tells of itself.
#[must_use]
pub fn tables() -> Vec<(&'static str, Option<&'static Table>)> {
    let components = built_in().into_iter().map(|component| (component.path, component.table));
    components.chain([("service.telemetry", super::service::TelemetryConfig::TABLE)]).collect()
}

/// The types of one kind of component, aliases included.
pub(crate) fn kinds<C: Component>() -> impl Iterator<Item = &'static str> {
    C::BUILT_IN.iter().flat_map(BuiltIn::kinds)
}
