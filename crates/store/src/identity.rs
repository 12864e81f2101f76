//! Which spans are the same span.
//!
//! Ingest is at least once, so a span may be stored several times. Same trace id, span id and content: one span. Same
//! ids and other content: all are kept and marked, because nobody can say which is right. But for the CDN's span of one
//! request, which is made from several logs: there the best source replaces the others.

use std::collections::HashMap;

use rootspan_model::conventions::cloudfront;
use rootspan_model::ids::SpanId;
use rootspan_wire::otlp::field;
use rootspan_wire::otlp::protobuf::Reader;
use rootspan_wire::otlp::view::{AnyValue, Span};
use rootspan_wire::otlp::write;

use crate::block::loose::LooseSpan;

/// Spans of one trace after identical ones were folded.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// By start.
    pub(crate) spans: Vec<LooseSpan>,
    /// Positions of spans that share their id with another one of different content.
    pub(crate) conflicting: Vec<usize>,
}

/// Folds identical spans of one trace.
pub(crate) fn resolve(mut spans: Vec<LooseSpan>) -> Resolved {
    let mut by_id: HashMap<SpanId, Vec<usize>, foldhash::fast::RandomState> = HashMap::default();
    for (position, span) in spans.iter().enumerate() {
        by_id.entry(span.span_id).or_default().push(position);
    }
    let mut is_repeated = vec![false; spans.len()];
    let mut conflicts = vec![false; spans.len()];
    for positions in by_id.values().filter(|positions| positions.len() > 1) {
        let mut distinct: Vec<usize> = Vec::new();
        for position in positions {
            if distinct.iter().any(|other| same_content(&spans[*other], &spans[*position])) {
                is_repeated[*position] = true;
            } else {
                distinct.push(*position);
            }
        }
        if distinct.len() > 1 {
            let replaced = replaced(&spans, &distinct);
            distinct.retain(|position| !replaced.contains(position));
            replaced.into_iter().for_each(|position| is_repeated[position] = true);
        }
        if distinct.len() > 1 {
            for position in distinct {
                conflicts[position] = true;
            }
        }
    }
    let mut kept: Vec<(LooseSpan, bool)> = Vec::with_capacity(spans.len());
    for (position, span) in spans.drain(..).enumerate() {
        if !is_repeated[position] {
            kept.push((span, conflicts[position]));
        }
    }
    kept.sort_by_key(|(span, _)| (span.start, *span.span_id.as_bytes()));
    let conflicting = kept.iter().enumerate().filter(|(_, (_, conflicts))| *conflicts).map(|(position, _)| position);
    Resolved { conflicting: conflicting.collect(), spans: kept.into_iter().map(|(span, _)| span).collect() }
}

/// Those of `positions` that are the CDN's span of a request of which another one has a better source.
fn replaced(spans: &[LooseSpan], positions: &[usize]) -> Vec<usize> {
    let sources: Vec<Option<(String, Rank)>> = positions.iter().map(|position| source(&spans[*position])).collect();
    let is_outranked = |(request, rank): &(String, Rank)| {
        sources.iter().flatten().any(|(other_request, other)| other_request == request && other > rank)
    };
    let outranked = positions.iter().zip(&sources).filter(|(_, source)| source.as_ref().is_some_and(is_outranked));
    outranked.map(|(position, _)| *position).collect()
}

/// How good the source of a CDN's span is, compared in this order: an access log knows of errors and times what a function
/// cannot; the function's data places the span, and ids that are derived only guess; real-time logs have more fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    is_access_log: bool,
    context: u8,
    is_real_time: bool,
}

/// The request and the rank of its source, if it is a CDN's span.
fn source(span: &LooseSpan) -> Option<(String, Rank)> {
    let span = Span::decode(&span.bytes);
    let text = |key| match span.attribute(key) {
        Some(AnyValue::String(text)) => Some(text),
        _ => None,
    };
    let request = text(cloudfront::REQUEST_ID)?.to_owned();
    let log = text(cloudfront::LOG);
    let rank = Rank {
        is_access_log: matches!(log, Some(cloudfront::log::STANDARD | cloudfront::log::REAL_TIME)),
        context: match text(cloudfront::CONTEXT) {
            Some(cloudfront::context::FUNCTION) => 2,
            Some(cloudfront::context::HEADERS) => 1,
            _ => 0,
        },
        is_real_time: log == Some(cloudfront::log::REAL_TIME),
    };
    Some((request, rank))
}

/// Whether two spans with the same ids say the same, whatever the order of their attributes.
pub(crate) fn same_content(left: &LooseSpan, right: &LooseSpan) -> bool {
    left.resource == right.resource
        && left.scope == right.scope
        && (left.bytes == right.bytes || normalise(&left.bytes) == normalise(&right.bytes))
}

/// The span in one fixed form: known scalars first and default values left out, then attributes in the order of their
/// bytes, then all other fields by number.
pub(crate) fn normalise(bytes: &[u8]) -> Vec<u8> {
    let span = Span::decode(bytes);
    let mut out = Vec::with_capacity(bytes.len());
    write::put_bytes(&mut out, field::span::TRACE_ID, span.trace_id.as_bytes());
    write::put_bytes(&mut out, field::span::SPAN_ID, span.span_id.as_bytes());
    write::put_bytes(&mut out, field::span::PARENT_SPAN_ID, span.parent_span_id.as_bytes());
    write::put_string(&mut out, field::span::NAME, span.name);
    write::put_int(&mut out, field::span::KIND, i64::from(span.kind_number));
    write::put_fixed64(&mut out, field::span::START_TIME_UNIX_NANO, span.start.0);
    write::put_fixed64(&mut out, field::span::END_TIME_UNIX_NANO, span.end.0);
    write::put_fixed32(&mut out, field::span::FLAGS, span.flags);
    write::put_int(&mut out, field::status::CODE, i64::from(span.status_number));
    write::put_string(&mut out, field::status::MESSAGE, span.status_message);

    let mut others = Vec::new();
    let mut reader = Reader::new(bytes);
    loop {
        let start = reader.position();
        let Ok(Some(found)) = reader.field() else { break };
        let raw = &bytes[start..reader.position()];
        match found.number {
            field::span::TRACE_ID
            | field::span::SPAN_ID
            | field::span::PARENT_SPAN_ID
            | field::span::NAME
            | field::span::KIND
            | field::span::START_TIME_UNIX_NANO
            | field::span::END_TIME_UNIX_NANO
            | field::span::FLAGS
            | field::span::STATUS => {}
            field::span::ATTRIBUTES => others.push((found.number, Some(raw), raw)),
            // Their order means something: the sort keeps it.
            number => others.push((number, None, raw)),
        }
    }
    others.sort_by_key(|(number, attribute, _)| (*number, *attribute));
    for (_, _, raw) in others {
        out.extend_from_slice(raw);
    }
    out
}

#[cfg(test)]
mod tests;
