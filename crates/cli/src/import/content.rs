//! What is in a file, found out by how it begins: compression, then OTLP or logs of CloudFront.

use std::io::{BufRead as _, Read};
use std::ops::ControlFlow;

use anyhow::{Context as _, bail};
use rootspan_gateway::receivers::cloudfront::pieces::{self, Input, PieceLimits, Pieces};
use rootspan_wire::cloudfront::conversion::{Conversion, Converter, Sink, What};
use rootspan_wire::cloudfront::observation::Observations;
use rootspan_wire::otlp::json::read_request;
use rootspan_wire::otlp::validate::{Limits, validate};

use super::FileOutcome;

/// The longest JSON value or request of OTLP.
const MAX_VALUE_BYTES: usize = 512 << 20;
/// Pieces in which logs are read. A record has a few kilobytes; longer lines are passed over.
const LIMITS: PieceLimits = PieceLimits { piece_bytes: 1 << 20, max_value_bytes: 16 << 20 };

/// So much of a file is looked at to find out whether it is text.
const BINARY_HEAD_BYTES: usize = 4096;
/// A byte in so many that text does not have, and it is none. In what is packed or encrypted it is every ninth.
const MAX_CONTROL_SHARE: usize = 20;

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
    Ok(match text.first() {
        _ if is_request(head) => Form::OtlpProtobuf,
        _ if is_frame(head) => Form::OtlpFrames,
        _ if head.starts_with(b"PAR1") => {
            bail!("this is Parquet; have standard logging deliver JSON, W3C or plain, and import that")
        }
        _ if is_binary(head) => bail!("this is neither text nor OTLP in protobuf"),
        None => Form::Empty,
        Some(b'[') => bail!("a list in JSON may be Zipkin's format, which is not read yet; convert it to OTLP"),
        Some(b'{') if is_otlp(text) => Form::OtlpJson,
        Some(_) => Form::CloudFront,
    })
}

/// Whether this is the beginning of a request of OTLP in protobuf: its first field, with a length, and in it a field that
/// `ResourceSpans` has. A log may begin with the same byte, which ends a line.
fn is_request(bytes: &[u8]) -> bool {
    let Some((0x0a, rest)) = bytes.split_first() else { return false };
    let digits = rest.iter().take(5).take_while(|byte| **byte >= 0x80).count();
    matches!((rest.get(digits), rest.get(digits + 1)), (Some(1..), Some(0x0a | 0x12 | 0x1a)))
}

/// Whether this is a length in four bytes and the beginning of a request.
fn is_frame(bytes: &[u8]) -> bool {
    let Some((length, request)) = bytes.split_first_chunk::<4>() else { return false };
    *length != [0; 4] && (is_request(request) || length[0] == 0 && request.len() < 3)
}

/// Whether this is no text. A log has whatever viewers send: some bytes that are nobody's letters make no other file of it.
fn is_binary(head: &[u8]) -> bool {
    let head = head.get(..BINARY_HEAD_BYTES).unwrap_or(head);
    let is_control = |byte: &&u8| **byte < b' ' && !matches!(**byte, b'\t' | b'\r' | b'\n' | 0x1b);
    head.iter().filter(is_control).count() * MAX_CONTROL_SHARE > head.len()
}

/// Whether a JSON object is OTLP: that is its first member.
fn is_otlp(text: &[u8]) -> bool {
    let member = text.get(1..).unwrap_or_default().trim_ascii_start();
    ["\"resourceSpans\"", "\"resource_spans\"", "\"batches\""].iter().any(|name| member.starts_with(name.as_bytes()))
}

/// Takes what is to be counted of records; `Break` ends the reading.
pub(super) type Count<'s> = dyn FnMut(Observations) -> ControlFlow<()> + 's;

impl Content<'_> {
    /// Reads all of it, or as far as it can be read; `count` takes what is to be counted of records.
    pub(super) fn read(self, converter: &Converter, sink: &mut Sink<'_>, count: &mut Count<'_>) -> FileOutcome {
        let mut outcome = FileOutcome::default();
        let read = match self.form {
            Form::CloudFront => return read_logs(self.input, converter, sink, count),
            Form::OtlpJson => read_json(self.input, &mut outcome, sink),
            Form::OtlpProtobuf => read_protobuf(self.input, &mut outcome, sink),
            Form::OtlpFrames => read_frames(self.input, &mut outcome, sink),
            Form::Empty => Ok(()),
        };
        outcome.broken = read.err();
        outcome
    }
}

