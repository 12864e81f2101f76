//! Extensions: what runs beside the pipelines.

pub mod auth;
pub mod basicauth;
pub mod bearertokenauth;
pub mod file_storage;
pub mod health_check;
pub(crate) mod retired;
pub mod ui;
