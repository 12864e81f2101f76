//! Bytes of a segment: how headers and frames are written and checked. The format is described in [`crate::journal`].

use std::borrow::Cow;
use std::io;

use bytes::Bytes;
use zstd::bulk::{Compressor, Decompressor};

use crate::journal::{Codec, Sequence};

/// Length of a segment's header.
pub(super) const SEGMENT_HEADER_BYTES: usize = 36;
/// Length of a frame's header.
pub(super) const FRAME_HEADER_BYTES: usize = 36;

/// Longest payload the format can hold. The header's own CRC makes lengths trustworthy, this bounds what a frame can ask
/// for all the same.
pub(super) const FORMAT_PAYLOAD_BYTES: usize = 1 << 30;

const MAGIC: [u8; 4] = *b"RSJ1";
const VERSION: u32 = 1;

/// zstd's fast levels are negative; −1 costs about 1.2 CPU s per million spans and leaves a tenth of the bytes.
const ZSTD_LEVEL: i32 = -1;

const CODEC_RAW: u8 = 0;
const CODEC_ZSTD: u8 = 1;

/// Ending of a segment's name.
const SEGMENT_ENDING: &str = ".segment";

/// The name of the segment whose first sequence is `first`: fixed width, so that names sort as numbers.
pub(super) fn segment_name(first: Sequence) -> String {
    format!("{:020}{SEGMENT_ENDING}", first.0)
}

/// The first sequence in a segment's name; `None` if the name is none of ours.
pub(super) fn parse_segment_name(name: &str) -> Option<Sequence> {
    let first = Sequence(name.strip_suffix(SEGMENT_ENDING)?.parse().ok()?);
    (segment_name(first) == name).then_some(first)
}

/// First bytes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    /// The sequence in the segment's name.
    pub(super) first: Sequence,
    /// First sequence of the segment before, 0 if there was none.
    pub(super) previous: Sequence,
    /// How many bytes of the segment before count.
    pub(super) previous_length: u64,
}

impl SegmentHeader {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.first.0.to_le_bytes());
        out.extend_from_slice(&self.previous.0.to_le_bytes());
        out.extend_from_slice(&self.previous_length.to_le_bytes());
        let crc = crc32c::crc32c(&out[start..]);
        out.extend_from_slice(&crc.to_le_bytes());
        debug_assert_eq!(out.len() - start, SEGMENT_HEADER_BYTES, "the header has its documented length");
    }

    /// `None` if the bytes are no sound header of the segment `first`.
    pub(super) fn decode(bytes: &[u8; SEGMENT_HEADER_BYTES], first: Sequence) -> Option<Self> {
        let mut fields = Fields { bytes };
        let magic = fields.take::<4>();
        let version = fields.u32();
        let header =
            Self { first: Sequence(fields.u64()), previous: Sequence(fields.u64()), previous_length: fields.u64() };
        let is_sound = fields.u32() == crc32c::crc32c(&bytes[..SEGMENT_HEADER_BYTES - 4])
            && magic == MAGIC
            && version == VERSION
            && header.first == first
            && header.previous < first;
        is_sound.then_some(header)
    }
}

/// What stands before a frame's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// Position in the journal.
    pub(super) sequence: Sequence,
    /// How the payload is stored.
    pub(super) codec: Codec,
    /// Bytes of the payload in the file.
    pub(super) stored_length: u32,
    /// Bytes of the payload as it was given.
    pub(super) length: u32,
    /// How many bytes of this segment were durable when the frame was written.
    pub(super) durable: u64,
    /// CRC32C of the payload as it is in the file.
    pub(super) payload_crc: u32,
}

