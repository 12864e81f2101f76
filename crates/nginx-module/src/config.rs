//! What the directives say. Each level of the configuration holds only what is written there; [`LocationConfig::inherit`]
//! takes over the rest.

use std::ffi::CStr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rootspan_model::sampling::Threshold;

use crate::ffi::ComplexValue;

mod files;

/// `otel_exporter` and what else is said once, in `http`.
#[derive(Debug)]
pub(crate) struct MainConfig {
    /// `None` without `otel_exporter`: the module then does nothing.
    pub(crate) exporter: Option<ExporterConfig>,
    /// `otel_service_name`
    pub(crate) service_name: Option<String>,
    /// `otel_resource_attr`, in order.
    pub(crate) resource_attributes: Vec<(String, String)>,
}

impl MainConfig {
    pub(crate) const fn new() -> Self {
        Self { exporter: None, service_name: None, resource_attributes: Vec::new() }
    }
}

/// The block `otel_exporter`.
#[derive(Clone, Debug)]
pub(crate) struct ExporterConfig {
    /// `endpoint`
    pub(crate) endpoint: Endpoint,
    /// `interval`: the longest that a span waits for others.
    pub(crate) interval: Duration,
    /// `batch_size`: spans in a request.
    pub(crate) batch_size: usize,
    /// `batch_count`: batches that a worker holds; beyond them spans are dropped.
    pub(crate) batch_count: usize,
    /// `header`, in order.
    pub(crate) headers: Vec<(String, String)>,
    /// `trusted_certificate`: a file of authorities; else the system's.
    trusted_certificate: Option<String>,
    /// What TLS needs, if the endpoint wants it: read once, by the master, which may read more than workers.
    pub(crate) tls: Option<Arc<rustls::ClientConfig>>,
}

impl Default for ExporterConfig {
    fn default() -> Self {
        // The defaults of nginx's own module.
        Self {
            endpoint: Endpoint::default(),
            interval: Duration::from_secs(5),
            batch_size: 512,
            batch_count: 4,
            headers: Vec::new(),
            trusted_certificate: None,
            tls: None,
        }
    }
}

/// Most spans that a worker may be told to hold: each takes about half a kilobyte.
const MAX_HELD_SPANS: usize = 1 << 20;

/// The shortest interval: shorter ones would keep a core busy.
const MIN_INTERVAL: Duration = Duration::from_millis(10);

impl ExporterConfig {
    /// One line of the block.
    pub(crate) fn line(&mut self, words: &[String]) -> Result<(), String> {
        match words {
            [name, value] if name == "endpoint" => self.endpoint = Endpoint::parse(value)?,
            [name, value] if name == "interval" => {
                let interval = duration(value).ok_or_else(|| format!("invalid interval \"{value}\""))?;
                self.interval = interval.max(MIN_INTERVAL);
            }
            [name, value] if name == "batch_size" => self.batch_size = count(value)?,
            [name, value] if name == "batch_count" => self.batch_count = count(value)?,
            [name, value] if name == "trusted_certificate" => self.trusted_certificate = Some(value.clone()),
            [name, key, value] if name == "header" => {
                let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
                if key.is_empty() || !key.bytes().all(is_token) || value.bytes().any(|byte| byte < b' ') {
                    return Err(format!("invalid header \"{key}\""));
                }
                self.headers.push((key.clone(), value.clone()));
            }
            [name, ..] => return Err(format!("unknown or incomplete directive \"{name}\" in otel_exporter")),
            [] => {}
        }
        Ok(())
    }

    /// What only the whole block can show. Reads the certificates; a relative path begins at `folder`.
    pub(crate) fn complete(&mut self, folder: &Path) -> Result<(), String> {
        if self.endpoint.authority.is_empty() {
            return Err("requires \"endpoint\"".to_owned());
        }
        if self.batch_size.saturating_mul(self.batch_count) > MAX_HELD_SPANS {
            return Err(format!("batch_size times batch_count is more than {MAX_HELD_SPANS}"));
        }
        if self.endpoint.uses_tls {
            let protocol: &[u8] = if self.endpoint.path.is_some() { b"http/1.1" } else { b"h2" };
            let file = self.trusted_certificate.as_ref().map(|file| folder.join(file));
            self.tls = Some(files::tls(file.as_deref(), protocol)?);
        }
        Ok(())
    }
}

