//! `cloudfront`: access logs of Amazon CloudFront; each record becomes the span of the viewer's request. Records are read by
//! `wire::cloudfront`; this folder holds the ways in which they arrive: deliveries by Firehose over HTTP, log files on this
//! machine, and log files in buckets. All go through one [`Intake`].
//!
//! ```yaml
//! receivers:
//!   cloudfront:
//!     endpoint: 0.0.0.0:4433
//!     access_key: ${env:FIREHOSE_ACCESS_KEY}
//!     routes: ["/api/items/{id}", "/static/*"]
//! ```
//!
//! ```yaml
//! receivers:
//!   cloudfront:
//!     files: {include: ["/var/log/cloudfront/**/*.gz"], storage: file_storage}
//! extensions: {file_storage: }
//! service: {extensions: [file_storage]}
//! ```

mod counting;
mod firehose;
mod intake;
mod logs;
pub mod pieces;
mod s3;
mod settings;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::clock::Clock;
use crate::config::values::Secret;
use crate::follow::follower::Follower;
use crate::follow::tracker::Tracker;
use crate::net::listen::{HandOver, Listener, Offered};
use crate::net::stop::Stop;
use crate::net::tls::server;
use crate::runtime::StartError;
use crate::runtime::ingress::Ingress;
use crate::tasks::{self, Task};
use crate::telemetry::metrics::{Metric, RecordCounts};
pub(crate) use counting::{Counting, Figures};
use intake::Intake;
pub use settings::CloudFrontConfig;

/// A receiver that has not started.
#[derive(Debug)]
pub(crate) struct Bound {
    /// Where Firehose delivers to, and the key that it shows.
    door: Option<(Listener, Secret)>,
    /// Log files.
    files: Option<Tracker>,
    /// The folder for what was read of a bucket, where one is listed.
    objects: Option<PathBuf>,
    config: Box<CloudFrontConfig>,
}

/// The folders in which a receiver keeps what it has read.
#[derive(Debug, Default)]
pub(crate) struct Folders {
    /// Of files.
    pub(crate) places: Option<PathBuf>,
    /// Of a bucket.
    pub(crate) objects: Option<PathBuf>,
}

/// Listens on the configured address, if there is one, and reads how far it was in files.
pub(crate) async fn bind(
    id: &str,
    config: &CloudFrontConfig,
    hand_over: &HandOver,
    folders: Folders,
) -> Result<Bound, StartError> {
    let Folders { places: storage, objects } = folders;
    let mut door = None;
    if let Some((endpoint, access_key)) = config.door() {
        let (what, key) = (format!("the receiver {id}"), format!("receivers.{id}"));
        let listener = Listener::bind(hand_over, &endpoint, &what, &format!("{key}.endpoint")).await?;
        door = Some((listener.with_tls(config.tls.as_ref(), server::HTTP, &what, &key)?, access_key.clone()));
    }
    let places = |reason| StartError::Places { id: id.to_owned(), reason };
    let options = config.files.as_ref().map(|files| files.options(id, config.max_bytes(), storage)).transpose();
    let files = options.map_err(places)?.flatten().map(Tracker::new).transpose().map_err(places)?;
    Ok(Bound { door, files, objects, config: Box::new(config.clone()) })
}

impl Bound {
    /// Where it listens.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.door.as_ref().and_then(|(listener, _)| listener.address())
    }

    /// Its socket, for a server that takes over.
    pub(crate) fn sockets(&self) -> Vec<Offered> {
        self.door.iter().map(|(listener, _)| listener.offered()).collect()
    }

    /// Starts to receive. Also gives what became of the records, for the metrics.
    pub(crate) fn start(
        self,
        id: &str,
        ingress: Ingress,
        counting: Counting,
        stop: &Stop,
        clock: &Clock,
    ) -> (Vec<Task>, Vec<(Metric, RecordCounts)>) {
        let intake = Arc::new(Intake::new(ingress, counting, &self.config));
        let counters = intake.counters();
        let mut running = Vec::new();
        let mut metrics: Vec<(Metric, RecordCounts)> =
            vec![(Metric::CloudFrontRecords, Arc::new(move || counters.by_outcome()))];
        if let Some(config) = &self.config.s3 {
            let (tasks, counts) = s3::start(id, config, self.objects, &intake, stop, Arc::clone(clock));
            running.extend(tasks);
            metrics.extend(counts);
        }
        if let Some(files) = &self.config.files {
            if let Some(tracker) = self.files {
                let budget = Arc::clone(intake.ingress().budget());
                let interval = files.poll_interval;
                let follower = Follower::new(id, tracker, interval, budget, stop.clone(), Arc::clone(clock));
                let follow = logs::follow(id.to_owned(), follower, Arc::clone(&intake));
                running.push(tasks::start("cloudfront files", follow));
            }
            if files.stdin {
                let read = logs::read_stdin(id.to_owned(), Arc::clone(&intake), stop.clone());
                running.push(tasks::start("cloudfront standard input", read));
            }
        }
        if let Some((listener, access_key)) = self.door {
            let server = Arc::new(firehose::Server::new(intake, access_key, Arc::clone(clock)));
            let connection_stop = stop.clone();
            let serve = move |accepted| firehose::serve(accepted, Arc::clone(&server), connection_stop.clone());
            running.push(tasks::start("cloudfront", listener.run("cloudfront connection", stop.clone(), serve)));
        }
        (running, metrics)
    }
}
