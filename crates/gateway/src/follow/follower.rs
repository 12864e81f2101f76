//! What a receiver asks for the next piece of its files.
//!
//! ```ignore
//! while let Some(next) = follower.next().await {
//!     // … hand it over and wait until it is acknowledged …
//!     follower.advance(&next, next.piece.end, next.piece.lines);
//! }
//! ```
//!
//! A piece that is not advanced over comes again. Files are read in turn, so that one that grows fast does not keep the others
//! waiting.

use std::sync::Arc;
use std::time::Duration;

use super::pieces::{Piece, Read};
use super::tracker::Tracker;
use crate::ack::Refusal;
use crate::batch::Batch;
use crate::budget::Budget;
use crate::clock::Clock;
use crate::net::stop::Stop;
use crate::runtime::ingress::Ingress;
use crate::tasks;

/// When to look for memory again.
pub(crate) const MEMORY_RETRY: Duration = Duration::from_millis(200);
/// The least and the longest time between two attempts at a pipeline that refuses.
const MIN_RETRY: Duration = Duration::from_millis(100);
const MAX_RETRY: Duration = Duration::from_secs(30);
/// How often the places are kept while there is a lot to read.
const KEEP_INTERVAL: Duration = Duration::from_secs(1);
/// Pieces of one file before it is the next one's turn.
const PIECES_OF_A_TURN: usize = 16;

/// Follows the files of a receiver.
pub(crate) struct Follower {
    id: String,
    /// Away while a thread works on them.
    files: Option<Tracker>,
    budget: Arc<Budget>,
    stop: Stop,
    clock: Clock,
    poll_interval: Duration,
    /// Whether everything is read over and over again.
    replays: bool,
    turn: Turn,
    kept: tokio::time::Instant,
}

/// Whose turn it is.
#[derive(Debug, Default)]
struct Turn {
    has_begun: bool,
    index: usize,
    pieces: usize,
    /// Something was read since the files were looked at.
    was_busy: bool,
}

/// A piece and where it is from.
#[derive(Debug)]
pub(crate) struct Next {
    index: usize,
    pub(crate) piece: Piece,
    /// What was noted of the lines before.
    pub(crate) note: Option<String>,
}

impl Follower {
    pub(crate) fn new(
        id: &str,
        files: Tracker,
        poll_interval: Duration,
        budget: Arc<Budget>,
        stop: Stop,
        clock: Clock,
    ) -> Self {
        let (files, turn, kept) = (Some(files), Turn::default(), tokio::time::Instant::now());
        Self { id: id.to_owned(), files, budget, stop, clock, poll_interval, replays: false, turn, kept }
    }

    /// Reads everything over and over again.
    pub(crate) fn replaying(self, replays: bool) -> Self {
        Self { replays, ..self }
    }

    /// The next piece; `None` once nobody wants more. What was advanced over is kept then.
    pub(crate) async fn next(&mut self) -> Option<Next> {
        loop {
            if self.stop.is_stopped() {
                self.keep().await;
                return None;
            }
            let now = (self.clock)();
            let files = self.files.as_ref()?;
            let index = files.next_busy(self.turn.index, now);
            if index >= files.count() {
                self.begin_turn().await?;
                continue;
            }
            if index > self.turn.index {
                (self.turn.index, self.turn.pieces) = (index, 0);
            }
            if self.kept.elapsed() >= KEEP_INTERVAL {
                self.keep().await?;
            }
            let budget = Arc::clone(&self.budget);
            match self.on_disk(move |files| files.read(index, &budget, now)).await? {
                Read::Piece(piece) => {
                    self.turn.was_busy = true;
                    self.turn.pieces += 1;
                    let note = self.files.as_ref()?.note(index).map(str::to_owned);
                    return Some(Next { index, piece, note });
                }
                Read::End { .. } => self.next_file(),
                Read::Exhausted => self.pause(MEMORY_RETRY).await,
            }
        }
    }

    /// Everything up to `end`, so many lines, need not come again.
    pub(crate) fn advance(&mut self, of: &Next, end: u64, lines: u64) {
        if let Some(files) = &mut self.files {
            files.advance(of.index, end, lines);
        }
        if self.turn.pieces >= PIECES_OF_A_TURN {
            self.next_file();
        }
    }

    /// What must be known of the lines before the place. Goes with [`Follower::advance`].
    pub(crate) fn keep_note(&mut self, of: &Next, note: Option<String>) {
        if let Some(files) = &mut self.files {
            files.keep_note(of.index, note);
        }
    }

    /// The file of a piece and the number of its first line, from 1; before it is advanced over.
    pub(crate) async fn place(&mut self, of: &Next) -> Option<(String, u64)> {
        let index = of.index;
        self.on_disk(move |files| (files.path(index).to_owned(), files.line_number(index))).await
    }

    /// Waits, or until there is nothing to wait for.
    pub(crate) async fn pause(&mut self, time: Duration) {
        // Both branches are cancel-safe.
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.stop.stopped() => {}
        }
    }

    fn next_file(&mut self) {
        self.turn.index += 1;
        self.turn.pieces = 0;
    }

    /// Looks at the files anew, after a pause if there was nothing to read.
    async fn begin_turn(&mut self) -> Option<()> {
        if self.turn.has_begun {
            self.keep().await?;
            if !self.turn.was_busy || self.replays {
                self.pause(self.poll_interval).await;
            }
            if self.stop.is_stopped() {
                return Some(());
            }
            if self.replays {
                self.files.as_mut()?.rewind();
            }
        }
        self.turn = Turn { has_begun: true, ..Turn::default() };
        let now = (self.clock)();
        self.on_disk(move |files| files.discover(now)).await?;
        if self.files.as_ref()?.count() == 0 {
            self.pause(self.poll_interval).await;
        }
        Some(())
    }

    async fn keep(&mut self) -> Option<()> {
        self.kept = tokio::time::Instant::now();
        if let Err(reason) = self.on_disk(Tracker::keep).await? {
            let receiver = self.id.as_str();
            tracing::error!(receiver, reason, "places in files are not kept; after a restart lines come again");
        }
        Some(())
    }

    /// Works on the files where it may take its time. `None` only after a panic, which the log has.
    async fn on_disk<T: Send + 'static>(&mut self, work: impl FnOnce(&mut Tracker) -> T + Send + 'static) -> Option<T> {
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

/// What became of a batch that could wait.
#[derive(Debug)]
pub(crate) enum Delivered {
    Taken,
    /// For good.
    Refused(Refusal),
    /// Nobody wants more: it comes again after the next start.
    Stopped,
}

/// Sends a batch until it is taken, or refused for good, or nobody wants more.
pub(crate) async fn deliver(ingress: &Ingress, batch: Batch, mut stop: Stop) -> Delivered {
    let mut wait = MIN_RETRY;
    loop {
        let Err(refusal) = ingress.send(batch.clone()).await else { return Delivered::Taken };
        let Some(hint) = refusal.retry_after else { return Delivered::Refused(refusal) };
        wait = (wait * 2).max(hint).min(MAX_RETRY.max(hint));
        // Both branches are cancel-safe.
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.stopped() => {}
        }
        if stop.is_stopped() {
            return Delivered::Stopped;
        }
    }
}
