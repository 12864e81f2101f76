use bytes::Bytes;
use proptest::prelude::*;

use super::BlockIndex;
use crate::block::Block;
use crate::block::Caches;
use crate::block::tests::written;
use crate::testing::{NOW, TestSpan, batch, trace_id};

fn spans() -> Vec<TestSpan> {
    (1..60_u8)
        .map(|number| TestSpan {
            trace: number % 20 + 1,
            span: number,
            parent: number % 3,
            start: NOW + u64::from(number),
            error: number % 7 == 0,
            ..TestSpan::default()
        })
        .collect()
}

#[test]
fn the_table_finds_traces_and_rows() {
    let (directory, entry) = written(&batch(&spans()));
    let block = Block::new(directory, entry);
    let index = block.index(&Caches::new()).expect("the index is read");
    let table = &index.traces;
    assert_eq!((table.len(), table.row_count()), (20, 59));
    for number in 1..=20 {
        let trace = table.find(&trace_id(number)).expect("it is there");
        assert_eq!(table.id(trace), trace_id(number));
        for row in table.rows(trace) {
            assert_eq!(table.trace_of(row, 0), trace);
        }
        let row = table.row(trace).expect("the row is sound");
        assert_eq!(row.part.latest_start, table.latest_start(trace).expect("the row is sound"));
        assert_eq!(row.part.start, table.start(trace));
        assert!(table.rows(trace).contains(&row.top_row));
    }
    assert_eq!(table.find(&trace_id(99)), None);
}

proptest! {
    /// Whatever bytes stand there, reading ends with an error or an answer.
    #[test]
    fn damage_never_panics(at in any::<prop::sample::Index>(), value in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let (directory, entry) = written(&batch(&spans()));
        let section = {
            let block = Block::new(directory, entry);
            block.index_section(&Caches::new()).expect("the section is read")
        };
        let mut damaged = section.to_vec();
        let position = at.index(damaged.len());
        damaged[position] = value;
        for bytes in [Bytes::from(damaged), section.slice(..cut.index(section.len()))] {
            if let Ok(index) = BlockIndex::decode(&bytes) {
                for trace in 0..index.traces.len() {
                    _ = index.traces.row(trace);
                    _ = index.traces.latest_start(trace);
                }
            }
        }
    }
}
