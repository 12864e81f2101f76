use super::*;
use crate::parser::parse;

#[test]
fn facts_are_asked_for_only_when_used() {
    for (text, used) in [
        ("{}", false),
        ("{ .a = 1 }", false),
        ("{ rootName = \"x\" }", true),
        ("{ !(.b || traceDuration > 1s) }", true),
    ] {
        let compiled = compile(&parse(text).expect("valid")).expect("compiles");
        assert_eq!(compiled.uses_trace_facts(), used, "{text}");
    }
}

#[test]
fn trees_made_by_hand_are_checked_too() {
    let mut filter = Expression::Literal(Literal::Bool(true));
    for _ in 0..1_000 {
        filter = Expression::Unary { operator: UnaryOperator::Not, operand: Box::new(filter) };
    }
    assert_eq!(compile(&Query { filter: Some(filter) }).err(), Some(CompileError::TooDeep));
}
