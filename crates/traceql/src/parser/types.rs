//! What can be said about types before there is a span: attributes may hold anything, all else is known.

use crate::ast::{BinaryOperator, Expression, Field, Intrinsic, Literal, UnaryOperator};
use crate::pattern;

/// A type error; the parser adds the place.
pub(super) struct Problem {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Problem {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }
}

/// Integers, floats and durations compare with each other, so they are one type.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    /// An attribute's.
    Unknown,
    Boolean,
    String,
    Number,
    Status,
    Kind,
    Nil,
}

impl Type {
    fn of(expression: &Expression) -> Self {
        match expression {
            Expression::Binary { operator, .. } => match operator {
                BinaryOperator::Add
                | BinaryOperator::Subtract
                | BinaryOperator::Multiply
                | BinaryOperator::Divide
                | BinaryOperator::Remainder
                | BinaryOperator::Power => Self::Number,
                BinaryOperator::And
                | BinaryOperator::Or
                | BinaryOperator::Equal
                | BinaryOperator::NotEqual
                | BinaryOperator::Greater
                | BinaryOperator::GreaterOrEqual
                | BinaryOperator::Less
                | BinaryOperator::LessOrEqual
                | BinaryOperator::Matches
                | BinaryOperator::NotMatches => Self::Boolean,
            },
            Expression::Unary { operator: UnaryOperator::Not, .. } => Self::Boolean,
            Expression::Unary { operator: UnaryOperator::Negate, .. } => Self::Number,
            Expression::Field(Field::Attribute { .. }) => Self::Unknown,
            Expression::Field(Field::Intrinsic(intrinsic)) => Self::of_intrinsic(*intrinsic),
            Expression::Literal(literal) => Self::of_literal(literal),
        }
    }

    fn of_intrinsic(intrinsic: Intrinsic) -> Self {
        match intrinsic {
            Intrinsic::Duration | Intrinsic::TraceDuration | Intrinsic::EventTimeSinceStart => Self::Number,
            Intrinsic::Status => Self::Status,
            Intrinsic::Kind => Self::Kind,
            Intrinsic::Name
            | Intrinsic::StatusMessage
            | Intrinsic::RootName
            | Intrinsic::RootServiceName
            | Intrinsic::SpanId
            | Intrinsic::ParentSpanId
            | Intrinsic::TraceId
            | Intrinsic::EventName
            | Intrinsic::LinkSpanId
            | Intrinsic::LinkTraceId
            | Intrinsic::InstrumentationName
            | Intrinsic::InstrumentationVersion => Self::String,
        }
    }

    fn of_literal(literal: &Literal) -> Self {
        match literal {
            Literal::String(_) => Self::String,
            Literal::Int(_) | Literal::Float(_) | Literal::Duration(_) => Self::Number,
            Literal::Bool(_) => Self::Boolean,
            Literal::Status(_) => Self::Status,
            Literal::Kind(_) => Self::Kind,
            Literal::Nil => Self::Nil,
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::Unknown => "an attribute",
            Self::Boolean => "a condition",
            Self::String => "a string",
            Self::Number => "a number or duration",
            Self::Status => "a status",
            Self::Kind => "a kind",
            Self::Nil => "nil",
        }
    }

    fn may_be(self, wanted: Self) -> bool {
        self == wanted || self == Self::Unknown
    }
}

pub(super) fn check_condition(expression: &Expression) -> Result<(), Problem> {
    let found = Type::of(expression);
    if found.may_be(Type::Boolean) {
        return Ok(());
    }
    let message = format!("a filter must be a condition, but this is {}", found.describe());
    Err(Problem { message, hint: Some("compare it with something: `duration > 200ms`".to_owned()) })
}

pub(super) fn check_unary(operator: UnaryOperator, operand: &Expression) -> Result<(), Problem> {
    let (symbol, wanted) = match operator {
        UnaryOperator::Not => ("!", Type::Boolean),
        UnaryOperator::Negate => ("-", Type::Number),
    };
    let found = Type::of(operand);
    if found.may_be(wanted) {
        return Ok(());
    }
    Err(Problem::new(format!("`{symbol}` needs {}, but its operand is {}", wanted.describe(), found.describe())))
}

pub(super) fn check_binary(operator: BinaryOperator, left: &Expression, right: &Expression) -> Result<(), Problem> {
    let (from, to) = (Type::of(left), Type::of(right));
    match operator {
        BinaryOperator::And | BinaryOperator::Or => both(operator, from, to, Type::Boolean),
        BinaryOperator::Add
        | BinaryOperator::Subtract
        | BinaryOperator::Multiply
        | BinaryOperator::Divide
        | BinaryOperator::Remainder
        | BinaryOperator::Power => both(operator, from, to, Type::Number),
        BinaryOperator::Equal | BinaryOperator::NotEqual => same(operator, from, to),
        BinaryOperator::Greater
        | BinaryOperator::GreaterOrEqual
        | BinaryOperator::Less
        | BinaryOperator::LessOrEqual => ordered(operator, from, to),
        BinaryOperator::Matches | BinaryOperator::NotMatches => regex(operator, from, right),
    }
}

fn both(operator: BinaryOperator, from: Type, to: Type, wanted: Type) -> Result<(), Problem> {
    for found in [from, to] {
        if !found.may_be(wanted) {
            let (symbol, wanted, found) = (operator.symbol(), wanted.describe(), found.describe());
            return Err(Problem::new(format!("`{symbol}` needs {wanted} on both sides, but one is {found}")));
        }
    }
    Ok(())
}

fn same(operator: BinaryOperator, from: Type, to: Type) -> Result<(), Problem> {
    let comparable = from == to || [from, to].iter().any(|side| matches!(side, Type::Unknown | Type::Nil));
    if comparable {
        return Ok(());
    }
    let message = format!("`{}` compares {} with {}", operator.symbol(), from.describe(), to.describe());
    let hint = match (from, to) {
        (Type::Number, Type::String) => Some("numbers and durations are written without quotes: `200ms`"),
        (Type::Status, _) => Some("a status is `error`, `ok` or `unset`, without quotes"),
        (Type::Kind, _) => Some("a kind is `server`, `client`, `producer`, `consumer` or `internal`, without quotes"),
        (Type::String, Type::Status | Type::Kind | Type::Boolean) => Some("strings are written in quotes"),
        _ => None,
    };
    Err(Problem { message, hint: hint.map(str::to_owned) })
}

fn ordered(operator: BinaryOperator, from: Type, to: Type) -> Result<(), Problem> {
    for found in [from, to] {
        if !matches!(found, Type::Unknown | Type::Number | Type::String) {
            let message =
                format!("`{}` orders numbers, durations or strings, not {}", operator.symbol(), found.describe());
            return Err(Problem::new(message));
        }
    }
    same(operator, from, to)
}

fn regex(operator: BinaryOperator, from: Type, right: &Expression) -> Result<(), Problem> {
    let symbol = operator.symbol();
    if !from.may_be(Type::String) {
        return Err(Problem::new(format!("`{symbol}` matches strings, not {}", from.describe())));
    }
    let Expression::Literal(Literal::String(text)) = right else {
        return Err(Problem::new(format!("`{symbol}` needs a regular expression in quotes on its right")));
    };
    match pattern::regex(text) {
        Ok(_) => Ok(()),
        Err(problem) => Err(Problem::new(problem.to_string())),
    }
}
