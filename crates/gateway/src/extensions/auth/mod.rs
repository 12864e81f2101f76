//! Authentication: what `auth: {authenticator: …}` of servers and clients refers to. A server's authenticator looks at
//! the headers of each request; a client's adds one. Everything fails closed: an authenticator without a secret does not
//! start, and a request that cannot be checked is refused.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::HeaderValue;

use super::basicauth::{Htpasswd, OwnCredentials};
use super::bearertokenauth::{BearerTokens, RateLimit};
use crate::config;
use crate::config::Config;
use crate::config::components::{Exporter, Extension, Receiver};
use crate::config::id::{ComponentId, ExtensionReference};
use crate::config::problems::Problems;
use crate::ledger::RefusalReason;

config! {
    /// Authentication.
    pub struct AuthConfig {
        /// The extension that does it, `bearertokenauth` or `basicauth`; it must be among `service.extensions`.
        authenticator: ExtensionReference,
    }
    known { "request_params" }
}

impl AuthConfig {
    /// The extension.
    pub(crate) const fn extension(&self) -> &ComponentId {
        &self.authenticator.id
    }
}

/// What a server knows of a client that has shown itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity {
    /// `auth.username` of `from_context`; absent where a token is all that there is.
    pub(crate) username: Option<String>,
    /// How much may come with the token that it has shown.
    pub(crate) limit: Option<Arc<RateLimit>>,
}

/// A request that did not show what it must. Nothing of what it showed is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// There was nothing.
    Missing,
    /// It was wrong.
    Wrong,
    /// It cannot be checked now.
    Busy,
    /// As much has come with it as may; when to try again.
    OverLimit(Duration),
}

impl Denied {
    /// In words for the client.
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::Missing => "the request carries no credentials",
            Self::Wrong => "the credentials are wrong",
            Self::Busy => "the credentials cannot be checked now",
            Self::OverLimit(_) => RateLimit::MESSAGE,
        }
    }

    /// The reason that is counted.
    pub(crate) const fn reason(self) -> RefusalReason {
        match self {
            Self::Missing | Self::Wrong | Self::Busy => RefusalReason::Unauthenticated,
            Self::OverLimit(_) => RefusalReason::RateLimit,
        }
    }
}

/// One extension that authenticates.
#[derive(Debug)]
pub(crate) enum Authenticator {
    /// `bearertokenauth`, for both ends.
    Bearer(BearerTokens),
    /// `basicauth` of a server.
    Htpasswd(Htpasswd),
    /// `basicauth` of a client.
    Own(OwnCredentials),
}

impl Authenticator {
    /// Looks at the headers of a request.
    pub(crate) async fn authenticate(&self, headers: &HeaderMap) -> Result<Identity, Denied> {
        match self {
            Self::Bearer(tokens) => tokens.authenticate(headers).await,
            Self::Htpasswd(htpasswd) => htpasswd.authenticate(headers).await,
            // Refused when the configuration was checked.
            Self::Own(_) => Err(Denied::Wrong),
        }
    }

    /// `WWW-Authenticate` of a refusal.
    pub(crate) fn challenge(&self) -> HeaderValue {
        match self {
            Self::Bearer(tokens) => tokens.challenge(),
            Self::Htpasswd(_) | Self::Own(_) => HeaderValue::from_static("Basic realm=\"rootspan\", charset=\"UTF-8\""),
        }
    }

    /// Adds the client's own credentials to a request.
    pub(crate) async fn add_to(&self, headers: &mut HeaderMap) {
        match self {
            Self::Bearer(tokens) => tokens.add_to(headers).await,
            Self::Own(own) => own.add_to(headers).await,
            // Refused when the configuration was checked.
            Self::Htpasswd(_) => {}
        }
    }
}

/// Every authenticator that runs.
#[derive(Debug, Default)]
pub(crate) struct Authenticators(BTreeMap<ComponentId, Arc<Authenticator>>);

