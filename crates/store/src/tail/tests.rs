use std::sync::Arc;
use std::time::Duration;

use rootspan_journal::journal::Sequence;
use rootspan_model::time::UnixNanos;

use super::{HOUR_NANOS, Placement, Tail};
use crate::testing::{NOW, TestSpan, batch, trace_id};

fn placement() -> Placement {
    Placement::new(UnixNanos(NOW), Duration::from_hours(72))
}

fn insert(tail: &Tail, spans: &[TestSpan], sequence: u64) -> usize {
    tail.insert(batch(spans), Sequence(sequence), UnixNanos(NOW), placement())
}

#[test]
fn starts_are_clamped_for_placement_only() {
    let hour = |start: u64| placement().hour(start);
    let now = u32::try_from(NOW / HOUR_NANOS).expect("an hour");
    assert_eq!(hour(NOW), now);
    assert_eq!(hour(NOW - 1), now - 1);
    assert_eq!(hour(0), now - 72);
    assert_eq!(hour(u64::MAX), now + 1);
}

#[test]
fn identical_spans_are_kept_once_also_within_a_batch() {
    let tail = Arc::new(Tail::default());
    let span = TestSpan::default();
    let other = TestSpan { name: "other".to_owned(), ..span.clone() };
    assert_eq!(insert(&tail, &[span.clone(), span.clone(), other.clone()], 1), 2);
    assert_eq!(insert(&tail, &[other, span], 2), 0);
    let figures = tail.figures();
    assert_eq!((figures.spans, figures.through), (2, Sequence(2)));
    assert_eq!(tail.view().spans(&trace_id(1)).len(), 2);
}

#[test]
fn a_view_does_not_change() {
    let tail = Arc::new(Tail::default());
    insert(&tail, &[TestSpan::default()], 1);
    let view = tail.view();
    insert(&tail, &[TestSpan { span: 2, ..TestSpan::default() }], 2);
    assert_eq!(view.spans(&trace_id(1)).len(), 1);
    assert_eq!(tail.view().spans(&trace_id(1)).len(), 2);
}
