//! The words of the language: intrinsics, scopes and literals, and what a misspelt one probably meant.

use rootspan_model::span::{SpanKind, StatusCode};

use crate::ast::{AttributeScope, Intrinsic, Literal};

/// Every intrinsic under every name that is accepted; the first name of each is the one that is printed.
pub(crate) const INTRINSICS: &[(&str, Intrinsic)] = &[
    ("duration", Intrinsic::Duration),
    ("name", Intrinsic::Name),
    ("status", Intrinsic::Status),
    ("statusMessage", Intrinsic::StatusMessage),
    ("kind", Intrinsic::Kind),
    ("traceDuration", Intrinsic::TraceDuration),
    ("rootName", Intrinsic::RootName),
    ("rootServiceName", Intrinsic::RootServiceName),
    ("span:id", Intrinsic::SpanId),
    ("span:parentID", Intrinsic::ParentSpanId),
    ("trace:id", Intrinsic::TraceId),
    ("event:name", Intrinsic::EventName),
    ("event:timeSinceStart", Intrinsic::EventTimeSinceStart),
    ("link:spanID", Intrinsic::LinkSpanId),
    ("link:traceID", Intrinsic::LinkTraceId),
    ("instrumentation:name", Intrinsic::InstrumentationName),
    ("instrumentation:version", Intrinsic::InstrumentationVersion),
    ("span:duration", Intrinsic::Duration),
    ("span:name", Intrinsic::Name),
    ("span:status", Intrinsic::Status),
    ("span:statusMessage", Intrinsic::StatusMessage),
    ("span:kind", Intrinsic::Kind),
    ("trace:duration", Intrinsic::TraceDuration),
    ("trace:rootName", Intrinsic::RootName),
    ("trace:rootService", Intrinsic::RootServiceName),
];

/// Intrinsics of TraceQL that rootspan does not evaluate.
pub(crate) const UNSUPPORTED_INTRINSICS: &[&str] =
    &["childCount", "span:childCount", "nestedSetLeft", "nestedSetRight", "nestedSetParent", "parent", "parent:id"];

/// Scopes of attributes as they are written before the dot.
pub(crate) const SCOPES: &[(&str, AttributeScope)] = &[
    ("span", AttributeScope::Span),
    ("resource", AttributeScope::Resource),
    ("event", AttributeScope::Event),
    ("link", AttributeScope::Link),
    ("instrumentation", AttributeScope::Instrumentation),
];

const KINDS: [SpanKind; 6] = [
    SpanKind::Unspecified,
    SpanKind::Internal,
    SpanKind::Server,
    SpanKind::Client,
    SpanKind::Producer,
    SpanKind::Consumer,
];

const STATUSES: [StatusCode; 3] = [StatusCode::Unset, StatusCode::Ok, StatusCode::Error];

/// The literal that a bare word stands for.
pub(crate) fn literal(word: &str) -> Option<Literal> {
    match word {
        "true" => return Some(Literal::Bool(true)),
        "false" => return Some(Literal::Bool(false)),
        "nil" => return Some(Literal::Nil),
        _ => {}
    }
    if let Some(status) = STATUSES.into_iter().find(|status| status.name() == word) {
        return Some(Literal::Status(status));
    }
    KINDS.into_iter().find(|kind| kind.name() == word).map(Literal::Kind)
}

/// The intrinsic of this name.
pub(crate) fn intrinsic(word: &str) -> Option<Intrinsic> {
    INTRINSICS.iter().find(|(name, _)| *name == word).map(|(_, intrinsic)| *intrinsic)
}

/// The known word nearest to `word`, if one is near enough to be what was meant.
pub(crate) fn nearest(word: &str) -> Option<&'static str> {
    let literals = ["true", "false", "nil"].into_iter();
    let candidates = INTRINSICS
        .iter()
        .map(|(name, _)| *name)
        .chain(literals)
        .chain(KINDS.map(SpanKind::name))
        .chain(STATUSES.map(StatusCode::name));
    let lower = word.to_lowercase();
    // A third of the letters may differ: `staus`, `durration`, `root_name`; but not `foo` for `ok`.
    let allowed = word.chars().count() / 3;
    candidates
        .map(|candidate| (edit_distance(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance in characters; words longer than any of ours are simply far.
fn edit_distance(left: &str, right: &str) -> usize {
    const LONGEST: usize = 40;
    let right: Vec<char> = right.chars().collect();
    if left.chars().count() > LONGEST {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, from) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, to) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[column + 1];
            row[column + 1] = substituted.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}
