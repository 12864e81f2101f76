//! Damage in checksummed files is never handed out.

use std::io::ErrorKind;

use crate::directory::checksum::{self, ChecksummedFile, ChecksummedWriter, UNIT_BYTES, sidecar};
use crate::directory::memory::{MemoryDirectory, Survival};
use crate::directory::tests::{kind, read, write};
use crate::directory::{Directory, ReadableFile as _};

/// A file of that length, written in uneven pieces.
fn file(length: usize) -> (MemoryDirectory, Vec<u8>) {
    let memory = MemoryDirectory::new();
    let bytes: Vec<u8> = (0..length).map(|index| (index * 31 / 7) as u8).collect();
    let mut writer = ChecksummedWriter::create(&memory, "block").expect("it does not exist");
    for piece in bytes.chunks(50_001) {
        writer.append(piece).expect("there is space");
    }
    assert_eq!(writer.length(), length as u64);
    let written = writer.finish().expect("the disk is well");
    let lengths: u64 = memory.list("").expect("it exists").iter().map(|entry| entry.length).sum();
    assert_eq!(written, lengths);
    (memory, bytes)
}

#[test]
fn every_range_is_read() {
    for length in [0, 1, UNIT_BYTES - 1, UNIT_BYTES, UNIT_BYTES + 1, 3 * UNIT_BYTES + 5] {
        let (memory, bytes) = file(length);
        let open = ChecksummedFile::open(&memory, "block").expect("it is sound");
        open.verify().expect("it is sound");
        assert_eq!(open.length().expect("it is known"), length as u64);
        let edges =
            [0, 1, UNIT_BYTES - 1, UNIT_BYTES, UNIT_BYTES + 1, 2 * UNIT_BYTES, length.saturating_sub(1), length];
        for start in edges.into_iter().filter(|start| *start <= length) {
            for end in edges.into_iter().filter(|end| (start..=length).contains(end)) {
                let found = open.read(start as u64, end - start).expect("it is sound");
                assert_eq!(found, bytes[start..end], "{start}..{end} of {length}");
            }
        }
        assert_eq!(kind(open.read(length as u64, 1)), Some(ErrorKind::UnexpectedEof));
        assert_eq!(kind(open.read(u64::MAX, 2)), Some(ErrorKind::UnexpectedEof));
    }
}

#[test]
fn flipped_bits_are_named_and_other_units_stay_readable() {
    let (memory, bytes) = file(2 * UNIT_BYTES + 100);
    for byte in (0..bytes.len()).step_by(4099).chain([UNIT_BYTES, bytes.len() - 1]) {
        let disk = memory.after_power_loss(Survival::Everything);
        disk.flip_bit("block", byte as u64 * 8 + 3).expect("it is that long");
        let open = ChecksummedFile::open(&disk, "block").expect("the sidecar is sound");
        let damage = open.read(byte as u64, 1).expect_err("the bit is wrong");
        let unit = byte / UNIT_BYTES * UNIT_BYTES;
        let length = UNIT_BYTES.min(bytes.len() - unit);
        assert_eq!(damage.kind(), ErrorKind::InvalidData);
        assert_eq!(damage.to_string(), format!("block is damaged in the {length} bytes at offset {unit}"));
        assert_eq!(kind(open.verify()), Some(ErrorKind::InvalidData));
        let other = if unit == 0 { UNIT_BYTES } else { 0 };
        assert_eq!(open.read(other as u64, 10).expect("that unit is sound"), bytes[other..other + 10]);
    }
}

#[test]
fn damaged_sidecars_and_wrong_lengths_are_damage() {
    let (memory, bytes) = file(UNIT_BYTES + 9);
    let is_damaged =
        |disk: &MemoryDirectory| kind(ChecksummedFile::open(disk, "block")) == Some(ErrorKind::InvalidData);
    let sidecar_length = read(&memory, &sidecar("block")).len() as u64;
    for bit in 0..sidecar_length * 8 {
        let disk = memory.after_power_loss(Survival::Everything);
        disk.flip_bit("block.crc", bit).expect("it is that long");
        assert!(is_damaged(&disk), "bit {bit} of the sidecar");
    }
    for length in 0..sidecar_length {
        let disk = memory.after_power_loss(Survival::Everything);
        disk.truncate("block.crc", length).expect("it exists");
        assert!(is_damaged(&disk), "a sidecar of {length} bytes");
    }
    for length in [0, UNIT_BYTES, bytes.len() - 1] {
        let disk = memory.after_power_loss(Survival::Everything);
        disk.truncate("block", length as u64).expect("it exists");
        assert!(is_damaged(&disk), "a file of {length} bytes");
    }
    let longer = memory.after_power_loss(Survival::Everything);
    longer.open_append("block").expect("it exists").append(b"x").expect("there is space");
    assert!(is_damaged(&longer));
    memory.remove("block.crc").expect("it exists");
    assert!(is_damaged(&memory));
    memory.remove("block").expect("it exists");
    assert_eq!(kind(ChecksummedFile::open(&memory, "block")), Some(ErrorKind::NotFound));
}

#[test]
fn file_and_sidecar_move_and_go_together() {
    let (memory, bytes) = file(10);
    write(&memory, "other", b"");
    checksum::rename(&memory, "block", "moved").expect("it exists");
    let open = ChecksummedFile::open(&memory, "moved").expect("it is sound");
    assert_eq!(open.read(0, 10).expect("it is sound"), bytes);
    checksum::remove(&memory, "moved").expect("it exists");
    checksum::remove(&memory, "moved").expect("nothing is left to remove");
    assert_eq!(memory.list("").expect("it exists").len(), 1);
}
