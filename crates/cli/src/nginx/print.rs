//! The lines for nginx, for its context `http`.

use std::fmt::Write as _;

use anyhow::bail;

/// What is written, and how.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    /// By the log, else by the module.
    pub(crate) is_log: bool,
    pub(crate) propagators: Propagators,
    pub(crate) service_name: String,
    /// Where the module sends spans.
    pub(crate) endpoint: String,
    /// The longest that a span waits in the module; `None`: its default.
    pub(crate) interval: Option<String>,
    /// The log's file, or the address of syslog.
    pub(crate) log: String,
    pub(crate) is_syslog: bool,
    /// More keys of a line of the log, with their values.
    pub(crate) log_keys: Vec<(String, String)>,
}

/// Which headers carry the context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Propagators {
    pub(crate) trace_context: bool,
    pub(crate) b3: bool,
    pub(crate) b3_multi: bool,
    pub(crate) xray: bool,
}

impl Propagators {
    /// Names as in `otel_propagators`.
    pub(crate) fn parse(names: &[String]) -> anyhow::Result<Self> {
        let mut chosen = Self::default();
        for name in names {
            match name.as_str() {
                "tracecontext" => chosen.trace_context = true,
                "b3" => chosen.b3 = true,
                "b3multi" => chosen.b3_multi = true,
                "xray" => chosen.xray = true,
                other => bail!("--propagators: {other:?} is none; known are tracecontext, b3, b3multi and xray"),
            }
        }
        Ok(chosen)
    }

    fn names(self) -> String {
        let all =
            [(self.trace_context, "tracecontext"), (self.b3, "b3"), (self.b3_multi, "b3multi"), (self.xray, "xray")];
        let chosen: Vec<&str> = all.iter().filter(|(is_chosen, _)| *is_chosen).map(|(_, name)| *name).collect();
        chosen.join(" ")
    }
}

/// The lines of either way.
pub(super) fn lines(way: &Way) -> String {
    if way.is_log { log(way) } else { module(way) }
}

/// The lines for the module.
pub(crate) fn module(way: &Way) -> String {
    let interval = way.interval.as_ref().map(|interval| format!("    interval {interval};\n")).unwrap_or_default();
    format!(
        "# rootspan: traces by the module. For the context http, e.g. as /etc/nginx/conf.d/rootspan.conf.\n\
         # At the top of nginx.conf, unless the Debian package is installed:\n\
         #   load_module modules/ngx_http_rootspan_module.so;\n\
         otel_exporter {{\n    endpoint {};\n{interval}}}\n\
         otel_service_name {};\notel_trace on;\notel_trace_context propagate;\notel_propagators {};\notel_client_span on;\n",
        way.endpoint,
        quoted(&way.service_name),
        way.propagators.names(),
    )
}

/// A word of nginx's configuration.
pub(super) fn quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:$%@+=,".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Ids that are not all zero.
const TRACE: &str = "(?!0{32})[0-9a-f]{32}";
const SPAN: &str = "(?!0{16})[0-9a-f]{16}";

