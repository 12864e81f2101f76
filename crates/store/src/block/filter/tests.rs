use super::{Filter, HashedValue, key_hash, trace_hash, value_hash};

#[test]
fn never_a_false_negative_and_few_false_positives() {
    let key = key_hash("user.id");
    let hash = |number: i64| value_hash(key, HashedValue::Int(number));
    let filter = Filter::of_values((0..10_000).map(hash).collect::<Vec<_>>().into_iter());
    assert!((0..10_000).all(|number| filter.may_contain(hash(number))));
    let false_positives = (10_000..20_000).filter(|number| filter.may_contain(hash(*number))).count();
    assert!(false_positives < 600, "{false_positives} of 10,000 absent values");
}

#[test]
fn an_empty_filter_contains_nothing_and_a_missing_one_everything() {
    assert!(!Filter::of_traces(std::iter::empty::<u64>().collect::<Vec<_>>().into_iter()).may_contain(17));
    assert!(Filter::from_bytes(bytes::Bytes::new()).may_contain(17));
}

/// The hash is part of the format of blocks on disk: if this fails, the filters of old blocks would lie.
#[test]
fn hashes_are_stable() {
    let first = (trace_hash(&[7; 16]), value_hash(key_hash("http.route"), HashedValue::String("/cart")));
    expect_test::expect![["7d49dac83b87dac f2e51a2818bfb91e"]].assert_eq(&format!("{:x} {:x}", first.0, first.1));
}
