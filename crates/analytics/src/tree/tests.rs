use expect_test::{Expect, expect};
use rootspan_testkit::fixture::{self, FixtureSpan, batch_of};

use super::*;
use crate::render;

fn check(text: &str, expected: &Expect) {
    let batch = fixture::batch(text);
    expected.assert_eq(&render::tree(&Tree::build(&batch)));
}

#[test]
fn a_request_from_edge_to_database() {
    check(
        "
        downstream consume 300ms 20ms consumer parent=sent messaging=kafka
        cloudfront GET /checkout 0ms 1240ms server edge
          nginx GET /checkout 30ms 1140ms server
            upstream GET /checkout 40ms 1100ms server
              upstream SELECT 60ms 40ms client db=postgresql
              upstream publish 110ms 2ms producer messaging=kafka id=sent
              upstream GET 150ms 30ms client
              upstream receive 200ms 30ms consumer messaging=kafka messaging.operation.type=receive
        ",
        &expect![[r#"
            cloudfront GET /checkout 0ns 1.24s server cdn
              nginx GET /checkout 30ms 1.14s server proxy
                upstream GET /checkout 40ms 1.1s server
                  upstream SELECT 60ms 40ms client database
                  upstream publish 110ms 2ms producer queue
                    downstream consume 300ms 20ms consumer async
                  upstream GET 150ms 30ms client external
                  upstream receive 200ms 30ms consumer queue
        "#]],
    );
}

#[test]
fn parents_that_are_missing_leave_orphans() {
    check(
        "
        api GET / 0ms 10ms server
        api one 2ms 3ms internal missing-parent
          api two 3ms 1ms internal
        api three 1ms 3ms internal parent=nowhere
        ",
        &expect![[r#"
            api GET / 0ns 10ms server
            api three 1ms 3ms internal orphan
            api one 2ms 3ms internal orphan
              api two 3ms 1ms internal
            missing_parents [1 2]: 2 spans name 2 parents that are not in the trace.
        "#]],
    );
}

#[test]
fn a_root_may_come_later() {
    check(
        "
        nginx GET / 0ms 10ms server missing-parent
          api GET / 1ms 8ms server
        ",
        &expect![[r#"
            nginx GET / 0ns 10ms server proxy orphan
              api GET / 1ms 8ms server
            root_missing [0]: The root span has not been delivered yet. Spans made from CDN logs can come minutes later, rarely hours; until then the topmost spans stand in.
            missing_parents [0]: 1 span names 1 parent that is not in the trace.
        "#]],
    );
}

#[test]
fn the_same_span_is_shown_once_and_different_ones_all() {
    check(
        "
        api GET / 0ms 10ms server id=a
        api GET / 0ms 10ms server id=a
        api GET / 1ms 10ms server id=a
          api child 2ms 2ms internal
        ",
        &expect![[r#"
            api GET / 0ns 10ms server duplicate
              api child 2ms 2ms internal
            api GET / 1ms 10ms server duplicate
            duplicates []: 1 span arrived again unchanged and is shown once.
            conflicts [0 2]: 2 spans share an id with another span but differ from it; all are shown, children are below the earliest.
        "#]],
    );
}

#[test]
fn cycles_are_cut_at_their_earliest_span() {
    check(
        "
        api a 5ms 10ms server id=a parent=c
        api b 2ms 10ms server id=b parent=a
        api c 3ms 10ms server id=c parent=b
        api below 4ms 1ms internal parent=c
        api self 0ms 1ms internal id=s parent=s
        ",
        &expect![[r#"
            api self 0ns 1ms internal orphan
            api b 2ms 10ms server orphan
              api c 3ms 10ms server
                api below 4ms 1ms internal
                api a 5ms 10ms server
            children_outlive [2 4]: 2 spans end after the parents do; what is beyond is not part of the critical path.
            cycles [0 1]: 2 cycles among the spans: they name each other as parents. Each is cut at its earliest span.
        "#]],
    );
}

#[test]
fn clocks_that_disagree_are_shifted_into_the_parent() {
    check(
        "
        api GET / 0ms 100ms server instance=1
          api call 10ms 80ms client instance=1
            stock reserve 20ms 60ms server clock=500ms instance=7
              stock SELECT 30ms 20ms client db=sqlite clock=500ms instance=7
              stock lock 60ms 10ms internal clock=500ms instance=7
          api again 92ms 6ms client instance=1
            stock reserve 93ms 4ms server clock=500ms instance=7
        ",
        &expect![[r#"
            api GET / 0ns 100ms server
              api call 10ms 80ms client
                stock reserve 20ms 60ms server shift=-500ms
                  stock SELECT 30ms 20ms client database shift=-500ms
                  stock lock 60ms 10ms internal shift=-500ms
              api again 92ms 6ms client
                stock reserve 93ms 4ms server shift=-500ms
            skew [2 3 4 6]: Clocks disagree: 4 spans of stock are drawn up to 500ms earlier than recorded. Stored times are unchanged.
        "#]],
    );
}

#[test]
fn what_fits_or_nearly_fits_stays() {
    check(
        "
        api call 0ms 100ms client
          stock fits 40ms 30ms server
          stock sticks-out 60ms 41ms server
          stock gave-up-waiting 50ms 200ms server
        ",
        &expect![[r#"
            api call 0ns 100ms client
              stock fits 40ms 30ms server
              stock gave-up-waiting 50ms 200ms server
              stock sticks-out 60ms 41ms server
            children_outlive [2]: 1 span ends after the parent does; what is beyond is not part of the critical path.
        "#]],
    );
}

#[test]
fn messages_are_only_kept_from_arriving_before_they_are_sent() {
    check(
        "
        api publish 10ms 2ms producer
          mail late 5000ms 20ms consumer
          mail early 5ms 20ms consumer instance=2
          audit early-too 7ms 20ms consumer instance=3
        ",
        &expect![[r#"
            api publish 0ns 2ms producer queue
              mail early 0ns 20ms consumer async shift=+5ms
              audit early-too 0ns 20ms consumer async shift=+3ms
              mail late 4.99s 20ms consumer async
            skew [1 2]: Clocks disagree: 2 spans of mail, audit are drawn up to 5ms later than recorded. Stored times are unchanged.
        "#]],
    );
}

#[test]
fn the_origin_is_drawn_in_the_window_that_the_cdn_measured() {
    check(
        "
        cloudfront GET / 0ms 200ms server edge ttfb=150ms fbl=100ms lbl=120ms
          nginx GET / 0ms 80ms server clock=-3s
            api GET / 10ms 60ms server clock=-3s
        ",
        &expect![[r#"
            cloudfront GET / 0ns 200ms server cdn
              nginx GET / 60ms 80ms server proxy shift=+3.06s
                api GET / 70ms 60ms server shift=+3.06s
            skew [1 2]: Clocks disagree: 2 spans of nginx, api are drawn up to 3.06s later than recorded. Stored times are unchanged.
        "#]],
    );
}

#[test]
fn a_span_without_an_end_has_no_duration() {
    check(
        "api GET / 5ms -5ms server error event=x@1ms link=y",
        &expect![[r#"
        api GET / 0ns 0ns server error estimated events links
    "#]],
    );
}

#[test]
fn a_kept_edge_span_says_that_the_rest_is_not_recorded() {
    check(
        "cloudfront GET / 0ms 9ms server edge rootspan.kept_by=error error",
        &expect![[r#"
        cloudfront GET / 0ns 9ms server cdn error kept
        backend_not_recorded [0]: The CDN kept this span although the trace was not sampled, so the services behind it recorded nothing.
    "#]],
    );
}

#[test]
fn an_edge_span_with_derived_ids_says_that_the_rest_cannot_be_joined() {
    check(
        "cloudfront GET / 0ms 9ms server edge aws.cloudfront.context=derived",
        &expect![[r#"
        cloudfront GET / 0ns 9ms server cdn derived
        derived_ids [0]: The CDN's ids are derived from the request id, because its log has none of the edge function: backend spans cannot be joined.
    "#]],
    );
    check(
        "
        cloudfront GET / 0ms 9ms server edge aws.cloudfront.context=derived
          api GET / 1ms 7ms server
        ",
        &expect![[r#"
        cloudfront GET / 0ns 9ms server cdn derived
          api GET / 1ms 7ms server
        derived_ids [0]: The CDN's ids are derived from the request id, because its log has none of the edge function. The spans behind it bear the same ids.
    "#]],
    );
    check(
        "cloudfront GET / 0ms 9ms server edge aws.cloudfront.context=function",
        &expect![[r#"
        cloudfront GET / 0ns 9ms server cdn
    "#]],
    );
}

#[test]
fn the_order_of_delivery_does_not_matter() {
    let mut spans = fixture::parse(
        "
        api GET / 0ms 100ms server
          api call 10ms 80ms client
            stock a 20ms 30ms server clock=500ms
            stock b 55ms 30ms server clock=500ms
          api x 12ms 1ms internal
          api y 12ms 1ms internal
        ",
    )
    .expect("a fixture");
    let print = |spans: &[FixtureSpan]| render::tree(&Tree::build(&batch_of(spans)));
    let expected = print(&spans);
    for _ in 0..spans.len() {
        spans.rotate_left(1);
        assert_eq!(print(&spans), expected);
    }
    spans.reverse();
    assert_eq!(print(&spans), expected);
}

#[test]
fn nothing_is_a_tree_too() {
    let batch = batch_of(&[]);
    let tree = Tree::build(&batch);
    assert!(tree.nodes.is_empty() && tree.notices.is_empty());
}
