//! What tests share; a dev-dependency only.

pub mod fixture;
pub mod generate;
pub mod random;
