//! What happened in the run of this thread, in order: two runs of one seed must say the same.

use std::cell::RefCell;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use tokio::time::Instant;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

thread_local! {
    static LOG: RefCell<Option<Log>> = const { RefCell::new(None) };
}

#[derive(Debug)]
struct Log {
    started: Instant,
    prints: bool,
    digest: DefaultHasher,
    failure: Option<String>,
}

/// Starts an empty log at this moment; `prints` shows every event.
pub(super) fn begin(prints: bool) {
    LOG.set(Some(Log { started: Instant::now(), prints, digest: DefaultHasher::new(), failure: None }));
}

/// Something happened.
pub(super) fn event(text: impl FnOnce() -> String) {
    LOG.with_borrow_mut(|log| {
        let Some(log) = log else { return };
        let text = text();
        let elapsed = log.started.elapsed();
        (elapsed.as_nanos(), &text).hash(&mut log.digest);
        if log.prints {
            print(&format!("{:>12.3} s  {text}", elapsed.as_secs_f64()));
        }
    });
}

/// Something is wrong. The first one counts.
pub(super) fn fail(text: impl FnOnce() -> String) {
    LOG.with_borrow_mut(|log| {
        if let Some(log) = log
            && log.failure.is_none()
        {
            let text = text();
            if log.prints {
                print(&format!("WRONG: {text}"));
            }
            log.failure = Some(text);
        }
    });
}

/// Ends the log: what was wrong first, and a number that stands for all that happened.
pub(super) fn end() -> (Option<String>, u64) {
    LOG.take().map_or((None, 0), |log| (log.failure, log.digest.finish()))
}

#[expect(clippy::print_stdout, reason = "somebody asked for this seed")]
fn print(text: &str) {
    println!("{text}");
}

/// The gateway's own errors that tell of a bug: tasks that panicked, spans that nobody settled.
#[derive(Debug)]
pub(super) struct Bugs;

impl Subscriber for Bugs {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::ERROR
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        if ["task failed", "were not settled"].iter().any(|words| text.0.contains(words)) {
            fail(|| text.0);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Debug, Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0 += &format!("{field}={value:?} ");
    }
}
