use super::*;

fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer::new(text);
    let mut found = Vec::new();
    loop {
        match lexer.next().expect("valid tokens") {
            (Token::End, _) => return found,
            (token, _) => found.push(token),
        }
    }
}

fn attribute(scope: AttributeScope, key: &str) -> Token {
    Token::Attribute { scope, key: key.to_owned() }
}

#[test]
fn keys_run_to_a_space_or_an_operator() {
    assert_eq!(
        tokens(r#".a-b=1 span."key with space".x>2 resource.service.name!="""#),
        [
            attribute(AttributeScope::Any, "a-b"),
            Token::Equal,
            Token::Int(1),
            attribute(AttributeScope::Span, "key with space.x"),
            Token::Greater,
            Token::Int(2),
            attribute(AttributeScope::Resource, "service.name"),
            Token::NotEqual,
            Token::String(String::new()),
        ]
    );
}

#[test]
fn durations_are_summed_and_floats_are_scaled() {
    let cases = [
        ("200ms", 200_000_000),
        ("1m30s", 90_000_000_000),
        ("1.5h", 5_400_000_000_000),
        ("0.1us", 100),
        ("3µs", 3_000),
        ("7ns", 7),
        ("1d", 86_400_000_000_000),
    ];
    for (text, nanos) in cases {
        assert_eq!(tokens(text), [Token::Duration(nanos)], "{text}");
    }
}

#[test]
fn numbers_may_have_exponents_but_e_alone_is_a_unit() {
    assert_eq!(tokens("1e3 2.5E-1 1."), [Token::Float(1000.0), Token::Float(0.25), Token::Float(1.0)]);
    assert!(Lexer::new("1e").next().is_err());
    assert!(Lexer::new("99999999999999999999").next().is_err());
    assert!(Lexer::new("1e999").next().is_err());
    assert!(Lexer::new("99999999999999h").next().is_err());
}

#[test]
fn escapes_and_backquotes() {
    assert_eq!(
        tokens(r#""a\"\\\n\u00e9\x41" `a\d`"#),
        [Token::String("a\"\\\néA".to_owned()), Token::String("a\\d".to_owned())]
    );
}

#[test]
fn comments_are_blanks() {
    assert_eq!(tokens("1 // one\n2 // two"), [Token::Int(1), Token::Int(2)]);
}
