//! What a seed decides before a run begins: the configuration, what is sent when, how the back ends are, and the end.

use std::fmt::Write as _;
use std::ops::Range;
use std::time::Duration;

use rootspan_testkit::random::Random;

use super::backend::{Mood, Phase};

/// Everything about one run.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) seed: u64,
    /// The configuration. Its exporters' objects are replaced by faulty back ends; all else is built from it.
    pub(super) yaml: String,
    pub(super) exporters: Vec<Exporter>,
    /// Bytes of payload.
    pub(super) budget: u64,
    /// From when on the wall clock is wrong, and by how much.
    pub(super) clock_jumps: Vec<(Duration, i64)>,
    /// What happens in each life of the process, one after the other.
    pub(super) lives: Vec<Life>,
}

/// One life of the process. Times count from its start.
#[derive(Clone, Debug)]
pub(super) struct Life {
    /// For each receiver, in order of time.
    pub(super) arrivals: Vec<Vec<Arrival>>,
    /// What befalls the disk of each queue that is on disk.
    pub(super) disk_faults: Vec<DiskFault>,
    pub(super) end: End,
}

/// How a life ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// It is told to stop at a time, and may take so long.
    Drain { at: Duration, deadline: Duration },
    /// The process is killed; the disk has what it wrote.
    Kill { at: Duration },
    /// The power fails; the disk has what was synced, and of the rest what this seed decides.
    PowerLoss { at: Duration, survival: u64 },
    /// The power fails in the middle of the write, sync or removal that comes that many after this time; or a while later.
    PowerLossInOperation { at: Duration, operations: u64, survival: u64 },
    /// The back ends are well again: it is told to stop when nothing waits any more.
    WhenEmpty,
}

impl End {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Drain { .. } => "end: told to stop",
            Self::Kill { .. } => "end: killed",
            Self::PowerLoss { .. } => "end: power lost",
            Self::PowerLossInOperation { .. } => "end: power lost in an operation",
            Self::WhenEmpty => "end: everything delivered",
        }
    }
}

/// Something befalls a disk.
#[derive(Clone, Copy, Debug)]
pub(super) struct DiskFault {
    pub(super) at: Duration,
    pub(super) exporter: usize,
    pub(super) kind: DiskFaultKind,
}

/// What befalls it.
#[derive(Clone, Copy, Debug)]
pub(super) enum DiskFaultKind {
    /// So many writes, syncs, removals fail.
    Failing(u64),
    /// The volume is as long as what it holds, and so many bytes.
    Full(u64),
    /// There is space again.
    Roomy,
}

/// What the model knows of an exporter.
#[derive(Clone, Debug)]
pub(super) struct Exporter {
    pub(super) id: String,
    /// Whether senders are answered before the back end has their spans.
    pub(super) takes_over: bool,
    /// Whether its queue is on disk.
    pub(super) stored: bool,
    /// Exports at once; `None`: not said.
    pub(super) consumers: Option<u64>,
    /// Most spans that wait or are on the way, where the queue counts spans and refuses.
    pub(super) most_spans: Option<u64>,
    pub(super) drops_when_full: bool,
    pub(super) may_give_up: bool,
    pub(super) phases: Vec<Phase>,
}

/// A request that comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) at: Duration,
    pub(super) spans: u64,
    /// Bytes of an attribute of each span.
    pub(super) padding: usize,
    pub(super) flaw: Flaw,
    pub(super) json: bool,
    /// How long its sender waits.
    pub(super) patience: Option<Duration>,
}

/// What is wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    None,
    /// So many more of its spans have no trace.
    BadSpans(u64),
    /// It is no request.
    Malformed,
}

