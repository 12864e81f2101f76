//! What of a request goes into the cache key and to the origin, and how long answers are kept.
//!
//! The commonest reason for "CDN spans, but no back end below them" is here: CloudFront sends a viewer's header, also one
//! that a function wrote, to the origin only if a policy names it ("Controlling origin requests").

use std::time::Duration;

use http::HeaderMap;
use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderName, HeaderValue, RANGE, TRANSFER_ENCODING,
};

/// Which names are chosen. Names of headers are compared without case, others exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// None of them.
    None,
    /// All of them.
    All,
    /// These.
    Listed(Vec<String>),
    /// All but these.
    AllExcept(Vec<String>),
}

/// A cache policy: what makes two requests different, and for how long an answer stands. What is in the key also goes to
/// the origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachePolicy {
    /// At least so long, even against `no-store` of the origin.
    pub min_ttl: Duration,
    /// If the origin says nothing.
    pub default_ttl: Duration,
    /// At most so long.
    pub max_ttl: Duration,
    /// Headers in the key.
    pub headers: Selection,
    /// Query parameters in the key.
    pub queries: Selection,
    /// Cookies in the key.
    pub cookies: Selection,
}

/// An origin request policy: what the origin sees beside the cache key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginRequestPolicy {
    /// Headers of the viewer, and of the viewer-request function.
    pub headers: Selection,
    /// Query parameters.
    pub queries: Selection,
    /// Cookies.
    pub cookies: Selection,
}

/// A year, CloudFront's default for the longest lifetime.
const YEAR: Duration = Duration::from_secs(31_536_000);

/// Sent to the origin whatever the policies say: they describe the body, or which part of it is asked for.
const AUTOMATIC: [HeaderName; 5] = [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RANGE, TRANSFER_ENCODING];

impl Selection {
    /// Those names.
    #[must_use]
    pub fn listed(names: &[&str]) -> Self {
        Self::Listed(names.iter().map(|name| (*name).to_owned()).collect())
    }

    fn has_header(&self, name: &str) -> bool {
        let is_in = |names: &[String]| names.iter().any(|listed| listed.eq_ignore_ascii_case(name));
        self.has(is_in)
    }

    fn has_name(&self, name: &str) -> bool {
        let is_in = |names: &[String]| names.iter().any(|listed| listed == name);
        self.has(is_in)
    }

    fn has(&self, is_in: impl Fn(&[String]) -> bool) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Listed(names) => is_in(names),
            Self::AllExcept(names) => !is_in(names),
        }
    }
}

impl Default for CachePolicy {
    /// The emulator's own: every query parameter counts, and only what the origin allows is kept.
    fn default() -> Self {
        Self {
            min_ttl: Duration::ZERO,
            default_ttl: Duration::ZERO,
            max_ttl: YEAR,
            headers: Selection::None,
            queries: Selection::All,
            cookies: Selection::None,
        }
    }
}

impl CachePolicy {
    /// The managed policy `CachingOptimized`: a day, and neither headers, query nor cookies in the key.
    #[must_use]
    pub fn optimized() -> Self {
        Self {
            min_ttl: Duration::from_secs(1),
            default_ttl: Duration::from_secs(86_400),
            queries: Selection::None,
            ..Self::default()
        }
    }

    /// The managed policy `CachingDisabled`.
    #[must_use]
    pub fn disabled() -> Self {
        Self { max_ttl: Duration::ZERO, queries: Selection::None, ..Self::default() }
    }

    pub(crate) fn is_disabled(&self) -> bool {
        self.max_ttl.is_zero()
    }
}

impl Default for OriginRequestPolicy {
    fn default() -> Self {
        Self::all_viewer_except_host()
    }
}

impl OriginRequestPolicy {
    /// The managed policy `AllViewerExceptHostHeader`.
    #[must_use]
    pub fn all_viewer_except_host() -> Self {
        Self {
            headers: Selection::AllExcept(vec!["host".to_owned()]),
            queries: Selection::All,
            cookies: Selection::All,
        }
    }

