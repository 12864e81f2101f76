//! The store's folder: blocks, manifest, filters, journal. Whatever its files hold, it opens or says why not, answers or
//! says what is missing, and never gives a span that was not stored.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock, mpsc};
use std::time::Duration;

use rootspan_journal::directory::memory::MemoryDirectory;
use rootspan_journal::directory::{Directory, join, parent};
use rootspan_model::ids::{SpanId, TraceId};
use rootspan_model::time::UnixNanos;
use rootspan_store::coverage::{Arrival, CoverageRequest};
use rootspan_store::store::{Options, QueryLimits, SearchRequest, Store};
use rootspan_testkit::generate::{self, generate};
use rootspan_wire::cloudfront::observation::{Fate, Observation, Observations, StatusClass};

use crate::Target;

pub(super) const STORE: Target = Target {
    name: "store",
    about: "blocks and manifest of the embedded store: it opens and answers, or says what is wrong",
    // One file at a time is changed; the first byte says which.
    corpus: || {
        let files = SOUND.files.iter().enumerate();
        files.map(|(index, (_, bytes))| [&[index as u8], bytes.as_slice()].concat()).collect()
    },
    dictionary: &[b"PAR1", b"RSJ1", b"\x15\x04\x15", b"\x28\xb5\x2f\xfd", b"\x00\x00\x00\x00\x00\x00\x00\x00"],
    usual_inputs: 450,
    body: |input| {
        let Some((index, bytes)) = input.split_first() else { return };
        let changed = usize::from(*index) % SOUND.files.len();
        let disk = MemoryDirectory::new();
        for (position, (path, sound)) in SOUND.files.iter().enumerate() {
            disk.create_folder(parent(path)).expect("memory");
            let mut file = disk.create(path).expect("memory");
            file.append(if position == changed { bytes } else { sound }).expect("memory");
            file.sync().expect("memory");
        }
        let Ok((store, _)) = Store::open(Arc::new(disk), options()) else { return };
        for trace in &SOUND.traces {
            let found = store.trace(trace, &limits()).ok().flatten();
            for batch in found.iter().map(|found| &found.batch) {
                for span in batch.spans() {
                    assert!(
                        SOUND.spans.contains(&(span.span.trace_id, span.span.span_id)),
                        "a span that was never stored"
                    );
                }
            }
        }
        let everything = rootspan_traceql::parser::parse("{}").expect("it is a query");
        let request = SearchRequest { query: everything, start: None, end: None, limit: 100, after: None };
        if let Ok(page) = store.search(&request, &limits()) {
            assert!(
                page.traces.iter().all(|found| SOUND.traces.contains(&found.trace_id)),
                "a trace that was never stored"
            );
        }
        let request = CoverageRequest {
            start: UnixNanos(0),
            end: UnixNanos(u64::MAX),
            step_minutes: 1440,
            distribution: None,
            behaviour: None,
            patience: Duration::ZERO,
        };
        // Damaged counts are left out, and sums that a checksum covers are those that were written.
        if let Ok(answer) = store.coverage(&request, &limits()) {
            let steps = answer.keys.values().flat_map(|key| key.steps.values());
            assert!(steps.map(|step| step.counts.records()).sum::<u64>() <= COUNTED, "more was counted than there was");
        }
        let _closed = store.close();
    },
};

struct Sound {
    files: Vec<(String, Vec<u8>)>,
    traces: BTreeSet<TraceId>,
    spans: BTreeSet<(TraceId, SpanId)>,
}

static SOUND: LazyLock<Sound> = LazyLock::new(|| {
    let disk = MemoryDirectory::new();
    let (store, _) = Store::open(Arc::new(disk.clone()), options()).expect("it is empty");
    let (mut traces, mut spans) = (BTreeSet::new(), BTreeSet::new());
    let batches = generate(generate::Options { spans: 60, spans_per_request: 20, ..generate::Options::default() });
    for (number, batch) in batches.enumerate() {
        for span in batch.spans() {
            traces.insert(span.span.trace_id);
            spans.insert((span.span.trace_id, span.span.span_id));
        }
        let (sender, done) = mpsc::channel();
        store.ingest(batch, Box::new(move |outcome| sender.send(outcome.is_ok()).expect("somebody waits")));
        assert_eq!(done.recv(), Ok(true));
        count(&store, number as u64);
        // The last ones stay in the journal.
        if number == 0 {
            store.seal().expect("memory");
        }
    }
    let mut files = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for entry in disk.list(&folder).expect("it is there") {
            let path = join(&folder, &entry.name);
            if entry.is_folder {
                folders.push(path);
            } else {
                let file = disk.open_read(&path).expect("it is there");
                files.push((path, file.read(0, entry.length as usize).expect("it is that long").to_vec()));
            }
        }
    }
    Sound { files, traces, spans }
});

/// Records that the sound store counts.
const COUNTED: u64 = 30;

/// Counts ten records, a third of them of another hour.
fn count(store: &Store, number: u64) {
    let mut observations = Observations::default();
    for request in number * 10..number * 10 + 10 {
        observations.push(&Observation {
            fate: if request % 2 == 0 { Fate::Sampled } else { Fate::SampledOut },
            status: StatusClass::Success,
            distribution: "d111.cloudfront.net",
            behaviour: "/api/*",
            result_type: "Miss",
            end: Some(UnixNanos(1_789_376_400_000_000_000 - request % 3 * 3_600_000_000_000)),
            taken_nanos: Some(request * 1_000_000),
            bytes: request,
            request: Some(request << 20),
            sent_to_origin: (request % 2 == 0).then_some((TraceId::new([1; 16]), SpanId::new([1; 8]))),
        });
    }
    let (sender, done) = mpsc::channel();
    let answer = Box::new(move |outcome: Result<(), _>| sender.send(outcome.is_ok()).expect("somebody waits"));
    store.observe(observations, Arrival::Delivered, answer);
    assert_eq!(done.recv(), Ok(true));
}

fn options() -> Options {
    Options {
        // Nothing is too old.
        retention: Duration::from_secs(3_600 * 24 * 365 * 100),
        max_bytes: None,
        min_free_percent: 0.0,
        seal_spans: 1_000,
        seal_after: Duration::from_secs(3_600),
        clock: Arc::new(|| UnixNanos(1_789_376_400_000_000_000)),
    }
}

fn limits() -> QueryLimits {
    QueryLimits { deadline: Duration::from_secs(60), bytes: 1 << 30, cancel: Arc::new(AtomicBool::new(false)) }
}
