//! `rootspan edge emulate`: what it says of itself, and its options.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use rootspan_edge::emulator::LogForm;

/// What `rootspan edge emulate --help` says. No line is longer than [`MAX_COLUMNS`]: a terminal of usual width wraps none.
pub(super) const EMULATE_ABOUT: &str = "\
Run a local CloudFront in front of an origin

Imitated:
  - edge functions on all four events: CloudFront Functions in an engine of
    their own, Lambda@Edge in Node; when which function runs, which headers it
    may touch, and how large and slow it may be
  - cache behaviours with cache and origin request policies; Min, Default and
    Max TTL, revalidation, stale answers while the origin fails, request
    collapsing, error caching and error pages; origin groups with failover
  - WAF blocks, methods (TRACE is refused), redirects to HTTPS, viewers who
    leave; URLs over 8,192 bytes and requests over 20,480 bytes are refused
    and, as at CloudFront, not logged
  - access logs and function logs with all fields, in every form but raw and
    Parquet, with cookies and headers cut as CloudFront does
  - their delivery by Firehose (limits of records and bodies, access key,
    common attributes, what it takes for an answer, retries with back-off),
    into a folder or a bucket, as CloudWatch envelopes, late, repeated or
    shuffled

Not imitated:
  - TLS, HTTP/2 and HTTP/3: a viewer counts as HTTPS unless it sends
    x-rootspan-viewer-protocol: http
  - compression, parts of cached objects, Vary, S3 origins, Origin Shield,
    signed URLs and cookies, geo restriction, media-quality-aware failover
  - in functions: key-value stores, selection of origins by CloudFront
    Functions, bodies of requests, different functions for different behaviours
  - raw and Parquet logs; the fields of field-level encryption and of CMCD are
    always empty
  - the millisecond that CloudFront Functions may take: the limit is 2 s here,
    for a busy machine cannot tell

Not in AWS's documentation, and so an assumption: a viewer-request function
does not run for what WAF blocks and for redirects to HTTPS
(function_before_refusal in a distribution file turns that around).

--distribution FILE has all of it; the other options are for one behaviour and
one log.";

/// What fits into a terminal of 80 columns. Longer lines are wrapped by clap, which knows nothing of lists.
const MAX_COLUMNS: usize = 79;

const _: () = {
    let (text, mut column, mut at) = (EMULATE_ABOUT.as_bytes(), 0, 0);
    while at < text.len() {
        column = if text[at] == b'\n' { 0 } else { column + 1 };
        assert!(column <= MAX_COLUMNS, "clap would wrap this line again");
        at += 1;
    }
};

#[derive(Debug, Args)]
pub(crate) struct EdgeEmulateArguments {
    /// The distribution (YAML): behaviours, origins, policies, error pages, WAF rules, functions, logs; see
    /// docs/examples/distribution.yaml. --listen, --origin and --node stand above it
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "function", "origin_request", "origin_response", "viewer_response", "forward_headers", "default_ttl",
        "redirect_to_https", "error_page", "block", "log", "log_fields", "firehose", "log_folder", "log_bucket",
        "s3_endpoint", "envelopes", "common_attribute", "log_delay", "log_repeats", "log_shuffle",
    ])]
    pub(crate) distribution: Option<PathBuf>,
    /// The origin, http://host:port
    #[arg(long, value_name = "URL", required_unless_present = "distribution")]
    pub(crate) origin: Option<String>,
    /// Where to listen; 127.0.0.1:8080 if nothing says otherwise
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// The viewer-request function; without it the built-in one with default settings. A file ending in .js is a
    /// CloudFront function, .mjs and .cjs are Lambda@Edge
    #[arg(long, visible_alias = "viewer-request", value_name = "FILE")]
    pub(crate) function: Option<PathBuf>,
    /// The Lambda@Edge origin-request function
    #[arg(long, value_name = "FILE")]
    pub(crate) origin_request: Option<PathBuf>,
    /// The Lambda@Edge origin-response function
    #[arg(long, value_name = "FILE")]
    pub(crate) origin_response: Option<PathBuf>,
    /// The viewer-response function
    #[arg(long, value_name = "FILE")]
    pub(crate) viewer_response: Option<PathBuf>,
    /// The program that runs Lambda@Edge functions; node if nothing says otherwise
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) node: Option<PathBuf>,
    /// Headers that the origin request policy lets through, separated by commas; without it all but Host
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) forward_headers: Option<Vec<String>>,
    /// How long an answer is kept if the origin does not say, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub(crate) default_ttl: u64,
    /// Redirect plain HTTP to HTTPS
    #[arg(long)]
    pub(crate) redirect_to_https: bool,
    /// Answer an error status of the origin with a page of this distribution: STATUS=PATH
    #[arg(long, value_name = "STATUS=PATH", value_parser = error_page)]
    pub(crate) error_page: Vec<(u16, String)>,
    /// Block requests for a path pattern, as AWS WAF does
    #[arg(long, value_name = "PATTERN")]
    pub(crate) block: Vec<String>,
    /// Which log is delivered: v2-json, v2-w3c, v2-plain, v1, real-time, functions
    #[arg(long, value_name = "NAME", default_value = "v2-json")]
    pub(crate) log: LogForm,
    /// Fields of the log, separated by commas; without it all
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) log_fields: Option<Vec<String>>,
    /// Where logs go, as Firehose sends them
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:4433/")]
    pub(crate) firehose: String,
    /// The key that the receiver knows; without it nothing is delivered by Firehose
    #[arg(long, value_name = "KEY", env = "ROOTSPAN_FIREHOSE_ACCESS_KEY", hide_env_values = true)]
    pub(crate) access_key: Option<String>,
    /// What Firehose says of all records: NAME=VALUE. May be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub(crate) common_attribute: Vec<(String, String)>,
    /// Write log files into this folder instead, named as in S3
    #[arg(long, value_name = "DIR")]
    pub(crate) log_folder: Option<PathBuf>,
    /// Write log files into this bucket instead; the key is read from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
    #[arg(long, value_name = "NAME", requires = "s3_endpoint")]
    pub(crate) log_bucket: Option<String>,
    /// The server with the bucket, http://host:port
    #[arg(long, value_name = "URL")]
    pub(crate) s3_endpoint: Option<String>,
    /// Pack log lines into envelopes of a CloudWatch Logs subscription
    #[arg(long)]
    pub(crate) envelopes: bool,
    /// Deliver logs so many seconds late
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub(crate) log_delay: u64,
    /// Deliver every batch this many times more
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) log_repeats: u32,
    /// Deliver the records of a batch in any order
    #[arg(long)]
    pub(crate) log_shuffle: bool,
}

/// `deployment.environment.name=prod`
fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// `404=/errors/404.html`
fn error_page(text: &str) -> Result<(u16, String), String> {
    let (status, path) = text.split_once('=').ok_or("it must be STATUS=PATH")?;
    let status = status.parse().map_err(|_| "the status must be a number".to_owned())?;
    if !path.starts_with('/') {
        return Err("the path must begin with a slash".to_owned());
    }
    Ok((status, path.to_owned()))
}
