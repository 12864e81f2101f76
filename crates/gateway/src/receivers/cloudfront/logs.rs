//! Log files on this machine, and standard input: `files` of the receiver. They are read piece by piece; a piece comes again until its
//! spans are settled. The header of a file holds for its later lines, so it is remembered with the place in the file.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rootspan_wire::cloudfront::{last_header, whole_values};

use super::intake::Intake;
use crate::ack::Refusal;
use crate::config;
use crate::config::id::ExtensionReference;
use crate::config::problems::{Position, Problems};
use crate::follow;
use crate::follow::follower::{Follower, MEMORY_RETRY};
use crate::follow::packing::Packing;
use crate::follow::pieces::{Cutting, Piece, Read};
use crate::follow::start_at::StartAt;
use crate::follow::stdin;
use crate::net::stop::Stop;
use crate::tasks;

/// What is read of a file at a time.
const PIECE_BYTES: usize = 1 << 20;
/// The longest line of standard input: memory for one is had before anything is read.
const MAX_STDIN_LINE_BYTES: usize = 4 << 20;
/// A last line without an end is taken after so long. Whoever writes logs by the line writes whole ones.
const FLUSH_AFTER: Duration = Duration::from_secs(5);
/// The longest pause between two attempts at a pipeline that refuses.
const MAX_RETRY: Duration = Duration::from_secs(30);
/// Pieces with bad records that are said one by one.
const SAID_PIECES: u32 = 20;

config! {
    /// Log files on this machine, and standard input: standard logs of both versions (JSON, W3C, plain), lines of real-time
    /// logs, envelopes of CloudWatch; plain, gzip or zstd, each recognised by how it begins. Plain files are followed as they
    /// grow and are rotated.
    pub struct FilesConfig {
        /// The files: paths with `*`, `?`, `[a-z]`, `{a,b}` and `**` for any number of folders.
        include: Vec<String>,
        /// Files that are left out.
        exclude: Vec<String> = "[]",
        /// Files that were not written to for so long are left out; 0 takes all.
        exclude_older_than: Duration = "0s",
        /// Where reading begins in plain files that are there at the start and were not read before: `beginning` or `end`.
        start_at: StartAt = "beginning",
        /// How often files are looked at.
        poll_interval: Duration = "1s",
        /// The extension that keeps how far every file was read, `file_storage`; without one it is forgotten at the end, and
        /// the next start reads everything again, which the store sees.
        storage: Option<ExtensionReference>,
        /// Read standard input, until it ends: `zcat log.gz | rootspan run --config …`. What else runs goes on.
        stdin: bool = "false",
    }
}

impl FilesConfig {
    /// Checks what belongs together.
    pub(super) fn check(&self, position: &Position, problems: &mut Problems) {
        follow::check_patterns(&self.include, &self.exclude, position, problems);
        if self.include.is_empty() && !self.stdin {
            problems.error(position, "`files` needs `include` (paths), or `stdin: true`");
        }
        if self.poll_interval.is_zero() {
            problems.error(position, "`files.poll_interval` must be above 0");
        }
    }

    /// Where it reads, a line for each.
    pub(super) fn reads(&self) -> Vec<String> {
        let files = self.include.iter().map(|path| format!("file {path}"));
        files.chain(self.stdin.then(|| "standard input".to_owned())).collect()
    }

    /// What is followed; `None` if it is no file.
    pub(super) fn options(
        &self,
        id: &str,
        longest: usize,
        storage: Option<PathBuf>,
    ) -> Result<Option<follow::Options>, String> {
        if self.include.is_empty() {
            return Ok(None);
        }
        Ok(Some(follow::Options {
            id: id.to_owned(),
            include: follow::patterns(&self.include)?,
            exclude: follow::patterns(&self.exclude)?,
            exclude_older_than: self.exclude_older_than,
            from_the_end: self.start_at == StartAt::End,
            packing: Packing::Auto,
            flush_after: FLUSH_AFTER,
            cutting: cutting(longest),
            note_of: |head| last_header(head).map(str::to_owned),
            storage,
        }))
    }
}

const fn cutting(line_bytes: usize) -> Cutting {
    Cutting { piece_bytes: PIECE_BYTES, piece_lines: u64::MAX, line_bytes, is_whole, split: whole_values }
}

/// A line of fields is taken for whole, JSON if it is.
fn is_whole(rest: &[u8]) -> bool {
    !rest.trim_ascii_start().starts_with(b"{") || whole_values(rest) == rest.trim_ascii_end().len()
}

/// What files and standard input share.
#[derive(Debug)]
struct Source {
    id: String,
    intake: Arc<Intake>,
    /// Until the next attempt.
    wait: Duration,
    /// Pieces with bad records that were said.
    said: u32,
}

/// A piece that was read.
struct Taken {
    piece: Piece,
    /// The header that holds behind it.
    header: Option<String>,
    problem: Option<String>,
    /// Absent if its spans are settled, or never will be.
    refused: Option<Refusal>,
}

