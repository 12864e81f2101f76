//! The view as a browser decodes it, against the fixture that was stored.

use std::collections::BTreeMap;

use http::StatusCode;
use rootspan_testkit::fixture::{TRACE_ID, batch, span_id};

use crate::testing::{START, fetch, get, ingest_batch, serve, store};

const CHECKOUT: &str = "
cloudfront GET /checkout 0ms 1240ms server edge ttfb=1200ms fbl=1150ms lbl=1180ms id=edge
  nginx GET /checkout 30ms 1140ms server id=nginx
    upstream POST /checkout 40ms 1100ms server id=upstream
      upstream SELECT orders 60ms 40ms client db=postgresql id=select
      upstream publish 110ms 2ms producer messaging=kafka id=sent error=\"queue full\"
downstream consume 300ms 20ms consumer parent=sent id=consume
";

/// The binary form, column by column.
struct View {
    header: serde_json::Value,
    columns: Vec<u8>,
    rows: usize,
}

/// One row, looked up by its span id.
struct Row {
    start: f64,
    duration: f32,
    parent: Option<[u8; 8]>,
    name: String,
    flags: u16,
}

impl View {
    fn decode(bytes: &[u8]) -> Self {
        assert_eq!(&bytes[..4], b"RSV1");
        let length = u32::from_le_bytes(bytes[4..8].try_into().expect("four bytes")) as usize;
        assert_eq!((8 + length) % 8, 0);
        let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).expect("JSON and spaces");
        let rows = usize::try_from(header["spanCount"].as_u64().expect("a count")).expect("small");
        Self { header, columns: bytes[8 + length..].to_vec(), rows }
    }

    /// The values of the column that begins after columns of `before` bytes a row.
    fn column<const N: usize>(&self, before: &[usize]) -> Vec<[u8; N]> {
        let start: usize = before.iter().map(|width| (width * self.rows).next_multiple_of(8)).sum();
        let bytes = &self.columns[start..start + N * self.rows];
        bytes.as_chunks().0.to_vec()
    }

    fn spans(&self) -> BTreeMap<[u8; 8], Row> {
        let ids: Vec<[u8; 8]> = self.column(&[]);
        let starts = self.column(&[8]).into_iter().map(f64::from_le_bytes);
        let durations = self.column(&[8, 8]).into_iter().map(f32::from_le_bytes);
        let parents = self.column(&[8, 8, 4]).into_iter().map(u32::from_le_bytes);
        let operations = self.column(&[8, 8, 4, 4]).into_iter().map(u32::from_le_bytes);
        let flags = self.column(&[8, 8, 4, 4, 4, 2]).into_iter().map(u16::from_le_bytes);
        let rows = ids.iter().zip(starts).zip(durations).zip(parents).zip(operations).zip(flags);
        rows.map(|(((((id, start), duration), parent), operation), flags)| {
            let name = self.header["operations"][operation as usize][1].as_u64().expect("an index");
            let name = self.header["strings"][usize::try_from(name).expect("small")].as_str().expect("a text");
            (*id, Row { start, duration, parent: ids.get(parent as usize).copied(), name: name.to_owned(), flags })
        })
        .collect()
    }
}

#[tokio::test]
async fn a_view_decodes_to_what_was_stored() {
    let (store, stored) = (store(), batch(CHECKOUT));
    ingest_batch(&store, stored.clone()).await;
    let server = serve(&store, None);
    let answer = get(&server, &format!("/api/v1/traces/{TRACE_ID}/view")).await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/octet-stream"));
    let view = View::decode(&answer.body);
    assert_eq!(view.header["traceId"], TRACE_ID.to_string());
    assert_eq!(view.header["startTimeUnixNano"], START.0.to_string());
    assert_eq!(view.header["durationNanos"], 1_240_000_000_u64);
    assert_eq!(view.header["errorCount"], 1);
    let spans = view.spans();
    assert_eq!(spans.len(), 6);
    for entry in stored.spans() {
        let Row { start, duration, parent, name, flags } = &spans[entry.span.span_id.as_bytes()];
        // The CDN's durations say that the origin was asked later than its clock claims.
        let details = get(&server, &format!("/api/v1/traces/{TRACE_ID}/spans/{}", entry.span.span_id)).await.json();
        let shift = details["shiftNanos"].as_u64().expect("never back in this trace");
        assert_eq!(shift > 0, flags >> 3 & 1 != 0, "{name}");
        assert_eq!(*start, (entry.span.start.nanos_since(START) + shift) as f64);
        assert_eq!(*duration, entry.span.duration_nanos() as f32);
        assert_eq!(name, entry.span.name);
        let expected = entry.span.parent_span_id.is_valid().then(|| *entry.span.parent_span_id.as_bytes());
        assert_eq!(*parent, expected, "{name}");
        assert_eq!(flags & 1 != 0, entry.span.span_id == span_id("sent"), "{name}");
        assert_eq!(flags >> 8 & 1 != 0, entry.span.span_id == span_id("edge"), "{name}");
    }
}

#[tokio::test]
async fn the_segments_of_a_path_sum_to_its_entry_span() {
    let store = store();
    ingest_batch(&store, batch(CHECKOUT)).await;
    let server = serve(&store, None);
    let answer = get(&server, &format!("/api/v1/traces/{TRACE_ID}/view")).await;
    let view = View::decode(&answer.body);
    let count = usize::try_from(view.header["segmentCount"].as_u64().expect("a count")).expect("small");
    let widths = [8, 8, 4, 4, 4, 2, 2];
    let start: usize = widths.iter().map(|width| (width * view.rows).next_multiple_of(8)).sum();
    let times =
        |from: usize| view.columns[from..from + 8 * count].as_chunks().0.iter().copied().map(f64::from_le_bytes);
    let sum: f64 = times(start + 8 * count).sum::<f64>() - times(start).sum::<f64>();
    assert_eq!(view.header["paths"].as_array().map(Vec::len), Some(1));
    assert_eq!(sum, 1_240_000_000.0);
}

#[tokio::test]
async fn views_of_large_traces_are_compressed_and_absent_ones_are_not_found() {
    let store = store();
    let text: String = (0..500).map(|number| format!("shop step{number} {number}ms 1ms internal\n")).collect();
    ingest_batch(&store, batch(&text)).await;
    let server = serve(&store, None);
    let target = format!("/api/v1/traces/{TRACE_ID}/view");
    let plain = get(&server, &target).await;
    let packed = fetch(&server, "GET", &target, &[("accept-encoding", "gzip")]).await;
    assert_eq!(View::decode(&plain.body).rows, 500);
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert!(packed.body.len() < plain.body.len());
    assert_eq!(get(&server, "/api/v1/traces/1/view").await.status, StatusCode::NOT_FOUND);
    assert_eq!(get(&server, &format!("{target}?x=1")).await.status, StatusCode::BAD_REQUEST);
}
