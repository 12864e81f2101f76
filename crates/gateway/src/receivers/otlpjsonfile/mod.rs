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

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rootspan_wire::otlp::json::{is_json, signal_of};
use rootspan_wire::otlp::payload::Signal;
use rootspan_wire::otlp::validate::Rejected;

use crate::batch::Batch;
use crate::budget::{Budget, PaidBuffer};
use crate::clock::Clock;
use crate::config;
use crate::config::decode::Decode;
use crate::config::id::ExtensionReference;
use crate::config::node::Entry;
use crate::config::problems::Problems;
use crate::config::values::ByteSize;
use crate::follow;
use crate::follow::follower::{Delivered, Follower, MEMORY_RETRY, Next, deliver};
use crate::follow::packing::Packing;
use crate::follow::pieces::Cutting;
use crate::follow::start_at::StartAt;
use crate::follow::tracker::Tracker;
use crate::ledger::RefusalReason;
use crate::net::stop::Stop;
use crate::runtime::ingress::{Ingress, Ingresses, Refused};
use crate::tasks::{self, Task};

/// Bad lines that are said one by one; of more only the number is.
const SAID_LINES: u64 = 20;
/// Lines that are on their way at once, and their bytes: what waits for one acknowledgement together.
const WINDOW_LINES: u64 = 32;
const WINDOW_BYTES: usize = 4 << 20;

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
        "fingerprint_size": "the first 4096 bytes tell files apart",
        "max_concurrent_files": "files are read in turn",
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
        follow::check_patterns(&config.include, &config.exclude, &entry.position, problems);
        if config.poll_interval.is_zero() || config.max_log_size.0 == 0 {
            problems.error(&entry.position, "`poll_interval` and `max_log_size` must be above 0");
        }
        Some(config)
    }

    fn options(&self, id: &str, storage: Option<PathBuf>) -> Result<follow::Options, String> {
        Ok(follow::Options {
            id: id.to_owned(),
            include: follow::patterns(&self.include)?,
            exclude: follow::patterns(&self.exclude)?,
            exclude_older_than: self.exclude_older_than,
            from_the_end: self.start_at == StartAt::End,
            packing: self.compression,
            flush_after: self.force_flush_period,
            cutting: Cutting {
                piece_bytes: WINDOW_BYTES,
                piece_lines: WINDOW_LINES,
                line_bytes: usize::try_from(self.max_log_size.0).unwrap_or(usize::MAX / 4),
                is_whole: is_json,
                split: |_| 0,
            },
            note_of: |_| None,
            storage,
        })
    }
}

/// A receiver that has not started.
#[derive(Debug)]
pub(crate) struct Opened {
    files: Tracker,
    poll_interval: Duration,
    replays: bool,
}

/// Reads where it was. An error is one sentence.
pub(crate) fn open(id: &str, config: &OtlpJsonFileConfig, storage: Option<PathBuf>) -> Result<Opened, String> {
    let files = Tracker::new(config.options(id, storage)?)?;
    Ok(Opened { files, poll_interval: config.poll_interval, replays: config.replay_file })
}

impl Opened {
    /// Starts to read.
    pub(crate) fn start(self, id: &str, ingresses: Ingresses, budget: Arc<Budget>, stop: Stop, clock: Clock) -> Task {
        let follower = Follower::new(id, self.files, self.poll_interval, Arc::clone(&budget), stop.clone(), clock)
            .replaying(self.replays);
        let receiver = Receiver { id: id.to_owned(), follower, ingresses, budget, stop, said: 0 };
        tasks::start("otlpjsonfile", receiver.run())
    }
}

struct Receiver {
    id: String,
    follower: Follower,
    ingresses: Ingresses,
    budget: Arc<Budget>,
    stop: Stop,
    /// Bad lines that were said one by one.
    said: u64,
}

/// A line on its way; `None`: there is nothing to send.
type Step = Option<(Ingress, Batch)>;

/// A line that could not be read now, and when to try again.
struct NotNow(Duration);

impl Receiver {
    async fn run(mut self) {
        while let Some(next) = self.follower.next().await {
            if self.take(next).await.is_none() {
                return;
            }
        }
    }

