use expect_test::expect;
use rootspan_testkit::fixture;

use super::*;

const TRACE: &str = "
    cloudfront GET / 0ms 200ms server edge ttfb=150ms fbl=100ms lbl=120ms
      api GET / 0ms 80ms server clock=-3s error
        api SELECT 10ms 60ms client db=sqlite clock=-3s error id=q link=q
        api SELECT 10ms 60ms client db=sqlite clock=-3s id=q2
";

/// The header as text and the columns as bytes.
fn split(encoded: &[u8]) -> (&str, &[u8]) {
    assert_eq!(&encoded[..4], b"RSV1");
    let length = u32::from_le_bytes(encoded[4..8].try_into().expect("four bytes")) as usize;
    assert_eq!(length % 8, 0);
    let (header, columns) = encoded[8..].split_at(length);
    (std::str::from_utf8(header).expect("UTF-8").trim_end(), columns)
}

#[test]
#[expect(clippy::too_many_lines, reason = "the expectation is the whole view")]
fn the_header_says_what_the_columns_are() {
    let encoded = TraceView::build(&fixture::batch(TRACE), &[], 3).encode();
    let (header, _) = split(&encoded);
    let header: serde_json::Value = serde_json::from_str(header).expect("JSON");
    expect![[r#"
        {
          "traceId": "66697874757265207472616365206964",
          "spanCount": 4,
          "segmentCount": 8,
          "startTimeUnixNano": "1700000000000000000",
          "durationNanos": 200000000,
          "errorCount": 2,
          "strings": [
            "cloudfront",
            "GET /",
            "api",
            "SELECT"
          ],
          "operations": [
            [
              0,
              1,
              1,
              2
            ],
            [
              2,
              1,
              0,
              2
            ],
            [
              2,
              3,
              3,
              3
            ]
          ],
          "paths": [
            {
              "entryRow": 0,
              "firstSegment": 0,
              "segmentCount": 8
            }
          ],
          "links": [
            [
              3,
              1
            ]
          ],
          "shifts": [
            [
              1,
              3060000000
            ],
            [
              2,
              3060000000
            ],
            [
              3,
              3060000000
            ]
          ],
          "notices": [
            {
              "kind": "failure_origin",
              "text": "The failure started in api (SELECT), 70ms after the trace began.",
              "rows": [
                3
              ]
            },
            {
              "kind": "skew",
              "text": "Clocks disagree: 3 spans of api are drawn up to 3.06s later than recorded. Stored times are unchanged.",
              "rows": [
                1,
                2,
                3
              ]
            },
            {
              "kind": "omitted",
              "text": "The trace is larger than the limit: 4 spans are shown, 3 left out.",
              "rows": []
            }
          ]
        }"#]].assert_eq(&serde_json::to_string_pretty(&header).expect("JSON"));
}

#[test]
fn columns_are_aligned_and_in_order() {
    let view = TraceView::build(&fixture::batch(TRACE), &[], 0);
    let encoded = view.encode();
    let (_, columns) = split(&encoded);
    let (n, m) = (view.rows.start.len(), view.segments.row.len());
    let widths = [(n, 8), (n, 8), (n, 4), (n, 4), (n, 4), (n, 2), (n, 2), (m, 8), (m, 8), (m, 4), (m, 1)];
    let mut rest = columns;
    let mut found = Vec::new();
    for (count, width) in widths {
        let (column, after) = rest.split_at((count * width).next_multiple_of(8));
        found.push(&column[..count * width]);
        rest = after;
    }
    assert!(rest.is_empty());
    assert_eq!(found[0][8..16], *view.rows.span_id[1].as_bytes());
    assert_eq!(found[1][8..16], view.rows.start[1].to_le_bytes());
    assert_eq!(found[2][..4], 200e6_f32.to_le_bytes());
    assert_eq!(found[3][..8], [255, 255, 255, 255, 0, 0, 0, 0]);
    assert_eq!(found[4], [0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0]);
    assert_eq!(found[5], [0, 0, 1, 0, 2, 0, 2, 0]);
    assert_eq!(found[6][..2], (Flags::ROOT.0 | Flags::ON_PATH.0).to_le_bytes());
    assert_eq!(found[8][(m - 1) * 8..], 200e6_f64.to_le_bytes());
    assert_eq!(found[10].first(), Some(&SegmentKind::Edge.code()));
}

#[test]
fn conflicts_of_the_store_are_marked() {
    let view = TraceView::build(&fixture::batch(TRACE), &[1], 0);
    let marked: Vec<_> = view.rows.flags.iter().map(|flags| flags & Flags::DUPLICATE.0 != 0).collect();
    assert_eq!(marked, [false, true, false, false]);
    assert!(view.notices.iter().any(|notice| notice.kind == NoticeKind::Conflicts && notice.rows == [1]));
}

#[test]
fn an_empty_trace_has_a_view() {
    let view = TraceView::build(&fixture::batch(""), &[5], 0);
    assert!(split(&view.encode()).1.is_empty());
}

#[test]
fn times_out_of_range_are_drawn_all_the_same() {
    let view = TraceView::build(&fixture::batch("a b -1700000000s 1ms\na c 0ms 9000000000s"), &[], 0);
    assert!(view.rows.start.iter().all(|start| start.is_finite()));
    assert!(!view.encode().is_empty());
}
