use std::collections::BTreeSet;

use super::{Payloads, for_each_span_id, origin_of, span_id};

#[test]
fn an_id_says_where_its_span_comes_from() {
    for (sequence, index) in [(0, 0), (1, 999), (u32::MAX, 5), (123_456_789, 0xf_ffff)] {
        assert_eq!(origin_of(span_id(sequence, index)), (sequence, index));
    }
}

#[test]
fn requests_have_the_promised_shape_and_every_span_an_id_of_its_own() {
    let payloads = Payloads::new(1000);
    let mut origins = BTreeSet::new();
    for sequence in 0..3 {
        let request = payloads.request(sequence);
        let per_span = request.len() / 1000;
        assert!((617..=637).contains(&per_span), "{per_span} bytes a span instead of 627");
        assert!(for_each_span_id(&request, |id| {
            origins.insert(origin_of(id));
        }));
    }
    let expected: BTreeSet<_> = (0..3).flat_map(|sequence| (0..1000).map(move |index| (sequence, index))).collect();
    assert_eq!(origins, expected);
}
