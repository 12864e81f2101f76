use serde_json::{Value as Json, json};

use super::*;

fn invocation(event: &Json) -> Invocation {
    Invocation {
        event: event.to_string(),
        raw_query: "a=1&a=2".to_owned(),
        start_unix_millis: 1_789_380_930_295,
        edge_location: r#"{"name":"FRA","serverIp":"192.0.2.1","region":"eu-central-1"}"#.to_owned(),
        time_limit: Duration::from_secs(5),
    }
}

/// Runs the body of a handler, with the default event.
fn call_body(body: &str) -> Called {
    let code = format!(
        "import cf from 'cloudfront'; import qs from 'querystring'; import crypto from 'crypto';\nfunction handler(event) {{ {body} }}"
    );
    FunctionCode::new(&code).expect("valid code").call(&invocation(&json!({"request": {"headers": {}}})))
}

fn run_body(body: &str) -> Result<Json, FunctionError> {
    call_body(body).result.map(Option::unwrap_or_default)
}

fn value_of(expression: &str) -> Json {
    run_body(&format!("return {expression};")).expect("the function runs")
}

#[test]
fn the_date_is_frozen_at_the_start() {
    assert_eq!(
        value_of("[Date.now(), new Date().getTime(), +new Date, new Date(5).getTime(), Date.UTC(1970, 0, 2)]"),
        json!([1_789_380_930_295_u64, 1_789_380_930_295_u64, 1_789_380_930_295_u64, 5, 86_400_000])
    );
    assert_eq!(value_of("new Date() instanceof Date && new (new Date().constructor)().getTime() === Date.now()"), true);
    assert_eq!(value_of("Date() === new Date().toString()"), true);
    assert_eq!(value_of("typeof performance"), "undefined");
}

#[test]
fn there_is_no_way_from_text_to_code() {
    for attempt in [
        "eval('1')",
        "Function('return 1')()",
        "new Function('return 1')()",
        "(function () {}).constructor('return 1')()",
        "Object.getPrototypeOf(async function () {}).constructor('return 1')()",
        "Object.getPrototypeOf(function* () {}).constructor('return 1')()",
        "[].map.constructor('return 1')()",
    ] {
        let outcome = run_body(&format!("try {{ return {attempt}; }} catch (e) {{ return 'refused'; }}"));
        assert_eq!(outcome, Ok(json!("refused")), "{attempt}");
    }
    assert_eq!(
        value_of("[typeof fetch, typeof setTimeout, typeof process, typeof host, typeof std]"),
        json!(vec!["undefined"; 5])
    );
    run_body("return import('cloudfront').then(() => import('fs'));").expect_err("there are no other modules");
}

#[test]
fn digests_are_right() {
    // RFC 4231, test case 2; and the empty text.
    assert_eq!(
        value_of("crypto.createHmac('sha256', 'Jefe').update('what do ya want ').update('for nothing?').digest('hex')"),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
    assert_eq!(
        value_of("crypto.createHash('sha256').update('').digest('base64url')"),
        "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
    );
    assert_eq!(value_of("require('crypto').createHash('sha256').update('').digest().toString('hex').length"), 64);
    assert_eq!(value_of("Buffer.from('c3VyZS4', 'base64').toString()"), "sure.");
    run_body("crypto.createHash('sha512')").expect_err("CloudFront does not have it");
    run_body("crypto.randomBytes(8)").expect_err("CloudFront does not have it");
}

#[test]
fn queries_and_modules() {
    assert_eq!(value_of("qs.parse('a=1&b=x+y&a=%32')"), json!({"a": ["1", "2"], "b": "x y"}));
    assert_eq!(value_of("qs.stringify({a: [1, 2], b: 'x y'})"), "a=1&a=2&b=x%20y");
    assert_eq!(value_of("event.request.rawQueryString()"), "a=1&a=2");
    assert_eq!(value_of("cf.edgeLocation.name"), "FRA");
    run_body("cf.kvs()").expect_err("not emulated");
}

#[test]
fn what_was_logged_last_is_the_log_data() {
    let called = call_body("cf.logCustomData('a'); console.log(1, 'x'); cf.logCustomData('b'); return event.request;");
    assert_eq!((called.result, called.log_data.as_deref()), (Ok(Some(json!({"headers": {}}))), Some("b")));
    assert_eq!(called.console, ["1 x"]);
    let called = call_body("console.log('before'); throw new Error('broken');");
    assert!(matches!(called.result, Err(FunctionError::Failed(_))), "{:?}", called.result);
    assert_eq!(called.console, ["before"], "also of a function that fails");
    assert_eq!((call_body("").result, call_body("").log_data), (Ok(None), None));
}

#[test]
fn handlers_may_be_async() {
    let code = "async function handler(event) { await null; return { ok: true }; }";
    let returned = FunctionCode::new(code).expect("valid code").call(&invocation(&json!({"request": {}})));
    assert_eq!(returned.result, Ok(Some(json!({"ok": true}))));
}

#[test]
fn limits_end_a_function() {
    let mut endless = invocation(&json!({"request": {}}));
    endless.time_limit = Duration::from_millis(20);
    let code = FunctionCode::new("function handler() { for (;;) {} }").expect("valid code");
    assert_eq!(code.call(&endless).result, Err(FunctionError::TimeLimit(endless.time_limit)));
    let error = run_body("var all = []; for (;;) { all.push(new Array(1000).fill(1.5)); }").expect_err("out of memory");
    assert!(matches!(error, FunctionError::Failed(_)), "{error}");
    let error = run_body("function deep() { return deep() + 1; } return deep();").expect_err("out of stack");
    assert!(matches!(error, FunctionError::Failed(_)), "{error}");
    assert_eq!(FunctionCode::new(&" ".repeat(10_001)).map(drop), Err(FunctionError::TooLarge { bytes: 10_001 }));
}

#[test]
fn code_that_is_none_is_refused_at_once() {
    for code in ["", "function handler( {", "var handle = 1;", "import x from 'fs'; function handler() {}"] {
        let outcome = FunctionCode::new(code).and_then(|code| code.call(&invocation(&json!({"request": {}}))).result);
        assert!(matches!(outcome, Err(FunctionError::Failed(_))), "{code}: {outcome:?}");
    }
}

#[test]
fn one_invocation_leaves_nothing_for_the_next() {
    let code = FunctionCode::new(
        "var calls = 0; function handler() { Array.prototype.x = 1; return { calls: ++calls, x: [].x }; }",
    );
    let code = code.expect("valid code");
    for _ in 0..2 {
        let called = code.call(&invocation(&json!({"request": {}})));
        assert_eq!(called.result, Ok(Some(json!({"calls": 1, "x": 1}))));
    }
}
