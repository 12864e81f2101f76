//! New objects told of by a queue. Several readers, each with one message at a time: receive, read its objects, delete it
//! when all of their spans are settled. As long as they are read the message is kept hidden; what is refused or fails is
//! shown to the queue's readers again after a while. Nothing here keeps state: any number of processes may share a queue.
//!
//! | the message | what becomes of it |
//! |---|---|
//! | all objects read, or damaged (said, and not to be had in another form) | deleted |
//! | of other objects, of deletions, the test message | deleted |
//! | spans refused, bucket or network failed | left, comes again after a pause |
//! | an object does not exist, the body is no notification | left for the redrive policy; deleted and counted after `max_receives` |
//! | rootspan stops | given back at once |

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Builder;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};

use super::counts::MessageOutcome;
use super::notification::{Notification, Written};
use super::object::{self, Ended};
use super::reading::Shared;
use super::settings::SqsConfig;
use super::trouble::{Trouble, pause};
use crate::aws::bucket::Buckets;
use crate::aws::problem::{Fault, Problem};
use crate::aws::{Place, configuration};
use crate::clock::Clock;
use crate::tasks::{self, Task};

/// When a message comes again whose spans were refused or whose objects could not be fetched.
const COME_AGAIN: Duration = Duration::from_secs(30);

/// Starts the readers.
pub(super) fn start(shared: &Shared, sqs: &SqsConfig, clock: &Clock) -> Vec<Task> {
    let trouble = Arc::new(Trouble::new(&shared.id));
    let reader = |_| {
        let (shared, sqs, clock, trouble) = (shared.clone(), sqs.clone(), Arc::clone(clock), Arc::clone(&trouble));
        tasks::start("cloudfront queue", QueueReader { shared, sqs, clock, trouble }.run())
    };
    (0..shared.config.concurrency).map(reader).collect()
}

struct QueueReader {
    shared: Shared,
    sqs: SqsConfig,
    clock: Clock,
    /// Shared by all readers of the queue: one of them says it.
    trouble: Arc<Trouble>,
}

/// Queue and buckets.
struct Services {
    queue: Client,
    buckets: Buckets,
}

/// What to do with a message.
enum Verdict {
    Delete,
    /// It is of no use now, and perhaps never; the sentence for when it is given up.
    Useless(String),
    /// It comes again after a while.
    Later(Problem),
    /// Somebody else may have it at once.
    GiveBack,
}

impl QueueReader {
    async fn run(self) {
        let mut stop = self.shared.stop.clone();
        let Some(services) = self.connect().await else { return };
        while !stop.is_stopped() {
            // A message that is on its way when this is cut off comes again.
            let received = tokio::select! {
                biased;
                () = stop.stopped() => return,
                received = self.receive(&services) => received,
            };
            match received {
                Ok(None) => self.trouble.over(),
                Ok(Some(message)) => {
                    let wait = self.work_off(&services, &message).await;
                    pause(wait, &mut stop).await;
                }
                Err(problem) => pause(self.trouble.met(&problem), &mut stop).await,
            }
        }
    }

    async fn connect(&self) -> Option<Services> {
        let config = &self.shared.config;
        let bucket_place = Place { region: config.region.clone(), endpoint: config.endpoint.clone() };
        let queue_place = Place {
            region: self
                .sqs
                .region
                .clone()
                .or_else(|| region_of(&self.sqs.queue_url))
                .or_else(|| config.region.clone()),
            endpoint: self.sqs.endpoint.clone().or_else(|| config.endpoint.clone()),
        };
        let mut stop = self.shared.stop.clone();
        while !stop.is_stopped() {
            match Buckets::connect(&bucket_place, config.force_path_style).await {
                Ok(buckets) => {
                    let queue = Client::from_conf(Builder::from(&configuration(&queue_place).await).build());
                    return Some(Services { queue, buckets });
                }
                Err(problem) => pause(self.trouble.met(&problem), &mut stop).await,
            }
        }
        None
    }

    async fn receive(&self, services: &Services) -> Result<Option<Message>, Problem> {
        let seconds = |time: Duration| i32::try_from(time.as_secs()).unwrap_or(i32::MAX);
        let request = services.queue.receive_message().queue_url(&self.sqs.queue_url).max_number_of_messages(1);
        let request = request
            .wait_time_seconds(seconds(self.sqs.wait_time))
            .visibility_timeout(seconds(self.sqs.visibility_timeout))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
        let what = || format!("cannot receive from {}", self.sqs.queue_url);
        let answer = request.send().await.map_err(|error| Problem::of(what(), &error))?;
        Ok(answer.messages.and_then(|messages| messages.into_iter().next()))
    }

    /// Does what a message asks for; gives how long to wait before the next.
    async fn work_off(&self, services: &Services, message: &Message) -> Duration {
        let verdict = {
            let mut reading = std::pin::pin!(self.read(services, message.body().unwrap_or_default()));
            let mut extend = tokio::time::interval(self.sqs.visibility_timeout / 2);
            // The first tick is now.
            extend.tick().await;
            loop {
                // The message is read on while it is extended; both branches are polled again.
                tokio::select! {
                    verdict = &mut reading => break verdict,
                    _ = extend.tick() => self.hide(services, message, self.sqs.visibility_timeout).await,
                }
            }
        };
        let counts = &self.shared.counts;
        match verdict {
            Verdict::Delete => {
                self.trouble.over();
                if self.delete(services, message).await {
                    counts.message(MessageOutcome::Done);
                }
                Duration::ZERO
            }
            Verdict::Useless(reason) => {
                self.useless(services, message, &reason).await;
                Duration::ZERO
            }
            Verdict::Later(problem) => {
                counts.message(MessageOutcome::Left);
                let wait = self.trouble.met(&problem);
                self.hide(services, message, COME_AGAIN.min(self.sqs.visibility_timeout)).await;
                wait
            }
            Verdict::GiveBack => {
                counts.message(MessageOutcome::Left);
                self.hide(services, message, Duration::ZERO).await;
                Duration::ZERO
            }
        }
    }

