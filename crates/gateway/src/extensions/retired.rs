//! Extensions that stand in many files of the collector and have no work here. Each is accepted as it is, with one
//! warning that says why nothing runs.

/// Type and reason.
pub(crate) const REASONS: &[(&str, &str)] = &[
    ("memory_ballast", "it is retired, and there is no garbage collector"),
    ("pprof", "there is no Go runtime to profile; `perf` profiles rootspan"),
    ("zpages", "`/debug/pipelines` beside the metrics shows what runs"),
    ("cgroup_runtime", "rootspan reads the control group's limits itself"),
    ("cgroupruntime", "rootspan reads the control group's limits itself"),
];
