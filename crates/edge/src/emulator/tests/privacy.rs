//! What of the viewer's data reaches spans. Every field of every form of log has a decision in [`fate`]; for each of them
//! texts with a needle in them are put into the field, and the spans are searched for the needle, as the receiver makes them
//! by default and with everything allowed that can be. A field that is added without a decision fails here.

use std::fmt::Write as _;
use std::ops::ControlFlow;

use rootspan_wire::cloudfront::conversion::{AuthoritativeSource, Converter};
use rootspan_wire::cloudfront::rules::{PathPattern, PathRule, Trust};
use rootspan_wire::cloudfront::span::{ClientAddress, Privacy, Settings};
use rootspan_wire::cloudfront::{Columns, Reader};
use rootspan_wire::otlp::batch::TraceBatch;
use serde_json::{Map, Value, json};

use crate::build;
use crate::emulator::{EventType, Function, LogForm, Runtime, V2Format, trial};

/// Has digits, for a word without may be the name of a parameter.
const NEEDLE: &str = "canary7f3a";

/// What is decided about a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Nothing of it goes into spans, whatever is configured.
    Never,
    /// All of it does: it says what was asked for and what the CDN did.
    Whole,
    /// All of it behind a prefix, which it must have.
    Version(&'static str),
    /// If it is a number.
    Number,
    /// Not the text, but when the span is.
    Time,
    /// The path, without values of its parameters.
    Path,
    /// The same, and the query as [`Fate::Query`].
    PathAndQuery,
    /// Names, and words without a value; values of listed parameters that are no credentials.
    Query,
    /// The page, without user, query, and values of parameters in its path.
    Page,
    /// The viewer's network; all if allowed.
    Address,
    /// Nothing; if trusted, as [`Fate::Address`].
    Forwarded,
    /// Only with a whole address.
    Port,
    /// The viewer's `traceparent` on paths whose traces are continued, nothing else.
    Headers,
    /// What the edge function says of the trace, nothing else.
    Ids,
}

/// The decision about a field; `None` if nobody has decided.
fn fate(form: &LogForm, name: &str) -> Option<Fate> {
    let is_real_time = matches!(form, LogForm::RealTime { .. });
    Some(match name {
        "cs(Cookie)" | "cs-cookie" => Fate::Never,
        "cs-header-names" | "cs-headers-count" | "cs-accept" | "cs-accept-encoding" => Fate::Never,
        "s-ip" | "c-ip-version" | "connection-id" | "distribution-tenant-id" | "r-host" | "sr-reason" => Fate::Never,
        "fle-status" | "fle-encrypted-fields" | "x-edge-mqcs" => Fate::Never,
        "sc-content-len" | "sc-range-start" | "sc-range-end" => Fate::Never,
        // The session, the film: about the viewer, and nothing is made of it.
        _ if name.starts_with("cmcd-") => Fate::Never,
        // The host that was asked for, and the distribution's: two names, swapped in the two logs.
        "x-host-header" | "cs-host" | "cs(Host)" => Fate::Whole,
        // The same as real-time logs' `x-host-header`, which comes first and is what is read.
        "primary-distribution-dns-name" => Fate::Never,
        "x-edge-request-id" | "x-edge-location" | "cache-behavior-path-pattern" => Fate::Whole,
        "DistributionId" | "primary-distribution-id" | "cs-protocol" | "cs-method" => Fate::Whole,
        "x-edge-result-type" | "x-edge-response-result-type" | "x-edge-detailed-result-type" => Fate::Whole,
        "sc-content-type" | "ssl-cipher" | "c-country" => Fate::Whole,
        // Says which browser it is; the conventions want it whole.
        "cs(User-Agent)" | "cs-user-agent" => Fate::Whole,
        "cs-protocol-version" => Fate::Version("HTTP/"),
        "ssl-protocol" => Fate::Version("TLSv"),
        "sc-status" | "sc-bytes" | "cs-bytes" | "asn" => Fate::Number,
        "time-taken" | "time-to-first-byte" | "origin-fbl" | "origin-lbl" => Fate::Number,
        "date" | "time" | "timestamp" | "timestamp(ms)" => Fate::Time,
        "cs-uri-stem" if is_real_time => Fate::PathAndQuery,
        "cs-uri-stem" => Fate::Path,
        "cs-uri-query" => Fate::Query,
        "cs(Referer)" | "cs-referer" => Fate::Page,
        "c-ip" => Fate::Address,
        "x-forwarded-for" => Fate::Forwarded,
        "c-port" => Fate::Port,
        "cs-headers" => Fate::Headers,
        "viewer-request-log-data" | "viewer-response-log-data" => Fate::Ids,
        _ => return None,
    })
}

