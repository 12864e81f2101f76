//! The only place that starts tasks. Each has a name for the log, and an owner: dropping the owner ends the task.

use std::future::Future;
use std::task::Poll;

use tokio::task::{JoinError, JoinHandle, JoinSet};

/// One long-running task, ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Task {
    name: &'static str,
    /// Absent once its end was seen.
    handle: Option<JoinHandle<()>>,
}

/// Starts a task that runs until it ends by itself or its owner is dropped.
pub(crate) fn start(name: &'static str, future: impl Future<Output = ()> + Send + 'static) -> Task {
    Task { name, handle: Some(tokio::spawn(future)) }
}

impl Task {
    /// Waits for the end; at once if it was seen before. Cancel-safe.
    pub(crate) async fn join(&mut self) {
        if let Some(handle) = &mut self.handle {
            let result = handle.await;
            self.handle = None;
            report(self.name, result);
        }
    }

    /// Ends the task and waits until everything that it owned was dropped.
    pub(crate) async fn abort(&mut self) {
        if let Some(handle) = &self.handle {
            handle.abort();
        }
        self.join().await;
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(handle) = &self.handle {
            handle.abort();
        }
    }
}

/// Short tasks of one kind: the connections of a listener, the requests of a connection.
#[derive(Debug)]
pub(crate) struct TaskGroup {
    name: &'static str,
    tasks: JoinSet<()>,
}

impl TaskGroup {
    /// A group without tasks.
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, tasks: JoinSet::new() }
    }

    /// Starts a task of the group.
    pub(crate) fn start(&mut self, future: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(future);
    }

    /// Tasks that have not been seen to end.
    pub(crate) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Waits for the end of any task; at once if there is none. Cancel-safe.
    pub(crate) async fn ended(&mut self) {
        if let Some(result) = self.tasks.join_next().await {
            report(self.name, result);
        }
    }

    /// Waits for the end of all. Cancel-safe.
    pub(crate) async fn join(&mut self) {
        while self.len() > 0 {
            self.ended().await;
        }
    }
}

/// Waits for all of `futures`, side by side in one task; what they give, in order.
pub(crate) async fn all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut is_done = true;
        for (future, output) in waiting.iter_mut().filter(|(_, output)| output.is_none()) {
            match future.as_mut().poll(context) {
                Poll::Ready(value) => *output = Some(value),
                Poll::Pending => is_done = false,
            }
        }
        if is_done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    waiting.into_iter().filter_map(|(_, output)| output).collect()
}

/// Runs `work`, which may take longer than half a millisecond, where it does not hold up other tasks.
pub(crate) async fn blocking<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => Some(value),
        Err(error) => {
            report(name, Err(error));
            None
        }
    }
}

/// Starts a thread for what may block for ever; it ends with the process at the latest.
pub(crate) fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

/// A panic is a bug of ours: it ended one task and nothing else, and the log says which.
fn report(name: &'static str, result: Result<(), JoinError>) {
    if let Err(error) = result
        && error.is_panic()
    {
        tracing::error!(task = name, %error, "task failed");
    }
}

/// Starts the tasks of an HTTP/2 connection of hyper; they end with the connection.
#[derive(Clone, Debug)]
pub(crate) struct HyperExecutor;

impl<F> hyper::rt::Executor<F> for HyperExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        // Hyper owns the life of these: each answers one request and ends with its connection.
        drop(tokio::spawn(future));
    }
}
