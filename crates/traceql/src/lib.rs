//! TraceQL: abstract syntax, parser with positions, printer, and the evaluator over the spans of one trace.
//!
//! Today the spanset filter form is spoken: `{ resource.service.name = "upstream" && duration > 200ms }`.
//! The syntax tree is what the embedded store, the OpenSearch reader and the UI's form share.

pub mod ast;
