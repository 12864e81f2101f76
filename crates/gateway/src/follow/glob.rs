//! Patterns of paths: `*` and `?` within a name, `[abc]`, `[a-z]`, `[!a]`, `{one,other}`, and `**` for any number of
//! folders. Pure: who walks the folders asks for one name at a time.

/// A pattern, split at its slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// Whether it begins at the root.
    pub(crate) is_absolute: bool,
    pub(crate) steps: Vec<Step>,
}

/// What one level of folders must be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Exactly this; nothing needs to be listed.
    Name(String),
    /// A pattern of names.
    Pattern(String),
    /// Any number of folders, also none.
    AnyDepth,
}

/// Longest pattern, and most alternatives that its braces may stand for.
const MAX_ALTERNATIVES: usize = 256;

impl Pattern {
    /// The patterns that `text` stands for: its braces are written out. An error is one sentence.
    pub(crate) fn parse(text: &str) -> Result<Vec<Self>, String> {
        if text.is_empty() {
            return Err("a pattern must not be empty".to_owned());
        }
        let mut written_out = Vec::new();
        write_out(text, &mut written_out).map_err(|reason| format!("`{text}`: {reason}"))?;
        written_out.iter().map(|text| Self::of_text(text)).collect()
    }

    fn of_text(text: &str) -> Result<Self, String> {
        let step = |name: &str| match name {
            "**" => Ok(Step::AnyDepth),
            _ if !name.contains(['*', '?', '[', '\\']) => Ok(Step::Name(name.to_owned())),
            _ if has_open_bracket(name) => Err(format!("`{text}`: a bracket is not closed")),
            _ => Ok(Step::Pattern(name.to_owned())),
        };
        let names = text.split('/').filter(|name| !name.is_empty() && *name != ".");
        Ok(Self { is_absolute: text.starts_with('/'), steps: names.map(step).collect::<Result<_, _>>()? })
    }

    /// Whether a whole path is one of the pattern's.
    pub(crate) fn matches(&self, path: &str) -> bool {
        let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
        self.is_absolute == path.starts_with('/') && steps_match(&self.steps, &names)
    }
}

fn steps_match(steps: &[Step], names: &[&str]) -> bool {
    match (steps, names) {
        ([], []) => true,
        ([Step::AnyDepth, rest @ ..], _) => (0..=names.len()).any(|skipped| steps_match(rest, &names[skipped..])),
        ([step, rest @ ..], [name, names @ ..]) => step.matches(name) && steps_match(rest, names),
        ([], _) | (_, []) => false,
    }
}

impl Step {
    /// Whether a name fits.
    pub(crate) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Name(wanted) => wanted == name,
            Self::Pattern(pattern) => {
                let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
                name_matches(&pattern, &name)
            }
            Self::AnyDepth => true,
        }
    }
}

/// Braces written out, one text for each combination.
fn write_out(text: &str, out: &mut Vec<String>) -> Result<(), &'static str> {
    let Some((before, rest)) = text.split_once('{') else {
        if out.len() >= MAX_ALTERNATIVES {
            return Err("its braces stand for too many patterns");
        }
        out.push(text.to_owned());
        return Ok(());
    };
    let Some((inside, after)) = rest.split_once('}') else { return Err("a brace is not closed") };
    if inside.contains('{') {
        return Err("braces in braces are not supported");
    }
    inside.split(',').try_for_each(|alternative| write_out(&format!("{before}{alternative}{after}"), out))
}

fn has_open_bracket(name: &str) -> bool {
    let mut rest = name;
    while let Some((_, after)) = rest.split_once('[') {
        // A bracket right behind the first one is a character of the set.
        let set = after.strip_prefix(['!', '^']).unwrap_or(after);
        let Some(end) = set.char_indices().skip(1).find(|(_, c)| *c == ']').map(|(end, _)| end) else { return true };
        rest = set.split_at(end).1;
    }
    false
}

/// Backtracks to the last star only: linear in practice, never exponential.
fn name_matches(pattern: &[char], name: &[char]) -> bool {
    let (mut at_pattern, mut at_name) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while at_name < name.len() {
        let step = match pattern.get(at_pattern) {
            Some('*') => {
                retry = Some((at_pattern, at_name));
                at_pattern += 1;
                continue;
            }
            Some('?') => Some(1),
            Some('[') => set_matches(&pattern[at_pattern..], name[at_name]),
            Some('\\') if at_pattern + 1 < pattern.len() => (pattern[at_pattern + 1] == name[at_name]).then_some(2),
            Some(&expected) => (expected == name[at_name]).then_some(1),
            None => None,
        };
        match (step, retry) {
            (Some(length), _) => {
                at_pattern += length;
                at_name += 1;
            }
            (None, Some((star, taken))) => {
                retry = Some((star, taken + 1));
                (at_pattern, at_name) = (star + 1, taken + 1);
            }
            (None, None) => return false,
        }
    }
    pattern[at_pattern..].iter().all(|rest| *rest == '*')
}

/// The length of the set at the front of `pattern`, if `character` is in it.
fn set_matches(pattern: &[char], character: char) -> Option<usize> {
    let is_negated = matches!(pattern.get(1), Some('!' | '^'));
    let first = if is_negated { 2 } else { 1 };
    let end = first + 1 + pattern.get(first + 1..)?.iter().position(|c| *c == ']')?;
    let set = &pattern[first..end];
    let mut is_in = false;
    let mut index = 0;
    while index < set.len() {
        match set.get(index..index + 3) {
            Some([low, '-', high]) => {
                is_in |= (*low..=*high).contains(&character);
                index += 3;
            }
            _ => {
                is_in |= set[index] == character;
                index += 1;
            }
        }
    }
    (is_in != is_negated).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, paths: &[(&str, bool)]) {
        let patterns = Pattern::parse(pattern).unwrap_or_else(|reason| panic!("{reason}"));
        for (path, expected) in paths {
            assert_eq!(patterns.iter().any(|pattern| pattern.matches(path)), *expected, "{pattern} {path}");
        }
    }

    #[test]
    fn patterns_match_as_shells_do() {
        check(
            "/var/log/*.json",
            &[("/var/log/a.json", true), ("/var/log/x/a.json", false), ("/var/log/a.jsonl", false)],
        );
        check("logs/**/a?.json", &[("logs/ab.json", true), ("logs/x/y/ab.json", true), ("/logs/ab.json", false)]);
        check("/**", &[("/a", true), ("/a/b", true)]);
        check("[a-c!]*.[!j]*", &[("b.txt", true), ("!.txt", true), ("d.txt", false), ("b.json", false)]);
        check("{a,b*}.{x,y}", &[("a.x", true), ("bcd.y", true), ("ac.x", false)]);
        check("a\\*b", &[("a*b", true), ("axb", false)]);
        check("*a*a*a*a*b", &[(&"a".repeat(80), false)]);
        check("[]x].é", &[("].é", true), ("x.é", true), ("y.é", false)]);
    }

    #[test]
    fn what_is_no_pattern_is_said() {
        for text in ["", "a{b", "a[b", "{a,{b}}", &"{a,b}".repeat(9)] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }
}
