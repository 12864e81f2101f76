//! Doors to decoders inside the gateway, for the fuzz targets in `fuzz/`; nothing else uses them.

use crate::budget::Budget;
use crate::net::decompress::{self, Algorithms, Compression};

/// Decompresses a body of this content encoding to at most `limit` bytes.
///
/// # Errors
/// One sentence.
///
/// # Panics
/// If the decoder keeps memory that it gave back, or the other way round.
pub fn decompress(encoding: &str, input: &[u8], limit: usize) -> Result<Vec<u8>, String> {
    // A window of 8 MiB or LZ4's blocks of 12 MiB, and the output twice while it grows.
    let budget = Budget::new((limit as u64) * 4 + (16 << 20));
    let Ok(Some(compression)) = Compression::of_http(encoding.as_bytes(), &Algorithms::all()) else {
        return Err(format!("{encoding} is not a compression"));
    };
    let output = decompress::decompress(compression, input, limit, &budget)
        .map(|buffer| buffer.as_ref().to_vec())
        .map_err(|error| format!("{error:?}"));
    assert_eq!(budget.used(), 0, "everything is given back");
    output
}
