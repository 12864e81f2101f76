//! The loop of one pipeline: a batch in, processors, a copy to each exporter and, through connectors, to each further
//! pipeline. It ends when nothing feeds it any more.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use rootspan_model::time::UnixNanos;

use crate::ack::{Ack, Outcome, Refusal};
use crate::batch::Batch;
use crate::clock::Clock;
use crate::ledger::{Place, RefusalReason};
use crate::processors::Processor;

/// Batches that may wait for a pipeline. Their bytes are bounded by the budget; this bounds their number, and with it
/// the time that an accepted request waits: a pipeline passes on far more than this in a second.
pub(crate) const INPUT_BATCHES: usize = 1024;
/// When a sender that met a full exporter should try again.
const QUEUE_RETRY: Duration = Duration::from_secs(1);
/// How often processors that keep spans are told the time.
const TICK: Duration = Duration::from_millis(100);

/// A batch on its way, with the duty to settle it.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) batch: Batch,
    pub(crate) ack: Ack,
}

/// The processors of one pipeline, in order. Pure: time is an argument.
#[derive(Debug)]
pub(crate) struct Chain {
    processors: Vec<Box<dyn Processor>>,
}

impl Chain {
    pub(crate) fn new(processors: Vec<Box<dyn Processor>>) -> Self {
        Self { processors }
    }

    /// A batch comes in; what comes out.
    pub(crate) fn process(&mut self, item: Item, now: UnixNanos) -> Vec<Item> {
        self.process_from(0, vec![item], now)
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: UnixNanos) -> Vec<Item> {
        self.release(now, |processor, now, out| processor.tick(now, out))
    }

    /// Nothing more comes.
    pub(crate) fn finish(&mut self, now: UnixNanos) -> Vec<Item> {
        self.release(now, |processor, now, out| processor.finish(now, out))
    }

    fn keeps_spans(&self) -> bool {
        self.processors.iter().any(|processor| processor.keeps_spans())
    }

    fn process_from(&mut self, first: usize, items: Vec<Item>, now: UnixNanos) -> Vec<Item> {
        let mut items = items;
        for processor in &mut self.processors[first..] {
            let mut out = Vec::with_capacity(items.len());
            for item in items {
                processor.process(item, now, &mut out);
            }
            items = out;
        }
        items
    }

    /// What each processor lets go passes through those behind it.
    fn release(&mut self, now: UnixNanos, release: fn(&mut dyn Processor, UnixNanos, &mut Vec<Item>)) -> Vec<Item> {
        let mut released = Vec::new();
        for index in 0..self.processors.len() {
            let mut out = Vec::new();
            release(self.processors[index].as_mut(), now, &mut out);
            released.extend(self.process_from(index + 1, out, now));
        }
        released
    }
}

/// Passes batches on until the input is closed and empty and nothing is held any more.
pub(crate) async fn run(
    mut input: mpsc::Receiver<Item>,
    mut chain: Chain,
    outputs: Vec<(Place, mpsc::Sender<Item>)>,
    clock: Clock,
) {
    let (places, outputs): (Vec<_>, Vec<_>) = outputs.into_iter().unzip();
    let mut ticks = tokio::time::interval(TICK);
    let ticking = chain.keeps_spans();
    loop {
        // Both branches are cancel-safe; the time goes first, or a busy pipeline would never hear of it.
        let items = tokio::select! {
            biased;
            _ = ticks.tick(), if ticking => chain.tick(clock()),
            item = input.recv() => match item {
                Some(item) => chain.process(item, clock()),
                None => break,
            },
        };
        items.into_iter().for_each(|item| fan_out(item, &places, &outputs));
    }
    chain.finish(clock()).into_iter().for_each(|item| fan_out(item, &places, &outputs));
}

/// The same shared bytes to each place. One that is full refuses its copy and holds up nobody else.
fn fan_out(item: Item, places: &[Place], outputs: &[mpsc::Sender<Item>]) {
    let Item { batch, ack } = item;
    for ((ack, place), output) in ack.fan_out(places).into_iter().zip(places).zip(outputs) {
        let copy = match place {
            // Its processors may ask whom it comes from; nobody behind an exporter does.
            Place::Pipeline(_) => batch.clone(),
            Place::Exporter(_) => batch.clone().of_client(None),
        };
        match output.try_send(Item { batch: copy, ack }) {
            Ok(()) => {}
            Err(TrySendError::Full(item)) => {
                let (reason, message) = match place {
                    Place::Exporter(_) => (RefusalReason::QueueFull, "the exporter's queue is full; try again later"),
                    Place::Pipeline(_) => (RefusalReason::PipelineFull, "the pipeline is busy; try again later"),
                };
                item.ack.settle(Outcome::Refused(Refusal::retry(reason, message, QUEUE_RETRY)));
            }
            Err(TrySendError::Closed(item)) => item.ack.settle(Outcome::Refused(Refusal::shutting_down())),
        }
    }
}
