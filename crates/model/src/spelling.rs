//! What somebody may have meant by a word that is not known: for the messages of everything that reads settings.

/// `; did you mean …?` if one of `known` is near to `word`, else nothing.
#[must_use]
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let nearest = known.into_iter().map(|name| (distance(word, name), name)).min();
    match nearest {
        // A third of the word may differ: `endpont` and `protocls` are found, unrelated words are not.
        Some((distance, name)) if distance <= word.chars().count().div_ceil(3) => format!("; did you mean `{name}`?"),
        _ => String::new(),
    }
}

/// Levenshtein's distance in characters, one row at a time.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, in_a) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, in_b) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(in_a != *in_b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::did_you_mean;

    #[test]
    fn near_words_are_found_and_others_are_not() {
        for (word, expected) in [
            ("endpont", "; did you mean `endpoint`?"),
            ("exprt", "; did you mean `export`?"),
            ("Export", "; did you mean `export`?"),
            ("jaeger", ""),
            ("", ""),
            ("ä", ""),
        ] {
            assert_eq!(did_you_mean(word, ["endpoint", "export"]), expected, "{word}");
        }
        assert_eq!(did_you_mean("any", []), "");
    }
}
