//! Lambda@Edge functions, run by what runs them at AWS: Node.
//!
//! An environment is a process with one function in it; it takes one invocation after another and stays for the next. When
//! all environments are busy another one starts (a cold start), up to a limit; beyond it invocations wait. A function
//! that is over its time loses its environment. Nothing of this outlives the emulator.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::clock::{Stopwatch, unix_millis};
use super::config::{Config, Function, Runtime};
use super::delivery::LogLine;
use super::headers::EventType;
use super::random::Random;
use super::record::date_and_time;

/// What runs inside of an environment, before the function.
const HOST: &str = include_str!("lambda_host.mjs");

/// CloudFront's limits for a function's time.
const VIEWER_TIME_LIMIT: Duration = Duration::from_secs(5);
const ORIGIN_TIME_LIMIT: Duration = Duration::from_secs(30);

/// Lambda's limit for the start of an environment.
const START_TIME_LIMIT: Duration = Duration::from_secs(10);

/// Memory of an environment: all that a function on viewer events may have.
const MEMORY_MIB: u32 = 128;

/// The numbered version that is attached.
const VERSION: &str = "1";

/// Why a function does not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LambdaStartError {
    /// There is no Node.
    #[error(
        "Lambda@Edge functions need Node.js 20 or later: {program} cannot be run ({reason}); install it or name it by --node"
    )]
    NoNode {
        /// The program.
        program: String,
        /// The system's reason.
        reason: String,
    },
    /// The module does not load or exports no handler.
    #[error("the function cannot be loaded: {0}")]
    Load(String),
}

/// Why an invocation gave nothing. CloudFront's name for all of it is `LambdaExecutionError`, a 503.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LambdaError {
    #[error("{0}")]
    Start(LambdaStartError),
    #[error("the handler failed: {0}")]
    Failed(String),
    #[error("the function was ended after {0:?}")]
    TimeLimit(Duration),
    #[error("the environment ended")]
    Exited,
}

/// What an invocation gave.
#[derive(Debug)]
pub(crate) struct Invoked {
    pub(crate) result: Result<Value, LambdaError>,
    /// The lines in the function's log group.
    pub(crate) lines: Vec<LogLine>,
}

/// One function.
pub(crate) struct Lambda {
    function: Function,
    event: EventType,
    node: std::path::PathBuf,
    region: &'static str,
    time_limit: Duration,
    cold_start: Duration,
    idle: Mutex<Vec<Environment>>,
    places: Semaphore,
    random: Arc<Random>,
}

/// A process with the function in it.
struct Environment {
    /// Ends with this.
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    stream: String,
    /// How long the start took; for the first invocation only.
    init: Option<Duration>,
}

impl std::fmt::Debug for Lambda {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lambda").field("name", &self.function.name).field("event", &self.event).finish_non_exhaustive()
    }
}

impl Lambda {
    /// Makes sure that the function loads. The environment for that is thrown away: the first invocation is a cold start.
    pub(crate) async fn start(
        function: &Function,
        event: EventType,
        config: &Config,
        random: Arc<Random>,
    ) -> Result<Self, LambdaStartError> {
        let lambda = Self {
            function: function.clone(),
            event,
            node: config.node.clone(),
            region: "eu-central-1",
            time_limit: if event.is_viewer() { VIEWER_TIME_LIMIT } else { ORIGIN_TIME_LIMIT },
            cold_start: config.lambda_cold_start,
            idle: Mutex::default(),
            places: Semaphore::new(config.lambda_max_environments.max(1)),
            random,
        };
        lambda.environment().await.map(drop)?;
        Ok(lambda)
    }

    /// With another limit than CloudFront's own, for tests.
    #[cfg(test)]
    pub(crate) fn limited_to(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
    }

    /// Calls the handler. Runs to its end also if nobody waits for it any more, as Lambda does.
    pub(crate) async fn invoke(self: &Arc<Self>, event: Value) -> Invoked {
        let lambda = Arc::clone(self);
        let ended = tokio::spawn(async move { lambda.run(&event).await }).await;
        let failed = |error: &dyn std::fmt::Display| Invoked {
            result: Err(LambdaError::Failed(error.to_string())),
            lines: Vec::new(),
        };
        ended.unwrap_or_else(|error| failed(&error))
    }

    async fn run(&self, event: &Value) -> Invoked {
        let _place = self.places.acquire().await;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let environment = match idle {
            Some(environment) => Ok(environment),
            None => {
                sleep(self.cold_start).await;
                self.environment().await
            }
        };
        let mut environment = match environment {
            Ok(environment) => environment,
            Err(error) => {
                let result = Err(LambdaError::Start(error));
                return Invoked { result, lines: Vec::new() };
            }
        };
        let (id, started) = (self.random.uuid(), Stopwatch::start());
        let mut log = Log { group: self.log_group(), stream: environment.stream.clone(), lines: Vec::new() };
        if environment.init.is_some() {
            log.say(&format!(
                "INIT_START Runtime Version: nodejs\tRuntime Version ARN: arn:aws:lambda:{}::runtime:local",
                self.region
            ));
        }
        log.say(&format!("START RequestId: {id} Version: {VERSION}"));
        let answered = timeout(self.time_limit, environment.call(&id, event, self.time_limit)).await;
        let elapsed = started.elapsed();
        let result = match answered {
            Ok(Ok(answer)) => {
                log.take(&answer["logs"]);
                outcome(answer)
            }
            Ok(Err(_)) => Err(LambdaError::Exited),
            Err(_) => {
                log.say(&format!("{id} Task timed out after {:.2} seconds", self.time_limit.as_secs_f64()));
                Err(LambdaError::TimeLimit(self.time_limit))
            }
        };
        log.say(&format!("END RequestId: {id}"));
        log.report(&id, elapsed, environment.init.take());
        if matches!(result, Ok(_) | Err(LambdaError::Failed(_))) {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(environment);
        }
        Invoked { result, lines: log.lines }
    }

