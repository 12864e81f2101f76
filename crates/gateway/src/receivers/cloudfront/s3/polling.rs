//! New objects found by listing the bucket again and again. Each look goes through the bucket once ([`listing`] says how
//! little of it), reads what is new a page at a time, and marks each page as seen ([`Seen`]) when its spans are settled.
//!
//! One process lists a bucket: whoever has the storage. Another one waits until it is free, and takes over. Several
//! processes at once need a queue.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rootspan_model::time::UnixNanos;
use tokio::time::Instant;

use super::listing::{self, Way};
use super::object::{self, Ended};
use super::reading::Shared;
use super::seen::{Seen, SeenError};
use super::trouble::{REPEAT, Trouble, pause};
use crate::aws::Place;
use crate::aws::bucket::{Bucket, Buckets, Listed, Query};
use crate::aws::problem::{Fault, Problem};
use crate::clock::Clock;
use crate::tasks::{self, Task};

/// When to look again whether the storage is free.
const LOCK_RETRY: Duration = Duration::from_secs(2);

/// Starts to look.
pub(super) fn start(shared: Shared, bucket: String, folder: PathBuf, clock: Clock) -> Task {
    let trouble = Trouble::new(&shared.id);
    let poller =
        Poller { shared, bucket, folder, clock, trouble, firsts: HashMap::new(), denied: false, refused: None };
    tasks::start("cloudfront bucket", poller.run())
}

struct Poller {
    shared: Shared,
    bucket: String,
    folder: PathBuf,
    clock: Clock,
    trouble: Trouble,
    /// The first key below each entry, which tells how the others are named.
    firsts: HashMap<String, String>,
    /// Somebody was told of an object that may not be read.
    denied: bool,
    /// When somebody was last told of an object that was refused for good.
    refused: Option<Instant>,
}

/// Why a look ended early.
enum Halt {
    /// To be tried again after the wait.
    Wait(Duration),
    /// Nobody wants more, or nothing can go on.
    Stop,
}

impl Poller {
    async fn run(mut self) {
        let Some(mut seen) = self.open_storage().await else { return };
        let Some(bucket) = self.connect().await else { return };
        let mut stop = self.shared.stop.clone();
        while !stop.is_stopped() {
            let wait = match self.look(&bucket, seen).await {
                (Some(kept), Ok(())) => {
                    seen = kept;
                    self.shared.config.poll_interval
                }
                (Some(kept), Err(Halt::Wait(wait))) => {
                    seen = kept;
                    wait
                }
                (_, Err(Halt::Stop)) | (None, _) => return,
            };
            pause(wait, &mut stop).await;
        }
    }

    /// The set, as soon as nobody else has it.
    async fn open_storage(&self) -> Option<Seen> {
        let mut stop = self.shared.stop.clone();
        let (mut has_warned, id) = (false, &self.shared.id);
        while !stop.is_stopped() {
            let folder = self.folder.clone();
            match tasks::blocking("open seen objects", move || Seen::open(&folder)).await? {
                Ok((seen, damaged)) => {
                    damaged
                        .iter()
                        .for_each(|damage| tracing::warn!(receiver = id, "{damage}; objects may be read again"));
                    tracing::info!(receiver = id, bucket = self.bucket, seen = seen.len(), "the bucket is listed");
                    return Some(seen);
                }
                // At a reload the one before still has it for a moment.
                Err(SeenError::InUse) if !has_warned => {
                    has_warned = true;
                    let storage = self.folder.display().to_string();
                    tracing::info!(
                        receiver = id,
                        storage,
                        "another one lists the bucket and has the storage; this one waits to take over"
                    );
                }
                Err(SeenError::InUse) => {}
                Err(error) => {
                    tracing::error!(receiver = id, %error, "the bucket is not listed: what was read cannot be kept");
                    return None;
                }
            }
            pause(LOCK_RETRY, &mut stop).await;
        }
        None
    }

