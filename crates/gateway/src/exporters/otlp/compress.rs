//! Compression of requests, off the runtime's threads if they are long.

use std::cell::RefCell;
use std::io::Write as _;

use bytes::Bytes;
use libdeflater::{CompressionLvl, Compressor};

use crate::config;
use crate::config::decode::Decode;
use crate::config::node::{Node, Value};
use crate::config::problems::{Position, Problems};
use crate::config::values::choice;
use crate::tasks;

/// gzip and zlib: libdeflate's fastest level. Spans get 8 % longer than with zlib at its usual level 6 (729,857 instead
/// of 673,249 of 5,016,525 bytes of `cargo xtask bench gateway`), for a fifth of the time.
const DEFLATE_LEVEL: i32 = 1;
/// Zstandard: the fast end; its ratio is still above gzip's.
const ZSTD_LEVEL: i32 = 1;
/// Compressing fewer bytes takes less than half a millisecond.
const INLINE_BYTES: usize = 32 << 10;

/// How requests are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Not.
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
    /// zlib under that name.
    Zlib,
    /// zlib under the name that HTTP has for it.
    Deflate,
    /// Snappy: in gRPC its framed form, in HTTP its block form, as the collector has it.
    Snappy,
    /// Snappy's framed form in HTTP.
    SnappyFramed,
    /// LZ4's frame.
    Lz4,
}

impl Encoding {
    /// Its name in `grpc-encoding` and `content-encoding`.
    pub(crate) const fn name(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
            Self::Zlib => Some("zlib"),
            Self::Deflate => Some("deflate"),
            Self::Snappy => Some("snappy"),
            Self::SnappyFramed => Some("x-snappy-framed"),
            Self::Lz4 => Some("lz4"),
        }
    }
}

/// `compression` of a gRPC exporter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrpcCompression(pub Encoding);

/// `compression` of an HTTP exporter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpCompression(pub Encoding);

impl Decode for GrpcCompression {
    const KIND: &'static str = "none, gzip, zstd or snappy";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        use Encoding::{Gzip, None, Snappy, Zstd};
        encoding(node, problems, &[("none", None), ("gzip", Gzip), ("zstd", Zstd), ("snappy", Snappy)]).map(Self)
    }
}

impl Decode for HttpCompression {
    const KIND: &'static str = "none, gzip, zstd, zlib, deflate, snappy, x-snappy-framed or lz4";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let choices = [
            ("none", Encoding::None),
            ("gzip", Encoding::Gzip),
            ("zstd", Encoding::Zstd),
            ("zlib", Encoding::Zlib),
            ("deflate", Encoding::Deflate),
            ("snappy", Encoding::Snappy),
            ("x-snappy-framed", Encoding::SnappyFramed),
            ("lz4", Encoding::Lz4),
        ];
        encoding(node, problems, &choices).map(Self)
    }
}

/// Empty text is none.
fn encoding(node: &Node, problems: &mut Problems, choices: &[(&str, Encoding)]) -> Option<Encoding> {
    if matches!(&node.value, Value::Scalar(scalar) if scalar.text.is_empty()) {
        return Some(Encoding::None);
    }
    choice(node, problems, choices)
}

config! {
    /// How hard requests are compressed.
    pub struct CompressionParams {
        /// 1 to 9 for gzip, zlib and deflate (1 by default), 1 to 22 for zstd (1 by default); the others have none.
        level: Option<i32>,
    }
}

impl CompressionParams {
    /// Adds a level that the encoding does not have.
    pub(super) fn check(&self, encoding: Encoding, position: &Position, problems: &mut Problems) {
        let Some(level) = self.level else { return };
        let most = match encoding {
            Encoding::Gzip | Encoding::Zlib | Encoding::Deflate => 9,
            Encoding::Zstd => 22,
            Encoding::None | Encoding::Snappy | Encoding::SnappyFramed | Encoding::Lz4 => 0,
        };
        // The collector writes "its default" as 0 or -1.
        if !(-1..=most).contains(&level) {
            let name = encoding.name().unwrap_or("none");
            problems.error(position, format!("`compression_params.level`: `{name}` has no level {level}"));
        }
    }

    /// The level; `None` is the encoding's default.
    pub(super) fn level(&self) -> Option<i32> {
        self.level.filter(|level| *level > 0)
    }
}

/// An encoding with what it needs to know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coding {
    pub(super) encoding: Encoding,
    /// `None` is the encoding's default.
    pub(super) level: Option<i32>,
    /// Snappy has a form of its own in gRPC.
    pub(super) is_grpc: bool,
}

/// `bytes` compressed; `None` if that failed. The output is short-lived and not reserved from the budget: what leaves
/// memory must not wait for memory, and the budget's share for overhead covers it.
pub(super) async fn compress(coding: Coding, bytes: Bytes) -> Option<Bytes> {
    if coding.encoding == Encoding::None {
        return Some(bytes);
    }
    if bytes.len() < INLINE_BYTES {
        return compress_now(coding, &bytes);
    }
    tasks::blocking("compress", move || compress_now(coding, &bytes)).await.flatten()
}

fn compress_now(coding: Coding, bytes: &[u8]) -> Option<Bytes> {
    let deflater = || Some(Compressor::new(CompressionLvl::new(coding.level.unwrap_or(DEFLATE_LEVEL)).ok()?));
    match coding.encoding {
        Encoding::None => Some(Bytes::copy_from_slice(bytes)),
        Encoding::Gzip => {
            let mut compressor = deflater()?;
            let mut out = vec![0; compressor.gzip_compress_bound(bytes.len())];
            let length = compressor.gzip_compress(bytes, &mut out).ok()?;
            Some(shortened(out, length))
        }
        Encoding::Zlib | Encoding::Deflate => {
            let mut compressor = deflater()?;
            let mut out = vec![0; compressor.zlib_compress_bound(bytes.len())];
            let length = compressor.zlib_compress(bytes, &mut out).ok()?;
            Some(shortened(out, length))
        }
        Encoding::Zstd => compress_zstd(coding.level.unwrap_or(ZSTD_LEVEL), bytes),
        Encoding::Snappy if !coding.is_grpc => snap::raw::Encoder::new().compress_vec(bytes).ok().map(Bytes::from),
        Encoding::Snappy | Encoding::SnappyFramed => {
            let mut writer = snap::write::FrameEncoder::new(Vec::with_capacity(bytes.len() / 2));
            writer.write_all(bytes).ok()?;
            writer.into_inner().ok().map(Bytes::from)
        }
        Encoding::Lz4 => {
            let mut writer = lz4_flex::frame::FrameEncoder::new(Vec::with_capacity(bytes.len() / 2));
            writer.write_all(bytes).ok()?;
            writer.finish().ok().map(Bytes::from)
        }
    }
}

thread_local! {
    /// The tables of a level take longer to make than a small request to compress; an idle thread ends, and they with it.
    static ZSTD: RefCell<Option<(i32, zstd::bulk::Compressor<'static>)>> = const { RefCell::new(None) };
}

fn compress_zstd(level: i32, bytes: &[u8]) -> Option<Bytes> {
    ZSTD.with_borrow_mut(|kept| {
        let compressor = match kept {
            Some((of_level, compressor)) if *of_level == level => compressor,
            _ => &mut kept.insert((level, zstd::bulk::Compressor::new(level).ok()?)).1,
        };
        compressor.compress(bytes).ok().map(Bytes::from)
    })
}

fn shortened(mut out: Vec<u8>, length: usize) -> Bytes {
    out.truncate(length);
    out.shrink_to_fit();
    out.into()
}

#[cfg(test)]
mod tests;
