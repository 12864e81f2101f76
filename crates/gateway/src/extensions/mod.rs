//! Extensions: what runs beside the pipelines.

pub mod health_check;
pub(crate) mod retired;
pub mod ui;
