//! Runs a CloudFront function as CloudFront does: the API of runtime 2.0 and nothing else, within its limits.
//!
//! Every invocation gets an engine of its own, so that nothing of one request reaches another. Not emulated, and said so
//! when called: key-value stores, origin selection, `md5` and `sha1`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use rquickjs::{CatchResultExt, Context, Ctx, Function, Module, Object, Promise, Runtime, Value, context::intrinsic};

use rootspan_model::limits::EDGE_FUNCTION_MAX_BYTES;

use super::clock::Stopwatch;
use super::digest::{hex, hmac_sha256, sha256};

/// Makes a bare engine into CloudFront's runtime.
const BOOTSTRAP: &str = include_str!("bootstrap.js");

/// Built-in modules, each a line that hands out what the bootstrap made.
const MODULES: [(&str, &str); 4] = [
    ("buffer", "const m = require('buffer'); export const Buffer = m.Buffer; export default m;"),
    ("cloudfront", "export default require('cloudfront');"),
    ("crypto", "export default require('crypto');"),
    ("querystring", "export default require('querystring');"),
];

/// CloudFront's 2 MB, and what the engine itself takes before the function runs.
const MEMORY_LIMIT_BYTES: usize = 2 * 1024 * 1024 + 1024 * 1024;

/// Stack of the engine: enough for any sane function, small beside the thread's.
const STACK_LIMIT_BYTES: usize = 256 * 1024;

/// CloudFront's console output of one invocation ends here.
const CONSOLE_MAX_BYTES: usize = 10 * 1024;

/// Code of a function that was accepted.
#[derive(Clone, Debug)]
pub(crate) struct FunctionCode {
    source: Arc<str>,
}

/// One call.
#[derive(Clone, Debug)]
pub(crate) struct Invocation {
    /// The event in JSON.
    pub(crate) event: String,
    /// The query as the viewer sent it.
    pub(crate) raw_query: String,
    /// What `Date` says.
    pub(crate) start_unix_millis: u64,
    /// `cf.edgeLocation` in JSON: `{}` in viewer-response.
    pub(crate) edge_location: String,
    /// After this the function is ended. CloudFront's own limit is not published, about a millisecond.
    pub(crate) time_limit: Duration,
}

/// What a call gave.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Called {
    /// The returned value, in JSON; `None` if the function returned nothing.
    pub(crate) result: Result<Option<serde_json::Value>, FunctionError>,
    /// The text of the last `cf.logCustomData`.
    pub(crate) log_data: Option<String>,
    /// What went to `console.log`, a text for each call.
    pub(crate) console: Vec<String>,
    /// How long the handler ran, without the engine's start.
    pub(crate) elapsed: Duration,
}

/// A function failed; CloudFront's name for it is `FunctionExecutionError`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FunctionError {
    /// The code is over the limit.
    #[error("the function has {bytes} bytes, CloudFront allows {EDGE_FUNCTION_MAX_BYTES}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// It is no JavaScript, has no `handler`, or threw.
    #[error("the function failed: {0}")]
    Failed(String),
    /// It ran too long.
    #[error("the function was ended after {0:?}")]
    TimeLimit(Duration),
}

/// What the function left behind beside its result.
#[derive(Default)]
struct Traces {
    log_data: Option<String>,
    console: Vec<String>,
    console_bytes: usize,
    /// When the engine was ready and the handler was called.
    called: Option<Stopwatch>,
}

impl FunctionCode {
    /// Accepts code: its size, its syntax and that it defines `handler`.
    pub(crate) fn new(code: &str) -> Result<Self, FunctionError> {
        if code.len() > EDGE_FUNCTION_MAX_BYTES {
            return Err(FunctionError::TooLarge { bytes: code.len() });
        }
        let accepted = Self { source: format!("{code}\n;export {{ handler }};").into() };
        let runtime = Runtime::new().map_err(engine_failure)?;
        let context = new_context(&runtime)?;
        context.with(|ctx| {
            let compile = || {
                for (name, code) in MODULES {
                    Module::declare(ctx.clone(), name, code)?;
                }
                Module::declare(ctx.clone(), "function.js", accepted.source.as_bytes()).map(drop)
            };
            compile().catch(&ctx).map_err(|error| FunctionError::Failed(error.to_string()))
        })?;
        Ok(accepted)
    }

    /// Calls `handler`. Blocks for at most the time limit.
    pub(crate) fn call(&self, invocation: &Invocation) -> Called {
        let traces = Arc::new(Mutex::new(Traces::default()));
        let result = self.result(invocation, &traces);
        let mut traces = traces.lock().unwrap_or_else(PoisonError::into_inner);
        Called {
            result,
            log_data: traces.log_data.take(),
            console: std::mem::take(&mut traces.console),
            elapsed: traces.called.map(Stopwatch::elapsed).unwrap_or_default(),
        }
    }

