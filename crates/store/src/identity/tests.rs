use rootspan_model::conventions::cloudfront;

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

/// The CDN's span of a request, from a log with ids from somewhere.
fn of_cdn(request: &str, log: &str, context: &str) -> TestSpan {
    let attributes = [(cloudfront::REQUEST_ID, request), (cloudfront::LOG, log), (cloudfront::CONTEXT, context)];
    let attributes = attributes.into_iter().filter(|(_, value)| !value.is_empty());
    let text = |(key, value): (&str, &str)| (key.to_owned(), Value::Text(value.to_owned()));
    TestSpan { attributes: attributes.map(text).collect(), ..TestSpan::default() }
}

#[test]
fn the_best_source_of_the_cdns_span_replaces_the_others() {
    let best_first = [
        of_cdn("r", "real_time", "function"),
        of_cdn("r", "standard", "function"),
        of_cdn("r", "real_time", "derived"),
        of_cdn("r", "standard", "derived"),
        of_cdn("r", "", "function"),
    ];
    for (rank, best) in best_first.iter().enumerate() {
        for worse in &best_first[rank + 1..] {
            for order in [[best, worse], [worse, best]] {
                let resolved = resolve(order.map(loose).to_vec());
                assert_eq!(resolved.conflicting.len(), 0);
                let kept: Vec<_> = resolved.spans.into_iter().map(|span| span.bytes).collect();
                assert_eq!(kept, [loose(best).bytes], "{best:?} and {worse:?}");
            }
        }
    }
}

#[test]
fn another_request_and_the_same_source_replace_nothing() {
    let span = of_cdn("r", "standard", "function");
    let other_request = of_cdn("s", "standard", "derived");
    assert_eq!(resolve(vec![loose(&span), loose(&other_request)]).conflicting.len(), 2);
    let changed = TestSpan { name: "other".to_owned(), ..span.clone() };
    assert_eq!(resolve(vec![loose(&span), loose(&changed)]).conflicting.len(), 2);
    let of_a_service = TestSpan::default();
    assert_eq!(resolve(vec![loose(&span), loose(&of_a_service)]).conflicting.len(), 2);
}
