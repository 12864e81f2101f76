//! The one place where this crate starts tasks.

use std::future::Future;

use tokio::task::JoinHandle;

/// Starts a task; a panic in it is reported under `name`. Aborting the handle ends the task.
pub(crate) fn spawn<F>(name: &'static str, future: F) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let report = PanicReport { name, report: |name| tracing::error!(task = name, "task panicked") };
    tokio::spawn(async move {
        future.await;
        drop(report);
    })
}

/// Lives in the task: a panic drops it while it unwinds.
struct PanicReport {
    name: &'static str,
    report: fn(&'static str),
}

impl Drop for PanicReport {
    fn drop(&mut self) {
        if std::thread::panicking() {
            (self.report)(self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::PanicReport;

    static REPORTS: AtomicUsize = AtomicUsize::new(0);

    fn count(_name: &'static str) {
        REPORTS.fetch_add(1, Ordering::Relaxed);
    }

    #[tokio::test]
    async fn only_a_panic_is_reported() {
        for (is_broken, reports) in [(false, 0), (true, 1)] {
            let report = PanicReport { name: "test", report: count };
            let task = tokio::spawn(async move {
                tokio::task::yield_now().await;
                assert!(!is_broken, "this panic belongs to the test");
                drop(report);
            });
            assert_eq!(task.await.is_err(), is_broken);
            assert_eq!(REPORTS.load(Ordering::Relaxed), reports);
        }
    }
}
