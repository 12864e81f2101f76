//! Each target for about a second, with fixed seeds, and everything that once broke it.

use crate::{Fuzzer, target, targets};

fn check(name: &str) {
    let fuzzer = Fuzzer::new(target(name).expect("it is a target"));
    let outcome = fuzzer.try_regressions();
    let outcome = outcome.and_then(|()| (0..fuzzer.target.usual_inputs).try_for_each(|seed| fuzzer.try_seed(seed)));
    outcome.unwrap_or_else(|broken| panic!("{broken}"));
}

macro_rules! each_target {
    ($($name:ident)+) => {
        $(#[test] fn $name() { check(stringify!($name)); })+

        #[test]
        fn every_target_is_tried() {
            let tried = [$(stringify!($name)),+];
            assert!(targets::ALL.iter().map(|target| target.name).eq(tried));
        }
    };
}

each_target! {
    otlp_traces otlp_metrics otlp_logs otlp_json cloudfront firehose decompress sockets journal store config traceql
    edge_settings propagation
}

#[test]
fn a_seed_is_always_the_same_input() {
    for target in targets::ALL {
        let fuzzer = Fuzzer::new(target);
        for seed in [0, 1_000_000, u64::MAX] {
            assert_eq!(fuzzer.input(seed), Fuzzer::new(target).input(seed), "{}", target.name);
        }
    }
}