/// Follows files until told to stop.
pub(super) async fn follow(id: String, mut follower: Follower, intake: Arc<Intake>) {
    let mut source = Source { id, intake, wait: MEMORY_RETRY, said: 0 };
    while let Some(mut next) = follower.next().await {
        let Some(place) = follower.place(&next).await else { return };
        let Some(taken) = source.take(next.piece, next.note.take()).await else { return };
        next.piece = taken.piece;
        match taken.refused {
            None => {
                follower.keep_note(&next, taken.header);
                follower.advance(&next, next.piece.end, next.piece.lines);
                source.say(taken.problem, next.piece.passed_over, &place.0, place.1);
            }
            // It comes again; what waits holds nothing.
            Some(refusal) => {
                drop(next);
                follower.pause(source.wait_after(&refusal)).await;
            }
        }
    }
}

/// Reads standard input to its end, or until told to stop.
pub(super) async fn read_stdin(id: String, intake: Arc<Intake>, mut stop: Stop) {
    let mut source = Source { id, intake, wait: MEMORY_RETRY, said: 0 };
    let (mut header, mut line) = (None, 1);
    loop {
        let budget = Arc::clone(source.intake.ingress().budget());
        // Both branches are cancel-safe.
        let read = tokio::select! {
            () = stop.stopped() => return,
            read = stdin::next(cutting(MAX_STDIN_LINE_BYTES), &budget) => read,
        };
        let mut wait = None;
        match read {
            Ok(Read::Piece(piece)) => {
                let lines = piece.lines;
                header = match source.take_all(piece, header, line, &mut stop).await {
                    Some(header) => header,
                    None => return,
                };
                line += lines;
            }
            Ok(Read::End { .. }) => {
                tracing::info!(receiver = source.id, lines = line - 1, "standard input has ended");
                return;
            }
            Ok(Read::Exhausted) => wait = Some(MEMORY_RETRY),
            Err(error) => {
                tracing::error!(receiver = source.id, %error, "standard input cannot be read on");
                return;
            }
        }
        if let Some(wait) = wait {
            pause(wait, &mut stop).await;
        }
    }
}

async fn pause(time: Duration, stop: &mut Stop) {
    // Both branches are cancel-safe.
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = stop.stopped() => {}
    }
}

impl Source {
    /// Makes spans of a piece and waits until they are settled. `None` only after a panic, which the log has.
    async fn take(&mut self, piece: Piece, header: Option<String>) -> Option<Taken> {
        let intake = Arc::clone(&self.intake);
        let read = move || {
            let bytes = piece.bytes.as_ref();
            let read = intake.read_piece(header.as_deref(), bytes);
            let header = last_header(bytes).map(str::to_owned).or(header);
            (read, header, piece)
        };
        let (read, header, piece) = tasks::blocking("read log", read).await?;
        let (sent, problem) = match read {
            Ok((delivery, problem)) => (self.intake.send(delivery).await, problem),
            Err(refusal) => (Err(refusal), None),
        };
        let refused = sent.err().filter(|refusal| {
            if refusal.retry_after.is_none() {
                let reason = refusal.message.as_str();
                tracing::error!(
                    receiver = self.id,
                    lines = piece.lines,
                    reason,
                    "lines were refused for good; they are lost"
                );
            }
            refusal.retry_after.is_some()
        });
        if refused.is_none() {
            self.wait = MEMORY_RETRY;
        }
        Some(Taken { piece, header, problem, refused })
    }

    /// Takes a piece that does not come again; gives the header that holds behind it. `None`: nobody wants more.
    async fn take_all(
        &mut self,
        piece: Piece,
        header: Option<String>,
        line: u64,
        stop: &mut Stop,
    ) -> Option<Option<String>> {
        let mut piece = piece;
        loop {
            let taken = self.take(piece, header.clone()).await?;
            let Some(refusal) = taken.refused else {
                self.say(taken.problem, taken.piece.passed_over, "standard input", line);
                return Some(taken.header);
            };
            piece = taken.piece;
            pause(self.wait_after(&refusal), stop).await;
            if stop.is_stopped() {
                return None;
            }
        }
    }

    /// How long to wait after a refusal, longer each time.
    fn wait_after(&mut self, refusal: &Refusal) -> Duration {
        let hint = refusal.retry_after.unwrap_or(MEMORY_RETRY);
        self.wait = (self.wait * 2).max(hint).min(MAX_RETRY.max(hint));
        self.wait
    }

    /// Says what is wrong with records of a piece, with its first line's number.
    fn say(&mut self, problem: Option<String>, passed_over: bool, path: &str, line: u64) {
        let problem = problem.map(Cow::Owned).or(passed_over.then_some(Cow::Borrowed("a line is too long")));
        let Some(problem) = problem.filter(|_| self.said < SAID_PIECES) else { return };
        self.said += 1;
        // What helps if they are real-time logs, or plain ones.
        let hint = if problem.contains("need a list of fields") { "; set `real_time_fields`" } else { "" };
        tracing::warn!(
            receiver = self.id,
            path,
            from_line = line,
            "records cannot be read and are passed over: {problem}{hint}"
        );
        if self.said == SAID_PIECES {
            tracing::warn!(receiver = self.id, "further records that cannot be read are counted only");
        }
    }
}
