//! The other end of [`crate::api`]: for `rootspan search`, `rootspan trace` and the demo's check.
//!
//! Plain HTTP only: a server behind TLS is behind a proxy, and then on the other side of it.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rootspan_model::ids::TraceId;
use rootspan_wire::otlp::batch::TraceBatch;
use rootspan_wire::otlp::json::read_request;
use rootspan_wire::otlp::validate::Limits;
use serde::de::DeserializeOwned;

use crate::answers::edge::EdgeCoverageAnswer;
use crate::answers::{ErrorAnswer, ErrorBody, OperationsAnswer, SearchAnswer, ServicesAnswer, StatusAnswer};
use crate::guard::Auth;
use crate::limits::{CLIENT_ANSWER_BYTES, CLIENT_TIMEOUT};

/// Asks one server. Cheap to clone; clones share the connections.
#[derive(Clone, Debug)]
pub struct Client {
    /// Scheme and authority, and perhaps a path, without the last slash.
    base: String,
    authorization: Option<HeaderValue>,
    http: HttpClient<HttpConnector, Empty<Bytes>>,
}

/// A search, as text: the server interprets it.
#[derive(Clone, Debug, Default)]
pub struct SearchParameters {
    /// TraceQL; empty for everything.
    pub query: String,
    /// Unix seconds or nanoseconds.
    pub start: Option<String>,
    /// Unix seconds or nanoseconds.
    pub end: Option<String>,
    /// Most traces in the page.
    pub limit: Option<usize>,
    /// [`SearchAnswer::next_cursor`] of the page before.
    pub cursor: Option<String>,
}

/// A question about edge coverage, as text: the server interprets it.
#[derive(Clone, Debug, Default)]
pub struct CoverageParameters {
    /// Unix seconds or nanoseconds.
    pub start: Option<String>,
    /// Unix seconds or nanoseconds.
    pub end: Option<String>,
    /// Only this distribution.
    pub distribution: Option<String>,
    /// Only this behaviour.
    pub behaviour: Option<String>,
    /// Seconds within which a back end's span is expected.
    pub wait_seconds: Option<u64>,
}

/// Why there is no answer. One sentence each.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The base address cannot be used.
    #[error("{0:?} is not an address like http://127.0.0.1:16686 (https is not spoken)")]
    Address(String),
    /// The credentials cannot be sent.
    #[error("the credentials contain a character that a header cannot carry")]
    Credentials,
    /// Nobody listens.
    #[error("nothing answers at {base}; is rootspan running, and is that its address?")]
    Unreachable {
        /// The base address.
        base: String,
        /// Why.
        #[source]
        source: hyper_util::client::legacy::Error,
    },
    /// It took too long.
    #[error("{base} did not answer within {after:?}")]
    Timeout {
        /// The base address.
        base: String,
        /// The limit.
        after: Duration,
    },
    /// The server says no.
    #[error("{} (HTTP {})", .error.message, .status.as_u16())]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// The server's words, with hint and position.
        error: ErrorBody,
    },
    /// The answer is not what this version understands.
    #[error("{base} does not answer as rootspan does: {reason}")]
    Answer {
        /// The base address.
        base: String,
        /// What is wrong.
        reason: String,
    },
}

impl Client {
    /// A client of the server at `base`, for example `http://127.0.0.1:16686`.
    ///
    /// # Errors
    /// [`ClientError::Address`], [`ClientError::Credentials`].
    pub fn new(base: &str, auth: Option<&Auth>) -> Result<Self, ClientError> {
        let bad = || ClientError::Address(base.to_owned());
        let with_scheme = if base.contains("://") { base.to_owned() } else { format!("http://{base}") };
        let uri: Uri = with_scheme.parse().map_err(|_| bad())?;
        if uri.scheme_str() != Some("http") || uri.host().is_none_or(str::is_empty) || uri.query().is_some() {
            return Err(bad());
        }
        let authorization = auth.map(|auth| {
            let mut value = HeaderValue::from_str(&auth.header()).map_err(|_| ClientError::Credentials)?;
            value.set_sensitive(true);
            Ok(value)
        });
        let http = HttpClient::builder(TokioExecutor::new()).build_http();
        Ok(Self { base: with_scheme.trim_end_matches('/').to_owned(), authorization: authorization.transpose()?, http })
    }

    /// One page of a search.
    ///
    /// # Errors
    /// [`ClientError`]; a mistake in the query is [`ClientError::Refused`] with a position.
    pub async fn search(&self, parameters: &SearchParameters) -> Result<SearchAnswer, ClientError> {
        let limit = parameters.limit.map(|limit| limit.to_string());
        let pairs = [
            ("q", Some(parameters.query.as_str()).filter(|query| !query.is_empty())),
            ("start", parameters.start.as_deref()),
            ("end", parameters.end.as_deref()),
            ("limit", limit.as_deref()),
            ("cursor", parameters.cursor.as_deref()),
        ];
        self.json(&with_query("/api/v1/search", &pairs)).await
    }

