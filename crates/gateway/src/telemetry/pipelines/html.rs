//! The page: one document without anything from elsewhere. Ids, addresses and error texts are hostile input; everything
//! goes through [`escaped`].

use std::fmt::Write as _;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rootspan_wire::otlp::payload::Signal;
use sha2::{Digest as _, Sha256};

use super::{Component, Pipeline, Queue, View};
use rootspan_model::time::UnixNanos;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The Content-Security-Policy: the page's own style and script by their hashes, and nothing else.
pub(super) fn policy() -> &'static str {
    static POLICY: OnceLock<String> = OnceLock::new();
    POLICY.get_or_init(|| {
        let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
        format!(
            "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; img-src data:; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            hash(STYLE),
            hash(SCRIPT)
        )
    })
}

/// The document.
pub(super) fn page(view: &View) -> String {
    let mut page = Page { text: String::with_capacity(16 << 10) };
    page.put(format_args!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Pipelines · rootspan</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><link rel=\"icon\" href=\"data:,\">\
         <style>{STYLE}</style></head><body><header><h1>rootspan · pipelines</h1>\
         <a href=\"?format=json\">JSON</a> <a href=\"/debug/ledger\">ledger</a> <a href=\"/metrics\">metrics</a>\
         <span class=\"stale\" role=\"status\">no answer from rootspan; these are the last figures</span></header><main>"
    ));
    page.facts(view);
    for pipeline in &view.pipelines {
        page.pipeline(view, pipeline);
    }
    page.put(format_args!("</main><script>{SCRIPT}</script></body></html>"));
    page.text
}

struct Page {
    text: String,
}

impl Page {
    fn put(&mut self, words: std::fmt::Arguments<'_>) {
        if self.text.write_fmt(words).is_err() {
            debug_assert!(false, "writing to a string does not fail");
        }
    }

    fn facts(&mut self, view: &View) {
        self.put(format_args!("<dl class=\"facts\">"));
        let state = if view.accepting { "takes spans" } else { "stopping" };
        let (reserved, limit) = (bytes(view.reserved_bytes), bytes(view.limit_bytes));
        let mut facts = vec![
            ("version", view.version.to_owned()),
            ("state", state.to_owned()),
            ("up", duration(view.uptime_seconds)),
            ("payload memory", format!("{reserved} reserved of {limit}")),
            ("resident", bytes(view.resident_bytes)),
        ];
        if let Some(outcome) = view.reload["outcome"].as_str() {
            let ago = view.reload["seconds_ago"].as_f64().unwrap_or_default();
            facts.push(("last reload", format!("{outcome} {} ago", duration(ago))));
        }
        if !view.extensions.is_empty() {
            facts.push(("extensions", view.extensions.join(", ")));
        }
        for (name, fact) in facts {
            self.put(format_args!("<div><dt>{name}</dt><dd>{}</dd></div>", escaped(&fact)));
        }
        self.put(format_args!("</dl>"));
    }

    fn pipeline(&mut self, view: &View, pipeline: &Pipeline) {
        let component = &pipeline.component;
        self.put(format_args!(
            "<section><h2>{} <span>pipeline</span></h2><div class=\"flow\">",
            escaped(&component.id)
        ));
        self.put(format_args!("<div class=\"stage\">"));
        for receiver in &pipeline.from {
            self.node("receiver", &view.receivers[*receiver], view.now);
        }
        for connector in &pipeline.connectors {
            self.put(format_args!("<div class=\"node\"><div class=\"head\"><span class=\"id\">{}</span> <span class=\"kind\">connector</span></div></div>", escaped(connector)));
        }
        self.put(format_args!("</div><div class=\"arrow\" aria-hidden=\"true\"></div><div class=\"stage\">"));
        self.passes(pipeline);
        self.put(format_args!("</div><div class=\"arrow\" aria-hidden=\"true\"></div><div class=\"stage\">"));
        for exporter in &pipeline.to {
            self.node("exporter", &view.exporters[*exporter], view.now);
        }
        for next in &pipeline.next {
            self.put(format_args!("<div class=\"node\"><div class=\"head\"><span class=\"id\">{}</span> <span class=\"kind\">next pipeline</span></div></div>", escaped(next)));
        }
        self.put(format_args!("</div></div></section>"));
    }

    fn passes(&mut self, pipeline: &Pipeline) {
        self.put(format_args!("<div class=\"node\">"));
        self.figures("pipeline", &pipeline.component);
        self.put(format_args!("</div>"));
        for pass in &pipeline.passes {
            let ids: Vec<String> = pass.iter().map(|id| escaped(id)).collect();
            let kind = if ids.len() > 1 { "fused into one pass" } else { "one pass" };
            self.put(format_args!(
                "<div class=\"fused\"><span class=\"id\">{}</span> <span class=\"kind\">{kind}</span></div>",
                ids.join("</span> · <span class=\"id\">")
            ));
        }
        if let Some(merging) = &pipeline.merging {
            self.put(format_args!("<div class=\"fused\"><span class=\"kind\">{}</span></div>", escaped(merging)));
        }
    }