    fn result(
        &self,
        invocation: &Invocation,
        traces: &Arc<Mutex<Traces>>,
    ) -> Result<Option<serde_json::Value>, FunctionError> {
        let runtime = Runtime::new().map_err(engine_failure)?;
        runtime.set_memory_limit(MEMORY_LIMIT_BYTES);
        runtime.set_max_stack_size(STACK_LIMIT_BYTES);
        let stopwatch = Stopwatch::start();
        let time_limit = invocation.time_limit;
        runtime.set_interrupt_handler(Some(Box::new(move || stopwatch.elapsed() > time_limit)));
        let context = new_context(&runtime)?;
        let result = context
            .with(|ctx| run(&ctx, &self.source, invocation, traces).catch(&ctx).map_err(|error| error.to_string()));
        match result {
            Ok(text) => {
                let value = text.map(|text| serde_json::from_str(&text)).transpose();
                value.map_err(|error| FunctionError::Failed(error.to_string()))
            }
            Err(_) if stopwatch.elapsed() > time_limit => Err(FunctionError::TimeLimit(time_limit)),
            Err(message) => Err(FunctionError::Failed(message)),
        }
    }
}

/// A context with the language, without the engine's own extras (`performance`, `WeakRef`, `DOMException`).
fn new_context(runtime: &Runtime) -> Result<Context, FunctionError> {
    type Language = (
        intrinsic::Date,
        intrinsic::Eval,
        intrinsic::RegExpCompiler,
        intrinsic::RegExp,
        intrinsic::Json,
        intrinsic::Proxy,
        intrinsic::MapSet,
        intrinsic::TypedArrays,
        intrinsic::Promise,
    );
    Context::custom::<Language>(runtime).map_err(engine_failure)
}

#[expect(clippy::needless_pass_by_value, reason = "is passed to map_err")]
fn engine_failure(error: rquickjs::Error) -> FunctionError {
    FunctionError::Failed(format!("the engine could not be started: {error}"))
}

fn run(
    ctx: &Ctx<'_>,
    source: &str,
    invocation: &Invocation,
    traces: &Arc<Mutex<Traces>>,
) -> rquickjs::Result<Option<String>> {
    let bootstrap: Function<'_> = ctx.eval(BOOTSTRAP)?;
    let invoke: Function<'_> = bootstrap.call((host(ctx, invocation, traces)?,))?;
    for (name, code) in MODULES {
        let (_, promise) = Module::declare(ctx.clone(), name, code)?.eval()?;
        promise.finish::<()>()?;
    }
    let (module, promise) = Module::declare(ctx.clone(), "function.js", source)?.eval()?;
    promise.finish::<()>()?;
    let handler: Value<'_> = module.get("handler")?;
    let call = (handler, invocation.event.as_str(), invocation.raw_query.as_str());
    traces.lock().unwrap_or_else(PoisonError::into_inner).called = Some(Stopwatch::start());
    invoke.call::<_, Promise<'_>>(call)?.finish()
}

/// What the bootstrap needs of the outside.
fn host<'js>(ctx: &Ctx<'js>, invocation: &Invocation, traces: &Arc<Mutex<Traces>>) -> rquickjs::Result<Object<'js>> {
    let host = Object::new(ctx.clone())?;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are far below 2^53")]
    host.set("start", invocation.start_unix_millis as f64)?;
    host.set("edgeLocation", invocation.edge_location.as_str())?;
    host.set("encode", Function::new(ctx.clone(), encode)?)?;
    host.set("decode", Function::new(ctx.clone(), decode)?)?;
    host.set("hasHash", Function::new(ctx.clone(), |algorithm: String| algorithm == "sha256")?)?;
    host.set("hash", Function::new(ctx.clone(), hash)?)?;
    let log = Arc::clone(traces);
    let log = move |text: String| log.lock().unwrap_or_else(PoisonError::into_inner).log_data = Some(text);
    host.set("log", Function::new(ctx.clone(), log)?)?;
    let console = Arc::clone(traces);
    let console = move |line: String| {
        let mut traces = console.lock().unwrap_or_else(PoisonError::into_inner);
        traces.console_bytes += line.len() + 1;
        if traces.console_bytes <= CONSOLE_MAX_BYTES {
            traces.console.push(line);
        }
    };
    host.set("console", Function::new(ctx.clone(), console)?)?;
    Ok(host)
}

#[expect(clippy::needless_pass_by_value, reason = "the engine hands over owned values")]
fn encode(bytes: Vec<u8>, encoding: String) -> String {
    match encoding.as_str() {
        "hex" => hex(&bytes),
        "base64" => STANDARD.encode(&bytes),
        "base64url" => URL_SAFE_NO_PAD.encode(&bytes),
        _ => String::from_utf8_lossy(&bytes).into_owned(),
    }
}

/// What does not decode gives what was decoded before, as Node does; for the bases that is nothing here.
#[expect(clippy::needless_pass_by_value, reason = "the engine hands over owned values")]
fn decode(text: String, encoding: String) -> Vec<u8> {
    match encoding.as_str() {
        "hex" => {
            let pairs = text.as_bytes().chunks_exact(2);
            pairs.map_while(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
        }
        "base64" => STANDARD_NO_PAD.decode(text.trim_end_matches('=')).unwrap_or_default(),
        "base64url" => URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).unwrap_or_default(),
        _ => text.into_bytes(),
    }
}

/// SHA-256, or HMAC with it if there is a key. The bootstrap asks for no other algorithm.
#[expect(clippy::needless_pass_by_value, reason = "the engine hands over owned values")]
fn hash(_algorithm: String, key: Option<Vec<u8>>, data: Vec<u8>) -> Vec<u8> {
    key.map_or_else(|| sha256(&data), |key| hmac_sha256(&key, &data))
}

#[cfg(test)]
mod tests;
