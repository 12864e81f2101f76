//! A block gives back what was put in.

use std::sync::Arc;

use proptest::prelude::*;
use rootspan_journal::directory::Directory;
use rootspan_journal::directory::memory::MemoryDirectory;
use rootspan_wire::otlp::batch::TraceBatch;
use rootspan_wire::otlp::{field, write};

use super::entry::{BlockEntry, FOLDER, Seal};
use super::loose::assemble;
use super::read::ColumnReader;
use super::rebuild::{Wanted, rebuild};
use super::write::{Identity, Row, write_block};
use super::{Block, Caches, publish_file, write_file};
use crate::limits::Guard;
use crate::store::tests::{limits, options};
use crate::testing::{NOW, TestSpan, Value, batch, content, parsed};

/// Writes a block of all spans of `batch`.
pub(crate) fn written(batch: &TraceBatch) -> (Arc<dyn Directory>, BlockEntry) {
    let directory: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    directory.create_folder(FOLDER).expect("the folder is created");
    let mut rows: Vec<Row<'_>> = batch
        .spans()
        .map(|span| Row {
            batch,
            index: u32::try_from(span.index).expect("few"),
            trace_id: span.span.trace_id,
            start: span.span.start.0,
        })
        .collect();
    rows.sort_by_key(|row| (row.trace_id, row.start));
    let identity = Identity { id: 7, hour: NOW / 3_600_000_000_000, seal: Seal { applied_through: 3, blocks: 1 } };
    let (bytes, mut entry) = write_block(&rows, identity).expect("the block is written");
    write_file(directory.as_ref(), &mut entry, &bytes).expect("the file is written");
    publish_file(directory.as_ref(), &entry).expect("the file is renamed");
    (directory, entry)
}

/// Everything in the block, as a batch.
fn read_back(directory: &Arc<dyn Directory>, entry: BlockEntry) -> TraceBatch {
    let block = Block::new(Arc::clone(directory), entry);
    let caches = Caches::new();
    let guard = Guard::new(&options().clock, &limits());
    let index = block.index(&caches).expect("the index is read");
    let mut columns = ColumnReader::open(&block, &caches, &guard).expect("the block opens");
    columns.load_all().expect("the columns are read");
    let all = 0..u32::try_from(block.entry.spans).expect("few");
    let spans = rebuild(&columns, &index, &[all], Wanted::All).expect("the rows are rebuilt");
    TraceBatch::from_trusted(assemble(&spans).0).expect("a valid request")
}

fn check_round_trip(batch: &TraceBatch) {
    let (directory, entry) = written(batch);
    let read = read_back(&directory, entry);
    assert_eq!(content(&read), content(batch));
}

#[test]
fn a_plain_span_comes_back() {
    check_round_trip(&batch(&[TestSpan::default()]));
}

#[test]
fn odd_spans_come_back() {
    let text = |text: &str| Value::Text(text.to_owned());
    let spans = [
        TestSpan { span: 1, end: NOW - 5, ..TestSpan::default() },
        TestSpan { span: 2, start: 0, end: u64::MAX, ..TestSpan::default() },
        TestSpan { span: 3, start: u64::MAX, end: 0, ..TestSpan::default() },
        TestSpan { span: 4, name: String::new(), kind: 0, flags: 0x301, ..TestSpan::default() },
        TestSpan { span: 5, parent: 5, trace_state: "a=b".to_owned(), ..TestSpan::default() },
        TestSpan { span: 6, parent: 99, events: vec!["exception".to_owned()], ..TestSpan::default() },
        TestSpan {
            span: 7,
            attributes: vec![
                ("twice".to_owned(), text("first")),
                ("twice".to_owned(), text("second")),
                ("twice".to_owned(), Value::Int(3)),
                ("bytes".to_owned(), Value::Bytes(vec![0, 255])),
                ("list".to_owned(), Value::Texts(vec!["a".to_owned(), "b".to_owned()])),
                (String::new(), text("no key")),
            ],
            ..TestSpan::default()
        },
        TestSpan { span: 8, attributes: vec![("twice".to_owned(), Value::Bool(true))], ..TestSpan::default() },
        TestSpan { span: 9, attributes: vec![("long".to_owned(), text(&"x".repeat(1 << 20)))], ..TestSpan::default() },
    ];
    check_round_trip(&batch(&spans));
}

