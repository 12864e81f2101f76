//! Decompression under the byte budget. The output grows only as far as it is reserved and never beyond the limit of
//! the protocol, so a compression bomb costs no more than the largest honest request.

use std::cell::RefCell;
use std::io::Read;
use std::sync::Arc;

use crate::budget::{Budget, Exhausted, PaidBuffer};
use crate::config::decode::Decode;
use crate::config::node::Node;
use crate::config::problems::Problems;
use crate::config::values::choice;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// RFC 1950; HTTP calls it `deflate`, the collector also `zlib`.
    Zlib,
    /// Snappy's block or framed form: which of the two a name means has changed in the collector, and how the bytes begin
    /// tells.
    Snappy,
    /// LZ4's frame.
    Lz4,
}

impl Compression {
    /// What this name means in `grpc-encoding`: what the collector's clients can send. An error if it is another.
    pub(crate) fn of_grpc(name: &[u8]) -> Result<Option<Self>, ()> {
        match name {
            b"" | b"identity" => Ok(None),
            b"gzip" => Ok(Some(Self::Gzip)),
            b"zstd" => Ok(Some(Self::Zstd)),
            b"snappy" => Ok(Some(Self::Snappy)),
            b"deflate" => Ok(Some(Self::Zlib)),
            _ => Err(()),
        }
    }

    /// What this name means in `content-encoding`; an error if it is not among `allowed`.
    pub(crate) fn of_http(name: &[u8], allowed: &Algorithms) -> Result<Option<Self>, ()> {
        let name: &[u8] = match name {
            b"identity" => b"",
            b"x-gzip" => b"gzip",
            name => name,
        };
        let known = ALGORITHMS.iter().find(|(known, _)| known.as_bytes() == name);
        known.filter(|(known, _)| allowed.0.contains(known)).map(|(_, compression)| *compression).ok_or(())
    }
}

/// The names of `content-encoding`, as the collector's `compression_algorithms` lists them.
const ALGORITHMS: [(&str, Option<Compression>); 8] = [
    ("", None),
    ("gzip", Some(Compression::Gzip)),
    ("zstd", Some(Compression::Zstd)),
    ("zlib", Some(Compression::Zlib)),
    ("snappy", Some(Compression::Snappy)),
    ("deflate", Some(Compression::Zlib)),
    ("lz4", Some(Compression::Lz4)),
    ("x-snappy-framed", Some(Compression::Snappy)),
];

/// The encodings that an HTTP server takes; empty text stands for no encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Algorithms(Vec<&'static str>);

impl Algorithms {
    /// Every one.
    pub(crate) fn all() -> Self {
        Self(ALGORITHMS.map(|(name, _)| name).to_vec())
    }

    /// For messages.
    pub(crate) fn names(&self) -> String {
        let named = self.0.iter().copied().filter(|name| !name.is_empty());
        named.collect::<Vec<_>>().join(", ")
    }
}

/// One name of the list.
#[derive(Clone, Copy, Debug)]
struct Algorithm(&'static str);

impl Decode for Algorithm {
    const KIND: &'static str = "an encoding such as gzip";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        choice(node, problems, &ALGORITHMS.map(|(name, _)| (name, Self(name))))
    }
}

impl Decode for Algorithms {
    const KIND: &'static str = "a list of encodings";
    const STRUCTURED: bool = true;
    const LIST: bool = true;
    const OPTIONAL: bool = true;

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let names = Vec::<Algorithm>::decode(node, problems)?;
        // As in the collector, an empty list is no list.
        Some(if names.is_empty() { Self::all() } else { Self(names.into_iter().map(|name| name.0).collect()) })
    }

    fn absent(_position: &crate::config::problems::Position, _problems: &mut Problems) -> Option<Self> {
        Some(Self::all())
    }
}

/// Why a body could not be decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecompressError {
    /// The bytes are not what the encoding says; the rest of a sentence about them.
    Corrupt(&'static str),
    /// The output is longer than allowed.
    TooLarge,
    /// The budget has no room for the output.
    Exhausted,
}

impl From<Exhausted> for DecompressError {
    fn from(_: Exhausted) -> Self {
        Self::Exhausted
    }
}

/// The sender cut it off, or lost the end.
const CUT: &str = "it is cut short";
/// The bytes are of no meaning.
const DAMAGED: &str = "its data is damaged";
/// The zstd window is larger than [`MAX_ZSTD_WINDOW_LOG`].
const LARGE_WINDOW: &str = "it needs a zstd window above 8 MiB";

