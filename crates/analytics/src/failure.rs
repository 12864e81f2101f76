//! Where a failure started: errors travel up from callee to caller, so the deepest one is the first.

use crate::notice::{Notice, NoticeKind};
use crate::render;
use crate::tree::{Flags, Tree};

/// The row where the trace's failure started: an error span none of whose children failed.
///
/// Of several, one whose error reached the highest span is taken (an error that a caller handled is not why the request
/// failed), then the deepest, then the earliest. `None`: nothing failed.
#[must_use]
pub fn origin(tree: &Tree<'_>) -> Option<u32> {
    let failed = |row: u32| tree.node(row).flags.contains(Flags::ERROR);
    // How far up each row's error got: the depth of the topmost span of the unbroken chain of errors above it.
    let mut reached = vec![u32::MAX; tree.nodes.len()];
    let mut has_failed_child = vec![false; tree.nodes.len()];
    for (row, node) in (0_u32..).zip(&tree.nodes) {
        if !failed(row) {
            continue;
        }
        reached[row as usize] = node.depth;
        if let Some(parent) = node.parent.filter(|parent| failed(*parent)) {
            reached[row as usize] = reached[parent as usize];
            has_failed_child[parent as usize] = true;
        }
    }
    let origins = (0_u32..).zip(&tree.nodes).filter(|(row, _)| failed(*row) && !has_failed_child[*row as usize]);
    origins
        .min_by_key(|(row, node)| (reached[*row as usize], std::cmp::Reverse(node.depth), node.start, *row))
        .map(|(row, _)| row)
}

/// The remark that names the origin.
#[must_use]
pub fn notice(tree: &Tree<'_>) -> Option<Notice> {
    let row = origin(tree)?;
    let node = tree.node(row);
    let text = format!(
        "The failure started in {} ({}), {} after the trace began.",
        render::or_unnamed(node.service),
        render::or_unnamed(node.name),
        render::nanos(node.start - tree.start)
    );
    Some(Notice::new(NoticeKind::FailureOrigin, text, vec![row]))
}

#[cfg(test)]
mod tests;
