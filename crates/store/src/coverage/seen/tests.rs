use std::sync::Arc;

use rootspan_journal::directory::memory::MemoryDirectory;

use super::*;
use crate::store::tests::options;

fn shared() -> Shared {
    Shared::new(Arc::new(MemoryDirectory::new()), options())
}

#[test]
fn only_some_bits_of_a_hash_are_kept() {
    let (shared, mut seen) = (shared(), Seen::default());
    seen.load(&shared, 1);
    assert_eq!(seen.look(1, 7), Sighting::First);
    assert_eq!(seen.look(1, 7 | 1 << 63), Sighting::Again);
    assert_eq!(seen.look(1, 8), Sighting::First);
}

#[test]
fn hours_that_are_not_needed_go() {
    let (shared, mut seen) = (shared(), Seen::with_limit(2 * ROOM_EVERY));
    for hour in [1, 2] {
        seen.load(&shared, hour);
        for request in 0..ROOM_EVERY as u64 {
            assert_eq!(seen.look(hour, request), Sighting::First);
        }
    }
    assert_eq!(seen.look(1, 5), Sighting::Again, "both fit");
    seen.load(&shared, 3);
    for request in 0..ROOM_EVERY as u64 {
        assert_eq!(seen.look(3, request), Sighting::First);
    }
    assert_eq!(seen.look(1, 5), Sighting::Unknowable, "the oldest went");
    assert_eq!(seen.look(2, 5), Sighting::Again);
}

#[test]
fn an_hour_with_too_many_remembers_the_first() {
    let (shared, mut seen) = (shared(), Seen::with_limit(10));
    seen.load(&shared, 1);
    let sightings: Vec<Sighting> = (0..12).map(|request| seen.look(1, request)).collect();
    assert_eq!(sightings.iter().filter(|sighting| **sighting == Sighting::First).count(), 10);
    assert_eq!(sightings[11], Sighting::Unknowable);
    assert_eq!((seen.look(1, 3), seen.look(1, 11)), (Sighting::Again, Sighting::Unknowable));
}
