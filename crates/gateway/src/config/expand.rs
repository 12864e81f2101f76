//! Environment expansion as the OpenTelemetry Collector does it: `${env:NAME}`, `${NAME}`, `${env:NAME:-fallback}`,
//! `$$` for a dollar; a bare `$NAME` is text. The result stays text until the field's type is known. One difference:
//! what a variable holds is taken as it is, so that a password with a dollar in it needs no escaping.

/// Looks up an environment variable.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Nested expansions (`${env:A:-${env:B}}`) deeper than the collector's own limit are refused.
const MAX_DEPTH: usize = 100;

/// A scalar after expansion.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Expanded {
    /// The text.
    pub(crate) text: String,
    /// Whether a variable or its fallback went into the text; such text may stand for any YAML value.
    pub(crate) substituted: bool,
    /// Variables that are not set and have no fallback; they expand to nothing.
    pub(crate) unset: Vec<String>,
}

/// Expands `text`, or says why it cannot be.
pub(crate) fn expand(text: &str, variables: Variables<'_>) -> Result<Expanded, String> {
    let mut expanded = Expanded::default();
    expand_into(text, variables, 0, &mut expanded)?;
    Ok(expanded)
}

fn expand_into(text: &str, variables: Variables<'_>, depth: usize, out: &mut Expanded) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("`${{…}}` is nested more than {MAX_DEPTH} times"));
    }
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.text.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.text.push('$');
            rest = after;
        } else if let Some(inside_and_rest) = after.strip_prefix('{') {
            let (inside, after) = split_at_closing_brace(inside_and_rest)
                .ok_or_else(|| "`${` has no closing `}`; write `$$` for a dollar".to_owned())?;
            substitute(inside, variables, depth, out)?;
            rest = after;
        } else {
            out.text.push('$');
            rest = after;
        }
    }
    out.text.push_str(rest);
    Ok(())
}

/// Appends the value that `inside` of `${inside}` names.
fn substitute(inside: &str, variables: Variables<'_>, depth: usize, out: &mut Expanded) -> Result<(), String> {
    let (reference, fallback) = match inside.split_once(":-") {
        Some((reference, fallback)) => (reference, Some(fallback)),
        None => (inside, None),
    };
    let name = match reference.split_once(':') {
        None => reference,
        Some(("env", name)) => name,
        Some((scheme, _)) => {
            return Err(format!("`${{{inside}}}`: rootspan expands `env:` only, not `{scheme}:`"));
        }
    };
    let mut expanded_name = Expanded::default();
    expand_into(name, variables, depth + 1, &mut expanded_name)?;
    let name = expanded_name.text;
    if !is_name(&name) {
        return Err(format!("`${{{inside}}}`: `{name}` is not a name of ASCII letters, digits and underscores"));
    }
    out.substituted = true;
    match (variables(&name), fallback) {
        (Some(value), None) => out.text.push_str(&value),
        (Some(value), Some(_)) if !value.is_empty() => out.text.push_str(&value),
        (_, Some(fallback)) => expand_into(fallback, variables, depth + 1, out)?,
        (None, None) => out.unset.push(name),
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    let starts_well = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    starts_well && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Splits before the brace that closes an already opened one.
fn split_at_closing_brace(text: &str) -> Option<(&str, &str)> {
    let mut open = 1_usize;
    for (index, character) in text.char_indices() {
        match character {
            '{' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            let (inside, closing_and_rest) = text.split_at(index);
            return Some((inside, closing_and_rest.strip_prefix('}')?));
        }
    }
    None
}

#[cfg(test)]
mod tests;
