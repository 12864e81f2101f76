//! What a distribution does with one request: behaviour → protocol policy → function → cache → origin.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{
    AGE, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, REFERER, SERVER, USER_AGENT,
    VIA,
};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::cache::{Cache, Cached, lifetime};
use super::config::{Behavior, CLASS_HEADER, Config, PROTOCOL_HEADER, Route, ViewerProtocol, path_matches};
use super::event::{
    ChangedRequest, GeneratedResponse, Verdict, ViewerRequest, error_page, read_returned, viewer_request,
};
use super::exchange::{CacheCopy, Exchange, Sinks, ViewerBody};
use super::headers::is_hop_by_hop;
use super::ledger::ResultType;
use super::random::Random;
use super::record::Record;
use super::sandbox::{FunctionCode, FunctionError, Invocation, Returned};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_AMZ_CF_ID: HeaderName = HeaderName::from_static("x-amz-cf-id");
const X_AMZ_CF_POP: HeaderName = HeaderName::from_static("x-amz-cf-pop");
const X_CACHE: HeaderName = HeaderName::from_static("x-cache");

/// The name of the cache server in `Via`; CloudFront has one per server.
const VIA_VALUE: &str = "1.1 2afae0d44e2540f472c0635ab62c232b.cloudfront.net (CloudFront)";

/// Everything that requests share.
pub(crate) struct Distribution {
    pub(crate) config: Config,
    pub(crate) routes: Vec<Route>,
    pub(crate) function: Option<FunctionCode>,
    pub(crate) cache: Arc<Cache>,
    pub(crate) sinks: Arc<Sinks>,
    pub(crate) random: Arc<Random>,
    pub(crate) client: Client<HttpConnector, Incoming>,
}

impl Distribution {
    /// Serves a request. There is always a response; what goes wrong is in it, and in the log.
    pub(crate) async fn serve(&self, viewer: SocketAddr, request: Request<Incoming>) -> Response<ViewerBody> {
        let (mut parts, body) = request.into_parts();
        let class = take_text(&mut parts.headers, CLASS_HEADER);
        let is_plain = take_text(&mut parts.headers, PROTOCOL_HEADER).as_deref() == Some("http");
        let route = self.route(parts.uri.path());
        let behavior = &route.behavior;
        let record = self.record(viewer, &parts, is_plain, behavior);
        let exchange = Exchange::start(record, class, Arc::clone(&self.sinks));
        if !parts.uri.path().starts_with('/') {
            return self.refuse(exchange, StatusCode::BAD_REQUEST, ResultType::Error, "InvalidRequest", "Bad request.");
        }
        match behavior.viewer_protocol {
            ViewerProtocol::RedirectToHttps if is_plain => return self.redirect(exchange, &parts),
            ViewerProtocol::HttpsOnly if is_plain => {
                return self.refuse(exchange, StatusCode::FORBIDDEN, ResultType::Error, "Error", "HTTPS is required.");
            }
            ViewerProtocol::AllowAll | ViewerProtocol::RedirectToHttps | ViewerProtocol::HttpsOnly => {}
        }
        let (exchange, changed) = match &self.function {
            Some(function) if behavior.runs_function => {
                match self.run_function(function, exchange, viewer, &parts).await {
                    Ok(changed) => changed,
                    Err(response) => return *response,
                }
            }
            _ => (exchange, unchanged(&parts)),
        };
        self.look_up(exchange, route, viewer, &parts.method, changed, body).await
    }

    fn route(&self, path: &str) -> &Route {
        let matching = self.routes.iter().find(|route| path_matches(&route.behavior.path_pattern, path));
        // `OPTIONS *` has a path that only the default can match.
        matching.or(self.routes.last()).expect("there is a default behaviour")
    }

