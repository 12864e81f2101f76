//! `rootspan import`: logs of CloudFront and files of OTLP, also in buckets, become spans in a store, without a server.

#[cfg(feature = "aws")]
mod bucket;
mod content;
mod source;
mod target;

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use rootspan_model::time::UnixNanos;
use rootspan_wire::cloudfront::conversion::{AuthoritativeSource, Converter, Tally, What};
use rootspan_wire::cloudfront::rules::{PathPattern, PathRule, Trust};
use rootspan_wire::cloudfront::span::Settings;
use rootspan_wire::cloudfront::{Columns, Reader};
use tokio::runtime::Runtime;

use crate::arguments::ImportArguments;
use crate::output::{complain, say};
use crate::runtime::StopSignal;
use crate::{logging, runtime, table};
use source::{Source, Sources};
use target::{Imported, Target};

/// Days that `rootspan run` keeps spans where nothing is configured.
const DEFAULT_RETENTION_DAYS: u64 = 3;
const DAY_NANOS: u64 = 86_400_000_000_000;

/// What has been read of all files.
#[derive(Debug, Default)]
struct Outcome {
    tally: Tally,
    /// What was not understood, a line for each, with the file's name.
    problems: Vec<String>,
    files: u64,
}

/// Reads everything, then says what it was.
pub(crate) fn import(arguments: &ImportArguments) -> anyhow::Result<ExitCode> {
    logging::start_on_stderr("warn")?;
    let runtime = runtime::start()?;
    let is_interrupted = interrupts(&runtime)?;
    let converter = converter(arguments)?;
    let sources = Sources::find(arguments, runtime.handle())?;
    let target = Target::open(&arguments.data)?;
    let (bar, readers) = (progress(&sources), sources.readers());
    let work = Work {
        sources: Mutex::new(sources),
        converter,
        target,
        bar,
        is_interrupted,
        outcome: Mutex::default(),
        failure: Mutex::default(),
    };
    std::thread::scope(|scope| {
        for _ in 0..readers {
            scope.spawn(|| work.run());
        }
    });
    let Work { target, bar, is_interrupted, outcome, failure, .. } = work;
    let outcome = outcome.into_inner().unwrap_or_else(PoisonError::into_inner);
    bar.finish_and_clear();
    let (imported, closed) = target.close();
    let mut failure = failure.into_inner().unwrap_or_else(PoisonError::into_inner);
    if failure.is_none() {
        failure = closed.err();
    }
    if outcome.is_nothing() && failure.is_none() {
        let hours =
            if arguments.start.is_some() || arguments.end.is_some() { " between --start and --end" } else { "" };
        bail!("{}: there is nothing to import{hours}", arguments.from.join(", "));
    }
    report(arguments, &outcome, &imported);
    if is_interrupted.load(Ordering::Relaxed) {
        failure.get_or_insert_with(|| anyhow::anyhow!("interrupted"));
    }
    if let Some(error) = failure {
        return Err(error.context(
            "the import stopped; what is listed above is in the store, and importing again adds nothing twice",
        ));
    }
    Ok(if outcome.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What stands between the names of fields, in a list by hand and in an answer of the API, as JSON or as text.
fn is_between_names(character: char) -> bool {
    character.is_whitespace() || matches!(character, ',' | '"' | '[' | ']')
}

/// Set by the first SIGINT or SIGTERM: what was begun is stored. The second one ends the process, which loses nothing that
/// was stored either.
fn interrupts(runtime: &Runtime) -> anyhow::Result<Arc<AtomicBool>> {
    let is_interrupted = Arc::<AtomicBool>::default();
    let flag = Arc::clone(&is_interrupted);
    let mut stop = runtime.block_on(async { StopSignal::listen() })?;
    runtime.spawn(async move {
        stop.wait().await;
        flag.store(true, Ordering::Relaxed);
        complain!("stopping: what was read is being stored; once more stops at once");
        stop.wait().await;
        std::process::exit(130);
    });
    Ok(is_interrupted)
}

/// What the readers share.
struct Work {
    sources: Mutex<Sources>,
    converter: Converter,
    target: Target,
    bar: ProgressBar,
    is_interrupted: Arc<AtomicBool>,
    outcome: Mutex<Outcome>,
    /// Why nothing more can be read or stored.
    failure: Mutex<Option<anyhow::Error>>,
}

impl Work {
    /// Reads one source after the other, as long as there are any.
    fn run(&self) {
        while let Some(source) = self.next() {
            self.bar.set_message(table::clean(&source.name()));
            let (read, failure) = self.read(&source);
            lock(&self.outcome).add(&source, &read);
            match failure {
                None => {}
                Some(_) if self.is_interrupted.load(Ordering::Relaxed) => return,
                // A disk that is full is so for the next file, too.
                Some(error) => {
                    lock(&self.failure).get_or_insert(error);
                }
            }
        }
    }

    fn next(&self) -> Option<Source> {
        if self.is_interrupted.load(Ordering::Relaxed) || lock(&self.failure).is_some() {
            return None;
        }
        match lock(&self.sources).next(&mut |bytes| self.bar.inc_length(bytes)) {
            Ok(next) => next,
            Err(error) => {
                lock(&self.failure).get_or_insert(error);
                None
            }
        }
    }

    /// What a source has, as far as it could be read, and why nothing more is to be taken, if that is so.
    fn read(&self, source: &Source) -> (FileOutcome, Option<anyhow::Error>) {
        let opened = source.open().and_then(|input| content::open(self.bar.wrap_read(input)));
        let content = match opened {
            Ok(content) => content,
            Err(error) => return (FileOutcome { broken: Some(error), ..FileOutcome::default() }, None),
        };
        let failure = RefCell::new(None);
        let flow = |taken: anyhow::Result<()>| match taken {
            Ok(()) if self.is_interrupted.load(Ordering::Relaxed) => {
                *failure.borrow_mut() = Some(anyhow::anyhow!("interrupted"));
                ControlFlow::Break(())
            }
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                *failure.borrow_mut() = Some(error);
                ControlFlow::Break(())
            }
        };
        let mut sink = |batch| flow(self.target.take(batch));
        let mut count = |observations| flow(self.target.count(observations));
        let read = content.read(&self.converter, &mut sink, &mut count);
        (read, failure.take())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn converter(arguments: &ImportArguments) -> anyhow::Result<Converter> {
    let line_fields = match &arguments.real_time_fields {
        None => None,
        Some(names) => Some(
            Columns::new(names.split(is_between_names).filter(|name| !name.is_empty()))
                .context("--real-time-fields")?,
        ),
    };
    let mut settings = Settings {
        service_name: arguments.service_name.clone(),
        routes: arguments.route.clone(),
        ..Settings::default()
    };
    let mut via_console = false;
    if let Some(path) = &arguments.edge {
        use rootspan_edge::settings::{IdsVia, Settings as EdgeSettings, Trust as EdgeTrust, report};
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let edge =
            EdgeSettings::parse(&text).map_err(|problems| anyhow::anyhow!("{}", report(path, &problems).join("\n")))?;
        via_console = edge.options.ids_via != IdsVia::CustomData;
        settings.paths = edge
            .rules
            .iter()
            .map(|rule| PathRule {
                pattern: PathPattern::new(&rule.pattern),
                trust: match rule.trust {
                    EdgeTrust::Restart => Trust::Restart,
                    EdgeTrust::Continue => Trust::Continue,
                },
                threshold: rule.threshold,
            })
            .collect();
    }
    let authoritative =
        if arguments.function_log { AuthoritativeSource::FunctionLog } else { AuthoritativeSource::AccessLog };
    let reader = Reader { line_fields, percent_decode_json: false };
    Ok(Converter::new(reader, settings, authoritative, via_console))
}

/// What was read of one file.
#[derive(Debug, Default)]
struct FileOutcome {
    tally: Tally,
    first_problem: Option<String>,
    /// Why the rest of it was not read.
    broken: Option<anyhow::Error>,
}

fn progress(sources: &Sources) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{bar:30} {bytes:>10} of {total_bytes}  {bytes_per_sec}  {eta} left  {wide_msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(sources.bytes()).with_style(style)
}

impl Outcome {
    fn add(&mut self, source: &Source, file: &FileOutcome) {
        self.files += 1;
        for what in What::ALL {
            self.tally.add(what, file.tally.of(what));
        }
        let name = table::clean(&source.name());
        let bad = [What::Bad, What::NoRequestId, What::UnknownTrace, What::NoTime];
        let bad: u64 = bad.into_iter().map(|what| file.tally.of(what)).sum();
        if bad > 0 {
            let reason = file.first_problem.as_deref().unwrap_or("records without what places a span");
            self.problems.push(format!("{name}: {bad} not understood; the first: {}", table::clean(reason)));
        }
        if let Some(error) = &file.broken {
            let is_partly_read = What::ALL.into_iter().any(|what| file.tally.of(what) > 0);
            let before = if is_partly_read { "; what comes before is imported" } else { "" };
            self.problems.push(format!("{name}: {}{before}", table::clean(&format!("{error:#}"))));
        }
    }

    /// Whether there was no file at all.
    const fn is_nothing(&self) -> bool {
        self.files == 0
    }
}

fn report(arguments: &ImportArguments, outcome: &Outcome, imported: &Imported) {
    let tally = &outcome.tally;
    let rows = [
        (outcome.files, if outcome.files == 1 { "file" } else { "files" }),
        (imported.spans, if imported.spans == 1 { "span" } else { "spans" }),
        (imported.errors, "of them failed"),
        (
            tally.of(What::DerivedIds),
            "with ids derived from the request id: no function was deployed, or its data is not in the log",
        ),
        (tally.of(What::SampledOut), "records that the edge did not sample"),
        (
            tally.of(What::Secondary),
            "records of a function's log, left out beside access logs (--function-log takes them)",
        ),
        (tally.of(What::NoRequestId), "records without a request id"),
        (tally.of(What::UnknownTrace), "records that do not tell which trace was continued"),
        (tally.of(What::NoTime), "records without a time"),
        (tally.of(What::Bad), "lines or records that could not be read"),
    ]
    .into_iter()
    .filter(|(count, what)| *count > 0 || *what == "spans");
    for (count, what) in rows {
        say!("{count:>12}  {what}");
    }
    for problem in &outcome.problems {
        complain!("{problem}");
    }
    if imported.spans == 0 {
        return;
    }
    let data = arguments.data.display();
    say!("\nfrom {} to {}", UnixNanos(imported.oldest).utc(), UnixNanos(imported.newest).utc());
    say!("\nto look at them: rootspan run --set exporters.store.directory={data}");
    let age_days = rootspan_gateway::clock::system()().0.saturating_sub(imported.oldest) / DAY_NANOS;
    if age_days >= DEFAULT_RETENTION_DAYS {
        let keep = (age_days + 2) * 24;
        say!("they reach back {age_days} days, and spans are kept for {DEFAULT_RETENTION_DAYS} unless you say more:");
        say!("                 add --set exporters.store.retention={keep}h");
    }
}