impl Scenario {
    pub(super) fn draw(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let traffic_time = Duration::from_millis(random.between(100, 60_000));
        let receivers = random.between(1, 3);
        let count = random.between(1, 4);
        let mut yaml = Yaml::default();
        let exporters: Vec<_> =
            (0..count).map(|number| exporter(number, traffic_time, &mut yaml.exporters, &mut random)).collect();
        for receiver in 0..receivers {
            line(&mut yaml.receivers, format_args!("  otlp/{receiver}: {{protocols: {{grpc: {{}}}}}}"));
        }
        let pipelines = random.between(1, 4);
        // A connector leads from an earlier pipeline to a later one.
        let later = (1..pipelines).filter(|_| random.chance(0.3)).collect::<Vec<_>>();
        yaml.connected = later.into_iter().map(|to| (random.between(0, to), to)).collect();
        for pipeline in 0..pipelines {
            yaml.pipeline(pipeline, receivers, &exporters, &mut random);
        }
        yaml.connect_the_rest(receivers, &exporters);
        let requests = random.pick(&[3, 10, 30, 60]);
        let lives = lives(&exporters, (receivers, requests, traffic_time), &mut random);
        let clock_jumps = (0..random.between(0, 4)).map(|_| {
            let at = duration(&mut random, 0..traffic_time.as_millis() as u64);
            (at, random.between(0, 20_000_000_000_000) as i64 - 10_000_000_000_000)
        });
        let mut clock_jumps: Vec<_> = clock_jumps.collect();
        clock_jumps.sort_unstable();
        Self {
            seed,
            yaml: yaml.text(),
            exporters,
            budget: random.pick(&[2_000, 20_000, 200_000, 10_000_000]),
            clock_jumps,
            lives,
        }
    }
}

/// One life, which is drained; or, where something is on disk, several that end in any way, and a last one in which
/// everything is delivered.
fn lives(
    exporters: &[Exporter],
    (receivers, requests, traffic_time): (u64, u64, Duration),
    random: &mut Random,
) -> Vec<Life> {
    let stored: Vec<_> = (0..exporters.len()).filter(|exporter| exporters[*exporter].stored).collect();
    let count = if stored.is_empty() { 1 } else { random.between(1, 4) };
    let mut lives: Vec<_> = (0..count)
        .map(|_| {
            let arrivals = (0..receivers).map(|_| arrivals(requests, traffic_time, random)).collect();
            let at = traffic_time.mul_f64(random.unit() * 1.5);
            let is_patient = random.chance(0.7);
            let deadline = duration(random, if is_patient { 600_000..900_000 } else { 0..20_000 });
            let survival = random.bits();
            let end = match if stored.is_empty() { 0 } else { random.between(0, 5) } {
                0 | 1 => End::Drain { at, deadline },
                2 => End::Kill { at },
                3 => End::PowerLoss { at, survival },
                _ => End::PowerLossInOperation { at: at / 2, operations: random.between(0, 30), survival },
            };
            Life { arrivals, disk_faults: disk_faults(&stored, traffic_time, random), end }
        })
        .collect();
    if !stored.is_empty() {
        let arrivals = vec![Vec::new(); receivers as usize];
        lives.push(Life { arrivals, disk_faults: Vec::new(), end: End::WhenEmpty });
    }
    lives
}

fn disk_faults(stored: &[usize], traffic_time: Duration, random: &mut Random) -> Vec<DiskFault> {
    if stored.is_empty() {
        return Vec::new();
    }
    let mut faults: Vec<_> = (0..random.pick(&[0, 0, 1, 4]))
        .map(|_| DiskFault {
            at: duration(random, 0..traffic_time.as_millis() as u64),
            exporter: random.pick(stored),
            kind: match random.between(0, 3) {
                0 => DiskFaultKind::Failing(random.pick(&[1, 1, 3, 20])),
                1 => DiskFaultKind::Full(random.between(0, 5_000)),
                _ => DiskFaultKind::Roomy,
            },
        })
        .collect();
    faults.sort_by_key(|fault| fault.at);
    faults
}

/// Sections of the configuration.
#[derive(Debug, Default)]
struct Yaml {
    receivers: String,
    processors: String,
    exporters: String,
    pipelines: String,
    used: Vec<(Vec<u64>, Vec<usize>)>,
    /// Pipelines with connectors between.
    connected: Vec<(u64, u64)>,
}

