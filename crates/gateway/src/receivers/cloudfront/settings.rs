//! The keys of `receivers.cloudfront`.

use std::time::Duration;

use rootspan_model::sampling::Threshold;
use rootspan_model::spelling::did_you_mean;
use rootspan_wire::cloudfront::conversion::{AuthoritativeSource, Converter};
use rootspan_wire::cloudfront::route::Route;
use rootspan_wire::cloudfront::rules::{Keep, PathPattern, PathRule, Rates, Trust};
use rootspan_wire::cloudfront::span::{self, Settings};
use rootspan_wire::cloudfront::{Columns, Reader};

use super::logs::FilesConfig;
use super::s3::settings::S3Config;
use crate::config;
use crate::config::any::AnyConfig;
use crate::config::decode::Decode;
use crate::config::id::ExtensionReference;
use crate::config::node::{Entry, Node, Value};
use crate::config::problems::{Position, Problems};
use crate::config::values::{ByteSize, Endpoint, Secret, choice};
use crate::net::tls::ServerTlsConfig;

config! {
    /// Access logs of Amazon CloudFront: each record becomes the span of the viewer's request. At least one way in is
    /// needed: an `access_key` for deliveries by Firehose over HTTP, `files`, or `s3` for log files in a bucket.
    pub struct CloudFrontConfig {
        /// Address to listen on for deliveries by Firehose; every path is accepted. With an `access_key` alone it is
        /// `127.0.0.1:4433`, without one nothing is listened to.
        endpoint: Option<Endpoint>,
        /// The key that Firehose presents; a request without it is refused.
        access_key: Option<Secret>,
        /// Log files on this machine, and standard input.
        files: Option<FilesConfig>,
        /// `service.name` of the spans.
        service_name: String = "cloudfront",
        /// Templates of paths, such as `/api/items/{id}` or `/static/*`; the first that matches names the span.
        routes: Vec<RouteTemplate>,
        /// What the edge function does, as its settings say: `${file:edge.yaml}`. A record without the function's data is
        /// placed and sampled by it.
        edge: EdgeConfig,
        /// The share of requests that become spans, by result type: `Hit: 0.1`. Whole traces are kept or not, so thin what
        /// has no backend.
        rates: RatesSetting,
        /// Requests whose spans are kept although their traces are not sampled.
        keep: KeepConfig,
        /// What makes a viewer's span where several logs have the request: `access_log`, or `function_log` where AWS's
        /// sample runs. Records of the other are counted as `secondary`.
        authoritative_source: SourceSetting = "access_log",
        /// What is kept of the viewer.
        privacy: PrivacyConfig,
        /// The fields of log lines that come without a header, in the order of delivery: those of real-time logs, as
        /// the API's answer lists them.
        real_time_fields: Option<LineFields>,
        /// Undo percent-encoding of the values in JSON records.
        percent_decode_json: bool = "false",
        /// Longest body, as sent and decompressed, and longest line of a file; Firehose sends up to 64 MiB.
        max_request_body_size: ByteSize = "64MiB",
        /// Encryption; without it there is none, and Firehose needs a balancer in front that has it.
        tls: Option<ServerTlsConfig>,
        /// Log files in a bucket.
        s3: Option<S3Config>,
    }
}

config! {
    /// What is kept of the viewer. Cookies and values that carry credentials never are.
    pub struct PrivacyConfig {
        /// The viewer's address: its `network` (/24, /48), `full`, or `omitted`.
        client_address: ClientAddressSetting = "network",
        /// Take the viewer's address from `X-Forwarded-For`, which anyone can send.
        trust_forwarded_for: bool = "false",
        /// Query parameters whose values are kept.
        query_values: Vec<String>,
    }
}

/// An item of `routes`.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteTemplate(Route);

impl Decode for RouteTemplate {
    const KIND: &'static str = "a template of paths";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let template = String::decode(node, problems)?;
        match template.parse() {
            Ok(route) => Some(Self(route)),
            Err(error) => {
                problems.error(&node.position, format!("`{template}`: {error}"));
                None
            }
        }
    }
}

/// `real_time_fields`.
#[derive(Clone, Debug, PartialEq)]
pub struct LineFields(Columns);

impl Decode for LineFields {
    const KIND: &'static str = "a list of CloudFront's field names";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let names = Vec::<String>::decode(node, problems)?;
        match Columns::new(&names) {
            Ok(columns) => Some(Self(columns)),
            Err(invalid) => {
                problems.error(&node.position, format!("these fields cannot be read: {invalid}"));
                None
            }
        }
    }
}

