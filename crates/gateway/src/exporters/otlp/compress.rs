//! Compression of requests, off the runtime's threads if they are long.

use bytes::Bytes;
use libdeflater::{CompressionLvl, Compressor};

use super::Encoding;
use crate::tasks;

/// gzip: zlib's usual level, so that the ratio is what people know.
const GZIP_LEVEL: i32 = 6;
/// Zstandard: the fast end; its ratio is still above gzip's.
const ZSTD_LEVEL: i32 = 1;
/// Compressing fewer bytes takes less than half a millisecond.
const INLINE_BYTES: usize = 32 << 10;

/// `bytes` compressed; `None` if that failed. The output is short-lived and not reserved from the budget: what leaves
/// memory must not wait for memory, and the budget's share for overhead covers it.
pub(super) async fn compress(encoding: Encoding, bytes: Bytes) -> Option<Bytes> {
    if encoding == Encoding::None {
        return Some(bytes);
    }
    if bytes.len() < INLINE_BYTES {
        return compress_now(encoding, &bytes);
    }
    tasks::blocking("compress", move || compress_now(encoding, &bytes)).await.flatten()
}

fn compress_now(encoding: Encoding, bytes: &[u8]) -> Option<Bytes> {
    match encoding {
        Encoding::None => Some(Bytes::copy_from_slice(bytes)),
        Encoding::Gzip => {
            let mut compressor = Compressor::new(CompressionLvl::new(GZIP_LEVEL).ok()?);
            let mut out = vec![0; compressor.gzip_compress_bound(bytes.len())];
            let length = compressor.gzip_compress(bytes, &mut out).ok()?;
            out.truncate(length);
            out.shrink_to_fit();
            Some(out.into())
        }
        Encoding::Zstd => zstd::bulk::compress(bytes, ZSTD_LEVEL).ok().map(Bytes::from),
    }
}
