use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

fn check(text: &str, printed: &Expect) {
    let answer = match parse(text) {
        Ok(query) => query.to_string(),
        Err(error) => {
            let hint = error.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
            format!("{}:{}: {}{hint}", error.position.line, error.position.column, error.message)
        }
    };
    printed.assert_eq(&answer);
}

#[test]
fn filters_are_read() {
    check("{}", &expect!["{}"]);
    check(
        r#"{resource.service.name="upstream"&&duration>200ms}"#,
        &expect![[r#"{ resource.service.name = "upstream" && duration > 200ms }"#]],
    );
    check(
        "{ status = error && kind=server || span:name =~ `GET .*` }",
        &expect![[r#"{ (status = error && kind = server) || name =~ "GET .*" }"#]],
    );
    check("{ .a != nil && !(.b = true) }", &expect!["{ .a != nil && !(.b = true) }"]);
    check(r#"{ span."key with space" = 1.50 }"#, &expect![[r#"{ span."key with space" = 1.5 }"#]]);
    check(
        "{ trace:rootService = `x` && traceDuration >= 1m30s }",
        &expect![[r#"{ rootServiceName = "x" && traceDuration >= 90s }"#]],
    );
}

#[test]
fn precedence_is_that_of_arithmetic() {
    check("{ .a + 2 * 3 ^ 2 ^ .b = -1 - -2 }", &expect!["{ .a + 2 * 3 ^ 2 ^ .b = -1 - -2 }"]);
    check("{ (.a + 2) * 3 > (2 ^ 3) ^ 2 }", &expect!["{ (.a + 2) * 3 > (2 ^ 3) ^ 2 }"]);
    check("{ -5 ^ 2 = (-5) ^ 2 }", &expect!["{ -5 ^ 2 = (-5) ^ 2 }"]);
    check("{ .a - (.b - .c) > -(3) }", &expect!["{ .a - (.b - .c) > -(3) }"]);
    check("{ .a && (.b || .c) }", &expect!["{ .a && (.b || .c) }"]);
    assert_eq!(
        parse("{ .a || .b && .c }").expect("valid"),
        parse("{ .a || (.b && .c) }").expect("valid"),
        "&& binds tighter than ||"
    );
}

#[test]
fn mistakes_are_placed_and_explained() {
    check("", &expect!["1:1: the query is empty; `{}` matches every span"]);
    check(
        r#"service.name = "x""#,
        &expect![
            "1:1: `service` is not a scope of attributes; write `resource.service.name`, `span.service.name`, or `.service.name` for either"
        ],
    );
    check(
        "duration > 1s",
        &expect![[
            r#"1:1: expected `{`, found `duration`; a filter stands in braces: `{ resource.service.name = "checkout" }`"#
        ]],
    );
    check("{ staus = error }", &expect!["1:3: unknown intrinsic `staus`; did you mean `status`?"]);
    check(
        "{ name = checkout }",
        &expect![[r#"1:10: unknown intrinsic `checkout`; an attribute is written `.checkout`, a string "checkout""#]],
    );
    check(
        "{ duration > 200 sec }",
        &expect!["1:18: expected an operator or `}`, found `sec`; conditions are joined by `&&` or `||`"],
    );
    check("{ duration > 200sec }", &expect!["1:17: unknown unit `sec`; units are ns, us, ms, s, m, h, d and w"]);
    check(
        "{\n  name = \"x\"\n  && }",
        &expect!["3:6: expected an attribute, an intrinsic, a literal or `(`, found `}`"],
    );
    check("{ name = \"x }", &expect!["1:10: the string has no closing quote"]);
    check("{ name == \"x\" }", &expect!["1:8: unexpected `==`; equality is written `=`"]);
    check("{ .a = 1 & .b = 2 }", &expect!["1:10: unexpected `&`; conjunction is written `&&`"]);
    check("{ .a = 'x' }", &expect!["1:8: unexpected `'`; strings are written in double quotes or backquotes"]);
    check(
        "{ .a = \"\\q\" }",
        &expect![
            r#"1:9: unknown escape sequence; known are \" \\ \n \r \t \xHH \uHHHH \UHHHHHHHH; in backquotes a backslash is itself"#
        ],
    );
    check("{ . = 1 }", &expect!["1:4: expected an attribute's key after `.`"]);
    check("{ é = ü }", &expect![[r#"1:3: unknown intrinsic `é`; an attribute is written `.é`, a string "é""#]]);
    check("{ .a = 9223372036854775808 }", &expect!["1:8: the number does not fit a signed 64-bit integer"]);
    check("{ .a = 1 } x", &expect!["1:12: expected the end of the query after `}`, found `x`"]);
}

#[test]
fn types_that_can_never_match_are_refused() {
    check("{ name > 200ms }", &expect!["1:8: `>` compares a string with a number or duration"]);
    check(
        "{ duration = \"200ms\" }",
        &expect![
            "1:12: `=` compares a number or duration with a string; numbers and durations are written without quotes: `200ms`"
        ],
    );
    check(
        "{ status = \"error\" }",
        &expect!["1:10: `=` compares a status with a string; a status is `error`, `ok` or `unset`, without quotes"],
    );
    check("{ status > ok }", &expect!["1:10: `>` orders numbers, durations or strings, not a status"]);
    check(
        "{ duration }",
        &expect![
            "1:3: a filter must be a condition, but this is a number or duration; compare it with something: `duration > 200ms`"
        ],
    );
    check("{ name && .a }", &expect!["1:8: `&&` needs a condition on both sides, but one is a string"]);
    check("{ .a =~ 1 }", &expect!["1:6: `=~` needs a regular expression in quotes on its right"]);
    check("{ .a =~ \"(\" }", &expect![[r#"1:6: invalid regular expression "(": unclosed group"#]]);
    check(
        "{ .a =~ \"a{1000}{1000}{1000}\" }",
        &expect![[r#"1:6: the regular expression "a{1000}{1000}{1000}" is too large when compiled"#]],
    );
    check("{ -name = 1 }", &expect!["1:3: `-` needs a number or duration, but its operand is a string"]);
}

#[test]
fn the_rest_of_traceql_has_its_own_message() {
    let hint = "one spanset filter `{ … }` can be searched for; join conditions on one span inside it";
    let cases = [
        ("{} | count() > 2", "pipelines (`| …`)"),
        ("{} >> {}", "structural operators (`>>`)"),
        ("{} > {}", "structural operators (`>`, `<`)"),
        ("{} !>> {}", "structural operators (`!>>`)"),
        ("{} ~ {}", "structural operators (`~`)"),
        ("{} && {}", "combining spansets (`{ … } && { … }`)"),
        ("({}) || {}", "combining spansets in parentheses"),
        ("{} with (most_recent=true)", "query hints (`with (…)`)"),
    ];
    for (text, what) in cases {
        let error = parse(text).expect_err(text);
        assert_eq!(error.message, format!("{what} are TraceQL but not yet supported"), "{text}");
        assert_eq!(error.hint.as_deref(), Some(hint));
    }
    check("{ parent.a = 1 }", &expect!["1:3: `parent.` is TraceQL but not yet supported"]);
    check("{ nestedSetParent < 0 }", &expect!["1:3: `nestedSetParent` is TraceQL but not yet supported"]);
}

#[test]
fn depth_and_length_are_bounded() {
    let nested = |depth: usize| format!("{{ {}.a{} }}", "(".repeat(depth), " )".repeat(depth));
    let negated = |depth: usize| format!("{{ {}.a }}", "!".repeat(depth));
    let chained = |length: usize| format!("{{ {} }}", vec![".a"; length].join(" && "));
    for (text, accepted) in [
        (nested(100), true),
        (nested(30_000), false),
        (negated(100), true),
        (negated(60_000), false),
        (chained(MAX_DEPTH), true),
        (chained(10_000), false),
        (format!("{{ .a = 2{} }}", " ^ 2".repeat(10_000)), false),
        (nested(MAX_QUERY_BYTES), false),
    ] {
        assert_eq!(parse(&text).is_ok(), accepted, "{} bytes", text.len());
    }
}

proptest! {
    #[test]
    fn any_text_is_an_answer(text in "\\PC{0,60}") {
        if let Err(error) = parse(&text) {
            prop_assert!(error.position.offset <= text.len());
        }
    }

    #[test]
    fn any_mixture_of_words_is_an_answer(
        words in proptest::collection::vec(
            prop_oneof![
                Just("{"), Just("}"), Just("("), Just(")"), Just("&&"), Just("||"), Just("="), Just("!="), Just("=~"),
                Just(">"), Just("-"), Just("^"), Just("!"), Just("nil"), Just("duration"), Just("1ms"), Just("2"),
                Just(".a"), Just("span.b"), Just("\"x\""), Just("error"), Just("|"), Just(">>"), Just("\"")
            ],
            0..30,
        )
    ) {
        let text = words.join(" ");
        if let Ok(query) = parse(&text) {
            prop_assert_eq!(parse(&query.to_string()), Ok(query));
        }
    }
}
