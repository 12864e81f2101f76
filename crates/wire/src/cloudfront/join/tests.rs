use crate::cloudfront::{ReadOptions, read_json};

use super::*;

fn record(request_id: &str) -> Record<'static> {
    let text = format!(r#"{{"x-edge-request-id":"{request_id}","sc-status":"200"}}"#);
    let record = read_json(text.as_bytes(), ReadOptions::default()).next().expect("one").expect("a record");
    record.into_owned()
}

fn payload(millis: u64) -> LogPayload {
    let text = format!("rs1;00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01;-;{millis};-;-;-");
    LogPayload::find(&text).expect("a payload")
}

#[test]
fn data_waits_for_its_record_and_for_the_same_record_again() {
    let joiner = Joiner::new(false);
    assert!(joiner.record_for("one", &payload(1)).is_none());
    assert_eq!(joiner.payload_of(&record("two")), None);
    assert_eq!(joiner.payload_of(&record("one")), Some(payload(1)));
    assert_eq!(joiner.payload_of(&record("one")), Some(payload(1)), "delivered again");
}

#[test]
fn a_record_waits_for_its_data() {
    let joiner = Joiner::new(true);
    assert_eq!(joiner.payload_of(&record("one")), None);
    let found = joiner.record_for("one", &payload(1)).expect("it waits");
    assert_eq!(found.get(Field::RequestId), Some("one"));
    assert!(joiner.record_for("one", &payload(1)).is_none(), "it has its data");
}

#[test]
fn where_no_function_logs_nothing_waits() {
    let joiner = Joiner::new(false);
    assert_eq!(joiner.payload_of(&record("one")), None);
    assert!(joiner.record_for("one", &payload(1)).is_none());
}

#[test]
fn the_oldest_go_when_there_is_no_room() {
    let mut map = Bounded::default();
    let key = |number: u8| TraceId::new([number; 16]);
    for number in 1..=100 {
        map.insert(key(number), number, 10, 200);
        assert!(map.young.size + map.old.size <= 200);
        assert_eq!(map.get(&key(number)), Some(&number), "what was just inserted is there");
    }
    assert_eq!(map.get(&key(80)), None);
    assert_eq!(map.remove(&key(100)), Some(100));
    assert_eq!(map.get(&key(100)), None);
}
