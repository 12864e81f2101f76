//! SHA-256 and what is made of it.

use sha2::{Digest, Sha256};

/// Block of SHA-256 in bytes.
const BLOCK: usize = 64;

/// The digest.
pub(crate) fn sha256(data: &[u8]) -> Vec<u8> {
    Sha256::digest(data).to_vec()
}

/// HMAC with SHA-256 (RFC 2104).
pub(crate) fn hmac_sha256(key: &[u8], data: &[u8]) -> Vec<u8> {
    let key = if key.len() > BLOCK { sha256(key) } else { key.to_vec() };
    let pad = |filler: u8| -> Vec<u8> {
        (0..BLOCK).map(|index| key.get(index).copied().unwrap_or_default() ^ filler).collect()
    };
    let inner = sha256(&[pad(0x36).as_slice(), data].concat());
    sha256(&[pad(0x5c).as_slice(), &inner].concat())
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
