//! `otlpjsonfile`: files of OTLP JSON, a request a line, as the exporter `file` and the collector's write them.
//!
//! ```yaml
//! receivers:
//!   otlpjsonfile:
//!     include: [/var/log/otlp/*.json]
//!     start_at: beginning
//!     storage: file_storage
//! extensions: {file_storage: }
//! ```
//!
//! A line goes to the pipelines of its signal, and the place in the file moves on when they have acknowledged it: what was
//! not acknowledged is read again, after a restart too, so a line may come twice but none is passed over. A pipeline that
//! refuses for now is asked again; meanwhile no more is read. A line that cannot be read is counted, said and passed over.
//! Files are followed when they are renamed, and begun anew when they were cut.

mod files;
mod glob;
mod packing;
mod tracking;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rootspan_wire::otlp::json::signal_of;
use rootspan_wire::otlp::payload::Signal;
use rootspan_wire::otlp::validate::Rejected;

use crate::ack::Refusal;
use crate::batch::Batch;
use crate::budget::Budget;
use crate::clock::Clock;
use crate::config;
use crate::config::decode::Decode;
use crate::config::id::ExtensionReference;
use crate::config::node::Entry;
use crate::config::problems::Problems;
use crate::config::values::ByteSize;
use crate::ledger::RefusalReason;
use crate::net::stop::Stop;
use crate::receivers::start_at::StartAt;
use crate::runtime::ingress::{Ingress, Ingresses, Refused};
use crate::tasks::{self, Task};
use files::{Content, Files, Options, Window};
use glob::Pattern;
use packing::Packing;

/// When to look for memory again.
const MEMORY_RETRY: Duration = Duration::from_millis(200);
/// The longest time between two attempts at a pipeline that refuses.
const MAX_RETRY: Duration = Duration::from_secs(30);
/// The least between two attempts.
const MIN_RETRY: Duration = Duration::from_millis(100);
/// Bad lines that are said one by one; of more only the number is.
const SAID_LINES: u64 = 20;

config! {
    /// Files of OTLP JSON, a request a line.
    pub struct OtlpJsonFileConfig {
        /// The files: paths with `*`, `?`, `[a-z]`, `{a,b}` and `**` for any number of folders.
        include: Vec<String>,
        /// Files that are left out.
        exclude: Vec<String> = "[]",
        /// Files that were not written to for so long are left out; 0 takes all.
        exclude_older_than: Duration = "0s",
        /// Where reading begins in files that are there at the start and were not read before. Later ones are read whole.
        start_at: StartAt = "end",
        /// How often files are looked at.
        poll_interval: Duration = "200ms",
        /// Longest line; a longer one is counted as too large and passed over.
        max_log_size: ByteSize = "20MiB",
        /// A last line without an end is taken, if it is whole, after the file did not change for so long.
        force_flush_period: Duration = "500ms",
        /// How files are compressed: `none`, `gzip`, `zstd` or, each as it begins, `auto`.
        compression: Packing = "none",
        /// Whether everything is read over and over again.
        replay_file: bool = "false",
        /// The extension that keeps how far every file was read, `file_storage`; without one it is forgotten at the end.
        storage: Option<ExtensionReference>,
    }
    known {
        "delete_after_read", "header", "multiline", "encoding", "ordering_criteria", "acquire_fs_lock", "on_truncate"
    }
    ignored {
        "fingerprint_size": "the first 1000 bytes tell files apart",
        "max_concurrent_files": "1024 files are open at most, and read in turn",
        "max_batches": "files are read in turn",
        "polls_to_archive": "the places of 1024 files that are gone are kept",
        "preserve_leading_whitespaces": "space around JSON says nothing",
        "preserve_trailing_whitespaces": "space around JSON says nothing",
        "include_file_name": "OTLP carries its own attributes",
        "include_file_path": "OTLP carries its own attributes",
        "include_file_name_resolved": "OTLP carries its own attributes",
        "include_file_path_resolved": "OTLP carries its own attributes",
        "include_file_owner_name": "OTLP carries its own attributes",
        "include_file_owner_group_name": "OTLP carries its own attributes",
        "include_file_record_number": "OTLP carries its own attributes",
        "include_file_record_offset": "OTLP carries its own attributes",
    }
}

impl OtlpJsonFileConfig {
    /// Decodes and checks the patterns.
    pub(crate) fn decode_checked(entry: &Entry, problems: &mut Problems) -> Option<Self> {
        let config = Self::decode(&entry.value, problems)?;
        if config.include.is_empty() {
            problems.error(&entry.position, "`include` must not be empty");
        }
        for text in config.include.iter().chain(&config.exclude) {
            if let Err(reason) = Pattern::parse(text) {
                problems.error(&entry.position, reason);
            }
        }
        if config.poll_interval.is_zero() || config.max_log_size.0 == 0 {
            problems.error(&entry.position, "`poll_interval` and `max_log_size` must be above 0");
        }
        Some(config)
    }

