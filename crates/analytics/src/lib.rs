//! Pure functions over traces: what calls what, on whose clock, where the time went and where the failure started.
//!
//! [`tree::Tree::build`] turns the spans of one trace into rows in the order in which they are shown; nothing about a
//! trace is an error, what is odd becomes a [`notice::Notice`]. [`critical_path::critical_path`] splits the duration of
//! each entry span into typed segments that sum to it exactly; [`failure::origin`] finds the span where an error began.
//! [`view::TraceView`] is all of that as the columns that the interface draws.
//!
//! There is no I/O, no clock and no randomness here, and every walk has an explicit stack: a trace may be 100,000 deep.

#![warn(missing_docs)]

pub mod cdn;
pub mod coverage;
pub mod critical_path;
pub mod failure;
pub mod histogram;
pub mod lane;
pub mod notice;
pub mod render;
pub mod tree;
pub mod view;
