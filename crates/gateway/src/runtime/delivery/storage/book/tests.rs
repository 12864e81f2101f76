//! The account of a queue: what frames of a journal tell, and what a book tells of itself.

use rootspan_wire::otlp::payload::Signal;

use super::*;
use crate::runtime::delivery::storage::frame::RequestHead;

const ONE: Size = Size::of_request(10, 100);

fn size(requests: u64) -> Size {
    Size { requests, items: requests * 10, bytes: requests * 100 }
}

fn request(items_before: u64) -> Bytes {
    let head = RequestHead { signal: Signal::Traces, items: 10, items_before, taken: UnixNanos(7) };
    Bytes::from([head.encode().as_slice(), &[0; 100]].concat())
}

/// A book of an empty queue whose first segment begins with a state.
fn empty() -> Book {
    let mut book = Recovering::default().finish(Sequence(0));
    book.begin_segment(Sequence(1));
    book.appended_account(Sequence(1));
    book
}

#[test]
fn ranges_merge() {
    let mut ranges = Ranges::default();
    for (first, last) in [(5, 6), (1, 1), (3, 3), (2, 2), (9, 12), (7, 8), (20, 20), (30, 29)] {
        ranges.insert(first, last);
    }
    assert_eq!(ranges.iter().collect::<Vec<_>>(), [(1, 3), (5, 12), (20, 20)]);
    ranges.insert(2, 25);
    assert_eq!(ranges.iter().collect::<Vec<_>>(), [(1, 25)]);
    ranges.insert(0, u64::MAX);
    assert!(ranges.contains(u64::MAX) && ranges.through() == u64::MAX);
}

#[test]
fn what_is_kept_needs_no_reading_and_what_is_not_waits_on_disk() {
    let mut book = empty();
    book.appended(Sequence(2), ONE, UnixNanos(7), true);
    assert!(book.is_caught_up() && book.oldest() == Some(UnixNanos(7)));
    book.appended(Sequence(3), ONE, UnixNanos(8), false);
    book.appended(Sequence(4), ONE, UnixNanos(9), false);
    assert!(!book.is_caught_up());
    assert_eq!((book.next_read(), book.total(), book.outstanding_bytes()), (Sequence(3), size(3), 100));
    assert!(book.read_request(Sequence(3), ONE, UnixNanos(8)));
    assert!(!book.read_request(Sequence(3), ONE, UnixNanos(8)), "it is here already");
    book.settle(Sequence(3));
    book.settle(Sequence(3));
    assert_eq!(book.take_finished(), [], "the newest segment stays");
    book.settle(Sequence(2));
    assert_eq!(book.total(), size(1));
    assert!(book.read_request(Sequence(4), ONE, UnixNanos(9)) && book.is_caught_up());
    assert_eq!(book.take_lost(), Size::default());
}

#[test]
fn a_record_and_a_state_bring_back_the_book() {
    let mut book = empty();
    let mut frames = vec![(1, 1, Bytes::from(empty().state().encode_state()))];
    for sequence in 2..=5 {
        book.appended(Sequence(sequence), ONE, UnixNanos(7), true);
        frames.push((1, sequence, request((sequence - 2) * 10)));
    }
    book.settle(Sequence(4));
    frames.push((1, 6, book.record().encode_record().into()));
    book.appended_account(Sequence(6));
    book.recorded();
    assert!(!book.is_unrecorded());
    let recover = |frames: &[(u64, u64, Bytes)]| {
        let mut recovering = Recovering::default();
        frames.iter().for_each(|(segment, sequence, frame)| {
            recovering.visit(Sequence(*segment), Sequence(*sequence), frame);
        });
        recovering
    };
    let mut found = recover(&frames).finish(Sequence(6));
    assert_eq!((found.total(), found.next_read()), (size(3), Sequence(2)));
    let delivered = |book: &mut Book, sequence: u64| book.read_request(Sequence(sequence), ONE, UnixNanos(7));
    assert_eq!((2..=5).filter(|sequence| delivered(&mut found, *sequence)).collect::<Vec<_>>(), [2, 3, 5]);

    // A new segment begins with the state: the first is not needed any more.
    book.settle(Sequence(2));
    assert_eq!(book.take_finished(), []);
    let state = vec![(7, 7, Bytes::from(book.state().encode_state())), (7, 8, request(40))];
    let recovering = recover(&state);
    assert!(recovering.is_complete(&[Sequence(1), Sequence(7)]));
    assert!(!recovering.is_complete(&[Sequence(1), Sequence(3), Sequence(7)]), "nobody knows what is in one of them");
    let mut found = recovering.finish(Sequence(8));
    assert_eq!(found.total(), size(3));
    assert_eq!((3..=5).filter(|sequence| delivered(&mut found, *sequence)).collect::<Vec<_>>(), [3, 5]);
    // Without the state nothing is known about older segments.
    assert!(!recover(&state[1..]).is_complete(&[Sequence(1), Sequence(7)]));
    // With everything read it is the same as with the newest segment alone.
    let all = [frames, state].concat();
    assert_eq!(recover(&all).finish(Sequence(8)).total(), size(3));
}

#[test]
fn what_cannot_be_read_is_lost_once() {
    let mut recovering = Recovering::default();
    recovering.visit(Sequence(1), Sequence(1), &empty().state().encode_state().into());
    recovering.visit(Sequence(1), Sequence(2), &request(0));
    // Two requests are damaged.
    recovering.visit(Sequence(1), Sequence(5), &request(30));
    let mut book = recovering.finish(Sequence(5));
    assert_eq!(book.total().items, 40);
    assert!(book.read_request(Sequence(2), ONE, UnixNanos(7)));
    assert_eq!(book.take_lost(), Size::default(), "not yet");
    assert!(book.read_request(Sequence(5), ONE, UnixNanos(7)));
    assert_eq!(book.take_lost().items, 20);
    assert_eq!(book.take_lost(), Size::default());
    book.settle(Sequence(2));
    book.settle(Sequence(5));
    assert_eq!(book.total().items, 0);
}

#[test]
fn one_request_does_not_keep_the_segments_behind_it() {
    let mut book = empty();
    book.appended(Sequence(2), ONE, UnixNanos(7), true);
    for first in [3, 5, 7] {
        book.begin_segment(Sequence(first));
        book.appended_account(Sequence(first));
        book.appended(Sequence(first + 1), ONE, UnixNanos(7), true);
    }
    book.settle(Sequence(4));
    assert_eq!(book.take_finished(), [Sequence(3)]);
    let state = Bytes::from(book.state().encode_state());
    book.settle(Sequence(2));
    book.settle(Sequence(6));
    assert_eq!(book.take_finished(), [Sequence(1), Sequence(5)]);
    let mut recovering = Recovering::default();
    recovering.visit(Sequence(9), Sequence(9), &state);
    assert!(recovering.is_complete(&[1, 3, 5, 7, 9].map(Sequence)), "it is finished, though not removed");
    assert!(recovering.is_complete(&[1, 5, 7, 9].map(Sequence)));
    assert_eq!(recovering.finish(Sequence(9)).total(), size(3));
}
