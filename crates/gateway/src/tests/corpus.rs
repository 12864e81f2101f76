//! What is said of configurations as people write them: testdata/collector-configs, each with its answer beside it.

use std::path::Path;

use crate::config::{Source, load_with};

fn variables(name: &str) -> Option<String> {
    match name {
        "POD_IP" | "MY_POD_IP" => Some("10.0.0.7".to_owned()),
        "POD_NAME" | "POD_NAMESPACE" | "INGEST_TOKEN" | "BACKEND_PASSWORD" => Some(name.to_ascii_lowercase()),
        _ => None,
    }
}

fn answer(name: &str, text: String) -> String {
    let source = Source::Text { name: name.to_owned(), text };
    match load_with(&[source], &variables) {
        Ok(config) => {
            let warnings: String = config.warnings.iter().map(|warning| format!("warning: {warning}\n")).collect();
            format!("{warnings}valid\n")
        }
        Err(problems) => format!("{problems}\n"),
    }
}

#[test]
fn collector_configurations_get_the_answers_beside_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/collector-configs");
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("it can be read").file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    names.sort();
    assert!(names.len() >= 20, "{names:?}");
    for name in names {
        let text = std::fs::read_to_string(folder.join(&name)).expect("it is text");
        let path = folder.join(&name).with_extension("txt");
        expect_test::expect_file![path].assert_eq(&answer(&name, text));
    }
}
