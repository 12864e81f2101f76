//! Which file is which: a file keeps its place when it is renamed, is begun anew when it was cut, and what begins as it did (a copy,
//! as `copytruncate` makes it, or the same compressed) goes on where it was. Pure: what was seen comes in as values.
//!
//! ```json
//! {"version":1,"files":[{"path":"/var/log/nginx/rootspan.log","device":2049,"inode":131,"offset":5120,"line":9,
//!   "head_bytes":4096,"head_sha256":"…"}]}
//! ```

use std::time::SystemTime;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// How much of a file's beginning tells it from others. The header of a log of CloudFront is 2 KiB long at most, and what
/// follows has random ids in it.
pub(super) const HEAD_BYTES: usize = 4096;

/// Longest note of a receiver's: a header with all fields of CloudFront is 2 KiB long.
const MAX_NOTE_BYTES: usize = 16 << 10;

/// What the kernel calls a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pub(super) device: u64,
    pub(super) inode: u64,
}

/// How a file begins: what a copy of it has, too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// Bytes that were looked at, up to [`HEAD_BYTES`]; none: nothing is known.
    bytes: usize,
    /// SHA-256 of them, in hexadecimal.
    hash: String,
}

/// How far a file was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) path: String,
    pub(super) identity: Identity,
    pub(super) head: Head,
    /// Everything before was taken; of a compressed file, of what it unpacks to.
    pub(super) offset: u64,
    /// Lines before `offset`; unknown where reading began in the middle.
    pub(super) line: Option<u64>,
    /// A compressed file was read to its end when it was so long.
    pub(super) ended: Option<u64>,
    /// What the receiver must know of what was before.
    pub(super) note: Option<String>,
}

/// A file as it was found now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) path: String,
    pub(super) identity: Identity,
    /// The first bytes of what it holds, up to [`HEAD_BYTES`].
    pub(super) head: Vec<u8>,
    /// As it lies on the disk.
    pub(super) length: u64,
    pub(super) modified: SystemTime,
    pub(super) is_packed: bool,
}

impl Head {
    fn of(bytes: &[u8]) -> Self {
        let hash = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { bytes: bytes.len(), hash }
    }

    /// Whether what was found begins so.
    fn is_of(&self, found: &Found) -> bool {
        self.bytes == 0 || found.head.get(..self.bytes).is_some_and(|bytes| Self::of(bytes) == *self)
    }
}

impl Place {
    /// The beginning of a file.
    pub(super) fn start_of(found: &Found) -> Self {
        Self { line: Some(0), ..Self::default() }.moved_to(found)
    }

    /// The end of a file that nobody wants to read from its beginning.
    pub(super) fn end_of(found: &Found) -> Self {
        Self { offset: found.length, ..Self::default() }.moved_to(found)
    }

    /// Whether this may be what was read before. How long a compressed file is says nothing of the place in it.
    pub(super) fn is_in(&self, found: &Found) -> bool {
        self.head.is_of(found) && (found.is_packed || found.length >= self.offset)
    }

    /// Whether a file that begins the same is known to be it: a copy, or the file after the disk was changed.
    pub(super) fn is_recognised(&self, found: &Found) -> bool {
        self.head.bytes > 0 && self.is_in(found)
    }

    /// The same place in the file as it is now.
    pub(super) fn moved_to(&self, found: &Found) -> Self {
        let is_same = self.identity == found.identity;
        Self {
            path: found.path.clone(),
            identity: found.identity,
            head: Head::of(&found.head),
            ended: self.ended.filter(|_| is_same && found.is_packed),
            ..self.clone()
        }
    }

    /// Remembers a note of the receiver's.
    pub(super) fn keep_note(&mut self, note: Option<String>) {
        self.note = note.filter(|note| note.len() <= MAX_NOTE_BYTES);
    }

    fn to_json(&self) -> Value {
        let mut value = json!({
            "path": self.path, "device": self.identity.device, "inode": self.identity.inode,
            "head_bytes": self.head.bytes, "head_sha256": self.head.hash, "offset": self.offset, "line": self.line,
        });
        if let Some(ended) = self.ended {
            value["ended"] = ended.into();
        }
        if let Some(note) = &self.note {
            value["note"] = note.as_str().into();
        }
        value
    }

    fn from_json(value: &Value) -> Option<Self> {
        let bytes = usize::try_from(value["head_bytes"].as_u64()?).ok().filter(|bytes| *bytes <= HEAD_BYTES)?;
        Some(Self {
            path: value["path"].as_str()?.to_owned(),
            identity: Identity { device: value["device"].as_u64()?, inode: value["inode"].as_u64()? },
            head: Head { bytes, hash: value["head_sha256"].as_str()?.to_owned() },
            offset: value["offset"].as_u64()?,
            line: value["line"].as_u64(),
            ended: value["ended"].as_u64(),
            note: value["note"].as_str().map(str::to_owned),
        })
    }
}

