//! Questions to the store: one thread each, a limited number at once, with deadline, byte budget and cancellation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::StatusCode;
use rootspan_model::ids::TraceId;
use rootspan_store::store::{QueryLimits, Store};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::cache::{Freshness, TraceCache};
use crate::error::ApiError;
use crate::limits;
use crate::loaded_trace::LoadedTrace;

/// The store, as requests may use it.
#[derive(Debug)]
pub(crate) struct Queries {
    store: Store,
    cache: TraceCache,
    turns: Arc<Semaphore>,
    exports: Arc<Semaphore>,
    queue_wait: Duration,
}

/// What one query gets.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    /// Where to read.
    pub(crate) store: &'a Store,
    /// How much.
    pub(crate) limits: QueryLimits,
    cache: &'a TraceCache,
}

impl Scope<'_> {
    /// The whole trace, from the cache if it is fresh enough; 404 if there is none.
    pub(crate) fn trace(&self, id: &TraceId, freshness: Freshness) -> Result<Arc<LoadedTrace>, ApiError> {
        self.cache.load(self.store, id, &self.limits, freshness)?.ok_or_else(|| {
            let missing = self.store.missing().map(|missing| format!(" ({missing})")).unwrap_or_default();
            ApiError::not_found(format!("there is no trace {id}{missing}"))
                .hint("it may not have arrived yet, may not have been sampled, or is older than the retention")
        })
    }
}

impl Queries {
    /// Questions to `store`.
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            cache: TraceCache::new(limits::CACHE_BYTES),
            turns: Arc::new(Semaphore::new(limits::CONCURRENT_QUERIES)),
            exports: Arc::new(Semaphore::new(limits::CONCURRENT_EXPORTS)),
            queue_wait: limits::QUEUE_WAIT,
        }
    }

    /// Runs `work` on a thread of the blocking pool when a turn is free. If the caller goes away, that is if this
    /// future is dropped, the query is told to stop.
    pub(crate) async fn run<T, F>(self: &Arc<Self>, work: F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: FnOnce(&Scope<'_>) -> Result<T, ApiError> + Send + 'static,
    {
        let turn = self.turn(&self.turns).await?;
        let queries = Arc::clone(self);
        let cancel = Arc::new(AtomicBool::new(false));
        let on_drop = CancelOnDrop(Arc::clone(&cancel));
        let result = on_thread(move || {
            let limits = QueryLimits { deadline: limits::QUERY_DEADLINE, bytes: limits::QUERY_BYTES, cancel };
            let result = work(&Scope { store: &queries.store, cache: &queries.cache, limits });
            drop(turn);
            result
        })
        .await;
        drop(on_drop);
        result
    }

    /// Runs `work` on a thread at once: for what only waits for a lock, and must be answered also when all turns are
    /// taken.
    pub(crate) async fn glance<T, F>(self: &Arc<Self>, work: F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: FnOnce(&Store) -> Result<T, ApiError> + Send + 'static,
    {
        let queries = Arc::clone(self);
        on_thread(move || work(&queries.store)).await
    }

    /// A turn for an export: held while the client reads, so it must not take one from the queries.
    pub(crate) async fn export_turn(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        self.turn(&self.exports).await
    }

    async fn turn(&self, semaphore: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, ApiError> {
        match tokio::time::timeout(self.queue_wait, Arc::clone(semaphore).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            // The semaphore is never closed; both cases mean that there is no turn.
            Ok(Err(_)) | Err(_) => {
                let message = format!("too many queries are running; none ended within {:?}", self.queue_wait);
                Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, message).hint("try again"))
            }
        }
    }
}

async fn on_thread<T, F>(work: F) -> Result<T, ApiError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, ApiError> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        tracing::error!(error = %error, "query panicked");
        Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "the query failed; this is a defect of rootspan"))
    })
}

/// Sets the flag when it is dropped.
#[derive(Debug)]
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
