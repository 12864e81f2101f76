//! Turns a configuration for the C++ module of opentelemetry-cpp-contrib (`opentelemetry_…`) into one for rootspan: its directives
//! are replaced where they stand, everything else stays as it is, and what has no counterpart is told with its line.

use std::collections::BTreeMap;

use super::print::{self, Way, quoted};
use super::settings::Settings;

/// The result.
#[derive(Debug)]
pub(super) struct Converted {
    pub(super) text: String,
    pub(super) remarks: Vec<Remark>,
}

/// Something that a person has to look at.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Remark {
    pub(super) line: usize,
    pub(super) text: String,
}

/// A directive: where it is in the text, and its words.
#[derive(Debug)]
struct Directive {
    line: usize,
    /// From its first byte to behind `;`, or before `{`.
    start: usize,
    end: usize,
    words: Vec<String>,
    /// Blocks around it, the innermost last; 0 is the file.
    blocks: Vec<usize>,
    opens: bool,
}

impl Directive {
    fn block(&self) -> usize {
        self.blocks.last().copied().unwrap_or_default()
    }

    /// In `http` itself, or in a file that is included there.
    fn is_for_all(&self) -> bool {
        self.blocks.len() <= 2
    }

    fn word(&self, index: usize) -> &str {
        self.words.get(index).map(String::as_str).unwrap_or_default()
    }
}

/// Converts `text`; `read` reads files that it names.
pub(super) fn convert(
    text: &str,
    way: &Way,
    read: &dyn Fn(&str) -> Result<String, String>,
) -> anyhow::Result<Converted> {
    let directives = directives(text)?;
    let mut work = Work {
        way: way.clone(),
        read,
        said: Said::default(),
        remarks: Vec::new(),
        share: "on".to_owned(),
        maps: String::new(),
    };
    work.look_ahead(&directives);
    let mut replacements: Vec<(usize, usize, String)> = Vec::new();
    // What the settings say has to be known first, wherever they are named.
    let (settings, others): (Vec<_>, Vec<_>) =
        directives.iter().partition(|directive| directive.word(0) == "opentelemetry_config");
    for directive in settings.into_iter().chain(others) {
        if let Some(new) = work.replace(directive) {
            let indent = indent(text, directive.start);
            let new = new.join(&format!("\n{indent}"));
            replacements.push((directive.start, directive.end, new));
        }
        for word in directive.words.iter().skip(1) {
            work.variables(directive.line, word);
        }
    }
    let http = directives.iter().find(|directive| directive.opens && directive.word(0) == "http");
    if let Some(http) = http {
        let own = if way.is_log { print::lines(&work.way) } else { work.maps.clone() };
        if !own.is_empty() {
            let at = http.end + text.get(http.end..).and_then(|rest| rest.find('{')).map_or(0, |at| at + 1);
            replacements.push((at, at, format!("\n{own}")));
        }
    }
    replacements.sort_by_key(|(start, ..)| *start);
    let (mut out, mut from) = (String::new(), 0);
    for (start, end, new) in replacements {
        out.push_str(text.get(from..start).unwrap_or_default());
        out.push_str(&new);
        from = end;
    }
    out.push_str(text.get(from..).unwrap_or_default());
    for (old, new) in VARIABLES {
        out = out.replace(old, new);
    }
    work.remarks.sort_by_key(|remark| remark.line);
    Ok(Converted { text: out, remarks: work.remarks })
}

/// Variables that have another name here.
const VARIABLES: [(&str, &str); 2] =
    [("$opentelemetry_trace_id", "$otel_trace_id"), ("$opentelemetry_span_id", "$otel_span_id")];

struct Work<'a> {
    way: Way,
    read: &'a dyn Fn(&str) -> Result<String, String>,
    said: Said,
    remarks: Vec<Remark>,
    /// What `otel_trace` is where tracing is on.
    share: String,
    /// Maps that `http` needs.
    maps: String,
}

/// What blocks say, by their numbers: one directive of ours takes the place of several, and is written for the first of them.
#[derive(Debug, Default)]
struct Said {
    is_off: BTreeMap<usize, bool>,
    /// Patterns, joined.
    ignored: BTreeMap<usize, String>,
    propagates: BTreeMap<usize, String>,
    trusts: BTreeMap<usize, bool>,
    /// The first line of each block that is about recording, and about headers.
    trace: BTreeMap<usize, usize>,
    context: BTreeMap<usize, usize>,
}

/// What the innermost of `blocks` says that says something.
fn inherited<'m, T>(said: &'m BTreeMap<usize, T>, blocks: &[usize]) -> Option<&'m T> {
    blocks.iter().rev().find_map(|block| said.get(block))
}

