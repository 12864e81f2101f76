//! `rootspan search` and `rootspan trace`: the same answers as the UI's, over HTTP.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use rootspan_analytics::critical_path::critical_path;
use rootspan_analytics::render;
use rootspan_analytics::tree::Tree;
use rootspan_model::ids::TraceId;
use rootspan_model::time::UnixNanos;
use rootspan_query::answers::{SearchAnswer, TraceRow};
use rootspan_query::client::{Client, ClientError, SearchParameters};
use rootspan_query::guard::Auth;

use crate::arguments::{Format, SearchArguments, SourceArguments, TraceArguments};
use crate::output::{complain, say};
use crate::runtime;
use crate::table::{Align, clean, duration, table};

/// Finds traces.
pub(crate) fn search(arguments: &SearchArguments) -> anyhow::Result<ExitCode> {
    let start = arguments.since.as_deref().map(since).transpose()?;
    let parameters = SearchParameters {
        query: arguments.query.clone(),
        start,
        limit: Some(arguments.limit),
        ..SearchParameters::default()
    };
    let client = client(&arguments.source)?;
    let answer = match runtime::start()?.block_on(client.search(&parameters)) {
        Ok(answer) => answer,
        Err(ClientError::Refused { error, .. }) if error.position.is_some() => {
            let position = error.position.map(|position| position.offset).unwrap_or_default();
            complain!("{}\n{}^ {}", arguments.query, " ".repeat(position), error.message);
            return Ok(ExitCode::FAILURE);
        }
        Err(error) => return Err(error.into()),
    };
    match arguments.source.format {
        Format::Json => say!("{}", serde_json::to_string_pretty(&answer)?),
        Format::Table => print_traces(&answer),
    }
    Ok(ExitCode::SUCCESS)
}

fn print_traces(answer: &SearchAnswer) {
    let header = [
        ("trace", Align::Left),
        ("start (UTC)", Align::Left),
        ("duration", Align::Right),
        ("spans", Align::Right),
        ("errors", Align::Right),
        ("root", Align::Left),
        ("services", Align::Left),
    ];
    let rows: Vec<_> = answer.traces.iter().map(row).collect();
    if rows.is_empty() {
        say!("no trace matches; is the time range right, and has the service sent spans?");
    } else {
        crate::output::print(format_args!("{}", table(&header, &rows)));
    }
    if let Some(reason) = &answer.partial {
        complain!("the answer is incomplete: {}", clean(reason));
    }
    if answer.next_cursor.is_some() {
        complain!("there are more; raise --limit or narrow the query");
    }
}

fn row(trace: &TraceRow) -> Vec<String> {
    let mut remarks = String::new();
    for (is_so, remark) in [
        (trace.root_missing, " (edge span not yet delivered)"),
        (trace.derived_ids, " (ids derived from the request id)"),
        (trace.backend_not_recorded, " (backend not recorded)"),
    ] {
        if is_so {
            remarks.push_str(remark);
        }
    }
    let services: Vec<_> = trace.services.iter().map(|service| clean(&service.name)).collect();
    vec![
        trace.trace_id.clone(),
        utc(trace.start_time_unix_nano.parse().unwrap_or_default()),
        duration(trace.duration_nanos),
        trace.span_count.to_string(),
        trace.error_count.to_string(),
        format!("{} {}{remarks}", clean(&trace.root_service), clean(&trace.root_name)),
        services.join(" "),
    ]
}

/// Shows one trace as a tree, then where the time of each entry span went.
pub(crate) fn trace(arguments: &TraceArguments) -> anyhow::Result<ExitCode> {
    let Some(id) = TraceId::from_hex(&arguments.id) else {
        bail!("{:?} is not a trace id: it has 32 hexadecimal digits", arguments.id);
    };
    let client = client(&arguments.source)?;
    let runtime = runtime::start()?;
    let missing = || {
        format!("{} has no trace {id}; its spans may still be under way, or past the retention", arguments.source.url)
    };
    match arguments.source.format {
        Format::Json => {
            let json = runtime.block_on(client.trace_json(&id))?.with_context(missing)?;
            say!("{}", String::from_utf8_lossy(&json));
        }
        Format::Table => {
            let batch = runtime.block_on(client.trace(&id))?.with_context(missing)?;
            let tree = Tree::build(&batch);
            crate::output::print(format_args!("{}", clean_lines(&render::tree(&tree))));
            say!("\nwhere the time went");
            crate::output::print(format_args!("{}", clean_lines(&render::paths(&tree, &critical_path(&tree)))));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// [`clean`] line by line.
fn clean_lines(text: &str) -> String {
    text.lines().map(|line| clean(line) + "\n").collect()
}

/// Who answers.
pub(crate) fn client(source: &SourceArguments) -> anyhow::Result<Client> {
    let auth = match (&source.token, &source.user) {
        (Some(token), _) => Some(Auth::Bearer { token: token.clone() }),
        (None, Some(user)) => {
            // The text is a secret: not in the message.
            let (username, password) =
                user.split_once(':').context("--user (or ROOTSPAN_USER) needs a name and a password: NAME:PASSWORD")?;
            Some(Auth::Basic { username: username.to_owned(), password: password.to_owned() })
        }
        (None, None) => None,
    };
    Ok(Client::new(&source.url, auth.as_ref())?)
}

/// `30m`, `2h`, `1d` before now, as Unix nanoseconds.
pub(crate) fn since(text: &str) -> anyhow::Result<String> {
    let digits = text.trim_end_matches(|character: char| !character.is_ascii_digit());
    let unit_seconds = match text.strip_prefix(digits) {
        Some("s") => 1,
        Some("m") => 60,
        Some("h") => 3_600,
        Some("d") => 86_400,
        _ => bail!("--since {text:?}: write a number and s, m, h or d, e.g. 30m"),
    };
    let count: u64 = digits.parse().with_context(|| format!("--since {text:?} does not begin with a number"))?;
    let nanos = count.saturating_mul(unit_seconds).saturating_mul(1_000_000_000);
    Ok(rootspan_gateway::clock::system()().0.saturating_sub(nanos).to_string())
}

/// A point in time for people.
pub(crate) fn utc(nanos: u64) -> String {
    UnixNanos(nanos).utc().to_string()
}
