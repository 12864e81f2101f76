//! The call to the origin, with its functions around it, and to the second origin if the first one fails.

use bytes::Bytes;
use http::header::{
    ETAG, HOST, HeaderMap, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, USER_AGENT, VIA,
};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Either, Empty, Limited};
use hyper::body::Incoming;
use tokio::time::{sleep, timeout};

use super::super::cache::{Cached, OBJECT_MAX_BYTES};
use super::super::clock::Stopwatch;
use super::super::config::Route;
use super::super::event::ChangedRequest;
use super::super::exchange::Exchange;
use super::super::ledger::ResultType;
use super::super::policy::Policies;
use super::functions::AtOrigin;
use super::{
    Distribution, OriginBody, Reply, ReplyBody, VIA_VALUE, Visit, X_AMZ_CF_ID, X_FORWARDED_FOR, error, header_text,
    remove_hop_by_hop,
};

/// What the origin is asked for.
pub(super) struct Asked<'a> {
    pub(super) visit: &'a Visit<'a>,
    pub(super) changed: &'a ChangedRequest,
    pub(super) policies: Policies<'a>,
    /// Under which the answer may be kept.
    pub(super) key: Option<String>,
    /// What was kept until now.
    pub(super) expired: Option<Cached>,
}

/// What came of it.
pub(super) enum Answer {
    /// The origin answered.
    Came(Box<Reply>),
    /// What is kept is still right.
    NotModified(HeaderMap),
    /// No answer: the origin failed, or a function did or answered itself.
    Ended(Box<Reply>),
}

impl Distribution {
    /// Asks the origin, and the second one if there is one and the first fails.
    pub(super) async fn ask_origin(&self, exchange: &mut Exchange, asked: &Asked<'_>, body: Incoming) -> Answer {
        let route = asked.visit.route;
        let first = self.ask_one(exchange, asked, &route.origin, Either::Left(body)).await;
        let is_repeatable = [Method::GET, Method::HEAD, Method::OPTIONS].contains(&asked.visit.parts.method);
        let (Some(second), Some(failover)) = (&route.second_origin, &route.behavior.failover) else { return first };
        let failed = match &first {
            Answer::Came(reply) => Some(reply.status.as_u16()).filter(|status| failover.statuses.contains(status)),
            Answer::Ended(reply) if reply.detailed.starts_with("Origin") => Some(reply.status.as_u16()),
            Answer::Ended(_) | Answer::NotModified(_) => None,
        };
        match failed {
            Some(status) if is_repeatable => {
                exchange.record.origin_reason = format!("Failover:{status}");
                self.ask_one(exchange, asked, second, Either::Right(Empty::new())).await
            }
            _ => first,
        }
    }

    async fn ask_one(&self, exchange: &mut Exchange, asked: &Asked<'_>, origin: &Uri, body: OriginBody) -> Answer {
        let request = self.origin_side(asked, origin);
        let is_query_visible = asked.policies.is_query_visible();
        let at = AtOrigin { origin, request: &request, is_query_visible };
        let (request, other_origin) = match self.origin_request(exchange, asked.visit, &at).await {
            Ok(changed) => changed,
            Err(reply) => return Answer::Ended(reply),
        };
        let origin = other_origin.as_ref().unwrap_or(origin);
        exchange.record.origin_host = origin.host().unwrap_or_default().to_owned();
        let response = match self.send_to_origin(exchange, asked, origin, &request, body).await {
            Ok(response) => response,
            Err(reply) => return Answer::Ended(reply),
        };
        let (parts, body) = response.into_parts();
        let mut headers = parts.headers;
        remove_hop_by_hop(&mut headers);
        let at = AtOrigin { origin, request: &request, is_query_visible };
        let answer = (parts.status, &headers);
        let changed = match self.origin_response(exchange, asked.visit, &at, answer).await {
            Ok(changed) => changed,
            Err(reply) => return Answer::Ended(reply),
        };
        if parts.status == StatusCode::NOT_MODIFIED && asked.expired.is_some() {
            return Answer::NotModified(changed.map_or(headers, |changed| changed.headers));
        }
        let mut reply = Reply {
            status: parts.status,
            headers,
            body: ReplyBody::Origin(body),
            result: ResultType::Miss,
            detailed: ResultType::Miss.name(),
            copy: None,
            asking: None,
            skips_viewer_response: parts.status.as_u16() >= 400,
        };
        if let Some(changed) = changed {
            reply = reply.changed(changed);
        }
        if reply.status.as_u16() >= 400 {
            (reply.result, reply.detailed) = (ResultType::Error, ResultType::Error.name());
        }
        Answer::Came(Box::new(reply))
    }

