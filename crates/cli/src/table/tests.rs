use super::*;

#[test]
fn three_digits_and_a_unit() {
    for (nanos, text) in [
        (0, "0 ns"),
        (999, "999 ns"),
        (1_500, "1.50 µs"),
        (12_345_678, "12.3 ms"),
        (184_000_000, "184 ms"),
        (1_240_000_000, "1.24 s"),
        (99_960_000_000, "100 s"),
    ] {
        assert_eq!(duration(nanos), text);
    }
}

#[test]
fn columns_are_as_wide_as_their_widest_cell() {
    let rows = [vec!["upstream".to_owned(), "7".to_owned()], vec!["é".to_owned(), "12".to_owned()]];
    let text = table(&[("service", Align::Left), ("spans", Align::Right)], &rows);
    assert_eq!(text, "service   spans\nupstream      7\né            12\n");
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    assert_eq!(clean("a\u{1b}[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
}