/// DEFLATE's best case: 258 bytes for two bits, so a claim beyond this is a lie.
const MAX_DEFLATE_RATIO: u64 = 1032;
/// The same of snappy: 64 bytes for a copy of three (format description, section 2.2), and one more byte to be sure.
const MAX_SNAPPY_RATIO: u64 = 64;
/// How a stream of snappy's framed form begins ("Stream identifier").
const SNAPPY_STREAM: &[u8] = b"\xff\x06\x00\x00sNaPpY";
/// How an LZ4 frame begins.
const LZ4_FRAME: [u8; 4] = 0x184D_2204_u32.to_le_bytes();
/// Header (10) and trailer (8) of gzip (RFC 1952, section 2.3).
const MIN_GZIP_BYTES: usize = 18;
/// Spans compress to a twentieth at best; a claim beyond this is taken at its word only as far as it is kept.
const MAX_PLAUSIBLE_ZSTD_RATIO: usize = 64;
/// Largest zstd window that is accepted: the decoder allocates it whatever the output is (8 MiB is what RFC 8878,
/// section 3.1.1.1.2, asks decoders to support).
const MAX_ZSTD_WINDOW_LOG: u32 = 23;
/// Smallest zstd window.
const MIN_ZSTD_WINDOW_LOG: u32 = 10;
/// First step of a growing output.
const FIRST_STEP_BYTES: usize = 64 << 10;

/// Decompresses `input` to at most `limit` bytes.
pub(crate) fn decompress(
    compression: Compression,
    input: &[u8],
    limit: usize,
    budget: &Arc<Budget>,
) -> Result<PaidBuffer, DecompressError> {
    match compression {
        Compression::Gzip => gunzip(input, limit, budget),
        Compression::Zstd => unzstd(input, limit, budget),
        Compression::Zlib => unzlib(input, limit, budget),
        Compression::Snappy => unsnappy(input, limit, budget),
        Compression::Lz4 => unlz4(input, limit, budget),
    }
}

fn unzlib(input: &[u8], limit: usize, budget: &Arc<Budget>) -> Result<PaidBuffer, DecompressError> {
    // Deflate with a window of at most 32 KiB, and a checksum over both bytes (RFC 1950, section 2.2).
    let is_zlib = input.first_chunk().is_some_and(|header: &[u8; 2]| {
        header[0] & 0x0f == 8 && header[0] >> 4 <= 7 && u16::from_be_bytes(*header).is_multiple_of(31)
    });
    if !is_zlib {
        return Err(DecompressError::Corrupt("it is not zlib (RFC 1950)"));
    }
    // Spans compress to a fifth or less.
    read_all(flate2::bufread::ZlibDecoder::new(input), input.len().saturating_mul(5), limit, budget)
}

fn unsnappy(input: &[u8], limit: usize, budget: &Arc<Budget>) -> Result<PaidBuffer, DecompressError> {
    if input.starts_with(SNAPPY_STREAM) {
        // Its chunks hold at most 64 KiB; the decoder's own buffers are of that size.
        return read_all(snap::read::FrameDecoder::new(input), input.len().saturating_mul(3), limit, budget);
    }
    if input.is_empty() {
        // What a stream of nothing is.
        return Ok(PaidBuffer::with_capacity(budget, 0)?);
    }
    let claimed = snap::raw::decompress_len(input).map_err(|_| DecompressError::Corrupt("it is not snappy"))?;
    if claimed > limit {
        return Err(DecompressError::TooLarge);
    }
    if claimed as u64 > input.len() as u64 * MAX_SNAPPY_RATIO {
        return Err(DecompressError::Corrupt(CUT));
    }
    let mut output = PaidBuffer::with_capacity(budget, claimed)?;
    output.resize(claimed)?;
    match snap::raw::Decoder::new().decompress(input, output.bytes_mut()) {
        Ok(length) if length == claimed => Ok(output),
        _ => Err(DecompressError::Corrupt(DAMAGED)),
    }
}

