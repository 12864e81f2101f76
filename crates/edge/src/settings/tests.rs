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
            3:1: unknown key "bagage"; did you mean `baggage`?
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

#[test]
fn options_are_the_same_on_all_paths() {
    let settings = Settings::parse(
        "propagators: [tracecontext, xray, b3, xray]\nids_via: both\nforce_sampling: {header: X-Force, key: sixteen letters!}\nresponse: {server_timing: true, header: X-Trace-Id}\nservice_name: shop\nexport: {endpoint: 'https://t.example.com/v1/traces', token: t, budget: 80ms}\n",
    )
    .expect("valid settings");
    let expected = Options {
        propagators: vec![Propagator::XRay, Propagator::B3],
        ids_via: IdsVia::Both,
        force_sampling: Some(ForceSampling { header: "x-force".into(), key: "sixteen letters!".into() }),
        server_timing: true,
        trace_id_header: Some("x-trace-id".into()),
        service_name: "shop".into(),
        export: Some(Export {
            endpoint: "https://t.example.com/v1/traces".into(),
            token: "t".into(),
            budget_millis: 80,
        }),
    };
    assert_eq!(settings.options, expected);
    let printed = format!("{settings:?}");
    assert!(!printed.contains("sixteen") && !printed.contains("token"), "{printed}");
}

#[test]
fn wrong_options_are_reported() {
    check_problems(
        "propagators: [jaeger]\nids_via: pigeon\nforce_sampling: {header: host, key: short}\nresponse: {server_timing: 1, header: a b}\nservice_name: ''\nexport: {endpoint: ftp://x, budget: 9s}\n",
        &expect![[r#"
            1:15: unknown propagator "jaeger", known are tracecontext, b3, b3multi, xray
            2:10: ids_via must be custom-data, console or both
            3:26: header must be a header name of your own
            3:37: key must have at least 16 characters
            4:27: server_timing must be true or false
            4:38: header must be a header name of your own
            5:15: service_name must be a name without control characters
            6:20: export needs an endpoint such as https://host/v1/traces
        "#]],
    );
    check_problems(
        "force_sampling: {header: x-a}\npropagators: b3\nexport: {endpoint: 'http://x', budget: 9s}\n",
        &expect![[r#"
            1:17: force_sampling needs a header and a key
            2:14: propagators must be a list
            3:40: budget must be 1ms to 5000ms
        "#]],
    );
}

#[test]
fn what_would_be_baked_in_by_mistake_is_refused() {
    check_problems(
        "propagators: [w3c, foo, [b3]]\nservice_name: \"a\\tb\"\nexport: {endpoint: 'https://h/v1/traces', token: \"\"}\nexprt: 1\nzzz: 1\n",
        &expect![[r#"
            1:15: unknown propagator "w3c", known are tracecontext, b3, b3multi, xray
            1:20: unknown propagator "foo", known are tracecontext, b3, b3multi, xray
            1:25: unknown propagator "", known are tracecontext, b3, b3multi, xray
            2:15: service_name must be a name without control characters
            3:50: token must be printable ASCII characters without spaces; leave the key out if there is none
            4:1: unknown key "exprt"; did you mean `export`?
            5:1: unknown key "zzz", known are probability, trust, baggage, continue_secret, paths, propagators, ids_via, force_sampling, response, service_name, export
        "#]],
    );
    for (endpoint, is_refused) in [
        ("http://traces.example.com/v1/traces", true),
        ("http://localhost@example.com/", true),
        ("http://10.0.0.1:4318/v1/traces", true),
        ("https://traces.example.com/v1/traces", false),
        ("http://localhost:4318/v1/traces", false),
        ("http://127.0.0.1:4318/v1/traces", false),
        ("http://[::1]:4318/v1/traces", false),
    ] {
        let problems = Settings::parse(&format!("export: {{endpoint: '{endpoint}', token: secret}}")).err();
        let is_named = problems.is_some_and(|problems| problems[0].message.contains("unencrypted"));
        assert_eq!(is_named, is_refused, "{endpoint}");
        assert!(Settings::parse(&format!("export: {{endpoint: '{endpoint}'}}")).is_ok(), "{endpoint}");
    }
    assert!(Settings::parse("export: {endpoint: 'https://h/', token: \"a\\r\\nb\"}").is_err());
    assert!(Settings::parse("export: {endpoint: 'https://'}").is_err());
}

#[test]
fn of_very_many_problems_the_first_are_named() {
    let text: String = (0..30).map(|number| format!("key{number}: 1\n")).collect();
    let lines = report(Path::new("edge.yaml"), &Settings::parse(&text).expect_err("none is known"));
    assert_eq!(lines.len(), 21);
    assert!(lines[19].starts_with("edge.yaml:20:1: unknown key \"key19\""), "{}", lines[19]);
    assert_eq!(lines[20], "and 10 more");
    assert_eq!(report(Path::new("edge.yaml"), &Settings::parse("a: 1").expect_err("none is known")).len(), 1);
}

#[test]
fn the_documented_example_is_valid() {
    let example = include_str!("../../../../docs/examples/edge.yaml");
    let settings = Settings::parse(example).expect("the example has no problems");
    assert_eq!(settings.options, Options::default());
}
