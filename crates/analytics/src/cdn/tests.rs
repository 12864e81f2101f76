use super::*;

fn timings(first_byte: Option<u64>, origin_first_byte: Option<u64>, origin_last_byte: Option<u64>) -> Timings {
    Timings { first_byte, origin_first_byte, origin_last_byte }
}

fn edges(timings: Timings) -> (i128, i128, i128) {
    let phases = timings.phases(1000, 2000);
    (phases.origin_start, phases.first_byte, phases.origin_last_byte)
}

#[test]
fn phases_are_those_of_the_durations() {
    assert_eq!(edges(timings(Some(700), Some(600), Some(650))), (1100, 1700, 1750));
    assert_eq!(edges(timings(Some(700), Some(600), None)), (1100, 1700, 1700));
    assert_eq!(edges(timings(Some(700), None, Some(650))), (1000, 1700, 1700));
    assert_eq!(edges(timings(None, Some(600), Some(650))), (1000, 2000, 2000));
}

#[test]
fn contradictions_are_cut_to_fit() {
    assert_eq!(edges(timings(Some(u64::MAX), Some(u64::MAX), Some(u64::MAX))), (1000, 2000, 2000));
    assert_eq!(edges(timings(Some(100), Some(600), Some(10))), (1000, 1100, 1100));
}

#[test]
fn odd_numbers_are_absent() {
    assert_eq!(nanos(f64::NAN), None);
    assert_eq!(nanos(-0.1), None);
    assert_eq!(nanos(0.0015), Some(1_500_000));
    assert_eq!(nanos(1e300), Some(u64::MAX));
}