    async fn connect(&self) -> Option<Bucket> {
        let config = &self.shared.config;
        let place = Place { region: config.region.clone(), endpoint: config.endpoint.clone() };
        let mut stop = self.shared.stop.clone();
        while !stop.is_stopped() {
            match Buckets::connect(&place, config.force_path_style).await {
                Ok(buckets) => return Some(buckets.bucket(&self.bucket)),
                Err(problem) => pause(self.trouble.met(&problem), &mut stop).await,
            }
        }
        None
    }

    /// Goes through the bucket once.
    async fn look(&mut self, bucket: &Bucket, seen: Seen) -> (Option<Seen>, Result<(), Halt>) {
        let now = (self.clock)();
        let window = seen.window(now, self.shared.config.lookback);
        let mut look = Look { poller: self, bucket, seen: Some(seen), window };
        let mut result = look.all().await;
        if result.is_ok() {
            result = look.on_disk(move |seen| seen.complete(now, window)).await;
            look.poller.trouble.over();
        }
        (look.seen, result)
    }
}

/// One way through the bucket.
struct Look<'a> {
    poller: &'a mut Poller,
    bucket: &'a Bucket,
    /// Away while a thread works on it.
    seen: Option<Seen>,
    /// What was written before is not read.
    window: UnixNanos,
}

