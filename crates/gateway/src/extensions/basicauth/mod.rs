//! `basicauth`: names and passwords. With `htpasswd` for servers, with `client_auth` for exporters.
//!
//! ```yaml
//! extensions:
//!   basicauth/server:
//!     htpasswd: {file: /etc/rootspan/htpasswd}
//!   basicauth/client:
//!     client_auth: {username: gateway, password: "${env:BACKEND_PASSWORD}"}
//! ```

mod htpasswd;
mod md5_crypt;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderValue};

pub(crate) use htpasswd::Htpasswd;

use crate::config;
use crate::config::decode::Decode as _;
use crate::config::node::Entry;
use crate::config::problems::Problems;
use crate::config::values::Secret;
use crate::net::reload::{Reloading, Source};

/// How often files are looked at: who was taken out must soon be nobody.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

config! {
    /// Names and passwords.
    pub struct BasicAuthConfig {
        /// For servers: who may enter.
        htpasswd: Option<HtpasswdConfig>,
        /// For exporters: what they show.
        client_auth: Option<ClientAuthConfig>,
    }
}

config! {
    /// Who may enter: lines `name:hash`, as Apache's `htpasswd` writes them (bcrypt, apr1, SHA-1), SHA-crypt, or plain text.
    pub struct HtpasswdConfig {
        /// A file with such lines; changes are taken over.
        file: String = "",
        /// Such lines; they go before those of the file.
        inline: Option<Secret>,
    }
}

config! {
    /// What an exporter shows.
    pub struct ClientAuthConfig {
        /// Name.
        username: String = "",
        /// Password.
        password: Option<Secret>,
        /// A file with the name; changes are taken over.
        username_file: String = "",
        /// A file with the password; changes are taken over.
        password_file: String = "",
    }
    known { "aws_secrets_manager" }
}

impl BasicAuthConfig {
    /// Decodes and checks that it is for exactly one end and complete.
    pub(crate) fn decode_checked(entry: &Entry, problems: &mut Problems) -> Option<Self> {
        let config = Self::decode(&entry.value, problems)?;
        if config.htpasswd.is_some() == config.client_auth.is_some() {
            problems
                .error(&entry.position, "it needs either `htpasswd` (for servers) or `client_auth` (for exporters)");
        }
        if let Some(htpasswd) = &config.htpasswd
            && htpasswd.file.is_empty()
            && htpasswd.inline.is_none()
        {
            problems.error(&entry.position, "`htpasswd` needs `file` or `inline`: without a password nobody may enter");
        }
        if let Some(client) = &config.client_auth {
            if client.username.is_empty() == client.username_file.is_empty() {
                problems.error(&entry.position, "`client_auth` needs either `username` or `username_file`");
            }
            if client.password.is_none() == client.password_file.is_empty() {
                problems.error(&entry.position, "`client_auth` needs either `password` or `password_file`");
            }
            if client.username.contains(':') {
                problems.error(&entry.position, "`username` must not have a colon: it ends the name");
            }
        }
        Some(config)
    }
}

/// What an exporter shows.
#[derive(Debug)]
pub(crate) struct OwnCredentials {
    value: Arc<Reloading<HeaderValue>>,
}

impl OwnCredentials {
    /// Reads the files; an error is one sentence.
    pub(crate) fn load(config: &BasicAuthConfig, what: &str) -> Result<Self, String> {
        let client = config.client_auth.as_ref().ok_or("there is no `client_auth`")?;
        let name = client.username.clone();
        let mut sources = Vec::new();
        if name.is_empty() {
            sources.push(Source::File { key: "username_file", path: client.username_file.as_str().into() });
        }
        sources.push(match &client.password {
            Some(password) => Source::Inline { key: "password", text: password.clone() },
            None => Source::File { key: "password_file", path: client.password_file.as_str().into() },
        });
        let value = Reloading::load(what, sources, LOOK_PERIOD, move |contents| {
            let text = |content: &[u8]| match std::str::from_utf8(content).map(str::trim) {
                Ok("") | Err(_) => Err("name and password must be text that is not empty".to_owned()),
                Ok(text) => Ok(text.to_owned()),
            };
            let (name, password) = match contents {
                [name, password] => (text(name)?, text(password)?),
                [password] => (name.clone(), text(password)?),
                _ => return Err("there is no password".to_owned()),
            };
            if name.contains(':') {
                return Err("the name must not have a colon: it ends the name".to_owned());
            }
            let value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(format!("{name}:{password}"))));
            let mut value = value.map_err(|error| error.to_string())?;
            value.set_sensitive(true);
            Ok(value)
        })?;
        Ok(Self { value })
    }

    pub(crate) async fn add_to(&self, headers: &mut HeaderMap) {
        headers.insert(AUTHORIZATION, (*self.value.current().await).clone());
    }
}
