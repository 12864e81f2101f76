//! What runs at this moment, for those who tell of it.

use std::sync::Arc;

use rootspan_store::store::Store;

use super::Address;
use super::delivery::state::DeliveryState;
use crate::config::service::{MetricNames, ResourceAttributes};
use crate::ledger::Accounts;
use crate::plan::Plan;
use crate::receivers::cloudfront::Figures;
use crate::telemetry::metrics::{Metric, RecordCounts};

/// The graph and where its figures are kept.
#[derive(Default)]
pub(crate) struct Graph {
    pub(crate) plan: Plan,
    /// In the plan's order.
    pub(crate) accounts: Accounts,
    pub(crate) addresses: Vec<Address>,
    /// Of the exporters, in the plan's order.
    pub(crate) deliveries: Vec<Arc<DeliveryState>>,
    /// What receivers count beside the ledger: the metric, and the receiver's id.
    pub(crate) counts: Vec<(Metric, String, RecordCounts)>,
    /// CloudFront's records, by the receiver's id.
    pub(crate) edge: Vec<(String, Arc<Figures>)>,
    /// Stores by directory.
    pub(crate) stores: Vec<(String, Store)>,
    pub(crate) names: MetricNames,
    pub(crate) resource: ResourceAttributes,
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Graph").field("plan", &self.plan).finish_non_exhaustive()
    }
}
