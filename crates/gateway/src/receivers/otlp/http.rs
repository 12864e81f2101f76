//! OTLP over HTTP (OTLP specification, "OTLP/HTTP"): protobuf and JSON, answered in the same.

use std::sync::Arc;
use std::time::Duration;

use http::header::{
    ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::request::Parts;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;

use rootspan_wire::otlp::payload::Signal;
use rootspan_wire::otlp::response::{Code, Status, export_response_json, export_response_protobuf};
use rootspan_wire::otlp::validate::Rejected;

use super::HttpConfig;
use super::answer::{refusal, status};
use crate::ack::Refusal;
use crate::context::ClientContext;
use crate::extensions::auth::{Authenticator, Identity};
use crate::ledger::RefusalReason;
use crate::net::body::{BODY_TIMEOUT, BodyError, collect, unpack};
use crate::net::cors::Cors;
use crate::net::decompress::{Algorithms, Compression};
use crate::net::headers::Headers;
use crate::net::http::{self as net_http, Answer, answer, retry_after, text};
use crate::net::stop::Stop;
use crate::net::stream::Accepted;
use crate::runtime::ingress::{Ingress, Ingresses, Refused};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// What the connections of one listener share.
#[derive(Debug)]
pub(super) struct Server {
    ingresses: Ingresses,
    /// The paths of signals.
    paths: [(Signal, String); 3],
    max_body_bytes: usize,
    body_timeout: Duration,
    connection: net_http::Settings,
    algorithms: Algorithms,
    auth: Option<Arc<Authenticator>>,
    cors: Option<Cors>,
    response_headers: Headers,
    include_metadata: bool,
}

impl Server {
    pub(super) fn new(ingresses: Ingresses, config: &HttpConfig, auth: Option<Arc<Authenticator>>) -> Self {
        // As in the collector, 0 is the default.
        let configured = match config.max_request_body_size.0 {
            0 => 20 << 20,
            bytes => bytes,
        };
        Self {
            ingresses,
            paths: [
                (Signal::Traces, config.traces_url_path.clone()),
                (Signal::Metrics, config.metrics_url_path.clone()),
                (Signal::Logs, config.logs_url_path.clone()),
            ],
            max_body_bytes: usize::try_from(configured).unwrap_or(usize::MAX),
            body_timeout: if config.read_timeout.is_zero() { BODY_TIMEOUT } else { config.read_timeout },
            connection: net_http::Settings {
                header_timeout: config.read_header_timeout,
                idle_timeout: Some(config.idle_timeout).filter(|timeout| !timeout.is_zero()),
                write_timeout: Some(config.write_timeout).filter(|timeout| !timeout.is_zero()),
                keep_alive: config.keep_alives_enabled,
            },
            algorithms: config.compression_algorithms.clone(),
            auth,
            cors: config.cors.as_ref().and_then(Cors::new),
            response_headers: config.response_headers.clone(),
            include_metadata: config.include_metadata,
        }
    }
}

impl Server {
    /// The way for the signal that is served at `path`.
    fn ingress_of(&self, path: &str) -> Option<&Ingress> {
        let (signal, _) = self.paths.iter().find(|(_, served)| served == path)?;
        self.ingresses.of(*signal)
    }

    /// What is served, for whoever asked for something else.
    fn served(&self) -> String {
        let has_pipeline = |(signal, _): &&(Signal, String)| self.ingresses.of(*signal).is_some();
        let served =
            self.paths.iter().filter(has_pipeline).map(|(signal, path)| format!("{} at {path}", signal.name()));
        format!("pipelines take {}", served.collect::<Vec<_>>().join(", "))
    }
}

/// Serves one connection.
pub(super) async fn serve(accepted: Accepted, server: Arc<Server>, stop: Stop) {
    let settings = server.connection;
    let client = Arc::new(ClientContext { address: accepted.peer.map(|peer| peer.ip()), ..ClientContext::default() });
    let handle = move |request| respond(request, Arc::clone(&server), Arc::clone(&client));
    net_http::serve(accepted.stream, stop, settings, handle).await;
}

/// The two forms of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Protobuf,
    Json,
}

impl Form {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let content_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        // Parameters such as `charset` change nothing.
        match content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            PROTOBUF | "application/protobuf" => Some(Self::Protobuf),
            JSON => Some(Self::Json),
            _ => None,
        }
    }
}

async fn respond(request: Request<Incoming>, server: Arc<Server>, client: Arc<ClientContext>) -> Answer {
    let (head, body) = request.into_parts();
    let Some(cors) = &server.cors else { return finished(take(&head, body, &server, client).await, &server) };
    if let Some(answer) = cors.preflight(&head.method, &head.headers) {
        return finished(answer, &server);
    }
    let mut answer = take(&head, body, &server, client).await;
    cors.decorate(head.headers.get(ORIGIN), &mut answer);
    finished(answer, &server)
}

fn finished(mut answer: Answer, server: &Server) -> Answer {
    server.response_headers.add_to(answer.headers_mut());
    answer
}

