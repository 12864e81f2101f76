use super::resolve;
use crate::block::loose::LooseSpan;
use crate::testing::{TestSpan, Value, batch};

fn loose(span: &TestSpan) -> LooseSpan {
    let batch = batch(std::slice::from_ref(span));
    LooseSpan::of(&batch.span(0), &batch)
}

#[test]
fn the_order_of_attributes_makes_no_difference() {
    let attributes = vec![("a".to_owned(), Value::Int(1)), ("b".to_owned(), Value::Int(2))];
    let span = TestSpan { attributes: attributes.clone(), ..TestSpan::default() };
    let reordered = TestSpan { attributes: attributes.into_iter().rev().collect(), ..TestSpan::default() };
    let resolved = resolve(vec![loose(&span), loose(&reordered)]);
    assert_eq!((resolved.spans.len(), resolved.conflicting.len()), (1, 0));
}

#[test]
fn other_content_is_kept_and_marked() {
    let span = TestSpan::default();
    let others = [
        TestSpan { name: "other".to_owned(), ..span.clone() },
        TestSpan { service: "other".to_owned(), ..span.clone() },
        TestSpan { kind: 3, ..span.clone() },
        TestSpan { events: vec!["e".to_owned()], ..span.clone() },
    ];
    for other in others {
        let resolved = resolve(vec![loose(&span), loose(&other), loose(&span)]);
        assert_eq!((resolved.spans.len(), resolved.conflicting.as_slice()), (2, [0, 1].as_slice()), "{other:?}");
    }
}

#[test]
fn the_order_of_events_makes_a_difference() {
    let events = vec!["first".to_owned(), "second".to_owned()];
    let span = TestSpan { events: events.clone(), ..TestSpan::default() };
    let reordered = TestSpan { events: events.into_iter().rev().collect(), ..TestSpan::default() };
    assert_eq!(resolve(vec![loose(&span), loose(&reordered)]).conflicting.len(), 2);
}