    /// Sends the lines of a piece, waits until they are acknowledged, and moves on behind those that were. `None` only after a panic.
    async fn take(&mut self, next: Next) -> Option<()> {
        let (mut steps, mut ends, mut wait) = (Vec::new(), Vec::new(), None);
        let mut end = next.piece.start;
        for (number, line) in next.piece.bytes.as_ref().split_inclusive(|byte| *byte == b'\n').enumerate() {
            match self.read(&next, number, line.trim_ascii()).await? {
                Ok(step) => steps.push(step),
                Err(NotNow(time)) => {
                    wait = Some(time);
                    break;
                }
            }
            end += line.len() as u64;
            ends.push(end);
        }
        if next.piece.passed_over && wait.is_none() {
            let reason = "it is longer than `max_log_size`";
            self.refuse(&next, steps.len(), Signal::Traces, RefusalReason::TooLarge, reason).await?;
            steps.push(None);
            ends.push(next.piece.end);
        }
        let sent = steps.into_iter().map(|step| self.deliver(step)).collect();
        let taken = tasks::all(sent).await.into_iter().take_while(|is_taken| *is_taken).count();
        if let Some(end) = taken.checked_sub(1).and_then(|last| ends.get(last)) {
            self.follower.advance(&next, *end, taken as u64);
        }
        if let Some(wait) = wait {
            // What waits holds nothing.
            drop(next);
            self.follower.pause(wait).await;
        }
        Some(())
    }

    /// Reads a line. `None` only after a panic.
    async fn read(&mut self, next: &Next, number: usize, line: &[u8]) -> Option<Result<Step, NotNow>> {
        if line.is_empty() {
            return Some(Ok(None));
        }
        let Some(signal) = signal_of(line) else {
            let reason = "it is not OTLP JSON: no resourceSpans, resourceMetrics or resourceLogs";
            self.refuse(next, number, Signal::Traces, RefusalReason::Malformed, reason).await?;
            return Some(Ok(None));
        };
        let Some(ingress) = self.ingresses.of(signal).cloned() else { return Some(Ok(None)) };
        let copy = PaidBuffer::with_capacity(&self.budget, line.len()).and_then(|mut copy| {
            copy.append(line, line.len())?;
            Ok(copy)
        });
        let Ok(copy) = copy else { return Some(Err(NotNow(MEMORY_RETRY))) };
        match ingress.read_otlp_json(copy).await {
            Ok((batch, rejected)) => {
                self.say_rejected(next, number, &rejected).await?;
                Some(Ok(Some((ingress, batch))))
            }
            Err(Refused::NotNow(refusal)) => Some(Err(NotNow(refusal.retry_after.unwrap_or(MEMORY_RETRY)))),
            Err(Refused::Malformed(reason)) => {
                self.say_bad(next, number, &reason).await?;
                Some(Ok(None))
            }
        }
    }

    /// Sends a line's batch until it need not come again; `false` if nobody wants more.
    fn deliver(&self, step: Step) -> impl Future<Output = bool> + use<> {
        let (stop, id) = (self.stop.clone(), self.id.clone());
        async move {
            let Some((ingress, batch)) = step else { return true };
            match deliver(&ingress, batch, stop).await {
                Delivered::Taken => true,
                Delivered::Refused(refusal) => {
                    tracing::error!(receiver = id, reason = refusal.message, "a line was refused for good; it is lost");
                    true
                }
                Delivered::Stopped => false,
            }
        }
    }

    /// Counts a line that is passed over, and says so.
    async fn refuse(
        &mut self,
        next: &Next,
        number: usize,
        signal: Signal,
        reason: RefusalReason,
        words: &str,
    ) -> Option<()> {
        let ingress = self.ingresses.of(signal).or_else(|| self.ingresses.any());
        ingress.inspect(|ingress| ingress.refused_request(reason));
        self.say_bad(next, number, words).await
    }

    /// Says that a line is passed over.
    async fn say_bad(&mut self, next: &Next, number: usize, reason: &str) -> Option<()> {
        self.said += 1;
        if self.said > SAID_LINES {
            return Some(());
        }
        let (path, first) = self.follower.place(next).await?;
        let line = first + number as u64;
        tracing::warn!(receiver = self.id, path, line, reason, "a line cannot be read and is passed over");
        if self.said == SAID_LINES {
            tracing::warn!(receiver = self.id, "further lines that cannot be read are counted only");
        }
        Some(())
    }

    /// Says what was left out of a line.
    async fn say_rejected(&mut self, next: &Next, number: usize, rejected: &Rejected) -> Option<()> {
        if rejected.items == 0 || self.said >= SAID_LINES {
            return Some(());
        }
        self.said += 1;
        let (path, first) = self.follower.place(next).await?;
        let (items, reason, line) = (rejected.items, rejected.first_reason.as_str(), first + number as u64);
        tracing::warn!(receiver = self.id, path, line, items, reason, "a line is taken only in part");
        Some(())
    }
}
