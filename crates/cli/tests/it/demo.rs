//! The demo compares the local CloudFront's own ledger with the traces that it reads back, and says whether they agree.

use crate::process::{Ended, Process, rootspan};

fn demo(arguments: &[&str]) -> Process {
    Process::spawn(rootspan().arg("demo").args(arguments))
}

fn check_agrees(ended: &Ended) {
    assert!(ended.status.success(), "{}\n{}\n{}", ended.status, ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("40 requests sent"), "{}", ended.stdout);
}

/// Both want the same default ports; the second moves.
#[test]
fn two_demos_at_once_agree_with_their_ledgers() {
    let arguments = ["--requests", "40", "--exit"];
    let demos = [demo(&arguments), demo(&arguments)];
    for ended in demos.map(Process::end) {
        check_agrees(&ended);
    }
}

#[test]
fn a_sampled_demo_agrees_with_its_ledger() {
    check_agrees(&demo(&["--requests", "40", "--exit", "--sampling-rate", "0.3"]).end());
}

#[test]
fn a_stopped_demo_ends_well_and_leaves_no_folder() {
    let process = demo(&["--rate", "20"]);
    process.wait_for_output("traces      http://");
    process.stop();
}
