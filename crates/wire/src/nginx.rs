//! What nginx knows of a request, as spans: [`span`] writes them, for the module and for [`log`], which reads them from an
//! access log.

pub mod log;
pub mod span;
