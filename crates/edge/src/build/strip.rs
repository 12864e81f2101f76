//! Makes our own source smaller without understanding JavaScript: whole lines only. It relies on what our source keeps to
//! and a test checks: comments stand on lines of their own, and no string or template spans lines.

/// Without the sections between `// rootspan:if NAME` and `// rootspan:end` of these names; sections may be nested.
pub(super) fn without_sections(source: &str, left_out: &[&str]) -> String {
    let mut kept = String::with_capacity(source.len());
    let mut open = Vec::new();
    for line in source.lines() {
        if let Some(name) = line.trim().strip_prefix("// rootspan:if ") {
            open.push(left_out.contains(&name));
        } else if line.trim() == "// rootspan:end" {
            open.pop().expect("the source closes only what it opened");
        } else if !open.contains(&true) {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    assert!(open.is_empty(), "the source closes what it opened");
    kept
}

/// Without comment lines, indentation and empty lines.
pub(super) fn comments_and_indentation(source: &str) -> String {
    let mut stripped = String::with_capacity(source.len());
    let mut in_comment = false;
    for line in source.lines().map(str::trim) {
        if in_comment || line.starts_with("/*") {
            in_comment = !line.ends_with("*/");
        } else if !line.is_empty() && !line.starts_with("//") {
            stripped.push_str(line);
            stripped.push('\n');
        }
    }
    stripped
}

/// The identifiers and keywords of code, without those in strings and in comment lines.
pub(super) fn names(code: &str) -> impl Iterator<Item = &str> {
    code.lines().filter(|line| !line.starts_with("//")).flat_map(|line| {
        // Every second piece between quotes is outside of strings; our strings contain no escaped quotes.
        line.split('\'').step_by(2).flat_map(|piece| piece.split('"').step_by(2)).flat_map(|piece| {
            piece.split(|character: char| !character.is_ascii_alphanumeric() && character != '_' && character != '$')
        })
    })
}
