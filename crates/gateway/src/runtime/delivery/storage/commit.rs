//! The way of requests to the disk: groups, their answers, and what is said when the disk takes nothing.

use std::sync::Arc;

use tokio::time::Instant;

use super::book::Size;
use super::disk::{Committed, Disk, Group, describe};
use super::frame::RequestHead;
use super::hands::Tool;
use super::stored::Letter;
use super::{DISK_RETRY, GROUP_BYTES, GROUP_REQUESTS, RECORD_AFTER, Staged, Storage, TIDY_AFTER, memory_limit};
use crate::ack::{Outcome, Refusal};
use crate::budget::Budget;
use crate::ledger::RefusalReason;
use crate::runtime::delivery::queue::Queue;

impl Storage {
    pub(super) fn begin_commit(&mut self, now: Instant) {
        if self.disk.is_gone() {
            self.refuse_staged();
            return;
        }
        let is_due = |at: Option<Instant>| at.is_some_and(|due| due <= now);
        let is_recording = self.has_records() && (is_due(self.record_at) || self.is_closing && self.trouble.is_none());
        let is_tidying = self.is_untidy() && is_due(self.tidy_at);
        if self.staged.is_empty() && !is_recording && !is_tidying {
            return;
        }
        let Some(mut disk) = self.disk.take() else { return };
        let group = self.group(&disk, is_tidying);
        self.disk = Tool::Away(self.settings.hands.run("queue on disk", move || {
            let closed = if is_tidying { disk.close_segment().err() } else { None };
            let mut committed = disk.commit(&group);
            if let Some(error) = closed {
                committed.failure.get_or_insert_with(|| describe(&error));
            }
            (disk, committed)
        }));
    }

    /// What the next commit brings to the disk.
    fn group(&mut self, disk: &Disk, is_tidying: bool) -> Group {
        let mut bytes = 0;
        let fits = |staged: &&Staged| {
            let fits = bytes < GROUP_BYTES;
            bytes += staged.size.bytes;
            fits
        };
        let count = self.staged.iter().take(GROUP_REQUESTS).take_while(fits).count();
        self.committing = self.staged.drain(..count).collect();
        let mut items_before = self.book.items_appended();
        let request = |staged: &Staged| {
            let items = u32::try_from(staged.size.items).unwrap_or(u32::MAX);
            let head = RequestHead { signal: staged.batch.signal(), items, items_before, taken: staged.taken };
            items_before += staged.size.items;
            (head, staged.batch.bytes().clone())
        };
        let requests = self.committing.iter().map(request).collect();
        self.committing_letters = std::mem::take(&mut self.letters);
        let is_unrecorded = self.book.is_unrecorded();
        let finished = self.book.take_finished();
        Group {
            state: (is_tidying || disk.begins_segment()).then(|| self.book.state().encode_state()),
            record: is_unrecorded.then(|| self.book.record().encode_record()),
            requests,
            letters: self.committing_letters.iter().map(|letter| letter.letter.clone()).collect(),
            finished,
            syncs: is_tidying || self.is_closing,
            now: (self.clock)(),
        }
    }

    pub(super) fn committed(&mut self, committed: Committed, queue: &mut Queue, budget: &Arc<Budget>, now: Instant) {
        self.figures = committed.figures;
        if let Some(first) = committed.begins {
            self.book.begin_segment(first);
        }
        if let Some(account) = committed.account {
            self.book.appended_account(account);
            self.book.recorded();
        }
        let letters = std::mem::take(&mut self.committing_letters);
        let is_failed = committed.failure.is_some();
        self.record_at = self.has_records().then(|| now + if is_failed { DISK_RETRY } else { RECORD_AFTER });
        self.tidy_at = Some(now + TIDY_AFTER);
        self.observe(committed.failure);
        match committed.lost_letters {
            Some((letters, reason)) => self.say_letters_lost(letters, &reason),
            None => self.say_letters_kept(&letters),
        }
        let most = memory_limit(budget);
        for (staged, result) in std::mem::take(&mut self.committing).into_iter().zip(committed.requests) {
            let Staged { batch, ack, size, taken } = staged;
            self.staged_size -= size;
            let sequence = match result {
                Ok(sequence) => sequence,
                Err(refusal) => {
                    ack.settle(Outcome::Refused(refusal));
                    continue;
                }
            };
            let held = self.book.outstanding_bytes();
            // Memory is for what comes in first: a queue that grows gives it back.
            let keep = self.book.is_caught_up()
                && !self.is_closing
                && (held == 0 || held + size.bytes <= most && budget.used() <= budget.limit() / 4 * 3);
            self.book.appended(sequence, size, taken, keep);
            ack.store();
            if keep {
                self.hand_over(queue, sequence, batch, size, taken, now);
            }
        }
    }

    /// Nothing can be appended any more.
    pub(super) fn refuse_staged(&mut self) {
        for staged in std::mem::take(&mut self.committing).into_iter().chain(std::mem::take(&mut self.staged)) {
            let message = "the exporter's queue on disk has failed";
            let refusal = Refusal::retry(RefusalReason::Unavailable, message, DISK_RETRY);
            staged.ack.settle(Outcome::Refused(refusal));
        }
        self.staged_size = Size::default();
    }

    /// Says it when the disk begins to fail and when it is well again.
    fn observe(&mut self, failure: Option<String>) {
        let (exporter, folder) = (self.settings.exporter.as_str(), self.settings.folder.as_str());
        match (&self.trouble, &failure) {
            (None, Some(reason)) => {
                let hint = "make space on the disk or look after it; what comes is taken again by itself";
                tracing::error!(exporter, folder, reason, hint, "the queue on disk takes nothing");
            }
            (Some(_), None) => tracing::info!(exporter, folder, "the queue on disk takes spans again"),
            (None, None) | (Some(_), Some(_)) => {}
        }
        self.trouble = failure;
    }

    /// Once for each reason in a row.
    fn say_letters_kept(&mut self, letters: &[Letter]) {
        let Some(Letter { letter, .. }) = letters.last() else { return };
        if self.said_letter.as_ref() != Some(&letter.reason) {
            let (exporter, folder) = (self.settings.exporter.as_str(), self.settings.folder.as_str());
            let reason = letter.reason.as_str();
            let hint = "look at them with `rootspan queue inspect`, read them back with `rootspan queue export --dead-letters`";
            tracing::error!(
                exporter,
                folder,
                reason,
                hint,
                "the back end refuses accepted spans for good; they are kept"
            );
            self.said_letter = Some(letter.reason.clone());
        }
    }

    fn say_letters_lost(&mut self, letters: usize, reason: &str) {
        if !std::mem::replace(&mut self.lost_letters, true) {
            let (exporter, folder) = (self.settings.exporter.as_str(), self.settings.folder.as_str());
            tracing::error!(exporter, folder, letters, reason, "dead letters could not be kept");
        }
    }
}
