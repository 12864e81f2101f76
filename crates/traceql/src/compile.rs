//! From a tree to what is evaluated: regexes built once, operators sorted by what they do.

use regex::Regex;
use rootspan_wire::otlp::batch::SpanInBatch;

use crate::ast::{BinaryOperator, Expression, Field, Intrinsic, Literal, Query, UnaryOperator};
use crate::evaluate;
use crate::pattern::{self, PatternError};

/// Deepest compilation: a level of the tree may count once as an operand and once as a condition.
const DEPTH: usize = 2 * crate::parser::MAX_DEPTH + 2;

/// A query that is ready to be evaluated.
#[derive(Clone, Debug)]
pub struct Compiled {
    filter: Option<Condition>,
    uses_trace_facts: bool,
}

/// What an evaluation needs to know about the whole trace, for `rootName`, `rootServiceName` and `traceDuration`.
#[derive(Clone, Copy, Debug, Default)]
pub struct TraceFacts<'a> {
    /// Name of the root span, or of what stands in for it; `None`: the intrinsic compares as absent.
    pub root_name: Option<&'a str>,
    /// `service.name` of that span.
    pub root_service_name: Option<&'a str>,
    /// Latest end minus earliest start.
    pub duration_nanos: Option<u64>,
}

/// Why a query cannot be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// A regex is malformed or too large.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// `=~` without a literal on its right; the parser refuses it, a tree made by hand may have it.
    #[error("`=~` and `!~` need a string literal on their right")]
    RegexNotLiteral,
    /// Deeper than the parser lets through.
    #[error("the query is more than {} deep", crate::parser::MAX_DEPTH)]
    TooDeep,
}

/// Compiles a query.
///
/// # Errors
/// A regex that is malformed or too large; for trees that the parser made this has been checked already.
pub fn compile(query: &Query) -> Result<Compiled, CompileError> {
    let mut uses_trace_facts = false;
    let filter = match &query.filter {
        Some(filter) => Some(condition(filter, &mut uses_trace_facts, DEPTH)?),
        None => None,
    };
    Ok(Compiled { filter, uses_trace_facts })
}

impl Compiled {
    /// Whether the span matches.
    ///
    /// Comparisons are Tempo's: integers, floats and durations compare by value; other types only with their own;
    /// a comparison with an absent attribute is false, `!=` too, except with `nil`; regexes match the whole text; an
    /// array matches if an element does, and with `!=` and `!~` if every element does.
    #[must_use]
    pub fn matches(&self, span: &SpanInBatch<'_>, facts: &TraceFacts<'_>) -> bool {
        self.filter.as_ref().is_none_or(|filter| evaluate::holds(filter, span, facts))
    }

    /// Whether [`TraceFacts`] are looked at; if not, the default ones do.
    #[must_use]
    pub fn uses_trace_facts(&self) -> bool {
        self.uses_trace_facts
    }
}

/// What is true or false for a span.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    Not(Box<Condition>),
    /// A value that must be the boolean true.
    IsTrue(Operand),
    /// The field has no value (true) or has one (false).
    IsNil(Operand, bool),
    Compare {
        operator: Comparison,
        left: Operand,
        right: Operand,
    },
    Match {
        operand: Operand,
        regex: Regex,
        negated: bool,
    },
}