impl FrameHeader {
    /// Appends the header as it stands in the segment `first`.
    pub(super) fn encode(&self, first: Sequence, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.stored_length.to_le_bytes());
        out.extend_from_slice(&self.length.to_le_bytes());
        out.extend_from_slice(&self.sequence.0.to_le_bytes());
        out.extend_from_slice(&self.durable.to_le_bytes());
        let codec = match self.codec {
            Codec::Raw => CODEC_RAW,
            Codec::Zstd => CODEC_ZSTD,
        };
        out.extend_from_slice(&[codec, 0, 0, 0]);
        out.extend_from_slice(&self.payload_crc.to_le_bytes());
        let crc = frame_header_crc(first, &out[start..]);
        out.extend_from_slice(&crc.to_le_bytes());
        debug_assert_eq!(out.len() - start, FRAME_HEADER_BYTES, "the header has its documented length");
    }

    /// `None` if the bytes are no sound frame header of the segment `first`.
    pub(super) fn decode(bytes: &[u8; FRAME_HEADER_BYTES], first: Sequence) -> Option<Self> {
        let mut fields = Fields { bytes };
        let stored_length = fields.u32();
        let length = fields.u32();
        let sequence = Sequence(fields.u64());
        let durable = fields.u64();
        let codec = fields.take::<4>();
        let payload_crc = fields.u32();
        if fields.u32() != frame_header_crc(first, &bytes[..FRAME_HEADER_BYTES - 4]) {
            return None;
        }
        let codec = match codec {
            [CODEC_RAW, 0, 0, 0] => Codec::Raw,
            [CODEC_ZSTD, 0, 0, 0] => Codec::Zstd,
            _ => return None,
        };
        let is_possible = length as usize <= FORMAT_PAYLOAD_BYTES
            && match codec {
                Codec::Raw => stored_length == length,
                Codec::Zstd => stored_length < length,
            };
        is_possible.then_some(Self { sequence, codec, stored_length, length, durable, payload_crc })
    }

    /// Length of the frame in the file.
    pub(super) fn frame_length(&self) -> u64 {
        FRAME_HEADER_BYTES as u64 + u64::from(self.stored_length)
    }
}

/// The segment's first sequence is part of what is checked: a frame of another segment is no frame here.
fn frame_header_crc(first: Sequence, fields: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&first.0.to_le_bytes()), fields)
}

/// Takes little-endian fields from the front. The callers' arrays are as long as their fields.
struct Fields<'a> {
    bytes: &'a [u8],
}

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.bytes.split_first_chunk::<N>().expect("headers are as long as their fields");
        self.bytes = rest;
        *field
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }
}

/// Compresses payloads with one context and one buffer.
pub(super) struct Packer {
    compressor: Compressor<'static>,
    buffer: Vec<u8>,
}

/// The buffer is given back when a payload needed more than this.
const KEPT_BUFFER_BYTES: usize = 4 * 1024 * 1024;

impl Packer {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { compressor: Compressor::new(ZSTD_LEVEL)?, buffer: Vec::new() })
    }

    /// The payload compressed; `None` if that does not make it shorter.
    pub(super) fn pack(&mut self, parts: &[&[u8]]) -> Option<[&[u8]; 1]> {
        let payload = match parts {
            [whole] => Cow::Borrowed(*whole),
            parts => Cow::Owned(parts.concat()),
        };
        if self.buffer.capacity() > KEPT_BUFFER_BYTES {
            self.buffer = Vec::new();
        }
        self.buffer.clear();
        self.buffer.reserve(zstd::zstd_safe::compress_bound(payload.len()));
        // An error here costs compression, not the frame.
        let length = self.compressor.compress_to_buffer(payload.as_ref(), &mut self.buffer).ok()?;
        (length < payload.len()).then_some([self.buffer.as_slice()])
    }
}

/// Decompresses payloads with one context.
pub(super) struct Unpacker {
    decompressor: Decompressor<'static>,
}

impl Unpacker {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { decompressor: Decompressor::new()? })
    }

    /// The payload as it was given; `None` if the stored bytes are not exactly that long when unpacked.
    pub(super) fn unpack(&mut self, header: &FrameHeader, stored: Bytes) -> Option<Bytes> {
        match header.codec {
            Codec::Raw => Some(stored),
            Codec::Zstd => {
                let length = header.length as usize;
                let payload = self.decompressor.decompress(&stored, length).ok()?;
                (payload.len() == length).then(|| Bytes::from(payload))
            }
        }
    }
}
