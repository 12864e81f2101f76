//! Requests at a CDN as its logs tell them: a shop with pages, an API, files and videos, viewers of all kinds, and what
//! goes wrong. The same seed gives the same requests.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rootspan_model::edge_id::EdgeIds;
use rootspan_model::log_payload::LogPayload;
use rootspan_model::trace_context::{TraceFlags, TraceParent};
use rootspan_testkit::random::Random;

const HOST: &str = "shop.example.com";
const DISTRIBUTION: &str = "d111111abcdef8.cloudfront.net";
const START_UNIX_MILLIS: u64 = 1_789_380_000_000;
/// The list of headers is cut there.
const HEADERS_MAX_BYTES: usize = 800;

const AGENTS: [&str; 6] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "okhttp/4.12.0",
];

/// One request: what its fields say, not encoded. Names are those of real-time logs.
#[derive(Debug)]
pub(super) struct Request {
    fields: BTreeMap<&'static str, String>,
    finished_unix_millis: u64,
    path: String,
}

/// Kinds of content: a path, the pattern of the cache behaviour, the type, and whether it is cached.
const CONTENT: [(&str, &str, &str, bool); 10] = [
    ("/static/app.3f9c1b.js", "/static/*", "text/javascript", true),
    ("/static/site.77ac01.css", "/static/*", "text/css", true),
    ("/images/products/{}.webp", "/images/*", "image/webp", true),
    ("/images/hero (large) {}.jpg", "/images/*", "image/jpeg", true),
    ("/", "*", "text/html; charset=utf-8", true),
    ("/products/{}", "*", "text/html; charset=utf-8", false),
    ("/api/items/{}", "/api/*", "application/json", false),
    ("/api/search", "/api/*", "application/json", false),
    ("/api/checkout", "/api/*", "application/json", false),
    ("/media/clip{}/segment.m4s", "/media/*", "video/iso.segment", true),
];

impl Request {
    /// The request with this number.
    pub(super) fn new(random: &mut Random, number: u64) -> Self {
        let (template, behavior, content_type, is_cached) = random.pick(&CONTENT);
        let path = template.replace("{}", &random.between(1, 100_000).to_string());
        let finished_unix_millis = START_UNIX_MILLIS + number * 7;
        let mut request = Self { fields: BTreeMap::new(), finished_unix_millis, path };
        request.put_request_line(random, behavior);
        request.put_outcome(random, is_cached, content_type);
        request.put_viewer(random);
        request.put_connection(random);
        if content_type.starts_with("video") {
            request.put_media(random);
        }
        request
    }

    /// The data that the edge function logged with it.
    pub(super) fn with_payload(mut self, random: &mut Random) -> Self {
        let ids = EdgeIds::of_request(self.get("x-edge-request-id"));
        let seconds: f64 = self.get("time-taken").parse().unwrap_or_default();
        let parent = EdgeIds::of_request(&random.bits().to_string());
        let flags = TraceFlags(3);
        let payload = LogPayload {
            traceparent: TraceParent { trace_id: ids.trace_id, span_id: ids.viewer_span_id, flags },
            incoming_parent: None,
            start_unix_millis: self.finished_unix_millis - (seconds * 1000.0) as u64,
            threshold: None,
            random_value: None,
            // One viewer in five is instrumented.
            link: random.chance(0.2).then_some((parent.trace_id, parent.viewer_span_id)),
        };
        self.put("viewer-request-log-data", payload.to_string());
        self
    }

