use proptest::prelude::*;
use rootspan_journal::directory::memory::MemoryDirectory;
use rootspan_model::time::UnixNanos;
use rootspan_wire::cloudfront::observation::{Fate, Observation, StatusClass};

use super::*;
use crate::coverage::entry::FOLDER;

fn part(records: &[(u8, u32, u64, u64)]) -> HourGathered {
    let mut part = HourGathered::default();
    for (behaviour, minute, taken, hash) in records {
        let behaviour = ["/a", "/b", ""][usize::from(behaviour % 3)];
        let observation = Observation {
            fate: if *behaviour == *"/a" { Fate::Sampled } else { Fate::Kept },
            status: StatusClass::ServerError,
            distribution: "d1",
            behaviour,
            result_type: ["Hit", "Miss"][(taken % 2) as usize],
            end: Some(UnixNanos(*taken)),
            taken_nanos: Some(*taken),
            bytes: *taken,
            request: None,
            sent_to_origin: None,
        };
        part.coverage.observe(*minute, &observation, Some(UnixNanos(u64::MAX)));
        part.hashes.push(hash & ((1 << 40) - 1));
        let key = part.coverage.key("d1", behaviour);
        let (trace_id, span_id) = (TraceId::new([1; 16]), SpanId::new([2; 8]));
        part.misses.push(Miss { key, minute: *minute, arrived: 7, trace_id, span_id });
    }
    part
}

proptest! {
    #[test]
    fn what_is_written_is_read(records in proptest::collection::vec((any::<u8>(), any::<u32>(), any::<u64>(), any::<u64>()), 1..60)) {
        let disk = MemoryDirectory::new();
        disk.create_folder(FOLDER).expect("the folder is created");
        let part = part(&records);
        let entry = write(&disk, 3, 5, &part).expect("it is written");
        rootspan_journal::directory::checksum::rename(&disk, &unfinished_path(&entry), &entry.path()).expect("renamed");
        let content = read(&disk, &entry.path()).expect("it is read");
        let sums = |coverage: &Coverage| -> Vec<_> {
            coverage.cells().map(|(key, minute, counts)| (key.clone(), minute, counts.clone())).collect()
        };
        prop_assert_eq!(sums(&content.coverage), sums(&part.coverage));
        prop_assert_eq!(&content.misses, &part.misses);
        prop_assert_eq!(content.minutes(), Some((entry.min_minute, entry.max_minute)));
        let mut hashes = part.hashes.clone();
        hashes.sort_unstable();
        prop_assert_eq!(read_hashes(&disk, &entry).expect("they are read"), hashes);
    }

    #[test]
    fn anything_else_is_an_error_at_most(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        _ = decode(&bytes);
        _ = decode_hashes(&bytes);
        _ = sections(&bytes);
    }

    #[test]
    fn a_changed_body_is_an_error_at_most(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut body = encode_body(&part(&[(0, 1, 5, 9), (1, 2, 6, 10)]));
        let at = at.index(body.len());
        body[at] = byte;
        _ = decode(&body);
    }
}
