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
    for line in VIEWER_REQUEST.lines().map(str::trim) {
        let is_comment = line.starts_with("/*") || line.starts_with('*') || line.starts_with("//");
        assert!(is_comment || !(line.contains("/*") || line.contains(" //") || line.contains('`')), "{line}");
        assert!(is_comment || line.matches('\'').count() % 2 == 0, "{line}");
        assert!(!line.contains("\\'"), "{line}");
    }
    let names: Vec<_> = strip::names("var a = 'eval', b = eval; // c\n// Function\n\"x\" + $d").collect();
    assert!(names.contains(&"eval") && !names.contains(&"Function") && names.contains(&"$d"));
    assert_eq!(names.iter().filter(|name| **name == "eval").count(), 1);
}
