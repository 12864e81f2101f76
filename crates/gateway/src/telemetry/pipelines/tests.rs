use super::html::{escaped, number};

#[test]
fn hostile_text_is_text() {
    assert_eq!(escaped("<b a='1'>&\"</b>"), "&lt;b a=&#39;1&#39;&gt;&amp;&quot;&lt;/b&gt;");
}

#[test]
fn numbers_have_three_digits_and_a_unit() {
    let shown: Vec<String> = [0.0, 0.256, 9.994, 42.04, 999.4, 9_999.0, 12_340.0, 999_600.0, 5.21e9].map(number).into();
    assert_eq!(shown, ["0", "0.26", "9.99", "42.0", "999", "9999", "12.3 k", "1.00 M", "5.21 G"]);
}
