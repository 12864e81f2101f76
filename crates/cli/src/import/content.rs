//! What is in a file, found out by how it begins: compression, then OTLP or logs of CloudFront.

use std::io::{BufRead as _, Read};
use std::ops::ControlFlow;

use anyhow::{Context as _, bail};
use rootspan_gateway::receivers::cloudfront::pieces::{self, Input, PieceLimits, Pieces};
use rootspan_wire::cloudfront::conversion::{Conversion, Converter, Sink, What};
use rootspan_wire::cloudfront::observation::Observations;
use rootspan_wire::otlp::json::read_request;
use rootspan_wire::otlp::validate::{Limits, validate};
use serde::de::IgnoredAny;

use super::FileOutcome;

/// The longest line, JSON value or request of OTLP.
const MAX_VALUE_BYTES: usize = 512 << 20;
/// Pieces in which logs are read.
const LIMITS: PieceLimits = PieceLimits { piece_bytes: 1 << 20, max_value_bytes: MAX_VALUE_BYTES };

/// What a file has.
pub(super) struct Content<'i> {
    form: Form,
    input: Input<'i>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Access logs, function logs, envelopes.
    CloudFront,
    /// JSON values, one after the other.
    OtlpJson,
    /// One request.
    OtlpProtobuf,
    /// Requests, each after its length in four bytes, as the exporter `file` writes them.
    OtlpFrames,
    Empty,
}

/// Unpacks what is packed and looks at how the rest begins.
pub(super) fn open<'i>(input: impl Read + 'i) -> anyhow::Result<Content<'i>> {
    let mut input = pieces::unpack(input).context("it cannot be read")?;
    let form = form(fill(&mut input)?)?;
    Ok(Content { form, input })
}

fn fill<'a>(input: &'a mut Input<'_>) -> anyhow::Result<&'a [u8]> {
    input.fill_buf().context("it cannot be read")
}

fn form(head: &[u8]) -> anyhow::Result<Form> {
    let text = head.trim_ascii_start();
    let is_binary = head.iter().any(|byte| *byte < b' ' && !matches!(byte, b'\t' | b'\r' | b'\n'));
    Ok(match text.first() {
        _ if is_binary && head.first() == Some(&0) => Form::OtlpFrames,
        _ if is_binary && head.first() == Some(&0x0a) => Form::OtlpProtobuf,
        _ if is_binary && head.starts_with(b"PAR1") => {
            bail!("this is Parquet; have standard logging deliver JSON, W3C or plain, and import that")
        }
        _ if is_binary => bail!("this is neither text nor OTLP in protobuf"),
        None => Form::Empty,
        Some(b'[') => bail!("a list in JSON may be Zipkin's format, which is not read yet; convert it to OTLP"),
        Some(b'{') if is_otlp(text) => Form::OtlpJson,
        Some(_) => Form::CloudFront,
    })
}

/// Whether a JSON object is OTLP: that is its first member.
fn is_otlp(text: &[u8]) -> bool {
    let member = text.get(1..).unwrap_or_default().trim_ascii_start();
    ["\"resourceSpans\"", "\"resource_spans\"", "\"batches\""].iter().any(|name| member.starts_with(name.as_bytes()))
}

/// Takes what is to be counted of records; `Break` ends the reading.
pub(super) type Count<'s> = dyn FnMut(Observations) -> ControlFlow<()> + 's;

impl Content<'_> {
    /// Reads all of it; `count` takes what is to be counted of records.
    pub(super) fn read(
        self,
        converter: &Converter,
        sink: &mut Sink<'_>,
        count: &mut Count<'_>,
    ) -> anyhow::Result<FileOutcome> {
        match self.form {
            Form::CloudFront => read_logs(self.input, converter, sink, count),
            Form::OtlpJson => read_json(self.input, sink),
            Form::OtlpProtobuf => read_protobuf(self.input, sink),
            Form::OtlpFrames => read_frames(self.input, sink),
            Form::Empty => Ok(FileOutcome::default()),
        }
    }
}

