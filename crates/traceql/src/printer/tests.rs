use proptest::prelude::*;
use rootspan_model::span::{SpanKind, StatusCode};

use super::*;
use crate::parser::parse;

fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        "\\PC{0,8}|[\\x00-\\x1f\"\\\\]{0,4}".prop_map(Literal::String),
        any::<i64>().prop_map(Literal::Int),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Literal::Float),
        any::<bool>().prop_map(Literal::Bool),
        any::<i64>().prop_map(Literal::Duration),
        (-5_i64..5, prop_oneof![Just(1_000), Just(3_600_000_000_000)])
            .prop_map(|(n, unit)| Literal::Duration(n * unit)),
        (0..3).prop_map(|code| Literal::Status(StatusCode::from_otlp(code))),
        (0..6).prop_map(|kind| Literal::Kind(SpanKind::from_otlp(kind))),
        Just(Literal::Nil),
    ]
}

fn field() -> impl Strategy<Value = Field> {
    let intrinsics = proptest::sample::select(words::INTRINSICS).prop_map(|(_, found)| Field::Intrinsic(found));
    let scopes = proptest::sample::select(vec![
        AttributeScope::Any,
        AttributeScope::Span,
        AttributeScope::Resource,
        AttributeScope::Event,
        AttributeScope::Link,
        AttributeScope::Instrumentation,
    ]);
    let keys = "[a-z.]{1,8}|\\PC{1,6}|[a-z]{1,3}[\\x00-\\x1f\"\\\\{}-]{1,3}";
    let attributes = (scopes, keys).prop_map(|(scope, key)| Field::Attribute { scope, key });
    prop_oneof![intrinsics, attributes]
}

/// Any tree, also such as the type check refuses.
fn expression() -> impl Strategy<Value = Expression> {
    let leaf = prop_oneof![literal().prop_map(Expression::Literal), field().prop_map(Expression::Field)];
    leaf.prop_recursive(6, 48, 2, |inner| {
        let operators = proptest::sample::select(vec![
            BinaryOperator::And,
            BinaryOperator::Or,
            BinaryOperator::Equal,
            BinaryOperator::NotEqual,
            BinaryOperator::Greater,
            BinaryOperator::LessOrEqual,
            BinaryOperator::Matches,
            BinaryOperator::Add,
            BinaryOperator::Subtract,
            BinaryOperator::Multiply,
            BinaryOperator::Divide,
            BinaryOperator::Remainder,
            BinaryOperator::Power,
        ]);
        let unary = prop_oneof![Just(UnaryOperator::Not), Just(UnaryOperator::Negate)];
        prop_oneof![
            (operators, inner.clone(), inner.clone()).prop_map(|(operator, left, right)| Expression::Binary {
                operator,
                left: Box::new(left),
                right: Box::new(right)
            }),
            (unary, inner).prop_map(|(operator, operand)| Expression::Unary { operator, operand: Box::new(operand) }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_printed_parses_back(filter in expression()) {
        let query = Query { filter: Some(filter) };
        let text = query.to_string();
        let parsed = crate::parser::parse_untyped(&text);
        prop_assert_eq!(parsed, Ok(query), "{}", text);
    }
}

#[test]
fn the_least_integer_survives() {
    let text = "{ .a = -9223372036854775808 }";
    assert_eq!(parse(text).expect("valid").to_string(), text);
}
