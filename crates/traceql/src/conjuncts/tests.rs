use expect_test::{Expect, expect};

use super::*;
use crate::parser::parse;

fn check(text: &str, expected: &Expect) {
    let query = parse(text).expect("a valid query");
    let found = conjuncts(&query);
    let mut answer = String::new();
    for Predicate { field, operator, literal } in found.predicates {
        answer.push_str(&format!("{field} {} {literal}\n", operator.symbol()));
    }
    answer.push_str(if found.complete { "complete" } else { "and more" });
    expected.assert_eq(&answer);
}

#[test]
fn conjunctions_are_flattened_in_order() {
    check("{}", &expect!["complete"]);
    check(
        "{ .a = 1 && (200ms < duration && name =~ `x`) && status = error }",
        &expect![[r#"
        .a = 1
        duration > 200ms
        name =~ "x"
        status = error
        complete"#]],
    );
}

#[test]
fn what_is_not_simple_is_left_over() {
    check(
        "{ .a = 1 && (.b = 2 || .c = 3) }",
        &expect![[r#"
        .a = 1
        and more"#]],
    );
    check("{ .a + 1 = 2 && !(.b = 2) }", &expect!["and more"]);
    check("{ true && .a }", &expect!["and more"]);
    check(
        "{ true && .a != nil }",
        &expect![[r#"
        .a != nil
        complete"#]],
    );
}
