//! Text to [`Query`]. Never panics, never overflows the stack, whatever the text.
//!
//! Precedence, tightest first: `^` (to the right), unary `-` and `!`, `*` `/` `%`, `+` `-`, comparisons, `&&`, `||`.
//! Tempo's grammar gives `&&` and `||` one common level; here `&&` binds tighter, as in every language that readers
//! of a query know. The printer writes parentheses wherever the two mix, so what it prints means the same to both.
//!
//! Types are checked as far as they are known without a span (`name > 200ms` can never match and is refused), so a
//! query that parses is one that can have results.

use crate::ast::{BinaryOperator, Expression, Field, Literal, Query, UnaryOperator};
use crate::error::{ParseError, Position};
use crate::lexer::{Lexer, Token};
use crate::words;

mod types;

/// Longest query in bytes. A hand-written one has hundreds; what is longer than this is a mistake or an attack.
pub const MAX_QUERY_BYTES: usize = 64 * 1024;

/// Deepest tree. A chain of `&&` is as deep as it is long, so this is also the most conditions in a row. Everything
/// that walks a tree recurses; 256 frames fit any thread's stack many times over.
pub const MAX_DEPTH: usize = 256;

/// Parses a query.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub fn parse(text: &str) -> Result<Query, ParseError> {
    if text.len() > MAX_QUERY_BYTES {
        let message = format!("the query has {} bytes; at most {MAX_QUERY_BYTES} are read", text.len());
        return Err(ParseError { message, hint: None, position: Position::of(text, 0) });
    }
    Parser::new(text)?.query()
}

/// For the printer's property test: trees of any types.
#[cfg(test)]
pub(crate) fn parse_untyped(text: &str) -> Result<Query, ParseError> {
    let mut parser = Parser::new(text)?;
    parser.check_types = false;
    parser.query()
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    check_types: bool,
    token: Token,
    /// Where `token` starts.
    offset: usize,
    /// How many calls of [`Self::expression`] are under way.
    nesting: usize,
}

/// A tree with its depth, so that the cap costs no walk.
struct Node {
    expression: Expression,
    depth: usize,
    offset: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Result<Self, ParseError> {
        let mut lexer = Lexer::new(text);
        let (token, offset) = lexer.next()?;
        Ok(Self { lexer, check_types: true, token, offset, nesting: 0 })
    }

    fn query(&mut self) -> Result<Query, ParseError> {
        if self.token != Token::LeftBrace {
            return Err(self.not_a_spanset());
        }
        self.advance()?;
        let filter = if self.token == Token::RightBrace { None } else { Some(self.condition()?) };
        if self.token != Token::RightBrace {
            return Err(self.unexpected("an operator or `}`"));
        }
        self.advance()?;
        if self.token != Token::End {
            return Err(self.after_spanset());
        }
        Ok(Query { filter })
    }

    /// The whole filter: an expression that is true or false.
    fn condition(&mut self) -> Result<Expression, ParseError> {
        let node = self.expression(1)?;
        self.typed(types::check_condition(&node.expression), node.offset)?;
        Ok(node.expression)
    }

    /// Precedence climbing: an operand, then every operator that binds at least as tightly as `minimum`.
    fn expression(&mut self, minimum: u8) -> Result<Node, ParseError> {
        self.nesting += 1;
        if self.nesting > MAX_DEPTH {
            return Err(self.too_deep(self.offset));
        }
        let mut left = self.unary()?;
        while let Some(operator) = binary_operator(&self.token) {
            let binding = operator.binding();
            if binding < minimum {
                break;
            }
            let offset = self.offset;
            self.advance()?;
            let right = self.expression(if operator == BinaryOperator::Power { binding } else { binding + 1 })?;
            left = self.binary(operator, left, right, offset)?;
        }
        self.nesting -= 1;
        Ok(left)
    }

    fn binary(
        &self,
        operator: BinaryOperator,
        left: Node,
        right: Node,
        operator_offset: usize,
    ) -> Result<Node, ParseError> {
        self.typed(types::check_binary(operator, &left.expression, &right.expression), operator_offset)?;
        let depth = left.depth.max(right.depth) + 1;
        if depth > MAX_DEPTH {
            return Err(self.too_deep(operator_offset));
        }
        let expression =
            Expression::Binary { operator, left: Box::new(left.expression), right: Box::new(right.expression) };
        Ok(Node { expression, depth, offset: left.offset })
    }

