//! Delivery with a queue on a disk in memory, in stepped time: crashes everywhere, damage, full disks, restarts.

use std::collections::BTreeMap;
use std::sync::Mutex;

use opentelemetry_proto::tonic::trace::v1::Span;
use rootspan_journal::directory::faulty::{Faults, FaultyDirectory};
use rootspan_journal::directory::memory::{MemoryDirectory, Survival};
use rootspan_wire::otlp::payload::Signal;
use tokio::sync::{mpsc, oneshot, watch};

use super::*;
use crate::exporters::sending::{RetryConfig, Sizer};
use crate::exporters::{Export, Exported, Exporter};
use crate::ledger::ExporterAccount;
use crate::runtime::delivery::state::DeliveryState;
use crate::runtime::delivery::{Merging, Outlet, Scatter, Settings as DeliverySettings, WAITING_BATCHES, run, testing};
use crate::tasks::Task;

/// What a back end says to everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Takes,
    Busy,
    Refuses,
}

/// A back end that remembers how often it took each span, by number.
#[derive(Clone, Debug)]
struct Backend {
    mood: watch::Receiver<Mood>,
    taken: Arc<Mutex<BTreeMap<u64, u32>>>,
}

impl Exporter for Backend {
    fn export(&self, batch: Batch) -> Export {
        let backend = self.clone();
        Box::pin(async move {
            // As over a network, the answer is not there at once.
            tokio::time::sleep(Duration::from_millis(1)).await;
            let mood = *backend.mood.borrow();
            match mood {
                Mood::Takes => {
                    let traces = batch.traces().expect("all are spans");
                    let mut taken = backend.taken.lock().expect("sound");
                    for span in traces.spans() {
                        *taken.entry(u64::from_be_bytes(*span.span.span_id.as_bytes())).or_default() += 1;
                    }
                    Exported::DELIVERED
                }
                Mood::Busy => {
                    Exported::Failed(Refusal::retry(RefusalReason::Unavailable, "busy", Duration::from_millis(10)))
                }
                Mood::Refuses => Exported::Failed(Refusal::never(RefusalReason::RejectedByBackend, "no such tenant")),
            }
        })
    }
}

/// One life of a gateway: a delivery over a disk.
struct Life {
    ledger: Arc<Ledger>,
    budget: Arc<Budget>,
    state: Arc<DeliveryState>,
    mood: watch::Sender<Mood>,
    taken: Arc<Mutex<BTreeMap<u64, u32>>>,
    input: Option<mpsc::Sender<Item>>,
    task: Task,
    /// Numbers of the next span.
    next: u64,
}

fn settings(limit: u64, sizer: Sizer) -> DeliverySettings {
    let retry = RetryConfig {
        enabled: true,
        initial_interval: Duration::from_millis(50),
        randomization_factor: 0.0,
        multiplier: 2.0,
        max_interval: Duration::from_secs(1),
        max_elapsed_time: Some(Duration::ZERO),
    };
    let limit = Limit { size: limit, sizer, blocks: false, on_full: OnFull::Refuse };
    DeliverySettings { consumers: 2, takes_over: true, limit: Some(limit), merging: None, retry: Some(retry) }
}

fn merging() -> DeliverySettings {
    let merging = Merging { timeout: Duration::from_millis(200), min_size: 20, max_size: 0, sizer: Sizer::Items };
    DeliverySettings { merging: Some(merging), ..settings(1000, Sizer::Requests) }
}

fn storage_settings() -> Settings {
    let dead_letters = DeadLetterLimits { max_bytes: 1 << 20, retention: Duration::ZERO };
    Settings {
        exporter: "out".to_owned(),
        folder: "a disk in memory".to_owned(),
        min_free_percent: 0.0,
        dead_letters,
        segment_bytes: 32 << 20,
        hands: Hands::Inline,
    }
}

impl Life {
    fn begin(disk: Arc<dyn Directory>, settings: DeliverySettings, mood: Mood) -> Result<Self, OpenError> {
        Self::begin_with(disk, settings, mood, storage_settings(), 8 << 20)
    }

