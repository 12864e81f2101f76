//! The binary form of a view.

use serde::Serialize;

use super::TraceView;

/// Columns begin at multiples of this, so that the browser can lay typed arrays over them.
const ALIGNMENT: usize = 8;

/// The JSON header.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Header<'a> {
    trace_id: String,
    span_count: usize,
    segment_count: usize,
    start_time_unix_nano: String,
    duration_nanos: u64,
    error_count: u64,
    strings: &'a [String],
    operations: Vec<(u32, u32, u8, i32)>,
    paths: Vec<Path>,
    links: &'a [(u32, u32)],
    shifts: Vec<(u32, i64)>,
    notices: Vec<Notice<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Path {
    entry_row: u32,
    first_segment: u32,
    segment_count: u32,
}

#[derive(Serialize)]
struct Notice<'a> {
    kind: &'static str,
    text: &'a str,
    rows: &'a [u32],
}

pub(super) fn encode(view: &TraceView) -> Vec<u8> {
    let header = header(view);
    let (rows, segments) = (&view.rows, &view.segments);
    let mut out = Vec::with_capacity(header.len() + rows.start.len() * 32 + segments.start.len() * 24 + 128);
    out.extend_from_slice(b"RSV1");
    let padded = header.len().next_multiple_of(ALIGNMENT);
    out.extend_from_slice(&u32::try_from(padded).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(&header);
    out.resize(8 + padded, b' ');
    column(&mut out, &rows.span_id, |id| *id.as_bytes());
    column(&mut out, &rows.start, |value| value.to_le_bytes());
    column(&mut out, &rows.duration, |value| value.to_le_bytes());
    column(&mut out, &rows.parent, |value| value.to_le_bytes());
    column(&mut out, &rows.operation, |value| value.to_le_bytes());
    column(&mut out, &rows.depth, |value| value.to_le_bytes());
    column(&mut out, &rows.flags, |value| value.to_le_bytes());
    column(&mut out, &segments.start, |value| value.to_le_bytes());
    column(&mut out, &segments.end, |value| value.to_le_bytes());
    column(&mut out, &segments.row, |value| value.to_le_bytes());
    column(&mut out, &segments.kind, |kind| [kind.code()]);
    out
}

fn column<T, const N: usize>(out: &mut Vec<u8>, values: &[T], bytes: impl Fn(&T) -> [u8; N]) {
    for value in values {
        out.extend_from_slice(&bytes(value));
    }
    out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
}

fn header(view: &TraceView) -> Vec<u8> {
    let operations = view.operations.iter().map(|found| (found.service, found.name, found.lane, found.kind));
    let paths = view.paths.iter().map(|path| Path {
        entry_row: path.entry_row,
        first_segment: path.first_segment,
        segment_count: path.segment_count,
    });
    let notices =
        view.notices.iter().map(|notice| Notice { kind: notice.kind.name(), text: &notice.text, rows: &notice.rows });
    let header = Header {
        trace_id: view.trace_id.to_string(),
        span_count: view.rows.span_id.len(),
        segment_count: view.segments.row.len(),
        start_time_unix_nano: view.start.to_string(),
        duration_nanos: view.duration_nanos,
        error_count: view.error_count,
        strings: &view.strings,
        operations: operations.collect(),
        paths: paths.collect(),
        links: &view.links,
        shifts: view.shifts.iter().map(|(row, shift)| (*row, saturated(*shift))).collect(),
        notices: notices.collect(),
    };
    serde_json::to_vec(&header).expect("the header has no maps with odd keys and no failing parts")
}

/// JSON readers do not take more than 64 bits; shifts of centuries are hostile input.
fn saturated(shift: i128) -> i64 {
    i64::try_from(shift).unwrap_or(if shift < 0 { i64::MIN } else { i64::MAX })
}
