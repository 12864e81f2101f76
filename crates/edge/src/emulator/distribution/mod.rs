//! What a distribution does with one request: limits → behaviour → refusals → viewer-request → cache → origin, with its
//! functions → viewer-response.
//!
//! - here: what ends a request early, and what every answer gets
//! - [`functions`]: the functions and CloudFront's rules for them
//! - [`cached`]: the cache, error pages
//! - [`origin`]: the call to the origin

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderName,
    HeaderValue, LOCATION, REFERER, SERVER, USER_AGENT, VIA,
};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{Either, Empty};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;

use super::cache::{Asking, Cache};
use super::config::{CLASS_HEADER, Config, PROTOCOL_HEADER, Route, ViewerProtocol, path_matches};
use super::event::{ChangedRequest, GeneratedResponse, error_page};
use super::exchange::{CacheCopy, Exchange, Sinks, ViewerBody};
use super::headers::{headers_bytes, is_hop_by_hop};
use super::ledger::ResultType;
use super::limits::too_large;
use super::random::Random;
use super::record::Record;
use functions::Attached;

mod cached;
pub(crate) mod functions;
mod origin;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_AMZ_CF_ID: HeaderName = HeaderName::from_static("x-amz-cf-id");
const X_AMZ_CF_POP: HeaderName = HeaderName::from_static("x-amz-cf-pop");
const X_CACHE: HeaderName = HeaderName::from_static("x-cache");

/// The name of the cache server in `Via`; CloudFront has one per server.
const VIA_VALUE: &str = "1.1 2afae0d44e2540f472c0635ab62c232b.cloudfront.net (CloudFront)";

/// Body of a request to an origin: the viewer's, or none when a second origin is asked.
pub(crate) type OriginBody = Either<Incoming, Empty<Bytes>>;

/// Everything that requests share.
pub(crate) struct Distribution {
    pub(crate) config: Config,
    pub(crate) routes: Vec<Route>,
    pub(crate) functions: Attached,
    pub(crate) cache: Arc<Cache>,
    pub(crate) sinks: Arc<Sinks>,
    pub(crate) random: Arc<Random>,
    pub(crate) client: Client<HttpConnector, OriginBody>,
}

/// A request while it is served.
struct Visit<'a> {
    viewer: SocketAddr,
    parts: &'a Parts,
    route: &'a Route,
    is_plain: bool,
}

/// An answer on its way to the viewer.
pub(crate) struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: ReplyBody,
    result: ResultType,
    detailed: &'static str,
    /// Keeps the body while it passes.
    copy: Option<CacheCopy>,
    /// Others with the same key wait until this is answered.
    asking: Option<Asking>,
    /// The cases in which CloudFront calls no viewer-response function.
    skips_viewer_response: bool,
}

enum ReplyBody {
    Ready(Bytes),
    Origin(Incoming),
}

/// What ends a request before the usual way is over.
type Ended<T> = Result<T, Box<Reply>>;

impl Distribution {
    /// Serves a request. There is always a response; what goes wrong is in it, and in the log.
    pub(crate) async fn serve(&self, viewer: SocketAddr, request: Request<Incoming>) -> Response<ViewerBody> {
        let (mut parts, body) = request.into_parts();
        let class = take_text(&mut parts.headers, CLASS_HEADER);
        let is_plain = take_text(&mut parts.headers, PROTOCOL_HEADER).as_deref() == Some("http");
        let route = self.route(parts.uri.path());
        let visit = Visit { viewer, parts: &parts, route, is_plain };
        let mut exchange = Exchange::start(self.record(&visit), class, Arc::clone(&self.sinks));
        let (reply, changed) = match self.early(&mut exchange, &visit).await {
            Err(reply) => (*reply, None),
            Ok(changed) => {
                let reply = self.look_up(&mut exchange, &visit, &changed, body).await;
                (reply, Some(changed))
            }
        };
        let reply = match changed {
            Some(changed) => self.viewer_response(&mut exchange, &visit, &changed, reply).await,
            None => reply,
        };
        self.send(exchange, reply)
    }

