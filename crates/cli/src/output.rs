//! Standard output and standard error, whose reader may leave at any time (`rootspan search | head`).

use std::fmt::Arguments;
use std::io::Write as _;

/// Writes to standard output. A reader that is gone has had enough: that is no error.
pub(crate) fn print(text: Arguments<'_>) {
    let _reader_may_be_gone = std::io::stdout().write_fmt(text);
}

/// Writes to standard error, on the same terms.
pub(crate) fn print_error(text: Arguments<'_>) {
    let _reader_may_be_gone = std::io::stderr().write_fmt(text);
}

/// A line on standard output, as `println!`, which panics when the reader is gone.
macro_rules! say {
    () => { $crate::output::print(format_args!("\n")) };
    ($($text:tt)+) => { $crate::output::print(format_args!("{}\n", format_args!($($text)+))) };
}

/// A line on standard error.
macro_rules! complain {
    ($($text:tt)+) => { $crate::output::print_error(format_args!("{}\n", format_args!($($text)+))) };
}

pub(crate) use {complain, say};
