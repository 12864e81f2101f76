//! Who may ask at all, before anything is routed: the Host header, credentials, length of the address, and the
//! headers that every answer carries.
//!
//! The Host rule exists because of DNS rebinding: a page of a stranger can make a browser send requests to
//! `127.0.0.1` under the stranger's own host name, and read the answers as its own. So a *name* is only accepted if
//! the operator wrote it down; addresses and `localhost` cannot be rebound.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    AUTHORIZATION, CONTENT_SECURITY_POLICY, HOST, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{StatusCode, Uri};
use subtle::ConstantTimeEq;

use crate::error::ApiError;
use crate::limits::URI_BYTES;

/// Nothing inline, nothing from elsewhere, no embedding. `data:` images are the favicon and icons that Vite inlines.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// How a caller proves who it is.
#[derive(Clone)]
pub enum Auth {
    /// HTTP Basic (RFC 7617): browsers ask for it.
    Basic {
        /// User name, without a colon.
        username: String,
        /// Password.
        password: String,
    },
    /// HTTP Bearer (RFC 6750): for programs and proxies. Browsers have no window for it, so HTTP Basic with the token as
    /// the password, under any name, is as good.
    Bearer {
        /// The token.
        token: String,
    },
}

impl Auth {
    /// The value of the `Authorization` header that this admits.
    pub(crate) fn header(&self) -> String {
        match self {
            Self::Basic { username, password } => {
                format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
            }
            Self::Bearer { token } => format!("Bearer {token}"),
        }
    }

    /// One header each: some clients read only the first challenge of a list (RFC 9110 section 11.6.1).
    fn challenges(&self) -> &'static [&'static str] {
        const BASIC: &str = "Basic realm=\"rootspan\", charset=\"UTF-8\"";
        match self {
            Self::Basic { .. } => &[BASIC],
            Self::Bearer { .. } => &["Bearer realm=\"rootspan\"", BASIC],
        }
    }

    /// Compares in time that depends on lengths only.
    fn admits(&self, headers: &HeaderMap) -> bool {
        let Some((scheme, given)) = headers.get(AUTHORIZATION).and_then(|value| split_scheme(value.as_bytes())) else {
            return false;
        };
        match self {
            Self::Basic { username, password } => {
                let expected = format!("{username}:{password}");
                let given = STANDARD.decode(given).unwrap_or_default();
                scheme.eq_ignore_ascii_case(b"basic") && bool::from(given.as_slice().ct_eq(expected.as_bytes()))
            }
            Self::Bearer { token } => {
                if scheme.eq_ignore_ascii_case(b"basic") {
                    // RFC 7617 section 2: the name ends at the first colon.
                    let given = STANDARD.decode(given).unwrap_or_default();
                    let colon = given.iter().position(|byte| *byte == b':');
                    return colon.is_some_and(|colon| bool::from(given[colon + 1..].ct_eq(token.as_bytes())));
                }
                scheme.eq_ignore_ascii_case(b"bearer") && bool::from(given.ct_eq(token.as_bytes()))
            }
        }
    }
}

/// Never shows the secret.
impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Basic { .. } => "Auth::Basic",
            Self::Bearer { .. } => "Auth::Bearer",
        })
    }
}

/// The local address of the connection, put into each request by the accept loop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalAddress(pub(crate) SocketAddr);

/// What [`protect`] enforces.
#[derive(Debug)]
pub(crate) struct Guard {
    /// Lower case, without port.
    allowed_hosts: Vec<String>,
    auth: Option<Auth>,
}

impl Guard {
    /// A guard that accepts `allowed_hosts` beside loopback and the address of the connection.
    pub(crate) fn new(allowed_hosts: &[String], auth: Option<Auth>) -> Self {
        let allowed_hosts = allowed_hosts.iter().filter_map(|host| host_of(host)).collect();
        Self { allowed_hosts, auth }
    }