impl Look<'_> {
    async fn all(&mut self) -> Result<(), Halt> {
        let prefix = self.poller.shared.config.prefix.clone();
        let delimiter = Some(listing::DELIMITER.to_owned());
        let query = Query { prefix, delimiter, ..Query::default() };
        let mut from = None;
        let hour = listing::hour(self.window);
        let mut entries = Vec::new();
        loop {
            let page = self.list(&query, from).await?;
            self.take(page.objects).await?;
            entries.extend(page.prefixes.into_iter().filter(|entry| !listing::is_past(&query.prefix, entry, &hour)));
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        self.poller.firsts.retain(|entry, _| entries.binary_search(entry).is_ok());
        for entry in entries {
            self.entry(entry, &hour).await?;
        }
        Ok(())
    }

    /// What is below an entry.
    async fn entry(&mut self, entry: String, hour: &str) -> Result<(), Halt> {
        let first = match self.poller.firsts.get(&entry) {
            Some(first) => first.clone(),
            None => {
                let query = Query { prefix: entry.clone(), max_keys: Some(1), ..Query::default() };
                let page = self.list(&query, None).await?;
                let first = page.objects.into_iter().next().map(|object| object.key).unwrap_or_default();
                self.poller.firsts.insert(entry.clone(), first.clone());
                first
            }
        };
        let start_after = match listing::way(&self.poller.shared.config.prefix, &entry, &first, hour) {
            Way::PassedOver => return Ok(()),
            Way::From(key) => Some(key),
            Way::Whole => None,
        };
        let query = Query { prefix: entry, start_after, ..Query::default() };
        let mut from = None;
        loop {
            let page = self.list(&query, from).await?;
            self.take(page.objects).await?;
            from = page.next;
            if from.is_none() {
                return Ok(());
            }
        }
    }

    async fn list(&self, query: &Query, from: Option<String>) -> Result<crate::aws::bucket::Page, Halt> {
        let mut stop = self.poller.shared.stop.clone();
        // A listing that is cut off changes nothing.
        let page = tokio::select! {
            biased;
            () = stop.stopped() => return Err(Halt::Stop),
            page = self.bucket.list(query, from) => page,
        };
        page.map_err(|problem| Halt::Wait(self.poller.trouble.met(&problem)))
    }

    /// Reads what is new of a page, several at once, and marks it.
    async fn take(&mut self, objects: Vec<Listed>) -> Result<(), Halt> {
        let Some(seen) = &self.seen else { return Err(Halt::Stop) };
        // What is empty is a folder's marker.
        let is_new = |object: &Listed| object.bytes > 0 && object.modified >= self.window && !seen.has(object);
        let new: Vec<Listed> = objects.into_iter().filter(is_new).collect();
        if new.is_empty() {
            return Ok(());
        }
        let waiting = Mutex::new(new.into_iter());
        let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
        let halted = Mutex::new(None);
        let (shared, bucket, clock) = (&self.poller.shared, self.bucket, &self.poller.clock);
        let readers = (0..shared.config.concurrency).map(|_| async {
            let mut done = Vec::new();
            while halted.lock().unwrap_or_else(PoisonError::into_inner).is_none()
                && let Some(object) = next()
            {
                match object::read(shared, bucket, &object.key, clock).await {
                    Ended::Read | Ended::Damaged(_) => done.push((object, None)),
                    Ended::Failed(problem) if matches!(problem.fault, Fault::NoObject | Fault::Denied) => {
                        done.push((object, Some(problem)));
                    }
                    // It does not hold up the others.
                    Ended::Refused(refusal) if refusal.retry_after.is_none() => {
                        let what = format!("spans of {} were refused for good", bucket.url(&object.key));
                        done.push((object, Some(Problem::new(Fault::NotTaken, what, refusal.message))));
                    }
                    ended => *halted.lock().unwrap_or_else(PoisonError::into_inner) = Some(ended),
                }
            }
            done
        });
        let done: Vec<_> = tasks::all(readers.collect()).await.into_iter().flatten().collect();
        let halted = halted.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.say_denied(done.iter().filter_map(|(_, problem)| problem.as_ref()));
        self.say_refused(done.iter().filter_map(|(_, problem)| problem.as_ref()));
        let read: Vec<Listed> =
            done.into_iter().filter(|(_, problem)| problem.is_none()).map(|(object, _)| object).collect();
        self.on_disk(move |seen| seen.mark(&read)).await?;
        halted.map_or(Ok(()), |ended| Err(self.halt(ended)))
    }

    /// What of a page could not be read; a look goes on after it, and the next one tries it again.
    fn say_denied<'p>(&mut self, mut problems: impl Iterator<Item = &'p Problem>) {
        let denied = problems.find(|problem| problem.fault == Fault::Denied);
        if let Some(problem) = denied.filter(|_| !self.poller.denied) {
            self.poller.denied = true;
            let receiver = &self.poller.shared.id;
            tracing::warn!(
                receiver,
                "{problem}; it is tried again as long as it is within `lookback`, further ones are only counted"
            );
        }
    }

    /// What the pipelines do not want; a look goes on after it, and the next one tries it again.
    fn say_refused<'p>(&mut self, mut problems: impl Iterator<Item = &'p Problem>) {
        let now = Instant::now();
        let is_said = self.poller.refused.is_some_and(|said| now < said + REPEAT);
        if let Some(problem) = problems.find(|problem| problem.fault == Fault::NotTaken).filter(|_| !is_said) {
            self.poller.refused = Some(now);
            let receiver = &self.poller.shared.id;
            tracing::error!(
                receiver,
                "{problem}; the object is tried again as long as it is within `lookback`, and lost then; others are read on, \
                 further ones that are refused are only counted for a while"
            );
        }
    }

    fn halt(&self, ended: Ended) -> Halt {
        match ended {
            Ended::Failed(problem) => Halt::Wait(self.poller.trouble.met(&problem)),
            Ended::Refused(refusal) => {
                let problem = Problem::new(Fault::NotTaken, "spans of an object are not stored", refusal.message);
                Halt::Wait(self.poller.trouble.met(&problem))
            }
            Ended::Stopped | Ended::Read | Ended::Damaged(_) => Halt::Stop,
        }
    }

    /// Works on the set where it may take its time.
    async fn on_disk(
        &mut self,
        work: impl FnOnce(&mut Seen) -> Result<(), SeenError> + Send + 'static,
    ) -> Result<(), Halt> {
        let Some(mut seen) = self.seen.take() else { return Err(Halt::Stop) };
        let worked = tasks::blocking("keep seen objects", move || {
            let result = work(&mut seen);
            (seen, result)
        });
        // Ends without the set only after a panic, which the log has.
        let Some((seen, result)) = worked.await else { return Err(Halt::Stop) };
        self.seen = Some(seen);
        result.map_err(|error| {
            let problem = Problem::new(Fault::Disk, "what was read cannot be kept", error.to_string());
            Halt::Wait(self.poller.trouble.met(&problem))
        })
    }
}
