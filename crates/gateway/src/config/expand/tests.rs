use super::*;

fn variables(name: &str) -> Option<String> {
    match name {
        "HOST" => Some("db.internal".to_owned()),
        "PORT" => Some("0123".to_owned()),
        "EMPTY" => Some(String::new()),
        "PASSWORD" => Some("a$$b${HOST}".to_owned()),
        "WHICH" => Some("HOST".to_owned()),
        _ => None,
    }
}

fn files(path: &Path) -> Result<String, String> {
    match path.to_str() {
        Some("/run/token") => Ok("a$b\n".to_owned()),
        _ => Err(format!("{}: the file does not exist", path.display())),
    }
}

const OUTSIDE: Outside<'_> = Outside { variables: &variables, files: &files };

#[track_caller]
fn check(text: &str, expected: &str) {
    let expanded = expand(text, OUTSIDE).expect("expands");
    assert_eq!(expanded.text, expected);
    assert_eq!(expanded.unset, Vec::<String>::new());
}

#[test]
fn replaces_variables_in_every_form() {
    check("plain", "plain");
    check("${env:HOST}:${PORT}", "db.internal:0123");
    check("${env:MISSING:-fall:back}", "fall:back");
    check("${MISSING:-}", "");
    check("${env:EMPTY:-used because empty}", "used because empty");
    check("${env:MISSING:-${env:HOST}}", "db.internal");
    check("${env:${WHICH}}", "db.internal");
    check("Bearer ${file:/run/token}", "Bearer a$b");
    check("${env:MISSING:-${file:/run/token}}", "a$b");
    check("${yaml:x-${HOST}}", "x-db.internal");
}

#[test]
fn dollars_are_text_unless_a_brace_follows() {
    check("$HOST costs $$5 $", "$HOST costs $5 $");
    check("$${HOST}", "${HOST}");
    check("${PASSWORD}", "a$$b${HOST}");
}

#[test]
fn unset_variables_are_named() {
    let expanded = expand("x${env:MISSING}y", OUTSIDE).expect("expands");
    assert_eq!(expanded, Expanded { text: "xy".to_owned(), whole: None, unset: vec!["MISSING".to_owned()] });
}

#[test]
fn refuses_what_cannot_be_meant() {
    for (text, reason) in [
        ("${env:HOST", "`${` has no closing `}`; write `$$` for a dollar"),
        ("${file:/etc/x}", "`${file:/etc/x}`: /etc/x: the file does not exist"),
        ("${s3:x}", "`${s3:x}`: rootspan expands `env:`, `file:` and `yaml:`, not `s3:`"),
        ("${a-b}", "`${a-b}`: `a-b` is not a name of ASCII letters, digits and underscores"),
        ("${}", "`${}`: `` is not a name of ASCII letters, digits and underscores"),
    ] {
        assert_eq!(expand(text, OUTSIDE), Err(reason.to_owned()), "{text}");
    }
    let deep = format!("{}x{}", "${A:-".repeat(200), "}".repeat(200));
    assert!(expand(&deep, OUTSIDE).is_err_and(|reason| reason.contains("nested")));
}
