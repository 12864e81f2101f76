//! `start_at` of the receivers that read files.

use crate::config::decode::Decode;
use crate::config::node::Node;
use crate::config::problems::Problems;
use crate::config::values::choice;

/// Where the reading of a file begins that is seen for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// At its first line.
    Beginning,
    /// Behind its last one.
    End,
}

impl Decode for StartAt {
    const KIND: &'static str = "beginning or end";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        choice(node, problems, &[("beginning", Self::Beginning), ("end", Self::End)])
    }
}
