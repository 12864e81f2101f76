//! JavaScript as tokens: as much of the language as our own functions use (ES5 and modules). Newer syntax comes out as
//! signs that [`super::lint`] refuses; what is no token at all is an error with its place.

/// The signs of several characters, longest first; newer ones are known so that they can be refused by name.
const LONG_SIGNS: [&str; 31] = [
    ">>>=", "===", "!==", ">>>", "<<=", ">>=", "**=", "...", "&&=", "||=", "??=", "=>", "==", "!=", "<=", ">=", "&&",
    "||", "??", "?.", "++", "--", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "**",
];

/// Words behind which a slash begins a pattern and does not divide.
const WORDS_BEFORE_PATTERN: [&str; 5] = ["return", "typeof", "case", "in", "delete"];

/// Words of the language: never names of something.
pub(super) const KEYWORDS: [&str; 41] = [
    "async",
    "await",
    "break",
    "case",
    "catch",
    "class",
    "const",
    "continue",
    "debugger",
    "default",
    "delete",
    "do",
    "else",
    "enum",
    "export",
    "extends",
    "false",
    "finally",
    "for",
    "function",
    "if",
    "import",
    "in",
    "instanceof",
    "let",
    "new",
    "null",
    "return",
    "static",
    "super",
    "switch",
    "this",
    "throw",
    "true",
    "try",
    "typeof",
    "var",
    "void",
    "while",
    "with",
    "yield",
];

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An identifier or a keyword.
    Word,
    /// A number.
    Number,
    /// A string with its quotes.
    Text,
    /// A regular expression with its slashes and flags.
    Pattern,
    /// Everything else.
    Sign,
}

/// A token and where it begins, both from 0; columns are bytes, which are characters in our ASCII sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    pub(super) kind: Kind,
    pub(super) line: usize,
    pub(super) column: usize,
}

/// The tokens of `source`, without comments.
///
/// # Errors
///
/// The line, from 1, on which something is no token.
pub(super) fn tokens(source: &str) -> Result<Vec<Token<'_>>, usize> {
    let mut found: Vec<Token<'_>> = Vec::new();
    let mut in_comment = false;
    for (line, text) in source.lines().enumerate() {
        let mut column = 0;
        while let Some(rest) = text.get(column..).filter(|rest| !rest.is_empty()) {
            if in_comment || rest.starts_with("/*") {
                in_comment = !rest.contains("*/");
                column = rest.find("*/").map_or(text.len(), |end| column + end + 2);
            } else if rest.starts_with("//") {
                break;
            } else if rest.starts_with([' ', '\t']) {
                column += 1;
            } else {
                let (kind, length) = first(rest, found.last()).ok_or(line + 1)?;
                let text = rest.get(..length).ok_or(line + 1)?;
                found.push(Token { text, kind, line, column });
                column += length;
            }
        }
    }
    Ok(found)
}

/// Kind and length of the token at the beginning of `rest`.
fn first(rest: &str, before: Option<&Token<'_>>) -> Option<(Kind, usize)> {
    let length = |is_inside: fn(u8) -> bool| rest.bytes().take_while(|byte| is_inside(*byte)).count();
    let kind_and_length = match rest.as_bytes().first()? {
        b'0'..=b'9' => (Kind::Number, length(|byte| byte.is_ascii_alphanumeric() || byte == b'.')),
        byte if is_word(*byte) => (Kind::Word, length(is_word)),
        quote @ (b'\'' | b'"') => (Kind::Text, closed(rest, *quote)?),
        b'/' if begins_pattern(before) => {
            let body = closed(rest, b'/')?;
            (Kind::Pattern, body + rest.bytes().skip(body).take_while(u8::is_ascii_lowercase).count())
        }
        byte if byte.is_ascii_punctuation() => {
            let long = LONG_SIGNS.iter().find(|sign| rest.starts_with(**sign));
            (Kind::Sign, long.map_or(1, |sign| sign.len()))
        }
        _ => return None,
    };
    Some(kind_and_length)
}

/// The length up to the delimiter that closes what the first byte opened; within brackets of a pattern a slash is itself.
fn closed(rest: &str, delimiter: u8) -> Option<usize> {
    let mut is_escaped = false;
    let mut in_brackets = false;
    for (index, byte) in rest.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'[' if delimiter == b'/' => in_brackets = true,
            b']' if delimiter == b'/' => in_brackets = false,
            _ if byte == delimiter && !in_brackets => return Some(index + 1),
            _ => {}
        }
    }
    None
}

