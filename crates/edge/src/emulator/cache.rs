//! What is kept, for how long, and what happens when that time is over ("Managing how long content stays in the cache").
//!
//! | of an object | the next request |
//! |---|---|
//! | fresh | `Hit`, the origin is not asked |
//! | expired, with `ETag` or `Last-Modified` | the origin is asked whether it changed; 304 is a `RefreshHit` |
//! | expired, and the origin answers 5xx or not at all | the old one, unless `stale-if-error` or `must-revalidate` says no |
//! | an error status | that error again for the error caching minimum TTL |

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use foldhash::{HashMap, HashMapExt};
use http::header::{AGE, CACHE_CONTROL, ETAG, LAST_MODIFIED};
use http::{HeaderMap, StatusCode};
use tokio::sync::watch;

use super::clock::Stopwatch;
use super::policy::CachePolicy;

/// The largest body that is kept.
pub(crate) const OBJECT_MAX_BYTES: usize = 8 * 1024 * 1024;

/// Statuses that are kept like a 200.
const CACHEABLE: [StatusCode; 6] = [
    StatusCode::OK,
    StatusCode::NON_AUTHORITATIVE_INFORMATION,
    StatusCode::MOVED_PERMANENTLY,
    StatusCode::FOUND,
    StatusCode::TEMPORARY_REDIRECT,
    StatusCode::PERMANENT_REDIRECT,
];

/// Error statuses that are always kept, and those that are if the origin says for how long ("HTTP 4xx and 5xx status codes
/// that CloudFront caches").
const ERRORS_ALWAYS_CACHED: [u16; 7] = [404, 414, 500, 501, 502, 503, 504];
const ERRORS_CACHED_WITH_MAX_AGE: [u16; 5] = [400, 403, 405, 412, 415];

/// The error caching minimum TTL, unless an error page says otherwise.
pub(crate) const ERROR_MIN_TTL: Duration = Duration::from_secs(10);

/// A response that is kept.
#[derive(Clone, Debug)]
pub(crate) struct Cached {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Since it was received, or found unchanged.
    pub(crate) kept: Stopwatch,
    pub(crate) lifetime: Duration,
}

/// What the cache has for a key.
#[derive(Debug)]
pub(crate) enum Found {
    Fresh(Cached),
    Expired(Cached),
    Nothing,
}

/// Responses by their key.
#[derive(Debug)]
pub(crate) struct Cache {
    max_bytes: usize,
    content: Mutex<Content>,
}

#[derive(Debug)]
struct Content {
    entries: HashMap<String, Cached>,
    /// Keys from the oldest to the newest.
    order: VecDeque<String>,
    bytes: usize,
    /// Keys that somebody is asking the origin for.
    asked: HashMap<String, watch::Receiver<()>>,
}

/// Whoever holds it asks the origin for a key, and the others with that key wait until it is dropped.
#[derive(Debug)]
pub(crate) struct Asking {
    cache: Arc<Cache>,
    key: String,
    /// Closes when this is dropped.
    _waiting: watch::Sender<()>,
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.cache.content.lock().unwrap_or_else(PoisonError::into_inner).asked.remove(&self.key);
    }
}

impl Cache {
    pub(crate) fn new(max_bytes: usize) -> Self {
        let content = Content { entries: HashMap::new(), order: VecDeque::new(), bytes: 0, asked: HashMap::new() };
        Self { max_bytes, content: Mutex::new(content) }
    }

    /// The response, fresh or not.
    pub(crate) fn get(&self, key: &str) -> Found {
        let content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        match content.entries.get(key) {
            Some(cached) if cached.is_fresh() => Found::Fresh(cached.clone()),
            Some(cached) => Found::Expired(cached.clone()),
            None => Found::Nothing,
        }
    }

    /// The right to ask the origin for a key, or what ends when whoever has it is done ("request collapsing").
    pub(crate) fn ask(self: &Arc<Self>, key: &str) -> Result<Asking, watch::Receiver<()>> {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(asked) = content.asked.get(key) {
            return Err(asked.clone());
        }
        let (sender, receiver) = watch::channel(());
        content.asked.insert(key.to_owned(), receiver);
        Ok(Asking { cache: Arc::clone(self), key: key.to_owned(), _waiting: sender })
    }

