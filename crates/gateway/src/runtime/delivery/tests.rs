//! Delivery with stepped time and an exporter that fails as told. The ledger balances after every step.

use std::collections::VecDeque;
use std::sync::Mutex;

use opentelemetry_proto::tonic::trace::v1::Span;
use rootspan_wire::otlp::payload::Signal;
use tokio::sync::oneshot;

use super::*;
use crate::exporters::{Export, Exported};
use crate::ledger::{ExporterAccount, Ledger};
use crate::tasks::{self, Task};

/// Answers as told, in order, then takes everything; remembers how many spans each attempt had.
#[derive(Debug, Default)]
struct Faulty {
    answers: Mutex<VecDeque<Exported>>,
    attempts: Mutex<Vec<usize>>,
    /// While this is locked, nothing is answered.
    gate: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Handle(Arc<Faulty>);

impl Exporter for Handle {
    fn export(&self, batch: Batch) -> Export {
        let faulty = Arc::clone(&self.0);
        Box::pin(async move {
            faulty.attempts.lock().expect("sound").push(batch.items() as usize);
            let _open = faulty.gate.lock().await;
            faulty.answers.lock().expect("sound").pop_front().unwrap_or(Exported::DELIVERED)
        })
    }
}

fn busy(seconds: u64) -> Exported {
    Exported::Failed(Refusal::retry(RefusalReason::Unavailable, "busy", Duration::from_secs(seconds)))
}

fn never() -> Exported {
    Exported::Failed(Refusal::never(RefusalReason::RejectedByBackend, "no"))
}

struct Bench {
    ledger: Arc<Ledger>,
    budget: Arc<Budget>,
    faulty: Arc<Faulty>,
    input: Option<mpsc::Sender<Item>>,
    task: Task,
    next_id: u8,
}

fn settings() -> Settings {
    let retry = RetryConfig {
        enabled: true,
        initial_interval: Duration::from_secs(1),
        randomization_factor: 0.0,
        multiplier: 2.0,
        max_interval: Duration::from_secs(30),
        max_elapsed_time: Some(Duration::from_secs(60)),
    };
    let limit = Limit { size: 4, sizer: Sizer::Requests, blocks: false, on_full: OnFull::Refuse };
    Settings { consumers: 1, takes_over: true, limit: Some(limit), merging: None, retry: Some(retry) }
}

impl Bench {
    fn new(settings: Settings, answers: impl IntoIterator<Item = Exported>) -> Self {
        let name = |name: &str| vec![(name.to_owned(), Signal::Traces)];
        let ledger = Arc::new(Ledger::new(&name("in"), &name("traces"), &name("out")));
        let budget = Budget::new(1 << 20);
        let faulty = Arc::new(Faulty { answers: Mutex::new(answers.into_iter().collect()), ..Default::default() });
        let (sender, input) = mpsc::channel(WAITING_BATCHES);
        let exporter = Arc::new(Handle(Arc::clone(&faulty)));
        let capacity = settings.limit.map(|limit| (limit.size, limit.sizer));
        let outlet = Outlet {
            exporter,
            state: DeliveryState::new("out".to_owned(), Signal::Traces, capacity, settings.consumers),
            settings,
            budget: Arc::clone(&budget),
            scatter: Scatter::seeded(1),
            clock: Arc::new(|| UnixNanos(1)),
            storage: None,
        };
        let task = tasks::start("delivery", run(input, outlet));
        Self { ledger, budget, faulty, input: Some(sender), task, next_id: 1 }
    }

    /// Sends a batch; what its sender will hear.
    async fn send(&mut self, spans: usize) -> oneshot::Receiver<Outcome> {
        let span = |index: usize| Span {
            trace_id: vec![self.next_id; 16],
            span_id: vec![index as u8 + 1; 8],
            ..Default::default()
        };
        let (item, answer) = testing::item(&self.ledger, &self.budget, (0..spans).map(span).collect());
        self.next_id += 1;
        self.input.as_ref().expect("not finished").send(item).await.expect("delivery runs");
        self.settle().await;
        answer
    }

    /// Lets everything happen that can happen now.
    async fn settle(&self) {
        testing::settle(&self.ledger).await;
    }

