//! Text to tokens, each with the byte offset where it starts.
//!
//! As in Tempo, an attribute's key runs to the next space, brace, parenthesis, comma or one of `=~!<>&|^`; so
//! `span.a-b` is one key and a subtraction needs spaces. A part of the key in double quotes may hold anything.

use std::str::Chars;

use crate::ast::AttributeScope;
use crate::error::{ParseError, Position};
use crate::words;

/// One token.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    LeftBrace,
    RightBrace,
    LeftParenthesis,
    RightParenthesis,
    Comma,
    And,
    Or,
    Not,
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Matches,
    NotMatches,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
    Pipe,
    /// An operator between spansets: `>>`, `!<`, `&>>`, `~`, …
    Structural(&'static str),
    String(String),
    Int(u64),
    Float(f64),
    /// Nanoseconds.
    Duration(u64),
    /// A bare word, or two joined by a colon (`span:id`).
    Word(String),
    Attribute {
        scope: AttributeScope,
        key: String,
    },
    End,
}

impl Token {
    /// The token as an error message names it.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::String(text) => format!("the string {text:?}"),
            Self::Int(number) => format!("the number {number}"),
            Self::Float(number) => format!("the number {number}"),
            Self::Duration(_) => "a duration".to_owned(),
            Self::Word(word) => format!("`{word}`"),
            Self::Attribute { key, .. } => format!("the attribute `{key}`"),
            Self::End => "the end of the query".to_owned(),
            Self::LeftBrace
            | Self::RightBrace
            | Self::LeftParenthesis
            | Self::RightParenthesis
            | Self::Comma
            | Self::And
            | Self::Or
            | Self::Not
            | Self::Equal
            | Self::NotEqual
            | Self::Greater
            | Self::GreaterOrEqual
            | Self::Less
            | Self::LessOrEqual
            | Self::Matches
            | Self::NotMatches
            | Self::Add
            | Self::Subtract
            | Self::Multiply
            | Self::Divide
            | Self::Remainder
            | Self::Power
            | Self::Pipe
            | Self::Structural(_) => format!("`{}`", self.symbol()),
        }
    }

    fn symbol(&self) -> &'static str {
        if let Self::Structural(symbol) = self {
            return symbol;
        }
        SYMBOLS.iter().find(|(_, token)| token == self).map_or("", |(symbol, _)| symbol)
    }
}

/// Tokens of fixed spelling, longest first so that the first hit is the right one.
const SYMBOLS: &[(&str, Token)] = &[
    ("!>>", Token::Structural("!>>")),
    ("!<<", Token::Structural("!<<")),
    ("&>>", Token::Structural("&>>")),
    ("&<<", Token::Structural("&<<")),
    ("!>", Token::Structural("!>")),
    ("!<", Token::Structural("!<")),
    ("&>", Token::Structural("&>")),
    ("&<", Token::Structural("&<")),
    ("&~", Token::Structural("&~")),
    (">>", Token::Structural(">>")),
    ("<<", Token::Structural("<<")),
    ("&&", Token::And),
    ("||", Token::Or),
    ("!=", Token::NotEqual),
    ("!~", Token::NotMatches),
    ("=~", Token::Matches),
    (">=", Token::GreaterOrEqual),
    ("<=", Token::LessOrEqual),
    ("=", Token::Equal),
    ("!", Token::Not),
    (">", Token::Greater),
    ("<", Token::Less),
    ("~", Token::Structural("~")),
    ("|", Token::Pipe),
    ("+", Token::Add),
    ("-", Token::Subtract),
    ("*", Token::Multiply),
    ("/", Token::Divide),
    ("%", Token::Remainder),
    ("^", Token::Power),
    ("{", Token::LeftBrace),
    ("}", Token::RightBrace),
    ("(", Token::LeftParenthesis),
    (")", Token::RightParenthesis),
    (",", Token::Comma),
];

/// Units of durations with their nanoseconds, longest spelling first. Days and weeks are Tempo's extension of Go's.
const UNITS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
];

/// Whether a character belongs to an attribute's key outside quotes (Tempo's `isAttributeRune`).
pub(crate) fn is_key_character(character: char) -> bool {
    !character.is_whitespace()
        && !matches!(character, '{' | '}' | '(' | ')' | '=' | '~' | '!' | '<' | '>' | '&' | '|' | '^' | ',' | '"' | '`')
}

