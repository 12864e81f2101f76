//! What is counted of all records, before any sampling: edge coverage in the embedded stores that the receiver's spans go to,
//! and figures to alert on for whoever scrapes the metrics.
//!
//! The stores answer when the counts are on disk, and only then is a delivery accepted; they recognise records that come
//! again. Without an embedded store there is nobody who could ask for coverage, and only the figures are kept; they count a
//! delivery that comes again once more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rootspan_store::coverage::Arrival;
use rootspan_store::store::{IngestError, Store};
use rootspan_wire::cloudfront::observation::{Fate, OTHER, Observations, StatusClass, read};
use tokio::sync::oneshot;

use crate::ack::Refusal;
use crate::exporters::store::refusal;
use crate::runtime::Histogram;

/// Most series of a receiver: distributions times a dozen result types times six classes. The others are [`OTHER`].
const MAX_SERIES: usize = 1000;

/// Most distributions whose durations are told apart.
const MAX_DISTRIBUTIONS: usize = 100;

/// Bounds of durations in milliseconds: a hit takes one or two, an origin that does not answer thirty seconds.
const DURATION_BOUNDS: &[u64] = &[1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000];
const NANOS_PER_MILLI: u64 = 1_000_000;

/// Where counts go; clones share it, and a reload switches it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counting {
    stores: Arc<RwLock<Vec<Store>>>,
    figures: Arc<Figures>,
}

/// Records by distribution, result type and class of status, and how long requests took by distribution.
#[derive(Debug, Default)]
pub(crate) struct Figures(Mutex<Sums>);

#[derive(Debug, Default)]
struct Sums {
    records: BTreeMap<[String; 2], [u64; StatusClass::ALL.len()]>,
    durations: BTreeMap<String, Histogram>,
}

/// One of the figures: distribution, result type, class of status, number.
pub(crate) type Figure = (String, String, &'static str, u64);

impl Counting {
    /// Into these stores.
    pub(crate) fn new(stores: Vec<Store>) -> Self {
        Self { stores: Arc::new(RwLock::new(stores)), figures: Arc::default() }
    }

    /// Into these stores from now on.
    pub(crate) fn switch(&self, stores: Vec<Store>) {
        *self.stores.write().unwrap_or_else(PoisonError::into_inner) = stores;
    }

    /// The figures; they outlive the receiver and do not hold it.
    pub(crate) fn figures(&self) -> Arc<Figures> {
        Arc::clone(&self.figures)
    }

    /// Counts the records of a delivery, and waits until that is on disk.
    pub(super) async fn count(&self, observations: Observations) -> Result<(), Refusal> {
        if observations.is_empty() {
            return Ok(());
        }
        let stores = self.stores.read().unwrap_or_else(PoisonError::into_inner).clone();
        for store in stores {
            let (done, answer) = oneshot::channel();
            // The receiver may be gone when the store answers; nobody waits then.
            store.observe(observations.clone(), Arrival::Delivered, Box::new(move |result| drop(done.send(result))));
            answer.await.unwrap_or(Err(IngestError::Closed)).map_err(|error| refusal(&error))?;
        }
        self.figures.add(&observations);
        Ok(())
    }
}

impl Figures {
    /// All of them that are not zero.
    pub(crate) fn all(&self) -> Vec<Figure> {
        let sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = Vec::new();
        for ([distribution, result_type], counts) in &sums.records {
            for (class, count) in StatusClass::ALL.iter().zip(counts).filter(|(_, count)| **count > 0) {
                all.push((distribution.clone(), result_type.clone(), class.name(), *count));
            }
        }
        all
    }

    /// How long requests took in milliseconds, by distribution.
    pub(crate) fn durations(&self) -> Vec<(String, Histogram)> {
        let sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sums.durations.iter().map(|(distribution, durations)| (distribution.clone(), durations.clone())).collect()
    }

    fn add(&self, observations: &Observations) {
        let mut sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let read = read(observations.bytes(), &mut |record| {
            if matches!(record.fate, Fate::Secondary | Fate::Joined) {
                return;
            }
            let key = [record.distribution.to_owned(), record.result_type.to_owned()];
            let is_other = sums.records.len() >= MAX_SERIES && !sums.records.contains_key(&key);
            let key = if is_other { [OTHER.to_owned(), OTHER.to_owned()] } else { key };
            sums.records.entry(key).or_default()[record.status as usize] += 1;
            let Some(taken) = record.taken_nanos else { return };
            let is_known = sums.durations.contains_key(record.distribution);
            let is_other = sums.durations.len() >= MAX_DISTRIBUTIONS && !is_known;
            let distribution = if is_other { OTHER } else { record.distribution };
            let durations = sums.durations.entry(distribution.to_owned());
            durations.or_insert_with(|| Histogram::new(DURATION_BOUNDS)).record(taken / NANOS_PER_MILLI);
        });
        debug_assert!(read.is_ok(), "the observations were just made");
    }
}

#[cfg(test)]
mod tests;
