//! The demo compares the local CloudFront's own ledger with the traces that it reads back, and says whether they agree.

use std::net::TcpListener;

use crate::process::{Ended, Process, rootspan};
use crate::wait::eventually;

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

#[test]
fn an_address_that_was_asked_for_does_not_move() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it is bound").to_string();
    for option in ["--cdn", "--upstream", "--downstream", "--ui", "--otlp-grpc", "--otlp-http", "--firehose"] {
        let ended = demo(&["--requests", "1", "--exit", option, &address]).end();
        assert!(!ended.status.success(), "{option}: {}", ended.stdout);
        let said: Vec<_> = ended.stderr.lines().collect();
        let sentence =
            format!("rootspan: {address} is in use by another program; stop it or give {option} another address");
        assert_eq!(said, [sentence], "{option}");
    }
}

#[test]
fn a_default_port_that_is_taken_is_named() {
    // The demos of other tests have it for a moment.
    let _taken = eventually("the port is ours", || TcpListener::bind("127.0.0.1:8082").ok());
    let ended = demo(&["--requests", "1", "--exit"]).end();
    assert!(ended.status.success(), "{}\n{}", ended.stdout, ended.stderr);
    let line = "port 8082 is taken by another program: --downstream is 127.0.0.1:";
    assert!(ended.stdout.contains(line), "{}", ended.stdout);
}

#[test]
fn no_traffic_at_all_is_refused() {
    for (option, value) in
        [("--rate", "0"), ("--rate", "-1"), ("--rate", "NaN"), ("--rate", "inf"), ("--requests", "0")]
    {
        let ended = demo(&[&format!("{option}={value}")]).end();
        assert!(!ended.status.success(), "{option} {value}");
        assert!(ended.stderr.contains(&format!("invalid value '{value}' for '{option}")), "{}", ended.stderr);
    }
}
