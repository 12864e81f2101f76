use serde_json::Value;

use super::*;

#[test]
fn the_settings_of_every_vector_are_baked_in() {
    let file: Value = serde_json::from_str(include_str!("../../../../testdata/propagation/viewer-request.json"))
        .expect("the vectors are JSON");
    for vector in file["vectors"].as_array().expect("vectors is a list") {
        let settings = Settings::parse(&vector["settings"].to_string()).expect("valid settings");
        assert_eq!(baked(&settings), vector["baked"], "{}", vector["name"]);
        let built = viewer_request(&settings).expect("within the limits");
        assert!(built.code.contains(&format!("\nvar SETTINGS = {};\n", baked(&settings))), "{}", vector["name"]);
    }
}

#[test]
fn the_source_itself_has_the_default_settings() {
    let defaults = format!("var SETTINGS = {};\n{SETTINGS_END}", baked(&Settings::default()));
    assert!(VIEWER_REQUEST.contains(&defaults), "{defaults}");
}

#[test]
fn the_same_settings_give_the_same_small_code() {
    let built = viewer_request(&Settings::default()).expect("within the limits");
    assert_eq!(viewer_request(&Settings::default()).as_ref(), Ok(&built));
    assert!(built.code.len() < 8_000, "{} bytes leave little room for paths", built.code.len());
    assert!(built.code.starts_with(concat!("// rootspan ", env!("CARGO_PKG_VERSION"), " viewer-request")));
    assert!(built.code.lines().all(|line| line == line.trim() && !line.is_empty()));
    assert_eq!(built.sha256.len(), 64);
}

#[test]
fn too_many_paths_are_refused_with_the_size() {
    let paths: String = (0..200).map(|index| format!("  - pattern: /some/long/path/{index}/*\n")).collect();
    let settings = Settings::parse(&format!("paths:\n{paths}")).expect("valid settings");
    let error = viewer_request(&settings).expect_err("too large");
    assert!(matches!(error, BuildError::TooLarge { bytes } if bytes > EDGE_FUNCTION_MAX_BYTES), "{error}");
}

#[test]
fn the_source_keeps_to_what_stripping_relies_on() {
    for line in [VIEWER_REQUEST, VIEWER_RESPONSE, LAMBDA_EDGE].iter().flat_map(|source| source.lines()).map(str::trim) {
        let is_comment = line.starts_with("/*") || line.starts_with('*') || line.starts_with("//");
        assert!(is_comment || !(line.contains("/*") || line.contains(" //") || line.contains('`')), "{line}");
        assert!(is_comment || line.matches('\'').count() % 2 == 0, "{line}");
        assert!(!line.contains("\\'"), "{line}");
    }
    let names: Vec<_> = strip::names("var a = 'eval', b = eval; // c\n// Function\n\"x\" + $d").collect();
    assert!(names.contains(&"eval") && !names.contains(&"Function") && names.contains(&"$d"));
    assert_eq!(names.iter().filter(|name| **name == "eval").count(), 1);
}

const EVERYTHING: &str = "propagators: [b3, b3multi, xray]\nids_via: both\nforce_sampling: {header: x-force, key: sixteen letters!}\nresponse: {server_timing: true}\nexport: {endpoint: 'https://t.example.com/v1/traces', token: t}\n";

#[test]
fn every_file_is_named_for_what_it_is_attached_to() {
    let names = |settings: &str| -> Vec<_> {
        let settings = Settings::parse(settings).expect("valid settings");
        all(&settings).expect("within the limits").iter().map(|function| function.file_name).collect()
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
    let code = |settings: &str, name: &str| {
        let functions = all(&Settings::parse(settings).expect("valid settings")).expect("within the limits");
        functions.into_iter().find(|function| function.file_name == name).expect("built").code
    };
    let (small, large) = (code("", "viewer-request.js"), code(EVERYTHING, "viewer-request.js"));
    for word in ["console.log(", "'b3multi'", "createHmac("] {
        assert!(!small.contains(word) && large.contains(word), "{word}");
    }
    assert!(large.len() < EDGE_FUNCTION_MAX_BYTES - 500, "{} bytes leave little room for paths", large.len());
    let module = code(EVERYTHING, "viewer-request.module.js");
    assert!(!module.contains("function handler") && !module.contains("import") && module.contains("function rootspan"));
    let lambda = code(EVERYTHING, "origin-response.mjs");
    assert!(
        lambda.contains("\"budgetMillis\":50") && lambda.ends_with("export { handleOriginResponse as handler };\n")
    );
    assert!(!lambda.contains("require(") && !lambda.contains("logCustomData"));
}
