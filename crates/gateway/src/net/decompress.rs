//! Decompression under the byte budget. The output grows only as far as it is reserved and never beyond the limit of
//! the protocol, so a compression bomb costs no more than the largest honest request.

use std::io::Read;
use std::sync::Arc;

use crate::budget::{Budget, Exhausted, PaidBuffer};

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    Gzip,
    Zstd,
}

impl Compression {
    /// What this name means in `content-encoding` or `grpc-encoding`; an error if it is not supported.
    pub(crate) fn from_name(name: &[u8]) -> Result<Option<Self>, ()> {
        match name {
            b"" | b"identity" => Ok(None),
            b"gzip" | b"x-gzip" => Ok(Some(Self::Gzip)),
            b"zstd" => Ok(Some(Self::Zstd)),
            _ => Err(()),
        }
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
/// The zstd window is larger than [`MAX_ZSTD_WINDOW_LOG`].
const LARGE_WINDOW: &str = "it needs a zstd window above 8 MiB";

/// DEFLATE's best case: 258 bytes for two bits, so a claim beyond this is a lie.
const MAX_DEFLATE_RATIO: u64 = 1032;
/// Header (10) and trailer (8) of gzip (RFC 1952, section 2.3).
const MIN_GZIP_BYTES: usize = 18;
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
    let window_log = window_bytes.max(1).next_power_of_two().ilog2().max(MIN_ZSTD_WINDOW_LOG);
    // Many small bodies that each ask for a large window would otherwise cost memory that nobody reserved.
    let _window = budget.try_reserve(1 << window_log)?;
    let mut decoder = zstd::stream::read::Decoder::with_buffer(input).map_err(|error| corrupt(&error))?;
    decoder.window_log_max(window_log).map_err(|error| corrupt(&error))?;
    // Spans compress to a fifth or less.
    read_all(decoder, input.len().saturating_mul(5), limit, budget)
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
        _ => "its data is damaged",
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
