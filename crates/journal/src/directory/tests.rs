//! What every directory promises, tried on each; then what each one adds.

mod checksum;
mod memory;

use std::io::ErrorKind;
use std::sync::Arc;

use crate::directory::faulty::{Faults, FaultyDirectory};
use crate::directory::files::FilesDirectory;
use crate::directory::memory::MemoryDirectory;
use crate::directory::{Directory, Entry, LOCK_NAME, WritableFile, create_folder_durably, join, parent};

/// Runs `check` on a real folder, one in memory and one behind the faulty door.
fn check(check: impl Fn(&dyn Directory)) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    check(&FilesDirectory::open(folder.path().join("new/data")).expect("the folder is ours"));
    check(&MemoryDirectory::new());
    check(&FaultyDirectory::new(MemoryDirectory::new(), Faults::default()));
}

fn write(directory: &dyn Directory, path: &str, bytes: &[u8]) -> Box<dyn WritableFile> {
    let mut file = directory.create(path).expect("it does not exist");
    file.append(bytes).expect("there is space");
    file.sync().expect("the disk is well");
    file
}

fn read(directory: &dyn Directory, path: &str) -> Vec<u8> {
    let file = directory.open_read(path).expect("it exists");
    let length = file.length().expect("it can be read");
    file.read(0, length as usize).expect("it can be read").to_vec()
}

fn kind<T>(result: std::io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

#[test]
fn files_are_appended_to_shortened_and_read_anywhere() {
    check(|directory| {
        let mut file = write(directory, "a", b"0123");
        let open = directory.open_read("a").expect("it exists");
        file.append(b"456").expect("there is space");
        assert_eq!(read(directory, "a"), b"0123456");
        assert_eq!(open.length().expect("it can be read"), 7, "a reader sees what was appended");
        assert_eq!(open.read(2, 3).expect("it is that long").as_ref(), b"234");
        assert_eq!(open.read(7, 0).expect("nothing is there").as_ref(), b"");
        assert_eq!(kind(open.read(5, 3)), Some(ErrorKind::UnexpectedEof));
        assert_eq!(kind(open.read(u64::MAX, 1 << 40)), Some(ErrorKind::UnexpectedEof));
        directory.truncate("a", 2).expect("it exists");
        directory.truncate("a", 100).expect("it is shorter already");
        file.append(b"x").expect("there is space");
        assert_eq!(read(directory, "a"), b"01x", "appending goes on at the new end");
        directory.open_append("a").expect("it exists").append(b"y").expect("there is space");
        assert_eq!(read(directory, "a"), b"01xy");
        directory.remove("a").expect("it exists");
        assert_eq!(open.read(0, 4).expect("it stays readable").as_ref(), b"01xy");
    });
}

#[test]
fn names_are_listed_renamed_and_removed() {
    check(|directory| {
        create_folder_durably(directory, "b/c").expect("there is space");
        directory.create_folder("b/c").expect("an existing one is fine");
        write(directory, "b/two", b"22");
        write(directory, "b/one", b"1");
        directory.rename("b/two", "b/one").expect("the target is replaced");
        assert_eq!(read(directory, "b/one"), b"22");
        write(directory, "b/zero", b"");
        let entry = |name: &str, is_folder, length| Entry { name: name.to_owned(), is_folder, length };
        let listed = directory.list("b").expect("it exists");
        assert_eq!(listed, [entry("c", true, 0), entry("one", false, 2), entry("zero", false, 0)]);
        assert_eq!(directory.list("").expect("the top exists"), [entry("b", true, 0)]);
        assert_eq!(kind(directory.remove_folder("b")), Some(ErrorKind::DirectoryNotEmpty));
        directory.remove_folder("b/c").expect("it is empty");
        directory.rename("b/zero", "zero").expect("folders do not matter");
        directory.sync_folder("").expect("it exists");
        assert_eq!(directory.list("b").expect("it exists").len(), 1);
        let space = directory.space().expect("it is known");
        assert!(space.free <= space.total && space.total > 0);
    });
}

#[test]
fn what_is_not_there_says_so() {
    check(|directory| {
        write(directory, "a", b"");
        assert_eq!(kind(directory.create("a")), Some(ErrorKind::AlreadyExists));
        assert_eq!(kind(directory.create("none/a")), Some(ErrorKind::NotFound));
        assert_eq!(kind(directory.open_append("none")), Some(ErrorKind::NotFound));
        assert_eq!(kind(directory.open_read("none")), Some(ErrorKind::NotFound));
        assert_eq!(kind(directory.truncate("none", 0)), Some(ErrorKind::NotFound));
        assert_eq!(kind(directory.rename("none", "b")), Some(ErrorKind::NotFound));
        assert_eq!(kind(directory.remove("none")), Some(ErrorKind::NotFound));
        assert_eq!(kind(directory.list("none")), Some(ErrorKind::NotFound));
        assert_eq!(kind(directory.sync_folder("none")), Some(ErrorKind::NotFound));
        assert_eq!(kind(directory.remove_folder("none")), Some(ErrorKind::NotFound));
    });
}

#[test]
fn paths_never_leave_the_folder() {
    check(|directory| {
        directory.create_folder("in").expect("there is space");
        for path in
            ["", "/etc", "..", "../x", "in/../../x", "in//x", "./x", "in/", "a\\b", "a\0b", LOCK_NAME, "in/.lock"]
        {
            assert_eq!(kind(directory.create(path)), Some(ErrorKind::InvalidInput), "{path:?}");
            assert_eq!(kind(directory.open_append(path)), Some(ErrorKind::InvalidInput), "{path:?}");
            assert_eq!(kind(directory.open_read(path)), Some(ErrorKind::InvalidInput), "{path:?}");
            assert_eq!(kind(directory.truncate(path, 0)), Some(ErrorKind::InvalidInput), "{path:?}");
            assert_eq!(kind(directory.rename(path, "x")), Some(ErrorKind::InvalidInput), "{path:?}");
            assert_eq!(kind(directory.rename("x", path)), Some(ErrorKind::InvalidInput), "{path:?}");
            assert_eq!(kind(directory.remove(path)), Some(ErrorKind::InvalidInput), "{path:?}");
            assert_eq!(kind(directory.remove_folder(path)), Some(ErrorKind::InvalidInput), "{path:?}");
            if !path.is_empty() {
                assert_eq!(kind(directory.create_folder(path)), Some(ErrorKind::InvalidInput), "{path:?}");
                assert_eq!(kind(directory.list(path)), Some(ErrorKind::InvalidInput), "{path:?}");
                assert_eq!(kind(directory.sync_folder(path)), Some(ErrorKind::InvalidInput), "{path:?}");
            }
        }
    });
}

#[test]
fn one_owner_at_a_time() {
    check(|directory| {
        let guard = directory.lock().expect("nobody has it");
        assert_eq!(kind(directory.lock()), Some(ErrorKind::WouldBlock));
        drop(guard);
        let _guard = directory.lock().expect("it was given back");
        assert_eq!(directory.list("").expect("the top exists"), [], "the lock's file is not shown");
    });
}

#[test]
fn a_real_folder_is_locked_for_other_handles_and_named_in_errors() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let open = || FilesDirectory::open(folder.path()).expect("the folder is ours");
    let (one, other) = (open(), open());
    let guard = one.lock().expect("nobody has it");
    let refused = other.lock().map(drop).expect_err("the other one has it");
    assert_eq!(refused.to_string(), format!("folder {} is in use by another process", folder.path().display()));
    drop(guard);
    drop(other.lock().expect("it was given back"));
    let absent = one.open_read("absent").expect_err("it does not exist");
    assert_eq!(absent.to_string(), format!("cannot open {}", folder.path().join("absent").display()));
    let source = std::error::Error::source(&absent).expect("the cause");
    assert!(source.to_string().starts_with("No such file"), "{source}");
}

