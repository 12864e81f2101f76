//! From the cache to the origin and back: hits, request collapsing, revalidation, stale answers, errors and their pages.

use std::time::Duration;

use bytes::BytesMut;
use http::header::{
    AGE, CONTENT_LENGTH, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
    RANGE,
};
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use super::super::cache::{Asking, Cached, ERROR_MIN_TTL, Found, OBJECT_MAX_BYTES, error_lifetime, lifetime};
use super::super::clock::Stopwatch;
use super::super::event::ChangedRequest;
use super::super::exchange::{CacheCopy, Exchange};
use super::super::ledger::ResultType;
use super::super::policy::Policies;
use super::origin::{Answer, Asked};
use super::{Distribution, Reply, ReplyBody, Visit};

impl Distribution {
    /// The answer to a request that got past viewer-request.
    pub(super) async fn look_up(
        &self,
        exchange: &mut Exchange,
        visit: &Visit<'_>,
        changed: &ChangedRequest,
        body: Incoming,
    ) -> Reply {
        let behavior = &visit.route.behavior;
        let policies = Policies { cache: &behavior.cache, origin: &behavior.origin_request };
        let method = &visit.parts.method;
        let is_read = *method == Method::GET || *method == Method::HEAD;
        // A part of an object is not kept, and not cut out of a whole one.
        if !is_read || behavior.cache.is_disabled() || changed.headers.contains_key(RANGE) {
            let asked = Asked { visit, changed, policies, key: None, expired: None };
            return self.ask_and_keep(exchange, &asked, body, None).await;
        }
        let key = policies.cache_key(&exchange.record.host, &changed.path, &changed.query, &changed.headers);
        let mut has_waited = false;
        loop {
            let expired = match self.cache.get(&key) {
                Found::Fresh(cached) => return hit(cached, changed, ResultType::Hit),
                Found::Expired(cached) => Some(cached),
                Found::Nothing => None,
            };
            let asking = match self.cache.ask(&key) {
                Ok(asking) => Some(asking),
                // What the other one got could not be kept: now everybody asks for itself.
                Err(_) if has_waited => None,
                Err(mut other) => {
                    let ended = other.changed().await;
                    debug_assert!(ended.is_err(), "nothing is ever sent");
                    has_waited = true;
                    continue;
                }
            };
            let key = (*method == Method::GET).then_some(key);
            let expired = expired.filter(|_| key.is_some());
            let asked = Asked { visit, changed, policies, key, expired };
            return self.ask_and_keep(exchange, &asked, body, asking).await;
        }
    }

    async fn ask_and_keep(
        &self,
        exchange: &mut Exchange,
        asked: &Asked<'_>,
        body: Incoming,
        asking: Option<Asking>,
    ) -> Reply {
        let answer = self.ask_origin(exchange, asked, body).await;
        let mut reply = match answer {
            Answer::Ended(reply) => {
                if let Some(expired) = asked.expired.as_ref().filter(|_| reply.is_failure_of_origin()) {
                    return self.stale(asked, expired);
                }
                if reply.result == ResultType::Error { self.error(exchange, asked, *reply).await } else { *reply }
            }
            Answer::NotModified(headers) => return self.refreshed(asked, &headers),
            Answer::Came(reply) if reply.status.is_server_error() && asked.may_be_stale() => {
                let expired = asked.expired.as_ref().expect("there is one to be stale");
                return self.stale(asked, expired);
            }
            Answer::Came(reply) if reply.status.as_u16() >= 400 => self.error(exchange, asked, *reply).await,
            Answer::Came(reply) => self.kept(asked, *reply),
        };
        reply.asking = asking;
        reply
    }

    /// A success, to be kept while it passes if that is allowed.
    fn kept(&self, asked: &Asked<'_>, mut reply: Reply) -> Reply {
        let lifetime = lifetime(reply.status, &reply.headers, asked.policies.cache);
        if let (Some(key), Some(lifetime)) = (&asked.key, lifetime) {
            match &reply.body {
                ReplyBody::Origin(_) => {
                    reply.copy = Some(CacheCopy {
                        cache: std::sync::Arc::clone(&self.cache),
                        key: key.clone(),
                        status: reply.status,
                        headers: reply.headers.clone(),
                        lifetime,
                        body: BytesMut::new(),
                    });
                }
                ReplyBody::Ready(_) => self.put(key, &reply, lifetime),
            }
        }
        reply
    }

    fn put(&self, key: &str, reply: &Reply, lifetime: Duration) {
        let ReplyBody::Ready(body) = &reply.body else { return };
        let (status, headers, body) = (reply.status, reply.headers.clone(), body.clone());
        self.cache.put(key.to_owned(), Cached { status, headers, body, kept: Stopwatch::start(), lifetime });
    }

    /// 304: what is kept is kept longer.
    fn refreshed(&self, asked: &Asked<'_>, newer: &HeaderMap) -> Reply {
        let mut cached = asked.expired.clone().expect("only an expired object is revalidated");
        for (name, value) in newer {
            if *name != CONTENT_LENGTH {
                cached.headers.insert(name.clone(), value.clone());
            }
        }
        cached.kept = Stopwatch::start();
        cached.lifetime = lifetime(cached.status, &cached.headers, asked.policies.cache).unwrap_or_default();
        if let Some(key) = &asked.key {
            self.cache.put(key.clone(), cached.clone());
        }
        hit(cached, asked.changed, ResultType::RefreshHit)
    }