impl Work<'_> {
    fn remark(&mut self, line: usize, text: impl Into<String>) {
        self.remarks.push(Remark { line, text: text.into() });
    }

    /// What has to be known before the first directive is replaced.
    fn look_ahead(&mut self, directives: &[Directive]) {
        let said = &mut self.said;
        for directive in directives {
            let block = directive.block();
            match directive.word(0) {
                "opentelemetry" => {
                    said.is_off.insert(block, directive.word(1) == "off");
                    said.trace.entry(block).or_insert(directive.start);
                }
                "opentelemetry_ignore_paths" => {
                    said.ignored.insert(block, directive.word(1).to_owned());
                    said.trace.entry(block).or_insert(directive.start);
                }
                "opentelemetry_propagate" => {
                    let headers = if directive.word(1) == "b3" { "b3" } else { "tracecontext" };
                    self.way.propagators.b3 |= headers == "b3";
                    said.propagates.insert(block, headers.to_owned());
                    said.context.entry(block).or_insert(directive.start);
                }
                "opentelemetry_trust_incoming_spans" => {
                    said.trusts.insert(block, directive.word(1) != "off");
                    said.context.entry(block).or_insert(directive.start);
                }
                "opentelemetry_attribute" if directive.is_for_all() => {
                    self.way.log_keys.push((directive.word(1).to_owned(), directive.word(2).to_owned()));
                }
                "opentelemetry_operation_name" if directive.is_for_all() => {
                    self.way.log_keys.push(("span_name".to_owned(), directive.word(1).to_owned()));
                }
                _ => {}
            }
        }
    }

    /// The lines in place of a directive; `None` if it stays.
    fn replace(&mut self, directive: &Directive) -> Option<Vec<String>> {
        let (name, line) = (directive.word(0), directive.line);
        if name == "load_module" && directive.word(1).contains("otel_ngx_module") {
            return Some(if self.way.is_log { Vec::new() } else { vec![LOAD_MODULE.to_owned()] });
        }
        if name == "include" && !directive.word(1).contains("mime.types") {
            let what = directive.word(1);
            self.remark(line, format!("include {what}: convert what it includes, too, if it has such directives"));
            return None;
        }
        if !name.starts_with("opentelemetry") {
            return None;
        }
        Some(if self.way.is_log { self.replace_for_log(directive) } else { self.replace_for_module(directive) })
    }

    fn replace_for_module(&mut self, directive: &Directive) -> Vec<String> {
        let is_first = |firsts: &BTreeMap<usize, usize>| firsts.get(&directive.block()) == Some(&directive.start);
        match directive.word(0) {
            "opentelemetry_config" => self.exporter(directive),
            "opentelemetry" | "opentelemetry_ignore_paths" if is_first(&self.said.trace) => vec![self.trace(directive)],
            "opentelemetry_propagate" | "opentelemetry_trust_incoming_spans" if is_first(&self.said.context) => {
                self.context(directive)
            }
            "opentelemetry"
            | "opentelemetry_ignore_paths"
            | "opentelemetry_propagate"
            | "opentelemetry_trust_incoming_spans" => Vec::new(),
            "opentelemetry_operation_name" => vec![format!("otel_span_name {};", quoted(directive.word(1)))],
            "opentelemetry_attribute" => {
                vec![format!("otel_span_attr {} {};", quoted(directive.word(1)), quoted(directive.word(2)))]
            }
            _ => self.without_counterpart(directive),
        }
    }

    /// Whether a block records: switched off, but for some paths, or all.
    fn trace(&mut self, directive: &Directive) -> String {
        let block = directive.block();
        if inherited(&self.said.is_off, &directive.blocks) == Some(&true) {
            return "otel_trace off;".to_owned();
        }
        let Some(pattern) = inherited(&self.said.ignored, &directive.blocks) else {
            return format!("otel_trace {};", self.share);
        };
        let (share, parent) = self.share.split_once(' ').unwrap_or((&self.share, ""));
        let (variable, pattern) = (format!("$rootspan_traced_{block}"), quoted(&format!("~{pattern}")));
        let map = format!("map $uri {variable} {{\n    default {};\n    {pattern} off;\n}}\n", quoted(share));
        self.maps.push_str(&map);
        format!("{};", format!("otel_trace {variable} {parent}").trim_end())
    }

    fn context(&mut self, directive: &Directive) -> Vec<String> {
        let Some(headers) = inherited(&self.said.propagates, &directive.blocks).cloned() else {
            self.remark(
                directive.line,
                "opentelemetry_trust_incoming_spans: nothing is propagated here, so it says nothing",
            );
            return Vec::new();
        };
        let is_trusted = inherited(&self.said.trusts, &directive.blocks).copied().unwrap_or(true);
        let mut out = vec![format!("otel_trace_context {};", if is_trusted { "propagate" } else { "inject" })];
        if self.said.propagates.contains_key(&directive.block()) {
            out.push(format!("otel_propagators {headers};"));
            out.push("otel_client_span on;".to_owned());
        }
        out
    }

    fn replace_for_log(&mut self, directive: &Directive) -> Vec<String> {
        let value = directive.word(1);
        match directive.word(0) {
            "opentelemetry_config" => {
                let text =
                    "opentelemetry_config: where spans go is said in rootspan's own configuration (receivers.nginxlog)";
                self.remark(directive.line, text);
                Vec::new()
            }
            "opentelemetry_attribute" | "opentelemetry_operation_name" if directive.is_for_all() => Vec::new(),
            "opentelemetry" if value == "off" && !directive.is_for_all() => {
                let text = "opentelemetry off: no log is written here, not only rootspan's; the context is passed on";
                self.remark(directive.line, text);
                vec!["access_log off;".to_owned()]
            }
            // The headers are set in http, for all.
            "opentelemetry" | "opentelemetry_propagate" => Vec::new(),
            "opentelemetry_trust_incoming_spans" if value == "on" => Vec::new(),
            _ => self.without_counterpart(directive),
        }
    }

    fn without_counterpart(&mut self, directive: &Directive) -> Vec<String> {
        let text = directive.words.join(" ");
        let advice = match directive.word(0) {
            "opentelemetry_capture_headers" if directive.word(1) == "off" => return Vec::new(),
            "opentelemetry_capture_headers" => {
                "no counterpart; name each header, e.g. otel_span_attr http.request.header.accept $http_accept"
            }
            "opentelemetry_sensitive_header_names" | "opentelemetry_sensitive_header_values" => {
                "no counterpart, nor need of one: only headers that are named are recorded"
            }
            _ if self.way.is_log => "no counterpart in the log; the module has one",
            _ => "no counterpart",
        };
        self.remark(directive.line, format!("{text}: {advice}"));
        vec![format!("# {}", text.replace('\n', " "))]
    }

    /// The exporter's block of `opentelemetry_config`'s file.
    fn exporter(&mut self, directive: &Directive) -> Vec<String> {
        let (line, path) = (directive.line, directive.word(1));
        let mut settings = match (self.read)(path) {
            Ok(text) => Settings::parse(&text),
            Err(reason) => {
                self.remark(
                    line,
                    format!("opentelemetry_config {path}: cannot be read ({reason}); the endpoint is a default"),
                );
                Settings::default()
            }
        };
        let mut take = |key: &str| settings.take(key);
        for said in ["exporter", "processor"] {
            take(said);
        }
        let host = take("exporters.otlp.host").unwrap_or_else(|| "localhost".to_owned());
        let port = take("exporters.otlp.port").unwrap_or_else(|| "4317".to_owned());
        let is_tls = take("exporters.otlp.use_ssl").is_some_and(|value| value == "true");
        let scheme = if is_tls { "https://" } else { "" };
        let mut out = vec!["otel_exporter {".to_owned(), format!("    endpoint {scheme}{host}:{port};")];
        if let Some(path) = take("exporters.otlp.ssl_cert_path").filter(|path| is_tls && !path.is_empty()) {
            out.push(format!("    trusted_certificate {};", quoted(&path)));
        }
        if let Some(delay) = take("processors.batch.schedule_delay_millis") {
            out.push(format!("    interval {delay}ms;"));
        }
        let size: Option<u64> = take("processors.batch.max_export_batch_size").and_then(|size| size.parse().ok());
        let queue: Option<u64> = take("processors.batch.max_queue_size").and_then(|size| size.parse().ok());
        out.extend(size.map(|size| format!("    batch_size {size};")));
        out.extend(
            queue.map(|queue| format!("    batch_count {};", queue.div_ceil(size.unwrap_or(512).max(1)).max(1))),
        );
        out.push("}".to_owned());
        let name = take("service.name").unwrap_or_else(|| "unknown:nginx".to_owned());
        out.push(format!("otel_service_name {};", quoted(&name)));
        if let Some(namespace) = take("service.namespace") {
            out.push(format!("otel_resource_attr service.namespace {};", quoted(&namespace)));
        }
        let sampler = take("sampler.name").unwrap_or_default();
        let ratio: f64 = take("sampler.ratio").and_then(|ratio| ratio.parse().ok()).unwrap_or(1.0);
        let follows_parent = take("sampler.parent_based").is_some_and(|value| value == "true");
        let share = match sampler.as_str() {
            "AlwaysOff" => "off".to_owned(),
            "TraceIdRatioBased" => format!("{}%", (ratio * 1e6).round() / 1e4),
            _ => "on".to_owned(),
        };
        self.share = if follows_parent { format!("{share} parent") } else { share };
        let share = &self.share;
        // That module traces everything that is not switched off.
        if !self.said.trace.contains_key(&directive.block()) {
            out.push(format!("otel_trace {share};"));
        }
        for (at, text) in std::mem::take(&mut settings.unknown) {
            self.remark(line, format!("{path}:{at}: {text}: not understood"));
        }
        for (at, key) in settings.rest() {
            self.remarks.push(Remark { line, text: format!("{path}:{at}: {key}: has no counterpart") });
        }
        out
    }

    fn variables(&mut self, line: usize, word: &str) {
        for name in ["$opentelemetry_context_traceparent", "$opentelemetry_context_b3", "$opentelemetry_sampled"] {
            if word.contains(name) {
                let text =
                    format!("{name}: has no counterpart; headers are set by themselves, also for gRPC and FastCGI");
                self.remark(line, text);
            }
        }
        if self.way.is_log && VARIABLES.iter().any(|(old, _)| word.contains(old)) {
            self.remark(line, "the ids are variables of the module; the log has $rootspan_traceparent");
        }
    }
}

