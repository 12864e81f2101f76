//! Who may enter, in the form of Apache's `htpasswd`.
//!
//! A slow hash (bcrypt takes tens of milliseconds on purpose) cannot be computed for each request: what was right once is
//! remembered, as a keyed hash that lives as long as the process, until the file changes. What is wrong is computed each
//! time, off the runtime's threads and few at a time.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha_crypt::PasswordVerifier as _;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;

use super::{BasicAuthConfig, LOOK_PERIOD, md5_crypt};
use crate::extensions::auth::{Denied, Identity};
use crate::net::reload::{Reloading, Source};
use crate::tasks;

/// Passwords that are hashed at once; further ones wait.
const MAX_HASHING: usize = 2;
/// Those that may wait; further ones are refused, so that a flood of wrong passwords holds nothing up.
const MAX_WAITING: usize = 64;
/// Longest password that is looked at.
const MAX_PASSWORD_BYTES: usize = 1024;

/// The authenticator.
#[derive(Debug)]
pub(crate) struct Htpasswd {
    users: Arc<Reloading<Users>>,
    hashing: Semaphore,
    waiting: Semaphore,
}

/// Names and how their passwords are hashed; at least one.
struct Users {
    hashes: HashMap<String, Hash>,
    /// Key of the hashes in `known`.
    key: [u8; 32],
    /// Passwords that were right, by name.
    known: Mutex<HashMap<String, [u8; 32]>>,
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users").field("users", &self.hashes.len()).finish_non_exhaustive()
    }
}

/// A hashed password.
enum Hash {
    Bcrypt(String),
    /// `$apr1$` or `$1$`.
    Md5(String),
    Sha1([u8; 20]),
    SaltedSha1([u8; 20], Vec<u8>),
    /// `$5$` or `$6$`.
    ShaCrypt(String),
    Plain(String),
}

impl Htpasswd {
    /// Reads the lines; an error is one sentence.
    pub(crate) fn load(config: &BasicAuthConfig, what: &str) -> Result<Self, String> {
        let htpasswd = config.htpasswd.as_ref().ok_or("there is no `htpasswd`")?;
        let mut sources = Vec::new();
        if !htpasswd.file.is_empty() {
            sources.push(Source::File { key: "htpasswd.file", path: htpasswd.file.as_str().into() });
        }
        if let Some(inline) = &htpasswd.inline {
            sources.push(Source::Inline { key: "htpasswd.inline", text: inline.clone() });
        }
        let names: Vec<String> = sources.iter().map(Source::shown).collect();
        let users = Reloading::load(what, sources, LOOK_PERIOD, move |contents| Users::read(&names, contents))?;
        let (hashing, waiting) = (Semaphore::new(MAX_HASHING), Semaphore::new(MAX_WAITING));
        Ok(Self { users, hashing, waiting })
    }

    /// RFC 7617.
    pub(crate) async fn authenticate(&self, headers: &HeaderMap) -> Result<Identity, Denied> {
        let shown = headers.get(AUTHORIZATION).ok_or(Denied::Missing)?.to_str().map_err(|_| Denied::Wrong)?;
        let encoded = match shown.split_once(' ') {
            Some((scheme, encoded)) if scheme.eq_ignore_ascii_case("basic") => encoded.trim(),
            _ => return Err(Denied::Wrong),
        };
        let decoded = STANDARD.decode(encoded).ok().and_then(|decoded| String::from_utf8(decoded).ok());
        let decoded = decoded.ok_or(Denied::Wrong)?;
        let (name, password) = decoded.split_once(':').ok_or(Denied::Wrong)?;
        if password.len() > MAX_PASSWORD_BYTES {
            return Err(Denied::Wrong);
        }
        let users = self.users.current().await;
        let digest = users.digest(name, password);
        if !users.is_known(name, &digest) {
            let _waiting = self.waiting.try_acquire().map_err(|_| Denied::Busy)?;
            let _turn = self.hashing.acquire().await.map_err(|_| Denied::Busy)?;
            let (checking, who, what) = (Arc::clone(&users), name.to_owned(), password.to_owned());
            let is_right = tasks::blocking("check password", move || checking.is_right(&who, &what)).await;
            if is_right != Some(true) {
                return Err(Denied::Wrong);
            }
            users.remember(name, digest);
        }
        Ok(Identity { username: Some(name.to_owned()), limit: None })
    }
}