    fn begin_with(
        disk: Arc<dyn Directory>,
        settings: DeliverySettings,
        mood: Mood,
        storage: Settings,
        budget: u64,
    ) -> Result<Self, OpenError> {
        let name = |name: &str| vec![(name.to_owned(), Signal::Traces)];
        let ledger = Arc::new(Ledger::new(&name("in"), &name("traces"), &name("out")));
        let budget = Budget::new(budget);
        let clock: Clock = Arc::new(|| UnixNanos(1_000_000_000));
        let storage = Storage::open(disk, storage, (Arc::clone(&ledger), ExporterIndex(0)), Arc::clone(&clock))?;
        let (mood, receiver) = watch::channel(mood);
        let taken = Arc::default();
        let backend = Backend { mood: receiver, taken: Arc::clone(&taken) };
        let capacity = settings.limit.map(|limit| (limit.size, limit.sizer));
        let state = DeliveryState::new("out".to_owned(), Signal::Traces, capacity, settings.consumers);
        let outlet = Outlet {
            exporter: Arc::new(backend),
            settings,
            budget: Arc::clone(&budget),
            scatter: Scatter::seeded(1),
            clock,
            state: Arc::clone(&state),
            storage: Some(storage),
        };
        let (sender, input) = mpsc::channel(WAITING_BATCHES);
        let task = crate::tasks::start("delivery", run(input, outlet));
        Ok(Self { ledger, budget, state, mood, taken, input: Some(sender), task, next: 1 })
    }

    /// Sends spans with the next numbers; what their sender will hear.
    async fn send(&mut self, spans: u64, padding: usize) -> oneshot::Receiver<Outcome> {
        let span = |number: u64| Span {
            trace_id: vec![7; 16],
            span_id: number.to_be_bytes().to_vec(),
            name: "x".repeat(padding),
            ..Default::default()
        };
        let spans_of = (self.next..self.next + spans).map(span).collect();
        self.next += spans;
        let (item, answer) = testing::item(&self.ledger, &self.budget, spans_of);
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

    fn taken(&self) -> BTreeMap<u64, u32> {
        self.taken.lock().expect("sound").clone()
    }

    /// Waits until nothing is queued.
    async fn drain(&self) {
        let drained = async {
            while self.account().queued > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
                assert_eq!(self.ledger.snapshot().imbalances(), Vec::<String>::new());
            }
        };
        tokio::time::timeout(Duration::from_secs(600), drained).await.expect("the back end takes everything");
        // What was delivered is recorded, and files are tidied up.
        tokio::time::sleep(Duration::from_secs(3)).await;
    }

    /// Stops in order.
    async fn finish(mut self) -> ExporterAccount {
        self.input = None;
        tokio::time::timeout(Duration::from_secs(5), self.task.join()).await.expect("nothing is to be drained");
        let snapshot = self.ledger.snapshot();
        assert_eq!(snapshot.imbalances(), Vec::<String>::new());
        assert_eq!(snapshot.in_flight(), 0);
        assert_eq!(self.budget.used(), 0, "every byte is given back");
        self.account()
    }

    /// Dies.
    async fn abort(mut self) {
        self.task.abort().await;
    }
}

fn directory(disk: &MemoryDirectory) -> Arc<dyn Directory> {
    Arc::new(disk.clone())
}

#[tokio::test(start_paused = true)]
async fn what_was_not_delivered_is_delivered_after_the_next_start() {
    let disk = MemoryDirectory::new();
    let mut life = Life::begin(directory(&disk), settings(100, Sizer::Requests), Mood::Busy).expect("it opens");
    for _ in 0..5 {
        assert_eq!(life.send(10, 20).await.try_recv(), Ok(Outcome::Delivered), "on disk is accepted");
    }
    let begun = Instant::now();
    let account = life.finish().await;
    assert_eq!((account.queued, account.stored, account.dropped.total()), (50, 50, 0));
    assert!(begun.elapsed() < Duration::from_millis(100), "nobody waits for the back end");

    let life = Life::begin(directory(&disk), settings(100, Sizer::Requests), Mood::Takes).expect("it opens");
    assert_eq!((life.account().recovered, life.account().queued), (50, 50));
    life.drain().await;
    assert_eq!(life.taken(), (1..=50).map(|number| (number, 1)).collect());
    assert_eq!(life.state.snapshot().disk.expect("it is on disk").requests, 0);
    let account = life.finish().await;
    assert_eq!((account.recovered, account.delivered, account.queued), (50, 50, 0));

    let life = Life::begin(directory(&disk), settings(100, Sizer::Requests), Mood::Takes).expect("it opens");
    assert_eq!(life.finish().await.recovered, 0, "nothing is sent twice after an orderly stop");
}

