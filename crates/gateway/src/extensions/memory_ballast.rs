//! `memory_ballast`: retired by the collector, still in many files. Accepted, with one warning.

use crate::config;

config! {
    /// Retired; has no effect.
    pub struct MemoryBallastConfig {}
    ignored {
        "size_mib": "there is no garbage collector",
        "size_in_percentage": "there is no garbage collector",
    }
}
