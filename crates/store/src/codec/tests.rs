use super::{Decoder, Malformed, put_bytes, put_number};

#[test]
fn numbers_and_texts_round_trip() {
    let mut out = Vec::new();
    for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
        put_number(&mut out, value);
    }
    put_bytes(&mut out, "größe".as_bytes());
    let mut decoder = Decoder::new(&out);
    for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
        assert_eq!(decoder.number(), Ok(value));
    }
    assert_eq!(decoder.text(), Ok("größe"));
    assert_eq!(decoder.remaining(), 0);
}

#[test]
fn damage_is_an_error_and_never_an_allocation() {
    assert_eq!(Decoder::new(&[0xff; 20]).number(), Err(Malformed));
    assert_eq!(Decoder::new(&[0x80]).number(), Err(Malformed));
    assert_eq!(Decoder::new(&[5, b'a']).bytes(), Err(Malformed));
    assert_eq!(Decoder::new(&[2, 0xff, 0xfe]).text(), Err(Malformed));
    assert_eq!(Decoder::new(&[0xff, 0xff, 0xff, 0x7f]).count(), Err(Malformed));
}