    fn unary(&mut self) -> Result<Node, ParseError> {
        // What recurses is kept apart from what does not, so that nesting takes small frames.
        match self.token {
            Token::Not => self.prefixed(UnaryOperator::Not),
            Token::Subtract => self.prefixed(UnaryOperator::Negate),
            Token::LeftParenthesis => self.parenthesised(),
            _ => self.leaf(),
        }
    }

    fn prefixed(&mut self, operator: UnaryOperator) -> Result<Node, ParseError> {
        let offset = self.offset;
        self.advance()?;
        if operator == UnaryOperator::Negate
            && let Some(literal) = self.negative_literal(offset)?
        {
            return Ok(Node { expression: Expression::Literal(literal), depth: 1, offset });
        }
        let operand = self.expression(BinaryOperator::Power.binding())?;
        self.typed(types::check_unary(operator, &operand.expression), offset)?;
        let depth = operand.depth + 1;
        if depth > MAX_DEPTH {
            return Err(self.too_deep(offset));
        }
        Ok(Node { expression: Expression::Unary { operator, operand: Box::new(operand.expression) }, depth, offset })
    }

    /// `-5` is a literal, unless a power follows: `-5 ^ 2` is the negative of `5 ^ 2`.
    fn negative_literal(&mut self, offset: usize) -> Result<Option<Literal>, ParseError> {
        if !matches!(self.token, Token::Int(_) | Token::Float(_) | Token::Duration(_))
            || self.lexer.clone().next()?.0 == Token::Power
        {
            return Ok(None);
        }
        let literal = match self.token {
            Token::Float(number) => Some(Literal::Float(-number)),
            Token::Int(magnitude) => 0_i64.checked_sub_unsigned(magnitude).map(Literal::Int),
            Token::Duration(magnitude) => 0_i64.checked_sub_unsigned(magnitude).map(Literal::Duration),
            _ => None,
        };
        self.advance()?;
        literal.map(Some).ok_or_else(|| self.too_large(offset))
    }

    fn parenthesised(&mut self) -> Result<Node, ParseError> {
        let offset = self.offset;
        self.advance()?;
        let inner = self.expression(1)?;
        if self.token != Token::RightParenthesis {
            return Err(self.unexpected("an operator or `)`"));
        }
        self.advance()?;
        Ok(Node { offset, ..inner })
    }

    fn leaf(&mut self) -> Result<Node, ParseError> {
        let offset = self.offset;
        let expression = match &mut self.token {
            Token::Attribute { scope, key } => {
                Expression::Field(Field::Attribute { scope: *scope, key: std::mem::take(key) })
            }
            Token::String(text) => Expression::Literal(Literal::String(std::mem::take(text))),
            Token::Float(number) => Expression::Literal(Literal::Float(*number)),
            Token::Int(magnitude) => {
                let literal = i64::try_from(*magnitude).map(Literal::Int);
                Expression::Literal(literal.map_err(|_| self.too_large(offset))?)
            }
            Token::Duration(magnitude) => {
                let literal = i64::try_from(*magnitude).map(Literal::Duration);
                Expression::Literal(literal.map_err(|_| self.too_large(offset))?)
            }
            Token::Word(word) => {
                let word = std::mem::take(word);
                self.word(&word)?
            }
            _ => return Err(self.unexpected("an attribute, an intrinsic, a literal or `(`")),
        };
        self.advance()?;
        Ok(Node { expression, depth: 1, offset })
    }

