//! Extensions: what runs beside the pipelines.

pub mod health_check;
pub mod memory_ballast;
pub mod ui;