    fn node(&mut self, kind: &str, component: &Component, now: UnixNanos) {
        self.put(format_args!("<div class=\"node\">"));
        self.figures(kind, component);
        for about in &component.about {
            self.put(format_args!("<p class=\"dim\">{}</p>", escaped(about)));
        }
        if let Some(queue) = &component.queue {
            self.queue(queue, now);
        }
        if let Some((message, at)) = &component.last_error {
            let ago = duration(now.nanos_since(*at) as f64 / 1e9);
            let message = escaped(message);
            self.put(format_args!("<p class=\"bad\">last error {ago} ago: {message}</p>"));
        }
        self.put(format_args!("</div>"));
    }

    fn figures(&mut self, kind: &str, component: &Component) {
        let items = items(component.signal);
        self.put(format_args!(
            "<div class=\"head\"><span class=\"id\">{}</span> <span class=\"kind\">{kind}</span></div>\
             <p><span class=\"rate\">{} {items}/s</span> <span class=\"dim\">{} /s over a minute</span></p>",
            escaped(&component.id),
            number(component.rate.second),
            number(component.rate.minute),
        ));
        let totals = component.totals.iter().enumerate().filter(|(index, (_, total))| *index == 0 || *total > 0);
        let totals: Vec<String> = totals.map(|(_, (name, total))| format!("{} {name}", whole(*total))).collect();
        self.put(format_args!("<p>{}</p>", totals.join(" · ")));
        for (class, word, reasons) in [("late", "refused", &component.refused), ("bad", "dropped", &component.dropped)]
        {
            if !reasons.is_empty() {
                let reasons: Vec<String> =
                    reasons.iter().map(|(name, items)| format!("{} {name}", whole(*items))).collect();
                self.put(format_args!("<p class=\"{class}\">{word}: {}</p>", reasons.join(", ")));
            }
        }
    }

    fn queue(&mut self, queue: &Queue, now: UnixNanos) {
        let oldest = match queue.oldest {
            Some(oldest) => format!(", the oldest for {}", duration(now.nanos_since(oldest) as f64 / 1e9)),
            None => String::new(),
        };
        if let Some(capacity) = queue.capacity {
            let (used, most, sizer) = (whole(queue.used), whole(capacity), queue.sizer);
            let percent = if capacity == 0 { 0 } else { (queue.used.min(capacity) * 100).div_ceil(capacity) };
            let class = if percent >= 90 { "bar full" } else { "bar" };
            // The policy allows no style in attributes; an SVG's width is none.
            self.put(format_args!(
                "<p>queue {used} of {most} {sizer} ({percent} %){oldest}</p>\
                 <svg class=\"{class}\" width=\"100%\" height=\"8\" role=\"img\" aria-label=\"{percent} % full\">\
                 <rect width=\"{percent}%\" height=\"8\"></rect></svg>"
            ));
        } else if !oldest.is_empty() {
            self.put(format_args!("<p>no queue{oldest}</p>"));
        }
        let disk = queue.disk_bytes.map(|disk| format!(" · {} on disk", bytes(disk))).unwrap_or_default();
        let (sending, consumers, memory) = (queue.sending, queue.consumers, bytes(queue.memory_bytes));
        self.put(format_args!("<p class=\"dim\">{sending} of {consumers} on the way · {memory} in memory{disk}</p>"));
    }
}

/// What the items of a signal are called.
const fn items(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "spans",
        Signal::Metrics => "data points",
        Signal::Logs => "log records",
    }
}

/// Text as HTML's text and attributes.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            character => out.push(character),
        }
    }
    out
}

/// Three significant digits.
pub(super) fn number(value: f64) -> String {
    let (value, unit) = match value {
        value if value >= 999.5e6 => (value / 1e9, " G"),
        value if value >= 999.5e3 => (value / 1e6, " M"),
        value if value >= 9_999.5 => (value / 1e3, " k"),
        value => (value, ""),
    };
    let digits = match value {
        value if value >= 99.95 || value == 0.0 => 0,
        value if value >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.digits$}{unit}")
}

/// A whole number with its thousands apart.
fn whole(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn bytes(value: u64) -> String {
    match value {
        value if value < 1 << 10 => format!("{value} B"),
        value if value < 1 << 20 => format!("{} KiB", number(value as f64 / 1024.0)),
        value if value < 1 << 30 => format!("{} MiB", number(value as f64 / f64::from(1 << 20))),
        value => format!("{} GiB", number(value as f64 / f64::from(1 << 30))),
    }
}

fn duration(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time that has passed, in seconds")]
    let whole = seconds.max(0.0) as u64;
    match whole {
        _ if seconds < 1.0 => format!("{} ms", number(seconds.max(0.0) * 1e3)),
        0..60 => format!("{} s", number(seconds)),
        60..3_600 => format!("{} min {} s", whole / 60, whole % 60),
        3_600..86_400 => format!("{} h {} min", whole / 3_600, whole % 3_600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3_600),
    }
}
