use std::collections::HashSet;

use super::*;

#[test]
fn ids_are_valid_and_differ_within_and_between_sources() {
    let sources = [IdSource::new().expect("the system has randomness"), IdSource::new().expect("and again")];
    let mut seen = HashSet::new();
    for source in &sources {
        for _ in 0..10_000 {
            assert!(source.trace_id().is_valid() && source.span_id().is_valid());
            assert!(seen.insert(source.trace_id()), "a trace id came twice");
        }
    }
}

#[test]
fn every_bit_of_an_id_is_random() {
    let source = IdSource::new().expect("the system has randomness");
    let mut ones = [0_u32; 128];
    for _ in 0..4_096 {
        let bits = u128::from_be_bytes(*source.trace_id().as_bytes());
        for (bit, count) in ones.iter_mut().enumerate() {
            *count += u32::from(bits >> bit & 1 == 1);
        }
    }
    // Six standard deviations of 32 around 2048: wrong once in a million runs at most.
    assert!(ones.iter().all(|count| count.abs_diff(2_048) < 200), "{ones:?}");
}