    /// Keeps a response; the oldest make room.
    pub(crate) fn put(&self, key: String, cached: Cached) {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        content.remove(&key);
        if cached.body.len() > self.max_bytes {
            return;
        }
        while content.bytes + cached.body.len() > self.max_bytes {
            let Some(oldest) = content.order.front().cloned() else { break };
            content.remove(&oldest);
        }
        content.bytes += cached.body.len();
        content.order.push_back(key.clone());
        content.entries.insert(key, cached);
    }
}

impl Content {
    fn remove(&mut self, key: &str) {
        if let Some(removed) = self.entries.remove(key) {
            self.bytes -= removed.body.len();
            self.order.retain(|other| other != key);
        }
    }
}

impl Cached {
    fn is_fresh(&self) -> bool {
        self.kept.elapsed() < self.lifetime
    }

    /// Whether it may be shown although it expired, because the origin fails.
    pub(crate) fn may_stand_in(&self) -> bool {
        if self.status.as_u16() >= 400 {
            return false;
        }
        let directives = Directives::of(&self.headers);
        let expired_for = self.kept.elapsed().saturating_sub(self.lifetime);
        !directives.must_revalidate && directives.stale_if_error.is_none_or(|limit| expired_for < limit)
    }

    /// What the origin is asked with to find out whether the object changed.
    pub(crate) fn has_validator(&self) -> bool {
        self.status.as_u16() < 400 && (self.headers.contains_key(ETAG) || self.headers.contains_key(LAST_MODIFIED))
    }
}

/// What `Cache-Control` says.
#[derive(Debug, Default)]
struct Directives {
    forbids: bool,
    must_revalidate: bool,
    max_age: Option<Duration>,
    stale_if_error: Option<Duration>,
}

impl Directives {
    fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        let mut shared_max_age = None;
        for value in headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok()) {
            for directive in value.split(',').map(|directive| directive.trim().to_ascii_lowercase()) {
                let (name, argument) = directive.split_once('=').unwrap_or((&directive, ""));
                let seconds = || argument.trim_matches('"').parse().ok().map(Duration::from_secs);
                match name {
                    "no-store" | "no-cache" | "private" => found.forbids = true,
                    "must-revalidate" | "proxy-revalidate" => found.must_revalidate = true,
                    "max-age" => found.max_age = seconds(),
                    "s-maxage" => shared_max_age = seconds(),
                    "stale-if-error" => found.stale_if_error = seconds(),
                    _ => {}
                }
            }
        }
        found.max_age = shared_max_age.or(found.max_age);
        found
    }
}

/// How long a response may be kept: `s-maxage` before `max-age` before the default, within the policy's bounds. Zero is for
/// what is kept only to ask whether it changed. `None`: not at all.
pub(crate) fn lifetime(status: StatusCode, headers: &HeaderMap, policy: &CachePolicy) -> Option<Duration> {
    if policy.is_disabled() || !CACHEABLE.contains(&status) {
        return None;
    }
    let directives = Directives::of(headers);
    let wanted = if directives.forbids { Duration::ZERO } else { directives.max_age.unwrap_or(policy.default_ttl) };
    let lifetime = wanted.clamp(policy.min_ttl.min(policy.max_ttl), policy.max_ttl).saturating_sub(age(headers));
    let can_be_validated = !directives.forbids && (headers.contains_key(ETAG) || headers.contains_key(LAST_MODIFIED));
    Some(lifetime).filter(|lifetime| !lifetime.is_zero() || can_be_validated)
}

/// How long an error of the origin is kept.
pub(crate) fn error_lifetime(
    status: StatusCode,
    headers: &HeaderMap,
    policy: &CachePolicy,
    min_ttl: Duration,
) -> Option<Duration> {
    let max_age = Directives::of(headers).max_age;
    let is_kept = ERRORS_ALWAYS_CACHED.contains(&status.as_u16())
        || ERRORS_CACHED_WITH_MAX_AGE.contains(&status.as_u16()) && max_age.is_some();
    let lifetime = min_ttl.max(max_age.unwrap_or_default());
    (is_kept && !policy.is_disabled() && !lifetime.is_zero()).then_some(lifetime)
}

/// An origin that is a cache itself says how old its answer was.
fn age(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(AGE).and_then(|value| value.to_str().ok()?.parse().ok());
    seconds.map_or(Duration::ZERO, Duration::from_secs)
}

#[cfg(test)]
mod tests;
