//! `ui`: where the UI and the query API listen. The section is read here; the crate `query` serves them.
//!
//! ```yaml
//! extensions:
//!   ui:
//!     endpoint: 0.0.0.0:16686
//!     allowed_hosts: [traces.example.com]
//!     tls: {cert_file: /etc/rootspan/tls.crt, key_file: /etc/rootspan/tls.key}
//!     auth:
//!       basic: {username: ops, password: "${env:UI_PASSWORD}"}
//! ```
//!
//! With `bearer` programs send the token as `Authorization: Bearer`. A browser asks for a name and a password: any
//! name, and the token as the password.

use crate::config;
use crate::config::decode::Decode as _;
use crate::config::node::Entry;
use crate::config::problems::Problems;
use crate::config::values::{Endpoint, Secret};
use crate::net::tls::ServerTlsConfig;

config! {
    /// The web UI and the query API.
    pub struct UiConfig {
        /// Address to listen on.
        endpoint: Endpoint = "127.0.0.1:16686",
        /// Names that a browser may use for this server, beside loopback and the bound address.
        allowed_hosts: Vec<String>,
        /// Who may use it; without it everybody who can connect.
        auth: Option<UiAuth>,
        /// Encryption; without it there is none.
        tls: Option<ServerTlsConfig>,
    }
}

config! {
    /// Exactly one kind of authentication.
    pub struct UiAuth {
        /// A name and a password.
        basic: Option<BasicAuth>,
        /// A token. In a browser it is the password, with any name.
        bearer: Option<BearerAuth>,
    }
}

config! {
    /// HTTP's basic authentication.
    pub struct BasicAuth {
        /// Name.
        username: String,
        /// Password.
        password: Secret,
    }
}

config! {
    /// A bearer token.
    pub struct BearerAuth {
        /// The token.
        token: Secret,
    }
}

impl UiConfig {
    /// Decodes and checks that `auth` is one kind.
    pub(crate) fn decode_checked(entry: &Entry, problems: &mut Problems) -> Option<Self> {
        let config = Self::decode(&entry.value, problems)?;
        if let Some(auth) = &config.auth
            && auth.basic.is_some() == auth.bearer.is_some()
        {
            problems.error(&entry.position, "`auth` needs either `basic` or `bearer`");
        }
        if let Some(tls) = &config.tls {
            tls.check(&entry.position, problems);
        }
        Some(config)
    }
}