    fn log_group(&self) -> String {
        format!("/aws/lambda/us-east-1.{}", self.function.name)
    }

    /// Starts a process and loads the function.
    async fn environment(&self) -> Result<Environment, LambdaStartError> {
        let started = Stopwatch::start();
        let mut child = self.command().spawn().map_err(|error| no_node(&self.node, &error))?;
        let lost = || LambdaStartError::Load("its process has no pipes".to_owned());
        let (input, output) = (child.stdin.take().ok_or_else(lost)?, child.stdout.take().ok_or_else(lost)?);
        let (date, _) = date_and_time(unix_millis());
        let mut environment = Environment {
            _child: child,
            input,
            output: BufReader::new(output).lines(),
            stream: format!("{}/[{VERSION}]{}", date.replace('-', "/"), self.random.uuid().replace('-', "")),
            init: None,
        };
        let kind = if self.function.runtime == Runtime::LambdaCommonJs { "commonjs" } else { "module" };
        let code = json!({"kind": kind, "code": self.function.code});
        let answer = timeout(START_TIME_LIMIT, environment.exchange(&code)).await;
        let Ok(Ok(answer)) = answer else {
            return Err(LambdaStartError::Load("its process ended or did not answer".to_owned()));
        };
        if answer.get("ready").is_none() {
            let message = answer["error"]["message"].as_str().unwrap_or("no reason");
            return Err(LambdaStartError::Load(message.to_owned()));
        }
        environment.init = Some(started.elapsed() + self.cold_start);
        Ok(environment)
    }

    /// Node with the host in it. Lambda@Edge has no environment of the user's, only its own.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.node);
        command
            .args(["--input-type=module", &format!("--max-old-space-size={MEMORY_MIB}"), "--eval", HOST])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("TZ", ":UTC")
            .env("AWS_REGION", self.region)
            .env("AWS_LAMBDA_FUNCTION_NAME", format!("us-east-1.{}", self.function.name))
            .env("AWS_LAMBDA_FUNCTION_VERSION", VERSION)
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", MEMORY_MIB.to_string())
            // Inside of Lambda@Edge it is always this, whatever the viewer sent.
            .env("_X_AMZN_TRACE_ID", "Root=1-00000000-000000000000000000000000;Sampled=0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        command
    }
}

impl Environment {
    async fn call(&mut self, id: &str, event: &Value, time_limit: Duration) -> std::io::Result<Value> {
        let limit = u64::try_from(time_limit.as_millis()).unwrap_or(u64::MAX);
        let deadline = unix_millis().saturating_add(limit);
        self.exchange(&json!({"id": id, "event": event, "deadline": deadline})).await
    }

    /// Sends a line and waits for the answer.
    async fn exchange(&mut self, message: &Value) -> std::io::Result<Value> {
        self.input.write_all(format!("{message}\n").as_bytes()).await?;
        self.input.flush().await?;
        let line = self.output.next_line().await?.ok_or(std::io::ErrorKind::UnexpectedEof)?;
        serde_json::from_str(&line).map_err(std::io::Error::other)
    }
}

fn outcome(mut answer: Value) -> Result<Value, LambdaError> {
    if let Some(error) = answer.get("error") {
        let text = |member: &str| error[member].as_str().unwrap_or_default().to_owned();
        return Err(LambdaError::Failed(format!("{}: {}", text("type"), text("message"))));
    }
    Ok(answer["result"].take())
}

fn no_node(program: &Path, error: &std::io::Error) -> LambdaStartError {
    LambdaStartError::NoNode { program: program.display().to_string(), reason: error.to_string() }
}

/// The lines of one invocation.
struct Log {
    group: String,
    stream: String,
    lines: Vec<LogLine>,
}

impl Log {
    fn say(&mut self, text: &str) {
        self.push(unix_millis(), format!("{text}\n"));
    }

    fn push(&mut self, unix_millis: u64, text: String) {
        self.lines.push(LogLine { unix_millis, text, group: self.group.clone(), stream: self.stream.clone() });
    }

    /// What the function wrote: `[[milliseconds, text], …]`.
    fn take(&mut self, logs: &Value) {
        for line in logs.as_array().into_iter().flatten() {
            let text = line[1].as_str().unwrap_or_default();
            self.push(line[0].as_u64().unwrap_or_else(unix_millis), format!("{text}\n"));
        }
    }

    fn report(&mut self, id: &str, elapsed: Duration, init: Option<Duration>) {
        let millis = elapsed.as_secs_f64() * 1000.0;
        let init =
            init.map(|init| format!("\tInit Duration: {:.2} ms", init.as_secs_f64() * 1000.0)).unwrap_or_default();
        self.say(&format!(
            "REPORT RequestId: {id}\tDuration: {millis:.2} ms\tBilled Duration: {} ms\tMemory Size: {MEMORY_MIB} MB{init}\t",
            millis.ceil()
        ));
    }
}

#[cfg(test)]
mod tests;
