//! What the log says of a disk that takes nothing.

use std::sync::atomic::AtomicBool;

use rootspan_store::store::IngestError;

use super::{Edge, Refusing};

#[test]
fn only_the_edges_of_a_refusal_are_said() {
    let refusing = Refusing { directory: "here".to_owned(), is_refusing: AtomicBool::new(false) };
    let full = || Err(IngestError::DiskFull("1.0 % is free, 5 % must be".to_owned()));
    assert_eq!(refusing.observe(&Ok(())), None);
    assert_eq!(refusing.observe(&Err(IngestError::Busy(3))), None);
    let Some(Edge::Begins { reason, hint }) = refusing.observe(&full()) else { panic!("a refusal begins") };
    assert_eq!(reason, "the disk is full: 1.0 % is free, 5 % must be");
    assert!(hint.contains("make space"), "{hint}");
    assert_eq!(refusing.observe(&full()), None);
    assert_eq!(refusing.observe(&Err(IngestError::Io("it fails".to_owned()))), None);
    assert_eq!(refusing.observe(&Err(IngestError::Closed)), None);
    assert_eq!(refusing.observe(&Ok(())), Some(Edge::Ends));
    assert_eq!(refusing.observe(&Ok(())), None);
}