    fn options(&self, storage: Option<PathBuf>) -> Options {
        let patterns = |texts: &[String]| texts.iter().filter_map(|text| Pattern::parse(text).ok()).flatten().collect();
        Options {
            include: patterns(&self.include),
            exclude: patterns(&self.exclude),
            exclude_older_than: self.exclude_older_than,
            from_the_end: self.start_at == StartAt::End,
            max_line_bytes: usize::try_from(self.max_log_size.0).unwrap_or(usize::MAX),
            packing: self.compression,
            flush_after: self.force_flush_period,
            storage,
        }
    }
}

/// A receiver that has not started.
#[derive(Debug)]
pub(crate) struct Opened {
    files: Files,
    poll_interval: Duration,
    replays: bool,
}

/// Reads where it was. An error is one sentence.
pub(crate) fn open(config: &OtlpJsonFileConfig, storage: Option<PathBuf>) -> Result<Opened, String> {
    let files = Files::new(config.options(storage))?;
    Ok(Opened { files, poll_interval: config.poll_interval, replays: config.replay_file })
}

impl Opened {
    /// Starts to read.
    pub(crate) fn start(self, id: &str, ingresses: Ingresses, budget: Arc<Budget>, stop: Stop, clock: Clock) -> Task {
        let Self { files, poll_interval, replays } = self;
        let receiver = Receiver { id: id.to_owned(), files: Some(files), ingresses, budget, stop, clock, said: 0 };
        tasks::start("otlpjsonfile", receiver.run(poll_interval, replays))
    }
}

struct Receiver {
    id: String,
    /// Away while a thread works on them.
    files: Option<Files>,
    ingresses: Ingresses,
    budget: Arc<Budget>,
    stop: Stop,
    clock: Clock,
    /// Bad lines that were said one by one.
    said: u64,
}

/// What came of a window.
struct Taken {
    /// Lines from the front that need not be read again.
    lines: usize,
    /// When to read on; `None`: at once.
    wait: Option<Duration>,
}

/// A line on its way.
enum Step {
    /// There is nothing to send.
    Pass,
    Send(Ingress, Batch),
}

impl Receiver {
    async fn run(mut self, poll_interval: Duration, replays: bool) {
        // Ends without files only after a panic, which the log has.
        while let Some(cut) = self.discover().await {
            for path in cut {
                tracing::info!(receiver = self.id, path, "the file was cut and is read from its beginning");
            }
            let count = self.files.as_ref().map_or(0, Files::count);
            for index in 0..count {
                if self.read_file(index).await.is_none() {
                    return;
                }
                if self.stop.is_stopped() {
                    break;
                }
            }
            if replays && !self.stop.is_stopped() {
                self.files.as_mut().map(Files::rewind);
            }
            if self.keep().await.is_none() || self.stop.is_stopped() {
                return;
            }
            self.pause(poll_interval).await;
        }
    }

