//! `bearertokenauth`: tokens that clients show, or that exporters show to back ends.
//!
//! ```yaml
//! extensions:
//!   bearertokenauth:
//!     filename: /etc/rootspan/tokens   # one a line: all are valid, the first is shown
//! receivers:
//!   otlp:
//!     protocols:
//!       grpc: {auth: {authenticator: bearertokenauth}}
//! service:
//!   extensions: [bearertokenauth]
//! ```
//!
//! With `rate_limit` each token may send so many spans in a second: what is baked into functions at the edge may be stolen, and opens
//! nothing but the receiver. [`limit`] says what is counted.

mod limit;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};
use tokio::time::Instant;

use super::auth::{Denied, Identity};
use crate::config;
use crate::config::decode::Decode as _;
use crate::config::node::Entry;
use crate::config::problems::Problems;
use crate::config::values::Secret;
use crate::net::reload::{Reloading, Source};
pub(crate) use limit::RateLimit;
use limit::RateLimitConfig;

/// How often a file of tokens is looked at: a token that was taken out must soon be worth nothing.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

config! {
    /// Tokens that clients show to servers.
    pub struct BearerTokenAuthConfig {
        /// The word before the token; none if it is empty.
        scheme: String = "Bearer",
        /// The header that carries it.
        header: String = "Authorization",
        /// The token.
        token: Option<Secret>,
        /// Several tokens: each is valid at a server, a client shows the first.
        tokens: Vec<Secret>,
        /// A file with tokens, one a line; changes are taken over.
        filename: String = "",
        /// How much may come with each token; absent: any amount.
        rate_limit: Option<RateLimitConfig>,
    }
    ignored { "file_retry": "a file that cannot be read when the gateway starts is an error; later it is looked at every second" }
}

impl BearerTokenAuthConfig {
    /// Decodes and checks that there is exactly one source of tokens.
    pub(crate) fn decode_checked(entry: &Entry, problems: &mut Problems) -> Option<Self> {
        let config = Self::decode(&entry.value, problems)?;
        let inline = usize::from(config.token.is_some()) + usize::from(!config.tokens.is_empty());
        if inline == 0 && config.filename.is_empty() {
            problems
                .error(&entry.position, "it needs `token`, `tokens` or `filename`: without a token nobody may enter");
        }
        if inline == 2 {
            problems.error(&entry.position, "there are both `token` and `tokens`");
        }
        if inline > 0 && !config.filename.is_empty() {
            // As in the collector.
            problems.warning(&entry.position, "there is a `filename`: `token` and `tokens` have no effect");
        }
        if let Some(limit) = &config.rate_limit {
            limit.check(&entry.position, problems);
        }
        if HeaderName::from_bytes(config.header.as_bytes()).is_err() {
            problems.error(&entry.position, "`header` cannot be the name of a header");
        }
        Some(config)
    }

    fn sources(&self) -> Vec<Source> {
        if !self.filename.is_empty() {
            return vec![Source::File { key: "filename", path: self.filename.as_str().into() }];
        }
        let inline = self.token.iter().chain(&self.tokens);
        inline.map(|token| Source::Inline { key: "token", text: token.clone() }).collect()
    }
}

/// The authenticator.
#[derive(Debug)]
pub(crate) struct BearerTokens {
    header: HeaderName,
    scheme: String,
    tokens: Arc<Reloading<Tokens>>,
}

/// What the header must hold, for each token; at least one.
struct Tokens(Vec<Token>);

/// One token.
struct Token {
    /// What the header must hold.
    value: HeaderValue,
    limit: Option<Arc<RateLimit>>,
}

/// The buckets of tokens. A token that stays when the file changes keeps its own.
#[derive(Default)]
struct Buckets(Mutex<HashMap<HeaderValue, Arc<RateLimit>>>);

impl Buckets {
    fn of(&self, values: Vec<HeaderValue>, config: Option<&RateLimitConfig>) -> Tokens {
        let Some(config) = config else {
            return Tokens(values.into_iter().map(|value| Token { value, limit: None }).collect());
        };
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        buckets.retain(|value, _| values.contains(value));
        let mut token = |value: HeaderValue| {
            let limit = buckets.entry(value.clone()).or_insert_with(|| Arc::new(RateLimit::new(config, now)));
            Token { limit: Some(Arc::clone(limit)), value }
        };
        Tokens(values.into_iter().map(&mut token).collect())
    }
}

impl BearerTokens {
    /// Reads the tokens; an error is one sentence.
    pub(crate) fn load(config: &BearerTokenAuthConfig, what: &str) -> Result<Self, String> {
        let scheme = config.scheme.trim().to_owned();
        let make_scheme = scheme.clone();
        let sources = config.sources();
        let name = sources.first().map(Source::shown).unwrap_or_default();
        let (buckets, limit) = (Buckets::default(), config.rate_limit.clone());
        let tokens = Reloading::load(what, sources, LOOK_PERIOD, move |contents| {
            let values = read(contents, &make_scheme).map_err(|reason| format!("{name}: {reason}"))?;
            Ok(buckets.of(values, limit.as_ref()))
        })?;
        let header = HeaderName::from_bytes(config.header.as_bytes()).map_err(|error| error.to_string())?;
        Ok(Self { header, scheme, tokens })
    }

    /// Takes the same time wherever what was shown differs from a token, and whichever token it is. Where a token has used up what
    /// may come with it, nothing of the request is read.
    pub(crate) async fn authenticate(&self, headers: &HeaderMap) -> Result<Identity, Denied> {
        let shown = headers.get(&self.header).ok_or(Denied::Missing)?.as_bytes();
        let tokens = self.tokens.current().await;
        let found = tokens.0.iter().zip(0_u64..).fold(u64::MAX, |found, (token, index)| {
            u64::conditional_select(&found, &index, token.value.as_bytes().ct_eq(shown))
        });
        let found = usize::try_from(found).ok().and_then(|index| tokens.0.get(index)).ok_or(Denied::Wrong)?;
        if let Some(limit) = &found.limit {
            limit.take(0, Instant::now()).map_err(Denied::OverLimit)?;
        }
        Ok(Identity { username: None, limit: found.limit.clone() })
    }

    pub(crate) async fn add_to(&self, headers: &mut HeaderMap) {
        if let Some(token) = self.tokens.current().await.0.first() {
            headers.insert(self.header.clone(), token.value.clone());
        }
    }

    pub(crate) fn challenge(&self) -> HeaderValue {
        let scheme = if self.scheme.is_empty() { "Bearer" } else { &self.scheme };
        let challenge = HeaderValue::from_str(&format!("{scheme} realm=\"rootspan\""));
        challenge.unwrap_or_else(|_| HeaderValue::from_static("Bearer"))
    }
}

/// What the header must hold for each token. One stands in a line; empty lines are none.
fn read(contents: &[Vec<u8>], scheme: &str) -> Result<Vec<HeaderValue>, String> {
    let mut tokens = Vec::new();
    for content in contents {
        let text = std::str::from_utf8(content).map_err(|_| "it is not text".to_owned())?;
        for token in text.lines().map(str::trim).filter(|token| !token.is_empty()) {
            let value = if scheme.is_empty() { token.to_owned() } else { format!("{scheme} {token}") };
            // The token is not repeated.
            let value = HeaderValue::from_str(&value).map_err(|_| "a token cannot be sent in a header".to_owned());
            let mut value = value?;
            value.set_sensitive(true);
            tokens.push(value);
        }
    }
    if tokens.is_empty() { Err("there is no token in it".to_owned()) } else { Ok(tokens) }
}