/// Where spans go: `host:4317`, `https://host:4317` (gRPC), `http://host:4318/v1/traces` (HTTP).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// `host:port`
    pub(crate) authority: String,
    /// `/v1/traces`; `None` for gRPC, whose path is fixed.
    pub(crate) path: Option<String>,
    /// `https://`
    pub(crate) uses_tls: bool,
}

impl Endpoint {
    /// As nginx's own module reads it, which knows gRPC only: the scheme may be left out. A path makes it HTTP.
    fn parse(text: &str) -> Result<Self, String> {
        let (uses_tls, rest) = match text.split_once("://") {
            None => (false, text),
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            Some(_) => return Err(format!("unsupported endpoint \"{text}\"")),
        };
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        let is_plain = |byte: u8| byte.is_ascii_graphic();
        if authority.is_empty() || !text.bytes().all(is_plain) || authority.contains('@') {
            return Err(format!("invalid endpoint \"{text}\""));
        }
        let path = Some(path.to_owned()).filter(|path| !matches!(path.as_str(), "" | "/"));
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let default_port = match (&path, uses_tls) {
            // gRPC has no port of its own; this is OTLP's.
            (None, _) => 4317,
            (Some(_), false) => 80,
            (Some(_), true) => 443,
        };
        let authority = if has_port { authority.to_owned() } else { format!("{authority}:{default_port}") };
        Ok(Self { authority, path, uses_tls })
    }

    /// The host alone, for the certificate.
    pub(crate) fn host(&self) -> &str {
        let host = self.authority.rsplit_once(':').map_or(self.authority.as_str(), |(host, _)| host);
        host.trim_matches(['[', ']'])
    }
}

/// What may differ between locations.
#[derive(Debug, Default)]
pub(crate) struct LocationConfig {
    /// `otel_trace`
    pub(crate) trace: Option<TraceSetting>,
    /// `otel_trace_context`
    pub(crate) context_mode: Option<ContextMode>,
    /// `otel_propagators`
    pub(crate) propagators: Option<Propagators>,
    /// `otel_client_span`
    pub(crate) client_span: Option<bool>,
    /// `otel_span_name`
    pub(crate) span_name: Option<Text>,
    /// `otel_span_attr`; a level that has any of its own inherits none, like all of nginx's lists.
    pub(crate) span_attributes: Option<Rc<Vec<(String, Text)>>>,
}

impl LocationConfig {
    /// Takes over from the level around what this level does not say.
    pub(crate) fn inherit(&mut self, outer: &Self) {
        self.trace = self.trace.or(outer.trace);
        self.context_mode = self.context_mode.or(outer.context_mode);
        self.propagators = self.propagators.or(outer.propagators);
        self.client_span = self.client_span.or(outer.client_span);
        if self.span_name.is_none() {
            self.span_name.clone_from(&outer.span_name);
        }
        if self.span_attributes.is_none() {
            self.span_attributes.clone_from(&outer.span_attributes);
        }
    }
}

/// `otel_trace`: which requests are sampled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TraceSetting {
    /// Without the second argument `parent`, of every request; with it, of those whose sender made no decision.
    pub(crate) rate: Rate,
    /// `otel_trace … parent`: the sender's decision is taken over.
    pub(crate) follows_parent: bool,
}

/// Which share is sampled.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rate {
    /// Written in the configuration.
    Fixed(Share),
    /// A variable, read with [`Share::parse`] at each request.
    Variable(ComplexValue),
}

/// A share of all traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    /// None of them.
    Nothing,
    /// All of them, whatever `ot=th` says.
    Everything,
    /// Those that this threshold keeps.
    Part(Threshold),
}

