//! Log files in buckets: told of by a queue ([`queue`]), or found by listing ([`polling`]). Either way an object is read
//! piece by piece ([`object`]), and only when all of its spans were acknowledged is its message deleted, or its key
//! marked as seen ([`seen`]). What is cut off in between is read again, which adds nothing twice.
//!
//! ```yaml
//! receivers:
//!   cloudfront:
//!     s3:
//!       region: eu-central-1
//!       sqs: {queue_url: "https://sqs.eu-central-1.amazonaws.com/111122223333/cloudfront-logs"}
//! ```

#[cfg(feature = "aws")]
mod counts;
#[cfg(feature = "aws")]
mod listing;
#[cfg(feature = "aws")]
mod notification;
#[cfg(feature = "aws")]
mod object;
#[cfg(feature = "aws")]
mod polling;
#[cfg(feature = "aws")]
mod queue;
#[cfg(feature = "aws")]
mod seen;
pub(super) mod settings;
#[cfg(feature = "aws")]
mod trouble;

#[cfg(feature = "aws")]
pub(super) use reading::start;
#[cfg(not(feature = "aws"))]
pub(super) use without::start;

/// What a build without the feature has: a configuration with `s3` is refused before anything starts.
#[cfg(not(feature = "aws"))]
mod without {
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::super::intake::Intake;
    use super::settings::S3Config;
    use crate::clock::Clock;
    use crate::net::stop::Stop;
    use crate::tasks::Task;
    use crate::telemetry::metrics::{Metric, RecordCounts};

    pub(in super::super) fn start(
        _id: &str,
        _config: &S3Config,
        _storage: Option<PathBuf>,
        _intake: &Arc<Intake>,
        _stop: &Stop,
        _clock: Clock,
    ) -> (Vec<Task>, Vec<(Metric, RecordCounts)>) {
        (Vec::new(), Vec::new())
    }
}

#[cfg(feature = "aws")]
mod reading {
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::super::intake::Intake;
    use super::counts::Counts;
    use super::settings::S3Config;
    use super::{polling, queue};
    use crate::clock::Clock;
    use crate::net::stop::Stop;
    use crate::tasks::Task;
    use crate::telemetry::metrics::{Metric, RecordCounts};

    /// What everything that reads from buckets for one receiver has.
    #[derive(Clone, Debug)]
    pub(in super::super) struct Shared {
        /// The receiver.
        pub(super) id: String,
        pub(super) config: S3Config,
        pub(super) intake: Arc<Intake>,
        pub(super) counts: Arc<Counts>,
        pub(super) stop: Stop,
    }

    /// Starts to read; `storage` is the folder for what was read, where a bucket is listed. Also gives the metrics.
    pub(in super::super) fn start(
        id: &str,
        config: &S3Config,
        storage: Option<PathBuf>,
        intake: &Arc<Intake>,
        stop: &Stop,
        clock: Clock,
    ) -> (Vec<Task>, Vec<(Metric, RecordCounts)>) {
        let counts = Arc::<Counts>::default();
        let metrics = counts.metrics();
        let (id, config, intake) = (id.to_owned(), config.clone(), Arc::clone(intake));
        let shared = Shared { id, config, intake, counts, stop: stop.clone() };
        let tasks = match (shared.config.sqs.clone(), shared.config.bucket.clone(), storage) {
            (Some(sqs), ..) => queue::start(&shared, &sqs, &clock),
            (None, Some(bucket), Some(folder)) => vec![polling::start(shared, bucket, folder, clock)],
            // A checked configuration has one of the two.
            (None, ..) => Vec::new(),
        };
        (tasks, metrics)
    }
}
