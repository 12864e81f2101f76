//! Where the program's own logs go: standard error, so that standard output belongs to the commands' answers, or where
//! `service.telemetry.logs.output_paths` says.

use std::io::{self, IsTerminal as _, Write};
use std::sync::Mutex;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

/// How logs look (`service.telemetry.logs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Lines for people.
    Console,
    /// One JSON object a line.
    Json,
}

/// Amazon's SDKs say on every level what we say in one sentence that tells what to do.
const QUIET: &str = ",aws_config=error,aws_credential_types=error,aws_runtime=error,aws_sdk_s3=error,aws_sdk_sqs=error,\
                     aws_smithy_http_client=error,aws_smithy_runtime=error,aws_smithy_runtime_api=error";

/// Everything that entries are written to.
struct Outputs(Vec<Box<dyn Write + Send>>);

impl Write for Outputs {
    /// A disk that is full or a reader that is gone must not keep an entry from the others.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for output in &mut self.0 {
            let _the_others_have_it = output.write_all(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.iter_mut().try_for_each(Write::flush)
    }
}

/// Starts logging at `level`; `RUST_LOG` overrides it.
pub(crate) fn start(level: &str, encoding: Encoding, paths: &[String]) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(format!("{level}{QUIET}")));
    let outputs = paths.iter().map(|path| open(path)).collect::<anyhow::Result<_>>()?;
    let for_people = paths == ["stderr"] && io::stderr().is_terminal();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Mutex::new(Outputs(outputs)))
        .with_ansi(for_people)
        .with_target(false);
    // A second start in one process (tests) keeps the first.
    let _already_started = match encoding {
        Encoding::Console => subscriber.try_init(),
        Encoding::Json => subscriber.json().try_init(),
    };
    Ok(())
}

/// Starts logging for people, on standard error.
pub(crate) fn start_on_stderr(level: &str) -> anyhow::Result<()> {
    start(level, Encoding::Console, &["stderr".to_owned()])
}

fn open(path: &str) -> anyhow::Result<Box<dyn Write + Send>> {
    match path {
        "stderr" => Ok(Box::new(io::stderr())),
        "stdout" => Ok(Box::new(io::stdout())),
        path => {
            let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
            let file =
                file.with_context(|| format!("service.telemetry.logs.output_paths: {path} cannot be written"))?;
            Ok(Box::new(file))
        }
    }
}