config! {
    /// What the edge function does: the keys of its settings that matter to whoever reads the logs. The others are its own.
    pub struct EdgeConfig {
        /// Share of traces that are sampled, 0 to 1, consistent by trace id.
        probability: Share = "1",
        /// What becomes of a `traceparent` that a viewer sends: `restart` or `continue`.
        trust: TrustSetting = "restart",
        /// Where the function puts its data: `custom-data`, `console` or `both`. With `console` a record waits in memory
        /// for the line of the function's log that belongs to it.
        ids_via: IdsViaSetting = "custom-data",
        /// CloudFront's path patterns with what is different there; the first that matches wins.
        paths: Vec<EdgePathConfig>,
        /// Of no concern here.
        baggage: Option<AnyConfig>,
        /// Of no concern here.
        continue_secret: Option<AnyConfig>,
        /// Of no concern here.
        propagators: Option<AnyConfig>,
        /// Of no concern here.
        force_sampling: Option<Hidden>,
        /// Of no concern here.
        response: Option<AnyConfig>,
        /// Of no concern here.
        service_name: Option<AnyConfig>,
        /// Of no concern here.
        export: Option<Hidden>,
    }
}

config! {
    /// What the edge function does on some paths.
    pub struct EdgePathConfig {
        /// A path pattern of CloudFront's: `*` is any text, `?` any one character.
        pattern: String,
        /// Share of traces that are sampled; absent: as elsewhere.
        probability: Option<Share>,
        /// `restart` or `continue`; absent: as elsewhere.
        trust: Option<TrustSetting>,
        /// Of no concern here.
        baggage: Option<AnyConfig>,
    }
}

config! {
    /// Requests whose spans are kept although their traces are not sampled. Their backend was not recorded.
    pub struct KeepConfig {
        /// Those that failed or were answered with a status of 400 or more.
        errors: bool = "false",
        /// Those that took longer.
        slower_than: Option<Duration>,
    }
}

/// A section that the function alone reads and that holds its secrets: they are not shown here either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hidden;

impl Decode for Hidden {
    const KIND: &'static str = "anything";
    const SECRET: bool = true;

    fn decode(_node: &Node, _problems: &mut Problems) -> Option<Self> {
        Some(Self)
    }
}

/// A share of traces or requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share(f64);

impl Share {
    /// The threshold that keeps it; `None` keeps nothing.
    fn threshold(self) -> Option<Threshold> {
        Threshold::from_probability(self.0)
    }
}

impl Decode for Share {
    const KIND: &'static str = "a share from 0 to 1";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let share = f64::decode(node, problems)?;
        if !(0.0..=1.0).contains(&share) {
            problems.error(&node.position, format!("expected {}, found {share}", Self::KIND));
            return None;
        }
        Some(Self(share))
    }
}

/// `rates`: a share for each result type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RatesSetting(Rates);

impl Decode for RatesSetting {
    const KIND: &'static str = "a map of result types to shares from 0 to 1";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let node = node.resolved(problems);
        let Value::Map(entries) = &node.value else {
            problems.error(&node.position, format!("expected {}, found {}", Self::KIND, node.describe()));
            return None;
        };
        let mut rates = Vec::new();
        for entry in entries {
            if !RESULT_TYPES.iter().any(|known| known.eq_ignore_ascii_case(&entry.key)) {
                let hint = did_you_mean(&entry.key, RESULT_TYPES);
                problems.error(&entry.position, format!("`{}` is no result type of CloudFront's{hint}", entry.key));
            }
            rates.push((entry.key.clone(), Share::decode(&entry.value, problems)?.threshold()));
        }
        Some(Self(Rates::new(rates)))
    }

    fn absent(_position: &Position, _problems: &mut Problems) -> Option<Self> {
        Some(Self::default())
    }
}

/// Values of `x-edge-result-type`.
const RESULT_TYPES: [&str; 8] =
    ["Hit", "RefreshHit", "OriginShieldHit", "Miss", "LimitExceeded", "CapacityExceeded", "Error", "Redirect"];

/// `trust`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustSetting(Trust);

impl Decode for TrustSetting {
    const KIND: &'static str = "restart or continue";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        choice(node, problems, &[("restart", Trust::Restart), ("continue", Trust::Continue)]).map(Self)
    }
}

/// `ids_via`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdsViaSetting {
    /// Whether the function's own log has data.
    pub console: bool,
}

impl Decode for IdsViaSetting {
    const KIND: &'static str = "custom-data, console or both";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let choices = [("custom-data", false), ("console", true), ("both", true)];
        choice(node, problems, &choices).map(|console| Self { console })
    }
}

/// `authoritative_source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceSetting(AuthoritativeSource);

impl Decode for SourceSetting {
    const KIND: &'static str = "access_log or function_log";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let choices =
            [("access_log", AuthoritativeSource::AccessLog), ("function_log", AuthoritativeSource::FunctionLog)];
        choice(node, problems, &choices).map(Self)
    }
}

/// `privacy.client_address`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddressSetting(span::ClientAddress);

