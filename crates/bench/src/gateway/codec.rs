//! How requests are compressed, at the levels that clients use by default.

use std::io::Read as _;

use anyhow::Context as _;
use bytes::Bytes;

/// What gzip libraries use when nobody asks for a level.
const GZIP_LEVEL: i32 = 6;
/// The same for Zstandard.
const ZSTD_LEVEL: i32 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    None,
    Gzip,
    Zstd,
}

impl Encoding {
    /// As in the configuration.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    pub(super) fn of_name(name: &[u8]) -> Option<Self> {
        match name {
            b"" | b"none" | b"identity" => Some(Self::None),
            b"gzip" => Some(Self::Gzip),
            b"zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    pub(super) fn compress(self, bytes: Vec<u8>) -> anyhow::Result<Bytes> {
        match self {
            Self::None => Ok(bytes.into()),
            Self::Gzip => {
                let level = libdeflater::CompressionLvl::new(GZIP_LEVEL);
                let mut compressor = libdeflater::Compressor::new(level.ok().context("a level that exists")?);
                let mut out = vec![0; compressor.gzip_compress_bound(bytes.len())];
                let length = compressor.gzip_compress(&bytes, &mut out)?;
                out.truncate(length);
                Ok(out.into())
            }
            Self::Zstd => Ok(zstd::bulk::compress(&bytes, ZSTD_LEVEL)?.into()),
        }
    }

    pub(super) fn decompress(self, bytes: Bytes) -> anyhow::Result<Bytes> {
        let mut out = Vec::new();
        match self {
            Self::None => return Ok(bytes),
            Self::Gzip => flate2::read::MultiGzDecoder::new(bytes.as_ref()).read_to_end(&mut out)?,
            Self::Zstd => zstd::stream::read::Decoder::new(bytes.as_ref())?.read_to_end(&mut out)?,
        };
        Ok(out.into())
    }
}

/// The length of `bytes` compressed as zlib does at its usual level: what a ratio is compared with.
pub(super) fn zlib_length(bytes: &[u8]) -> anyhow::Result<usize> {
    let mut out = Vec::new();
    flate2::read::GzEncoder::new(bytes, flate2::Compression::new(GZIP_LEVEL as u32)).read_to_end(&mut out)?;
    Ok(out.len())
}
