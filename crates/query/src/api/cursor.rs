//! The opaque text form of a page's end.
//!
//! 29 bytes as unpadded base64url: version (1), latest matching start (8, big endian), trace id (16), and a hash of
//! the query text (4): a cursor continues the search that it came from and no other.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rootspan_model::ids::TraceId;
use rootspan_model::time::UnixNanos;
use rootspan_store::store::Cursor;

const VERSION: u8 = 1;
const LENGTH: usize = 29;

/// The cursor's text, for the search with query text `query`.
#[must_use]
pub(super) fn encode(cursor: Cursor, query: &str) -> String {
    let mut bytes = [0; LENGTH];
    bytes[0] = VERSION;
    bytes[1..9].copy_from_slice(&cursor.latest_matching_start.0.to_be_bytes());
    bytes[9..25].copy_from_slice(cursor.trace_id.as_bytes());
    bytes[25..].copy_from_slice(&fnv1a(query).to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The cursor in `text`; `None` if it is none, or one of another query.
#[must_use]
pub(super) fn decode(text: &str, query: &str) -> Option<Cursor> {
    let bytes: [u8; LENGTH] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
    let start: [u8; 8] = bytes[1..9].try_into().ok()?;
    let is_ours = bytes[0] == VERSION && bytes[25..] == fnv1a(query).to_be_bytes();
    is_ours.then_some(Cursor {
        latest_matching_start: UnixNanos(u64::from_be_bytes(start)),
        trace_id: TraceId::from_slice(&bytes[9..25])?,
    })
}

/// FNV-1a: the same in every build and process, which the hashes of the standard library do not promise.
fn fnv1a(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::{Cursor, TraceId, UnixNanos, decode, encode};

    #[test]
    fn a_cursor_comes_back_for_its_own_query_only() {
        for start in [0, 1_764_000_000_123_456_789, u64::MAX] {
            let cursor = Cursor { latest_matching_start: UnixNanos(start), trace_id: TraceId::new([0xAB; 16]) };
            let text = encode(cursor, "{ name = \"x\" }");
            assert_eq!(decode(&text, "{ name = \"x\" }"), Some(cursor));
            assert_eq!(decode(&text, "{}"), None);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let cursor = Cursor { latest_matching_start: UnixNanos(7), trace_id: TraceId::new([1; 16]) };
        let text = encode(cursor, "{}");
        let mut other_version = text.clone();
        other_version.replace_range(0..1, "B");
        for bad in
            ["", "AQ", "!", text.get(1..).unwrap_or_default(), &format!("{text}A"), &format!("{text}="), &other_version]
        {
            assert_eq!(decode(bad, "{}"), None, "{bad}");
        }
    }
}
