use super::*;

#[test]
fn hex_round_trip() {
    let id = TraceId::from_hex("4BF92f3577b34da6a3ce929d0e0e4736").expect("valid digits");
    assert_eq!(id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(TraceId::from_hex(&id.to_string()), Some(id));
}

#[test]
fn wrong_lengths_and_digits_are_refused() {
    assert_eq!(SpanId::from_hex("00f067aa0ba902b"), None);
    assert_eq!(SpanId::from_hex("00f067aa0ba902bg"), None);
    assert_eq!(SpanId::from_hex("é0f067aa0ba902b"), None);
    assert_eq!(SpanId::from_slice(&[1; 7]), None);
    assert!(!SpanId::default().is_valid());
}
