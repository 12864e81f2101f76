//! The syntax tree.

use rootspan_model::span::{SpanKind, StatusCode};

/// A whole query. `{}` matches every span.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// The spanset filter; `None` for `{}`.
    pub filter: Option<Expression>,
}

/// An expression over one span.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// `a && b`, `a || b`, comparisons and arithmetic.
    Binary {
        /// The operator.
        operator: BinaryOperator,
        /// Left operand.
        left: Box<Expression>,
        /// Right operand.
        right: Box<Expression>,
    },
    /// `!a` or `-a`.
    Unary {
        /// The operator.
        operator: UnaryOperator,
        /// The operand.
        operand: Box<Expression>,
    },
    /// A value of the span or of what surrounds it.
    Field(Field),
    /// A literal.
    Literal(Literal),
}

/// Operators with two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOperator {
    /// `&&`
    And,
    /// `||`
    Or,
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `=~`, anchored at both ends as Tempo does
    Matches,
    /// `!~`
    NotMatches,
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Remainder,
    /// `^`
    Power,
}

/// Operators with one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOperator {
    /// `!`
    Not,
    /// `-`
    Negate,
}

/// What a field refers to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// `duration`, `name`, `status`, …
    Intrinsic(Intrinsic),
    /// `span.key`, `resource.key`, `.key` and so on; the key unquoted.
    Attribute {
        /// Where to look.
        scope: AttributeScope,
        /// The attribute's key.
        key: String,
    },
}

/// Where an attribute is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttributeScope {
    /// `.key`: the span's attribute, else the resource's.
    Any,
    /// `span.key`
    Span,
    /// `resource.key`
    Resource,
    /// `event.key`: any event
    Event,
    /// `link.key`: any link
    Link,
    /// `instrumentation.key`: the scope's attributes
    Instrumentation,
}

/// Values that are not attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Intrinsic {
    /// `duration` of the span
    Duration,
    /// `name`
    Name,
    /// `status`
    Status,
    /// `statusMessage`
    StatusMessage,
    /// `kind`
    Kind,
    /// `traceDuration`
    TraceDuration,
    /// `rootName`
    RootName,
    /// `rootServiceName`
    RootServiceName,
    /// `span:id` as lower-case hex
    SpanId,
    /// `span:parentID` as lower-case hex
    ParentSpanId,
    /// `trace:id` as lower-case hex
    TraceId,
    /// `event:name`
    EventName,
    /// `instrumentation:name`
    InstrumentationName,
    /// `instrumentation:version`
    InstrumentationVersion,
}

/// Constants.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `"text"` or `` `text` ``
    String(String),
    /// `42`
    Int(i64),
    /// `4.2`
    Float(f64),
    /// `true`, `false`
    Bool(bool),
    /// `200ms`, in nanoseconds
    Duration(i64),
    /// `error`, `ok`, `unset`
    Status(StatusCode),
    /// `server`, `client`, …
    Kind(SpanKind),
    /// `nil`: compares equal to an absent attribute
    Nil,
}