fn unlz4(input: &[u8], limit: usize, budget: &Arc<Budget>) -> Result<PaidBuffer, DecompressError> {
    if !input.starts_with(&LZ4_FRAME) {
        return Err(DecompressError::Corrupt("it is not an LZ4 frame"));
    }
    // The decoder takes the end of the bytes for the end of the frame.
    match lz4_frame_bytes(input) {
        None => return Err(DecompressError::Corrupt(CUT)),
        Some(length) if length < input.len() => {
            return Err(DecompressError::Corrupt("something follows the LZ4 frame"));
        }
        Some(_) => {}
    }
    // Bits 4 to 6 of the frame's second byte: 64 KiB, 256 KiB, 1 MiB or 4 MiB (LZ4 Frame Format, "BD byte").
    let size = input.get(5).ok_or(DecompressError::Corrupt(CUT))? >> 4 & 7;
    let Some(exponent) = size.checked_sub(4) else { return Err(DecompressError::Corrupt(DAMAGED)) };
    let block_bytes = (64_u64 << 10) << (2 * exponent);
    // The decoder keeps one compressed block, two of output and the window.
    let _buffers = budget.try_reserve(3 * block_bytes + (64 << 10))?;
    read_all(lz4_flex::frame::FrameDecoder::new(input), input.len().saturating_mul(3), limit, budget)
}

/// Length of the whole frame, from its header over the length of each block to the end mark (LZ4 Frame Format, "General
/// Structure"); `None` if it is cut short.
fn lz4_frame_bytes(input: &[u8]) -> Option<usize> {
    const BLOCK_CHECKSUM: u8 = 0x10;
    const CONTENT_SIZE: u8 = 0x08;
    const CONTENT_CHECKSUM: u8 = 0x04;
    const DICTIONARY: u8 = 0x01;
    let flags = *input.get(4)?;
    let field = |flag, bytes| if flags & flag == 0 { 0 } else { bytes };
    // Magic number, flags, block size, the header's checksum.
    let mut position = 7 + field(CONTENT_SIZE, 8) + field(DICTIONARY, 4);
    loop {
        let length: &[u8; 4] = input.get(position..)?.first_chunk()?;
        // The highest bit says that the block is not compressed.
        let length = u32::from_le_bytes(*length) & 0x7fff_ffff;
        position += 4;
        if length == 0 {
            position += field(CONTENT_CHECKSUM, 4);
            return (position <= input.len()).then_some(position);
        }
        position = position.checked_add(length as usize)?.checked_add(field(BLOCK_CHECKSUM, 4))?;
    }
}

fn unzstd(input: &[u8], limit: usize, budget: &Arc<Budget>) -> Result<PaidBuffer, DecompressError> {
    if !is_zstd(input) {
        return Err(DecompressError::Corrupt("it is not zstd"));
    }
    let window_bytes = zstd_window_bytes(input).ok_or(DecompressError::Corrupt(CUT))?;
    // Compared first: of a number that the sender chose, the next power of two may not exist.
    if window_bytes > 1 << MAX_ZSTD_WINDOW_LOG {
        return Err(DecompressError::Corrupt(LARGE_WINDOW));
    }
    if let Some(output) = unzstd_at_once(input, limit, budget)? {
        return Ok(output);
    }
    let window_log = window_bytes.max(1).next_power_of_two().ilog2().max(MIN_ZSTD_WINDOW_LOG);
    // Many small bodies that each ask for a large window would otherwise cost memory that nobody reserved.
    let _window = budget.try_reserve(1 << window_log)?;
    let mut decoder = zstd::stream::read::Decoder::with_buffer(input).map_err(|error| corrupt(&error))?;
    decoder.window_log_max(window_log).map_err(|error| corrupt(&error))?;
    // Spans compress to a fifth or less.
    read_all(decoder, input.len().saturating_mul(5), limit, budget)
}