/// The places as they are kept on disk.
pub(super) fn to_text<'p>(places: impl IntoIterator<Item = &'p Place>) -> String {
    json!({ "version": 1, "files": places.into_iter().map(Place::to_json).collect::<Vec<_>>() }).to_string()
}

/// What [`to_text`] wrote; `None` if it is something else.
pub(super) fn from_text(text: &str) -> Option<Vec<Place>> {
    let value: Value = serde_json::from_str(text).ok()?;
    if value["version"].as_u64() != Some(1) {
        return None;
    }
    value["files"].as_array()?.iter().map(Place::from_json).collect()
}

/// Whether `other` is the name of a rotated generation of a log called `name`: `access.log.1`, `access.log-20261125`,
/// `access-20261125.log`, each perhaps compressed. What is only called alike is another log.
pub(super) fn is_generation(name: &str, other: &str) -> bool {
    let other = PACKED.iter().find_map(|end| other.strip_suffix(end)).unwrap_or(other);
    let is_number = |text: &str| {
        let rest = text.strip_prefix(['.', '-', '_']).unwrap_or_default();
        rest.starts_with(|c: char| c.is_ascii_digit())
            && rest.chars().all(|c| c.is_ascii_digit() || "-_.TZ".contains(c))
    };
    let (stem, end) = name.rsplit_once('.').map_or((name, ""), |(stem, end)| (stem, end));
    let behind_stem = other.strip_prefix(stem).and_then(|rest| rest.strip_suffix(end)?.strip_suffix('.'));
    other.strip_prefix(name).is_some_and(is_number) || behind_stem.is_some_and(is_number)
}

/// Whether `other` may be a copy of a log called `name`, which is looked at only to see whether it begins the same.
pub(super) fn is_called_alike(name: &str, other: &str) -> bool {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let rest = other.strip_prefix(name).or_else(|| other.strip_prefix(stem));
    rest.is_some_and(|rest| rest.starts_with(['.', '-', '_']))
}

const PACKED: [&str; 2] = [".gz", ".zst"];

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, inode: u64, head: &str, length: u64) -> Found {
        let (identity, modified) = (Identity { device: 1, inode }, SystemTime::UNIX_EPOCH);
        Found { path: path.to_owned(), identity, head: head.into(), length, modified, is_packed: false }
    }

    fn place(inode: u64, head: &str, offset: u64) -> Place {
        Place { offset, line: Some(3), ..Place::start_of(&found("a", inode, head, 0)) }
    }

    #[test]
    fn a_file_that_has_grown_is_the_same_and_a_cut_one_is_not() {
        let before = place(7, "abc", 50);
        let now = found("a.1", 7, "abcdef", 60);
        assert!(before.is_in(&now));
        assert_eq!(before.moved_to(&now), Place { path: "a.1".into(), ..place(7, "abcdef", 50) });
        for cut in [found("a", 7, "abc", 20), found("a", 7, "xyz", 90), found("a", 7, "", 0)] {
            assert!(!before.is_in(&cut));
        }
    }

    #[test]
    fn a_copy_is_recognised_by_its_beginning() {
        let before = place(7, "abc", 50);
        let copy = before.moved_to(&found("a.1", 9, "abcdef", 60));
        assert_eq!((copy.offset, copy.identity.inode), (50, 9));
        assert!(before.is_recognised(&found("a.1", 9, "abcdef", 60)));
        assert!(!before.is_recognised(&found("b", 9, "abcdef", 40)), "shorter than what was read");
        assert!(before.is_recognised(&Found { is_packed: true, ..found("a.1.gz", 9, "abcdef", 40) }), "compressed");
        assert!(!before.is_recognised(&found("b", 9, "abX", 60)));
        assert!(!place(7, "", 0).is_recognised(&found("b", 9, "abc", 60)), "nothing is known of it");
    }

    #[test]
    fn places_survive_the_disk() {
        let noted = Place { line: None, ended: Some(7), note: Some("#Fields: a".to_owned()), ..place(u64::MAX, "", 0) };
        let places = [place(7, "abc\u{0}é", 50), noted];
        assert_eq!(from_text(&to_text(&places)), Some(places.to_vec()));
        for text in ["", "{}", r#"{"version":2,"files":[]}"#, r#"{"version":1,"files":[{"path":"a"}]}"#] {
            assert_eq!(from_text(text), None, "{text}");
        }
    }

    #[test]
    fn generations_are_told_from_other_logs() {
        for other in [
            "access.log.1",
            "access.log.2.gz",
            "access.log-20261125",
            "access-20261125.log",
            "access.log_2026-11-25T10",
        ] {
            assert!(is_generation("access.log", other), "{other}");
        }
        for other in
            ["access.log", "access-errors.log", "access.log.bak", "access.json", "accesses.log.1", "access.log."]
        {
            assert!(!is_generation("access.log", other), "{other}");
        }
        assert!(is_called_alike("access.log", "access.log.copy") && !is_called_alike("access.log", "accesses.log"));
    }
}
