//! Whether a compiled condition holds for a span.
//!
//! A field may have several values (`event.key` one per event), so operands are *visited*: a comparison holds if some
//! pair of values satisfies it. Nothing is allocated but for ids that are compared as text.

use std::cmp::Ordering;

use rootspan_model::span::{SpanKind, StatusCode};
use rootspan_wire::otlp::batch::SpanInBatch;
use rootspan_wire::otlp::view::{AnyValue, ArrayValue};

use crate::ast::{AttributeScope, Field, Intrinsic, Literal};
use crate::compile::{Arithmetic, Comparison, Condition, Operand, TraceFacts};

/// One value while evaluating.
#[derive(Clone, Copy, Debug)]
enum Value<'a> {
    String(&'a str),
    Bool(bool),
    /// An integer, also a duration's nanoseconds: wide enough for sums and products of 64-bit ones.
    Int(i128),
    Float(f64),
    Status(StatusCode),
    Kind(SpanKind),
    Array(ArrayValue<'a>),
    /// Bytes and key-value lists: present, but equal to nothing.
    Other,
}

/// Called with each value of an operand; true stops the visit.
type Visit<'v> = &'v mut dyn FnMut(Value<'_>) -> bool;

pub(crate) fn holds(condition: &Condition, span: &SpanInBatch<'_>, facts: &TraceFacts<'_>) -> bool {
    match condition {
        Condition::And(left, right) => holds(left, span, facts) && holds(right, span, facts),
        Condition::Or(left, right) => holds(left, span, facts) || holds(right, span, facts),
        Condition::Not(inner) => !holds(inner, span, facts),
        Condition::IsTrue(operand) => any(operand, span, facts, &mut |value| matches!(value, Value::Bool(true))),
        Condition::IsNil(operand, expected) => {
            let present = any(operand, span, facts, &mut |_| true);
            present != *expected
        }
        Condition::Compare { operator, left, right } => {
            any(left, span, facts, &mut |left| any(right, span, facts, &mut |right| compare(*operator, left, right)))
        }
        Condition::Match { operand, regex, negated } => any(operand, span, facts, &mut |value| match value {
            Value::String(text) => regex.is_match(text) != *negated,
            Value::Array(array) => {
                let mut strings = array.values().filter_map(|element| match element {
                    AnyValue::String(text) => Some(text),
                    _ => None,
                });
                if *negated {
                    strings.all(|text| !regex.is_match(text))
                } else {
                    strings.any(|text| regex.is_match(text))
                }
            }
            Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Status(_) | Value::Kind(_) | Value::Other => {
                false
            }
        }),
    }
}

/// Visits the values of an operand until `visit` is satisfied; whether it was.
fn any(operand: &Operand, span: &SpanInBatch<'_>, facts: &TraceFacts<'_>, visit: Visit<'_>) -> bool {
    match operand {
        Operand::Literal(literal) => literal_value(literal).is_some_and(visit),
        Operand::Field(Field::Intrinsic(intrinsic)) => any_intrinsic(*intrinsic, span, facts, visit),
        Operand::Field(Field::Attribute { scope, key }) => any_attribute(*scope, key, span, visit),
        Operand::Negative(inner) => any(inner, span, facts, &mut |value| match value {
            Value::Int(number) => visit(Value::Int(-number)),
            Value::Float(number) => visit(Value::Float(-number)),
            _ => false,
        }),
        Operand::Arithmetic { operator, left, right } => any(left, span, facts, &mut |left| {
            any(right, span, facts, &mut |right| arithmetic(*operator, left, right).is_some_and(&mut *visit))
        }),
        Operand::Condition(condition) => visit(Value::Bool(holds(condition, span, facts))),
    }
}

fn literal_value(literal: &Literal) -> Option<Value<'_>> {
    Some(match literal {
        Literal::String(text) => Value::String(text),
        Literal::Int(number) | Literal::Duration(number) => Value::Int(i128::from(*number)),
        Literal::Float(number) => Value::Float(*number),
        Literal::Bool(value) => Value::Bool(*value),
        Literal::Status(status) => Value::Status(*status),
        Literal::Kind(kind) => Value::Kind(*kind),
        Literal::Nil => return None,
    })
}

fn any_intrinsic(intrinsic: Intrinsic, span: &SpanInBatch<'_>, facts: &TraceFacts<'_>, visit: Visit<'_>) -> bool {
    let inner = &span.span;
    match intrinsic {
        Intrinsic::Duration => visit(Value::Int(i128::from(inner.duration_nanos()))),
        Intrinsic::Name => visit(Value::String(inner.name)),
        Intrinsic::Status => visit(Value::Status(inner.status())),
        Intrinsic::StatusMessage => visit(Value::String(inner.status_message)),
        Intrinsic::Kind => visit(Value::Kind(inner.kind())),
        Intrinsic::TraceDuration => facts.duration_nanos.is_some_and(|nanos| visit(Value::Int(i128::from(nanos)))),
        Intrinsic::RootName => facts.root_name.is_some_and(|name| visit(Value::String(name))),
        Intrinsic::RootServiceName => facts.root_service_name.is_some_and(|name| visit(Value::String(name))),
        Intrinsic::SpanId => visit(Value::String(&inner.span_id.to_string())),
        Intrinsic::ParentSpanId => {
            inner.parent_span_id.is_valid() && visit(Value::String(&inner.parent_span_id.to_string()))
        }
        Intrinsic::TraceId => visit(Value::String(&inner.trace_id.to_string())),
        Intrinsic::EventName => inner.events().any(|event| visit(Value::String(event.name))),
        Intrinsic::EventTimeSinceStart => {
            inner.events().any(|event| visit(Value::Int(i128::from(event.time.0) - i128::from(inner.start.0))))
        }
        Intrinsic::LinkSpanId => inner.links().any(|link| visit(Value::String(&hex(link.span_id)))),
        Intrinsic::LinkTraceId => inner.links().any(|link| visit(Value::String(&hex(link.trace_id)))),
        Intrinsic::InstrumentationName => !span.scope.name.is_empty() && visit(Value::String(span.scope.name)),
        Intrinsic::InstrumentationVersion => !span.scope.version.is_empty() && visit(Value::String(span.scope.version)),
    }
}

/// Link ids may have odd lengths, so they are not ids of the model.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn any_attribute(scope: AttributeScope, key: &str, span: &SpanInBatch<'_>, visit: Visit<'_>) -> bool {
    let value = match scope {
        AttributeScope::Span => span.span.attribute(key),
        AttributeScope::Resource => span.resource.attribute(key),
        AttributeScope::Instrumentation => span.scope.attribute(key),
        AttributeScope::Any => span.span.attribute(key).or_else(|| span.resource.attribute(key)),
        AttributeScope::Event => {
            let mut values = span.span.events().filter_map(|event| event.attribute(key)).filter_map(attribute_value);
            return values.any(visit);
        }
        AttributeScope::Link => {
            let attributes = span.span.links().filter_map(|link| link.attributes().find(|found| found.key == key));
            return attributes.filter_map(|found| attribute_value(found.value)).any(visit);
        }
    };
    value.and_then(attribute_value).is_some_and(visit)
}