    fn route(&self, path: &str) -> &Route {
        let matching = self.routes.iter().find(|route| path_matches(&route.behavior.path_pattern, path));
        // `OPTIONS *` has a path that only the default can match.
        matching.or(self.routes.last()).expect("there is a default behaviour")
    }

    /// Everything before the cache: refusals, redirects, viewer-request. The request as it is afterwards.
    async fn early(&self, exchange: &mut Exchange, visit: &Visit<'_>) -> Ended<ChangedRequest> {
        let Visit { parts, route, .. } = visit;
        let refused = |status, detailed, message: &str| Err(Box::new(error(exchange, status, detailed, message)));
        if let Some(limit) = too_large(parts) {
            let status = StatusCode::from_u16(limit.status).unwrap_or(StatusCode::BAD_REQUEST);
            let reply = error(exchange, status, "InvalidRequest", limit.message);
            exchange.is_logged = false;
            return Err(Box::new(reply));
        }
        if [Method::TRACE, Method::CONNECT].contains(&parts.method) {
            return refused(StatusCode::METHOD_NOT_ALLOWED, "InvalidRequestMethod", "The method is not supported.");
        }
        if !parts.uri.path().starts_with('/') && parts.method != Method::OPTIONS {
            return refused(StatusCode::BAD_REQUEST, "InvalidRequest", "Bad request.");
        }
        if !route.behavior.allowed_methods.allow(&parts.method) {
            let message = "The distribution is not configured to allow this method.";
            return refused(StatusCode::FORBIDDEN, "InvalidRequestMethod", message);
        }
        let query = parts.uri.query().unwrap_or_default();
        let is_blocked = self.config.waf.iter().any(|rule| rule.blocks(parts.uri.path(), query, &parts.headers));
        let is_redirected = visit.is_plain && route.behavior.viewer_protocol == ViewerProtocol::RedirectToHttps;
        let mut changed = None;
        if self.config.function_before_refusal && (is_blocked || is_redirected) {
            changed = Some(self.viewer_request(exchange, visit).await?);
        }
        if is_blocked {
            let message = "Request blocked.";
            return Err(Box::new(error(exchange, StatusCode::FORBIDDEN, "InvalidRequestBlocked", message)));
        }
        if is_redirected {
            return Err(Box::new(redirect(exchange, parts)));
        }
        if visit.is_plain && route.behavior.viewer_protocol == ViewerProtocol::HttpsOnly {
            return Err(Box::new(error(exchange, StatusCode::FORBIDDEN, "Error", "HTTPS is required.")));
        }
        match changed {
            Some(changed) => Ok(changed),
            None => self.viewer_request(exchange, visit).await,
        }
    }

