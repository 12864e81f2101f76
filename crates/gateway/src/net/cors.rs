//! Which web pages may send from a browser (WHATWG Fetch, "CORS protocol"), with the collector's keys.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use http::{Method, StatusCode};

use super::http::{Answer, text};
use crate::config;

/// Headers that a page may always send: those of the Fetch standard, and the content type of OTLP.
const ALWAYS: [&str; 5] = ["accept", "accept-language", "content-language", "content-type", "origin"];
/// As in the collector, this one only if no headers are listed.
const BY_DEFAULT: &str = "x-requested-with";

config! {
    /// Which web pages may send from a browser.
    pub struct CorsConfig {
        /// Their origins, such as `https://shop.example.com`; an asterisk stands for anything, alone for every origin.
        allowed_origins: Vec<String>,
        /// Headers that they may send beside the usual; an asterisk alone stands for all.
        allowed_headers: Vec<String>,
        /// Headers of the answer that they may read beside the usual.
        exposed_headers: Vec<String>,
        /// How long browsers may remember the answer to their question.
        max_age: u64 = "0" [s],
    }
}

/// The rules.
#[derive(Clone, Debug)]
pub(crate) struct Cors {
    origins: Vec<String>,
    headers: Vec<String>,
    exposed: Option<HeaderValue>,
    max_age: Option<HeaderValue>,
}

impl Cors {
    /// `None` if no page may send.
    pub(crate) fn new(config: &CorsConfig) -> Option<Self> {
        if config.allowed_origins.is_empty() {
            return None;
        }
        let mut headers: Vec<String> = config.allowed_headers.iter().map(|name| name.to_ascii_lowercase()).collect();
        if headers.is_empty() {
            headers.push(BY_DEFAULT.to_owned());
        }
        let exposed = config.exposed_headers.join(", ");
        Some(Self {
            origins: config.allowed_origins.iter().map(|origin| origin.to_ascii_lowercase()).collect(),
            headers,
            exposed: (!exposed.is_empty()).then(|| HeaderValue::from_str(&exposed).ok()).flatten(),
            max_age: (config.max_age > 0).then(|| HeaderValue::from(config.max_age)),
        })
    }

    /// The answer to a browser that asks before it sends; `None` if this is no such question. It needs no credentials:
    /// browsers send none.
    pub(crate) fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Answer> {
        let wanted = headers.get(ACCESS_CONTROL_REQUEST_METHOD).filter(|_| method == Method::OPTIONS)?;
        let mut answer = text(StatusCode::NO_CONTENT, "");
        let out = answer.headers_mut();
        out.insert(
            VARY,
            HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
        );
        let asked = headers.get(ACCESS_CONTROL_REQUEST_HEADERS);
        let are_headers_allowed = asked.is_none_or(|asked| self.allows_headers(asked));
        if wanted == "POST" && are_headers_allowed && self.allow_origin(headers.get(ORIGIN), out) {
            out.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
            out.extend(asked.map(|asked| (ACCESS_CONTROL_ALLOW_HEADERS, asked.clone())));
            out.extend(self.max_age.clone().map(|age| (ACCESS_CONTROL_MAX_AGE, age)));
        }
        Some(answer)
    }

    /// Adds what lets the page read the answer.
    pub(crate) fn decorate(&self, origin: Option<&HeaderValue>, answer: &mut Answer) {
        let out = answer.headers_mut();
        out.append(VARY, HeaderValue::from_static("Origin"));
        if self.allow_origin(origin, out) {
            out.extend(self.exposed.clone().map(|exposed| (ACCESS_CONTROL_EXPOSE_HEADERS, exposed)));
        }
    }

    /// Names the origin if it is allowed. Credentials are for pages that are named, not for any page.
    fn allow_origin(&self, origin: Option<&HeaderValue>, out: &mut HeaderMap) -> bool {
        let Some(origin) = origin else { return false };
        if self.origins.iter().any(|allowed| allowed == "*") {
            out.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            return true;
        }
        let Ok(text) = origin.to_str() else { return false };
        let text = text.to_ascii_lowercase();
        if !self.origins.iter().any(|allowed| matches(allowed, &text)) {
            return false;
        }
        out.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        out.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        true
    }

    fn allows_headers(&self, asked: &HeaderValue) -> bool {
        let Ok(asked) = asked.to_str() else { return false };
        let mut names = asked.split(',').map(|name| name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty());
        names.all(|name| {
            ALWAYS.contains(&name.as_str()) || self.headers.iter().any(|allowed| allowed == "*" || *allowed == name)
        })
    }
}

/// An asterisk stands for anything; the first counts, as in the collector.
fn matches(allowed: &str, origin: &str) -> bool {
    match allowed.split_once('*') {
        None => allowed == origin,
        Some((before, after)) => {
            origin.len() >= before.len() + after.len() && origin.starts_with(before) && origin.ends_with(after)
        }
    }
}

#[cfg(test)]
mod tests;
