use serde_json::Value;

use super::*;

const EVERYTHING: &str = include_str!("../../../../edge-functions/test/settings/everything.yaml");

fn settings(text: &str) -> Settings {
    Settings::parse(text).expect("valid settings")
}

fn code(text: &str, name: &str) -> String {
    let functions = all(&settings(text)).expect("within the limits");
    functions.into_iter().find(|function| function.file_name == name).expect("built").code
}

#[test]
fn the_settings_of_every_vector_are_baked_in() {
    let file: Value = serde_json::from_str(include_str!("../../../../testdata/propagation/viewer-request.json"))
        .expect("the vectors are JSON");
    for vector in file["vectors"].as_array().expect("vectors is a list") {
        let settings = settings(&vector["settings"].to_string());
        assert_eq!(bake::rules(&settings), vector["baked"], "{}", vector["name"]);
        let built = viewer_request(&settings).expect("within the limits");
        let baked = format!("\nvar SETTINGS={};\n", bake::rules(&settings));
        assert!(built.code.contains(&baked), "{}: {}", vector["name"], built.code);
    }
}

#[test]
fn the_source_itself_has_the_default_settings() {
    let defaults = format!("var SETTINGS = {};\n{}", bake::rules(&Settings::default()), SETTINGS_MARKERS[1]);
    assert!(VIEWER_REQUEST.contains(&defaults), "{defaults}");
}

#[test]
fn the_same_settings_give_the_same_small_code() {
    for text in ["", EVERYTHING] {
        let built = all(&settings(text)).expect("within the limits");
        assert_eq!(all(&settings(text)).as_ref(), Ok(&built));
        for function in built {
            let first_line = concat!("// rootspan ", env!("CARGO_PKG_VERSION"), " ");
            assert!(function.code.starts_with(first_line) && function.code.is_ascii(), "{}", function.code);
            assert_eq!(function.sha256.len(), 64);
            let readable = written(&settings(text), Form::Readable).expect("within the limits");
            let readable = readable.iter().find(|other| other.file_name == function.file_name).expect("built");
            assert!(function.code.len() * 10 < readable.code.len() * 9, "{}", function.file_name);
            assert!(readable.source_map.is_none() && function.source_map.is_some());
        }
    }
    assert!(code("", "viewer-request.js").len() < 3_000);
    assert!(code(EVERYTHING, "viewer-request.js").len() < 7_000);
}

#[test]
fn too_many_paths_are_refused_with_the_size() {
    let paths: String = (0..200).map(|index| format!("  - pattern: /some/long/path/{index}/*\n")).collect();
    let error = viewer_request(&settings(&format!("paths:\n{paths}"))).expect_err("too large");
    assert!(matches!(error, BuildError::TooLarge { bytes, .. } if bytes > EDGE_FUNCTION_MAX_BYTES), "{error}");
}

#[test]
fn the_sources_keep_to_what_building_relies_on() {
    for source in [VIEWER_REQUEST, VIEWER_RESPONSE, LAMBDA_EDGE] {
        let is_comment = |line: &&str| line.starts_with("/*") || line.starts_with('*') || line.starts_with("//");
        let code = source.lines().map(str::trim).filter(|line| !line.is_empty() && !is_comment(line));
        for (line, next) in code.clone().zip(code.skip(1)) {
            assert!(line.is_ascii() && !line.contains("/*") && !line.contains(" //"), "{line}");
            // Double quotes are JSON's, of the settings.
            let is_settings = line.starts_with("var SETTINGS = {") || line.starts_with("var LAMBDA = {");
            assert!(is_settings || !line.replace("'\"'", "").replace("\"'", "").contains('"'), "{line}");
            // Semicolons are written, never implied.
            let goes_on = ["{", "}", ",", "(", "[", "&&", "||", ":", ";"].iter().any(|end| line.ends_with(end));
            assert!(goes_on || next.starts_with(['}', ')', ']']), "{line}");
        }
    }
}