impl Decode for ClientAddressSetting {
    const KIND: &'static str = "network, full or omitted";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        use span::ClientAddress;
        let (network, full, omitted) = (ClientAddress::Network, ClientAddress::Full, ClientAddress::Omitted);
        choice(node, problems, &[("network", network), ("full", full), ("omitted", omitted)]).map(Self)
    }
}

impl EdgeConfig {
    /// What happens by path; the last rule is for all paths.
    fn rules(&self) -> Vec<PathRule> {
        let rule = |pattern: &str, probability: Option<Share>, trust: Option<TrustSetting>| PathRule {
            pattern: PathPattern::new(pattern),
            trust: trust.unwrap_or(self.trust).0,
            threshold: probability.unwrap_or(self.probability).threshold(),
        };
        let paths = self.paths.iter().map(|path| rule(&path.pattern, path.probability, path.trust));
        paths.chain([rule("*", None, None)]).collect()
    }
}

impl CloudFrontConfig {
    /// Decodes and checks what belongs together.
    pub(crate) fn decode_checked(entry: &Entry, problems: &mut Problems) -> Option<Self> {
        let config = Self::decode(&entry.value, problems)?;
        if let Some(tls) = &config.tls {
            tls.check(&entry.position, problems);
        }
        if let Some(files) = &config.files {
            files.check(&entry.position, problems);
        }
        config.check_inputs(&entry.position, problems);
        if let Some(s3) = &config.s3 {
            s3.check(entry.value.get("s3").unwrap_or(entry), problems);
        }
        Some(config)
    }

    /// What is configured for an endpoint without a key would be an open door, or a mistake that nobody notices.
    fn check_inputs(&self, position: &Position, problems: &mut Problems) {
        if self.access_key.is_some() {
            return;
        }
        if self.endpoint.is_some() || self.tls.is_some() {
            problems
                .error(position, "the key `access_key` is missing: whoever delivers to the `endpoint` must show it");
        } else if !self.has_other_inputs() {
            problems.error(
                position,
                "nothing leads into it: it needs an `access_key` (and an `endpoint`) for Firehose, `files` or `s3`",
            );
        }
    }

    /// Whether records come in without anybody who connects.
    const fn has_other_inputs(&self) -> bool {
        self.files.is_some() || self.s3.is_some()
    }

    /// The extension that keeps how far files were read.
    pub(crate) fn storage_of_files(&self) -> Option<&ExtensionReference> {
        self.files.as_ref()?.storage.as_ref()
    }

    /// Whether it reads standard input.
    pub(crate) fn reads_stdin(&self) -> bool {
        self.files.as_ref().is_some_and(|files| files.stdin)
    }

    /// The extension that keeps which objects were read.
    pub(crate) fn storage_of_objects(&self) -> Option<&ExtensionReference> {
        self.s3.as_ref()?.storage.as_ref()
    }

    /// The extensions that keep what was read.
    pub(crate) fn storages(&self) -> Vec<&ExtensionReference> {
        self.storage_of_files().into_iter().chain(self.storage_of_objects()).collect()
    }

    /// Where records come in, a line for each way.
    pub(crate) fn ways_in(&self) -> Vec<String> {
        let http = self.door().map(|(endpoint, _)| format!("http {endpoint}"));
        let files = self.files.iter().flat_map(FilesConfig::reads);
        http.into_iter().chain(files).chain(self.s3.as_ref().map(S3Config::reads)).collect()
    }

    /// Longest body, record or line.
    pub(super) fn max_bytes(&self) -> usize {
        usize::try_from(self.max_request_body_size.0).unwrap_or(usize::MAX / 4)
    }

    /// Where deliveries by HTTP come in, and the key that they show.
    pub(crate) fn door(&self) -> Option<(Endpoint, &Secret)> {
        let key = self.access_key.as_ref()?;
        let default = || Endpoint { host: "127.0.0.1".to_owned(), port: 4433 };
        Some((self.endpoint.clone().unwrap_or_else(default), key))
    }

    /// What makes spans of deliveries.
    pub(super) fn converter(&self) -> Converter {
        let reader = Reader {
            line_fields: self.real_time_fields.as_ref().map(|fields| fields.0.clone()),
            percent_decode_json: self.percent_decode_json,
        };
        Converter::new(reader, self.span_settings(), self.authoritative_source.0, self.edge.ids_via.console)
    }

    /// What the spans are like.
    fn span_settings(&self) -> Settings {
        Settings {
            service_name: self.service_name.clone(),
            resource_attributes: Vec::new(),
            routes: self.routes.iter().map(|template| template.0.clone()).collect(),
            paths: self.edge.rules(),
            rates: self.rates.0.clone(),
            keep: Keep { errors: self.keep.errors, slower_than: self.keep.slower_than },
            privacy: span::Privacy {
                client_address: self.privacy.client_address.0,
                trust_forwarded_for: self.privacy.trust_forwarded_for,
                query_values: self.privacy.query_values.clone(),
            },
        }
    }
}