    fn word(&self, word: &str) -> Result<Expression, ParseError> {
        if let Some(intrinsic) = words::intrinsic(word) {
            return Ok(Expression::Field(Field::Intrinsic(intrinsic)));
        }
        if let Some(literal) = words::literal(word) {
            return Ok(Expression::Literal(literal));
        }
        if words::UNSUPPORTED_INTRINSICS.contains(&word) {
            return Err(self.lexer.error(self.offset, format!("`{word}` is TraceQL but not yet supported"), None));
        }
        let hint = match words::nearest(word) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("an attribute is written `.{word}`, a string \"{word}\""),
        };
        Err(self.lexer.error(self.offset, format!("unknown intrinsic `{word}`"), Some(hint)))
    }

    fn typed(&self, outcome: Result<(), types::Problem>, offset: usize) -> Result<(), ParseError> {
        match outcome {
            Err(problem) if self.check_types => Err(self.lexer.error(offset, problem.message, problem.hint)),
            _ => Ok(()),
        }
    }

    fn advance(&mut self) -> Result<(), ParseError> {
        (self.token, self.offset) = self.lexer.next()?;
        Ok(())
    }

    fn unexpected(&self, expected: &str) -> ParseError {
        let hint = match self.token {
            Token::Pipe => Some("disjunction is written `||`; pipelines stand after the `}`".to_owned()),
            Token::Structural(_) => Some("operators between spansets stand outside of `{ }`".to_owned()),
            Token::Attribute { .. } | Token::Word(_) => Some("conditions are joined by `&&` or `||`".to_owned()),
            _ => None,
        };
        self.lexer.error(self.offset, format!("expected {expected}, found {}", self.token.describe()), hint)
    }

    fn too_deep(&self, offset: usize) -> ParseError {
        let message = format!("the query is nested or chained more than {MAX_DEPTH} deep");
        self.lexer.error(offset, message, Some("many alternatives for one field are shorter as a regex".to_owned()))
    }

    fn too_large(&self, offset: usize) -> ParseError {
        self.lexer.error(offset, "the number does not fit a signed 64-bit integer", None)
    }

    /// The query does not begin with `{`.
    fn not_a_spanset(&self) -> ParseError {
        let found = self.token.describe();
        match self.token {
            Token::LeftParenthesis => self.unsupported("combining spansets in parentheses"),
            Token::Structural(_) => self.unsupported("structural operators"),
            Token::End => {
                self.lexer.error(self.offset, "the query is empty", Some("`{}` matches every span".to_owned()))
            }
            _ => {
                let hint = "a filter stands in braces: `{ resource.service.name = \"checkout\" }`".to_owned();
                self.lexer.error(self.offset, format!("expected `{{`, found {found}"), Some(hint))
            }
        }
    }

    /// Something follows the `}`.
    fn after_spanset(&self) -> ParseError {
        match &self.token {
            Token::Pipe => self.unsupported("pipelines (`| …`)"),
            Token::And | Token::Or => self.unsupported("combining spansets (`{ … } && { … }`)"),
            Token::Structural(symbol) => self.unsupported(&format!("structural operators (`{symbol}`)")),
            Token::Greater | Token::Less => self.unsupported("structural operators (`>`, `<`)"),
            Token::Word(word) if word == "with" => self.unsupported("query hints (`with (…)`)"),
            token => {
                let message = format!("expected the end of the query after `}}`, found {}", token.describe());
                self.lexer.error(self.offset, message, None)
            }
        }
    }

    fn unsupported(&self, what: &str) -> ParseError {
        let hint = "one spanset filter `{ … }` can be searched for; join conditions on one span inside it";
        self.lexer.error(self.offset, format!("{what} are TraceQL but not yet supported"), Some(hint.to_owned()))
    }
}

fn binary_operator(token: &Token) -> Option<BinaryOperator> {
    let operator = match token {
        Token::And => BinaryOperator::And,
        Token::Or => BinaryOperator::Or,
        Token::Equal => BinaryOperator::Equal,
        Token::NotEqual => BinaryOperator::NotEqual,
        Token::Greater => BinaryOperator::Greater,
        Token::GreaterOrEqual => BinaryOperator::GreaterOrEqual,
        Token::Less => BinaryOperator::Less,
        Token::LessOrEqual => BinaryOperator::LessOrEqual,
        Token::Matches => BinaryOperator::Matches,
        Token::NotMatches => BinaryOperator::NotMatches,
        Token::Add => BinaryOperator::Add,
        Token::Subtract => BinaryOperator::Subtract,
        Token::Multiply => BinaryOperator::Multiply,
        Token::Divide => BinaryOperator::Divide,
        Token::Remainder => BinaryOperator::Remainder,
        Token::Power => BinaryOperator::Power,
        _ => return None,
    };
    Some(operator)
}

#[cfg(test)]
mod tests;