fn begins_pattern(before: Option<&Token<'_>>) -> bool {
    let Some(before) = before else { return true };
    match before.kind {
        Kind::Word => WORDS_BEFORE_PATTERN.contains(&before.text),
        Kind::Number | Kind::Text | Kind::Pattern => false,
        Kind::Sign => !matches!(before.text, ")" | "]" | "}"),
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$'
}

/// What a word that is no keyword stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A variable, a function, or a parameter.
    Variable,
    /// A property or a key: behind a dot, or before a colon in an object.
    Property,
    /// A word that has a meaning in this place only: `import cf from`, `export { a as b }`.
    Module,
}

/// The role of the word at `index`; `open` is the innermost bracket around it.
pub(super) fn role(tokens: &[Token<'_>], index: usize, open: Option<&str>) -> Role {
    let before =
        |distance: usize| index.checked_sub(distance).and_then(|at| tokens.get(at)).map_or("", |token| token.text);
    let after = tokens.get(index + 1).map_or("", |token| token.text);
    match (before(1), tokens.get(index).map_or("", |token| token.text)) {
        ("." | "?.", _) => Role::Property,
        ("{" | ",", _) if open == Some("{") && after == ":" => Role::Property,
        (_, "from") if before(2) == "import" => Role::Module,
        ("{", _) if before(2) == "export" => Role::Variable,
        (_, "as") if before(3) == "export" => Role::Module,
        ("as", _) => Role::Module,
        _ => Role::Variable,
    }
}

/// For every token the innermost bracket that is open before it.
pub(super) fn innermost<'a>(tokens: &[Token<'a>]) -> Vec<Option<&'a str>> {
    let mut open: Vec<&str> = Vec::new();
    let mut all = Vec::with_capacity(tokens.len());
    for token in tokens {
        all.push(open.last().copied());
        match (token.kind, token.text) {
            (Kind::Sign, "(" | "[" | "{") => open.push(token.text),
            (Kind::Sign, ")" | "]" | "}") => {
                open.pop();
            }
            _ => {}
        }
    }
    all
}

/// The names that the code declares: variables, functions, parameters, what is caught and what is imported.
pub(super) fn declared<'a>(tokens: &[Token<'a>]) -> Vec<&'a str> {
    let mut names = Vec::new();
    let mut add = |token: &Token<'a>| {
        let is_name = token.kind == Kind::Word && !KEYWORDS.contains(&token.text);
        if is_name && !names.contains(&token.text) {
            names.push(token.text);
        }
    };
    for (index, token) in tokens.iter().enumerate().filter(|(_, token)| token.kind == Kind::Word) {
        let rest = tokens.get(index + 1..).unwrap_or_default();
        match token.text {
            "var" | "let" | "const" => declarators(rest).for_each(&mut add),
            "function" => rest.iter().take_while(|token| token.text != ")").for_each(&mut add),
            "catch" => rest.iter().take(2).for_each(&mut add),
            "import" => rest.iter().take(1).for_each(&mut add),
            _ => {}
        }
    }
    names
}

/// The names of `var a = f(1, 2), b;`: the first word, and those behind commas that are in no bracket.
fn declarators<'b, 'a>(rest: &'b [Token<'a>]) -> impl Iterator<Item = &'b Token<'a>> {
    let mut depth = 0_usize;
    let mut expects_name = true;
    rest.iter()
        .take_while(move |token| {
            match token.text {
                "(" | "[" | "{" => depth += 1,
                // A `for` ends with the bracket that it stands in.
                ")" | "]" | "}" if depth == 0 => return false,
                ")" | "]" | "}" => depth -= 1,
                ";" | "in" | "of" if depth == 0 => return false,
                _ => {}
            }
            true
        })
        .scan(0_usize, |depth, token| {
            match token.text {
                "(" | "[" | "{" => *depth += 1,
                ")" | "]" | "}" => *depth -= 1,
                _ => {}
            }
            Some((*depth, token))
        })
        .filter_map(move |(depth, token)| {
            let is_name = std::mem::replace(&mut expects_name, depth == 0 && token.text == ",");
            is_name.then_some(token)
        })
}