#[test]
fn every_file_is_named_for_what_it_is_attached_to() {
    let names = |text: &str| -> Vec<_> {
        all(&settings(text)).expect("within the limits").iter().map(|function| function.file_name).collect()
    };
    let lambda = ["viewer-request.mjs", "origin-request.mjs", "origin-response.mjs", "lambda-edge.module.mjs"];
    assert_eq!(names(""), [&["viewer-request.js", "viewer-request.module.js"][..], &lambda].concat());
    assert_eq!(
        names("response: {header: x-trace-id}"),
        [&["viewer-request.js", "viewer-request.module.js", "viewer-response.js"][..], &lambda].concat()
    );
}

#[test]
fn sections_that_no_setting_needs_are_left_out() {
    let (small, large) = (code("", "viewer-request.js"), code(EVERYTHING, "viewer-request.js"));
    for word in ["console.log(", "'b3multi'", "createHmac(", "SETTINGS.secret", "'th:'", "'*'"] {
        assert!(!small.contains(word) && large.contains(word), "{word}");
    }
    let console = code("ids_via: console", "viewer-request.js");
    assert!(!console.contains("cloudfront'") && !console.contains("logCustomData"), "{console}");
    let lambda = code(EVERYTHING, "origin-response.mjs");
    assert!(
        lambda.contains("\"budgetMillis\":50") && lambda.contains(" as handler};\n//# sourceMappingURL="),
        "{lambda}"
    );
    assert!(!lambda.contains("require(") && !lambda.contains("logCustomData"));
}

#[test]
fn names_that_others_look_for_stay() {
    assert!(code("", "viewer-request.js").contains("\nfunction handler("));
    assert!(code("", "viewer-request.js").contains("\nimport cf from 'cloudfront';\n"));
    // The module is pasted into a file that has names of its own: it has one.
    let module = code(EVERYTHING, "viewer-request.module.js");
    assert!(module.contains("\nvar rootspan=(function(){\n") && module.ends_with("return rootspan})();\n"), "{module}");
    assert!(!module.contains("import") && !module.contains("handler"));
    let lambda = code("", "lambda-edge.module.mjs");
    for export in ["export function viewerRequest(", "export function originRequest(", "export async function emit("] {
        assert!(lambda.contains(export), "{export}");
    }
}