    fn record(&self, visit: &Visit<'_>) -> Record {
        let Visit { viewer, parts, route, is_plain } = visit;
        let text = |name: HeaderName| header_text(&parts.headers, &name).unwrap_or_default();
        let body_bytes =
            header_text(&parts.headers, &CONTENT_LENGTH).and_then(|length| length.parse().ok()).unwrap_or(0);
        let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
        // `METHOD target HTTP/1.1`, the headers, and an empty line.
        let line_bytes = parts.method.as_str().len() + target.len() + 12;
        let pair = |(name, value): (&HeaderName, &HeaderValue)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        Record {
            edge_location: self.config.edge_location.clone(),
            client_ip: viewer.ip().to_string(),
            client_port: viewer.port(),
            method: parts.method.to_string(),
            distribution_domain: self.config.distribution_domain.clone(),
            distribution_id: self.config.distribution_id.clone(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            referer: text(REFERER),
            user_agent: text(USER_AGENT),
            cookie: text(COOKIE),
            accept: text(ACCEPT),
            accept_encoding: text(ACCEPT_ENCODING),
            headers: parts.headers.iter().map(pair).collect(),
            request_id: self.random.request_id(),
            host: text(HOST),
            protocol: if *is_plain { "http" } else { "https" },
            protocol_version: if parts.version == http::Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" },
            request_bytes: (line_bytes + headers_bytes(&parts.headers)) as u64 + body_bytes,
            forwarded_for: text(X_FORWARDED_FOR),
            behavior: route.behavior.path_pattern.clone(),
            ..Record::default()
        }
    }

    /// The response, with CloudFront's own headers; the record learns of it.
    fn send(&self, mut exchange: Exchange, reply: Reply) -> Response<ViewerBody> {
        let Reply { status, mut headers, body, result, detailed, copy, asking, .. } = reply;
        exchange.respond(status, result, detailed);
        let value = |text: &str| HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("-"));
        headers.insert(X_CACHE, value(&format!("{} from cloudfront", result.name())));
        headers.append(VIA, HeaderValue::from_static(VIA_VALUE));
        headers.insert(X_AMZ_CF_ID, value(&exchange.record.request_id));
        headers.insert(X_AMZ_CF_POP, value(&self.config.edge_location));
        let record = &mut exchange.record;
        record.content_type = header_text(&headers, &CONTENT_TYPE).unwrap_or_default();
        record.content_length = header_text(&headers, &CONTENT_LENGTH).and_then(|length| length.parse().ok());
        record.range = header_text(&headers, &CONTENT_RANGE).as_deref().and_then(content_range);
        // `HTTP/1.1 200 OK`, the headers, and an empty line.
        let line_bytes = status.canonical_reason().map_or(0, str::len) + 17;
        record.response_bytes = (line_bytes + headers_bytes(&headers)) as u64;
        let is_head = record.method == "HEAD";
        let body = match body {
            ReplyBody::Ready(_) if is_head => ViewerBody::ready(Bytes::new(), exchange),
            ReplyBody::Ready(bytes) => ViewerBody::ready(bytes, exchange),
            ReplyBody::Origin(incoming) => ViewerBody::from_origin(incoming, exchange, copy, asking),
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }
}

/// A page of CloudFront's own that says why there is nothing else.
fn error(exchange: &Exchange, status: StatusCode, detailed: &'static str, message: &str) -> Reply {
    let page = error_page(status.as_u16(), message, &exchange.record.request_id);
    generated(page, ResultType::Error, detailed)
}

/// A response that was made at the edge.
fn generated(response: GeneratedResponse, result: ResultType, detailed: &'static str) -> Reply {
    let mut headers = response.headers;
    headers.entry(SERVER).or_insert(HeaderValue::from_static("CloudFront"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(response.body.len()));
    Reply {
        status: StatusCode::from_u16(response.status).unwrap_or(StatusCode::BAD_GATEWAY),
        headers,
        body: ReplyBody::Ready(response.body.into()),
        result,
        detailed,
        copy: None,
        asking: None,
        skips_viewer_response: true,
    }
}

fn redirect(exchange: &Exchange, parts: &Parts) -> Reply {
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let location = HeaderValue::from_str(&format!("https://{}{target}", exchange.record.host));
    let moved = StatusCode::MOVED_PERMANENTLY.as_u16();
    let mut page = error_page(moved, "Moved to HTTPS.", &exchange.record.request_id);
    page.headers.insert(LOCATION, location.unwrap_or(HeaderValue::from_static("/")));
    generated(page, ResultType::Redirect, ResultType::Redirect.name())
}

/// `bytes 0-499/1234`
fn content_range(text: &str) -> Option<(u64, u64)> {
    let (range, _) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, end) = range.split_once('-')?;
    Some((start.parse().ok()?, end.parse().ok()?))
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let ending: Vec<HeaderName> = headers.keys().filter(|name| is_hop_by_hop(name)).cloned().collect();
    for name in ending {
        headers.remove(name);
    }
}

fn take_text(headers: &mut HeaderMap, name: &str) -> Option<String> {
    headers.remove(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn header_text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}
