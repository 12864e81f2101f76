//! What a reader of a trace must know before trusting the picture.

/// Most rows that a notice names; the text has the full count.
pub const MAX_ROWS: usize = 100;

/// One remark about a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Of what sort.
    pub kind: NoticeKind,
    /// A sentence for people.
    pub text: String,
    /// The rows that it is about, at most [`MAX_ROWS`].
    pub rows: Vec<u32>,
}

impl Notice {
    /// A notice about `rows`, of which the first [`MAX_ROWS`] are kept.
    #[must_use]
    pub fn new(kind: NoticeKind, text: String, mut rows: Vec<u32>) -> Self {
        rows.truncate(MAX_ROWS);
        Self { kind, text, rows }
    }
}

/// Sorts of notices, in the order in which they are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoticeKind {
    /// Where the failure started.
    FailureOrigin,
    /// No span without a parent has arrived yet.
    RootMissing,
    /// Spans name parents that are not there.
    MissingParents,
    /// The CDN kept its span alone; the services recorded nothing.
    BackendNotRecorded,
    /// The CDN's ids are derived from the request id; the edge function logged none.
    DerivedIds,
    /// Spans are drawn elsewhere than they were recorded.
    Skew,
    /// Children end after the parent that waited for them.
    ChildrenOutlive,
    /// Spans are each other's ancestors.
    Cycles,
    /// The same span came more than once and is shown once.
    Duplicates,
    /// Spans share their ids but differ.
    Conflicts,
    /// A limit cut the trace.
    Omitted,
}

impl NoticeKind {
    /// The name in the interface's protocol.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FailureOrigin => "failure_origin",
            Self::RootMissing => "root_missing",
            Self::MissingParents => "missing_parents",
            Self::BackendNotRecorded => "backend_not_recorded",
            Self::DerivedIds => "derived_ids",
            Self::Skew => "skew",
            Self::ChildrenOutlive => "children_outlive",
            Self::Cycles => "cycles",
            Self::Duplicates => "duplicates",
            Self::Conflicts => "conflicts",
            Self::Omitted => "omitted",
        }
    }
}

/// `1 span`, `2 spans`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
