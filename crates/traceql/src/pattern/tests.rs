use super::*;

#[test]
fn a_regex_cannot_leave_its_group() {
    assert!(regex("a)|(b").is_err());
    let whole = regex("a|b").expect("valid");
    assert!(whole.is_match("a") && whole.is_match("b") && !whole.is_match("xb"));
}