    /// Waits, or until there is nothing to wait for.
    async fn pause(&mut self, time: Duration) {
        // Both branches are cancel-safe.
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.stop.stopped() => {}
        }
    }

    async fn discover(&mut self) -> Option<Vec<String>> {
        if self.stop.is_stopped() {
            return None;
        }
        let now = (self.clock)();
        self.on_disk(move |files| files.discover(now)).await
    }

    async fn keep(&mut self) -> Option<()> {
        if let Err(reason) = self.on_disk(Files::keep).await? {
            tracing::error!(
                receiver = self.id,
                reason,
                "places in files are not kept; after a restart lines come again"
            );
        }
        Some(())
    }

    /// Reads a file to its end, as long as its lines are taken. `None` if nothing can go on.
    async fn read_file(&mut self, index: usize) -> Option<()> {
        while !self.stop.is_stopped() {
            let (budget, now) = (Arc::clone(&self.budget), (self.clock)());
            let window = match self.on_disk(move |files| files.read(index, &budget, now)).await? {
                Ok(window) => window,
                Err(error) => {
                    let path = self.files.as_ref()?.path(index).to_owned();
                    // What is being written may end anywhere.
                    if error.kind() != std::io::ErrorKind::UnexpectedEof {
                        tracing::warn!(receiver = self.id, path, %error, "a file cannot be read on");
                    }
                    self.files.as_mut()?.give_up(index);
                    return Some(());
                }
            };
            if window.lines.is_empty() {
                if !window.is_exhausted {
                    return Some(());
                }
                self.pause(MEMORY_RETRY).await;
                continue;
            }
            let ends: Vec<u64> = window.lines.iter().map(|line| line.end).collect();
            let taken = self.send(index, window).await?;
            if let Some(end) = taken.lines.checked_sub(1).and_then(|last| ends.get(last)) {
                self.files.as_mut()?.advance(index, *end, taken.lines as u64);
            }
            if let Some(wait) = taken.wait {
                self.pause(wait).await;
            }
        }
        Some(())
    }

    /// Sends the lines of a window and waits until all are acknowledged.
    async fn send(&mut self, index: usize, window: Window) -> Option<Taken> {
        let mut steps = Vec::new();
        let mut wait = None;
        for (number, line) in window.lines.into_iter().enumerate() {
            let bad = match line.content {
                Content::Blank => None,
                Content::TooLong => {
                    Some((Signal::Traces, RefusalReason::TooLarge, "it is longer than `max_log_size`".to_owned()))
                }
                Content::Text(text) => {
                    let signal = signal_of(text.as_ref());
                    match signal.and_then(|signal| self.ingresses.of(signal)).cloned() {
                        None if signal.is_some() => None,
                        None => {
                            let reason = "it is not OTLP JSON: no resourceSpans, resourceMetrics or resourceLogs";
                            Some((Signal::Traces, RefusalReason::Malformed, reason.to_owned()))
                        }
                        Some(ingress) => match ingress.read_otlp_json(text).await {
                            Ok((batch, rejected)) => {
                                self.say_rejected(index, number, &rejected).await?;
                                steps.push(Step::Send(ingress, batch));
                                continue;
                            }
                            Err(Refused::NotNow(refusal)) => {
                                wait = Some(refusal.retry_after.unwrap_or(MEMORY_RETRY));
                                break;
                            }
                            Err(Refused::Malformed(reason)) => {
                                self.say_bad(index, number, &reason).await?;
                                None
                            }
                        },
                    }
                }
            };
            if let Some((signal, reason, words)) = bad {
                let ingress = self.ingresses.of(signal).or_else(|| self.ingresses.any());
                ingress.inspect(|ingress| ingress.refused_request(reason));
                self.say_bad(index, number, &words).await?;
            }
            steps.push(Step::Pass);
        }
        let sent = steps.into_iter().map(|step| deliver(step, self.stop.clone(), self.id.clone())).collect();
        let lines = tasks::all(sent).await.into_iter().take_while(|is_taken| *is_taken).count();
        Some(Taken { lines, wait })
    }

    /// Says that a line is passed over.
    async fn say_bad(&mut self, index: usize, line_of_window: usize, reason: &str) -> Option<()> {
        self.said += 1;
        if self.said > SAID_LINES {
            return Some(());
        }
        let (path, line) = self.place(index, line_of_window).await?;
        tracing::warn!(receiver = self.id, path, line, reason, "a line cannot be read and is passed over");
        if self.said == SAID_LINES {
            tracing::warn!(receiver = self.id, "further lines that cannot be read are counted only");
        }
        Some(())
    }

    /// Says what was left out of a line.
    async fn say_rejected(&mut self, index: usize, line_of_window: usize, rejected: &Rejected) -> Option<()> {
        if rejected.items == 0 || self.said >= SAID_LINES {
            return Some(());
        }
        self.said += 1;
        let (path, line) = self.place(index, line_of_window).await?;
        let (items, reason) = (rejected.items, rejected.first_reason.as_str());
        tracing::warn!(receiver = self.id, path, line, items, reason, "a line is taken only in part");
        Some(())
    }

    async fn place(&mut self, index: usize, line_of_window: usize) -> Option<(String, u64)> {
        let number = self.on_disk(move |files| files.line_number(index)).await?;
        Some((self.files.as_ref()?.path(index).to_owned(), number + line_of_window as u64))
    }

    /// Works on the files where it may take its time.
    async fn on_disk<T: Send + 'static>(&mut self, work: impl FnOnce(&mut Files) -> T + Send + 'static) -> Option<T> {
        let mut files = self.files.take()?;
        let (files, value) = tasks::blocking("read files", move || {
            let value = work(&mut files);
            (files, value)
        })
        .await?;
        self.files = Some(files);
        Some(value)
    }
}

/// Sends a line's batch until it is taken, or refused for good, or nobody wants more. Whether it need not come again.
async fn deliver(step: Step, mut stop: Stop, id: String) -> bool {
    let Step::Send(ingress, batch) = step else { return true };
    let mut wait = MIN_RETRY;
    loop {
        let Err(Refusal { message, retry_after, .. }) = ingress.send(batch.clone()).await else { return true };
        let Some(hint) = retry_after else {
            tracing::error!(receiver = id, reason = message, "a line was refused for good; it is lost");
            return true;
        };
        wait = (wait * 2).max(hint).min(MAX_RETRY.max(hint));
        // Both branches are cancel-safe.
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.stopped() => return false,
        }
        if stop.is_stopped() {
            return false;
        }
    }
}

#[cfg(test)]
mod tests;