    /// No policy at all: `traceparent` does not reach the origin.
    #[must_use]
    pub fn none() -> Self {
        Self { headers: Selection::None, queries: Selection::None, cookies: Selection::None }
    }

    /// Only these headers.
    #[must_use]
    pub fn headers(names: &[&str]) -> Self {
        Self { headers: Selection::listed(names), ..Self::none() }
    }
}

/// The two policies of a behaviour, for a request after the viewer-request function.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policies<'a> {
    pub(crate) cache: &'a CachePolicy,
    pub(crate) origin: &'a OriginRequestPolicy,
}

impl Policies<'_> {
    /// What makes the request the same as another one. The host is part of it: one emulator serves several names.
    pub(crate) fn cache_key(&self, host: &str, path: &str, query: &str, headers: &HeaderMap) -> String {
        let mut key = format!("{host}{path}?{}", kept(query.split('&'), "&", |name| self.cache.queries.has_name(name)));
        for (name, value) in headers {
            if *name != COOKIE && self.cache.headers.has_header(name.as_str()) {
                key.push_str(&format!("\n{name}:{}", String::from_utf8_lossy(value.as_bytes())));
            }
        }
        let cookies = cookies(headers, |name| self.cache.cookies.has_name(name));
        if !cookies.is_empty() {
            key.push_str(&format!("\ncookie:{cookies}"));
        }
        key
    }

    /// The query that the origin sees.
    pub(crate) fn origin_query(&self, query: &str) -> String {
        let is_kept = |name: &str| self.cache.queries.has_name(name) || self.origin.queries.has_name(name);
        kept(query.split('&'), "&", is_kept)
    }

    /// Whether the whole query goes to the origin: otherwise origin functions do not see any of it.
    pub(crate) fn is_query_visible(&self) -> bool {
        self.cache.queries == Selection::All || self.origin.queries == Selection::All
    }

    /// The viewer's headers that the origin sees. `Host` is the origin's own unless a policy names it.
    pub(crate) fn origin_headers(&self, headers: &HeaderMap) -> HeaderMap {
        let mut sent = HeaderMap::with_capacity(headers.len());
        for (name, value) in headers {
            let is_chosen =
                || self.cache.headers.has_header(name.as_str()) || self.origin.headers.has_header(name.as_str());
            if *name != COOKIE && (AUTOMATIC.contains(name) || is_chosen()) {
                sent.append(name.clone(), value.clone());
            }
        }
        if self.origin.cookies == Selection::All || self.cache.cookies == Selection::All {
            // Byte for byte, as the viewer sent them.
            for value in headers.get_all(COOKIE) {
                sent.append(COOKIE, value.clone());
            }
        } else {
            let is_kept = |name: &str| self.cache.cookies.has_name(name) || self.origin.cookies.has_name(name);
            if let Ok(value) = HeaderValue::from_str(&cookies(headers, is_kept))
                && !value.is_empty()
            {
                sent.insert(COOKIE, value);
            }
        }
        if self.cache.headers == Selection::All {
            sent.remove(HOST);
        }
        sent
    }
}

fn cookies(headers: &HeaderMap, is_kept: impl Fn(&str) -> bool) -> String {
    let texts = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    kept(texts.flat_map(|text| text.split(';')).map(str::trim), "; ", is_kept)
}

/// `name=value` pairs whose names are chosen, in the order in which they came.
fn kept<'a>(pairs: impl Iterator<Item = &'a str>, separator: &str, is_kept: impl Fn(&str) -> bool) -> String {
    let is_kept = |pair: &&str| !pair.is_empty() && is_kept(pair.split_once('=').map_or(*pair, |(name, _)| name));
    pairs.filter(is_kept).collect::<Vec<_>>().join(separator)
}

#[cfg(test)]
mod tests;