#[test]
fn no_settings_become_code() {
    let text = "service_name: \"*/'; throw 1; // \\u2028 \\\\ é\"\npaths: [{pattern: '/\";eval(1)//'}]\n";
    let lambda = code(text, "origin-request.mjs");
    assert!(lambda.contains(r#""service":"*/'; throw 1; // \u2028 \\ \u00e9""#), "{lambda}");
    assert!(code(text, "viewer-request.js").contains(r#""pattern":"/\";eval(1)//""#));
}

#[test]
fn names_become_short_and_syntax_stays() {
    let source = "import cf from 'cloudfront';\n/** doc */\nvar total = 0, other = f(1, total);\nfunction handler(event) {\n    for (var i = 0; i < 9; i++) {\n        total += + +i - -other;\n    }\n    while (next(i));\n    return { total: total, x: event ? total : i, 'a b': /[/'\"]+/g.test(event.total) };\n}\n";
    let minified = minify::minified("// first\n", source, &KEPT_NAMES).expect("JavaScript");
    let expected = "// first\nimport cf from 'cloudfront';\nvar b=0,d=f(1,b);\nfunction handler(c){\nfor(var a=0;a<9;a++){\nb+=+ +a- -d}\nwhile(next(a));\nreturn{total:b,x:c?b:a,'a b':/[/'\"]+/g.test(c.total)}}\n";
    assert_eq!(minified.code, expected);
    // Words that are names elsewhere and have a meaning here.
    let source =
        "import as from 'node:http';\nfunction f(from, as) {\n    return from + as;\n}\nexport { f as from };\n";
    let minified = minify::minified("", source, &[]).expect("JavaScript");
    assert_eq!(minified.code, "import a from 'node:http';\nfunction b(c,a){\nreturn c+a}\nexport{b as from};\n");
    assert_eq!(minify::minified("", "var a = 'x;\n", &[]).map(|_| ()), Err(1));
    assert_eq!(minify::minified("", "var a;\nvar b = é;\n", &[]).map(|_| ()), Err(2));
}

#[test]
fn a_map_leads_from_every_token_to_its_source() {
    let mappings = [
        source_map::Mapping { line: 1, column: 0, source_line: 2, source_column: 4, name: None },
        source_map::Mapping { line: 1, column: 17, source_line: 0, source_column: 0, name: Some("total") },
    ];
    let map: Value = serde_json::from_str(&source_map::json("a.js", "a.source.js", "text", &mappings)).expect("JSON");
    // 0 is A, 2 is E, 4 is I, 17 is iB, -2 is F, -4 is J.
    assert_eq!(map["mappings"], ";AAEI,iBAFJA");
    assert_eq!((&map["names"][0], &map["sourcesContent"][0]), (&Value::from("total"), &Value::from("text")));
}

/// A wrong function is refused: for each rule one line that breaks it.
#[test]
fn what_the_runtimes_do_not_have_is_refused() {
    let handler = "function handler(event) {\n    var headers = event.request.headers;\n    WRONG\n    return event.request;\n}\n";
    let problem = |wrong: &str, runtime| lint::check(&handler.replace("WRONG", wrong), runtime).err();
    let wrong = [
        ("eval('1');", "eval is not there"),
        ("new Function('1')();", "Function is not there"),
        ("setTimeout(handler, 1);", "setTimeout is not there"),
        ("fetch('https://example.com/');", "fetch is not there"),
        ("var net = require('http');", "require has more than is allowed"),
        ("crypto.createHash('sha256');", "crypto is not there"),
        ("process.exit(1);", "process is not there"),
        ("globalThis.x = 1;", "globalThis is not there"),
        ("Math.random();", "Math is not there"),
        ("var begin = new Date();", "Date has more than is allowed"),
        ("performance.now();", "performance is not there"),
        ("throw event;", "throw is refused"),
        ("let x = 1;", "let is refused"),
        ("class X {}", "class is refused"),
        ("async function later() {}", "async is refused"),
        ("var f = () => 1;", "=> is newer syntax"),
        ("var uri = event?.request;", "?. is newer syntax"),
        ("var uri = event ?? headers;", "?? is newer syntax"),
        ("var text = `x`;", "` is newer syntax"),
        ("handler(...headers);", "... is newer syntax"),
        ("'a'.replaceAll('a', 'b');", "the method replaceAll is not there"),
        ("event.request.uri.at(1);", "the method at is not there"),
        ("event.constructor.constructor('1')();", "constructor leads to everything"),
        ("headers.host = { value: 'x' };", "the header host is read-only"),
        ("headers['content-length'] = { value: '1' };", "the header content-length is read-only"),
        ("headers['x-edge-trace'] = { value: '1' };", "the header x-edge-trace is disallowed"),
        ("headers.connection = { value: 'close' };", "the header connection is disallowed"),
        ("var x = 'a", "line 3 is no JavaScript"),
    ];
    for (wrong, expected) in wrong {
        let found = problem(wrong, Runtime::CloudFront).unwrap_or_default();
        assert!(found.starts_with(expected), "{wrong}: {found}");
        assert!(found.contains("line 3"), "{wrong}: {found}");
    }
    assert_eq!(problem("headers.traceparent = { value: '1' };", Runtime::CloudFront), None);
    assert!(problem("eval('1');", Runtime::Lambda).is_some_and(|problem| problem.starts_with("eval is not there")));
    let package = lint::check("import x from 'left-pad';\n", Runtime::Lambda).expect_err("no package");
    assert!(package.starts_with("'left-pad' is no module of Node"), "{package}");
    let module = lint::check("import x from 'fs';\n", Runtime::CloudFront).expect_err("no module");
    assert!(module.starts_with("'fs' is no module of CloudFront Functions"), "{module}");
}
