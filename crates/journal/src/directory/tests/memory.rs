//! What a loss of power leaves.

use std::collections::BTreeSet;

use crate::directory::Directory;
use crate::directory::memory::file::SECTOR_BYTES;
use crate::directory::memory::{MemoryDirectory, Survival};
use crate::directory::tests::{read, write};

fn names(directory: &MemoryDirectory, folder: &str) -> Vec<String> {
    directory.list(folder).expect("it exists").into_iter().map(|entry| entry.name).collect()
}

#[test]
fn only_synced_bytes_and_names_are_sure() {
    let memory = MemoryDirectory::new();
    let mut file = write(&memory, "a", b"synced");
    file.append(b" not synced").expect("there is space");
    assert_eq!(names(&memory.after_power_loss(Survival::Nothing), ""), Vec::<String>::new(), "the name is not synced");
    memory.sync_folder("").expect("it exists");
    assert_eq!(read(&memory.after_power_loss(Survival::Nothing), "a"), b"synced");
    assert_eq!(read(&memory.after_power_loss(Survival::Everything), "a"), b"synced not synced");
    memory.truncate("a", 3).expect("it exists");
    assert_eq!(read(&memory.after_power_loss(Survival::Nothing), "a"), b"synced", "shortening is not synced either");
    file.append(b"!").expect("there is space");
    file.sync().expect("the disk is well");
    assert_eq!(read(&memory.after_power_loss(Survival::Nothing), "a"), b"syn!");
}

#[test]
fn renames_and_removals_are_undone_unless_synced() {
    let memory = MemoryDirectory::new();
    memory.create_folder("f").expect("there is space");
    write(&memory, "f/a", b"a");
    memory.sync_folder("f").expect("it exists");
    assert_eq!(
        names(&memory.after_power_loss(Survival::Nothing), ""),
        Vec::<String>::new(),
        "the folder is not synced"
    );
    memory.sync_folder("").expect("it exists");
    write(&memory, "f/b", b"b");
    memory.rename("f/b", "f/a").expect("it exists");
    assert_eq!(read(&memory.after_power_loss(Survival::Nothing), "f/a"), b"a");
    for seed in 0..50 {
        let found = memory.after_power_loss(Survival::Random(seed));
        let bytes = read(&found, "f/a");
        assert!(bytes == b"a" || bytes == b"b", "a rename is all or nothing");
    }
    memory.sync_folder("f").expect("it exists");
    let found = memory.after_power_loss(Survival::Nothing);
    assert_eq!((names(&found, "f"), read(&found, "f/a")), (vec!["a".to_owned()], b"b".to_vec()));
    memory.remove("f/a").expect("it exists");
    assert_eq!(names(&memory.after_power_loss(Survival::Nothing), "f"), ["a"]);
}

#[test]
fn unsynced_writes_are_torn_and_reordered() {
    let memory = MemoryDirectory::new();
    let mut file = write(&memory, "a", &[1; SECTOR_BYTES]);
    memory.sync_folder("").expect("it exists");
    file.append(&[2; 3 * SECTOR_BYTES]).expect("there is space");
    let outcome = |seed| read(&memory.after_power_loss(Survival::Random(seed)), "a");
    let mut outcomes = BTreeSet::new();
    for seed in 0..200 {
        let bytes = outcome(seed);
        assert_eq!(bytes, outcome(seed), "a seed decides");
        assert_eq!(bytes[..SECTOR_BYTES], [1; SECTOR_BYTES], "synced bytes stay");
        outcomes.insert(bytes);
    }
    let is_reordered =
        |bytes: &Vec<u8>| bytes.len() == 4 * SECTOR_BYTES && bytes[SECTOR_BYTES] == 0 && bytes.ends_with(&[2]);
    assert!(outcomes.iter().any(is_reordered));
    assert!(outcomes.iter().any(|bytes| bytes.len() % SECTOR_BYTES != 0), "torn");
    assert!(outcomes.len() > 20);
}

#[test]
fn a_full_volume_takes_what_fits() {
    let memory = MemoryDirectory::new();
    memory.set_capacity(10);
    let mut file = write(&memory, "a", b"12345678");
    let refused = file.append(b"9abc").expect_err("only two bytes fit");
    assert_eq!(refused.kind(), std::io::ErrorKind::StorageFull);
    assert_eq!(read(&memory, "a"), b"123456789a");
    assert_eq!(memory.space().expect("it is known").free, 0);
    memory.remove("a").expect("it exists");
    assert_eq!(memory.space().expect("it is known").free, 10);
}
