//! `nginxlog`: spans from the access log of an nginx without a module. `rootspan nginx config --log` prints the lines for
//! nginx; `wire::nginx::log` reads the log's lines.
//!
//! ```yaml
//! receivers:
//!   nginxlog:
//!     include: [/var/log/nginx/rootspan.log]
//! ```
//!
//! Or, where nginx cannot write files, or rootspan cannot read them:
//!
//! ```yaml
//! receivers:
//!   nginxlog:
//!     syslog: {unix: /run/rootspan/nginx.sock}
//! ```
//!
//! A line gives the same spans whenever it is read: what is read again after a crash is seen once by the store. Files wait for
//! the pipeline; datagrams cannot, and are counted when they are lost.

mod files;
mod lines;
mod syslog;
mod tail;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rootspan_wire::nginx::log::Settings;

use crate::config;
use crate::config::decode::Decode;
use crate::config::node::Entry;
use crate::config::problems::Problems;
use crate::config::values::Endpoint;
use crate::net::listen::ListenError;
use crate::net::stop::Stop;
use crate::receivers::start_at::StartAt;
use crate::runtime::ingress::Ingress;
use crate::tasks::{self, Task};
use crate::telemetry::metrics::RecordCounts;
use lines::Shared;

config! {
    /// The access log of an nginx without a module: each line becomes the SERVER span of a request and the CLIENT spans of
    /// its upstreams.
    pub struct NginxLogConfig {
        /// Files to follow, also across rotation by renaming and by copying.
        include: Vec<String>,
        /// Where to begin in a file that is met for the first time: `beginning` or `end`.
        start_at: StartAt = "beginning",
        /// The file that remembers how far each log was read.
        position_file: String = "./rootspan-nginxlog.json",
        /// How often to look for new lines.
        poll_interval: Duration = "200ms",
        /// Sockets that nginx's `access_log syslog:` sends to.
        syslog: Option<SyslogConfig>,
        /// `service.name` of the spans.
        service_name: String = "nginx",
    }
}

config! {
    /// Sockets for datagrams of syslog (RFC 3164).
    pub struct SyslogConfig {
        /// Address for UDP.
        udp: Option<Endpoint>,
        /// Path of a datagram socket; it is made, and everybody on this machine may write to it.
        unix: Option<String>,
    }
}

impl NginxLogConfig {
    /// Decodes and checks that there is something to read.
    pub(crate) fn decode_checked(entry: &Entry, problems: &mut Problems) -> Option<Self> {
        let config = Self::decode(&entry.value, problems)?;
        let has_socket = config.syslog.as_ref().is_some_and(|syslog| syslog.udp.is_some() || syslog.unix.is_some());
        if config.include.is_empty() && !has_socket {
            problems.error(&entry.position, "needs `include` (files), or `syslog` with `udp` or `unix`");
        }
        Some(config)
    }

    /// Where it reads, a line for each file and socket.
    pub(crate) fn reads(&self) -> Vec<String> {
        let files = self.include.iter().map(|path| format!("file {path}"));
        let syslog = self.syslog.as_ref();
        let udp = syslog.and_then(|syslog| syslog.udp.as_ref()).map(|endpoint| format!("syslog udp {endpoint}"));
        let unix = syslog.and_then(|syslog| syslog.unix.as_ref()).map(|path| format!("syslog unix {path}"));
        files.chain(udp).chain(unix).collect()
    }

    fn settings(&self) -> Settings {
        Settings { service_name: self.service_name.clone(), host_name: crate::files::host_name() }
    }
}

/// The sockets of a receiver that has not started.
#[derive(Debug)]
pub(crate) struct Bound {
    config: NginxLogConfig,
    sockets: Vec<syslog::Socket>,
}

/// Makes the sockets. Files are opened later: a log that is not there yet is no mistake.
pub(crate) async fn bind(id: &str, config: &NginxLogConfig) -> Result<Bound, ListenError> {
    let mut sockets = Vec::new();
    if let Some(syslog) = &config.syslog {
        if let Some(endpoint) = &syslog.udp {
            sockets.push(syslog::Socket::udp(id, endpoint).await?);
        }
        if let Some(path) = &syslog.unix {
            sockets.push(syslog::Socket::unix(id, path)?);
        }
    }
    Ok(Bound { config: config.clone(), sockets })
}

impl Bound {
    /// Where it listens: the protocol and the address.
    pub(crate) fn addresses(&self) -> Vec<(&'static str, std::net::SocketAddr)> {
        self.sockets.iter().filter_map(|socket| Some(("udp", socket.address()?))).collect()
    }

    /// Starts to read. Also gives what became of the lines, for the metrics.
    pub(crate) fn start(self, ingress: &Ingress, stop: &Stop) -> (Vec<Task>, RecordCounts) {
        let shared = Arc::new(Shared::new(ingress.clone(), self.config.settings()));
        let mut tasks = Vec::new();
        if !self.config.include.is_empty() {
            let logs = tail::Logs {
                paths: self.config.include.iter().map(PathBuf::from).collect(),
                start_at: self.config.start_at,
                position_file: PathBuf::from(&self.config.position_file),
                poll_interval: self.config.poll_interval.max(MIN_POLL_INTERVAL),
            };
            tasks.push(tasks::start("nginx log", tail::run(logs, Arc::clone(&shared), stop.clone())));
        }
        let ports: Vec<u16> = self.sockets.iter().filter_map(|socket| Some(socket.address()?.port())).collect();
        for socket in self.sockets {
            tasks.extend(syslog::start(socket, &shared, stop));
        }
        let counts = shared.counters();
        let counts = move || {
            let mut outcomes = counts.by_outcome();
            if !ports.is_empty() {
                outcomes.push(("lost_in_socket", ports.iter().copied().map(files::udp_drops).sum()));
            }
            outcomes
        };
        (tasks, Arc::new(counts))
    }
}

/// More often than this is only work.
const MIN_POLL_INTERVAL: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests;
