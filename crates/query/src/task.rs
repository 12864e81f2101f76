//! The one place where this crate starts tasks.

use std::future::Future;

use tokio::task::JoinHandle;

/// Starts a task whose end is reported when it was a panic. `name` is a constant word for the log.
pub(crate) fn spawn<F>(name: &'static str, future: F) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(async move {
        // The inner task turns a panic into a value, so that it is reported here and nowhere else.
        if let Err(error) = tokio::spawn(future).await
            && error.is_panic()
        {
            tracing::error!(task = name, "task panicked");
        }
    })
}
