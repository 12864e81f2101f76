//! Ids that look like CloudFront's and delays that do not fall together. Not secret, only distinct.

use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use sha2::{Digest, Sha256};

/// A sequence of distinct values, made from a seed and the time of the start.
#[derive(Debug)]
pub(crate) struct Random {
    seed: [u8; 16],
    counter: AtomicU64,
}

impl Random {
    pub(crate) fn new(seed: u64, start_unix_millis: u64) -> Self {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8..].copy_from_slice(&start_unix_millis.to_le_bytes());
        Self { seed: bytes, counter: AtomicU64::new(0) }
    }

    fn next(&self) -> [u8; 32] {
        let counter = self.counter.fetch_add(1, Ordering::Relaxed);
        Sha256::new().chain_update(self.seed).chain_update(counter.to_le_bytes()).finalize().into()
    }

    /// 56 characters of the URL-safe alphabet that end in `==`, like `x-edge-request-id`.
    pub(crate) fn request_id(&self) -> String {
        let (first, second) = (self.next(), self.next());
        URL_SAFE.encode([&first[..], &second[..8]].concat())
    }

    /// A version 4 UUID, as Firehose's request ids are.
    pub(crate) fn uuid(&self) -> String {
        let mut bytes = self.next();
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex: Vec<String> = bytes[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        [hex[..4].concat(), hex[4..6].concat(), hex[6..8].concat(), hex[8..10].concat(), hex[10..].concat()].join("-")
    }

    /// Eight hexadecimal digits, as the names of log files end.
    pub(crate) fn file_id(&self) -> String {
        super::digest::hex(&self.next()[..4])
    }

    /// A number below `limit`.
    pub(crate) fn below(&self, limit: usize) -> usize {
        let bytes = self.next();
        let value = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        usize::try_from(u64::from(value) % (limit.max(1) as u64)).unwrap_or_default()
    }

    /// A factor from `1 - share` to `1 + share`.
    pub(crate) fn jitter(&self, share: f64) -> f64 {
        let bytes = self.next();
        let unit = f64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])) / f64::from(u32::MAX);
        1.0 + share * (2.0 * unit - 1.0)
    }
}