#[tokio::test(start_paused = true)]
async fn one_queue_has_one_owner() {
    let disk = MemoryDirectory::new();
    let life = Life::begin(directory(&disk), settings(1, Sizer::Requests), Mood::Takes).expect("it opens");
    let error = Life::begin(directory(&disk), settings(1, Sizer::Requests), Mood::Takes).err().expect("it is in use");
    assert!(matches!(error, OpenError::Lock(_)), "{error}");
    life.finish().await;
    Life::begin(directory(&disk), settings(1, Sizer::Requests), Mood::Takes).expect("it is free again").finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_back_end_fills_the_disk_not_the_memory_and_order_is_kept() {
    let disk = MemoryDirectory::new();
    // An eighth of 1 MiB may stay in memory.
    let settings = settings(200, Sizer::Requests);
    let life = Life::begin_with(directory(&disk), settings, Mood::Busy, storage_settings(), 1 << 20);
    let mut life = life.expect("it opens");
    for _ in 0..200 {
        assert_eq!(life.send(4, 5_000).await.try_recv(), Ok(Outcome::Delivered));
        assert!(life.budget.used() <= (1 << 20) / 8 + 21_000, "{} bytes are in memory", life.budget.used());
    }
    let Ok(Outcome::Refused(refusal)) = life.send(4, 5_000).await.try_recv() else { panic!("it is full") };
    assert_eq!((refusal.reason, refusal.retry_after), (RefusalReason::QueueFull, Some(QUEUE_RETRY)));
    tokio::time::sleep(Duration::from_millis(10)).await;
    let snapshot = life.state.snapshot();
    let fill = snapshot.disk.clone().expect("it is on disk");
    assert_eq!((fill.requests, fill.items), (200, 800));
    assert!(fill.file_bytes > fill.request_bytes && fill.request_bytes > 200 * 20_000, "{fill:?}");
    assert!(snapshot.memory_bytes < 200_000 && snapshot.last_error.is_some(), "{snapshot:?}");
    life.mood.send_replace(Mood::Takes);
    life.drain().await;
    assert_eq!(life.taken(), (1..=800).map(|number| (number, 1)).collect());
    assert!(life.state.snapshot().disk.expect("it is on disk").file_bytes < 1 << 20, "files are removed");
    assert_eq!(life.finish().await.delivered, 800);
}

#[tokio::test(start_paused = true)]
async fn merged_requests_survive_a_kill_before_they_are_sent() {
    let disk = FaultyDirectory::new(MemoryDirectory::new(), Faults::default());
    let mut life = Life::begin(Arc::new(disk.clone()), merging(), Mood::Takes).expect("it opens");
    assert_eq!(life.send(5, 10).await.try_recv(), Ok(Outcome::Delivered), "it waits for others");
    assert_eq!(life.taken(), BTreeMap::new());
    let killed = disk.kill();
    life.abort().await;
    let life = Life::begin(directory(&killed), merging(), Mood::Takes).expect("it opens");
    life.drain().await;
    assert_eq!(life.taken(), (1..=5).map(|number| (number, 1)).collect());
    life.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_disk_without_space_refuses_and_a_delivery_makes_space() {
    let disk = MemoryDirectory::new();
    let storage = Settings { min_free_percent: 50.0, ..storage_settings() };
    let settings = settings(1000, Sizer::Requests);
    let mut life = Life::begin_with(directory(&disk), settings, Mood::Busy, storage, 8 << 20).expect("it opens");
    disk.set_capacity(100_000);
    let mut accepted = 0;
    let refusal = loop {
        match life.send(1, 10_000).await.try_recv() {
            Ok(Outcome::Delivered) => accepted += 1,
            Ok(Outcome::Refused(refusal)) => break refusal,
            Err(error) => panic!("it is answered: {error}"),
        }
    };
    assert_eq!(refusal.reason, RefusalReason::DiskFull);
    assert!(refusal.retry_after.is_some() && accepted == 5, "{accepted} of 10 are half");
    disk.set_capacity(10 << 20);
    assert_eq!(life.send(1, 10_000).await.try_recv(), Ok(Outcome::Delivered));
    life.mood.send_replace(Mood::Takes);
    life.drain().await;
    assert_eq!(life.finish().await.delivered, 6);
}

#[tokio::test(start_paused = true)]
async fn what_the_back_end_refuses_for_good_is_kept_as_a_dead_letter() {
    let disk = MemoryDirectory::new();
    let mut life = Life::begin(directory(&disk), settings(10, Sizer::Requests), Mood::Refuses).expect("it opens");
    assert_eq!(life.send(3, 10).await.try_recv(), Ok(Outcome::Delivered));
    life.drain().await;
    let fill = life.state.snapshot().disk.expect("it is on disk");
    assert_eq!((fill.requests, fill.dead_letters), (0, 1));
    let account = life.finish().await;
    assert_eq!(account.dropped.of(DropReason::RejectedByBackend), 3);
    let mut found = Vec::new();
    let mut visit = |_: Sequence, _: Sequence, payload: bytes::Bytes| {
        found.extend(frame::DeadLetter::decode(&payload));
        Ok(())
    };
    let options = rootspan_journal::journal::Options::default();
    let extent = rootspan_journal::journal::Extent::All;
    rootspan_journal::journal::Journal::open_passing_over(
        directory(&disk),
        "dead-letters",
        options,
        extent,
        &mut visit,
    )
    .expect("it opens");
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].items, found[0].reason.as_str()), (3, "no such tenant"));
}

