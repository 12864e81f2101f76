//! Trees and paths as text: for the command line, and so that a failing test shows what it got.

use std::fmt::Write;

use crate::critical_path::CriticalPath;
use crate::lane::Lane;
use crate::tree::{Flags, Node, Tree};

const MARKS: [(Flags, &str); 9] = [
    (Flags::ERROR, "error"),
    (Flags::ORPHAN, "orphan"),
    (Flags::ESTIMATED, "estimated"),
    (Flags::HAS_EVENTS, "events"),
    (Flags::HAS_LINKS, "links"),
    (Flags::ASYNC, "async"),
    (Flags::DUPLICATE, "duplicate"),
    (Flags::KEPT_BY, "kept"),
    (Flags::DERIVED_IDS, "derived"),
];

/// One line for each row: indentation, service, name, start after the trace's, duration, kind, lane and marks; then the
/// notices.
#[must_use]
pub fn tree(tree: &Tree<'_>) -> String {
    let mut out = String::new();
    for node in &tree.nodes {
        // A deep chain would make the text quadratic; nobody reads past this.
        let indentation = "  ".repeat(node.depth.min(60) as usize);
        let (start, duration) = (nanos(node.start - tree.start), nanos(node.duration()));
        let name = label(node);
        line(&mut out, format_args!("{indentation}{name} {start} {duration} {}{}", node.kind.name(), marks(node)));
    }
    for notice in &tree.notices {
        let rows: Vec<String> = notice.rows.iter().map(u32::to_string).collect();
        line(&mut out, format_args!("{} [{}]: {}", notice.kind.name(), rows.join(" "), notice.text));
    }
    out
}

/// One line for each segment: start after the entry span's, length, kind and row.
#[must_use]
pub fn paths(tree: &Tree<'_>, paths: &[CriticalPath]) -> String {
    let mut out = String::new();
    for path in paths {
        let entry = tree.node(path.entry_row);
        line(&mut out, format_args!("{} {}", label(entry), nanos(entry.duration())));
        for segment in &path.segments {
            let (start, length) = (nanos(segment.start - entry.start), nanos(segment.end - segment.start));
            let name = label(tree.node(segment.row));
            line(&mut out, format_args!("  {start} +{length} {} {name}", segment.kind.name()));
        }
    }
    out
}

/// Nanoseconds in the unit that suits them, at most three decimals: `1.24s`, `35ms`, `350us`, `7ns`.
#[must_use]
pub fn nanos(nanos: i128) -> String {
    const UNITS: [(&str, i128); 3] = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)];
    let Some((name, unit)) = UNITS.into_iter().find(|(_, unit)| nanos.abs() >= *unit) else {
        return format!("{nanos}ns");
    };
    let sign = if nanos < 0 { "-" } else { "" };
    let (whole, rest) = (nanos.abs() / unit, nanos.abs() % unit * 1_000 / unit);
    let decimals = format!(".{rest:03}");
    format!("{sign}{whole}{}{name}", decimals.trim_end_matches('0').trim_end_matches('.'))
}

/// A name, or a word for its absence.
pub(crate) fn or_unnamed(name: &str) -> &str {
    if name.is_empty() { "(unnamed)" } else { name }
}

fn label(node: &Node<'_>) -> String {
    format!("{} {}", or_unnamed(node.service), or_unnamed(node.name))
}

fn marks(node: &Node<'_>) -> String {
    let mut out = String::new();
    if node.lane != Lane::Service {
        out = format!(" {}", node.lane.name());
    }
    for (_, name) in MARKS.iter().filter(|(flag, _)| node.flags.contains(*flag)) {
        out.push(' ');
        out.push_str(name);
    }
    if node.shift != 0 {
        let sign = if node.shift > 0 { "+" } else { "" };
        out.push_str(&format!(" shift={sign}{}", nanos(node.shift)));
    }
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a string does not fail");
    out.push('\n');
}

#[cfg(test)]
mod tests;