    /// Reads all objects that a message names.
    async fn read(&self, services: &Services, body: &str) -> Verdict {
        let written = match Notification::parse(body) {
            Ok(Notification::Written(written)) => written,
            Ok(Notification::Test) => return Verdict::Delete,
            Err(reason) => return Verdict::Useless(format!("a message in the queue is not understood: {reason}")),
        };
        let mut useless = None;
        for object in written.iter().filter(|object| self.is_wanted(object)) {
            let bucket = services.buckets.bucket(&object.bucket);
            match object::read(&self.shared, &bucket, &object.key, &self.clock).await {
                Ended::Read | Ended::Damaged(_) => {}
                Ended::Failed(problem) if problem.fault == Fault::NoObject => useless = Some(problem.to_string()),
                Ended::Failed(problem) => return Verdict::Later(problem),
                Ended::Refused(refusal) => {
                    let what = format!("spans of {} are not stored", bucket.url(&object.key));
                    return Verdict::Later(Problem::new(Fault::NotTaken, what, refusal.message));
                }
                Ended::Stopped => return Verdict::GiveBack,
            }
        }
        useless.map_or(Verdict::Delete, Verdict::Useless)
    }

    /// Whether the configuration lets an object in. What is empty is a folder's marker.
    fn is_wanted(&self, object: &Written) -> bool {
        let config = &self.shared.config;
        config.bucket.as_ref().is_none_or(|bucket| *bucket == object.bucket)
            && object.key.starts_with(&config.prefix)
            && object.bytes != Some(0)
    }

    /// Leaves a message to the redrive policy, or deletes it if that did not take it in time.
    async fn useless(&self, services: &Services, message: &Message, reason: &str) {
        let received =
            message.attributes().and_then(|all| all.get(&MessageSystemAttributeName::ApproximateReceiveCount));
        let received: u64 = received.and_then(|count| count.parse().ok()).unwrap_or(1);
        let (receiver, id) = (&self.shared.id, message.message_id().unwrap_or_default());
        if received >= self.sqs.max_receives {
            if self.delete(services, message).await {
                self.shared.counts.message(MessageOutcome::GivenUp);
                tracing::warn!(receiver, message = id, received, reason, "a message came too often and is deleted");
            }
            return;
        }
        self.shared.counts.message(MessageOutcome::Left);
        if received == 1 {
            tracing::warn!(
                receiver,
                message = id,
                reason,
                "a message is of no use and is left to the queue's redrive policy; without one it is deleted after \
                 `max_receives` ({})",
                self.sqs.max_receives
            );
        }
    }

    async fn delete(&self, services: &Services, message: &Message) -> bool {
        let receipt = message.receipt_handle().unwrap_or_default();
        let request = services.queue.delete_message().queue_url(&self.sqs.queue_url).receipt_handle(receipt);
        let deleted = request.send().await;
        deleted.map_err(|error| self.say_receipt("cannot delete a message", &error)).is_ok()
    }

    /// Hides a message from now on for so long.
    async fn hide(&self, services: &Services, message: &Message, time: Duration) {
        let receipt = message.receipt_handle().unwrap_or_default();
        let request = services.queue.change_message_visibility().queue_url(&self.sqs.queue_url);
        let seconds = i32::try_from(time.as_secs()).unwrap_or(i32::MAX);
        let hidden = request.receipt_handle(receipt).visibility_timeout(seconds).send().await;
        if let Err(error) = hidden {
            self.say_receipt("cannot change how long a message is hidden", &error);
        }
    }

    /// Says that a message that was worked off, or is, comes again.
    fn say_receipt<E>(&self, what: &str, error: &aws_sdk_sqs::error::SdkError<E>)
    where
        E: aws_sdk_sqs::error::ProvideErrorMetadata + std::error::Error + 'static,
    {
        let problem = Problem::of(format!("{what} of {}", self.sqs.queue_url), error);
        if problem.fault == Fault::StaleReceipt {
            // It took longer than the message was hidden; it comes again, which is harmless.
            tracing::debug!(receiver = self.shared.id, "{problem}");
        } else {
            self.trouble.met(&problem);
        }
    }
}

/// The Region in a queue's URL: `https://sqs.eu-central-1.amazonaws.com/…`
fn region_of(queue_url: &str) -> Option<String> {
    let host = queue_url.split("://").nth(1)?.split(['/', ':']).next()?;
    let region = host.strip_prefix("sqs.")?.split('.').next()?;
    host.contains(".amazonaws.com").then(|| region.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queues_url_tells_its_region() {
        for (url, region) in [
            ("https://sqs.eu-central-1.amazonaws.com/111122223333/logs", Some("eu-central-1")),
            ("https://sqs.cn-north-1.amazonaws.com.cn/111122223333/logs", Some("cn-north-1")),
            ("http://127.0.0.1:5000/123456789012/logs", None),
            ("https://queue.example.com/logs", None),
        ] {
            assert_eq!(region_of(url).as_deref(), region, "{url}");
        }
    }
}