impl Share {
    /// `on` and `1` are everything, `10%` is a part, anything else nothing: `nginx`'s own module says so.
    pub(crate) fn parse(text: &[u8]) -> Self {
        match text {
            b"on" | b"1" => Self::Everything,
            [number @ .., b'%'] => {
                let percent = std::str::from_utf8(number).ok().and_then(|number| number.parse::<f64>().ok());
                percent
                    .and_then(|percent| Threshold::from_probability(percent / 100.0))
                    .map_or(Self::Nothing, Self::Part)
            }
            _ => Self::Nothing,
        }
    }
}

/// `otel_trace_context`: what happens to the headers of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum ContextMode {
    /// Neither read nor written.
    #[default]
    Ignore,
    /// Read.
    Extract,
    /// Written.
    Inject,
    /// Read and written.
    Propagate,
}

impl ContextMode {
    pub(crate) fn extracts(self) -> bool {
        matches!(self, Self::Extract | Self::Propagate)
    }

    pub(crate) fn injects(self) -> bool {
        matches!(self, Self::Inject | Self::Propagate)
    }
}

/// `otel_propagators`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Propagators {
    /// `tracecontext`: W3C.
    pub(crate) trace_context: bool,
    /// `b3`: the single header.
    pub(crate) b3: bool,
    /// `b3multi`: the separate headers.
    pub(crate) b3_multi: bool,
    /// `xray`: `X-Amzn-Trace-Id`.
    pub(crate) xray: bool,
}

impl Propagators {
    const NONE: Self = Self { trace_context: false, b3: false, b3_multi: false, xray: false };
}

impl Default for Propagators {
    fn default() -> Self {
        Self { trace_context: true, ..Self::NONE }
    }
}

/// A text of the configuration, possibly with variables.
#[derive(Clone, Debug)]
pub(crate) enum Text {
    /// No variables.
    Fixed(Rc<str>),
    /// To be evaluated for each request.
    Variable(ComplexValue),
}

/// Compiles a word with variables; the configuration's part of [`crate::ffi`].
pub(crate) type Compile<'a> = &'a dyn Fn(usize) -> Result<ComplexValue, String>;

// === directives ===

/// A directive: its name, where it may stand, how many words follow, and what it does.
#[derive(Debug)]
pub(crate) struct Directive {
    pub(crate) name: &'static CStr,
    pub(crate) words: Words,
    pub(crate) apply: Apply,
}

/// How many words follow a directive's name.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Words {
    Block,
    One,
    OneOrTwo,
    Two,
    OneOrMore,
}