    /// The request as the origin's side sees it: what the policies let through, and CloudFront's own headers.
    fn origin_side(&self, asked: &Asked<'_>, origin: &Uri) -> ChangedRequest {
        let changed = asked.changed;
        let mut headers = asked.policies.origin_headers(&changed.headers);
        remove_hop_by_hop(&mut headers);
        let authority = origin.authority().map_or("", |authority| authority.as_str());
        if !headers.contains_key(HOST)
            && let Ok(value) = HeaderValue::from_str(authority)
        {
            headers.insert(HOST, value);
        }
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static("Amazon CloudFront"));
        let viewer = asked.visit.viewer.ip().to_string();
        let forwarded_for = match header_text(&changed.headers, &X_FORWARDED_FOR) {
            Some(before) => format!("{before}, {viewer}"),
            None => viewer,
        };
        if let Ok(value) = HeaderValue::from_str(&forwarded_for) {
            headers.insert(X_FORWARDED_FOR, value);
        }
        headers.append(VIA, HeaderValue::from_static(VIA_VALUE));
        if asked.key.is_some() {
            // Conditions are CloudFront's own: the viewer's are answered from what is kept.
            headers.remove(IF_NONE_MATCH);
            headers.remove(IF_MODIFIED_SINCE);
        }
        if let Some(expired) = asked.expired.as_ref().filter(|expired| expired.has_validator()) {
            for (own, condition) in [(ETAG, IF_NONE_MATCH), (LAST_MODIFIED, IF_MODIFIED_SINCE)] {
                if let Some(value) = expired.headers.get(own) {
                    headers.insert(condition, value.clone());
                }
            }
        }
        ChangedRequest { path: changed.path.clone(), query: asked.policies.origin_query(&changed.query), headers }
    }

    async fn send_to_origin(
        &self,
        exchange: &mut Exchange,
        asked: &Asked<'_>,
        origin: &Uri,
        changed: &ChangedRequest,
        body: OriginBody,
    ) -> Result<Response<Incoming>, Box<Reply>> {
        let bad_gateway = StatusCode::BAD_GATEWAY;
        let Some(uri) = origin_uri(origin, changed) else {
            let message = "The request's address is not valid.";
            return Err(Box::new(error(exchange, bad_gateway, "OriginInvalidRequest", message)));
        };
        let mut request = Request::new(body);
        *request.method_mut() = asked.visit.parts.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = changed.headers.clone();
        if let Ok(value) = HeaderValue::from_str(&exchange.record.request_id) {
            request.headers_mut().insert(X_AMZ_CF_ID, value);
        }
        exchange.origin_asked = Some(Stopwatch::start());
        let one_way = self.config.origin_round_trip / 2;
        sleep(one_way).await;
        let answer = timeout(self.config.origin_response_timeout, self.client.request(request)).await;
        sleep(one_way).await;
        exchange.record.origin_first_byte = exchange.origin_elapsed().filter(|_| matches!(answer, Ok(Ok(_))));
        let (status, detailed, message) = match answer {
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(problem)) if problem.is_connect() => {
                (bad_gateway, "OriginConnectError", "CloudFront wasn't able to connect to the origin.")
            }
            Ok(Err(_)) => (bad_gateway, "OriginCommError", "CloudFront wasn't able to read the origin's response."),
            Err(_) => (StatusCode::GATEWAY_TIMEOUT, "OriginCommError", "The origin did not answer in time."),
        };
        Err(Box::new(error(exchange, status, detailed, message)))
    }

    /// A custom error page from the origin of its behaviour; `None` if that has none either.
    pub(super) async fn fetch_page(
        &self,
        exchange: &Exchange,
        asked: &Asked<'_>,
        route: &Route,
        path: &str,
    ) -> Option<(StatusCode, HeaderMap, Bytes)> {
        let page = ChangedRequest { path: path.to_owned(), query: String::new(), headers: HeaderMap::new() };
        let asked = Asked { changed: &page, key: None, expired: None, policies: asked.policies, visit: asked.visit };
        let side = self.origin_side(&asked, &route.origin);
        let mut request = Request::new(Either::Right(Empty::new()));
        *request.uri_mut() = origin_uri(&route.origin, &side)?;
        *request.headers_mut() = side.headers;
        request.headers_mut().insert(X_AMZ_CF_ID, HeaderValue::from_str(&exchange.record.request_id).ok()?);
        let answered = timeout(self.config.origin_response_timeout, self.client.request(request)).await.ok()?.ok()?;
        let (parts, body) = answered.into_parts();
        let body = Limited::new(body, OBJECT_MAX_BYTES).collect().await.ok()?.to_bytes();
        let mut headers = parts.headers;
        remove_hop_by_hop(&mut headers);
        parts.status.is_success().then_some((parts.status, headers, body))
    }
}

/// The address at the origin: its own path is put in front.
fn origin_uri(origin: &Uri, changed: &ChangedRequest) -> Option<Uri> {
    let prefix = origin.path().trim_end_matches('/');
    let separator = if changed.query.is_empty() { "" } else { "?" };
    let target = format!("{prefix}{}{separator}{}", changed.path, changed.query);
    let mut parts = origin.clone().into_parts();
    parts.path_and_query = Some(target.parse().ok()?);
    Uri::from_parts(parts).ok()
}
