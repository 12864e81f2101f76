//! A query as the store evaluates it: conditions on one field each, and the rest.
//!
//! A condition that looks at one field only is compiled as a query of its own and asked about a span that has nothing
//! but that field. So the meaning of every operator is `traceql`'s, and the store only decides how often to ask: once
//! per resource of a block, once per distinct name, once per value of a column.

use std::ops::RangeInclusive;

use rootspan_model::ids::SpanId;
use rootspan_model::time::UnixNanos;
use rootspan_traceql::ast::{AttributeScope, BinaryOperator, Expression, Field, Intrinsic, Literal, Query};
use rootspan_traceql::compile::{Compiled, TraceFacts, compile};
use rootspan_wire::otlp::batch::SpanInBatch;
use rootspan_wire::otlp::view::{Resource, Scope, Span};

use crate::block::filter::{HashedValue, integer, key_hash, value_hash};
use crate::store::{QueryError, SearchRequest};

/// See the module.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The whole query, for spans that the conditions do not decide.
    pub(crate) whole: Compiled,
    /// Every match satisfies all of these.
    pub(crate) conditions: Vec<Condition>,
    /// The conditions are the whole query.
    pub(crate) is_complete: bool,
    /// Hashes of which a block's filter must have every one.
    pub(crate) hashes: Vec<u64>,
    /// Keys of span attributes that the query looks at.
    pub(crate) keys: Vec<String>,
    /// Matching spans start in here.
    pub(crate) window: Window,
}

/// One condition.
#[derive(Debug)]
pub(crate) struct Condition {
    pub(crate) on: On,
    compiled: Compiled,
    /// A plain comparison of the duration, as a range.
    durations: Option<RangeInclusive<u64>>,
}

/// The one field that a condition looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum On {
    /// Only attributes of the resource, any number of them.
    Resource,
    Status,
    Kind,
    Duration,
    Name,
    /// An attribute of the span, or if `or_resource` and it has none, of its resource.
    Attribute {
        key: String,
        or_resource: bool,
    },
    /// Only what is known of the whole trace.
    Trace,
}

/// A range of starts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) start: u64,
    /// `None`: no end, so that the latest possible start is in it.
    pub(crate) end: Option<u64>,
}

impl Window {
    pub(crate) fn contains(&self, start: u64) -> bool {
        start >= self.start && self.end.is_none_or(|end| start < end)
    }

    /// Whether some start from `min` to `max` is in it.
    pub(crate) fn touches(&self, min: u64, max: u64) -> bool {
        max >= self.start && self.end.is_none_or(|end| min < end)
    }

    pub(crate) fn covers(&self, min: u64, max: u64) -> bool {
        self.contains(min) && self.contains(max)
    }
}

impl Plan {
    pub(crate) fn new(request: &SearchRequest) -> Result<Self, QueryError> {
        let whole = compile(&request.query).map_err(|error| QueryError::Query(error.to_string()))?;
        let window = Window { start: request.start.unwrap_or_default().0, end: request.end.map(|UnixNanos(end)| end) };
        let keys = request.query.filter.as_ref().map(attribute_keys).unwrap_or_default();
        let mut plan = Self { whole, conditions: Vec::new(), is_complete: true, hashes: Vec::new(), keys, window };
        let mut waiting: Vec<&Expression> = request.query.filter.iter().collect();
        while let Some(expression) = waiting.pop() {
            if let Expression::Binary { operator: BinaryOperator::And, left, right } = expression {
                waiting.push(right);
                waiting.push(left);
            } else {
                plan.add(expression)?;
            }
        }
        plan.conditions.sort_by_key(|condition| condition.on.cost());
        Ok(plan)
    }

    fn add(&mut self, expression: &Expression) -> Result<(), QueryError> {
        self.hashes.extend(equality_hash(expression));
        let mut fields = Vec::new();
        fields_of(expression, &mut fields);
        match On::of(&fields) {
            Some(on) => {
                let query = Query { filter: Some(expression.clone()) };
                let compiled = compile(&query).map_err(|error| QueryError::Query(error.to_string()))?;
                let durations = (on == On::Duration).then(|| duration_range(expression)).flatten();
                self.conditions.push(Condition { on, compiled, durations });
            }
            None => self.is_complete = false,
        }
        Ok(())
    }

    /// Whether spans must be evaluated with what is known of their trace.
    pub(crate) fn uses_trace(&self) -> bool {
        self.whole.uses_trace_facts()
    }
}

impl Condition {
    /// Whether a span with this resource satisfies it.
    pub(crate) fn of_resource(&self, bytes: &[u8], schema_url: &str) -> bool {
        let span = SpanInBatch { resource: Resource { bytes, schema_url }, ..empty() };
        self.compiled.matches(&span, &TraceFacts::default())
    }

    /// Whether a span with nothing but these fields satisfies it.
    pub(crate) fn of_span(&self, span: Span<'_>) -> bool {
        self.compiled.matches(&SpanInBatch { span, ..empty() }, &TraceFacts::default())
    }

    /// Whether a span of this duration satisfies it.
    pub(crate) fn of_duration(&self, nanos: u64) -> bool {
        match &self.durations {
            Some(range) => range.contains(&nanos),
            None => self.of_span(Span { end: UnixNanos(nanos), ..Span::default() }),
        }
    }

    pub(crate) fn of_trace(&self, facts: &TraceFacts<'_>) -> bool {
        self.compiled.matches(&empty(), facts)
    }
}