/// Reads tokens from the front of a text.
#[derive(Clone, Debug)]
pub(crate) struct Lexer<'a> {
    text: &'a str,
    rest: Chars<'a>,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, rest: text.chars() }
    }

    /// The next token and its offset; [`Token::End`] for ever at the end.
    pub(crate) fn next(&mut self) -> Result<(Token, usize), ParseError> {
        self.skip_blanks();
        let start = self.offset();
        let Some(first) = self.peek() else { return Ok((Token::End, start)) };
        let token = match first {
            '"' | '`' => Token::String(self.string()?),
            '\'' => {
                let hint = "strings are written in double quotes or backquotes";
                return Err(self.error(start, "unexpected `'`", Some(hint.to_owned())));
            }
            '.' => {
                self.rest.next();
                Token::Attribute { scope: AttributeScope::Any, key: self.key()? }
            }
            '0'..='9' => self.number()?,
            _ if first.is_alphabetic() || first == '_' => self.word()?,
            _ => self.symbol()?,
        };
        Ok((token, start))
    }

    pub(crate) fn error(&self, offset: usize, message: impl Into<String>, hint: Option<String>) -> ParseError {
        ParseError { message: message.into(), hint, position: Position::of(self.text, offset) }
    }

    fn offset(&self) -> usize {
        self.text.len() - self.rest.as_str().len()
    }

    fn peek(&self) -> Option<char> {
        self.rest.clone().next()
    }

    fn take(&mut self, text: &str) -> bool {
        let Some(rest) = self.rest.as_str().strip_prefix(text) else { return false };
        self.rest = rest.chars();
        true
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest.as_str();
        let length = rest.find(|character| !accept(character)).unwrap_or(rest.len());
        let (taken, rest) = rest.split_at(length);
        self.rest = rest.chars();
        taken
    }

    /// Spaces, and comments from `//` to the end of the line.
    fn skip_blanks(&mut self) {
        loop {
            self.take_while(char::is_whitespace);
            if !self.take("//") {
                return;
            }
            self.take_while(|character| character != '\n');
        }
    }

    fn symbol(&mut self) -> Result<Token, ParseError> {
        let start = self.offset();
        if self.rest.as_str().starts_with("==") {
            return Err(self.error(start, "unexpected `==`", Some("equality is written `=`".to_owned())));
        }
        for (symbol, token) in SYMBOLS {
            if self.take(symbol) {
                return Ok(token.clone());
            }
        }
        if self.peek() == Some('&') {
            return Err(self.error(start, "unexpected `&`", Some("conjunction is written `&&`".to_owned())));
        }
        let character = self.peek().unwrap_or_default();
        Err(self.error(start, format!("unexpected character {character:?}"), None))
    }

    /// A string in double quotes with escapes, or in backquotes without.
    fn string(&mut self) -> Result<String, ParseError> {
        let start = self.offset();
        if self.take("`") {
            let text = self.take_while(|character| character != '`').to_owned();
            if !self.take("`") {
                return Err(self.error(start, "the string has no closing backquote", None));
            }
            return Ok(text);
        }
        self.rest.next();
        let mut text = String::new();
        loop {
            let offset = self.offset();
            match self.rest.next() {
                Some('"') => return Ok(text),
                Some('\\') => text.push(self.escape(offset)?),
                Some(character) => text.push(character),
                None => return Err(self.error(start, "the string has no closing quote", None)),
            }
        }
    }

    fn escape(&mut self, start: usize) -> Result<char, ParseError> {
        let unknown = |lexer: &Self| {
            let hint = "known are \\\" \\\\ \\n \\r \\t \\xHH \\uHHHH \\UHHHHHHHH; in backquotes a backslash is itself";
            lexer.error(start, "unknown escape sequence", Some(hint.to_owned()))
        };
        let digits = match self.rest.next() {
            Some('n') => return Ok('\n'),
            Some('r') => return Ok('\r'),
            Some('t') => return Ok('\t'),
            Some(same @ ('"' | '\\' | '\'')) => return Ok(same),
            Some('x') => 2,
            Some('u') => 4,
            Some('U') => 8,
            _ => return Err(unknown(self)),
        };
        let mut code = 0;
        for _ in 0..digits {
            let digit = self.rest.next().and_then(|digit| digit.to_digit(16)).ok_or_else(|| unknown(self))?;
            code = code << 4 | digit;
        }
        char::from_u32(code).ok_or_else(|| unknown(self))
    }

    /// An attribute's key after the scope's dot: plain and quoted parts one after another.
    fn key(&mut self) -> Result<String, ParseError> {
        let start = self.offset();
        let mut key = String::new();
        loop {
            match self.peek() {
                Some('"') => key.push_str(&self.string()?),
                Some(character) if is_key_character(character) => key.push_str(self.take_while(is_key_character)),
                _ if self.offset() == start => {
                    return Err(self.error(start, "expected an attribute's key after `.`", None));
                }
                _ => return Ok(key),
            }
        }
    }

    /// A word, a scoped intrinsic (`span:id`) or a scoped attribute (`span.key`).
    fn word(&mut self) -> Result<Token, ParseError> {
        let start = self.offset();
        let word = self.take_while(|character| character.is_alphanumeric() || character == '_');
        match self.peek() {
            Some(':') => {
                self.rest.next();
                let second = self.take_while(|character| character.is_alphanumeric() || character == '_');
                Ok(Token::Word(format!("{word}:{second}")))
            }
            Some('.') => {
                self.rest.next();
                let scope = words::SCOPES.iter().find(|(name, _)| *name == word);
                let key = self.key()?;
                let Some((_, scope)) = scope else { return Err(self.unknown_scope(start, word, &key)) };
                Ok(Token::Attribute { scope: *scope, key })
            }
            _ => Ok(Token::Word(word.to_owned())),
        }
    }

    fn unknown_scope(&self, start: usize, word: &str, key: &str) -> ParseError {
        if word == "parent" {
            return self.error(start, "`parent.` is TraceQL but not yet supported", None);
        }
        let hint = format!("write `resource.{word}.{key}`, `span.{word}.{key}`, or `.{word}.{key}` for either");
        self.error(start, format!("`{word}` is not a scope of attributes"), Some(hint))
    }

    /// An integer, a float or a duration.
    fn number(&mut self) -> Result<Token, ParseError> {
        let start = self.offset();
        let digits = self.decimal();
        if self.take_exponent().is_some() {
            let text = self.text.get(start..self.offset()).unwrap_or_default();
            return self.float(text, start);
        }
        if self.peek().is_some_and(|character| character.is_alphabetic() || character == '_') {
            return self.duration(digits, start);
        }
        if digits.contains('.') {
            return self.float(digits, start);
        }
        digits
            .parse()
            .map(Token::Int)
            .map_err(|_| self.error(start, format!("{digits} does not fit a 64-bit integer"), None))
    }

    /// Digits with at most one point among them.
    fn decimal(&mut self) -> &'a str {
        let start = self.offset();
        self.take_while(|character| character.is_ascii_digit());
        if self.take(".") {
            self.take_while(|character| character.is_ascii_digit());
        }
        self.text.get(start..self.offset()).unwrap_or_default()
    }

    fn take_exponent(&mut self) -> Option<()> {
        let rest = self.rest.as_str().strip_prefix(['e', 'E'])?;
        let digits = rest.strip_prefix(['+', '-']).unwrap_or(rest);
        let after = digits.trim_start_matches(|character: char| character.is_ascii_digit());
        (after.len() < digits.len()).then(|| self.rest = after.chars())
    }

    fn float(&self, text: &str, start: usize) -> Result<Token, ParseError> {
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Token::Float(number)),
            _ => Err(self.error(start, format!("{text} is not a number that can be represented"), None)),
        }
    }

    /// One or more numbers with units; `digits` is the first number, already read.
    fn duration(&mut self, mut digits: &'a str, start: usize) -> Result<Token, ParseError> {
        let mut total: u64 = 0;
        loop {
            let unit_start = self.offset();
            let spelling = self.take_while(|character| character.is_alphabetic() || character == '_');
            let Some((_, unit)) = UNITS.iter().find(|(name, _)| *name == spelling) else {
                let hint = "units are ns, us, ms, s, m, h, d and w";
                return Err(self.error(unit_start, format!("unknown unit `{spelling}`"), Some(hint.to_owned())));
            };
            let nanos = scale(digits, *unit).and_then(|nanos| total.checked_add(nanos));
            total = nanos.ok_or_else(|| self.error(start, "the duration is longer than 292 years", None))?;
            if !self.peek().is_some_and(|character| character.is_ascii_digit()) {
                return Ok(Token::Duration(total));
            }
            digits = self.decimal();
        }
    }
}

/// `digits` (with an optional fraction) times `unit`, exact in the integer part.
fn scale(digits: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    let fraction = if fraction.is_empty() { 0.0 } else { format!("0.{fraction}").parse::<f64>().ok()? };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a fraction of a unit is within 0..=unit"
    )]
    let part = (fraction * unit as f64).round() as u64;
    whole.checked_add(part)
}

#[cfg(test)]
mod tests;
