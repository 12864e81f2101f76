//! Trees as text that parses back to an equal tree.

use std::fmt::{self, Write};

use crate::ast::{AttributeScope, BinaryOperator, Expression, Field, Intrinsic, Literal, Query, UnaryOperator};
use crate::lexer::is_key_character;
use crate::words;

/// Binding of unary operators: looser than `^`, tighter than `*`.
const UNARY_BINDING: u8 = 6;
/// Binding of what needs no parentheses anywhere.
const PRIMARY_BINDING: u8 = 8;

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.filter {
            Some(filter) => write!(f, "{{ {filter} }}"),
            None => f.write_str("{}"),
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Binary { operator, left, right } => {
                let (left_minimum, right_minimum) = operand_bindings(*operator);
                operand(f, left, left_minimum, *operator)?;
                write!(f, " {} ", operator.symbol())?;
                operand(f, right, right_minimum, *operator)
            }
            Self::Unary { operator, operand } => {
                f.write_char(match operator {
                    UnaryOperator::Not => '!',
                    UnaryOperator::Negate => '-',
                })?;
                // `-5` would be read as a literal, so a negated positive literal keeps its parentheses.
                let is_literal = matches!(**operand, Self::Literal(_));
                let loose = binding(operand) < UNARY_BINDING;
                if loose || is_literal { write!(f, "({operand})") } else { write!(f, "{operand}") }
            }
            Self::Field(field) => write!(f, "{field}"),
            Self::Literal(literal) => write!(f, "{literal}"),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Intrinsic(intrinsic) => write!(f, "{intrinsic}"),
            Self::Attribute { scope, key } => {
                write!(f, "{scope}.")?;
                if !key.is_empty() && key.chars().all(is_key_character) { f.write_str(key) } else { quoted(f, key) }
            }
        }
    }
}

impl fmt::Display for AttributeScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = words::SCOPES.iter().find(|(_, scope)| scope == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

impl fmt::Display for Intrinsic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = words::INTRINSICS.iter().find(|(_, intrinsic)| intrinsic == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(text) => quoted(f, text),
            Self::Int(number) => write!(f, "{number}"),
            // `Debug` always has a point or an exponent, so it is read as a float again.
            Self::Float(number) => write!(f, "{number:?}"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Duration(nanos) => duration(f, *nanos),
            Self::Status(status) => f.write_str(status.name()),
            Self::Kind(kind) => f.write_str(kind.name()),
            Self::Nil => f.write_str("nil"),
        }
    }
}

/// The least binding that the left and the right operand need to stand without parentheses.
fn operand_bindings(operator: BinaryOperator) -> (u8, u8) {
    let own = operator.binding();
    if operator == BinaryOperator::Power { (own + 1, own) } else { (own, own + 1) }
}

fn operand(f: &mut fmt::Formatter<'_>, expression: &Expression, minimum: u8, parent: BinaryOperator) -> fmt::Result {
    // Tempo reads `a || b && c` from left to right; parentheses make it the same to everybody.
    let mixed =
        matches!((parent, expression), (BinaryOperator::Or, Expression::Binary { operator: BinaryOperator::And, .. }));
    let negative_base = minimum == PRIMARY_BINDING && is_negative(expression);
    if mixed || negative_base || binding(expression) < minimum {
        write!(f, "({expression})")
    } else {
        write!(f, "{expression}")
    }
}

fn binding(expression: &Expression) -> u8 {
    match expression {
        Expression::Binary { operator, .. } => operator.binding(),
        Expression::Unary { .. } => UNARY_BINDING,
        Expression::Field(_) | Expression::Literal(_) => PRIMARY_BINDING,
    }
}

fn is_negative(expression: &Expression) -> bool {
    match expression {
        Expression::Literal(Literal::Int(number) | Literal::Duration(number)) => *number < 0,
        Expression::Literal(Literal::Float(number)) => number.is_sign_negative(),
        _ => false,
    }
}

/// In double quotes, with the escapes that the lexer knows.
fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for character in text.chars() {
        match character {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            _ if character.is_control() => write!(f, "\\u{:04x}", u32::from(character))?,
            _ => f.write_char(character)?,
        }
    }
    f.write_char('"')
}

/// In the largest unit that keeps it whole.
fn duration(f: &mut fmt::Formatter<'_>, nanos: i64) -> fmt::Result {
    const UNITS: [(&str, u64); 5] =
        [("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)];
    if nanos < 0 {
        f.write_char('-')?;
    }
    let magnitude = nanos.unsigned_abs();
    let whole = UNITS.iter().find(|(_, unit)| magnitude != 0 && magnitude.is_multiple_of(*unit));
    let (name, unit) = whole.copied().unwrap_or(("ns", 1));
    write!(f, "{}{name}", magnitude / unit)
}

#[cfg(test)]
mod tests;
