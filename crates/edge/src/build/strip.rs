//! Makes our own source smaller without understanding JavaScript: whole lines only. It relies on what our source keeps to
//! and a test checks: comments stand on lines of their own, and no string or template spans lines.

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
