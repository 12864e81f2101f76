use expect_test::{Expect, expect};

use super::*;

fn check_problems(text: &str, expected: &Expect) {
    let problems = Settings::parse(text).expect_err("the settings are wrong");
    expected.assert_eq(&problems.iter().map(|problem| format!("{problem}\n")).collect::<String>());
}

#[test]
fn an_empty_file_gives_the_defaults() {
    for text in ["", "\n# nothing\n", "---\n", "{}", "paths:\n", "paths: []\ntrust: restart"] {
        assert_eq!(Settings::parse(text), Ok(Settings::default()), "{text:?}");
    }
}

#[test]
fn paths_inherit_what_they_do_not_say() {
    let settings = Settings::parse(
        "probability: 0.5\nbaggage: keep\npaths:\n  - pattern: partner/*\n    trust: continue\n  - {pattern: '*.ico', probability: 0}\n",
    )
    .expect("valid settings");
    let rule = |pattern: &str, threshold: Option<&str>, trust| Rule {
        pattern: pattern.to_owned(),
        threshold: threshold.map(|text| Threshold::parse(text).expect("valid threshold")),
        trust,
        baggage: Baggage::Keep,
    };
    assert_eq!(
        settings.rules,
        [
            rule("/partner/*", Some("8"), Trust::Continue),
            rule("*.ico", None, Trust::Restart),
            rule("*", Some("8"), Trust::Restart)
        ]
    );
}

#[test]
fn all_problems_are_reported_with_their_place() {
    check_problems(
        "probability: 2\ntrust: maybe\nbagage: keep\ntrust: restart\ncontinue_secret:\n  header: Host\n  sha256: abc\npaths:\n  - trust: continue\n  - pattern: /a b\n  - pattern: /x\n    probability: .nan\n  - pattern: x\n  - [1]\n",
        &expect![[r#"
            1:14: probability must be a number from 0 to 1
            2:8: trust must be restart or continue
            3:1: unknown key "bagage", known are probability, trust, baggage, continue_secret, paths
            4:1: trust is given twice
            6:11: header must be a header name of your own
            7:11: sha256 must be 64 hexadecimal digits
            9:5: a path needs a pattern
            10:14: pattern must be 1 to 255 printable ASCII characters without spaces
            12:18: probability must be a number from 0 to 1
            13:14: this pattern is never reached, an earlier one matches the same paths
            14:5: a path must be a mapping
            14:5: a path needs a pattern
        "#]],
    );
}

#[test]
fn what_is_no_yaml_has_a_place() {
    check_problems(
        "trust: [restart",
        &expect![[r#"
        2:1: while parsing a flow sequence, expected ',' or ']'
    "#]],
    );
    check_problems(
        "a: &x 1\nb: *x\n",
        &expect![[r#"
        1:4: anchors, aliases and tags are not supported
    "#]],
    );
    check_problems(
        "trust: restart\n---\ntrust: restart\n",
        &expect![[r#"
        3:1: only one document is allowed
    "#]],
    );
    check_problems(
        "- 1\n",
        &expect![[r#"
        1:1: settings must be a mapping
    "#]],
    );
    check_problems(
        &"[".repeat(40),
        &expect![[r#"
        1:18: nested too deeply
    "#]],
    );
}
