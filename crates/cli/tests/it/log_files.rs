//! Log files that cannot be read, and standard input that goes on for a while.

use std::io::Write as _;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::api;
use crate::http::get;
use crate::process::{ACCESS_KEY, Process, Setup, Site, rootspan};
use crate::wait::eventually;

const LOG: &str = include_str!("../../../../testdata/cloudfront/standard-v1.log");

/// Replaces the way in.
fn configure(site: &Site, files: &str) {
    let listening = format!("endpoint: \"127.0.0.1:0\", access_key: {ACCESS_KEY}");
    let text = std::fs::read_to_string(site.config()).expect("just written");
    std::fs::write(site.config(), text.replace(&listening, files)).expect("it can be written");
}

fn roots(process: &Process) -> usize {
    api::search(process.ui(), r#"{ resource.service.name = "cloudfront" }"#, "").len()
}

#[test]
fn a_file_that_cannot_be_read_is_said_once_and_stops_nobody() {
    let site = Site::new(Setup { cloudfront: true, ..Setup::default() });
    let folder = site.path("logs");
    std::fs::create_dir(&folder).expect("the folder is ours");
    configure(&site, &format!("files: {{include: ['{}/*'], poll_interval: 10ms}}", folder.display()));
    std::fs::write(folder.join("a.gz"), b"\x1f\x8bthis is no gzip at all").expect("it can be written");
    let mut process = site.start();
    process.expect("a file cannot be read");
    let line = process.wait_for_log("a file cannot be read");
    assert!(line.contains("a.gz") && line.contains("exclude"), "with its path and what to do: {line}");
    std::fs::write(folder.join("b.log"), LOG).expect("it can be written");
    eventually("the other file is read", || (roots(&process) == 3).then_some(()));
    process.terminate();
    let ended = process.end();
    assert_eq!(ended.stderr.matches("a file cannot be read").count(), 1, "{}", ended.stderr);
}

/// What is written into it comes out of a pipe.
fn piped_cat() -> (Child, ChildStdout) {
    let mut cat =
        Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("every system has cat");
    let pipe = cat.stdout.take().expect("it is piped");
    (cat, pipe)
}

#[test]
fn standard_input_is_read_as_it_comes_and_its_end_ends_nothing_else() {
    let site = Site::new(Setup { cloudfront: true, ..Setup::default() });
    configure(&site, "files: {stdin: true}");
    let (mut cat, pipe) = piped_cat();
    let process = Process::spawn_reading(rootspan().arg("run").arg("--config").arg(site.config()), pipe);
    process.wait_until_ready();
    let mut input = cat.stdin.take().expect("it is piped");
    input.write_all(LOG.as_bytes()).expect("cat reads");
    drop(input);
    process.wait_for_log("standard input has ended");
    assert!(cat.wait().expect("it has ended").success());
    assert_eq!(roots(&process), 3, "all of it was settled before");
    assert_eq!(get(process.address("health_check", "http"), "/").status, 200);
    process.stop();

    // One that never ends holds nobody up.
    let (mut cat, pipe) = piped_cat();
    let process = Process::spawn_reading(rootspan().arg("run").arg("--config").arg(site.config()), pipe);
    process.wait_until_ready();
    process.stop();
    drop(cat.stdin.take());
    cat.wait().expect("it ends");
}