impl Yaml {
    fn pipeline(&mut self, pipeline: u64, receivers: u64, exporters: &[Exporter], random: &mut Random) {
        let is_behind = self.connected.iter().any(|(_, to)| *to == pipeline);
        let from = if is_behind && random.chance(0.5) { Vec::new() } else { some_of(receivers as usize, random) };
        let from = from.into_iter().map(|receiver| receiver as u64).collect();
        let is_before = self.connected.iter().any(|(from, _)| *from == pipeline);
        let to = if is_before && random.chance(0.5) { Vec::new() } else { some_of(exporters.len(), random) };
        let mut processors = Vec::new();
        for number in 0..random.between(0, 4) {
            let id = format!("{pipeline}{number}");
            let (name, settings) = match random.between(0, 4) {
                0 => ("attributes", "actions: [{key: run, value: simulated, action: upsert}]".to_owned()),
                1 => ("resource", "attributes: [{key: host.name, value: simulated, action: insert}]".to_owned()),
                2 => {
                    let percentage = random.pick(&[0, 10, 50, 90, 100]);
                    let seed = random.between(1, 1000);
                    ("probabilistic_sampler", format!("sampling_percentage: {percentage}, hash_seed: {seed}"))
                }
                _ => {
                    let size = random.between(1, 100);
                    let most = random.pick(&[0, size, size * 2]);
                    let timeout = random.between(1, 3_000);
                    ("batch", format!("timeout: {timeout}ms, send_batch_size: {size}, send_batch_max_size: {most}"))
                }
            };
            line(&mut self.processors, format_args!("  {name}/{id}: {{{settings}}}"));
            processors.push(format!("{name}/{id}"));
        }
        self.add_pipeline(Some(pipeline), from, &processors, to, exporters);
    }

    fn add_pipeline(
        &mut self,
        pipeline: Option<u64>,
        from: Vec<u64>,
        processors: &[String],
        to: Vec<usize>,
        exporters: &[Exporter],
    ) {
        let id = pipeline.map_or("traces/rest".to_owned(), |number| format!("traces/{number}"));
        let mut receivers: Vec<_> = from.iter().map(|receiver| format!("otlp/{receiver}")).collect();
        let mut targets: Vec<_> = to.iter().map(|exporter| exporters[*exporter].id.clone()).collect();
        for (before, behind) in &self.connected {
            if Some(*before) == pipeline {
                targets.push(format!("forward/{before}{behind}"));
            }
            if Some(*behind) == pipeline {
                receivers.push(format!("forward/{before}{behind}"));
            }
        }
        let (receivers, processors, targets) = (receivers.join(", "), processors.join(", "), targets.join(", "));
        line(
            &mut self.pipelines,
            format_args!("    {id}: {{receivers: [{receivers}], processors: [{processors}], exporters: [{targets}]}}"),
        );
        self.used.push((from, to));
    }

    /// Every receiver and every exporter is in some pipeline, so that their indexes are known.
    fn connect_the_rest(&mut self, receivers: u64, exporters: &[Exporter]) {
        let from: Vec<_> =
            (0..receivers).filter(|receiver| !self.used.iter().any(|(used, _)| used.contains(receiver))).collect();
        let to: Vec<_> = (0..exporters.len())
            .filter(|exporter| !self.used.iter().any(|(_, used)| used.contains(exporter)))
            .collect();
        if from.is_empty() && to.is_empty() {
            return;
        }
        let from = if from.is_empty() { vec![0] } else { from };
        let to = if to.is_empty() { vec![0] } else { to };
        self.add_pipeline(None, from, &[], to, exporters);
    }

    fn text(&self) -> String {
        let processors = if self.processors.is_empty() { "  {}\n" } else { self.processors.as_str() };
        let connectors = self.connected.iter().map(|(from, to)| format!("  forward/{from}{to}:\n"));
        let connectors = if self.connected.is_empty() { "  {}\n".to_owned() } else { connectors.collect() };
        format!(
            "receivers:\n{}processors:\n{processors}connectors:\n{connectors}exporters:\n{}\
             extensions:\n  file_storage: {{min_free_percent: 0}}\n\
             service:\n  extensions: [file_storage]\n  pipelines:\n{}",
            self.receivers, self.exporters, self.pipelines
        )
    }
}

fn line(section: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(section, "{text}").expect("a string takes everything");
}

/// At least one of `0..count`, in order.
fn some_of(count: usize, random: &mut Random) -> Vec<usize> {
    let sure = random.between(0, count as u64) as usize;
    (0..count).filter(|index| *index == sure || random.chance(0.5)).collect()
}

fn duration(random: &mut Random, millis: Range<u64>) -> Duration {
    Duration::from_millis(random.between(millis.start, millis.end.max(millis.start + 1)))
}