fn read_logs(
    input: Input<'_>,
    converter: &Converter,
    sink: &mut Sink<'_>,
    count: &mut Count<'_>,
) -> anyhow::Result<FileOutcome> {
    let mut conversion = converter.begin();
    let mut pieces = Pieces::new(input, LIMITS);
    // What is packed within a log is nobody's record.
    let mut next = || {
        pieces.next(|piece| {
            conversion.read_next(piece, sink).is_continue() && count(conversion.take_observations()).is_continue()
        })
    };
    while let Some(goes_on) = next().context("it cannot be read to its end")? {
        if !goes_on {
            return Ok(finished(&conversion));
        }
    }
    // Broken off: the sink has the reason.
    let _flow = conversion.flush(sink);
    Ok(finished(&conversion))
}

fn finished(conversion: &Conversion<'_>) -> FileOutcome {
    let hint = |problem: String| {
        if problem.contains("need a list of fields") {
            "these may be real-time logs: --real-time-fields NAMES, in the order of delivery".to_owned()
        } else {
            problem
        }
    };
    FileOutcome {
        tally: *conversion.tally(),
        first_problem: conversion.first_problem().map(|problem| hint(problem.to_string())),
    }
}

/// JSON lines; a document over several lines is read as a whole.
fn read_json(input: Input<'_>, sink: &mut Sink<'_>) -> anyhow::Result<FileOutcome> {
    let mut outcome = FileOutcome::default();
    let mut text = Vec::new();
    let mut input = input.take(MAX_VALUE_BYTES as u64);
    while input.read_until(b'\n', &mut text).context("it cannot be read to its end")? > 0 {
        let is_open = serde_json::from_slice::<IgnoredAny>(&text).is_err_and(|error| error.is_eof());
        if text.trim_ascii().is_empty() || is_open {
            continue;
        }
        if outcome.request(read_request(&text, &Limits::default()), sink) {
            return Ok(outcome);
        }
        text.clear();
    }
    if !text.trim_ascii().is_empty() {
        outcome.bad("the last JSON value is not complete".to_owned());
    }
    Ok(outcome)
}

fn read_protobuf(input: Input<'_>, sink: &mut Sink<'_>) -> anyhow::Result<FileOutcome> {
    let mut outcome = FileOutcome::default();
    let mut bytes = Vec::new();
    input.take(MAX_VALUE_BYTES as u64).read_to_end(&mut bytes).context("it cannot be read to its end")?;
    outcome.request(validate(bytes.into(), &Limits::default()), sink);
    Ok(outcome)
}

fn read_frames(mut input: Input<'_>, sink: &mut Sink<'_>) -> anyhow::Result<FileOutcome> {
    let mut outcome = FileOutcome::default();
    loop {
        let mut length = [0; 4];
        if fill(&mut input)?.is_empty() {
            return Ok(outcome);
        }
        input.read_exact(&mut length).context("the last length is not complete")?;
        let length = u32::from_be_bytes(length) as usize;
        if length > MAX_VALUE_BYTES {
            bail!("a request of {length} bytes is longer than any is");
        }
        let mut bytes = vec![0; length];
        input.read_exact(&mut bytes).context("the last request is not complete")?;
        if outcome.request(validate(bytes.into(), &Limits::default()), sink) {
            return Ok(outcome);
        }
    }
}

impl FileOutcome {
    fn bad(&mut self, reason: String) {
        self.tally.add(What::Bad, 1);
        self.first_problem.get_or_insert(reason);
    }

    /// Takes a request of OTLP; `true` if nothing more is wanted.
    fn request<E: std::fmt::Display>(
        &mut self,
        read: Result<rootspan_wire::otlp::validate::Validated, E>,
        sink: &mut Sink<'_>,
    ) -> bool {
        match read {
            Ok(validated) => {
                self.tally.add(What::Span, validated.batch.span_count() as u64);
                if validated.rejected.items > 0 {
                    self.tally.add(What::Bad, validated.rejected.items);
                    self.first_problem.get_or_insert(validated.rejected.first_reason);
                }
                !validated.batch.is_empty() && sink(validated.batch).is_break()
            }
            Err(error) => {
                self.bad(error.to_string());
                false
            }
        }
    }
}

#[cfg(test)]
mod tests;