#[test]
fn chosen_operations_fail_as_a_disk_does() {
    let faulty =
        FaultyDirectory::new(MemoryDirectory::new(), Faults { seed: 3, power_fails_at: Some(6), ..Faults::default() });
    let mut file = faulty.create("a").expect("the disk is well");
    faulty.fail_next(1);
    assert!(file.append(&[1; 100]).is_err());
    assert!(read(faulty.disk(), "a").len() <= 100, "any part may be there");
    file.append(b"b").expect("only one was to fail");
    faulty.fail_next(1);
    assert!(file.sync().is_err());
    file.sync().expect("only one was to fail");
    assert_eq!(faulty.operations(), 5);
    faulty.sync_folder("").expect("the power is on");
    assert!(file.append(b"c").is_err(), "the power fails");
    assert!(!faulty.has_power());
    assert!(faulty.open_read("a").is_err());
    let reread: Arc<dyn Directory> = Arc::new(faulty.power_off(crate::directory::memory::Survival::Nothing));
    let left = read(reread.as_ref(), "a");
    assert!(left.iter().all(|byte| *byte == 0), "what the failed sync was to write is gone in spite of the later one");
}

#[test]
fn paths_are_joined_and_parted() {
    assert_eq!(join("", "a"), "a");
    assert_eq!(join("a/b", "c"), "a/b/c");
    assert_eq!(parent("a/b/c"), "a/b");
    assert_eq!(parent("a"), "");
}