/// Who it is; the answer, if nobody may enter.
async fn authenticate(auth: &Authenticator, head: &Parts, server: &Server) -> Result<Identity, Answer> {
    auth.authenticate(&head.headers).await.map_err(|denied| {
        if let Some(ingress) = server.ingress_of(head.uri.path()) {
            ingress.refused_request(denied.reason());
        }
        let status = super::answer::denied(denied);
        let form = Form::of(&head.headers).unwrap_or(Form::Json);
        let mut response = refuse(http_status(status.code), &status, form);
        if status.code == Code::Unauthenticated {
            response.headers_mut().insert(WWW_AUTHENTICATE, auth.challenge());
        }
        response
    })
}

async fn take(head: &Parts, body: Incoming, server: &Server, client: Arc<ClientContext>) -> Answer {
    let identity = match &server.auth {
        Some(auth) => match authenticate(auth, head, server).await {
            Ok(identity) => Some(identity),
            Err(refusal) => return refusal,
        },
        None => None,
    };
    let path = head.uri.path();
    let Some(ingress) = server.ingress_of(path) else {
        return text(StatusCode::NOT_FOUND, format!("{path} is not served here: {}", server.served()));
    };
    if head.method != Method::POST {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only POST is accepted");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    let Some(form) = Form::of(&head.headers) else {
        ingress.refused_request(RefusalReason::Malformed);
        return text(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("the content type must be {PROTOBUF} or {JSON}"));
    };
    let client = client.of_request(server.include_metadata.then_some(head), identity);
    match receive(&head.headers, body, form, &ingress.of_client(client), server).await {
        Ok(rejected) => match form {
            Form::Protobuf => answer(StatusCode::OK, PROTOBUF, export_response_protobuf(&rejected)),
            Form::Json => answer(StatusCode::OK, JSON, export_response_json(ingress.signal(), &rejected)),
        },
        Err((http_status, status)) => refuse(http_status, &status, form),
    }
}

/// Receives one request and waits until its spans are settled.
async fn receive(
    headers: &HeaderMap,
    body: Incoming,
    form: Form,
    ingress: &Ingress,
    server: &Server,
) -> Result<Rejected, (StatusCode, Status)> {
    let encoding = headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes).unwrap_or_default();
    let Ok(compression) = Compression::of_http(encoding, &server.algorithms) else {
        ingress.refused_request(RefusalReason::Malformed);
        let (encoding, names) = (String::from_utf8_lossy(encoding), server.algorithms.names());
        let message = format!("unsupported content encoding {encoding}; supported are {names}");
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, status(Code::InvalidArgument, message)));
    };
    let (limit, budget) = (server.max_body_bytes, ingress.budget());
    let body = collect(body, limit, budget, server.body_timeout)
        .await
        .map_err(|error| body_refused(ingress, server, error))?;
    let body = unpack(compression, body, limit, budget).await.map_err(|error| body_refused(ingress, server, error))?;
    let sent = match form {
        Form::Protobuf => ingress.send_otlp(body).await,
        Form::Json => ingress.send_otlp_json(body).await,
    };
    sent.map_err(|refused| match refused {
        Refused::Malformed(reason) => (StatusCode::BAD_REQUEST, status(Code::InvalidArgument, reason)),
        Refused::NotNow(reason) => {
            let status = refusal(reason);
            (http_status(status.code), status)
        }
    })
}

/// 429 for a full gateway, 503 for one that cannot store now: both are tried again by OTLP's clients.
fn http_status(code: Code) -> StatusCode {
    match code {
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unavailable | Code::DeadlineExceeded => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::InvalidArgument | Code::Unimplemented => StatusCode::BAD_REQUEST,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn body_refused(ingress: &Ingress, server: &Server, error: BodyError) -> (StatusCode, Status) {
    match error {
        BodyError::TooLarge => {
            ingress.refused_request(RefusalReason::TooLarge);
            let message = format!("the body is longer than {} bytes (max_request_body_size)", server.max_body_bytes);
            (StatusCode::PAYLOAD_TOO_LARGE, status(Code::ResourceExhausted, message))
        }
        BodyError::Exhausted => {
            ingress.refused_request(RefusalReason::MemoryLimit);
            (StatusCode::TOO_MANY_REQUESTS, refusal(Refusal::memory_limit()))
        }
        BodyError::Corrupt(reason) => {
            ingress.refused_request(RefusalReason::Malformed);
            let message = format!("the body cannot be decompressed: {reason}");
            (StatusCode::BAD_REQUEST, status(Code::InvalidArgument, message))
        }
        BodyError::Broken => {
            ingress.refused_request(RefusalReason::Malformed);
            (StatusCode::REQUEST_TIMEOUT, status(Code::InvalidArgument, "the body was not complete in time"))
        }
    }
}

/// A refusal in the form of the request.
fn refuse(http_status: StatusCode, status: &Status, form: Form) -> Answer {
    let mut response = match form {
        Form::Protobuf => answer(http_status, PROTOBUF, status.to_protobuf()),
        Form::Json => answer(http_status, JSON, status.to_json()),
    };
    if let Some(delay) = status.retry_after {
        response.headers_mut().insert(RETRY_AFTER, retry_after(delay));
    }
    response
}