    /// The answer to a request that may not come in.
    fn refusal(&self, request: &Request) -> Option<Response> {
        if request.uri().path_and_query().is_some_and(|target| target.as_str().len() > URI_BYTES) {
            let message = format!("the address is longer than {URI_BYTES} bytes");
            return Some(ApiError::new(StatusCode::URI_TOO_LONG, message).into_response());
        }
        let local = request.extensions().get::<LocalAddress>().map(|LocalAddress(address)| address.ip());
        if let Err(error) = self.check_host(request.headers(), request.uri(), local) {
            return Some(error.into_response());
        }
        let auth = self.auth.as_ref().filter(|auth| !auth.admits(request.headers()))?;
        let mut response = ApiError::new(StatusCode::UNAUTHORIZED, "credentials are missing or wrong")
            .hint("send the Authorization header that extensions.ui.auth of the configuration asks for")
            .into_response();
        for challenge in auth.challenges() {
            response.headers_mut().append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        Some(response)
    }

    /// RFC 9112 section 3.2: exactly one Host header; the authority of an absolute-form target must agree as well.
    fn check_host(&self, headers: &HeaderMap, uri: &Uri, local: Option<IpAddr>) -> Result<(), ApiError> {
        let mut values = headers.get_all(HOST).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(ApiError::bad_request("the request needs exactly one Host header"));
        };
        let target = uri.authority().map(|authority| Some(authority.as_str()));
        for authority in std::iter::once(value.to_str().ok()).chain(target) {
            let Some(host) = authority.and_then(host_of) else {
                return Err(ApiError::bad_request("the Host header is not a host name or address"));
            };
            if !self.accepts(&host, local) {
                let message = format!("the host name {host:?} is not one that this server answers to");
                return Err(ApiError::new(StatusCode::FORBIDDEN, message)
                    .hint("open it by its address or localhost, or add the name to extensions.ui.allowed_hosts"));
            }
        }
        Ok(())
    }

    fn accepts(&self, host: &str, local: Option<IpAddr>) -> bool {
        if host == "localhost" || self.allowed_hosts.iter().any(|allowed| allowed == host) {
            return true;
        }
        // With 0.0.0.0 the bound address is whatever the client connected to.
        let Ok(address) = host.parse::<IpAddr>() else { return false };
        let address = address.to_canonical();
        address.is_loopback() || local.is_some_and(|local| local.to_canonical() == address)
    }
}

/// Puts the guard in front of everything that `router` serves.
pub(crate) fn protect(router: Router, guard: Guard) -> Router {
    router.layer(from_fn_with_state(Arc::new(guard), enforce))
}

async fn enforce(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let mut response = match guard.refusal(&request) {
        None => next.run(request).await,
        Some(refusal) => refusal,
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (X_FRAME_OPTIONS, "DENY"),
        // No other site may load an answer as a script, image or document of its own.
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The host of `host[:port]`: lower case, without brackets and the root's dot. `None` if it cannot be one.
fn host_of(authority: &str) -> Option<String> {
    let host = if let Some(rest) = authority.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        address.parse::<std::net::Ipv6Addr>().ok()?;
        if !(port.is_empty() || port.strip_prefix(':').is_some_and(is_port)) {
            return None;
        }
        address
    } else if authority.parse::<std::net::Ipv6Addr>().is_ok() {
        // Only in the configuration: an address that somebody wrote without brackets.
        authority
    } else {
        match authority.split_once(':') {
            Some((host, port)) if is_port(port) => host,
            Some(_) => return None,
            None => authority,
        }
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    let plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':'));
    // RFC 1035 section 2.3.4: 255 octets.
    (plain && !host.is_empty() && host.len() <= 255).then(|| host.to_ascii_lowercase())
}

fn is_port(text: &str) -> bool {
    text.is_empty() || text.parse::<u16>().is_ok()
}

/// `Basic dXNlcg==` → (`Basic`, `dXNlcg==`).
fn split_scheme(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = value.iter().position(|byte| *byte == b' ')?;
    Some((&value[..space], value[space..].trim_ascii()))
}

#[cfg(test)]
mod tests;