impl Authenticators {
    /// Reads files; an error is the id and one sentence.
    pub(crate) fn build(extensions: &[(ComponentId, Extension)]) -> Result<Self, (String, String)> {
        let mut built = BTreeMap::new();
        for (id, extension) in extensions {
            let what = format!("the extension {id}");
            let authenticator = match extension {
                Extension::BearerTokenAuth(config) => BearerTokens::load(config, &what).map(Authenticator::Bearer),
                Extension::BasicAuth(config) if config.htpasswd.is_some() => {
                    Htpasswd::load(config, &what).map(Authenticator::Htpasswd)
                }
                Extension::BasicAuth(config) => OwnCredentials::load(config, &what).map(Authenticator::Own),
                Extension::HealthCheck(_) | Extension::Ui(_) | Extension::FileStorage(_) | Extension::Retired => {
                    continue;
                }
            };
            let authenticator = authenticator.map_err(|reason| (id.to_string(), reason))?;
            built.insert(id.clone(), Arc::new(authenticator));
        }
        Ok(Self(built))
    }

    /// What a section refers to; `None` without a section.
    pub(crate) fn of(&self, config: Option<&AuthConfig>) -> Option<Arc<Authenticator>> {
        let id = &config?.authenticator.id;
        // An authenticator that is not there must never become an open door.
        Some(Arc::clone(self.0.get(id).expect("references were checked when the configuration was decoded")))
    }
}

/// The end of a connection at which an authenticator is used.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Server,
    Client,
}

/// Checks every reference. `defined` are the ids of all extensions, also of those with mistakes of their own.
pub(crate) fn check(config: &Config, defined: &[String], problems: &mut Problems) {
    for receiver in config.receivers.values() {
        if let Receiver::Otlp(otlp) = receiver {
            let grpc = otlp.protocols.grpc.iter().filter_map(|grpc| grpc.auth.as_ref());
            let http = otlp.protocols.http.iter().filter_map(|http| http.auth.as_ref());
            grpc.chain(http).for_each(|auth| check_one(auth, End::Server, config, defined, problems));
        }
    }
    for exporter in config.exporters.values() {
        let auth = match exporter {
            Exporter::OtlpGrpc(otlp) => otlp.auth.as_ref(),
            Exporter::OtlpHttp(otlp) => otlp.auth.as_ref(),
            Exporter::Store(_) | Exporter::Debug(_) | Exporter::File(_) => None,
        };
        auth.into_iter().for_each(|auth| check_one(auth, End::Client, config, defined, problems));
    }
    for extension in config.extensions.values() {
        if let Extension::HealthCheck(health) = extension {
            health.auth.iter().for_each(|auth| check_one(auth, End::Server, config, defined, problems));
        }
    }
}

fn check_one(auth: &AuthConfig, end: End, config: &Config, defined: &[String], problems: &mut Problems) {
    let ExtensionReference { id, position } = &auth.authenticator;
    let text = id.to_string();
    if !defined.iter().any(|defined| defined.trim() == text) {
        let hint = rootspan_model::spelling::did_you_mean(&text, defined.iter().map(String::as_str));
        problems.error(position, format!("the extension `{text}` is not defined under `extensions`{hint}"));
        return;
    }
    if !config.service.extensions.iter().any(|(running, _)| running == id) {
        problems.error(position, format!("the extension `{text}` does not run: add it to `service.extensions`"));
    }
    // One with a mistake of its own is not there.
    let Some(extension) = config.extensions.get(id) else { return };
    let reason = match (extension, end) {
        (Extension::BearerTokenAuth(_), _) => return,
        (Extension::BasicAuth(basic), End::Server) if basic.htpasswd.is_some() => return,
        (Extension::BasicAuth(basic), End::Client) if basic.client_auth.is_some() => return,
        (Extension::BasicAuth(_), End::Server) => "has no `htpasswd`: it cannot authenticate clients",
        (Extension::BasicAuth(_), End::Client) => "has no `client_auth`: it has nothing to show to a server",
        (Extension::HealthCheck(_) | Extension::Ui(_) | Extension::FileStorage(_) | Extension::Retired, _) => {
            "does not authenticate"
        }
    };
    problems.error(position, format!("the extension `{text}` {reason}"));
}

#[cfg(test)]
mod tests;
