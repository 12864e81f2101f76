//! Requests of a fixed shape: 627 bytes a span, 15 attributes, six of the resource, as an instrumented HTTP server sends
//! them. They are encoded once; each request is a copy with ids of its own, from which the sink knows which span of which
//! request arrived.

use rootspan_wire::otlp::protobuf::{FieldValue, Fields};

/// Different requests; their texts differ, so that compression does not see the same bytes again at once.
const TEMPLATES: u64 = 32;
/// Start of the first span.
const START_NANOS: u64 = 1_760_000_000_000_000_000;
/// Bits of a span's number within its request.
const INDEX_BITS: u32 = 20;
/// Odd, so that multiplication can be undone; its bits are those of the golden ratio.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
/// Undoes [`FACTOR`].
const INVERSE: u64 = inverse(FACTOR);

/// The inverse of an odd number modulo 2^64 (Newton's iteration doubles the right bits each time).
const fn inverse(odd: u64) -> u64 {
    let mut inverse = odd;
    let mut round = 0;
    while round < 5 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
        round += 1;
    }
    inverse
}

/// The id of span `index` of request `sequence`: looks random, and can be read back.
fn span_id(sequence: u32, index: usize) -> [u8; 8] {
    (u64::from(sequence) << INDEX_BITS | index as u64).wrapping_mul(FACTOR).swap_bytes().to_be_bytes()
}

/// Request and number of the span with this id.
pub(super) fn origin_of(id: [u8; 8]) -> (u32, usize) {
    let ordinal = u64::from_be_bytes(id).swap_bytes().wrapping_mul(INVERSE);
    ((ordinal >> INDEX_BITS) as u32, (ordinal & ((1 << INDEX_BITS) - 1)) as usize)
}

/// Calls `found` with the id of each span of a request; whether the bytes are a request at all.
pub(super) fn for_each_span_id(request: &[u8], mut found: impl FnMut([u8; 8])) -> bool {
    for_each_span(request, |span| {
        let ids = messages(span, 2);
        if let Some(id) = ids.last().and_then(|id| id.try_into().ok()) {
            found(id);
        }
    })
}

fn for_each_span<'a>(request: &'a [u8], mut found: impl FnMut(&'a [u8])) -> bool {
    let mut is_empty = true;
    for resource in messages(request, 1) {
        for scope in messages(resource, 2) {
            for span in messages(scope, 2) {
                is_empty = false;
                found(span);
            }
        }
    }
    !is_empty
}

fn messages(message: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
    Fields::new(message).filter_map(move |field| match field.value {
        FieldValue::Bytes(bytes) if field.number == number => Some(bytes),
        _ => None,
    })
}

/// Requests with the same number of spans.
#[derive(Debug)]
pub(super) struct Payloads {
    templates: Vec<Template>,
    pub(super) spans_per_request: usize,
}

#[derive(Debug)]
struct Template {
    bytes: Vec<u8>,
    /// Where the trace ids are.
    trace_ids: Vec<usize>,
    /// Where the span ids are.
    span_ids: Vec<usize>,
}

impl Payloads {
    pub(super) fn new(spans_per_request: usize) -> Self {
        let template = |seed| Template::new(spans_per_request, &mut Random(seed));
        Self { templates: (1..=TEMPLATES).map(template).collect(), spans_per_request }
    }

    /// Request number `sequence`: traces of eight spans, two in each of four requests.
    pub(super) fn request(&self, sequence: u32) -> Vec<u8> {
        let template = &self.templates[sequence as usize % self.templates.len()];
        let mut bytes = template.bytes.clone();
        for (index, (trace_id, id)) in template.trace_ids.iter().zip(&template.span_ids).enumerate() {
            let trace = (u64::from(sequence / 4) << INDEX_BITS) | (index as u64 / 2);
            bytes[*trace_id..*trace_id + 8].copy_from_slice(&Random(trace).next().to_be_bytes());
            bytes[*trace_id + 8..*trace_id + 16].copy_from_slice(&Random(!trace).next().to_be_bytes());
            bytes[*id..*id + 8].copy_from_slice(&span_id(sequence, index));
        }
        bytes
    }

    /// Bytes of a request.
    pub(super) fn request_bytes(&self) -> usize {
        self.templates.first().map_or(0, |template| template.bytes.len())
    }
}