fn empty() -> SpanInBatch<'static> {
    SpanInBatch {
        index: 0,
        resource_index: 0,
        scope_index: 0,
        resource: Resource { bytes: &[], schema_url: "" },
        scope: Scope::decode(&[], ""),
        // Ids are never looked at by conditions on other fields.
        span: Span { span_id: SpanId::new([1; 8]), ..Span::default() },
    }
}

impl On {
    /// What an expression with these fields looks at, if it is one thing.
    fn of(fields: &[&Field]) -> Option<Self> {
        let mut found: Option<Self> = None;
        for field in fields {
            let on = match field {
                Field::Intrinsic(Intrinsic::Status) => Self::Status,
                Field::Intrinsic(Intrinsic::Kind) => Self::Kind,
                Field::Intrinsic(Intrinsic::Duration) => Self::Duration,
                Field::Intrinsic(Intrinsic::Name) => Self::Name,
                Field::Intrinsic(Intrinsic::TraceDuration | Intrinsic::RootName | Intrinsic::RootServiceName) => {
                    Self::Trace
                }
                Field::Attribute { scope: AttributeScope::Resource, .. } => Self::Resource,
                Field::Attribute { scope: AttributeScope::Span, key } => {
                    Self::Attribute { key: key.clone(), or_resource: false }
                }
                Field::Attribute { scope: AttributeScope::Any, key } => {
                    Self::Attribute { key: key.clone(), or_resource: true }
                }
                Field::Intrinsic(_) | Field::Attribute { .. } => return None,
            };
            if found.as_ref().is_some_and(|found| *found != on) {
                return None;
            }
            found = Some(on);
        }
        // A constant is asked like a resource: once.
        Some(found.unwrap_or(Self::Resource))
    }

    /// Cheap and selective ones first.
    const fn cost(&self) -> u8 {
        match self {
            Self::Resource => 0,
            Self::Status => 1,
            Self::Kind => 2,
            Self::Duration => 3,
            Self::Name => 4,
            Self::Attribute { .. } => 5,
            Self::Trace => 6,
        }
    }
}

fn fields_of<'q>(expression: &'q Expression, fields: &mut Vec<&'q Field>) {
    let mut waiting = vec![expression];
    while let Some(expression) = waiting.pop() {
        match expression {
            Expression::Binary { left, right, .. } => {
                waiting.push(left);
                waiting.push(right);
            }
            Expression::Unary { operand, .. } => waiting.push(operand),
            Expression::Field(field) => fields.push(field),
            Expression::Literal(_) => {}
        }
    }
}

/// The durations that satisfy `duration > literal` and its like.
fn duration_range(expression: &Expression) -> Option<RangeInclusive<u64>> {
    let Expression::Binary { operator, left, right } = expression else { return None };
    let (Expression::Field(_), Expression::Literal(Literal::Duration(nanos) | Literal::Int(nanos))) =
        (&**left, &**right)
    else {
        return None;
    };
    let bound = i128::from(*nanos);
    let (from, to) = match operator {
        BinaryOperator::Equal => (bound, bound),
        BinaryOperator::Greater => (bound + 1, i128::from(u64::MAX)),
        BinaryOperator::GreaterOrEqual => (bound, i128::from(u64::MAX)),
        BinaryOperator::Less => (0, bound - 1),
        BinaryOperator::LessOrEqual => (0, bound),
        BinaryOperator::NotEqual
        | BinaryOperator::And
        | BinaryOperator::Or
        | BinaryOperator::Matches
        | BinaryOperator::NotMatches
        | BinaryOperator::Add
        | BinaryOperator::Subtract
        | BinaryOperator::Multiply
        | BinaryOperator::Divide
        | BinaryOperator::Remainder
        | BinaryOperator::Power => return None,
    };
    // A bound below zero excludes or includes every duration.
    let to = u64::try_from(to).ok()?;
    Some(u64::try_from(from).unwrap_or(0)..=to)
}

fn attribute_keys(expression: &Expression) -> Vec<String> {
    let mut fields = Vec::new();
    fields_of(expression, &mut fields);
    let key = |field: &&Field| match field {
        Field::Attribute { scope: AttributeScope::Any | AttributeScope::Span, key } => Some(key.clone()),
        Field::Attribute { .. } | Field::Intrinsic(_) => None,
    };
    fields.iter().filter_map(key).collect()
}

/// The hash that a block's filter has if any of its spans or resources has `key = literal`.
fn equality_hash(expression: &Expression) -> Option<u64> {
    let Expression::Binary { operator: BinaryOperator::Equal, left, right } = expression else { return None };
    let (field, literal) = match (&**left, &**right) {
        (Expression::Field(field), Expression::Literal(literal))
        | (Expression::Literal(literal), Expression::Field(field)) => (field, literal),
        _ => return None,
    };
    let Field::Attribute { scope: AttributeScope::Any | AttributeScope::Span | AttributeScope::Resource, key } = field
    else {
        return None;
    };
    let value = match literal {
        Literal::String(text) => HashedValue::String(text),
        Literal::Bool(value) => HashedValue::Bool(*value),
        Literal::Int(number) | Literal::Duration(number) => HashedValue::Int(*number),
        Literal::Float(number) => HashedValue::Int(integer(*number)?),
        Literal::Status(_) | Literal::Kind(_) | Literal::Nil => return None,
    };
    Some(value_hash(key_hash(key), value))
}

#[cfg(test)]
mod tests;
