//! TraceQL: abstract syntax, parser with positions, printer, and the evaluator over the spans of one trace.
//!
//! Today the spanset filter form is spoken: `{ resource.service.name = "upstream" && duration > 200ms }`. What is
//! TraceQL but not in that form (pipelines, structural operators, combinations of spansets) is refused with a message
//! of its own. The syntax tree is what the embedded store, the OpenSearch reader and the UI's form share.
//!
//! The way of a query: [`parser::parse`] → [`ast::Query`] → [`compile::compile`] → [`compile::Compiled::matches`];
//! [`conjuncts::conjuncts`] gives a store the simple predicates by which it can skip data.

pub mod ast;
pub mod compile;
pub mod conjuncts;
pub mod error;
pub mod parser;
pub mod pattern;

mod evaluate;
mod lexer;
mod printer;
mod words;
