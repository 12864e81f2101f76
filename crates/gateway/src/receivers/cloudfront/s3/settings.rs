//! The keys of `receivers.cloudfront.s3`.

use std::time::Duration;

use crate::config;
use crate::config::id::ExtensionReference;
use crate::config::node::Entry;
use crate::config::problems::Problems;

/// What SQS allows.
const MAX_WAIT: Duration = Duration::from_secs(20);
const MIN_VISIBILITY: Duration = Duration::from_secs(10);
const MAX_VISIBILITY: Duration = Duration::from_secs(12 * 3600);
/// More objects at once than this are limited by other things.
const MAX_CONCURRENCY: u64 = 64;

config! {
    /// Log files in a bucket of Amazon S3, or of a server that speaks its API. Which are new is told by a queue (`sqs`), or
    /// found by listing the bucket again and again (`bucket`, `prefix`, `storage`).
    pub struct S3Config {
        /// The bucket. With `sqs` it is optional: objects of other buckets are then left to others.
        bucket: Option<String>,
        /// What the keys of the log files begin with, as it is: `AWSLogs/` or `cloudfront/E2EXAMPLE.`. The more it says, the
        /// less is listed.
        prefix: String = "",
        /// The bucket's Region; absent: that of the environment, the profile or the instance.
        region: Option<String>,
        /// Address of a server other than Amazon's: `http://127.0.0.1:9000`.
        endpoint: Option<String>,
        /// The bucket's name stands in the path, not in the host name; many servers other than Amazon's want it.
        force_path_style: bool = "false",
        /// The queue to which the bucket's notifications go. Any number of processes may read from it.
        sqs: Option<SqsConfig>,
        /// How often the bucket is listed; without `sqs`.
        poll_interval: Duration = "1m",
        /// How late a log file may come: CloudFront takes up to 24 hours, after the hour in its name. Without `sqs`.
        lookback: Duration = "26h",
        /// The extension `file_storage`, which keeps what was read already; needed without `sqs`. One process at a time
        /// lists the bucket for it, another one waits.
        storage: Option<ExtensionReference>,
        /// Objects that are read at once.
        concurrency: u64 = "4",
    }
}

config! {
    /// A queue with the notifications of a bucket: S3's own, the same through SNS, or EventBridge's.
    pub struct SqsConfig {
        /// The queue's URL.
        queue_url: String,
        /// The queue's Region; absent: as the bucket's.
        region: Option<String>,
        /// Address of a server other than Amazon's; absent: as the bucket's.
        endpoint: Option<String>,
        /// How long the queue is asked to wait for a message.
        wait_time: Duration = "20s",
        /// How long a message stays hidden from other readers; extended as long as its objects are read.
        visibility_timeout: Duration = "5m",
        /// A message that cannot be read, or whose object is gone, is deleted and counted after it came so often. Set the
        /// queue's `maxReceiveCount` lower, and it goes to the dead-letter queue instead.
        max_receives: u64 = "10",
    }
}

impl S3Config {
    /// What it reads, for the printed plan.
    pub(crate) fn reads(&self) -> String {
        match (&self.sqs, &self.bucket) {
            (Some(sqs), _) => format!("objects of {}", sqs.queue_url),
            (None, bucket) => format!("s3://{}/{}", bucket.as_deref().unwrap_or_default(), self.prefix),
        }
    }

    /// Checks what belongs together.
    pub(in crate::receivers::cloudfront) fn check(&self, entry: &Entry, problems: &mut Problems) {
        let mut error = |message: &str| problems.error(&entry.position, message);
        if cfg!(not(feature = "aws")) {
            error("this build has no S3 support (feature `aws`); the released archives have it");
            return;
        }
        match &self.sqs {
            Some(sqs) => sqs.check(&mut error),
            None => {
                if self.bucket.is_none() {
                    error("`s3` needs `bucket`, to be listed, or `sqs`, to be told of new objects");
                } else if self.storage.is_none() {
                    error(
                        "`s3` needs `storage: file_storage` to know after a restart what was read already; `sqs` does without",
                    );
                }
            }
        }
        if self.bucket.as_ref().is_some_and(|bucket| bucket.is_empty() || bucket.contains([':', '/'])) {
            error("`s3.bucket` is the bucket's name alone, without `s3://` and without a prefix");
        }
        if self.prefix.starts_with('/') {
            error("`s3.prefix` must not begin with a slash: keys do not");
        }
        if let Some(endpoint) = self.endpoint.as_ref().filter(|endpoint| !is_url(endpoint)) {
            error(&format!("`s3.endpoint: {endpoint}` must begin with http:// or https://"));
        }
        if self.poll_interval < Duration::from_secs(1) {
            error("`s3.poll_interval` must be at least 1s: every listing is paid for");
        }
        if self.lookback.is_zero() {
            error("`s3.lookback` must be above 0");
        }
        if !(1..=MAX_CONCURRENCY).contains(&self.concurrency) {
            error(&format!("`s3.concurrency` must be 1 to {MAX_CONCURRENCY}"));
        }
    }
}

impl SqsConfig {
    fn check(&self, error: &mut dyn FnMut(&str)) {
        if !is_url(&self.queue_url) {
            error("`s3.sqs.queue_url` must be the queue's whole URL, which begins with https://");
        }
        if self.endpoint.as_ref().is_some_and(|endpoint| !is_url(endpoint)) {
            error("`s3.sqs.endpoint` must begin with http:// or https://");
        }
        if self.wait_time > MAX_WAIT {
            error("`s3.sqs.wait_time` is 20s at most");
        }
        if !(MIN_VISIBILITY..=MAX_VISIBILITY).contains(&self.visibility_timeout) {
            error("`s3.sqs.visibility_timeout` must be 10s to 12h");
        }
        if self.max_receives == 0 {
            error("`s3.sqs.max_receives` must be at least 1");
        }
    }
}

fn is_url(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}
