use rootspan_testkit::fixture;

use super::*;

fn check(text: &str, expected: Option<&str>) {
    let batch = fixture::batch(text);
    let tree = Tree::build(&batch);
    assert_eq!(origin(&tree).map(|row| tree.node(row).name), expected);
}

#[test]
fn the_deepest_error_of_the_chain_is_the_origin() {
    check(
        "
        cdn GET 0ms 100ms server error
          api GET 5ms 90ms server error
            api cache 10ms 5ms client
            api call 20ms 50ms client error
              stock reserve 25ms 40ms server error
                stock SELECT 26ms 10ms client db=x
        ",
        Some("reserve"),
    );
}

#[test]
fn an_error_that_was_handled_is_not_the_origin() {
    check(
        "
        cdn GET 0ms 100ms server error
          api GET 5ms 90ms server
            api retry 10ms 5ms client error
        ",
        Some("GET"),
    );
    check(
        "
        cdn GET 0ms 100ms server
          api GET 5ms 90ms server
            api late-retry 20ms 5ms client error
            api retry 10ms 5ms client error
        ",
        Some("retry"),
    );
}

#[test]
fn no_error_no_origin() {
    check("api GET 0ms 1ms server ok", None);
    assert_eq!(notice(&Tree::default()), None);
}

#[test]
fn the_remark_names_it() {
    let batch = fixture::batch("api GET / 0ms 1ms server error");
    let found = notice(&Tree::build(&batch)).expect("an error");
    assert_eq!(
        (found.text.as_str(), found.rows),
        ("The failure started in api (GET /), 0ns after the trace began.", vec![0])
    );
}
