//! What is known of the client that sent a request, for actions with `from_context`. It travels with the batch through
//! the processors and no further.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;

use crate::extensions::auth::Identity;
use crate::extensions::bearertokenauth::RateLimit;

/// One client, or one request of a client.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientContext {
    /// Where the connection comes from; a Unix socket does not tell.
    pub(crate) address: Option<IpAddr>,
    /// The headers of the request, where the receiver has `include_metadata`.
    pub(crate) metadata: Option<HeaderMap>,
    /// The name that an authenticator has verified.
    pub(crate) username: Option<String>,
    /// How much may come with the token that the client has shown.
    pub(crate) limit: Option<Arc<RateLimit>>,
}

impl ClientContext {
    /// That of one request; the connection's own where there is nothing more to know.
    pub(crate) fn of_request(self: Arc<Self>, head: Option<&Parts>, identity: Option<Identity>) -> Arc<Self> {
        let Identity { username, limit } = identity.unwrap_or_default();
        if head.is_none() && username.is_none() && limit.is_none() {
            return self;
        }
        let metadata = head.map(|head| {
            let mut headers = head.headers.clone();
            // HTTP/2 says it elsewhere.
            if let Some(authority) = head.uri.authority()
                && let Ok(host) = HeaderValue::from_str(authority.as_str())
            {
                headers.entry(HOST).or_insert(host);
            }
            headers
        });
        Arc::new(Self { address: self.address, metadata, username, limit })
    }
}

/// What `from_context` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ContextKey {
    /// `client.address`
    Address,
    /// `metadata.NAME`
    Metadata(HeaderName),
    /// `auth.username`
    Username,
}

impl ContextKey {
    /// Parses; an error is the rest of a sentence.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if text == "client.address" {
            return Ok(Self::Address);
        }
        match text.strip_prefix("auth.") {
            Some("username") => return Ok(Self::Username),
            Some(_) => return Err("`from_context`: rootspan knows `auth.username` of what an authenticator knows"),
            None => {}
        }
        // Without a prefix it is metadata, as in the collector.
        let name = text.strip_prefix("metadata.").unwrap_or(text).to_ascii_lowercase();
        let name = HeaderName::from_bytes(name.as_bytes());
        name.map(Self::Metadata).map_err(|_| "`from_context` is `client.address`, `metadata.NAME` or `auth.username`")
    }
}

impl ClientContext {
    /// The value of a key; several values of one header are joined by semicolons, as in the collector.
    pub(crate) fn value(&self, key: &ContextKey) -> Option<String> {
        match key {
            ContextKey::Address => self.address.map(|address| address.to_canonical().to_string()),
            ContextKey::Username => self.username.clone(),
            ContextKey::Metadata(name) => {
                let values = self.metadata.as_ref()?.get_all(name).iter();
                let values: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
                (!values.is_empty()).then(|| values.join(";"))
            }
        }
    }
}
