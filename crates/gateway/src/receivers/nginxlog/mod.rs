//! `nginxlog`: spans from the access log of an nginx without a module. `rootspan nginx config --log` prints the lines for
//! nginx; `wire::nginx::log` reads the log's lines.
//!
//! ```yaml
//! receivers:
//!   nginxlog:
//!     include: [/var/log/nginx/rootspan.log]
//!     storage: file_storage
//! extensions: {file_storage: }
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
mod logs;
mod syslog;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rootspan_wire::nginx::log::{MAX_LINE_BYTES, Settings};

use crate::clock::Clock;
use crate::config;
use crate::config::decode::Decode;
use crate::config::id::ExtensionReference;
use crate::config::node::Entry;
use crate::config::problems::Problems;
use crate::config::values::Endpoint;
use crate::follow;
use crate::follow::follower::Follower;
use crate::follow::packing::Packing;
use crate::follow::pieces::Cutting;
use crate::follow::start_at::StartAt;
use crate::follow::tracker::Tracker;
use crate::net::stop::Stop;
use crate::runtime::StartError;
use crate::runtime::ingress::Ingress;
use crate::tasks::{self, Task};
use crate::telemetry::metrics::RecordCounts;
use lines::Shared;

config! {
    /// The access log of an nginx without a module: each line becomes the SERVER span of a request and the CLIENT spans of
    /// its upstreams.
    pub struct NginxLogConfig {
        /// Files to follow, also across rotation by renaming and by copying: paths with `*`, `?`, `[a-z]`, `{a,b}` and `**`
        /// for any number of folders.
        include: Vec<String>,
        /// Files that are left out.
        exclude: Vec<String> = "[]",
        /// Where to begin in a file that is met for the first time: `beginning` or `end`.
        start_at: StartAt = "beginning",
        /// The extension that keeps how far every log was read, `file_storage`; without one it is forgotten at the end.
        storage: Option<ExtensionReference>,
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
        follow::check_patterns(&config.include, &config.exclude, &entry.position, problems);
        Some(config)
    }

    /// What is followed; `None` if it is no file.
    fn options(&self, id: &str, storage: Option<PathBuf>) -> Result<Option<follow::Options>, String> {
        if self.include.is_empty() {
            return Ok(None);
        }
        Ok(Some(follow::Options {
            id: id.to_owned(),
            include: follow::patterns(&self.include)?,
            exclude: follow::patterns(&self.exclude)?,
            exclude_older_than: Duration::ZERO,
            from_the_end: self.start_at == StartAt::End,
            packing: Packing::Auto,
            flush_after: Duration::MAX,
            cutting: Cutting {
                piece_bytes: PIECE_BYTES,
                piece_lines: u64::MAX,
                line_bytes: MAX_LINE_BYTES,
                is_whole: |_| false,
                split: |_| 0,
            },
            note_of: |_| None,
            storage,
        }))
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
    files: Option<Tracker>,
}

/// Makes the sockets, and reads where it was. Files are opened later: a log that is not there yet is no mistake.
pub(crate) async fn bind(id: &str, config: &NginxLogConfig, storage: Option<PathBuf>) -> Result<Bound, StartError> {
    let places = |reason| StartError::Places { id: id.to_owned(), reason };
    let options = config.options(id, storage).map_err(places)?;
    let files = options.map(Tracker::new).transpose().map_err(places)?;
    let mut sockets = Vec::new();
    if let Some(syslog) = &config.syslog {
        if let Some(endpoint) = &syslog.udp {
            sockets.push(syslog::Socket::udp(id, endpoint).await?);
        }
        if let Some(path) = &syslog.unix {
            sockets.push(syslog::Socket::unix(id, path)?);
        }
    }
    Ok(Bound { config: config.clone(), sockets, files })
}

impl Bound {
    /// Where it listens: the protocol and the address.
    pub(crate) fn addresses(&self) -> Vec<(&'static str, std::net::SocketAddr)> {
        self.sockets.iter().filter_map(|socket| Some(("udp", socket.address()?))).collect()
    }

    /// Starts to read. Also gives what became of the lines, for the metrics.
    pub(crate) fn start(self, id: &str, ingress: &Ingress, stop: &Stop, clock: Clock) -> (Vec<Task>, RecordCounts) {
        let shared = Arc::new(Shared::new(ingress.clone(), self.config.settings()));
        let mut tasks = Vec::new();
        if let Some(files) = self.files {
            let (budget, poll_interval) =
                (Arc::clone(ingress.budget()), self.config.poll_interval.max(MIN_POLL_INTERVAL));
            let follower = Follower::new(id, files, poll_interval, budget, stop.clone(), clock);
            tasks.push(tasks::start("nginx log", logs::run(follower, Arc::clone(&shared), stop.clone())));
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

/// What is read at a time.
const PIECE_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests;