#[tokio::test(start_paused = true)]
async fn damage_costs_what_is_damaged_and_is_counted() {
    let memory = MemoryDirectory::new();
    let mut life = Life::begin(directory(&memory), settings(100, Sizer::Requests), Mood::Busy).expect("it opens");
    for _ in 0..9 {
        assert_eq!(life.send(10, 20).await.try_recv(), Ok(Outcome::Delivered));
    }
    life.finish().await;
    let name = memory.list("queue").expect("it is there").remove(0);
    let path = format!("queue/{}", name.name);
    // Every 997th bit: some in each kind of field.
    for bit in (0..name.length * 8).step_by(997) {
        let disk = memory.after_power_loss(Survival::Everything);
        disk.flip_bit(&path, bit).expect("the file is that long");
        let life = Life::begin(directory(&disk), settings(100, Sizer::Requests), Mood::Takes).expect("it opens");
        life.drain().await;
        let taken = life.taken();
        let account = life.finish().await;
        assert_eq!(account.delivered, taken.len() as u64, "bit {bit}");
        assert!(taken.len() >= 80, "bit {bit}: {} spans are left", taken.len());
        // In the last frame nothing tells damage from a torn write.
        let counted = account.dropped.of(DropReason::StorageCorrupt);
        let is_last = taken.keys().last() < Some(&90);
        assert!(counted + account.delivered == 90 || is_last && account.recovered == 80, "bit {bit}: {account:?}");
    }
}

/// Each long request fills a segment.
fn short_segments() -> Settings {
    Settings { segment_bytes: 20_000, ..storage_settings() }
}

/// What senders were told in a life, by the number of the first span.
type Told = BTreeMap<u64, (u64, bool)>;

/// A scripted life: the disk fails at some point of it. Returns what was accepted.
async fn scripted(disk: &FaultyDirectory, settings: DeliverySettings) -> (Told, BTreeMap<u64, u32>) {
    let mut told = Told::new();
    let begun = Life::begin_with(Arc::new(disk.clone()), settings, Mood::Busy, short_segments(), 8 << 20);
    let Ok(mut life) = begun else { return (told, BTreeMap::new()) };
    let mut sent = Vec::new();
    for step in 0..12_u64 {
        let first = life.next;
        let spans = step % 4 + 1;
        // Some are long: they do not stay in memory.
        let padding = if step % 3 == 0 { 40_000 } else { 30 };
        sent.push((first, spans, life.send(spans, padding).await));
        match step {
            3 => drop(life.mood.send_replace(Mood::Takes)),
            6 => drop(life.mood.send_replace(Mood::Busy)),
            _ => {}
        }
        if step % 2 == 1 {
            tokio::time::sleep(Duration::from_millis(120)).await;
        }
    }
    let taken = life.taken();
    life.abort().await;
    for (first, spans, mut answer) in sent {
        told.insert(first, (spans, answer.try_recv() == Ok(Outcome::Delivered)));
    }
    (told, taken)
}

