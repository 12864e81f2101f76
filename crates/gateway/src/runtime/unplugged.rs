//! A gateway without sockets, for the simulation.

use std::sync::Arc;

use super::Running;
use crate::budget::Budget;
use crate::clock::Clock;
use crate::extensions::health_check::Health;
use crate::ledger::{Ledger, Snapshot};
use crate::net::stop::Stopper;
use crate::tasks::Task;

impl Running {
    /// What runs between the sockets, without them: for the simulation.
    pub(crate) fn without_sockets(
        (ledger, budget, clock): (Arc<Ledger>, Arc<Budget>, Clock),
        stop_receivers: Stopper,
        tasks: [Vec<Task>; 3],
    ) -> Self {
        let mut running = Self::with_accounts(ledger, budget, Arc::new(Health::new(clock)));
        running.stop_simulation = Some(stop_receivers);
        running.draining = tasks.into_iter().flatten().collect();
        running
    }

    /// Ends everything at once, as `kill -9` does. Gives the accounts as they were.
    pub(crate) async fn kill(mut self) -> Snapshot {
        let snapshot = self.ledger.snapshot();
        for task in &mut self.draining {
            task.abort().await;
        }
        self.settled().await;
        snapshot
    }
}
