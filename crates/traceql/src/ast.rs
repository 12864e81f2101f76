//! The syntax tree. `Display` prints it as TraceQL that parses back to an equal tree.
//!
//! Trees from the parser are at most [`crate::parser::MAX_DEPTH`] deep, so walking them by recursion is safe.

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

impl BinaryOperator {
    /// As it is written.
    #[must_use]
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::And => "&&",
            Self::Or => "||",
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Matches => "=~",
            Self::NotMatches => "!~",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::Power => "^",
        }
    }

    /// The operator that says the same with its operands exchanged, for `=`, `!=` and the orderings.
    #[must_use]
    pub const fn mirrored(self) -> Option<Self> {
        match self {
            Self::Equal => Some(Self::Equal),
            Self::NotEqual => Some(Self::NotEqual),
            Self::Greater => Some(Self::Less),
            Self::GreaterOrEqual => Some(Self::LessOrEqual),
            Self::Less => Some(Self::Greater),
            Self::LessOrEqual => Some(Self::GreaterOrEqual),
            Self::And
            | Self::Or
            | Self::Matches
            | Self::NotMatches
            | Self::Add
            | Self::Subtract
            | Self::Multiply
            | Self::Divide
            | Self::Remainder
            | Self::Power => None,
        }
    }

    /// Whether the result is true or false and the operands are values: `=` … `!~`.
    #[must_use]
    pub const fn is_comparison(self) -> bool {
        self.mirrored().is_some() || matches!(self, Self::Matches | Self::NotMatches)
    }

    /// How tightly it binds, from 1 (`||`) to 7 (`^`); 6 is the unary operators'.
    #[must_use]
    pub(crate) const fn binding(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            Self::Add | Self::Subtract => 4,
            Self::Multiply | Self::Divide | Self::Remainder => 5,
            Self::Power => 7,
            Self::Equal
            | Self::NotEqual
            | Self::Greater
            | Self::GreaterOrEqual
            | Self::Less
            | Self::LessOrEqual
            | Self::Matches
            | Self::NotMatches => 3,
        }
    }
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
    /// `event:timeSinceStart`, from the span's start
    EventTimeSinceStart,
    /// `link:spanID` as lower-case hex
    LinkSpanId,
    /// `link:traceID` as lower-case hex
    LinkTraceId,
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
    /// `4.2`; finite
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