/// A value of a field, as it is logged, what is looked for, and whether it is to be found: by default, and with all allowed.
type Plant = (String, &'static str, [bool; 2]);

const NOT: [bool; 2] = [false, false];
const ALLOWED: [bool; 2] = [false, true];
const SHOWN: [bool; 2] = [true, true];

/// Texts with a needle for a field, the most typical first.
fn plants(fate: Fate) -> Vec<Plant> {
    let all = |texts: &[&str], found: [bool; 2]| -> Vec<Plant> {
        texts.iter().map(|text| (text.replace("NEEDLE", NEEDLE), NEEDLE, found)).collect()
    };
    let path = || {
        let parts = [
            all(&["/a/NEEDLE"], SHOWN),
            all(&["/a;sid=NEEDLE/b"], ALLOWED),
            all(&["/a;jsessionid=NEEDLE", "/a%3Bv=NEEDLE", "/a;NEEDLE", "/a;sid=1;token=NEEDLE"], NOT),
        ];
        parts.concat()
    };
    let secrets = ["Signature=NEEDLE", "a=1&Policy=NEEDLE", "Key-Pair-Id=NEEDLE&a=1", "token=NEEDLE", "TOKEN=NEEDLE"];
    let query = || {
        let tricks = ["NEEDLE", "NEEDLE=", "NEEDLE%253D=", "a%253DNEEDLE=1", "a%3DNEEDLE=1", "limit=1;token=NEEDLE"];
        [
            all(&["limit=NEEDLE", "a=1&limit=NEEDLE"], ALLOWED),
            all(&secrets, NOT),
            all(&["page=NEEDLE"], NOT),
            all(&tricks, NOT),
        ]
    };
    match fate {
        Fate::Never | Fate::Number | Fate::Time => all(&["NEEDLE", "session=NEEDLE", "1;NEEDLE"], NOT),
        Fate::Whole => all(&["NEEDLE"], SHOWN),
        Fate::Version(prefix) => [all(&[&format!("{prefix}NEEDLE")], SHOWN), all(&["NEEDLE"], NOT)].concat(),
        Fate::Path => path(),
        Fate::Query => query().concat(),
        Fate::PathAndQuery => {
            let with_path =
                query().concat().into_iter().map(|(text, needle, found)| (format!("/a?{text}"), needle, found));
            path().into_iter().chain(with_path).collect()
        }
        Fate::Page => [
            all(&["https://shop.example.com/NEEDLE"], SHOWN),
            all(&["https://shop.example.com/a;sid=NEEDLE"], ALLOWED),
            all(
                &[
                    "https://shop.example.com/a?limit=NEEDLE",
                    "https://shop.example.com/a%3Flimit=NEEDLE",
                    "https://shop.example.com/a%23NEEDLE",
                    "https://me:NEEDLE@shop.example.com/a",
                    "https://shop.example.com/a;token=NEEDLE",
                ],
                NOT,
            ),
        ]
        .concat(),
        Fate::Address => addresses(ALLOWED),
        Fate::Forwarded => {
            let behind = ("203.0.113.9,%20198.51.100.77".to_owned(), "198.51.100.77", NOT);
            addresses(ALLOWED).into_iter().chain([behind]).collect()
        }
        Fate::Port => vec![("54321".to_owned(), "54321", ALLOWED), (NEEDLE.to_owned(), NEEDLE, NOT)],
        Fate::Headers => all(
            &[
                "Cookie:session=NEEDLE%0AAuthorization:Bearer%20NEEDLE%0Atraceparent:00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01%0A",
                "X-Forwarded-For:NEEDLE%0Abaggage:user=NEEDLE%0Atracestate:vendor=NEEDLE%0A",
                "Referer:https://shop.example.com/?q=NEEDLE%0A",
            ],
            NOT,
        ),
        Fate::Ids => all(
            &[
                "rs1;00-09d64ae8d7628a6968e3f996796f3f63-2184743dd888b4f1-03;-;1789380930295;0;-;-%20user=NEEDLE",
                "user=NEEDLE",
                "rs1;00-09d64ae8d7628a6968e3f996796f3f63-2184743dd888b4f1-03;NEEDLE;1789380930295;0;-;-",
            ],
            NOT,
        ),
    }
}

/// Addresses whose networks may be shown; the last bits are the viewer's.
fn addresses(found: [bool; 2]) -> Vec<Plant> {
    let list = [
        ("198.51.100.77", "198.51.100.77"),
        ("2001:db8:1:2:3:4:5:6", ":2:3:4:5:6"),
        ("::ffff:198.51.100.77", "198.51.100.77"),
        ("2002:c633:644d::1", "644d"),
        (NEEDLE, NEEDLE),
    ];
    list.into_iter().map(|(text, needle)| (text.to_owned(), needle, found)).collect()
}

/// By default, or with all allowed that can be.
fn settings(is_open: bool, trust: Trust) -> Settings {
    let names = ["limit", "sid", "token", "Signature", "Policy", "Key-Pair-Id"];
    let open = Privacy {
        client_address: ClientAddress::Full,
        trust_forwarded_for: true,
        query_values: names.map(str::to_owned).to_vec(),
    };
    let rule = PathRule {
        pattern: PathPattern::new("*"),
        trust,
        threshold: rootspan_model::sampling::Threshold::from_probability(1.0),
    };
    let privacy = if is_open { open } else { Privacy::default() };
    Settings { privacy, paths: vec![rule], ..Settings::default() }
}

/// A form of log, and how it is read.
struct Case {
    name: &'static str,
    form: LogForm,
    percent_decode_json: bool,
}

fn cases() -> Vec<Case> {
    let case = |name, form| Case { name, form, percent_decode_json: false };
    let decoded = case("v2 JSON, decoded", LogForm::standard_v2(V2Format::Json));
    vec![
        case("real-time", LogForm::real_time()),
        case("v1", LogForm::StandardV1),
        case("v2 W3C", LogForm::standard_v2(V2Format::W3c)),
        case("v2 plain", LogForm::standard_v2(V2Format::Plain)),
        case("v2 JSON", LogForm::standard_v2(V2Format::Json)),
        Case { percent_decode_json: true, ..decoded },
    ]
}

/// A log of one record with these values, and what else a record must have.
fn log(form: &LogForm, values: &[(&str, &str)]) -> String {
    let value = |name: &str| {
        let given = values.iter().find(|(given, _)| *given == name).map(|(_, value)| *value);
        given.unwrap_or(match name {
            "x-edge-request-id" => "Gx7T0nVb2qk8Zc1yLwPjHs5uRd9eMfA4oXi3tKQ6bN_hYvC-JzWpUg==",
            "timestamp" => "1789380930.482",
            "timestamp(ms)" => "1789380930482",
            "date" => "2026-09-14",
            "time" => "10:15:30",
            "cs-uri-stem" => "/a",
            // Needed to show that no port is.
            "c-ip" => "192.0.2.7",
            _ => "-",
        })
    };
    let fields = form.fields();
    if let LogForm::StandardV2 { format: V2Format::Json, .. } = form {
        let members = fields.iter().map(|name| (name.clone(), Value::from(value(name))));
        return Value::Object(members.collect::<Map<_, _>>()).to_string();
    }
    let line: Vec<_> = fields.iter().map(|name| value(name)).collect();
    format!("{}{}\n", form.header().unwrap_or_default(), line.join("\t"))
}

/// All that is in the spans of a log, as text: every string of it, and every number.
fn spans(case: &Case, log: &str, settings: Settings) -> String {
    let line_fields = case.form.header().is_none().then(|| Columns::new(case.form.fields()).expect("fields of a log"));
    let reader = Reader { line_fields, percent_decode_json: case.percent_decode_json };
    let converter = Converter::new(reader, settings, AuthoritativeSource::AccessLog, false);
    let mut text = String::new();
    let mut sink = |batch: TraceBatch| {
        print(&batch, &mut text);
        ControlFlow::Continue(())
    };
    let mut conversion = converter.begin();
    assert!(conversion.read(log.as_bytes(), &mut sink).is_continue());
    assert!(conversion.flush(&mut sink).is_continue());
    text
}

fn print(batch: &TraceBatch, text: &mut String) {
    text.push_str(&String::from_utf8_lossy(batch.bytes()));
    for found in batch.spans() {
        for pair in found.resource.attributes().chain(found.span.attributes()) {
            write!(text, "\n{}={}", pair.key, pair.value).expect("memory");
        }
        for link in found.span.links() {
            write!(text, "\nlink {:02x?} {:02x?}", link.trace_id, link.span_id).expect("memory");
        }
    }
}

#[test]
fn every_field_of_every_log_has_a_decision() {
    for case in cases() {
        for name in case.form.fields() {
            assert!(fate(&case.form, &name).is_some(), "{name} of {}: what may be shown of it?", case.name);
        }
    }
    assert_eq!(LogForm::real_time().fields().len(), 71, "70 fields of CloudFront's and a second one of functions");
}

#[test]
fn no_field_shows_more_than_was_decided() {
    let mut shown = 0;
    for case in cases() {
        for name in case.form.fields() {
            let fate = fate(&case.form, &name).expect("decided");
            for (value, needle, found) in plants(fate) {
                let log = log(&case.form, &[(&name, &value)]);
                for (is_open, found) in [(false, found[0]), (true, found[1])] {
                    for trust in [Trust::Restart, Trust::Continue] {
                        let spans = spans(&case, &log, settings(is_open, trust));
                        // What cannot be placed shows nothing at all.
                        let is_placed = !spans.is_empty() || trust == Trust::Continue || fate == Fate::Time;
                        assert!(is_placed, "{name}={value} in {}", case.name);
                        if !spans.is_empty() {
                            let place = format!("{name}={value} in {}, open {is_open}: {spans}", case.name);
                            assert_eq!(spans.contains(needle), found, "{place}");
                            shown += usize::from(found);
                        }
                    }
                }
            }
        }
    }
    assert!(shown > 100, "the needles are found where they are allowed: {shown}");
}

/// A field may stand in for another one; together they show no more than by themselves.
#[test]
fn all_fields_at_once_show_no_more() {
    for case in cases() {
        let fields = case.form.fields();
        let hidden: Vec<_> = fields
            .iter()
            .filter_map(|name| {
                let fate = fate(&case.form, name).expect("decided");
                let plant = plants(fate).into_iter().find(|(_, _, found)| *found == NOT);
                plant.filter(|_| fate != Fate::Time).map(|(value, ..)| (name.as_str(), value))
            })
            .collect();
        let values: Vec<_> = hidden.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let log = log(&case.form, &values);
        for is_open in [false, true] {
            let spans = spans(&case, &log, settings(is_open, Trust::Restart));
            assert!(!spans.is_empty());
            assert!(!spans.contains(NEEDLE) && !spans.contains("198.51.100.77"), "{}: {spans}", case.name);
        }
    }
}

/// Functions write to logs of their own, and there is no configuration behind those: they say nothing to begin with.
#[tokio::test]
async fn functions_say_nothing_of_the_viewer() {
    let settings = crate::settings::Settings::parse("ids_via: both").expect("valid settings");
    let built = build::all(&settings).expect("within the limits");
    let code = |name: &str| built.iter().find(|function| function.file_name == name).expect("it is built").code.clone();
    let cases = [
        (Function::cloudfront("viewer-request", code("viewer-request.js")), EventType::ViewerRequest),
        (Function::lambda("viewer-request", code("viewer-request.mjs")), EventType::ViewerRequest),
        (Function::lambda("origin-response", code("origin-response.mjs")), EventType::OriginResponse),
    ];
    for (function, event) in cases {
        let mut events = trial::events(function.runtime, event);
        for value in &mut events {
            plant(function.runtime, value);
        }
        let trials = trial::run(&function, event, &events).await.expect("it runs");
        let said: Vec<_> = trials.iter().flat_map(|trial| trial.log_data.iter().chain(&trial.console)).collect();
        assert!(!said.is_empty(), "{}: it logs", function.name);
        for text in said {
            assert!(!text.contains(NEEDLE) && !text.contains("198.51.100.77"), "{}: {text}", function.name);
        }
    }
}

/// Puts needles wherever an event has data of the viewer, but for the path.
fn plant(runtime: Runtime, event: &mut Value) {
    let headers = ["cookie", "authorization", "referer", "user-agent", "baggage", "x-forwarded-for"];
    if runtime == Runtime::CloudFront {
        event["viewer"]["ip"] = "198.51.100.77".into();
        event["request"]["querystring"] = json!({"token": {"value": NEEDLE}});
        event["request"]["cookies"] = json!({"session": {"value": NEEDLE}});
        for name in headers {
            event["request"]["headers"][name] = json!({"value": NEEDLE});
        }
        return;
    }
    let request = &mut event["Records"][0]["cf"]["request"];
    request["clientIp"] = "198.51.100.77".into();
    request["querystring"] = format!("token={NEEDLE}").into();
    let state = "rs1;00-09d64ae8d7628a6968e3f996796f3f63-2184743dd888b4f1-03;-;1789380930332;0;-;-";
    request["headers"]["x-rootspan-origin"] = json!([{"key": "X-Rootspan-Origin", "value": state}]);
    for name in headers {
        request["headers"][name] = json!([{"key": name, "value": NEEDLE}]);
    }
}
