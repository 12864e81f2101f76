use expect_test::{Expect, expect};
use proptest::prelude::*;
use rootspan_model::ids::SpanId;
use rootspan_model::span::SpanKind;
use rootspan_testkit::fixture::{self, FixtureSpan, FixtureValue, batch_of};
use rootspan_wire::otlp::batch::TraceBatch;

use super::*;
use crate::render;

fn check(text: &str, expected: &Expect) {
    let batch = fixture::batch(text);
    let tree = Tree::build(&batch);
    let paths = critical_path(&tree);
    assert_sums(&tree, &paths);
    expected.assert_eq(&render::paths(&tree, &paths));
}

/// Segments ascend, touch, and cover exactly the entry span.
fn assert_sums(tree: &Tree<'_>, paths: &[CriticalPath]) {
    assert_eq!(paths.len(), tree.entries().count());
    for path in paths {
        let entry = tree.node(path.entry_row);
        let rows: std::collections::HashSet<u32> = path.rows.iter().copied().collect();
        let mut at = entry.start;
        for segment in &path.segments {
            assert!(segment.start == at && segment.end > at, "{segment:?} does not follow {at}");
            assert!(rows.contains(&segment.row));
            at = segment.end;
        }
        assert_eq!(at, entry.end);
    }
}

#[test]
fn the_last_child_is_what_the_parent_waited_for() {
    check(
        "
        api GET / 0ms 100ms server
          api first 10ms 20ms internal
          api parallel-short 40ms 10ms internal
          api parallel-long 35ms 50ms internal
            api deep 60ms 20ms internal
        ",
        &expect![[r#"
            api GET / 100ms
              0ns +10ms self api GET /
              10ms +20ms self api first
              30ms +5ms self api GET /
              35ms +25ms self api parallel-long
              60ms +20ms self api deep
              80ms +5ms self api parallel-long
              85ms +15ms self api GET /
        "#]],
    );
}

#[test]
fn gaps_between_client_and_server_belong_to_the_edge_between_them() {
    check(
        "
        api GET / 0ms 100ms server
          api call 5ms 90ms client
            stock reserve 15ms 60ms server
              stock SELECT 20ms 50ms client db=postgresql
        ",
        &expect![[r#"
            api GET / 100ms
              0ns +5ms self api GET /
              5ms +10ms net_queue api call
              15ms +5ms self stock reserve
              20ms +50ms db stock SELECT
              70ms +5ms self stock reserve
              75ms +20ms net_queue api call
              95ms +5ms self api GET /
        "#]],
    );
}

#[test]
fn leaves_are_typed_by_what_they_call() {
    check(
        "
        api GET / 0ms 100ms server
          api GET payments 0ms 30ms client
          api SELECT 30ms 20ms internal db=sqlite
          api publish 50ms 10ms producer messaging=kafka id=p
          api receive 60ms 40ms consumer messaging=kafka messaging.operation.type=receive
        mail process 200ms 10ms consumer parent=p
        ",
        &expect![[r#"
            api GET / 100ms
              0ns +30ms external api GET payments
              30ms +20ms db api SELECT
              50ms +10ms queue api publish
              60ms +40ms queue api receive
        "#]],
    );
}

#[test]
fn long_own_time_between_children_is_a_gap() {
    check(
        "
        api GET / 0ms 100ms server
          api a 1ms 10ms internal
          api b 60ms 39ms internal
        ",
        &expect![[r#"
            api GET / 100ms
              0ns +1ms self api GET /
              1ms +10ms self api a
              11ms +49ms gap api GET /
              60ms +39ms self api b
              99ms +1ms self api GET /
        "#]],
    );
}

#[test]
fn what_is_not_waited_for_is_not_on_the_path() {
    check(
        "
        api GET / 0ms 50ms server
          api publish 10ms 2ms producer id=p
            mail process 11ms 30ms consumer
          api afterwards 50ms 30ms internal
          api outlives 40ms 30ms internal
        ",
        &expect![[r#"
            api GET / 50ms
              0ns +10ms gap api GET /
              10ms +2ms queue api publish
              12ms +28ms gap api GET /
              40ms +10ms self api outlives
        "#]],
    );
}

#[test]
fn nearly_consecutive_siblings_count_as_consecutive() {
    check(
        "
        api GET / 0ms 1000ms server
          api a 0ms 505ms internal
          api b 500ms 500ms internal
        ",
        &expect![[r#"
            api GET / 1s
              0ns +500ms self api a
              500ms +500ms self api b
        "#]],
    );
    check(
        "
        api GET / 0ms 1000ms server
          api a 0ms 505ms internal
          api b 500ms 500ms internal
          api third 502ms 10ms internal
        ",
        &expect![[r#"
            api GET / 1s
              0ns +500ms gap api GET /
              500ms +500ms self api b
        "#]],
    );
}

#[test]
fn the_viewers_span_is_split_by_its_own_measurements() {
    check(
        "
        cloudfront GET / 0ms 200ms server edge ttfb=150ms fbl=120ms lbl=140ms
          nginx GET / 40ms 90ms server
            api GET / 45ms 80ms server
        ",
        &expect![[r#"
            cloudfront GET / 200ms
              0ns +30ms edge cloudfront GET /
              30ms +10ms edge_to_origin cloudfront GET /
              40ms +5ms net_queue nginx GET /
              45ms +80ms self api GET /
              125ms +5ms net_queue nginx GET /
              130ms +20ms edge_to_origin cloudfront GET /
              150ms +20ms origin_transfer cloudfront GET /
              170ms +30ms viewer_transfer cloudfront GET /
        "#]],
    );
}

#[test]
fn a_backend_that_streams_covers_the_whole_origin_wait() {
    check(
        "
        cloudfront GET / 0ms 200ms server edge ttfb=150ms fbl=120ms lbl=160ms
          nginx GET / 31ms 158ms server
        ",
        &expect![[r#"
            cloudfront GET / 200ms
              0ns +30ms edge cloudfront GET /
              30ms +1ms edge_to_origin cloudfront GET /
              31ms +119ms self nginx GET /
              150ms +40ms origin_transfer cloudfront GET /
              190ms +10ms viewer_transfer cloudfront GET /
        "#]],
    );
}

#[test]
fn the_sum_of_the_way_to_the_origin_does_not_depend_on_clocks() {
    let sum = |clock: &str| {
        let batch = fixture::batch(&format!(
            "
            cloudfront GET / 0ms 200ms server edge ttfb=150ms fbl=120ms lbl=140ms
              nginx GET / 40ms 90ms server clock={clock}
            "
        ));
        let tree = Tree::build(&batch);
        let paths = critical_path(&tree);
        let kind = |segment: &&Segment| segment.kind == SegmentKind::EdgeToOrigin;
        paths[0].segments.iter().filter(kind).map(|segment| segment.end - segment.start).sum::<i128>()
    };
    for clock in ["0ms", "-9ms", "25ms", "-4s", "86400s"] {
        assert_eq!(sum(clock), 30_000_000, "{clock}");
    }
}

#[test]
fn less_is_said_about_the_edge_if_less_was_measured() {
    check(
        "
        cloudfront only-ttfb 0ms 200ms server edge ttfb=150ms
          nginx GET / 40ms 90ms server
        ",
        &expect![[r#"
            cloudfront only-ttfb 200ms
              0ns +40ms edge_to_origin cloudfront only-ttfb
              40ms +90ms self nginx GET /
              130ms +20ms edge_to_origin cloudfront only-ttfb
              150ms +50ms viewer_transfer cloudfront only-ttfb
        "#]],
    );
    check(
        "
        cloudfront nothing 0ms 200ms server edge
          nginx GET / 40ms 90ms server
        ",
        &expect![[r#"
            cloudfront nothing 200ms
              0ns +40ms edge_to_origin cloudfront nothing
              40ms +90ms self nginx GET /
              130ms +70ms edge_to_origin cloudfront nothing
        "#]],
    );
    check(
        "cloudfront hit 0ms 20ms server edge ttfb=1ms",
        &expect![[r#"
        cloudfront hit 20ms
          0ns +1ms edge cloudfront hit
          1ms +19ms viewer_transfer cloudfront hit
    "#]],
    );
    check(
        "cloudfront backend-not-recorded 0ms 20ms server edge ttfb=15ms fbl=12ms lbl=14ms",
        &expect![[r#"
        cloudfront backend-not-recorded 20ms
          0ns +3ms edge cloudfront backend-not-recorded
          3ms +12ms edge_to_origin cloudfront backend-not-recorded
          15ms +2ms origin_transfer cloudfront backend-not-recorded
          17ms +3ms viewer_transfer cloudfront backend-not-recorded
    "#]],
    );
}

#[test]
fn an_edge_function_between_cdn_and_origin_measures_the_way() {
    check(
        "
        cloudfront GET / 0ms 200ms server edge ttfb=150ms fbl=120ms
          lambda GET 30ms 120ms client edge
            nginx GET / 40ms 90ms server
        ",
        &expect![[r#"
            cloudfront GET / 200ms
              0ns +30ms edge cloudfront GET /
              30ms +10ms edge_to_origin lambda GET
              40ms +90ms self nginx GET /
              130ms +20ms edge_to_origin lambda GET
              150ms +50ms viewer_transfer cloudfront GET /
        "#]],
    );
}

#[test]
fn every_entry_has_a_path() {
    check(
        "
        api GET / 0ms 10ms server missing-parent
          api a 2ms 3ms internal
        api other 5ms 10ms server missing-parent
        api empty 5ms 0ms server missing-parent
        ",
        &expect![[r#"
            api GET / 10ms
              0ns +2ms gap api GET /
              2ms +3ms self api a
              5ms +5ms gap api GET /
            api other 10ms
              0ns +10ms self api other
            api empty 0ns
        "#]],
    );
}

fn span(number: usize, parent: SpanId, start: u64, end: u64) -> FixtureSpan {
    FixtureSpan {
        service: "s".to_owned(),
        name: "n".to_owned(),
        span_id: SpanId::new((number as u64 + 1).to_be_bytes()),
        parent_span_id: parent,
        start,
        end,
        ..FixtureSpan::default()
    }
}

fn build_and_sum(batch: &TraceBatch) {
    let tree = Tree::build(batch);
    assert_sums(&tree, &critical_path(&tree));
    for (row, node) in tree.nodes.iter().enumerate() {
        assert!(node.parent.is_none_or(|parent| (parent as usize) < row));
        assert!(node.subtree_end as usize > row && node.end >= node.start);
    }
}

#[test]
fn hostile_shapes_take_neither_stack_nor_time() {
    const MANY: usize = 100_000;
    const SOME: usize = 20_000;
    let id = |number: usize| SpanId::new((number as u64 + 1).to_be_bytes());
    let under = |number: usize, parent: Option<usize>| parent.filter(|_| number > 0).map_or_else(SpanId::default, id);
    let build = |count: usize, make: &dyn Fn(usize, u64) -> FixtureSpan| {
        let spans: Vec<_> = (0..count).map(|number| make(number, number as u64)).collect();
        build_and_sum(&batch_of(&spans));
    };
    // A chain, a star, one id for all, one span again and again, a circle, pairs of parents, orphans only.
    build(MANY, &|n, time| span(n, under(n, n.checked_sub(1)), time, u64::MAX));
    build(SOME, &|n, time| span(n, under(n, Some(0)), time, time * 2));
    build(SOME, &|_, time| span(0, SpanId::default(), time, time + 5));
    build(SOME, &|_, _| span(0, SpanId::default(), 1, 2));
    build(MANY, &|n, time| span(n, id((n + 1) % MANY), time, time + 9));
    build(SOME, &|n, time| span(n, id(n ^ 1), time, time + 9));
    build(SOME, &|n, _| span(n, id(n + SOME), 0, u64::MAX));
}

/// Spans whose ids, parents and times collide often; times anywhere in 64 bits.
fn any_span() -> impl Strategy<Value = FixtureSpan> {
    let time =
        prop_oneof![0_u64..50, (u64::MAX - 50)..=u64::MAX, any::<u64>(), (1_u64 << 40)..(1_u64 << 40) + 5_000_000];
    let seconds = || prop_oneof![Just(None), (0.0..0.01_f64).prop_map(Some), any::<f64>().prop_map(Some)];
    let cdn = (any::<bool>(), seconds(), seconds(), seconds());
    let ids = (0_u64..12, 0_u64..14);
    (ids, time.clone(), time, 0..6_i32, 0_u8..3, cdn, any::<bool>()).prop_map(
        |((id, parent), start, end, kind, service, (edge, first, origin, last), is_database)| {
            let mut attributes = Vec::new();
            for (key, value) in [
                ("aws.cloudfront.time_to_first_byte", first),
                ("aws.cloudfront.origin_first_byte_latency", origin),
                ("aws.cloudfront.origin_last_byte_latency", last),
            ] {
                attributes.extend(value.map(|value| (key.to_owned(), FixtureValue::Double(value))));
            }
            if is_database {
                attributes.push(("db.system.name".to_owned(), FixtureValue::Text("sqlite".to_owned())));
            }
            FixtureSpan {
                service: format!("service {service}"),
                name: "n".to_owned(),
                span_id: SpanId::new((id + 1).to_be_bytes()),
                parent_span_id: SpanId::new(parent.to_be_bytes()),
                start,
                end,
                kind: SpanKind::from_otlp(kind),
                edge,
                attributes,
                ..FixtureSpan::default()
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn segments_sum_to_the_entry_whatever_the_spans(spans in proptest::collection::vec(any_span(), 0..24)) {
        build_and_sum(&batch_of(&spans));
    }

    #[test]
    fn the_order_of_delivery_changes_nothing(
        spans in proptest::collection::vec(any_span(), 0..12),
        order in any::<proptest::sample::Index>(),
        reverse in any::<bool>(),
    ) {
        let print = |spans: &[FixtureSpan]| {
            let batch = batch_of(spans);
            let tree = Tree::build(&batch);
            format!("{}{}", render::tree(&tree), render::paths(&tree, &critical_path(&tree)))
        };
        let mut other = spans.clone();
        if !other.is_empty() {
            other.rotate_left(order.index(spans.len()));
        }
        if reverse {
            other.reverse();
        }
        prop_assert_eq!(print(&spans), print(&other));
    }
}