/// The lines without a module.
fn log(way: &Way) -> String {
    let mut out = String::from(
        "# rootspan: traces by the access log. For the context http, e.g. as /etc/nginx/conf.d/rootspan.conf.\n\n\
         # What came in, if it is well-formed.\n",
    );
    let chosen = way.propagators;
    let mut sources = Vec::new();
    if chosen.trace_context {
        sources.push("$rootspan_w3c");
        map(
            &mut out,
            "$http_traceparent",
            "$rootspan_w3c",
            &[
                ("default".to_owned(), ""),
                (format!("~^00-{TRACE}-{SPAN}-[0-9a-f]{{2}}$"), "$http_traceparent"),
                (format!("~^(?!00|ff)[0-9a-f]{{2}}-{TRACE}-{SPAN}-[0-9a-f]{{2}}(-|$)"), "$http_traceparent"),
            ],
        );
    }
    if chosen.b3 {
        sources.push("$rootspan_b3");
        b3_in(&mut out, "$http_b3", "$rootspan_b3", "0");
    }
    if chosen.b3_multi {
        sources.push("$rootspan_b3multi");
        let joined = "\"$http_x_b3_traceid-$http_x_b3_spanid-$http_x_b3_sampled\"";
        b3_in(&mut out, joined, "$rootspan_b3multi", "--0");
    }
    // Each one counts only if those before are not there.
    let mut context = String::from("\"\"");
    for (index, source) in sources.iter().rev().enumerate() {
        let name =
            format!("$rootspan_context{}", if index + 1 == sources.len() { String::new() } else { index.to_string() });
        map(&mut out, source, &name, &[("default".to_owned(), source), (String::new(), &context)]);
        context = name;
    }
    out.push_str("\n# What goes on: the trace, the tail of the request's random id as the span, the flags.\n");
    let continued =
        |digits: &str| format!("~^..-(?<rs_trace>[0-9a-f]{{32}})-.{{16}}-.[{digits}].* .{{16}}(?<rs_span>.{{16}})$");
    let new = |context: &str| format!("~^{context} (?<rs_new>.{{16}}(?<rs_tail>.{{16}}))$");
    map(
        &mut out,
        "\"$rootspan_context $request_id\"",
        "$rootspan_traceparent",
        &[
            (continued("159d"), "00-$rs_trace-$rs_span-01"),
            (continued("37bf"), "00-$rs_trace-$rs_span-03"),
            (continued("048c"), "00-$rs_trace-$rs_span-00"),
            (continued("26ae"), "00-$rs_trace-$rs_span-02"),
            (new("0"), "00-$rs_new-$rs_tail-02"),
            (new(""), "00-$rs_new-$rs_tail-03"),
        ],
    );
    map(
        &mut out,
        "$rootspan_context",
        "$rootspan_tracestate",
        &[("default".to_owned(), "$http_tracestate"), (String::new(), "")],
    );
    headers(&mut out, chosen);
    log_format(&mut out, way);
    out
}

fn b3_in(out: &mut String, source: &str, name: &str, denied: &str) {
    let flags = [("-1.*", "01"), ("-d.*", "01"), ("-?", "01"), ("-0.*", "00")];
    let mut entries = vec![("default".to_owned(), String::new()), (denied.to_owned(), "0".to_owned())];
    for (rest, flags) in flags {
        let pattern = |trace: &str| format!("~^(?<rs_b3_trace>{trace})-(?<rs_b3_span>{SPAN}){rest}$");
        entries.push((pattern(TRACE), format!("00-$rs_b3_trace-$rs_b3_span-{flags}")));
        let short = pattern("(?!0{16})[0-9a-f]{16}");
        entries.push((short, format!("00-0000000000000000$rs_b3_trace-$rs_b3_span-{flags}")));
    }
    let entries: Vec<(String, &str)> = entries.iter().map(|(key, value)| (key.clone(), value.as_str())).collect();
    map(out, source, name, &entries);
}