/// What has a value, or several, or none.
#[derive(Clone, Debug)]
pub(crate) enum Operand {
    Field(Field),
    Literal(Literal),
    Arithmetic { operator: Arithmetic, left: Box<Operand>, right: Box<Operand> },
    Negative(Box<Operand>),
    Condition(Box<Condition>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
}

/// Only the logical operators recurse here, so that long chains take small frames.
fn condition(expression: &Expression, facts: &mut bool, depth: usize) -> Result<Condition, CompileError> {
    let depth = depth.checked_sub(1).ok_or(CompileError::TooDeep)?;
    match expression {
        Expression::Binary { operator: BinaryOperator::And, left, right } => {
            let left = Box::new(condition(left, facts, depth)?);
            Ok(Condition::And(left, Box::new(condition(right, facts, depth)?)))
        }
        Expression::Binary { operator: BinaryOperator::Or, left, right } => {
            let left = Box::new(condition(left, facts, depth)?);
            Ok(Condition::Or(left, Box::new(condition(right, facts, depth)?)))
        }
        Expression::Unary { operator: UnaryOperator::Not, operand } => {
            Ok(Condition::Not(Box::new(condition(operand, facts, depth)?)))
        }
        _ => comparison(expression, facts, depth),
    }
}

/// A condition without logical operators at its top.
fn comparison(expression: &Expression, facts: &mut bool, depth: usize) -> Result<Condition, CompileError> {
    let Expression::Binary { operator, left, right } = expression else {
        return Ok(Condition::IsTrue(operand(expression, facts, depth)?));
    };
    let comparison = match operator {
        BinaryOperator::Matches | BinaryOperator::NotMatches => {
            let Expression::Literal(Literal::String(text)) = &**right else {
                return Err(CompileError::RegexNotLiteral);
            };
            let negated = *operator == BinaryOperator::NotMatches;
            let operand = operand(left, facts, depth)?;
            return Ok(Condition::Match { operand, regex: pattern::regex(text)?, negated });
        }
        BinaryOperator::Equal => Comparison::Equal,
        BinaryOperator::NotEqual => Comparison::NotEqual,
        BinaryOperator::Greater => Comparison::Greater,
        BinaryOperator::GreaterOrEqual => Comparison::GreaterOrEqual,
        BinaryOperator::Less => Comparison::Less,
        BinaryOperator::LessOrEqual => Comparison::LessOrEqual,
        BinaryOperator::And
        | BinaryOperator::Or
        | BinaryOperator::Add
        | BinaryOperator::Subtract
        | BinaryOperator::Multiply
        | BinaryOperator::Divide
        | BinaryOperator::Remainder
        | BinaryOperator::Power => return Ok(Condition::IsTrue(operand(expression, facts, depth)?)),
    };
    let (left, right) = (operand(left, facts, depth)?, operand(right, facts, depth)?);
    Ok(match (comparison, left, right) {
        (Comparison::Equal | Comparison::NotEqual, Operand::Literal(Literal::Nil), other)
        | (Comparison::Equal | Comparison::NotEqual, other, Operand::Literal(Literal::Nil)) => {
            Condition::IsNil(other, comparison == Comparison::Equal)
        }
        (operator, left, right) => Condition::Compare { operator, left, right },
    })
}

fn operand(expression: &Expression, facts: &mut bool, depth: usize) -> Result<Operand, CompileError> {
    let depth = depth.checked_sub(1).ok_or(CompileError::TooDeep)?;
    let (operator, left, right) = match expression {
        Expression::Field(field) => {
            *facts |= matches!(
                field,
                Field::Intrinsic(Intrinsic::RootName | Intrinsic::RootServiceName | Intrinsic::TraceDuration)
            );
            return Ok(Operand::Field(field.clone()));
        }
        Expression::Literal(literal) => return Ok(Operand::Literal(literal.clone())),
        Expression::Unary { operator: UnaryOperator::Negate, operand: inner } => {
            return Ok(Operand::Negative(Box::new(operand(inner, facts, depth)?)));
        }
        Expression::Unary { operator: UnaryOperator::Not, .. } => {
            return Ok(Operand::Condition(Box::new(condition(expression, facts, depth)?)));
        }
        Expression::Binary { operator, left, right } => (operator, left, right),
    };
    let operator = match operator {
        BinaryOperator::Add => Arithmetic::Add,
        BinaryOperator::Subtract => Arithmetic::Subtract,
        BinaryOperator::Multiply => Arithmetic::Multiply,
        BinaryOperator::Divide => Arithmetic::Divide,
        BinaryOperator::Remainder => Arithmetic::Remainder,
        BinaryOperator::Power => Arithmetic::Power,
        BinaryOperator::And
        | BinaryOperator::Or
        | BinaryOperator::Equal
        | BinaryOperator::NotEqual
        | BinaryOperator::Greater
        | BinaryOperator::GreaterOrEqual
        | BinaryOperator::Less
        | BinaryOperator::LessOrEqual
        | BinaryOperator::Matches
        | BinaryOperator::NotMatches => {
            return Ok(Operand::Condition(Box::new(condition(expression, facts, depth)?)));
        }
    };
    let (left, right) = (Box::new(operand(left, facts, depth)?), Box::new(operand(right, facts, depth)?));
    Ok(Operand::Arithmetic { operator, left, right })
}

#[cfg(test)]
mod tests;
