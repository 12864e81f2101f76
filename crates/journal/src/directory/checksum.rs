//! Checksums for finished files: bit rot is noticed on every read, not served.
//!
//! Constraints: Parquet has no page checksums that its readers check, so a flipped bit in a block is usually not noticed
//! (`reference/storage-spike.md`: 10 of 12). A block is written once, read at random, and must stay plain Parquet
//! for other programs; hence the checksums lie beside it, in `NAME.crc`, little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | magic `RSCS` |
//! | 4 | version, 1 |
//! | 8 | length of the file |
//! | 4 × n | CRC32C of each 64 KiB of the file, the last one of what remains |
//! | 4 | CRC32C of all bytes before |
//!
//! A read is widened to whole 64 KiB units, each is checked, and the part asked for is handed out; nothing is cached
//! here, the operating system's cache holds the file. Small random reads therefore cost a CRC of up to 128 KiB, about
//! 10 µs. A file of 64 MiB has a sidecar of 4 KiB.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::directory::{Directory, ReadableFile, WritableFile};

/// Unit of checking.
pub const UNIT_BYTES: usize = 64 * 1024;

/// Ending of a sidecar's name.
pub const SIDECAR_ENDING: &str = ".crc";

const MAGIC: [u8; 4] = *b"RSCS";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 16;
const CRC_BYTES: usize = 4;

/// The sidecar of the file `path`.
#[must_use]
pub fn sidecar(path: &str) -> String {
    format!("{path}{SIDECAR_ENDING}")
}

/// Renames a finished file and its sidecar, the sidecar first: a file under its final name always has one.
pub fn rename(directory: &dyn Directory, from: &str, to: &str) -> io::Result<()> {
    directory.rename(&sidecar(from), &sidecar(to))?;
    directory.rename(from, to)
}