fn attribute_value(value: AnyValue<'_>) -> Option<Value<'_>> {
    Some(match value {
        AnyValue::Empty => return None,
        AnyValue::String(text) => Value::String(text),
        AnyValue::Bool(value) => Value::Bool(value),
        AnyValue::Int(number) => Value::Int(i128::from(number)),
        AnyValue::Double(number) => Value::Float(number),
        AnyValue::Array(array) => Value::Array(array),
        AnyValue::Bytes(_) | AnyValue::KeyValueList(_) => Value::Other,
    })
}

fn compare(operator: Comparison, left: Value<'_>, right: Value<'_>) -> bool {
    if let Value::Array(array) = left {
        return compare_elements(operator, array, |element| compare_scalars(operator, element, right));
    }
    if let Value::Array(array) = right {
        return compare_elements(operator, array, |element| compare_scalars(operator, left, element));
    }
    compare_scalars(operator, left, right)
}

/// Some element must satisfy, but for `!=` every element must differ.
fn compare_elements<'a>(operator: Comparison, array: ArrayValue<'a>, test: impl FnMut(Value<'a>) -> bool) -> bool {
    let mut elements = array.values().filter_map(attribute_value);
    if operator == Comparison::NotEqual { elements.all(test) } else { elements.any(test) }
}

/// Values of different types compare as nothing: every operator is false, `!=` too.
fn compare_scalars(operator: Comparison, left: Value<'_>, right: Value<'_>) -> bool {
    let ordering = match (left, right) {
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Int(left), Value::Int(right)) => left.cmp(&right),
        (Value::Int(_) | Value::Float(_), Value::Int(_) | Value::Float(_)) => {
            let (Some(left), Some(right)) = (float(left), float(right)) else { return false };
            let Some(ordering) = left.partial_cmp(&right) else { return operator == Comparison::NotEqual };
            ordering
        }
        (Value::Bool(left), Value::Bool(right)) => return unordered(operator, left == right),
        (Value::Status(left), Value::Status(right)) => return unordered(operator, left == right),
        (Value::Kind(left), Value::Kind(right)) => return unordered(operator, left == right),
        _ => return false,
    };
    match operator {
        Comparison::Equal => ordering == Ordering::Equal,
        Comparison::NotEqual => ordering != Ordering::Equal,
        Comparison::Greater => ordering == Ordering::Greater,
        Comparison::GreaterOrEqual => ordering != Ordering::Less,
        Comparison::Less => ordering == Ordering::Less,
        Comparison::LessOrEqual => ordering != Ordering::Greater,
    }
}

/// For types that are equal or not, without an order.
fn unordered(operator: Comparison, equal: bool) -> bool {
    match operator {
        Comparison::Equal => equal,
        Comparison::NotEqual => !equal,
        Comparison::Greater | Comparison::GreaterOrEqual | Comparison::Less | Comparison::LessOrEqual => false,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a comparison with a float is a comparison of floats")]
fn float(value: Value<'_>) -> Option<f64> {
    match value {
        Value::Int(number) => Some(number as f64),
        Value::Float(number) => Some(number),
        _ => None,
    }
}

/// Integers stay integers but for `/` and `^`; what has no result (division by zero, overflow) is absent.
fn arithmetic<'a>(operator: Arithmetic, left: Value<'_>, right: Value<'_>) -> Option<Value<'a>> {
    if let (Value::Int(left), Value::Int(right)) = (left, right) {
        match operator {
            Arithmetic::Add => return left.checked_add(right).map(Value::Int),
            Arithmetic::Subtract => return left.checked_sub(right).map(Value::Int),
            Arithmetic::Multiply => return left.checked_mul(right).map(Value::Int),
            Arithmetic::Remainder => return left.checked_rem(right).map(Value::Int),
            Arithmetic::Divide | Arithmetic::Power => {}
        }
    }
    let (left, right) = (float(left)?, float(right)?);
    let result = match operator {
        Arithmetic::Add => left + right,
        Arithmetic::Subtract => left - right,
        Arithmetic::Multiply => left * right,
        Arithmetic::Divide => left / right,
        Arithmetic::Remainder => left % right,
        Arithmetic::Power => left.powf(right),
    };
    result.is_finite().then_some(Value::Float(result))
}

#[cfg(test)]
mod tests;
