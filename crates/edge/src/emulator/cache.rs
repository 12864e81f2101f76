//! A small cache with plain lifetimes: what is fresh is a hit, what is not is asked for again.
//!
//! Not emulated yet: revalidation (`RefreshHit`), stale answers, request collapsing, caching of errors.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use foldhash::{HashMap, HashMapExt};
use http::header::{AGE, CACHE_CONTROL};
use http::{HeaderMap, StatusCode};

use super::clock::Stopwatch;

/// The largest body that is kept.
pub(crate) const OBJECT_MAX_BYTES: usize = 8 * 1024 * 1024;

/// Statuses that are kept like a 200.
const CACHEABLE: [StatusCode; 4] = [
    StatusCode::OK,
    StatusCode::NON_AUTHORITATIVE_INFORMATION,
    StatusCode::MOVED_PERMANENTLY,
    StatusCode::PERMANENT_REDIRECT,
];

/// A response that is kept.
#[derive(Clone, Debug)]
pub(crate) struct Cached {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Since it was received.
    pub(crate) kept: Stopwatch,
    pub(crate) lifetime: Duration,
}

/// Responses by host, path and query.
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
}

impl Cache {
    pub(crate) fn new(max_bytes: usize) -> Self {
        let content = Content { entries: HashMap::new(), order: VecDeque::new(), bytes: 0 };
        Self { max_bytes, content: Mutex::new(content) }
    }

    /// The response if it is still fresh.
    pub(crate) fn get(&self, key: &str) -> Option<Cached> {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        let cached = content.entries.get(key)?;
        if cached.kept.elapsed() < cached.lifetime {
            return Some(cached.clone());
        }
        content.remove(key);
        None
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

/// How long a response may be kept: `s-maxage` before `max-age` before the behaviour's default. `None`: not at all.
pub(crate) fn lifetime(status: StatusCode, headers: &HeaderMap, default_ttl: Duration) -> Option<Duration> {
    if !CACHEABLE.contains(&status) {
        return None;
    }
    let mut max_age = None;
    let mut shared_max_age = None;
    for value in headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok()) {
        for directive in value.split(',').map(|directive| directive.trim().to_ascii_lowercase()) {
            match directive.split_once('=').unwrap_or((&directive, "")) {
                ("no-store" | "no-cache" | "private", _) => return None,
                ("max-age", seconds) => max_age = seconds.trim_matches('"').parse().ok(),
                ("s-maxage", seconds) => shared_max_age = seconds.trim_matches('"').parse().ok(),
                _ => {}
            }
        }
    }
    let lifetime = shared_max_age.or(max_age).map_or(default_ttl, Duration::from_secs);
    // An origin that is a cache itself says how old its answer was.
    let age = headers
        .get(AGE)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map_or(Duration::ZERO, Duration::from_secs);
    Some(lifetime.saturating_sub(age)).filter(|lifetime| !lifetime.is_zero())
}

#[cfg(test)]
mod tests;
