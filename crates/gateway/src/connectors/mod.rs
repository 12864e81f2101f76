//! Connectors: an exporter of some pipelines and a receiver of others. Nothing runs for them: the plan leads a pipeline's
//! batches straight into the next, so acknowledgements and accounts go through as if it were one.

pub mod forward;
