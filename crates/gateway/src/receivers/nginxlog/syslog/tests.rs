use super::*;

#[test]
fn the_header_is_taken_off() {
    for datagram in [
        "<190>Nov 25 22:18:04 web-1 nginx: {\"a\":\"{\"}",
        "<190>Nov  5 22:18:04 nginx: {\"a\":\"{\"}\n",
        "{\"a\":\"{\"}\0",
    ] {
        assert_eq!(message(datagram.as_bytes()), b"{\"a\":\"{\"}", "{datagram}");
    }
    assert_eq!(message(b"<190>Nov 25 22:18:04 nginx: GET /"), b"<190>Nov 25 22:18:04 nginx: GET /");
    assert_eq!(message(b""), b"");
}
