//! One file of coverage: the sums of one hour that one seal wrote. Never changed.
//!
//! | part | what |
//! |---|---|
//! | 4 bytes | magic `RSCV` |
//! | 1 byte | version, 1 |
//! | LEB128 | length of the body |
//! | body | zstd of: keys, result types, cells, misses; numbers as LEB128, texts after their length |
//! | rest | hashes of the records' request ids, 40 bits each, ascending, as LEB128 of the differences |
//!
//! Hashes do not compress, and are read without the body. Checksums lie in a sidecar, as those of blocks do.

use std::io;

use rootspan_analytics::coverage::{Counts, Coverage};
use rootspan_analytics::histogram::Histogram;
use rootspan_journal::directory::checksum::{ChecksummedFile, ChecksummedWriter};
use rootspan_journal::directory::{Directory, ReadableFile as _};
use rootspan_model::ids::{SpanId, TraceId};

use super::entry::CoverageEntry;
use super::gather::{HourGathered, Miss};
use crate::block::entry::UNFINISHED;
use crate::codec::{Decoder, Malformed, put_bytes, put_number};

const MAGIC: [u8; 4] = *b"RSCV";
const VERSION: u8 = 1;
/// A tail is sealed long before its sums take as much.
const MAX_BODY_BYTES: usize = 256 << 20;

/// A file's sums.
#[derive(Debug, Default)]
pub(crate) struct Content {
    pub(crate) coverage: Coverage,
    pub(crate) misses: Vec<Miss>,
}

impl Content {
    /// The first and last minute that is counted in it.
    pub(crate) fn minutes(&self) -> Option<(u32, u32)> {
        minutes(&self.coverage)
    }

    /// Bytes of memory, about.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.coverage.cell_count() * 1024 + self.misses.len() * size_of::<Miss>()
    }
}

/// Writes a file under its unfinished name and makes its bytes durable. The caller renames it.
pub(crate) fn write(directory: &dyn Directory, id: u64, hour: u32, part: &HourGathered) -> io::Result<CoverageEntry> {
    let (min_minute, max_minute) = minutes(&part.coverage).unwrap_or_default();
    let mut entry = CoverageEntry { id, hour: u64::from(hour), min_minute, max_minute, bytes: 0 };
    let mut writer = ChecksummedWriter::create(directory, &unfinished_path(&entry))?;
    writer.append(&encode(part)?)?;
    entry.bytes = writer.finish()?;
    Ok(entry)
}

/// Reads a file's sums.
pub(crate) fn read(directory: &dyn Directory, path: &str) -> io::Result<Content> {
    let file = whole(directory, path)?;
    let (body, _) = sections(&file).map_err(|error| malformed(path, error))?;
    let body = zstd::bulk::decompress(body, MAX_BODY_BYTES)?;
    decode(&body).map_err(|error| malformed(path, error))
}

/// Reads the hashes of the records that a file has counted.
pub(crate) fn read_hashes(directory: &dyn Directory, entry: &CoverageEntry) -> io::Result<Vec<u64>> {
    let path = entry.path();
    let file = whole(directory, &path)?;
    let (_, hashes) = sections(&file).map_err(|error| malformed(&path, error))?;
    decode_hashes(hashes).map_err(|error| malformed(&path, error))
}

pub(crate) fn unfinished_path(entry: &CoverageEntry) -> String {
    format!("{}{UNFINISHED}", entry.path())
}

fn minutes(coverage: &Coverage) -> Option<(u32, u32)> {
    let minutes = || coverage.numbered().map(|(_, minute, _)| minute);
    Some((minutes().min()?, minutes().max()?))
}

fn whole(directory: &dyn Directory, path: &str) -> io::Result<bytes::Bytes> {
    let file = ChecksummedFile::open(directory, path)?;
    let length = usize::try_from(file.length()?).map_err(io::Error::other)?;
    file.read(0, length)
}

fn malformed(path: &str, error: Malformed) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{path} cannot be read: {error}"))
}

fn sections(file: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let mut decoder = Decoder::new(file);
    let is_ours = decoder.array::<4>()? == MAGIC && decoder.array::<1>()? == [VERSION];
    if !is_ours {
        return Err(Malformed);
    }
    let body = decoder.bytes()?;
    let rest = decoder.take(decoder.remaining())?;
    Ok((body, rest))
}

fn encode(part: &HourGathered) -> io::Result<Vec<u8>> {
    let body = zstd::bulk::compress(&encode_body(part), zstd::DEFAULT_COMPRESSION_LEVEL)?;
    let mut out = Vec::with_capacity(body.len() + part.hashes.len() * 4 + 16);
    out.extend_from_slice(&MAGIC);
    out.push(VERSION);
    put_bytes(&mut out, &body);
    let mut hashes = part.hashes.clone();
    hashes.sort_unstable();
    let mut before = 0;
    for hash in hashes {
        put_number(&mut out, hash - before);
        before = hash;
    }
    Ok(out)
}

fn decode_hashes(bytes: &[u8]) -> Result<Vec<u64>, Malformed> {
    let mut decoder = Decoder::new(bytes);
    let mut hashes = Vec::new();
    let mut before = 0_u64;
    while decoder.remaining() > 0 {
        before = before.checked_add(decoder.number()?).ok_or(Malformed)?;
        hashes.push(before);
    }
    Ok(hashes)
}

