use std::sync::Arc;

use proptest::prelude::*;
use rootspan_model::ids::SpanId;

use super::{EdgeMarks, Names, Part, SpanFacts, merge, summarise};

#[derive(Clone, Copy, Debug)]
struct Small {
    span: u8,
    parent: u8,
    start: u8,
    length: u8,
    service: u8,
    error: bool,
    cdn: bool,
}

impl Small {
    fn facts(&self) -> SpanFacts<'static> {
        SpanFacts {
            span_id: SpanId::new([self.span; 8]),
            parent: SpanId::new([self.parent; 8]),
            start: u64::from(self.start),
            end: u64::from(self.start) + u64::from(self.length),
            service: ["a", "b"][usize::from(self.service)],
            name: ["x", "y", "z"][usize::from(self.span % 3)],
            error: self.error,
            cdn: self.cdn,
            marks: EdgeMarks::from_bits(if self.cdn { self.span } else { 0 }),
        }
    }
}

fn spans() -> impl Strategy<Value = Vec<(Small, u8)>> {
    prop::collection::vec((0_u8..8, any::<u8>(), 0_u8..40, 0_u8..2, any::<bool>(), any::<bool>(), 0_u8..3), 1..12)
        .prop_map(|list| {
            let span = |(index, (parent, start, length, service, error, cdn, part))| {
                let span = u8::try_from(index).expect("few") + 1_u8;
                (Small { span, parent, start, length, service, error, cdn }, part)
            };
            list.into_iter().enumerate().map(span).collect()
        })
}

/// Without what only matters inside a part.
fn comparable(part: Part) -> Part {
    Part { entries: super::Entries::None, ..part }
}

proptest! {
    /// Merging is exact or refused.
    #[test]
    fn merged_parts_are_the_summary_of_all_spans(spans in spans()) {
        let mut names = Names::default();
        let all: Vec<SpanFacts<'_>> = spans.iter().map(|(span, _)| span.facts()).collect();
        let parts: Vec<Arc<Part>> = (0..3_u8)
            .map(|part| spans.iter().filter(|(_, of)| *of == part).map(|(span, _)| span.facts()).collect::<Vec<_>>())
            .filter(|facts| !facts.is_empty())
            .map(|facts| Arc::new(summarise(&facts, &mut names)))
            .collect();
        let whole = summarise(&all, &mut names);
        if let Some(merged) = merge(&parts) {
            // The longest child only means something for the CDN's root.
            let child = |part: &Part| part.edge_nanos();
            prop_assert_eq!(child(&merged), child(&whole));
            let without = |part: Part| Part { longest_child: 0, ..comparable(part) };
            prop_assert_eq!(without(merged), without(whole));
        } else {
            prop_assert!(!whole.top.is_root || whole.top.cdn, "refused although it was plain");
        }
    }
}
