//! What is done with whole lines of our own source: sections that the settings do not need, and comments. It relies on
//! what our source keeps to and a test checks: comments stand on lines of their own, and no string spans lines.

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

/// Without comments and empty lines, with one character of indentation for each level below that of a function: for people,
/// and still small enough for CloudFront.
pub(super) fn without_comments(source: &str) -> String {
    let mut kept = String::with_capacity(source.len());
    let mut in_comment = false;
    for line in source.lines() {
        let code = line.trim();
        if in_comment || code.starts_with("/*") {
            in_comment = !code.ends_with("*/");
        } else if !code.is_empty() && !code.starts_with("//") {
            let indentation = line.len() - line.trim_start().len();
            kept.extend(std::iter::repeat_n(' ', (indentation / 4).saturating_sub(1)));
            kept.push_str(code);
            kept.push('\n');
        }
    }
    kept
}