#[test]
fn unknown_fields_come_back() {
    let mut request = Vec::new();
    write::put_resource_spans(&mut request, "", |out| {
        write::put_resource(out, |_| {});
        write::put_scope_spans(out, "", |out| {
            let parts = write::SpanParts {
                trace_id: crate::testing::trace_id(1),
                span_id: crate::testing::span_id(1),
                ..write::SpanParts::default()
            };
            write::put_span(out, &parts, |out| {
                write::put_string(out, 900, "from the future");
                write::put_message(out, field::span::STATUS, |out| {
                    write::put_varint(out, field::status::CODE, 2);
                    write::put_varint(out, 77, 5);
                });
                write::put_message(out, field::span::ATTRIBUTES, |out| {
                    write::put_string(out, field::key_value::KEY, "key");
                    write::put_message(out, field::key_value::VALUE, |out| {
                        write::put_string(out, field::any_value::STRING, "value");
                    });
                    write::put_varint(out, 55, 1);
                });
                write::put_varint(out, field::span::DROPPED_EVENTS_COUNT, 4);
                write::put_link(out, crate::testing::trace_id(9), crate::testing::span_id(9), "x=y", |_| {});
            });
        });
    });
    check_round_trip(&parsed(request));
}

#[test]
fn the_footer_tells_what_the_manifest_would() {
    let (directory, entry) = written(&batch(&[TestSpan::default()]));
    let read = Block::read_entry(directory.as_ref(), &entry.path()).expect("the footer is read");
    assert_eq!(BlockEntry { bytes: entry.bytes, ..read }, entry);
    assert_eq!(entry.operations, vec![("shop".to_owned(), vec!["GET /cart".to_owned()])]);
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => "[a-c]{0,2}".prop_map(Value::Text),
        2 => (-3_i64..3).prop_map(Value::Int),
        1 => any::<i64>().prop_map(Value::Int),
        1 => any::<f64>().prop_map(Value::Double),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => prop::collection::vec(any::<u8>(), 0..3).prop_map(Value::Bytes),
        1 => prop::collection::vec("[a-c]{0,2}", 0..3).prop_map(Value::Texts),
    ]
}

fn span() -> impl Strategy<Value = TestSpan> {
    let ids = (0_u8..4, 1_u8..9, 0_u8..9, prop_oneof![3 => NOW..NOW + 50, 1 => any::<u64>()], 0_u64..50);
    let texts = ("[a-b]{1}", "[a-d]{0,1}", any::<bool>(), any::<bool>(), 0..6_i32, any::<u32>());
    let lists =
        (prop::collection::vec(("[k-p]{0,1}", value()), 0..6), prop::collection::vec("[a-b]{0,2}", 0..2), "(a=1)?");
    (ids, texts, lists).prop_map(|(ids, texts, lists)| TestSpan {
        trace: ids.0 + 1,
        span: ids.1,
        parent: ids.2,
        start: ids.3,
        end: ids.3.wrapping_add(ids.4),
        service: texts.0,
        name: texts.1,
        error: texts.2,
        cdn: texts.3,
        kind: texts.4,
        flags: texts.5,
        attributes: lists.0,
        events: lists.1,
        trace_state: lists.2,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn everything_comes_back(spans in prop::collection::vec(span(), 1..40)) {
        check_round_trip(&batch(&spans));
    }

    /// Many rows with rare keys: the map and the overflow are used, and several pages.
    #[test]
    fn rare_attributes_come_back(spans in prop::collection::vec(span(), 1..20)) {
        let many: Vec<TestSpan> = (0..600_u32)
            .map(|number| TestSpan {
                trace: u8::try_from(number % 100).expect("small") + 1,
                start: NOW + u64::from(number),
                attributes: vec![("common".to_owned(), Value::Int(i64::from(number)))],
                ..TestSpan::default()
            })
            .chain(spans)
            .collect();
        check_round_trip(&batch(&many));
    }
}