    /// The old object, because the origin fails; it is not asked again for the error caching minimum TTL.
    fn stale(&self, asked: &Asked<'_>, expired: &Cached) -> Reply {
        let again = Cached { kept: Stopwatch::start(), lifetime: ERROR_MIN_TTL, ..expired.clone() };
        if let Some(key) = &asked.key {
            self.cache.put(key.clone(), again);
        }
        hit(expired.clone(), asked.changed, ResultType::RefreshHit)
    }

    /// An error: kept for a while, and with the page that the distribution has for it.
    async fn error(&self, exchange: &mut Exchange, asked: &Asked<'_>, mut reply: Reply) -> Reply {
        let rule = self.config.error_pages.iter().find(|page| page.status == reply.status.as_u16());
        let min_ttl = rule.map_or(ERROR_MIN_TTL, |rule| rule.min_ttl);
        let kept_for = error_lifetime(reply.status, &reply.headers, asked.policies.cache, min_ttl);
        reply = collected(reply).await;
        if let Some(path) = rule.and_then(|rule| rule.page.as_deref())
            && let Some(page) = self.page(exchange, asked, path).await
        {
            reply.headers = page.headers;
            reply.headers.insert(CONTENT_LENGTH, HeaderValue::from(page.body.len()));
            reply.body = ReplyBody::Ready(page.body);
            let status = rule.map_or(reply.status.as_u16(), |rule| rule.response_status);
            reply.status = StatusCode::from_u16(status).unwrap_or(reply.status);
        }
        reply.skips_viewer_response = true;
        if let (Some(key), Some(kept_for)) = (&asked.key, kept_for) {
            self.put(key, &reply, kept_for);
        }
        reply
    }

    /// A custom error page: from the cache, or from the origin of its own behaviour. No function runs for it.
    async fn page(&self, exchange: &Exchange, asked: &Asked<'_>, path: &str) -> Option<Cached> {
        let route = self.route(path);
        let policies = Policies { cache: &route.behavior.cache, origin: &route.behavior.origin_request };
        let key = policies.cache_key(&exchange.record.host, path, "", &HeaderMap::new());
        if let Found::Fresh(page) = self.cache.get(&key) {
            return Some(page);
        }
        let (status, headers, body) = self.fetch_page(exchange, asked, route, path).await?;
        let lifetime = lifetime(status, &headers, policies.cache);
        let page = Cached { status, headers, body, kept: Stopwatch::start(), lifetime: lifetime.unwrap_or_default() };
        if lifetime.is_some() {
            self.cache.put(key, page.clone());
        }
        Some(page)
    }
}

impl Asked<'_> {
    fn may_be_stale(&self) -> bool {
        self.expired.as_ref().is_some_and(Cached::may_stand_in)
    }
}

impl Reply {
    /// The origin was not reached, or did not answer.
    fn is_failure_of_origin(&self) -> bool {
        self.result == ResultType::Error && self.detailed.starts_with("Origin")
    }
}

/// An object out of the cache; 304 if the viewer has it already.
fn hit(cached: Cached, changed: &ChangedRequest, result: ResultType) -> Reply {
    let is_error = cached.status.as_u16() >= 400;
    let mut headers = cached.headers;
    headers.insert(AGE, HeaderValue::from(cached.kept.elapsed().as_secs()));
    let is_known = !is_error && has_unchanged(&changed.headers, &headers);
    let (status, body) = if is_known {
        headers.remove(CONTENT_LENGTH);
        (StatusCode::NOT_MODIFIED, bytes::Bytes::new())
    } else {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(cached.body.len()));
        (cached.status, cached.body)
    };
    // "This error type can occur when the server serves an error response from the cache."
    let result = if is_error { ResultType::Error } else { result };
    Reply {
        status,
        headers,
        body: ReplyBody::Ready(body),
        result,
        detailed: result.name(),
        copy: None,
        asking: None,
        skips_viewer_response: is_error,
    }
}

/// Whether the viewer's copy is the one that is kept.
fn has_unchanged(viewer: &HeaderMap, kept: &HeaderMap) -> bool {
    let same = |asked: HeaderName, own: HeaderName| match (viewer.get(asked), kept.get(own)) {
        (Some(asked), Some(own)) => Some(asked == own),
        (Some(_), None) => Some(false),
        (None, _) => None,
    };
    same(IF_NONE_MATCH, ETAG).or_else(|| same(IF_MODIFIED_SINCE, LAST_MODIFIED)).unwrap_or(false)
}

/// The answer with its whole body: errors are small.
async fn collected(mut reply: Reply) -> Reply {
    if let ReplyBody::Origin(body) = reply.body {
        let whole = Limited::new(body, OBJECT_MAX_BYTES).collect().await;
        let whole = whole.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        if !reply.headers.contains_key(CONTENT_LENGTH) {
            reply.headers.insert(CONTENT_LENGTH, HeaderValue::from(whole.len()));
        }
        reply.body = ReplyBody::Ready(whole);
    }
    reply
}