/// The headers of upstreams; those of propagators that are not chosen must not go on as they came.
fn headers(out: &mut String, chosen: Propagators) {
    let parts = "~^00-(?<rs_out_trace>.{32})-(?<rs_out_span>.{16})-0";
    if chosen.b3 {
        let entries = [
            (format!("{parts}[13]$"), "$rs_out_trace-$rs_out_span-1"),
            (format!("{parts}[02]$"), "$rs_out_trace-$rs_out_span-0"),
        ];
        map(out, "$rootspan_traceparent", "$rootspan_b3_out", &entries);
    }
    if chosen.b3_multi {
        map(out, "$rootspan_traceparent", "$rootspan_b3_traceid", &[(format!("{parts}.$"), "$rs_out_trace")]);
        map(out, "$rootspan_traceparent", "$rootspan_b3_spanid", &[(format!("{parts}.$"), "$rs_out_span")]);
        let sampled = [(format!("{parts}[13]$"), "1"), ("default".to_owned(), "0")];
        map(out, "$rootspan_traceparent", "$rootspan_b3_sampled", &sampled);
    }
    out.push_str(
        "\n# A location with a proxy_set_header of its own does not inherit these: repeat them there. gRPC wants\n\
         # grpc_set_header, FastCGI fastcgi_param HTTP_TRACEPARENT, uwsgi uwsgi_param HTTP_TRACEPARENT.\n",
    );
    let value = |is_chosen: bool, value: &'static str| if is_chosen { value } else { "\"\"" };
    for (name, value) in [
        ("traceparent", value(chosen.trace_context, "$rootspan_traceparent")),
        ("tracestate", value(chosen.trace_context, "$rootspan_tracestate")),
        ("b3", value(chosen.b3, "$rootspan_b3_out")),
        ("X-B3-TraceId", value(chosen.b3_multi, "$rootspan_b3_traceid")),
        ("X-B3-SpanId", value(chosen.b3_multi, "$rootspan_b3_spanid")),
        ("X-B3-Sampled", value(chosen.b3_multi, "$rootspan_b3_sampled")),
        ("X-B3-ParentSpanId", "\"\""),
        ("X-B3-Flags", "\"\""),
    ] {
        line(out, &format!("proxy_set_header {name} {value};"));
    }
}

/// Keys of the log's lines that are variables of the same name.
const VARIABLES: [&str; 20] = [
    "request_id",
    "msec",
    "request_time",
    "request_method",
    "request_uri",
    "scheme",
    "status",
    "host",
    "server_port",
    "remote_addr",
    "server_protocol",
    "http_user_agent",
    "proxy_host",
    "upstream_addr",
    "upstream_status",
    "upstream_connect_time",
    "upstream_header_time",
    "upstream_response_time",
    "upstream_bytes_sent",
    "upstream_bytes_received",
];

fn log_format(out: &mut String, way: &Way) {
    out.push_str("\n# A key with a dot, such as \"enduser.id\":\"$remote_user\", becomes an attribute.\n");
    out.push_str("log_format rootspan escape=json\n");
    line(out, "    '{\"context\":\"$rootspan_context\",\"traceparent\":\"$rootspan_traceparent\",'");
    line(out, "    '\"tracestate\":\"$rootspan_tracestate\",'");
    let own: Vec<String> = VARIABLES.iter().map(|name| format!("\"{name}\":\"${name}\"")).collect();
    let more = way.log_keys.iter().map(|(key, value)| format!("{}:{}", json(key), json(value)));
    let all: Vec<String> = own.into_iter().chain(more).collect();
    for (index, pair) in all.iter().enumerate() {
        let end = if index + 1 == all.len() { "}';" } else { ",'" };
        line(out, &format!("    '{pair}{end}"));
    }
    if way.is_syslog {
        line(out, &format!("access_log syslog:server={},nohostname,tag=nginx rootspan;", way.log));
    } else {
        line(out, &format!("access_log {} rootspan;", quoted(&way.log)));
    }
    out.push_str("\n# For rootspan:\n#   receivers:\n#     nginxlog:\n");
    let from = match (way.is_syslog, way.log.strip_prefix("unix:")) {
        (false, _) => format!("include: [{}]", way.log),
        (true, Some(path)) => format!("syslog: {{unix: {path}}}"),
        (true, None) => format!("syslog: {{udp: '{}'}}", way.log),
    };
    line(out, &format!("#       {from}"));
    line(out, &format!("#       service_name: {}", way.service_name));
}

/// A JSON string within the single quotes of a `log_format`.
fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\'', "\\u0027")
}

fn map(out: &mut String, source: &str, name: &str, entries: &[(String, &str)]) {
    line(out, &format!("map {source} {name} {{"));
    for (key, value) in entries {
        let key = if key == "default" { key.clone() } else { format!("\"{key}\"") };
        let value = if value.starts_with('"') { (*value).to_owned() } else { format!("\"{value}\"") };
        line(out, &format!("    {key} {value};"));
    }
    line(out, "}");
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("a string takes all that is written");
}