fn encode_body(part: &HourGathered) -> Vec<u8> {
    let mut out = Vec::new();
    let coverage = &part.coverage;
    put_number(&mut out, coverage.keys().len() as u64);
    for key in coverage.keys() {
        put_bytes(&mut out, key.distribution.as_bytes());
        put_bytes(&mut out, key.behaviour.as_bytes());
    }
    let mut types: Vec<&str> = Vec::new();
    for name in coverage.numbered().flat_map(|(_, _, counts)| counts.result_types.keys()) {
        if !types.contains(&&**name) {
            types.push(name);
        }
    }
    put_number(&mut out, types.len() as u64);
    types.iter().for_each(|name| put_bytes(&mut out, name.as_bytes()));
    put_number(&mut out, coverage.cell_count() as u64);
    for (key, minute, counts) in coverage.numbered() {
        put_number(&mut out, u64::from(key));
        put_number(&mut out, u64::from(minute));
        put_counts(&mut out, counts, &types);
    }
    put_number(&mut out, part.misses.len() as u64);
    for miss in &part.misses {
        for number in [miss.key, miss.minute, miss.arrived] {
            put_number(&mut out, u64::from(number));
        }
        out.extend_from_slice(miss.trace_id.as_bytes());
        out.extend_from_slice(miss.span_id.as_bytes());
    }
    out
}

fn decode(body: &[u8]) -> Result<Content, Malformed> {
    let mut decoder = Decoder::new(body);
    let mut content = Content::default();
    for expected in 0..decoder.count()? {
        let (distribution, behaviour) = (decoder.text()?, decoder.text()?);
        if content.coverage.key(distribution, behaviour) as usize != expected {
            return Err(Malformed);
        }
    }
    let types = (0..decoder.count()?).map(|_| decoder.text()).collect::<Result<Vec<_>, _>>()?;
    for _ in 0..decoder.count()? {
        let (key, minute) = (decoder.number_u32()?, decoder.number_u32()?);
        let counts = read_counts(&mut decoder, &types)?;
        let key = content.coverage.keys().get(key as usize).ok_or(Malformed)?.clone();
        content.coverage.add(&key, minute, &counts);
    }
    for _ in 0..decoder.count()? {
        content.misses.push(Miss {
            key: decoder.number_u32()?,
            minute: decoder.number_u32()?,
            arrived: decoder.number_u32()?,
            trace_id: TraceId::new(decoder.array()?),
            span_id: SpanId::new(decoder.array()?),
        });
    }
    Ok(content)
}

fn put_counts(out: &mut Vec<u8>, counts: &Counts, types: &[&str]) {
    let sums = [
        counts.sampled,
        counts.derived,
        counts.joined,
        counts.sampled_out,
        counts.kept,
        counts.thinned,
        counts.unplaced,
        counts.secondary,
        counts.redelivered,
        counts.bytes,
    ];
    sums.into_iter().chain(counts.statuses).for_each(|sum| put_number(out, sum));
    put_number(out, counts.result_types.len() as u64);
    for (name, count) in &counts.result_types {
        let number = types.iter().position(|known| *known == &**name).expect("every name was listed");
        put_number(out, number as u64);
        put_number(out, *count);
    }
    put_histogram(out, &counts.delay);
    put_histogram(out, &counts.duration);
}

fn read_counts(decoder: &mut Decoder<'_>, types: &[&str]) -> Result<Counts, Malformed> {
    let mut counts = Counts {
        sampled: decoder.number()?,
        derived: decoder.number()?,
        joined: decoder.number()?,
        sampled_out: decoder.number()?,
        kept: decoder.number()?,
        thinned: decoder.number()?,
        unplaced: decoder.number()?,
        secondary: decoder.number()?,
        redelivered: decoder.number()?,
        bytes: decoder.number()?,
        ..Counts::default()
    };
    for status in &mut counts.statuses {
        *status = decoder.number()?;
    }
    for _ in 0..decoder.count()? {
        let name = types.get(decoder.number_u32()? as usize).ok_or(Malformed)?;
        counts.result_types.insert((*name).into(), decoder.number()?);
    }
    counts.delay = read_histogram(decoder)?;
    counts.duration = read_histogram(decoder)?;
    Ok(counts)
}

/// An index is -1 at least, so it is written as one more.
fn put_histogram(out: &mut Vec<u8>, histogram: &Histogram) {
    let (zero, buckets) = histogram.parts();
    put_number(out, zero);
    put_number(out, buckets.len() as u64);
    for (index, count) in buckets {
        put_number(out, u64::try_from(i32::from(*index) + 1).unwrap_or(0));
        put_number(out, *count);
    }
}

fn read_histogram(decoder: &mut Decoder<'_>) -> Result<Histogram, Malformed> {
    let zero = decoder.number()?;
    let mut buckets = Vec::new();
    for _ in 0..decoder.count()? {
        let index = i16::try_from(decoder.number_u32()?).map_err(|_| Malformed)?.checked_sub(1).ok_or(Malformed)?;
        buckets.push((index, decoder.number()?));
    }
    Ok(Histogram::from_parts(zero, buckets))
}

#[cfg(test)]
mod tests;
