//! What a store can decide without evaluating: the simple predicates that every match must satisfy.

use crate::ast::{BinaryOperator, Expression, Field, Literal, Query};

/// `field operator literal`; the literal stands on the right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Predicate<'a> {
    /// What is compared.
    pub field: &'a Field,
    /// A comparison: `=`, `!=`, `>`, `>=`, `<`, `<=`, `=~`, `!~`.
    pub operator: BinaryOperator,
    /// With what.
    pub literal: &'a Literal,
}

/// The predicates joined by `&&` at the top of a query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conjuncts<'a> {
    /// Every matching span satisfies all of these.
    pub predicates: Vec<Predicate<'a>>,
    /// Whether they are the whole query; if not, the rest must be evaluated span by span.
    pub complete: bool,
}

/// Flattens the top-level `&&` of a query.
#[must_use]
pub fn conjuncts(query: &Query) -> Conjuncts<'_> {
    let mut found = Conjuncts { predicates: Vec::new(), complete: true };
    let mut waiting: Vec<&Expression> = query.filter.iter().collect();
    while let Some(expression) = waiting.pop() {
        if let Expression::Binary { operator: BinaryOperator::And, left, right } = expression {
            // The left side is handled first, so predicates keep the order of the text.
            waiting.push(right);
            waiting.push(left);
        } else if let Some(predicate) = predicate(expression) {
            found.predicates.push(predicate);
        } else if *expression != Expression::Literal(Literal::Bool(true)) {
            found.complete = false;
        }
    }
    found
}

fn predicate(expression: &Expression) -> Option<Predicate<'_>> {
    let Expression::Binary { operator, left, right } = expression else { return None };
    if !operator.is_comparison() {
        return None;
    }
    match (&**left, &**right) {
        (Expression::Field(field), Expression::Literal(literal)) => {
            Some(Predicate { field, operator: *operator, literal })
        }
        (Expression::Literal(literal), Expression::Field(field)) => {
            Some(Predicate { field, operator: operator.mirrored()?, literal })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
