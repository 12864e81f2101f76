//! The trace fixture language: a trace as indented text, one line per span.
//!
//! ```text
//! # A comment. Blank lines are skipped.
//! cloudfront GET /checkout 0ms 1240ms server edge ttfb=1200ms fbl=1150ms lbl=1180ms
//!   nginx GET /checkout 30ms 1140ms server
//!     upstream SELECT orders 60ms 40ms client db=postgresql
//!     upstream publish 110ms 2ms producer messaging=kafka id=sent
//! downstream consume 300ms 20ms consumer parent=sent error="out of stock"
//! ```
//!
//! A line is `service name start duration marks…`. The name is every word up to the start. Times are whole numbers with a
//! unit (`ns`, `us`, `ms`, `s`); the start counts from [`EPOCH`]; both may be negative. A line that is indented deeper
//! than one above it is its child. Words with spaces are put in double quotes (`"GET /a b"`, `key="a b"`).
//!
//! | mark | meaning |
//! |---|---|
//! | `server` `client` `producer` `consumer` `internal` | the kind |
//! | `error` `error=text` `ok` | the status, with its message |
//! | `edge` | made from CloudFront's access log: its scope, and `aws.cloudfront.time_taken` |
//! | `ttfb=` `fbl=` `lbl=` | CloudFront's time to first byte, origin first-byte and last-byte latency |
//! | `db=` `messaging=` | `db.system.name`, `messaging.system` |
//! | `id=label` | names the span; 16 hexadecimal digits are the id itself, other labels are hashed to one |
//! | `parent=label` | the parent, whatever the indentation says; it need not exist |
//! | `missing-parent` | the parent is a span that is not there |
//! | `clock=5ms` | the host's clock is ahead by this: recorded times are later than written |
//! | `instance=text` `host=text` | `service.instance.id`, `host.id` |
//! | `link=label` | a link to a span of this trace |
//! | `event=name@12ms` | an event at that time |
//! | `resource.key=value` | a resource attribute |
//! | `key=value` | an attribute; integers, floats and booleans are recognised, quoted text is text |

use std::fmt;

use rootspan_model::ids::{SpanId, TraceId};
use rootspan_model::span::{SpanKind, StatusCode};
use rootspan_wire::otlp::batch::TraceBatch;

mod batch;
mod parse;

/// What times count from: 2023-11-14T22:13:20Z.
pub const EPOCH: u64 = 1_700_000_000_000_000_000;

/// The id of every fixture's trace.
pub const TRACE_ID: TraceId = TraceId::new(*b"fixture trace id");

/// One span of a fixture; tests may also build these by hand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FixtureSpan {
    /// `service.name`
    pub service: String,
    /// The span's name.
    pub name: String,
    /// Its id.
    pub span_id: SpanId,
    /// All zero: a root.
    pub parent_span_id: SpanId,
    /// The recorded start.
    pub start: u64,
    /// The recorded end.
    pub end: u64,
    /// The kind.
    pub kind: SpanKind,
    /// The status.
    pub status: StatusCode,
    /// The status message.
    pub status_message: String,
    /// Whether it is a span of the CDN's log.
    pub edge: bool,
    /// The span's attributes.
    pub attributes: Vec<(String, FixtureValue)>,
    /// The resource's attributes besides `service.name`.
    pub resource: Vec<(String, FixtureValue)>,
    /// Links to spans of this trace.
    pub links: Vec<SpanId>,
    /// Events.
    pub events: Vec<(String, u64)>,
}

/// An attribute's value.
#[derive(Clone, Debug, PartialEq)]
pub enum FixtureValue {
    /// Text.
    Text(String),
    /// An integer.
    Int(i64),
    /// A float.
    Double(f64),
    /// A boolean.
    Bool(bool),
}

/// What is wrong with a fixture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixtureError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for FixtureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fixture line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for FixtureError {}

/// Reads a fixture.
///
/// # Errors
/// The first line that is no span.
pub fn parse(text: &str) -> Result<Vec<FixtureSpan>, FixtureError> {
    parse::parse(text)
}

/// The spans as a batch, grouped by resource and scope in order of their first appearance.
///
/// # Panics
/// If the spans do not fit a request; a test's own mistake.
#[must_use]
pub fn batch_of(spans: &[FixtureSpan]) -> TraceBatch {
    batch::batch_of(spans)
}

/// A fixture's batch.
///
/// # Panics
/// If the text is no fixture: a test's own mistake, told with its line.
#[must_use]
pub fn batch(text: &str) -> TraceBatch {
    match parse(text) {
        Ok(spans) => batch_of(&spans),
        Err(error) => panic!("{error}"),
    }
}

/// The id that a label stands for.
#[must_use]
pub fn span_id(label: &str) -> SpanId {
    if let Some(id) = SpanId::from_hex(label) {
        return id;
    }
    // FNV-1a: stable over versions, so that expectations with ids in them stay.
    let hash = label
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    SpanId::new((hash | 1).to_be_bytes())
}

#[cfg(test)]
mod tests;