fn read_logs(input: Input<'_>, converter: &Converter, sink: &mut Sink<'_>, count: &mut Count<'_>) -> FileOutcome {
    let mut conversion = converter.begin();
    let mut pieces = Pieces::new(input, LIMITS);
    let broken = loop {
        // What is packed within a log is nobody's record.
        let taken = pieces.next(|piece| {
            conversion.read_next(piece, sink).is_continue() && count(conversion.take_observations()).is_continue()
        });
        match taken {
            Ok(Some(true)) => {}
            // Broken off: the sink has the reason.
            Ok(Some(false)) => return finished(&conversion, None),
            Ok(None) => break None,
            Err(error) => break Some(anyhow::Error::new(error).context("it cannot be read to its end")),
        }
    };
    // The same holds here.
    let _flow = conversion.flush(sink);
    finished(&conversion, broken)
}

fn finished(conversion: &Conversion<'_>, broken: Option<anyhow::Error>) -> FileOutcome {
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
        broken,
    }
}

/// JSON lines; a document over several lines is read as a whole.
fn read_json(mut input: Input<'_>, outcome: &mut FileOutcome, sink: &mut Sink<'_>) -> anyhow::Result<()> {
    let (mut text, mut open) = (Vec::new(), OpenValue::default());
    loop {
        let begin = text.len();
        let room = (MAX_VALUE_BYTES - begin) as u64;
        let read = (&mut input).take(room).read_until(b'\n', &mut text).context("it cannot be read to its end")?;
        if read == 0 && room == 0 {
            bail!("a JSON value has more than {MAX_VALUE_BYTES} bytes");
        }
        let line = text.get(begin..).unwrap_or_default();
        // A line that begins another request ends a document that lacks its end.
        let ends_the_one_before = read == 0 || is_otlp(line);
        if ends_the_one_before && text.iter().take(begin).any(|byte| !byte.is_ascii_whitespace()) {
            outcome.bad("a JSON value is not complete".to_owned());
            text.drain(..begin);
            open = OpenValue::default();
        }
        if read == 0 {
            return Ok(());
        }
        let line = if ends_the_one_before { &text } else { text.get(begin..).unwrap_or_default() };
        if open.goes_on_after(line) || text.trim_ascii().is_empty() {
            continue;
        }
        if outcome.request(read_request(&text, &Limits::default()), sink) {
            return Ok(());
        }
        text.clear();
        open = OpenValue::default();
    }
}

/// How deep in a JSON value a text ends, each byte looked at once.
#[derive(Clone, Copy, Debug, Default)]
struct OpenValue {
    depth: u64,
}

impl OpenValue {
    /// Takes a line; whether the value goes on behind it. In a string there are no ends of lines.
    fn goes_on_after(&mut self, line: &[u8]) -> bool {
        let (mut in_string, mut is_escaped) = (false, false);
        for byte in line {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' if in_string => is_escaped = true,
                b'"' => in_string = !in_string,
                b'{' | b'[' if !in_string => self.depth += 1,
                b'}' | b']' if !in_string => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
        self.depth > 0
    }
}

fn read_protobuf(input: Input<'_>, outcome: &mut FileOutcome, sink: &mut Sink<'_>) -> anyhow::Result<()> {
    let bytes = read_at_most(input, MAX_VALUE_BYTES + 1)?;
    if bytes.len() > MAX_VALUE_BYTES {
        bail!("a request has more than {MAX_VALUE_BYTES} bytes");
    }
    outcome.request(validate(bytes.into(), &Limits::default()), sink);
    Ok(())
}

fn read_frames(mut input: Input<'_>, outcome: &mut FileOutcome, sink: &mut Sink<'_>) -> anyhow::Result<()> {
    loop {
        let mut length = [0; 4];
        if fill(&mut input)?.is_empty() {
            return Ok(());
        }
        input.read_exact(&mut length).context("the last length is not complete")?;
        let length = u32::from_be_bytes(length) as usize;
        if length == 0 || length > MAX_VALUE_BYTES {
            bail!("a request of {length} bytes: this is not what the exporter `file` writes, or it is damaged here");
        }
        // The length is not believed before the bytes are there.
        let bytes = read_at_most(&mut input, length)?;
        if bytes.len() < length {
            bail!("the last request is not complete");
        }
        if outcome.request(validate(bytes.into(), &Limits::default()), sink) {
            return Ok(());
        }
    }
}

fn read_at_most(input: impl Read, limit: usize) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(limit as u64).read_to_end(&mut bytes).context("it cannot be read to its end")?;
    Ok(bytes)
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