    fn account(&self) -> ExporterAccount {
        self.ledger.snapshot().exporters.remove(0)
    }

    fn attempts(&self) -> Vec<usize> {
        self.faulty.attempts.lock().expect("sound").clone()
    }

    /// Closes the input and waits for the end, as long as it takes.
    async fn finish(mut self) -> ExporterAccount {
        self.input = None;
        self.task.join().await;
        let snapshot = self.ledger.snapshot();
        assert_eq!(snapshot.imbalances(), Vec::<String>::new());
        assert_eq!(snapshot.in_flight(), 0);
        assert_eq!(self.budget.used(), 0, "every byte is given back");
        self.account()
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_takes_over_and_retries_until_it_is_delivered() {
    let mut bench = Bench::new(settings(), [busy(0), busy(0), busy(20)]);
    let begun = Instant::now();
    let mut answer = bench.send(3).await;
    assert_eq!(answer.try_recv(), Ok(Outcome::Delivered), "queued is accepted");
    assert_eq!(bench.account().queued, 3);
    let account = bench.finish().await;
    assert_eq!((account.delivered, account.dropped.total()), (3, 0));
    // 1 s, 2 s, then the 20 s that the back end asked for.
    assert_eq!(begun.elapsed(), Duration::from_secs(23));
}

#[tokio::test(start_paused = true)]
async fn without_a_queue_the_sender_hears_the_end() {
    let direct = Settings { takes_over: false, limit: None, ..settings() };
    let mut bench = Bench::new(direct, [busy(0), never()]);
    let answer = bench.send(2).await;
    let Ok(Outcome::Refused(refusal)) = answer.await else { panic!("it was refused") };
    assert_eq!((refusal.reason, refusal.retry_after), (RefusalReason::RejectedByBackend, None));
    assert_eq!(bench.send(1).await.await, Ok(Outcome::Delivered));
    let account = bench.finish().await;
    assert_eq!((account.delivered, account.refused.of(RefusalReason::RejectedByBackend)), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn what_is_never_taken_is_dropped_by_name() {
    let mut bench = Bench::new(settings(), [never(), Exported::Delivered { rejected_spans: 2 }]);
    drop(bench.send(3).await);
    drop(bench.send(5).await);
    bench.faulty.answers.lock().expect("sound").extend(std::iter::repeat_n(busy(0), 100));
    drop(bench.send(7).await);
    let account = bench.finish().await;
    assert_eq!(account.delivered, 3);
    assert_eq!(account.dropped.of(DropReason::RejectedByBackend), 3 + 2);
    assert_eq!(account.dropped.of(DropReason::RetryTimeout), 7);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_or_drops_or_waits() {
    let mut bench = Bench::new(settings(), []);
    let faulty = Arc::clone(&bench.faulty);
    let closed = faulty.gate.lock().await;
    for _ in 0..4 {
        assert_eq!(bench.send(1).await.try_recv(), Ok(Outcome::Delivered));
    }
    let Ok(Outcome::Refused(refusal)) = bench.send(1).await.try_recv() else { panic!("the queue is full") };
    assert_eq!((refusal.reason, refusal.retry_after), (RefusalReason::QueueFull, Some(QUEUE_RETRY)));
    drop(closed);
    assert_eq!(bench.finish().await.delivered, 4);

    let limit = |blocks, on_full| Some(Limit { size: 10, sizer: Sizer::Items, blocks, on_full });
    let mut bench = Bench::new(Settings { limit: limit(false, OnFull::Drop), ..settings() }, []);
    let faulty = Arc::clone(&bench.faulty);
    let closed = faulty.gate.lock().await;
    assert_eq!(bench.send(30).await.try_recv(), Ok(Outcome::Delivered), "an empty queue takes everything");
    assert_eq!(bench.send(1).await.try_recv(), Ok(Outcome::Delivered), "nobody is told");
    assert_eq!(bench.account().dropped.of(DropReason::QueueFull), 1);
    drop(closed);
    assert_eq!(bench.finish().await.delivered, 30);

    let mut bench = Bench::new(Settings { limit: limit(true, OnFull::Refuse), ..settings() }, []);
    let faulty = Arc::clone(&bench.faulty);
    let closed = faulty.gate.lock().await;
    drop(bench.send(10).await);
    let mut waits = bench.send(5).await;
    assert!(waits.try_recv().is_err(), "it waits in front of the queue");
    drop(closed);
    assert_eq!(waits.await, Ok(Outcome::Delivered));
    assert_eq!(bench.finish().await.delivered, 15);
}

fn merging(min_size: u64, max_size: u64) -> Settings {
    let merging = Merging { timeout: Duration::from_millis(200), min_size, max_size, sizer: Sizer::Items };
    let limit = Limit { size: 100, sizer: Sizer::Requests, blocks: false, on_full: OnFull::Refuse };
    Settings { merging: Some(merging), limit: Some(limit), ..settings() }
}

#[tokio::test(start_paused = true)]
async fn requests_are_merged_by_size_and_by_time() {
    let mut bench = Bench::new(merging(10, 12), []);
    for _ in 0..3 {
        drop(bench.send(4).await);
    }
    assert_eq!(bench.attempts(), [12], "enough is there");
    let begun = Instant::now();
    drop(bench.send(3).await);
    drop(bench.send(4).await);
    assert_eq!(bench.attempts(), [12], "not yet");
    tokio::time::sleep(Duration::from_millis(200)).await;
    bench.settle().await;
    assert_eq!(bench.attempts(), [12, 7]);
    assert!(begun.elapsed() < Duration::from_millis(220));
    // Never more than the largest; what is longer by itself goes in parts.
    for spans in [8, 8, 30] {
        drop(bench.send(spans).await);
    }
    drop(bench.send(1).await);
    let account = bench.finish().await;
    assert_eq!(account.delivered, 19 + 47);
}

#[tokio::test(start_paused = true)]
async fn a_merged_request_that_is_refused_for_good_is_tried_as_its_originals() {
    let mut bench = Bench::new(merging(6, 0), [never(), Exported::DELIVERED, never()]);
    for spans in [1, 2, 3] {
        drop(bench.send(spans).await);
    }
    bench.settle().await;
    assert_eq!(bench.attempts(), [6, 1, 2, 3]);
    let account = bench.finish().await;
    assert_eq!((account.delivered, account.dropped.of(DropReason::RejectedByBackend)), (4, 2));
}

#[tokio::test(start_paused = true)]
async fn what_is_cut_off_is_counted() {
    let mut bench = Bench::new(settings(), [busy(0)]);
    let faulty = Arc::clone(&bench.faulty);
    let _closed = faulty.gate.lock().await;
    drop(bench.send(3).await);
    drop(bench.send(4).await);
    bench.task.abort().await;
    bench.settle().await;
    let account = bench.account();
    assert_eq!((account.queued, account.dropped.of(DropReason::DrainDeadline)), (0, 7));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_too_long_is_sent_in_parts() {
    let answers = [Exported::DELIVERED, never(), Exported::Delivered { rejected_spans: 1 }];
    let mut bench = Bench::new(merging(4, 4), answers);
    drop(bench.send(10).await);
    bench.settle().await;
    assert_eq!(bench.attempts(), [4, 4, 2]);
    let account = bench.account();
    assert_eq!((account.delivered, account.dropped.of(DropReason::RejectedByBackend), account.queued), (5, 5, 0));
    // What was delivered before it gave up is counted as that.
    bench.faulty.answers.lock().expect("sound").extend([Exported::DELIVERED].into_iter().chain(vec![busy(0); 100]));
    drop(bench.send(9).await);
    let account = bench.finish().await;
    assert_eq!((account.delivered, account.dropped.of(DropReason::RetryTimeout)), (5 + 4, 5));

    let waits = Settings { takes_over: false, limit: None, ..merging(4, 4) };
    let mut bench = Bench::new(waits, [Exported::DELIVERED].into_iter().chain(vec![busy(0); 100]));
    let answer = bench.send(9).await;
    let Ok(Outcome::Refused(refusal)) = answer.await else { panic!("it is not all there") };
    assert!(refusal.retry_after.is_some());
    let account = bench.finish().await;
    assert_eq!((account.delivered, account.refused.of(RefusalReason::Unavailable)), (4, 5));
}