/// What a directive does, and where: `Main` and `Exporter` in `http`, `Location` also in `server` and `location`.
#[derive(Debug)]
pub(crate) enum Apply {
    Exporter,
    Main(fn(&mut MainConfig, &[String]) -> Result<(), String>),
    Location(fn(&mut LocationConfig, &[String], Compile<'_>) -> Result<(), String>),
}

/// Every directive.
pub(crate) const DIRECTIVES: [Directive; 9] = [
    Directive { name: c"otel_exporter", words: Words::Block, apply: Apply::Exporter },
    Directive { name: c"otel_service_name", words: Words::One, apply: Apply::Main(service_name) },
    Directive { name: c"otel_resource_attr", words: Words::Two, apply: Apply::Main(resource_attribute) },
    Directive { name: c"otel_trace", words: Words::OneOrTwo, apply: Apply::Location(trace) },
    Directive { name: c"otel_trace_context", words: Words::One, apply: Apply::Location(trace_context) },
    Directive { name: c"otel_propagators", words: Words::OneOrMore, apply: Apply::Location(propagators) },
    Directive { name: c"otel_client_span", words: Words::One, apply: Apply::Location(client_span) },
    Directive { name: c"otel_span_name", words: Words::One, apply: Apply::Location(span_name) },
    Directive { name: c"otel_span_attr", words: Words::Two, apply: Apply::Location(span_attribute) },
];

fn service_name(config: &mut MainConfig, words: &[String]) -> Result<(), String> {
    if config.service_name.is_some() {
        return Err("is duplicate".to_owned());
    }
    config.service_name = words.get(1).cloned();
    Ok(())
}

fn resource_attribute(config: &mut MainConfig, words: &[String]) -> Result<(), String> {
    if let [_, key, value] = words {
        config.resource_attributes.retain(|(earlier, _)| earlier != key);
        config.resource_attributes.push((key.clone(), value.clone()));
    }
    Ok(())
}

fn trace(config: &mut LocationConfig, words: &[String], compile: Compile<'_>) -> Result<(), String> {
    if config.trace.is_some() {
        return Err("is duplicate".to_owned());
    }
    let value = words.get(1).map(String::as_str).unwrap_or_default();
    let follows_parent = match words.get(2).map(String::as_str) {
        None => false,
        Some("parent") => true,
        Some(other) => return Err(format!("has the second argument \"{other}\"; only \"parent\" is known")),
    };
    let rate = if value.contains('$') {
        Rate::Variable(compile(1)?)
    } else {
        let share = Share::parse(value.as_bytes());
        if share == Share::Nothing && !matches!(value, "off" | "0" | "0%") {
            return Err(format!("has the value \"{value}\"; it must be on, off, a percentage or a variable"));
        }
        Rate::Fixed(share)
    };
    config.trace = Some(TraceSetting { rate, follows_parent });
    Ok(())
}

fn trace_context(config: &mut LocationConfig, words: &[String], _: Compile<'_>) -> Result<(), String> {
    if config.context_mode.is_some() {
        return Err("is duplicate".to_owned());
    }
    config.context_mode = Some(match words.get(1).map(String::as_str).unwrap_or_default() {
        "ignore" => ContextMode::Ignore,
        "extract" => ContextMode::Extract,
        "inject" => ContextMode::Inject,
        "propagate" => ContextMode::Propagate,
        other => return Err(format!("has the value \"{other}\"; it must be ignore, extract, inject or propagate")),
    });
    Ok(())
}

fn propagators(config: &mut LocationConfig, words: &[String], _: Compile<'_>) -> Result<(), String> {
    if config.propagators.is_some() {
        return Err("is duplicate".to_owned());
    }
    let mut chosen = Propagators::NONE;
    for word in words.iter().skip(1) {
        match word.as_str() {
            "tracecontext" => chosen.trace_context = true,
            "b3" => chosen.b3 = true,
            "b3multi" => chosen.b3_multi = true,
            "xray" => chosen.xray = true,
            other => return Err(format!("has \"{other}\"; known are tracecontext, b3, b3multi and xray")),
        }
    }
    config.propagators = Some(chosen);
    Ok(())
}

fn client_span(config: &mut LocationConfig, words: &[String], _: Compile<'_>) -> Result<(), String> {
    if config.client_span.is_some() {
        return Err("is duplicate".to_owned());
    }
    config.client_span = Some(match words.get(1).map(String::as_str).unwrap_or_default() {
        "on" => true,
        "off" => false,
        other => return Err(format!("has the value \"{other}\"; it must be on or off")),
    });
    Ok(())
}

fn span_name(config: &mut LocationConfig, words: &[String], compile: Compile<'_>) -> Result<(), String> {
    if config.span_name.is_some() {
        return Err("is duplicate".to_owned());
    }
    config.span_name = Some(text(words, 1, compile)?);
    Ok(())
}

fn span_attribute(config: &mut LocationConfig, words: &[String], compile: Compile<'_>) -> Result<(), String> {
    let key = words.get(1).cloned().unwrap_or_default();
    let value = text(words, 2, compile)?;
    let attributes = config.span_attributes.get_or_insert_default();
    // Nobody else has it while its level is being read; a list that is shared would be copied.
    Rc::make_mut(attributes).push((key, value));
    Ok(())
}

fn text(words: &[String], index: usize, compile: Compile<'_>) -> Result<Text, String> {
    let word = words.get(index).map(String::as_str).unwrap_or_default();
    if word.contains('$') { compile(index).map(Text::Variable) } else { Ok(Text::Fixed(word.into())) }
}

fn count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| format!("invalid number \"{text}\""))
}

/// nginx's way to write times: `5s`, `200ms`, `1m`, `1h`; a bare number is seconds. Only one unit.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let millis = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

#[cfg(test)]
mod tests;
