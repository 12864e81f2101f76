//! What the tree has to say about itself.

use std::collections::BTreeSet;

use super::assemble::Assembled;
use super::{Flags, Node};
use crate::lane::Lane;
use crate::notice::{Notice, NoticeKind, count};
use crate::render;

/// A child may end this part of its parent's duration after it before that is worth a remark.
const TOLERATED_PART: i128 = 100;

/// Most services that a sentence names.
const NAMED_SERVICES: usize = 3;

pub(super) fn remarks(assembled: &Assembled<'_>, nodes: &[Node<'_>]) -> Vec<Notice> {
    let cut: BTreeSet<usize> = assembled.cut.iter().map(|part| assembled.parts[*part as usize].span).collect();
    let notices = [
        root_missing(nodes, &cut),
        missing_parents(assembled, nodes, &cut),
        backend_not_recorded(nodes),
        derived_ids(nodes),
        skew(nodes),
        children_outlive(nodes),
        cycles(nodes, &cut),
        duplicates(assembled.repeated),
        conflicts(nodes),
    ];
    notices.into_iter().flatten().collect()
}

/// The rows that satisfy a condition, as numbers.
fn rows(nodes: &[Node<'_>], mut condition: impl FnMut(&Node<'_>) -> bool) -> Vec<u32> {
    (0_u32..).zip(nodes).filter(|(_, node)| condition(node)).map(|(row, _)| row).collect()
}

fn root_missing(nodes: &[Node<'_>], cut: &BTreeSet<usize>) -> Option<Notice> {
    let may_come = nodes.iter().any(|node| node.parent.is_none() && !cut.contains(&node.span));
    if !may_come || nodes.iter().any(|node| node.flags.contains(Flags::ROOT)) {
        return None;
    }
    let text = "The root span has not been delivered yet. Spans made from CDN logs can come minutes later, rarely \
                hours; until then the topmost spans stand in."
        .to_owned();
    Some(Notice::new(NoticeKind::RootMissing, text, rows(nodes, |node| node.parent.is_none())))
}

fn missing_parents(assembled: &Assembled<'_>, nodes: &[Node<'_>], cut: &BTreeSet<usize>) -> Option<Notice> {
    let orphans = rows(nodes, |node| node.flags.contains(Flags::ORPHAN) && !cut.contains(&node.span));
    if orphans.is_empty() {
        return None;
    }
    let verb = if orphans.len() == 1 { "names" } else { "name" };
    let missing = count(assembled.missing, "parent");
    let are = if assembled.missing == 1 { "is" } else { "are" };
    let text = format!("{} {verb} {missing} that {are} not in the trace.", count(orphans.len(), "span"));
    Some(Notice::new(NoticeKind::MissingParents, text, orphans))
}

fn backend_not_recorded(nodes: &[Node<'_>]) -> Option<Notice> {
    let kept = rows(nodes, |node| node.flags.contains(Flags::KEPT_BY));
    if kept.is_empty() || nodes.iter().any(|node| node.lane != Lane::Cdn) {
        return None;
    }
    let text = "The CDN kept this span although the trace was not sampled, so the services behind it recorded nothing.";
    Some(Notice::new(NoticeKind::BackendNotRecorded, text.to_owned(), kept))
}

fn derived_ids(nodes: &[Node<'_>]) -> Option<Notice> {
    let derived = rows(nodes, |node| node.flags.contains(Flags::DERIVED_IDS));
    if derived.is_empty() {
        return None;
    }
    // The function makes its ids by the same rule: where it runs and only its data is not logged, the back end is here.
    let outcome = if nodes.iter().all(|node| node.lane == Lane::Cdn) {
        ": backend spans cannot be joined."
    } else {
        ". The spans behind it bear the same ids."
    };
    let text = format!(
        "The CDN's ids are derived from the request id, because its log has none of the edge function{outcome}"
    );
    Some(Notice::new(NoticeKind::DerivedIds, text, derived))
}

fn skew(nodes: &[Node<'_>]) -> Option<Notice> {
    let shifted = rows(nodes, |node| node.shift != 0);
    let largest = nodes.iter().max_by_key(|node| node.shift.abs()).filter(|node| node.shift != 0)?;
    let mut services: Vec<&str> = Vec::new();
    for node in nodes.iter().filter(|node| node.shift != 0) {
        if !services.contains(&node.service) && services.len() <= NAMED_SERVICES {
            services.push(node.service);
        }
    }
    let more = if services.len() > NAMED_SERVICES { ", …" } else { "" };
    services.truncate(NAMED_SERVICES);
    let direction = if largest.shift > 0 { "later" } else { "earlier" };
    let text = format!(
        "Clocks disagree: {} of {}{more} {} drawn up to {} {direction} than recorded. Stored times are unchanged.",
        count(shifted.len(), "span"),
        services.join(", "),
        if shifted.len() == 1 { "is" } else { "are" },
        render::nanos(largest.shift.abs()),
    );
    Some(Notice::new(NoticeKind::Skew, text, shifted))
}

fn children_outlive(nodes: &[Node<'_>]) -> Option<Notice> {
    let late = rows(nodes, |node| {
        let Some(parent) = node.parent.map(|row| &nodes[row as usize]) else { return false };
        let waited_for = !node.flags.contains(Flags::ASYNC);
        waited_for && node.end - parent.end > parent.duration() / TOLERATED_PART
    });
    if late.is_empty() {
        return None;
    }
    let (verb, parents) = if late.len() == 1 { ("ends", "parent does") } else { ("end", "parents do") };
    let text = format!(
        "{} {verb} after the {parents}; what is beyond is not part of the critical path.",
        count(late.len(), "span")
    );
    Some(Notice::new(NoticeKind::ChildrenOutlive, text, late))
}

fn cycles(nodes: &[Node<'_>], cut: &BTreeSet<usize>) -> Option<Notice> {
    if cut.is_empty() {
        return None;
    }
    let text = format!(
        "{} among the spans: they name each other as parents. Each is cut at its earliest span.",
        count(cut.len(), "cycle")
    );
    Some(Notice::new(NoticeKind::Cycles, text, rows(nodes, |node| cut.contains(&node.span))))
}

fn duplicates(repeated: usize) -> Option<Notice> {
    if repeated == 0 {
        return None;
    }
    let text = format!(
        "{} arrived again unchanged and {} shown once.",
        count(repeated, "span"),
        if repeated == 1 { "is" } else { "are" }
    );
    Some(Notice::new(NoticeKind::Duplicates, text, Vec::new()))
}

fn conflicts(nodes: &[Node<'_>]) -> Option<Notice> {
    let doubled = rows(nodes, |node| node.flags.contains(Flags::DUPLICATE));
    (!doubled.is_empty()).then(|| conflict_notice(doubled))
}

/// The notice about spans that share their ids with others.
pub(crate) fn conflict_notice(rows: Vec<u32>) -> Notice {
    let text = format!(
        "{} share an id with another span but differ from it; all are shown, children are below the earliest.",
        count(rows.len(), "span")
    );
    Notice::new(NoticeKind::Conflicts, text, rows)
}
