//! Compressed files, unpacked as they are read: nothing of them is held but the line that is read, whose length is capped.

use std::io::{self, BufRead, Read};

use crate::config::decode::Decode;
use crate::config::node::Node;
use crate::config::problems::Problems;
use crate::config::values::choice;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// How files are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Not.
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
    /// Each file as it begins.
    Auto,
}

impl Decode for Packing {
    const KIND: &'static str = "none, gzip, zstd or auto";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let choices =
            [("none", Self::None), ("", Self::None), ("gzip", Self::Gzip), ("zstd", Self::Zstd), ("auto", Self::Auto)];
        choice(node, problems, &choices)
    }
}

impl Packing {
    /// Whether a file that begins so is compressed.
    pub(super) fn is_packed(self, head: &[u8]) -> bool {
        match self {
            Self::None => false,
            Self::Gzip | Self::Zstd => true,
            Self::Auto => is_packed(head),
        }
    }
}

/// Whether what begins so is compressed.
#[must_use]
pub fn is_packed(head: &[u8]) -> bool {
    head.starts_with(GZIP) || head.starts_with(ZSTD)
}

/// What something compressed holds. Which of the two it is, it says itself.
///
/// # Errors
/// Those of reading its beginning.
pub fn unpacked<'r>(mut packed: impl BufRead + Send + 'r) -> io::Result<Box<dyn Read + Send + 'r>> {
    if packed.fill_buf()?.starts_with(ZSTD) {
        return Ok(Box::new(zstd::stream::read::Decoder::with_buffer(packed)?));
    }
    Ok(Box::new(flate2::bufread::MultiGzDecoder::new(packed)))
}