fn exporter(number: u64, traffic_time: Duration, section: &mut String, random: &mut Random) -> Exporter {
    let phases = phases(traffic_time, random);
    if random.chance(0.2) {
        let id = format!("debug/{number}");
        line(section, format_args!("  {id}:"));
        return Exporter {
            id,
            takes_over: false,
            stored: false,
            consumers: None,
            most_spans: None,
            drops_when_full: false,
            may_give_up: true,
            phases,
        };
    }
    let id = format!("{}/{number}", random.pick(&["otlp", "otlphttp"]));
    let enabled = random.chance(0.85);
    let consumers = random.between(1, 5);
    let sizer = random.pick(&["requests", "items", "bytes"]);
    let size = match sizer {
        "requests" => random.between(1, 20),
        "items" => random.between(1, 300),
        _ => random.between(100, 30_000),
    };
    let blocks = random.chance(0.2);
    let drops_when_full = random.chance(0.25);
    let stored = enabled && random.chance(0.3);
    let waits = !stored && random.chance(0.2);
    let mut queue = format!(
        "enabled: {enabled}, num_consumers: {consumers}, sizer: {sizer}, queue_size: {size}, block_on_overflow: {blocks}, \
         on_full: {}, wait_for_result: {waits}",
        if drops_when_full { "drop" } else { "refuse" }
    );
    if stored {
        queue.push_str(", storage: file_storage");
    }
    if random.chance(0.5) {
        let min = random.between(1, 200);
        let max = random.pick(&[0, min, min * 3]);
        let (timeout, sizer) = (random.between(1, 2_000), random.pick(&["items", "bytes"]));
        write!(queue, ", batch: {{flush_timeout: {timeout}ms, min_size: {min}, max_size: {max}, sizer: {sizer}}}")
            .expect("a string takes everything");
    }
    let retries = random.chance(0.8);
    let most_elapsed = random.pick(&[0, 5, 60, 300]);
    let retry = format!(
        "enabled: {retries}, initial_interval: {}ms, randomization_factor: {}, multiplier: {}, max_interval: {}ms, \
         max_elapsed_time: {most_elapsed}s",
        random.between(1, 6_000),
        random.pick(&[0.0, 0.5, 1.0]),
        random.pick(&[1.0, 1.5, 3.0]),
        random.between(100, 30_000),
    );
    line(
        section,
        format_args!(
            "  {id}: {{endpoint: \"http://127.0.0.1:1\", tls: {{insecure: true}}, sending_queue: {{{queue}}}, \
             retry_on_failure: {{{retry}}}}}"
        ),
    );
    Exporter {
        id,
        takes_over: enabled && !waits,
        stored,
        consumers: Some(consumers),
        most_spans: (enabled && !blocks && sizer == "items").then_some(size),
        drops_when_full: enabled && drops_when_full,
        may_give_up: !retries || most_elapsed > 0,
        phases,
    }
}

/// How a back end is, over time. Mostly it is well in the end; else the drain meets a broken one.
fn phases(traffic_time: Duration, random: &mut Random) -> Vec<Phase> {
    let count = random.between(0, 5);
    let mut phases: Vec<_> = (0..count)
        .map(|_| Phase {
            until: duration(random, 0..traffic_time.as_millis() as u64 * 2),
            mood: random.pick(&Mood::ALL),
            certainty: random.pick(&[0.3, 0.9, 1.0]),
            latency: duration(random, 0..3_000),
        })
        .collect();
    phases.sort_by_key(|phase| phase.until);
    let last = if random.chance(0.8) { Mood::Well } else { random.pick(&Mood::ALL) };
    let latency = duration(random, 0..100);
    phases.push(Phase { until: Duration::MAX, mood: last, certainty: 1.0, latency });
    phases
}

fn arrivals(requests: u64, traffic_time: Duration, random: &mut Random) -> Vec<Arrival> {
    // Some come in bursts, all in the same moment.
    let moments = random.pick(&[1, 3, requests]);
    let moments: Vec<_> = (0..moments).map(|_| duration(random, 0..traffic_time.as_millis() as u64)).collect();
    let mut arrivals: Vec<_> = (0..requests)
        .map(|_| Arrival {
            at: random.pick(&moments),
            spans: if random.chance(0.05) { 0 } else { random.between(1, 25) },
            padding: random.pick(&[0, 10, 300]),
            flaw: match random.between(0, 20) {
                0 => Flaw::Malformed,
                1 => Flaw::BadSpans(random.between(1, 4)),
                _ => Flaw::None,
            },
            json: random.chance(0.2),
            patience: random.chance(0.1).then(|| duration(random, 0..10_000)),
        })
        .collect();
    arrivals.sort_by_key(|arrival| arrival.at);
    arrivals
}
