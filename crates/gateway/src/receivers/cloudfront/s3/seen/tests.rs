use rootspan_journal::directory::memory::MemoryDirectory;

use super::*;

const HOUR: u64 = 3_600_000_000_000;
const LOOKBACK: Duration = Duration::from_secs(26 * 3600);

fn object(key: &str, etag: &str, hour: u64) -> Listed {
    Listed { key: key.to_owned(), etag: etag.to_owned(), bytes: 1, modified: UnixNanos(hour * HOUR) }
}

#[test]
fn what_was_marked_is_known_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut seen, damaged) = Seen::open(folder.path()).expect("empty");
    assert_eq!((seen.len(), damaged), (0, Vec::new()));
    let (one, two) = (object("a", "1", 100), object("b", "1", 101));
    seen.mark(&[one.clone(), two.clone()]).expect("written");
    seen.complete(UnixNanos(102 * HOUR), UnixNanos(76 * HOUR)).expect("written");
    drop(seen);
    let (seen, _) = Seen::open(folder.path()).expect("there");
    assert!(seen.has(&one) && seen.has(&two));
    assert!(!seen.has(&object("a", "2", 100)), "replaced: another ETag");
    assert!(!seen.has(&object("c", "1", 100)));
    assert_eq!(seen.window(UnixNanos(110 * HOUR), LOOKBACK), UnixNanos(76 * HOUR), "from the last complete look on");
}

#[test]
fn two_owners_there_are_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = Seen::open(folder.path()).expect("free");
    assert!(matches!(Seen::open(folder.path()), Err(SeenError::InUse)));
    drop(first);
    assert!(Seen::open(folder.path()).is_ok());
}

#[test]
fn what_is_older_than_the_window_is_forgotten_also_on_disk() {
    let directory = Arc::new(MemoryDirectory::default());
    let (mut seen, _) = Seen::open_in(Arc::clone(&directory) as Arc<dyn Directory>).expect("empty");
    for hour in 0..200 {
        let objects: Vec<_> = (0..1000).map(|number| object(&format!("{hour}-{number}"), "1", hour)).collect();
        seen.mark(&objects).expect("written");
        seen.complete(UnixNanos(hour * HOUR), UnixNanos(hour.saturating_sub(26) * HOUR)).expect("written");
        assert!(seen.len() <= 27_000, "{} objects after {hour} hours", seen.len());
    }
    let bytes = seen.journal().bytes_on_disk();
    assert!(bytes < 27_000 * 30 + 2 * SEGMENT_BYTES, "{bytes} bytes on disk");
    assert!(seen.has(&object("199-0", "1", 199)) && !seen.has(&object("1-0", "1", 1)));
}

#[test]
fn the_first_window_reaches_back_from_now() {
    let (seen, _) = Seen::open_in(Arc::new(MemoryDirectory::default())).expect("empty");
    assert_eq!(seen.window(UnixNanos(100 * HOUR), LOOKBACK), UnixNanos(74 * HOUR));
    assert_eq!(seen.window(UnixNanos(HOUR), LOOKBACK), UnixNanos(0));
}