impl Template {
    fn new(spans: usize, random: &mut Random) -> Self {
        let resource = message(|out| {
            for (key, value) in [
                ("service.name", "frontend"),
                ("service.version", "1.4.2"),
                ("k8s.pod.name", "frontend-7d9c8b6f5-x2x7q"),
                ("k8s.namespace.name", "shop"),
                ("telemetry.sdk.language", "java"),
                ("host.name", "ip-10-0-3-17"),
            ] {
                text_attribute(out, 1, key, value);
            }
        });
        let scope = message(|out| {
            put(out, 1, b"io.opentelemetry.tomcat-10.0");
            put(out, 2, b"2.6.0");
        });
        let scope_spans = message(|out| {
            put(out, 1, &scope);
            for number in 0..spans {
                put(out, 2, &span(number as u64, random));
            }
        });
        let resource_spans = message(|out| {
            put(out, 1, &resource);
            put(out, 2, &scope_spans);
        });
        let bytes = message(|out| put(out, 1, &resource_spans));
        let (mut trace_ids, mut span_ids) = (Vec::with_capacity(spans), Vec::with_capacity(spans));
        let place = |part: &[u8]| part.as_ptr() as usize - bytes.as_ptr() as usize;
        for_each_span(&bytes, |span| {
            trace_ids.extend(messages(span, 1).map(place));
            span_ids.extend(messages(span, 2).map(place));
        });
        Self { bytes, trace_ids, span_ids }
    }
}

/// One SERVER span (`opentelemetry.proto.trace.v1.Span`).
fn span(number: u64, random: &mut Random) -> Vec<u8> {
    let route = random.pick(&["/api/cart", "/api/products/{id}", "/api/checkout", "/api/recommendations", "/healthz"]);
    let start = START_NANOS + number * 1000 + random.below(1000);
    message(|out| {
        put(out, 1, &[0xff; 16]);
        put(out, 2, &[0xff; 8]);
        put(out, 4, &random.next().to_be_bytes());
        put(out, 5, format!("GET {route}").as_bytes());
        put_number(out, 6, 2);
        put_fixed(out, 7, start);
        put_fixed(out, 8, start + 100_000 + random.below(90_000_000));
        text_attribute(out, 9, "http.request.method", "GET");
        text_attribute(out, 9, "http.route", route);
        text_attribute(out, 9, "url.path", &format!("{route}/{}", random.below(100_000)));
        text_attribute(out, 9, "url.scheme", "https");
        number_attribute(out, "http.response.status_code", [200, 200, 200, 404, 500][random.below(5) as usize]);
        text_attribute(out, 9, "server.address", "shop.example.com");
        number_attribute(out, "server.port", 443);
        let address = random.next().to_be_bytes();
        text_attribute(out, 9, "client.address", &format!("10.{}.{}.{}", address[0], address[1], address[2]));
        text_attribute(out, 9, "network.protocol.version", "1.1");
        let agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0";
        text_attribute(out, 9, "user_agent.original", agent);
        text_attribute(out, 9, "user.id", &format!("u-{:08x}", random.below(1 << 32)));
        number_attribute(out, "thread.id", 1 + random.below(199));
        text_attribute(out, 9, "thread.name", &format!("http-nio-8080-exec-{}", 1 + random.below(199)));
        number_attribute(out, "http.request.body.size", random.below(4000));
        number_attribute(out, "http.response.body.size", random.below(90_000));
        let status = message(|out| {
            if random.below(50) == 0 {
                put_number(out, 3, 2);
            }
        });
        put(out, 15, &status);
        put_tag(out, 16, 5);
        out.extend(257_u32.to_le_bytes());
    })
}

// === protobuf ===

fn message(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_tag(out: &mut Vec<u8>, number: u64, wire_type: u64) {
    put_varint(out, number << 3 | wire_type);
}

fn put(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    put_tag(out, number, 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_number(out: &mut Vec<u8>, number: u64, value: u64) {
    put_tag(out, number, 0);
    put_varint(out, value);
}

fn put_fixed(out: &mut Vec<u8>, number: u64, value: u64) {
    put_tag(out, number, 1);
    out.extend(value.to_le_bytes());
}

/// A `KeyValue` with a text.
fn text_attribute(out: &mut Vec<u8>, field: u64, key: &str, value: &str) {
    let value = message(|out| put(out, 1, value.as_bytes()));
    attribute(out, field, key, &value);
}

/// A `KeyValue` of a span with a number.
fn number_attribute(out: &mut Vec<u8>, key: &str, value: u64) {
    let value = message(|out| put_number(out, 3, value));
    attribute(out, 9, key, &value);
}

fn attribute(out: &mut Vec<u8>, field: u64, key: &str, value: &[u8]) {
    let pair = message(|out| {
        put(out, 1, key.as_bytes());
        put(out, 2, value);
    });
    put(out, field, &pair);
}

/// Numbers that look random (SplitMix64), the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(FACTOR);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests;