    fn record(&self, viewer: SocketAddr, parts: &Parts, is_plain: bool, behavior: &Behavior) -> Record {
        let text = |name: HeaderName| header_text(&parts.headers, &name).unwrap_or_default();
        let body_bytes =
            header_text(&parts.headers, &CONTENT_LENGTH).and_then(|length| length.parse().ok()).unwrap_or(0);
        let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
        // `METHOD target HTTP/1.1`, the headers, and an empty line.
        let line_bytes = parts.method.as_str().len() + target.len() + 12;
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
            request_id: self.random.request_id(),
            host: text(HOST),
            protocol: if is_plain { "http" } else { "https" },
            protocol_version: if parts.version == http::Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" },
            request_bytes: line_bytes as u64 + headers_bytes(&parts.headers) + body_bytes,
            forwarded_for: text(X_FORWARDED_FOR),
            behavior: behavior.path_pattern.clone(),
            ..Record::default()
        }
    }

    /// Runs the function; the request as it is afterwards, or the response that ends it here.
    async fn run_function(
        &self,
        function: &FunctionCode,
        mut exchange: Exchange,
        viewer: SocketAddr,
        parts: &Parts,
    ) -> Result<(Exchange, ChangedRequest), Box<Response<ViewerBody>>> {
        let request_id = exchange.record.request_id.clone();
        let seen = ViewerRequest {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query().unwrap_or_default(),
            headers: &parts.headers,
            viewer_ip: viewer.ip().to_string(),
            request_id: &request_id,
            distribution_id: &self.config.distribution_id,
            distribution_domain: &self.config.distribution_domain,
        };
        let event = viewer_request(&seen);
        let invocation = Invocation {
            event: event.to_string(),
            raw_query: seen.query.to_owned(),
            start_unix_millis: exchange.start_unix_millis,
            edge_location: self.edge_location(),
            time_limit: self.config.function_time_limit,
        };
        let Returned { value, log_data } = match call(function.clone(), invocation).await {
            Ok(returned) => returned,
            Err(error) => {
                tracing::warn!(%error, request_id, "edge function failed");
                let message =
                    "The CloudFront function associated with the CloudFront distribution is invalid or could not run.";
                let result = ResultType::FunctionExecutionError;
                return Err(Box::new(self.refuse(
                    exchange,
                    StatusCode::SERVICE_UNAVAILABLE,
                    result,
                    result.name(),
                    message,
                )));
            }
        };
        exchange.log_data = log_data;
        match read_returned(&seen, &event, value.as_ref()) {
            Ok(Verdict::Forward(changed)) => Ok((exchange, changed)),
            Ok(Verdict::Respond(response)) => {
                let result = ResultType::FunctionGeneratedResponse;
                Err(Box::new(self.generate(exchange, response, result, result.name())))
            }
            Err(problem) => {
                tracing::warn!(problem, request_id, "edge function returned something invalid");
                let message = format!("The CloudFront function is not valid: {problem}.");
                let result = ResultType::FunctionValidationError;
                Err(Box::new(self.refuse(exchange, StatusCode::BAD_GATEWAY, result, result.name(), &message)))
            }
        }
    }

    fn edge_location(&self) -> String {
        let name: String = self.config.edge_location.chars().take(3).collect();
        json!({"name": name, "serverIp": "192.0.2.1", "region": "eu-central-1"}).to_string()
    }

    async fn look_up(
        &self,
        exchange: Exchange,
        route: &Route,
        viewer: SocketAddr,
        method: &Method,
        changed: ChangedRequest,
        body: Incoming,
    ) -> Response<ViewerBody> {
        let is_cacheable = *method == Method::GET || *method == Method::HEAD;
        let key = format!("{}{}?{}", exchange.record.host, changed.path, changed.query);
        if is_cacheable && let Some(cached) = self.cache.get(&key) {
            return self.hit(exchange, cached, *method == Method::HEAD);
        }
        match self.ask_origin(exchange, &route.origin, viewer, method, changed, body).await {
            Ok((exchange, response)) => {
                let keep = if *method == Method::GET { Some((key, &route.behavior)) } else { None };
                self.miss(exchange, response, keep)
            }
            Err(response) => *response,
        }
    }

    async fn ask_origin(
        &self,
        mut exchange: Exchange,
        origin: &Uri,
        viewer: SocketAddr,
        method: &Method,
        changed: ChangedRequest,
        body: Incoming,
    ) -> Result<(Exchange, Response<Incoming>), Box<Response<ViewerBody>>> {
        let bad_gateway = StatusCode::BAD_GATEWAY;
        let Some(uri) = origin_uri(origin, &changed) else {
            let message = "The request's address is not valid.";
            return Err(Box::new(self.refuse(
                exchange,
                bad_gateway,
                ResultType::Error,
                "OriginInvalidRequest",
                message,
            )));
        };
        let mut request = Request::new(body);
        *request.method_mut() = method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = origin_headers(changed.headers, viewer, &exchange.record.request_id);
        exchange.origin_asked = Some(super::clock::Stopwatch::start());
        let one_way = self.config.origin_round_trip / 2;
        sleep(one_way).await;
        let answer = timeout(self.config.origin_response_timeout, self.client.request(request)).await;
        sleep(one_way).await;
        exchange.record.origin_first_byte = exchange.origin_elapsed().filter(|_| matches!(answer, Ok(Ok(_))));
        let (status, detailed, message) = match answer {
            Ok(Ok(response)) => return Ok((exchange, response)),
            Ok(Err(error)) if error.is_connect() => {
                (bad_gateway, "OriginConnectError", "CloudFront wasn't able to connect to the origin.")
            }
            Ok(Err(_)) => (bad_gateway, "OriginCommError", "CloudFront wasn't able to read the origin's response."),
            Err(_) => (StatusCode::GATEWAY_TIMEOUT, "OriginCommError", "The origin did not answer in time."),
        };
        Err(Box::new(self.refuse(exchange, status, ResultType::Error, detailed, message)))
    }

    fn miss(
        &self,
        mut exchange: Exchange,
        response: Response<Incoming>,
        keep: Option<(String, &Behavior)>,
    ) -> Response<ViewerBody> {
        let (parts, body) = response.into_parts();
        let mut headers = parts.headers;
        remove_hop_by_hop(&mut headers);
        let copy = keep.and_then(|(key, behavior)| {
            let lifetime = lifetime(parts.status, &headers, behavior.default_ttl)?;
            let cache = Arc::clone(&self.cache);
            Some(CacheCopy {
                cache,
                key,
                status: parts.status,
                headers: headers.clone(),
                lifetime,
                body: BytesMut::new(),
            })
        });
        let is_error = parts.status.is_client_error() || parts.status.is_server_error();
        let result = if is_error { ResultType::Error } else { ResultType::Miss };
        exchange.respond(parts.status, result, result.name());
        let head = self.head(&mut exchange, parts.status, headers);
        head.map(|()| ViewerBody::from_origin(body, exchange, copy))
    }

    fn hit(&self, mut exchange: Exchange, cached: Cached, is_head: bool) -> Response<ViewerBody> {
        let mut headers = cached.headers;
        headers.insert(AGE, HeaderValue::from(cached.kept.elapsed().as_secs()));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(cached.body.len()));
        exchange.respond(cached.status, ResultType::Hit, ResultType::Hit.name());
        let head = self.head(&mut exchange, cached.status, headers);
        let body = if is_head { Bytes::new() } else { cached.body };
        head.map(|()| ViewerBody::ready(body, exchange))
    }

    fn redirect(&self, exchange: Exchange, parts: &Parts) -> Response<ViewerBody> {
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let location = HeaderValue::from_str(&format!("https://{}{target}", exchange.record.host));
        let mut page =
            error_page(StatusCode::MOVED_PERMANENTLY.as_u16(), "Moved to HTTPS.", &exchange.record.request_id);
        page.headers.insert(LOCATION, location.unwrap_or(HeaderValue::from_static("/")));
        self.generate(exchange, page, ResultType::Redirect, ResultType::Redirect.name())
    }

    fn refuse(
        &self,
        exchange: Exchange,
        status: StatusCode,
        result: ResultType,
        detailed: &'static str,
        message: &str,
    ) -> Response<ViewerBody> {
        let page = error_page(status.as_u16(), message, &exchange.record.request_id);
        self.generate(exchange, page, result, detailed)
    }

    fn generate(
        &self,
        mut exchange: Exchange,
        response: GeneratedResponse,
        result: ResultType,
        detailed: &'static str,
    ) -> Response<ViewerBody> {
        let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::BAD_GATEWAY);
        exchange.respond(status, result, detailed);
        let is_head = exchange.record.method == "HEAD";
        let mut headers = response.headers;
        headers.insert(SERVER, HeaderValue::from_static("CloudFront"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(response.body.len()));
        let head = self.head(&mut exchange, status, headers);
        let body = if is_head { Bytes::new() } else { Bytes::from(response.body) };
        head.map(|()| ViewerBody::ready(body, exchange))
    }

    /// The response without its body, with CloudFront's own headers; the record learns of it.
    fn head(&self, exchange: &mut Exchange, status: StatusCode, mut headers: HeaderMap) -> Response<()> {
        let value = |text: &str| HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("-"));
        headers.insert(X_CACHE, value(&format!("{} from cloudfront", exchange.result.name())));
        headers.append(VIA, HeaderValue::from_static(VIA_VALUE));
        headers.insert(X_AMZ_CF_ID, value(&exchange.record.request_id));
        headers.insert(X_AMZ_CF_POP, value(&self.config.edge_location));
        let record = &mut exchange.record;
        record.content_type = header_text(&headers, &CONTENT_TYPE).unwrap_or_default();
        record.content_length = header_text(&headers, &CONTENT_LENGTH).and_then(|length| length.parse().ok());
        // `HTTP/1.1 200 OK`, the headers, and an empty line.
        let line_bytes = status.canonical_reason().map_or(0, str::len) + 17;
        record.response_bytes = line_bytes as u64 + headers_bytes(&headers);
        let mut head = Response::new(());
        *head.status_mut() = status;
        *head.headers_mut() = headers;
        head
    }
}