/// Removes a file and its sidecar; one of them may be gone already.
pub fn remove(directory: &dyn Directory, path: &str) -> io::Result<()> {
    for path in [path, &sidecar(path)] {
        match directory.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// A new file whose checksums are taken while it is written.
#[derive(Debug)]
pub struct ChecksummedWriter {
    file: Box<dyn WritableFile>,
    sidecar: Box<dyn WritableFile>,
    length: u64,
    units: Vec<u32>,
    /// CRC of the unit that is not full yet.
    unit: u32,
}

impl ChecksummedWriter {
    /// Creates the file and its sidecar; existing ones are an error.
    pub fn create(directory: &dyn Directory, path: &str) -> io::Result<Self> {
        Ok(Self {
            file: directory.create(path)?,
            sidecar: directory.create(&sidecar(path))?,
            length: 0,
            units: Vec::new(),
            unit: 0,
        })
    }

    /// Appends all of `bytes`.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.append(bytes)?;
        let mut rest = bytes;
        while !rest.is_empty() {
            let filled = (self.length % UNIT_BYTES as u64) as usize;
            let (part, behind) = rest.split_at(rest.len().min(UNIT_BYTES - filled));
            self.unit = crc32c::crc32c_append(self.unit, part);
            self.length += part.len() as u64;
            if filled + part.len() == UNIT_BYTES {
                self.units.push(std::mem::take(&mut self.unit));
            }
            rest = behind;
        }
        Ok(())
    }

    /// Bytes appended so far.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Writes the sidecar and makes both files' bytes durable; their names are durable once the folder is synced.
    /// Returns the bytes of both.
    pub fn finish(mut self) -> io::Result<u64> {
        if !self.length.is_multiple_of(UNIT_BYTES as u64) {
            self.units.push(self.unit);
        }
        let mut bytes = Vec::with_capacity(HEADER_BYTES + (self.units.len() + 1) * CRC_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.length.to_le_bytes());
        for unit in &self.units {
            bytes.extend_from_slice(&unit.to_le_bytes());
        }
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        self.sidecar.append(&bytes)?;
        self.file.sync()?;
        self.sidecar.sync()?;
        Ok(self.length + bytes.len() as u64)
    }
}

/// A finished file whose every read is checked. Damage is an error of kind `InvalidData` that names file and offset.
#[derive(Debug)]
pub struct ChecksummedFile {
    path: String,
    file: Arc<dyn ReadableFile>,
    length: u64,
    units: Vec<u32>,
}

impl ChecksummedFile {
    /// Opens the file `path` and reads its sidecar. A file that is shorter or longer than its sidecar says is damaged.
    pub fn open(directory: &dyn Directory, path: &str) -> io::Result<Self> {
        let file = directory.open_read(path)?;
        let actual_length = file.length()?;
        let sidecar_path = sidecar(path);
        let sidecar = match directory.open_read(&sidecar_path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(damaged(format!("{path} has no checksums: {sidecar_path} is missing")));
            }
            other => other?,
        };
        let unit_count = actual_length.div_ceil(UNIT_BYTES as u64);
        let sidecar_length = sidecar.length()?;
        if Some(sidecar_length)
            != unit_count.checked_mul(CRC_BYTES as u64).map(|units| units + (HEADER_BYTES + CRC_BYTES) as u64)
        {
            return Err(damaged(format!("{path}: {sidecar_path} does not belong to a file of {actual_length} bytes")));
        }
        let bytes = sidecar.read(0, usize::try_from(sidecar_length).map_err(|_| io::ErrorKind::FileTooLarge)?)?;
        let (length, units) = decode_sidecar(&bytes).ok_or_else(|| damaged(format!("{sidecar_path} is damaged")))?;
        if length != actual_length {
            return Err(damaged(format!("{path} has {actual_length} bytes instead of {length}")));
        }
        Ok(Self { path: path.to_owned(), file, length, units })
    }

    /// Reads and checks the whole file, a unit at a time.
    pub fn verify(&self) -> io::Result<()> {
        for index in 0..self.units.len() {
            self.read_units(index, index + 1)?;
        }
        Ok(())
    }

    /// Units `first..end`, checked.
    fn read_units(&self, first: usize, end: usize) -> io::Result<Bytes> {
        let start = (first * UNIT_BYTES) as u64;
        let stop = self.length.min((end * UNIT_BYTES) as u64);
        let bytes = self.file.read(start, usize::try_from(stop - start).map_err(|_| io::ErrorKind::FileTooLarge)?)?;
        for (index, unit) in bytes.chunks(UNIT_BYTES).enumerate() {
            if crc32c::crc32c(unit) != self.units[first + index] {
                let offset = (first + index) * UNIT_BYTES;
                return Err(damaged(format!(
                    "{} is damaged in the {} bytes at offset {offset}",
                    self.path,
                    unit.len()
                )));
            }
        }
        Ok(bytes)
    }
}

impl ReadableFile for ChecksummedFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.length)
    }

    fn read(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let end =
            offset.checked_add(length as u64).filter(|end| *end <= self.length).ok_or(io::ErrorKind::UnexpectedEof)?;
        if length == 0 {
            return Ok(Bytes::new());
        }
        // Both fit: `end` is at most the length of a file whose units are in memory.
        let first = (offset / UNIT_BYTES as u64) as usize;
        let last = end.div_ceil(UNIT_BYTES as u64) as usize;
        let start = (offset % UNIT_BYTES as u64) as usize;
        Ok(self.read_units(first, last)?.slice(start..start + length))
    }
}

/// Length of the file and its units' CRCs; `None` if anything is wrong.
fn decode_sidecar(bytes: &[u8]) -> Option<(u64, Vec<u32>)> {
    let (content, crc) = bytes.split_last_chunk::<CRC_BYTES>()?;
    let (header, units) = content.split_first_chunk::<HEADER_BYTES>()?;
    let (magic, header) = header.split_first_chunk::<4>()?;
    let (version, header) = header.split_first_chunk::<4>()?;
    let (length, _) = header.split_first_chunk::<8>()?;
    let is_sound = crc32c::crc32c(content) == u32::from_le_bytes(*crc)
        && *magic == MAGIC
        && u32::from_le_bytes(*version) == VERSION
        && units.len().is_multiple_of(CRC_BYTES);
    let (units, _) = units.as_chunks::<CRC_BYTES>();
    is_sound.then(|| (u64::from_le_bytes(*length), units.iter().map(|unit| u32::from_le_bytes(*unit)).collect()))
}

fn damaged(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}