impl Users {
    /// Later lines go before earlier ones.
    fn read(names: &[String], contents: &[Vec<u8>]) -> Result<Self, String> {
        let mut hashes = HashMap::new();
        for (name, content) in names.iter().zip(contents) {
            let text = std::str::from_utf8(content).map_err(|_| format!("{name}: it is not text"))?;
            for (index, line) in text.lines().enumerate() {
                let line = line.trim();
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                let wrong = |reason: &str| format!("{name}: line {}: {reason}", index + 1);
                let (user, hash) = line.split_once(':').ok_or_else(|| wrong("it is not name:hash"))?;
                if user.is_empty() {
                    return Err(wrong("the name is empty"));
                }
                hashes.insert(user.to_owned(), Hash::parse(hash).map_err(wrong)?);
            }
        }
        if hashes.is_empty() {
            return Err(format!("{}: there is no user", names.join(", ")));
        }
        let mut key = [0; 32];
        let filled = rustls::crypto::ring::default_provider().secure_random.fill(&mut key);
        filled.map_err(|_| "the system has no randomness".to_owned())?;
        Ok(Self { hashes, key, known: Mutex::default() })
    }

    fn digest(&self, name: &str, password: &str) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(self.key);
        digest.update((name.len() as u64).to_le_bytes());
        digest.update(name);
        digest.update(password);
        digest.finalize().into()
    }

    fn is_known(&self, name: &str, digest: &[u8; 32]) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(name).is_some_and(|right| bool::from(right.ct_eq(digest)))
    }

    fn remember(&self, name: &str, digest: [u8; 32]) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), digest);
    }

    /// Slow. A name that is not there takes as long as one that is: somebody's hash is computed for it.
    fn is_right(&self, name: &str, password: &str) -> bool {
        match self.hashes.get(name) {
            Some(hash) => hash.verify(password),
            None => {
                let _somebody = self.hashes.values().next().map(|hash| hash.verify(password));
                false
            }
        }
    }
}

impl Hash {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("the password is empty");
        }
        if ["$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|prefix| text.starts_with(prefix)) {
            let is_sound = text.parse::<bcrypt::HashParts>().is_ok();
            return if is_sound { Ok(Self::Bcrypt(text.to_owned())) } else { Err("the bcrypt hash cannot be read") };
        }
        if text.starts_with("$apr1$") || text.starts_with("$1$") {
            let is_sound = text.split('$').count() == 4;
            return if is_sound { Ok(Self::Md5(text.to_owned())) } else { Err("the MD5 hash cannot be read") };
        }
        if text.starts_with("$5$") || text.starts_with("$6$") {
            let is_sound = sha_crypt::PasswordHash::new(text).is_ok();
            return if is_sound {
                Ok(Self::ShaCrypt(text.to_owned()))
            } else {
                Err("the SHA-crypt hash cannot be read")
            };
        }
        if let Some(encoded) = text.strip_prefix("{SHA}") {
            let digest = STANDARD.decode(encoded).ok().and_then(|digest| digest.try_into().ok());
            return digest.map(Self::Sha1).ok_or("the SHA-1 hash cannot be read");
        }
        if let Some(encoded) = text.strip_prefix("{SSHA}") {
            let digest = STANDARD.decode(encoded).ok();
            let parts = digest.as_deref().and_then(<[u8]>::split_first_chunk::<20>);
            return parts
                .map(|(digest, salt)| Self::SaltedSha1(*digest, salt.to_vec()))
                .ok_or("the salted SHA-1 hash cannot be read");
        }
        if text.starts_with('$') {
            return Err("the kind of hash is not known; htpasswd -B writes one that is");
        }
        Ok(Self::Plain(text.to_owned()))
    }

    fn verify(&self, password: &str) -> bool {
        match self {
            Self::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Self::Md5(hash) => md5_crypt::verify(password.as_bytes(), hash),
            Self::Sha1(digest) => bool::from(Sha1::digest(password)[..].ct_eq(digest)),
            Self::SaltedSha1(digest, salt) => {
                let computed = Sha1::new().chain_update(password).chain_update(salt).finalize();
                bool::from(computed[..].ct_eq(digest))
            }
            Self::ShaCrypt(hash) => {
                sha_crypt::ShaCrypt::default().verify_password(password.as_bytes(), hash.as_str()).is_ok()
            }
            Self::Plain(text) => bool::from(text.as_bytes().ct_eq(password.as_bytes())),
        }
    }
}

#[cfg(test)]
mod tests;
