use super::*;

#[test]
fn a_reservation_lives_as_long_as_its_owner() {
    let budget = Budget::new(100);
    let mut reservation = budget.try_reserve(40).expect("fits");
    assert_eq!(budget.try_reserve(61).err(), Some(Exhausted));
    reservation.resize(100).expect("fits exactly");
    assert_eq!(reservation.resize(101), Err(Exhausted));
    assert_eq!(reservation.bytes(), 100);

    drop(reservation);
    assert_eq!(budget.used(), 0);

    let mut buffer = PaidBuffer::with_capacity(&budget, 40).expect("fits");
    assert_eq!(buffer.append(&[7; 101], 200), Err(Exhausted));
    buffer.append(&[7; 10], 200).expect("fits");
    let (bytes, reservation) = buffer.into_parts();
    assert_eq!((bytes.len(), budget.used()), (10, 10), "what the buffer does not need is given back");
    drop(reservation);
    assert_eq!(budget.used(), 0);
}

#[test]
fn limits_follow_the_design() {
    assert_eq!(process_limit([512, 100].into_iter(), Some(8)), 100);
    assert_eq!(process_limit(std::iter::empty(), Some(1000)), 750);
    assert_eq!(process_limit(std::iter::empty(), None), 2 << 30);
    assert_eq!(payload_limit(1 << 30, 0, 0), (1 << 30) / 5 * 4);
    assert_eq!(payload_limit(1 << 20, 50 << 20, 0), 8 << 20);
}

/// Bombs that stopped at the budget had taken half as much again: a buffer that grows is there twice for a moment.
#[test]
fn growth_pays_for_the_old_and_the_new_buffer() {
    let budget = Budget::new(100);
    let mut buffer = PaidBuffer::with_capacity(&budget, 40).expect("fits");
    assert_eq!(buffer.resize(61), Err(Exhausted), "40 and 61 do not fit at once");
    assert_eq!(budget.used(), 40, "a refusal changes nothing");
    buffer.resize(60).expect("40 and 60 fit");
    assert_eq!(budget.used(), 60, "what was moved is given back");
}
