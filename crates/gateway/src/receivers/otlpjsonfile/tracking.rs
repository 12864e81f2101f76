//! Which file is which: a file keeps its place when it is renamed, is begun anew when it was cut, and a copy of a file that
//! was cut (as `copytruncate` makes it) goes on where the original was. Pure: what was seen comes in as values.

use serde_json::{Value, json};

/// How much of a file's beginning tells it from others.
pub(super) const FINGERPRINT_BYTES: usize = 1000;

/// What the kernel calls a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) device: u64,
    pub(super) inode: u64,
}

/// How far a file was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) path: String,
    pub(super) identity: Identity,
    /// The first bytes, as many as there were, up to [`FINGERPRINT_BYTES`].
    pub(super) fingerprint: Vec<u8>,
    /// Everything before was taken; of a compressed file, of what it unpacks to.
    pub(super) offset: u64,
    /// Lines before `offset`; unknown where reading began in the middle.
    pub(super) line: Option<u64>,
}

/// A file as it was found now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) path: String,
    pub(super) identity: Identity,
    /// Its first bytes.
    pub(super) head: Vec<u8>,
    pub(super) length: u64,
}

impl Place {
    /// The beginning of a file.
    pub(super) fn start_of(found: &Found) -> Self {
        Self {
            path: found.path.clone(),
            identity: found.identity,
            fingerprint: found.head.clone(),
            offset: 0,
            line: Some(0),
        }
    }

    /// Whether this may be what was read before: it begins the same.
    fn begins_as(&self, found: &Found) -> bool {
        found.head.starts_with(&self.fingerprint)
    }

    /// The same place in the file as it is now called; or its beginning if it was cut and written anew. `None`: it is
    /// another file.
    pub(super) fn follow(&self, found: &Found, is_compressed: bool) -> Option<Followed> {
        if self.identity != found.identity {
            return None;
        }
        // How long a compressed file is says nothing of the place in it.
        let is_cut = !self.begins_as(found) || (!is_compressed && found.length < self.offset);
        let place = if is_cut { Self::start_of(found) } else { self.moved_to(found) };
        Some(Followed { place, is_cut })
    }

    /// The same place in a file that begins the same: a copy, or the file after the disk was changed.
    pub(super) fn recognise(&self, found: &Found, is_compressed: bool) -> Option<Self> {
        let is_long_enough = is_compressed || found.length >= self.offset;
        let is_it = !self.fingerprint.is_empty() && self.begins_as(found) && is_long_enough;
        is_it.then(|| self.moved_to(found))
    }

    fn moved_to(&self, found: &Found) -> Self {
        Self {
            path: found.path.clone(),
            identity: found.identity,
            fingerprint: found.head.clone(),
            offset: self.offset,
            line: self.line,
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "path": self.path, "device": self.identity.device, "inode": self.identity.inode,
            "fingerprint": self.fingerprint.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
            "offset": self.offset, "line": self.line,
        })
    }

    fn from_json(value: &Value) -> Option<Self> {
        let text = value["fingerprint"].as_str()?;
        let digits = text.as_bytes().as_chunks::<2>();
        let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        Some(Self {
            path: value["path"].as_str()?.to_owned(),
            identity: Identity { device: value["device"].as_u64()?, inode: value["inode"].as_u64()? },
            fingerprint: digits.0.iter().map(byte).collect::<Option<_>>()?,
            offset: value["offset"].as_u64()?,
            line: value["line"].as_u64(),
        })
    }
}

/// What became of a file that was read before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Followed {
    pub(super) place: Place,
    /// It was cut: what was read of it may live on in a copy.
    pub(super) is_cut: bool,
}

/// The places as they are kept on disk.
pub(super) fn to_text(places: &[Place]) -> String {
    json!({ "version": 1, "files": places.iter().map(Place::to_json).collect::<Vec<_>>() }).to_string()
}

/// What [`to_text`] wrote; `None` if it is something else.
pub(super) fn from_text(text: &str) -> Option<Vec<Place>> {
    let value: Value = serde_json::from_str(text).ok()?;
    if value["version"].as_u64() != Some(1) {
        return None;
    }
    value["files"].as_array()?.iter().map(Place::from_json).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, inode: u64, head: &str, length: u64) -> Found {
        Found { path: path.to_owned(), identity: Identity { device: 1, inode }, head: head.into(), length }
    }

    fn place(inode: u64, fingerprint: &str, offset: u64) -> Place {
        let identity = Identity { device: 1, inode };
        Place { path: "a".to_owned(), identity, fingerprint: fingerprint.into(), offset, line: Some(3) }
    }

    #[test]
    fn a_renamed_file_keeps_its_place_and_a_cut_one_begins_anew() {
        let before = place(7, "abc", 50);
        let followed = before.follow(&found("a.1", 7, "abcdef", 60), false).expect("it is the same");
        assert_eq!(followed, Followed { place: Place { path: "a.1".into(), ..place(7, "abcdef", 50) }, is_cut: false });
        for cut in [found("a", 7, "abc", 20), found("a", 7, "xyz", 90), found("a", 7, "", 0)] {
            let followed = before.follow(&cut, false).expect("it is the same");
            assert_eq!((followed.is_cut, followed.place.offset, followed.place.line), (true, 0, Some(0)));
        }
        assert_eq!(before.follow(&found("a", 8, "abc", 60), false), None);
    }

    #[test]
    fn a_copy_is_recognised_by_its_beginning() {
        let before = place(7, "abc", 50);
        let copy = before.recognise(&found("a.1", 9, "abcdef", 60), false).expect("a copy");
        assert_eq!((copy.offset, copy.identity.inode), (50, 9));
        assert_eq!(before.recognise(&found("b", 9, "abcdef", 40), false), None, "shorter than what was read");
        assert_eq!(before.recognise(&found("b", 9, "abX", 60), false), None);
        assert_eq!(place(7, "", 0).recognise(&found("b", 9, "abc", 60), false), None, "nothing is known of it");
    }

    #[test]
    fn places_survive_the_disk() {
        let places = [place(7, "abc\u{0}é", 50), Place { line: None, ..place(u64::MAX, "", 0) }];
        assert_eq!(from_text(&to_text(&places)), Some(places.to_vec()));
        for text in ["", "{}", r#"{"version":2,"files":[]}"#, r#"{"version":1,"files":[{"path":"a"}]}"#] {
            assert_eq!(from_text(text), None, "{text}");
        }
    }
}
