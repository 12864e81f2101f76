//! The configuration files. The OpenTelemetry Collector and rootspan load the same ones.

pub(super) const PASS: &str = include_str!("../../configs/pass.yaml");
pub(super) const BATCH: &str = include_str!("../../configs/batch.yaml");
pub(super) const ACTIONS: &str = include_str!("../../configs/actions.yaml");
pub(super) const QUEUE: &str = include_str!("../../configs/queue.yaml");
pub(super) const LIMIT: &str = include_str!("../../configs/limit.yaml");
pub(super) const RETRY: &str = include_str!("../../configs/retry.yaml");