thread_local! {
    /// Its tables are worth keeping; they take 160 KB on each of the few threads that decompress.
    static ZSTD: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

/// A frame whose header says how long its content is goes straight into a buffer of that length. `None` if it does not
/// say, claims more than spans ever do, or does not keep its word: then by streaming.
fn unzstd_at_once(input: &[u8], limit: usize, budget: &Arc<Budget>) -> Result<Option<PaidBuffer>, DecompressError> {
    let claim = zstd::zstd_safe::get_frame_content_size(input).ok().flatten();
    let Some(length) = claim.and_then(|length| usize::try_from(length).ok()) else { return Ok(None) };
    if length > limit || length / MAX_PLAUSIBLE_ZSTD_RATIO > input.len() {
        return Ok(None);
    }
    let mut output = PaidBuffer::with_capacity(budget, length)?;
    output.resize(length)?;
    let written = ZSTD.with_borrow_mut(|kept| {
        let decompressor = match kept {
            Some(decompressor) => decompressor,
            None => kept.insert(zstd::bulk::Decompressor::new().ok()?),
        };
        decompressor.decompress_to_buffer(input, output.bytes_mut()).ok()
    });
    Ok((written == Some(length)).then_some(output))
}

/// A frame, or a skippable one, begins (RFC 8878, sections 3.1.1 and 3.1.2).
fn is_zstd(input: &[u8]) -> bool {
    const FRAME: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    const SKIPPABLE: [u8; 3] = [0x2a, 0x4d, 0x18];
    input.first_chunk().is_some_and(|magic: &[u8; 4]| *magic == FRAME || magic[0] >> 4 == 5 && magic[1..] == SKIPPABLE)
}

/// What a decoder's failure means: its own words are not for senders.
fn corrupt(error: &std::io::Error) -> DecompressError {
    DecompressError::Corrupt(match error.kind() {
        std::io::ErrorKind::UnexpectedEof => CUT,
        _ => DAMAGED,
    })
}

/// The window that the first frame asks for (RFC 8878, section 3.1.1.1); further frames may ask for as much.
fn zstd_window_bytes(input: &[u8]) -> Option<u64> {
    let (_magic, header) = input.split_first_chunk::<4>()?;
    let (descriptor, header) = header.split_first()?;
    let is_single_segment = descriptor & 0x20 != 0;
    if !is_single_segment {
        let window = *header.first()?;
        let base = 1_u64 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    // The window is the content, whose length follows the dictionary's id.
    let dictionary_bytes = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content_bytes = [1, 2, 4, 8][usize::from(descriptor >> 6)];
    let field = header.get(dictionary_bytes..dictionary_bytes + content_bytes)?;
    let length = field.iter().rev().fold(0_u64, |length, byte| length << 8 | u64::from(*byte));
    Some(if content_bytes == 2 { length + 256 } else { length })
}

/// One member in one go by the length that its trailer claims; several members, or a trailer that lies, by streaming.
fn gunzip(input: &[u8], limit: usize, budget: &Arc<Budget>) -> Result<PaidBuffer, DecompressError> {
    if !input.starts_with(&[0x1f, 0x8b]) {
        return Err(DecompressError::Corrupt("it is not gzip"));
    }
    let Some((_, claim)) = input.split_last_chunk::<4>() else { return Err(DecompressError::Corrupt(CUT)) };
    let claimed = u32::from_le_bytes(*claim) as usize;
    let possible = claimed as u64 <= input.len() as u64 * MAX_DEFLATE_RATIO;
    if possible && claimed <= limit && !may_have_second_member(input) {
        let mut output = PaidBuffer::with_capacity(budget, claimed)?;
        output.resize(claimed)?;
        if libdeflater::Decompressor::new().gzip_decompress(input, output.bytes_mut()) == Ok(claimed) {
            return Ok(output);
        }
    }
    read_all(flate2::bufread::MultiGzDecoder::new(input), FIRST_STEP_BYTES, limit, budget)
}

/// libdeflate stops after the first member (RFC 1952, section 2.2, allows several). A second header somewhere behind
/// the first is the sign of another; it may also be there by chance, which only costs the slower way.
fn may_have_second_member(input: &[u8]) -> bool {
    const MEMBER: &[u8] = &[0x1f, 0x8b, 0x08];
    memchr::memmem::find(input.get(MIN_GZIP_BYTES..).unwrap_or_default(), MEMBER).is_some()
}

/// Reads to the end, beginning with a buffer of `first` bytes that doubles when it is full.
fn read_all(
    mut reader: impl Read,
    first: usize,
    limit: usize,
    budget: &Arc<Budget>,
) -> Result<PaidBuffer, DecompressError> {
    // One byte above the limit tells "exactly the limit" from "too large".
    let most = limit.saturating_add(1);
    let mut length = first.max(FIRST_STEP_BYTES).min(most);
    let mut output = PaidBuffer::with_capacity(budget, length)?;
    output.resize(length)?;
    let mut filled = 0;
    loop {
        let read = reader.read(&mut output.bytes_mut()[filled..]).map_err(|error| corrupt(&error))?;
        filled += read;
        if read == 0 {
            break;
        }
        if filled == length {
            if length == most {
                return Err(DecompressError::TooLarge);
            }
            length = length.saturating_mul(2).min(most);
            output.resize(length)?;
        }
    }
    output.resize(filled)?;
    Ok(output)
}

#[cfg(test)]
mod tests;
