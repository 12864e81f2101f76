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

/// Most series of a receiver: distributions times a dozen result types times six classes. The others are [`OTHER`].
const MAX_SERIES: usize = 1000;

/// Where counts go; clones share it, and a reload switches it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counting {
    stores: Arc<RwLock<Vec<Store>>>,
    figures: Arc<Figures>,
}

/// Records by distribution, result type and class of status.
#[derive(Debug, Default)]
pub(crate) struct Figures(Mutex<BTreeMap<[String; 2], [u64; StatusClass::ALL.len()]>>);

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
        let figures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = Vec::new();
        for ([distribution, result_type], counts) in figures.iter() {
            for (class, count) in StatusClass::ALL.iter().zip(counts).filter(|(_, count)| **count > 0) {
                all.push((distribution.clone(), result_type.clone(), class.name(), *count));
            }
        }
        all
    }

    fn add(&self, observations: &Observations) {
        let mut figures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let read = read(observations.bytes(), &mut |record| {
            if matches!(record.fate, Fate::Secondary | Fate::Joined) {
                return;
            }
            let key = [record.distribution.to_owned(), record.result_type.to_owned()];
            let is_other = figures.len() >= MAX_SERIES && !figures.contains_key(&key);
            let key = if is_other { [OTHER.to_owned(), OTHER.to_owned()] } else { key };
            figures.entry(key).or_default()[record.status as usize] += 1;
        });
        debug_assert!(read.is_ok(), "the observations were just made");
    }
}

#[cfg(test)]
mod tests;
