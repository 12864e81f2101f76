//! A gateway without sockets, for the simulation.

use std::sync::Arc;

use super::Running;
use crate::budget::Budget;
use crate::clock::Clock;
use crate::extensions::health_check::Health;
use crate::ledger::{Ledger, Snapshot};
use crate::net::stop::{self, Stopper};
use crate::tasks::Task;

impl Running {
    /// What runs between the sockets, without them: for the simulation.
    pub(crate) fn without_sockets(
        (ledger, budget, clock): (Arc<Ledger>, Arc<Budget>, Clock),
        stop_receivers: Stopper,
        [receivers, pipelines, deliveries]: [Vec<Task>; 3],
    ) -> Self {
        let (health, stop_others) = (Arc::new(Health::new(clock)), stop::channel().0);
        let (addresses, others, states) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            addresses,
            ledger,
            budget,
            health,
            stop_receivers,
            stop_others,
            receivers,
            pipelines,
            deliveries,
            states,
            others,
        }
    }

    /// Ends everything at once, as `kill -9` does. Gives the accounts as they were.
    pub(crate) async fn kill(mut self) -> Snapshot {
        let snapshot = self.ledger.snapshot();
        for task in self.receivers.iter_mut().chain(&mut self.pipelines).chain(&mut self.deliveries) {
            task.abort().await;
        }
        self.settled().await;
        snapshot
    }
}
