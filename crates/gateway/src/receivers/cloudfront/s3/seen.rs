//! Which objects were read, kept on disk: a journal of digests, so that a bucket with a million new objects a day costs
//! tens of megabytes. A key is marked after its spans are settled; what is cut off in between is read again. One process
//! owns the folder; another one waits for it.
//!
//! A frame is the time of a complete look at the bucket (8 bytes, nanoseconds since 1970), or a list of objects of 24
//! bytes each: when it was written (8 bytes, nanoseconds since 1970), and the first 16 bytes of SHA-256 of key, a zero and
//! ETag: an object that is replaced is read again. Numbers are little-endian.
//!
//! Nothing that was written before the window begins is read; so what is older is forgotten, and segments of the journal
//! that hold nothing younger are removed.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rootspan_journal::directory::Directory;
use rootspan_journal::directory::files::FilesDirectory;
use rootspan_journal::journal::{Codec, Journal, JournalError, Options, Sequence};
use rootspan_model::time::UnixNanos;
use sha2::{Digest as _, Sha256};

use crate::aws::bucket::Listed;

/// What is older than the window goes in steps of this size.
const SEGMENT_BYTES: u64 = 256 << 10;
/// Where the journal lies.
const JOURNAL_FOLDER: &str = "seen";
/// Objects of one frame.
const MAX_FRAME_OBJECTS: usize = 10_000;
const OBJECT_BYTES: usize = 24;
const LOOK_BYTES: usize = 8;

type ObjectDigest = [u8; 16];

/// What was read.
pub(super) struct Seen {
    /// Locked by nobody: the lock is what lets references to the set cross threads.
    journal: Mutex<Journal>,
    objects: HashMap<ObjectDigest, UnixNanos>,
    /// When the bucket was last looked at as a whole.
    last_look: Option<UnixNanos>,
    /// Frames in the order of the journal, with the time of the youngest object; `None`: a look.
    frames: VecDeque<(Sequence, Option<UnixNanos>)>,
    _lock: Box<dyn Send + Sync>,
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seen").field("objects", &self.objects.len()).finish_non_exhaustive()
    }
}

/// Why there is no set.
#[derive(Debug, thiserror::Error)]
pub(super) enum SeenError {
    /// Another process lists the bucket.
    #[error("the folder is in use by another process")]
    InUse,
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] io::Error),
    /// The journal cannot be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl Seen {
    /// Reads what is kept in a folder; says what of it is damaged.
    pub(super) fn open(folder: &Path) -> Result<(Self, Vec<String>), SeenError> {
        Self::open_in(Arc::new(FilesDirectory::open(folder)?))
    }

    fn open_in(directory: Arc<dyn Directory>) -> Result<(Self, Vec<String>), SeenError> {
        let lock = directory.lock().map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => SeenError::InUse,
            _ => SeenError::Folder(error),
        })?;
        let options = Options { segment_bytes: SEGMENT_BYTES, codec: Codec::Raw, ..Options::default() };
        let (mut objects, mut last_look, mut frames) = (HashMap::new(), None, VecDeque::new());
        let mut replay = |sequence, payload: bytes::Bytes| {
            if let Ok(look) = <[u8; LOOK_BYTES]>::try_from(payload.as_ref()) {
                last_look = last_look.max(Some(UnixNanos(u64::from_le_bytes(look))));
                frames.push_back((sequence, None));
                return Ok(());
            }
            let (found, _) = payload.as_ref().as_chunks::<OBJECT_BYTES>();
            let found = found.iter().map(object_of_bytes);
            objects.extend(found.clone());
            frames.push_back((sequence, found.map(|(_, modified)| modified).max()));
            Ok(())
        };
        let (journal, recovery) = Journal::open(directory, JOURNAL_FOLDER, options, Sequence(0), &mut replay)?;
        let seen = Self { journal: Mutex::new(journal), objects, last_look, frames, _lock: lock };
        Ok((seen, recovery.damaged))
    }

    fn journal(&mut self) -> &mut Journal {
        self.journal.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many objects are kept.
    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    /// Where the window of the next look begins: so long before the last complete one, for what was on its way then; the
    /// first time so long before now.
    pub(super) fn window(&self, now: UnixNanos, lookback: Duration) -> UnixNanos {
        let from = self.last_look.map_or(now, |look| look.min(now));
        UnixNanos(from.0.saturating_sub(u64::try_from(lookback.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// Whether an object was read as it is now.
    pub(super) fn has(&self, object: &Listed) -> bool {
        self.objects.contains_key(&digest(object))
    }

    /// These are read: durably when this returns.
    pub(super) fn mark(&mut self, objects: &[Listed]) -> Result<(), SeenError> {
        for objects in objects.chunks(MAX_FRAME_OBJECTS) {
            let mut frame = Vec::with_capacity(objects.len() * OBJECT_BYTES);
            for object in objects {
                frame.extend_from_slice(&object.modified.0.to_le_bytes());
                frame.extend_from_slice(&digest(object));
            }
            let sequence = self.journal().append(&frame)?;
            self.frames.push_back((sequence, objects.iter().map(|object| object.modified).max()));
            self.objects.extend(objects.iter().map(|object| (digest(object), object.modified)));
        }
        self.journal().sync()?;
        Ok(())
    }

    /// The bucket was looked at as a whole, beginning at `look`, and nothing before `window` matters any more.
    pub(super) fn complete(&mut self, look: UnixNanos, window: UnixNanos) -> Result<(), SeenError> {
        self.last_look = Some(look);
        let sequence = self.journal().append(&look.0.to_le_bytes())?;
        self.frames.push_back((sequence, None));
        self.journal().sync()?;
        self.objects.retain(|_, modified| *modified >= window);
        // The look just written stays in any case.
        let mut through = Sequence(0);
        while self.frames.len() > 1
            && let Some((sequence, youngest)) = self.frames.front()
            && youngest.is_none_or(|youngest| youngest < window)
        {
            through = *sequence;
            self.frames.pop_front();
        }
        self.journal().remove_through(through)?;
        Ok(())
    }
}

fn digest(object: &Listed) -> ObjectDigest {
    let mut hash = Sha256::new();
    hash.update(object.key.as_bytes());
    hash.update([0]);
    hash.update(object.etag.as_bytes());
    let digest: [u8; 32] = hash.finalize().into();
    *digest.first_chunk().expect("32 bytes have 16")
}

fn object_of_bytes(bytes: &[u8; OBJECT_BYTES]) -> (ObjectDigest, UnixNanos) {
    let (time, digest) = bytes.split_first_chunk::<8>().expect("24 bytes have 8");
    (*digest.first_chunk().expect("and 16 behind them"), UnixNanos(u64::from_le_bytes(*time)))
}

#[cfg(test)]
mod tests;
