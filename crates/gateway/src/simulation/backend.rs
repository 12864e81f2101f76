//! Back ends that fail as a scenario says, and remember what they were given and what they said.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rootspan_testkit::random::Random;
use tokio::time::Instant;

use super::{log, scenario};
use crate::ack::Refusal;
use crate::batch::Batch;
use crate::exporters::{Export, Exported, Exporter};
use crate::ledger::RefusalReason;

/// How long a back end that does not answer is waited for, as by the timeout of a real exporter.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How a back end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Well,
    /// It takes the request but for some spans.
    Partial,
    /// It asks to come back later.
    Busy,
    /// It is not there.
    Gone,
    /// It never takes the request.
    Refusing,
    /// It is silent until the exporter's timeout.
    Silent,
    /// It is silent for ever.
    Hung,
}

impl Mood {
    pub(super) const ALL: [Self; 7] =
        [Self::Well, Self::Partial, Self::Busy, Self::Gone, Self::Refusing, Self::Silent, Self::Hung];
}

/// A time in which a back end is mostly of one mood, else well.
#[derive(Clone, Copy, Debug)]
pub(super) struct Phase {
    pub(super) until: Duration,
    pub(super) mood: Mood,
    pub(super) certainty: f64,
    pub(super) latency: Duration,
}

/// One back end.
#[derive(Clone, Debug)]
pub(super) struct Backend(Arc<Mutex<State>>);

/// What happened at a back end.
#[derive(Debug)]
pub(super) struct State {
    id: String,
    random: Random,
    phases: Vec<Phase>,
    /// Whether one pipeline feeds it: a span that comes again is the same copy.
    gets_each_span_once: bool,
    started: Instant,
    on_the_way: u64,
    /// Most exports at once.
    pub(super) most_on_the_way: u64,
    /// By span: how often it said "delivered".
    pub(super) delivered: BTreeMap<u64, u32>,
    /// How often it did so, and how many spans of requests that it took in part it rejected, in this life of the gateway.
    pub(super) taken_in_life: u64,
    pub(super) rejected_in_life: u64,
    /// Spans that it refused for good at least once.
    pub(super) refused: BTreeSet<u64>,
    /// By span: not to be sent before.
    not_before: BTreeMap<u64, Instant>,
    /// What was done wrong to it.
    pub(super) complaints: Vec<String>,
}

impl Backend {
    pub(super) fn new(described: &scenario::Exporter, gets_each_span_once: bool, seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            id: described.id.clone(),
            random: Random::new(seed),
            phases: described.phases.clone(),
            gets_each_span_once,
            started: Instant::now(),
            on_the_way: 0,
            most_on_the_way: 0,
            delivered: BTreeMap::new(),
            taken_in_life: 0,
            rejected_in_life: 0,
            refused: BTreeSet::new(),
            not_before: BTreeMap::new(),
            complaints: Vec::new(),
        })))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Exporter for Backend {
    fn export(&self, batch: Batch) -> Export {
        let backend = self.clone();
        Box::pin(async move {
            let spans = span_numbers(&batch);
            let (mood, latency, _on_the_way) = backend.begin(&spans);
            tokio::time::sleep(latency).await;
            match mood {
                Mood::Hung => std::future::pending().await,
                Mood::Silent => tokio::time::sleep(TIMEOUT).await,
                _ => {}
            }
            backend.state().answer(mood, &spans)
        })
    }
}

/// An export on its way.
struct OnTheWay(Backend);

impl Drop for OnTheWay {
    fn drop(&mut self) {
        self.0.state().on_the_way -= 1;
    }
}

impl Backend {
    fn begin(&self, spans: &[u64]) -> (Mood, Duration, OnTheWay) {
        let mut state = self.state();
        state.on_the_way += 1;
        state.most_on_the_way = state.most_on_the_way.max(state.on_the_way);
        let now = Instant::now();
        for span in spans {
            if state.gets_each_span_once && state.not_before.get(span).is_some_and(|time| now < *time) {
                let complaint = format!("{}: span {span} was sent again before the time that was asked for", state.id);
                state.complaints.push(complaint);
            }
        }
        let elapsed = now - state.started;
        let phase = *state.phases.iter().find(|phase| elapsed < phase.until).expect("the last phase has no end");
        let certain = state.random.chance(phase.certainty);
        let mood = if certain { phase.mood } else { Mood::Well };
        let latency = phase.latency.mul_f64(state.random.unit());
        log::event(|| format!("{} gets {spans:?}, is {mood:?}", state.id));
        drop(state);
        (mood, latency, OnTheWay(self.clone()))
    }
}

impl State {
    /// The gateway lives again, and knows nothing of what it was told.
    pub(super) fn begin_life(&mut self) {
        (self.taken_in_life, self.rejected_in_life) = (0, 0);
        self.not_before.clear();
    }

    /// From now on it is well.
    pub(super) fn get_well(&mut self) {
        let latency = Duration::from_millis(10);
        self.phases = vec![Phase { until: Duration::MAX, mood: Mood::Well, certainty: 1.0, latency }];
    }

    fn answer(&mut self, mood: Mood, spans: &[u64]) -> Exported {
        let exported = match mood {
            Mood::Well => Exported::DELIVERED,
            // Now and then more than there were: back ends count wrong.
            Mood::Partial => Exported::Delivered { rejected_spans: self.random.between(0, spans.len() as u64 + 2) },
            Mood::Busy => {
                let after = Duration::from_millis(self.random.between(0, 20_000));
                for span in spans {
                    self.not_before.insert(*span, Instant::now() + after);
                }
                Exported::Failed(Refusal::retry(RefusalReason::Unavailable, "busy", after))
            }
            Mood::Refusing => {
                self.refused.extend(spans);
                Exported::Failed(Refusal::never(RefusalReason::RejectedByBackend, "no"))
            }
            Mood::Gone | Mood::Silent | Mood::Hung => {
                Exported::Failed(Refusal::retry(RefusalReason::Unavailable, "gone", Duration::ZERO))
            }
        };
        if let Exported::Delivered { rejected_spans } = &exported {
            self.rejected_in_life += (*rejected_spans).min(spans.len() as u64);
            self.taken_in_life += spans.len() as u64;
            for span in spans {
                *self.delivered.entry(*span).or_default() += 1;
            }
        }
        log::event(|| format!("{} says {exported:?} to {spans:?}", self.id));
        exported
    }
}

/// The spans of a batch by the numbers in their ids.
pub(super) fn span_numbers(batch: &Batch) -> Vec<u64> {
    let number = |id: [u8; 8]| u64::from_be_bytes(id);
    batch
        .traces()
        .expect("every pipeline is of traces")
        .spans()
        .map(|span| number(*span.span.span_id.as_bytes()))
        .collect()
}
