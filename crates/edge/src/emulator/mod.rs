//! A CloudFront on this machine.

mod clock;
pub(crate) mod headers;
mod sandbox;