const LOAD_MODULE: &str = "load_module modules/ngx_http_rootspan_module.so;";

/// The blanks before a directive.
fn indent(text: &str, start: usize) -> &str {
    let line = text.get(..start).unwrap_or_default().rsplit('\n').next().unwrap_or_default();
    line.get(..line.len() - line.trim_start().len()).unwrap_or_default()
}

/// Splits a configuration into directives, as nginx reads it: words, quotes, comments, blocks.
fn directives(text: &str) -> anyhow::Result<Vec<Directive>> {
    let bytes = text.as_bytes();
    let (mut found, mut words): (Vec<Directive>, Vec<String>) = (Vec::new(), Vec::new());
    let mut blocks = vec![0];
    let (mut at, mut line, mut start, mut start_line) = (0, 1, 0, 1);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\n' => line += 1,
            byte if byte.is_ascii_whitespace() => {}
            b'#' => {
                at += bytes[at..].iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len() - at);
                continue;
            }
            b'}' => {
                anyhow::ensure!(words.is_empty() && blocks.len() > 1, "line {line}: unexpected \"}}\"");
                blocks.pop();
            }
            b';' | b'{' => {
                anyhow::ensure!(!words.is_empty(), "line {line}: unexpected \"{}\"", char::from(byte));
                let opens = byte == b'{';
                let end = if opens { at } else { at + 1 };
                let words = std::mem::take(&mut words);
                found.push(Directive { line: start_line, start, end, words, blocks: blocks.clone(), opens });
                if opens {
                    blocks.push(found.len());
                }
            }
            _ => {
                if words.is_empty() {
                    (start, start_line) = (at, line);
                }
                let (word, length) =
                    word(&bytes[at..]).ok_or_else(|| anyhow::anyhow!("line {line}: a quote is not closed"))?;
                line += bytes[at..at + length].iter().filter(|byte| **byte == b'\n').count();
                words.push(word);
                at += length;
                continue;
            }
        }
        at += 1;
    }
    anyhow::ensure!(words.is_empty() && blocks.len() == 1, "line {line}: unexpected end of the file");
    Ok(found)
}

/// The word at the beginning, and its length in the text.
fn word(bytes: &[u8]) -> Option<(String, usize)> {
    let quote = bytes.first().copied().filter(|byte| matches!(byte, b'"' | b'\''));
    let mut out = Vec::new();
    let mut at = usize::from(quote.is_some());
    loop {
        match (bytes.get(at), quote) {
            (None, Some(_)) => return None,
            (None, None) => break,
            // nginx takes the backslash away before quotes, blanks and itself only.
            (Some(b'\\'), _) if bytes.get(at + 1).is_some_and(|next| b"\"'\\ ;".contains(next)) => {
                out.extend(bytes.get(at + 1));
                at += 2;
            }
            (Some(byte), Some(open)) if *byte == open => {
                at += 1;
                break;
            }
            // `${name}` is part of a word.
            (Some(b'{'), None) if out.last() == Some(&b'$') => {
                out.push(b'{');
                at += 1;
            }
            (Some(byte), None) if byte.is_ascii_whitespace() || matches!(byte, b';' | b'{') => break,
            (Some(byte), _) => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    Some((String::from_utf8_lossy(&out).into_owned(), at))
}

#[cfg(test)]
mod tests;