    /// The whole trace as OTLP JSON, as the server exports it; `None` if the server does not have it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn trace_json(&self, id: &TraceId) -> Result<Option<Bytes>, ClientError> {
        let (status, body) = self.get(&format!("/api/v1/traces/{id}")).await?;
        match self.checked(status, body) {
            Ok(body) => Ok(Some(body)),
            Err(ClientError::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The whole trace; `None` if the server does not have it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn trace(&self, id: &TraceId) -> Result<Option<TraceBatch>, ClientError> {
        let Some(json) = self.trace_json(id).await? else { return Ok(None) };
        // The server has these spans because it accepted them; limits are for strangers.
        let limits =
            Limits { attributes: usize::MAX, events_and_links: usize::MAX, spans: usize::MAX, ..Limits::default() };
        let read = read_request(&json, &limits).map_err(|error| self.odd(error.to_string()))?;
        Ok(Some(read.batch))
    }

    /// What became of the edge's requests.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn edge_coverage(&self, parameters: &CoverageParameters) -> Result<EdgeCoverageAnswer, ClientError> {
        let wait = parameters.wait_seconds.map(|wait| wait.to_string());
        let pairs = [
            ("start", parameters.start.as_deref()),
            ("end", parameters.end.as_deref()),
            ("distribution", parameters.distribution.as_deref()),
            ("behaviour", parameters.behaviour.as_deref()),
            ("wait", wait.as_deref()),
        ];
        self.json(&with_query("/api/v1/edge/coverage", &pairs)).await
    }

    /// The names of all services.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn services(&self) -> Result<Vec<String>, ClientError> {
        self.json("/api/v1/services").await.map(|answer: ServicesAnswer| answer.services)
    }

    /// The names of a service's spans.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn operations(&self, service: &str) -> Result<Vec<String>, ClientError> {
        let target = with_query("/api/v1/operations", &[("service", Some(service))]);
        self.json(&target).await.map(|answer: OperationsAnswer| answer.operations)
    }

    /// The server's figures.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn status(&self) -> Result<StatusAnswer, ClientError> {
        self.json("/api/v1/status").await
    }

    async fn json<T: DeserializeOwned>(&self, target: &str) -> Result<T, ClientError> {
        let (status, body) = self.get(target).await?;
        let body = self.checked(status, body)?;
        serde_json::from_slice(&body).map_err(|error| self.odd(error.to_string()))
    }

    fn checked(&self, status: StatusCode, body: Bytes) -> Result<Bytes, ClientError> {
        if status.is_success() {
            return Ok(body);
        }
        match serde_json::from_slice::<ErrorAnswer>(&body) {
            Ok(answer) => Err(ClientError::Refused { status, error: answer.error }),
            Err(_) => Err(self.odd(format!("HTTP {status} without an explanation"))),
        }
    }

    async fn get(&self, target: &str) -> Result<(StatusCode, Bytes), ClientError> {
        let mut request = Request::builder().method(Method::GET).uri(format!("{}{target}", self.base));
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let request = request.body(Empty::new()).map_err(|error| self.odd(error.to_string()))?;
        let exchange = async {
            let response = self.http.request(request).await;
            let response = response.map_err(|source| ClientError::Unreachable { base: self.base.clone(), source })?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, CLIENT_ANSWER_BYTES).collect().await;
            let body = body.map_err(|error| self.odd(format!("the answer breaks off: {error}")))?;
            Ok((parts.status, body.to_bytes()))
        };
        tokio::time::timeout(CLIENT_TIMEOUT, exchange)
            .await
            .map_err(|_| ClientError::Timeout { base: self.base.clone(), after: CLIENT_TIMEOUT })?
    }

    fn odd(&self, reason: String) -> ClientError {
        ClientError::Answer { base: self.base.clone(), reason }
    }
}

/// `path?name=value&…` of the pairs that have a value.
fn with_query(path: &str, pairs: &[(&str, Option<&str>)]) -> String {
    let mut target = path.to_owned();
    let mut separator = '?';
    for (name, value) in pairs {
        let Some(value) = value else { continue };
        target.push(separator);
        target.push_str(name);
        target.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                target.push(char::from(byte));
            } else {
                target.push_str(&format!("%{byte:02X}"));
            }
        }
        separator = '&';
    }
    target
}

#[cfg(test)]
mod tests;