fn missing(told: &Told, lives: [&BTreeMap<u64, u32>; 2]) -> Vec<u64> {
    let accepted = told.iter().filter(|(_, (_, is_accepted))| *is_accepted);
    let numbers = accepted.flat_map(|(first, (spans, _))| *first..*first + *spans);
    numbers.filter(|number| lives.iter().all(|taken| !taken.contains_key(number))).collect()
}

#[tokio::test(start_paused = true)]
async fn no_accepted_span_is_lost_when_the_power_fails_in_any_operation() {
    for is_merging in [false, true] {
        let settings = || if is_merging { merging() } else { settings(1000, Sizer::Requests) };
        let whole = FaultyDirectory::new(MemoryDirectory::new(), Faults::default());
        let (told, _) = scripted(&whole, settings()).await;
        assert!(told.values().all(|(_, is_accepted)| *is_accepted), "without faults everything is accepted");
        for at in 0..whole.operations() {
            for (seed, survival) in [(1, Survival::Nothing), (2, Survival::Everything), (3, Survival::Random(at))] {
                let faults = Faults { seed, power_fails_at: Some(at), ..Faults::default() };
                let disk = FaultyDirectory::new(MemoryDirectory::new(), faults);
                let (told, first) = scripted(&disk, settings()).await;
                let left = disk.power_off(survival);
                let what = format!("power fails in operation {at}, {survival:?} survives");
                let life = Life::begin_with(directory(&left), settings(), Mood::Takes, short_segments(), 8 << 20);
                let life = life.expect("a power loss is no damage");
                life.drain().await;
                let second = life.taken();
                let account = life.finish().await;
                assert_eq!(account.dropped.total(), 0, "{what}: {account:?}");
                assert_eq!(account.recovered, account.delivered, "{what}");
                assert!(second.values().all(|times| *times == 1), "{what}: once in a life");
                assert_eq!(missing(&told, [&first, &second]), [0; 0], "{what}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_accepted_span_is_lost_when_any_operation_fails() {
    let whole = FaultyDirectory::new(MemoryDirectory::new(), Faults::default());
    scripted(&whole, settings(1000, Sizer::Requests)).await;
    for at in 0..whole.operations() {
        let failing = (at..at + 3).collect();
        let disk = FaultyDirectory::new(MemoryDirectory::new(), Faults { seed: at, failing, ..Faults::default() });
        let (told, first) = scripted(&disk, settings(1000, Sizer::Requests)).await;
        let what = format!("operations from {at} on fail");
        let left = disk.kill();
        let settings = settings(1000, Sizer::Requests);
        let life = Life::begin_with(directory(&left), settings, Mood::Takes, short_segments(), 8 << 20);
        let life = life.expect("it opens");
        life.drain().await;
        let second = life.taken();
        let account = life.finish().await;
        assert_eq!(account.dropped.total(), 0, "{what}: {account:?}");
        assert_eq!(missing(&told, [&first, &second]), [0; 0], "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn segments_go_when_nothing_is_left_in_them() {
    let disk = MemoryDirectory::new();
    let settings = settings(1000, Sizer::Requests);
    let life = Life::begin_with(directory(&disk), settings, Mood::Takes, short_segments(), 8 << 20);
    let mut life = life.expect("it opens");
    for _ in 0..20 {
        assert_eq!(life.send(1, 30_000).await.try_recv(), Ok(Outcome::Delivered));
        tokio::time::sleep(Duration::from_millis(150)).await;
        let segments = disk.list("queue").expect("it is there").len();
        assert!(segments <= 3, "{segments} segments are left");
    }
    assert_eq!(life.finish().await.delivered, 20);
}