    /// The value of a field in real-time logs, not encoded; `-` if there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.fields.get(name).map_or("-", String::as_str)
    }

    /// When the response was finished.
    pub(super) const fn finished_unix_millis(&self) -> u64 {
        self.finished_unix_millis
    }

    /// The path without a query.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    fn put(&mut self, name: &'static str, value: impl Into<String>) {
        self.fields.insert(name, value.into());
    }

    fn put_request_line(&mut self, random: &mut Random, behavior: &str) {
        let millis = self.finished_unix_millis;
        self.put("timestamp", format!("{}.{:03}", millis / 1000, millis % 1000));
        let method = if self.path == "/api/checkout" { "POST" } else { random.pick(&["GET", "GET", "GET", "HEAD"]) };
        self.put("cs-method", method);
        self.put("cs-protocol", "https");
        self.put("cs-host", HOST);
        self.put("x-host-header", DISTRIBUTION);
        self.put("cache-behavior-path-pattern", behavior);
        let query = match self.path.as_str() {
            "/api/search" => format!("q=red+shoes+{}&page={}&sort=price", random.between(1, 50), random.between(1, 9)),
            "/" if random.chance(0.3) => "utm_source=newsletter&utm_campaign=autumn&gclid=EAIaIQobChMI8f".to_owned(),
            path if path.starts_with("/images") => format!("width={}&format=auto", random.between(1, 20) * 100),
            path if path.starts_with("/media") => {
                let key: String = (0..12).map(|_| format!("{:x}", random.bits())).collect();
                format!("Expires=1789383600&Signature={key}&Key-Pair-Id=K2JCJMDEHXQW5F")
            }
            _ => "-".to_owned(),
        };
        let stem = if query == "-" { self.path.clone() } else { format!("{}?{query}", self.path) };
        self.put("cs-uri-stem", stem);
        self.put("cs-uri-query", query);
        let mut id: String = (0..54).map(|_| random.pick(REQUEST_ID_CHARACTERS)).collect();
        id.push_str("==");
        self.put("x-edge-request-id", id);
        self.put(
            "x-edge-location",
            format!("{}-P{}", random.pick(&["FRA60", "LHR50", "IAD12", "NRT20"]), random.between(1, 9)),
        );
        self.put("primary-distribution-id", "EDFDVBD6EXAMPLE");
        self.put("primary-distribution-dns-name", DISTRIBUTION);
        self.put("connection-id", random.bits().to_string());
    }

    fn put_outcome(&mut self, random: &mut Random, is_cached: bool, content_type: &str) {
        let is_hit = is_cached && random.chance(0.9);
        let (status, result, response, detail) = match random.between(0, 100) {
            0 => ("000", "Error", "Error", "ClientCommError"),
            1 => ("504", "Error", "Error", "OriginCommError"),
            2 => ("502", "Error", "Error", "OriginConnectError"),
            3 => ("200", "Error", "Miss", "ClientHungUpRequest"),
            4..7 => ("404", "Error", "Error", "Error"),
            7 => ("403", "Error", "Error", "AccessDenied"),
            8 => ("301", "Redirect", "Redirect", "Redirect"),
            9..16 if is_hit => ("304", "Hit", "Hit", "Hit"),
            _ if is_hit => ("200", "Hit", "Hit", "Hit"),
            _ => ("200", "Miss", "Miss", "Miss"),
        };
        self.put("sc-status", status);
        self.put("x-edge-result-type", result);
        self.put("x-edge-response-result-type", response);
        self.put("x-edge-detailed-result-type", detail);
        let origin = if is_hit { 0.0 } else { random.log_normal(0.08, 0.6) };
        let first = origin + random.log_normal(0.002, 0.5);
        let taken = first + random.log_normal(0.01, 0.8);
        self.put("time-to-first-byte", format!("{first:.3}"));
        self.put("time-taken", format!("{taken:.3}"));
        if !is_hit && status != "000" {
            self.put("origin-fbl", format!("{origin:.3}"));
            self.put("origin-lbl", format!("{:.3}", origin * 1.1));
            self.put("r-host", "origin.shop.example.com");
        }
        let length = random.log_normal(12_000.0, 1.2) as u64;
        self.put("sc-bytes", (length + 450).to_string());
        self.put("sc-content-len", length.to_string());
        self.put("sc-content-type", content_type);
        if content_type.starts_with("video") && status == "200" {
            self.put("sc-range-start", "0");
            self.put("sc-range-end", (length - length / 3).to_string());
        }
        self.put("cs-bytes", random.between(180, 1_900).to_string());
    }

    fn put_viewer(&mut self, random: &mut Random) {
        let bits = random.bits().to_be_bytes();
        let is_v6 = random.chance(0.4);
        let address = if is_v6 {
            format!("2001:db8:{:x}:{:x}::{:x}", bits[0], u16::from_be_bytes([bits[1], bits[2]]), bits[3])
        } else {
            format!("198.51.{}.{}", bits[0], bits[1])
        };
        self.put("c-ip", address);
        self.put("c-ip-version", if is_v6 { "IPv6" } else { "IPv4" });
        self.put("s-ip", format!("52.222.{}.{}", bits[2], bits[3]));
        self.put("c-port", random.between(1_024, 65_536).to_string());
        if random.chance(0.1) {
            self.put("x-forwarded-for", format!("203.0.113.{}, 10.0.0.{}", bits[4], bits[5]));
        }
        self.put("c-country", random.pick(&["DE", "FR", "US", "JP", "BR"]));
        self.put("asn", random.pick(&["3320", "3215", "7018", "2516", "28573"]));
        let agent = random.pick(&AGENTS);
        let accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        self.put("cs-user-agent", agent);
        if random.chance(0.7) {
            self.put(
                "cs-referer",
                format!("https://{HOST}/products/{}?from=list&token=secret", random.between(1, 100_000)),
            );
        }
        self.put("cs-accept", accept);
        self.put("cs-accept-encoding", "gzip, deflate, br, zstd");
        let mut headers =
            format!("Host:{HOST}\nUser-Agent:{agent}\nAccept:{accept}\nAccept-Encoding:gzip, deflate, br, zstd\n");
        let _infallible =
            write!(headers, "Accept-Language:de-DE,de;q=0.9,en;q=0.8\nReferer:{}\n", self.get("cs-referer"));
        headers.push_str("Sec-Fetch-Dest:empty\nSec-Fetch-Mode:cors\nSec-Fetch-Site:same-origin\n");
        headers.truncate(HEADERS_MAX_BYTES);
        self.put("cs-headers-count", headers.lines().count().to_string());
        let names: Vec<&str> = headers.lines().filter_map(|line| Some(line.split_once(':')?.0)).collect();
        self.put("cs-header-names", names.join("\n") + "\n");
        self.put("cs-headers", headers);
    }

    fn put_connection(&mut self, random: &mut Random) {
        let (version, protocol, cipher) = random.pick(&[
            ("HTTP/2.0", "TLSv1.3", "TLS_AES_128_GCM_SHA256"),
            ("HTTP/3.0", "TLSv1.3", "TLS_AES_128_GCM_SHA256"),
            ("HTTP/1.1", "TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256"),
        ]);
        self.put("cs-protocol-version", version);
        self.put("ssl-protocol", protocol);
        self.put("ssl-cipher", cipher);
    }

    fn put_media(&mut self, random: &mut Random) {
        for (name, below) in [
            ("cmcd-encoded-bitrate", 8_000),
            ("cmcd-buffer-length", 30_000),
            ("cmcd-object-duration", 4_004),
            ("cmcd-deadline", 30_000),
            ("cmcd-measured-throughput", 90_000),
            ("cmcd-requested-maximum-throughput", 90_000),
            ("cmcd-top-bitrate", 8_000),
        ] {
            self.put(name, random.between(100, below).to_string());
        }
        self.put("cmcd-content-id", format!("clip{}", random.between(1, 500)));
        self.put("cmcd-object-type", "v");
        self.put("cmcd-playback-rate", "1");
        self.put("cmcd-streaming-format", "h");
        self.put("cmcd-session-id", format!("6e2fb550-c457-11e9-bb97-{:012x}", random.bits() >> 16));
        self.put("cmcd-stream-type", "v");
        self.put("cmcd-version", "1");
        self.put("cmcd-next-object-request", "segment-next.m4s");
    }
}

const REQUEST_ID_CHARACTERS: &[char] = &[
    'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'x', 'y', 'z', '0', '1', '2', '3',
    '4', '5', '6', '7', '8', '9', '_', '-',
];
