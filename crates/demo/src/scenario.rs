//! Named scenarios: the same traffic with a fault injected into a service.

use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A scenario that `rootspan demo --scenario NAME` plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Mixed traffic; everything works, apart from the errors that belong to the mix.
    Steady,
    /// Queries of `products` lose their index: each takes a fifth of a second longer.
    SlowDb,
    /// Every third call of `downstream` fails.
    DownstreamErrors,
}

impl Scenario {
    /// Every scenario, in the order of the help text.
    pub const ALL: [Self; 3] = [Self::Steady, Self::SlowDb, Self::DownstreamErrors];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::SlowDb => "slow-db",
            Self::DownstreamErrors => "downstream-errors",
        }
    }

    /// What an operator should be able to find out from the traces.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Steady => "mixed traffic: hits, misses, errors at the edge and at the origin, slow reports",
            Self::SlowDb => "product queries take 200 ms longer in the database",
            Self::DownstreamErrors => "every third call of downstream fails with 503",
        }
    }
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|scenario| scenario.name() == name).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|scenario| scenario.name()).collect();
            format!("no scenario is called {name:?}; there are {}", known.join(", "))
        })
    }
}

/// The faults of a scenario, asked at the places where they strike. Counted, not drawn: two runs are alike.
#[derive(Debug)]
pub struct Faults {
    scenario: Scenario,
    downstream_calls: AtomicU64,
    queries: AtomicU64,
}

/// How long statements take in a database that is not in memory, in turn: mostly short, now and then not.
const QUERY_MILLIS: [u64; 8] = [4, 7, 5, 11, 6, 4, 23, 8];

impl Faults {
    /// The faults of `scenario`.
    pub const fn new(scenario: Scenario) -> Self {
        Self { scenario, downstream_calls: AtomicU64::new(0), queries: AtomicU64::new(0) }
    }

    /// How long a statement on `table` takes beside its own work.
    pub fn query_delay(&self, table: &str) -> Duration {
        let turn = self.queries.fetch_add(1, Ordering::Relaxed) % QUERY_MILLIS.len() as u64;
        let usual = QUERY_MILLIS[usize::try_from(turn).unwrap_or_default()];
        let fault = match self.scenario {
            Scenario::SlowDb if table == "products" => 200,
            Scenario::SlowDb | Scenario::Steady | Scenario::DownstreamErrors => 0,
        };
        Duration::from_millis(usual + fault)
    }

    /// Whether this call of the downstream service fails.
    pub fn downstream_fails(&self) -> bool {
        let call = self.downstream_calls.fetch_add(1, Ordering::Relaxed);
        match self.scenario {
            Scenario::DownstreamErrors => call % 3 == 2,
            Scenario::Steady | Scenario::SlowDb => false,
        }
    }
}
