//! `rootspan queue`: what is in exporters' queues on disk.

use std::io::{BufWriter, ErrorKind, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow, ensure};
use rootspan_gateway::runtime::look::{self, Contents, Found, Queue};
use rootspan_model::time::UnixNanos;
use rootspan_wire::otlp::json;
use rootspan_wire::otlp::payload::Payload;

use crate::arguments::{QueueExportArguments, QueueFormat, QueueInspectArguments};
use crate::output::{complain, say};

/// Says what is in each queue.
pub(crate) fn inspect(arguments: &QueueInspectArguments) -> anyhow::Result<ExitCode> {
    for queue in queues(&arguments.dir)? {
        let contents = queue.contents().map_err(|reason| anyhow!("{}: {reason}", queue.folder.display()))?;
        print_contents(&queue, &contents);
    }
    Ok(ExitCode::SUCCESS)
}

fn print_contents(queue: &Queue, contents: &Contents) {
    let Contents { requests, items, bytes, oldest, dead_letters, damaged } = contents;
    say!("{} ({}) in {}", queue.exporter, queue.signal.name(), queue.folder.display());
    let age = oldest.and_then(age).map(|age| format!(", the oldest for {} s", age.as_secs())).unwrap_or_default();
    say!("  waiting: {requests} requests, {items} items, {bytes} bytes{age}");
    for (reason, (letters, items)) in dead_letters {
        say!("  dead letters: {letters} requests, {items} items: {reason}");
    }
    for reason in damaged {
        say!("  damaged: {reason}");
    }
}

/// `None` if it is in the future.
fn age(since: UnixNanos) -> Option<Duration> {
    #[expect(clippy::disallowed_methods, reason = "a person is told how long ago something was")]
    let now = SystemTime::now();
    now.duration_since(SystemTime::UNIX_EPOCH + Duration::from_nanos(since.0)).ok()
}

/// Writes requests to standard output.
pub(crate) fn export(arguments: &QueueExportArguments) -> anyhow::Result<ExitCode> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let wanted = |queue: &Queue| arguments.exporter.as_ref().is_none_or(|id| *id == queue.exporter);
    let queues: Vec<_> = queues(&arguments.dir)?.into_iter().filter(wanted).collect();
    ensure!(!queues.is_empty(), "there is no queue of that exporter in {}", arguments.dir.display());
    for queue in queues {
        let mut has_reader = true;
        let mut write = |found: Found| match write_request(&mut out, arguments.format, found) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                has_reader = false;
                Err("nobody reads".to_owned())
            }
            other => other.map_err(|error| error.to_string()),
        };
        let exported = queue.export(arguments.dead_letters, &mut write);
        if !has_reader {
            return Ok(ExitCode::SUCCESS);
        }
        let damaged = exported.map_err(|reason| anyhow!("{}: {reason}", queue.folder.display()))?;
        for reason in damaged {
            complain!("{}: {reason}", queue.folder.display());
        }
    }
    match out.flush() {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn write_request(out: &mut impl std::io::Write, format: QueueFormat, found: Found) -> std::io::Result<()> {
    match format {
        QueueFormat::Json => {
            let payload = Payload::from_trusted(found.signal, found.request);
            let payload = payload.map_err(|error| std::io::Error::other(error.to_string()))?;
            json::write_request(&payload, out)?;
            out.write_all(b"\n")
        }
        QueueFormat::Proto => {
            let length = u32::try_from(found.request.len()).map_err(std::io::Error::other)?;
            out.write_all(&length.to_be_bytes())?;
            out.write_all(&found.request)
        }
    }
}

fn queues(directory: &Path) -> anyhow::Result<Vec<Queue>> {
    ensure!(directory.is_dir(), "{} is not a folder", directory.display());
    look::queues(directory).with_context(|| format!("{} cannot be read", directory.display()))
}
