use super::{exact, near, pick, remembered_bytes};

#[test]
fn near_rows_share_a_range() {
    assert_eq!(exact(&[1, 2, 4]), [1..3, 4..5]);
    assert_eq!(near(&[1, 2, 40, 500]), [1..41, 500..501]);
    assert!(near(&[]).is_empty());
}

#[test]
fn picking_finds_the_wanted_rows() {
    let rows = [3, 7, 300];
    let ranges = near(&rows);
    let values = ranges.iter().cloned().flatten().map(|row| row * 10).collect::<Vec<_>>();
    assert_eq!(pick(&ranges, &rows, values.into_iter()), [30, 70, 3000]);
}

#[test]
fn a_value_is_asked_about_once() {
    let mut asked = 0;
    {
        let mut ask = remembered_bytes(|value| {
            asked += 1;
            value == b"a"
        });
        assert_eq!([ask(b"a"), ask(b"b"), ask(b"a"), ask(b"b")], [true, false, true, false]);
    }
    assert_eq!(asked, 2);
}
