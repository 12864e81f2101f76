//! The CDN's span comes last, sometimes by an hour: nothing waits for it, and when it comes it heads its trace.

use opentelemetry_proto::tonic::trace::v1::Span;

use crate::api;
use crate::otlp::{attribute, export_grpc, hex, now, request, span, trace_id};
use crate::process::{Setup, Site};
use crate::wait::eventually;

#[test]
fn a_root_an_hour_late_is_found_and_heads_its_trace() {
    let site = Site::new(Setup { store: ", seal_spans: 100, seal_after: 50ms", ..Setup::default() });
    let process = site.start();
    let ui = process.ui();
    let id = trace_id("late", 1);
    let start = now() - 3_600_000_000_000;
    let parent_span_id = 1u64.to_be_bytes().to_vec();
    let child = Span { parent_span_id, name: "GET /api/items".into(), ..span(&id, 2, start + 2_000_000) };
    export_grpc(process.otlp_grpc(), request("upstream", vec![child])).expect("it is accepted");
    // Other traffic, so that the hour is not the last one.
    export_grpc(process.otlp_grpc(), request("upstream", vec![span(&trace_id("late", 2), 9, now())]))
        .expect("it is accepted");
    let blocks = || crate::kill::files(&site.data(), "blocks", |name| name.ends_with(".parquet")).0;
    eventually("the backend's spans are sealed", || (blocks() >= 2).then_some(()));

    let row = |query: &str| {
        let rows = api::search(ui, query, "");
        rows.into_iter().find(|row| row["traceId"] == hex(&id).as_str())
    };
    let waiting = row("{}").expect("nothing waits for the root");
    assert_eq!((&waiting["rootMissing"], &waiting["rootService"]), (&true.into(), &"upstream".into()));
    assert_eq!(row(r#"{ resource.service.name = "cloudfront" }"#), None);

    let sealed = blocks();
    let root = Span {
        name: "GET /api/*".into(),
        attributes: vec![attribute("aws.cloudfront.edge_location", "FRA60-P4")],
        end_time_unix_nano: start + 187_000_000,
        ..span(&id, 1, start)
    };
    export_grpc(process.otlp_grpc(), request("cloudfront", vec![root])).expect("it is accepted");
    let check = || {
        for query in [
            "{}",
            r#"{ resource.service.name = "cloudfront" }"#,
            r#"{ span.aws.cloudfront.edge_location = "FRA60-P4" }"#,
            "{ duration > 100ms }",
        ] {
            let row = row(query).unwrap_or_else(|| panic!("{query} does not find it"));
            assert_eq!((&row["rootMissing"], &row["rootService"]), (&false.into(), &"cloudfront".into()), "{query}");
            assert_eq!((&row["rootName"], &row["spanCount"]), (&"GET /api/*".into(), &2.into()), "{query}");
            assert_eq!(row["startTimeUnixNano"], start.to_string().as_str(), "{query}");
            assert_eq!(row["durationNanos"], 187_000_000, "{query}");
        }
        assert_eq!(api::trace(ui, &hex(&id)).expect("it is there").len(), 2);
    };
    check();
    eventually("the root is sealed, too", || (blocks() > sealed).then_some(()));
    check();
    process.stop();
}