/// Calls a function on a thread where it may block.
async fn call(function: FunctionCode, invocation: Invocation) -> Result<Returned, FunctionError> {
    let outcome = tokio::task::spawn_blocking(move || function.call(&invocation)).await;
    outcome.unwrap_or_else(|error| Err(FunctionError::Failed(error.to_string())))
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

/// A request that no function touched.
fn unchanged(parts: &Parts) -> ChangedRequest {
    ChangedRequest {
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers.clone(),
    }
}

fn origin_headers(mut headers: HeaderMap, viewer: SocketAddr, request_id: &str) -> HeaderMap {
    remove_hop_by_hop(&mut headers);
    // The origin is asked under its own name, as by the policy AllViewerExceptHostHeader.
    headers.remove(HOST);
    let viewer = viewer.ip().to_string();
    let forwarded_for = match header_text(&headers, &X_FORWARDED_FOR) {
        Some(before) => format!("{before}, {viewer}"),
        None => viewer,
    };
    if let Ok(value) = HeaderValue::from_str(&forwarded_for) {
        headers.insert(X_FORWARDED_FOR, value);
    }
    headers.append(VIA, HeaderValue::from_static(VIA_VALUE));
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert(X_AMZ_CF_ID, value);
    }
    headers
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

/// `name: value\r\n` each.
fn headers_bytes(headers: &HeaderMap) -> u64 {
    headers.iter().map(|(name, value)| (name.as_str().len() + value.len() + 4) as u64).sum()
}
