//! Deliveries as log files, in a folder that the receiver looks at, and on standard input.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use rootspan_edge::emulator::{LogForm, Packing};

use super::{Form, Way};
use crate::http::get;
use crate::process::{ACCESS_KEY, Process, Site, rootspan};
use crate::wait::eventually;

/// A form in which lines are in files.
pub(super) const fn form(name: &'static str, log: fn() -> LogForm, is_nameless: bool, way: Way) -> Form {
    Form { name, log, packing: Packing::Lines, is_nameless, way }
}

/// Lets the receiver read files instead of listening.
pub(super) fn configure(site: &Site, way: Way, folder: &Path) {
    let files = match way {
        Way::Firehose => return,
        Way::Folder => {
            let folder = folder.display();
            format!("files: {{include: ['{folder}/**/*'], exclude: ['{folder}/**/*.unfinished'], poll_interval: 20ms}}")
        }
        Way::Stdin => "files: {stdin: true}".to_owned(),
    };
    let listening = format!("endpoint: \"127.0.0.1:0\", access_key: {ACCESS_KEY}");
    let text = std::fs::read_to_string(site.config()).expect("just written");
    assert!(text.contains(&listening), "{text}");
    std::fs::write(site.config(), text.replace(&listening, &files)).expect("it can be written");
}

/// Starts rootspan with all files on its standard input, as `zcat` gives them.
pub(super) fn start_reading(site: &Site, folder: &Path) -> Process {
    let path = site.path("all.log");
    std::fs::write(&path, texts(folder).concat()).expect("it can be written");
    let input = File::open(&path).expect("just written");
    let process = Process::spawn_reading(rootspan().arg("run").arg("--config").arg(site.config()), input);
    process.wait_until_ready();
    process.wait_for_log("standard input has ended");
    process
}

/// Waits until each record in the folder has become something.
pub(super) fn wait_until_read(gateway: &Process, folder: &Path) {
    let texts = texts(folder).concat();
    let records = texts.lines().filter(|line| !line.starts_with('#')).count() as u64;
    assert!(records > 0, "nothing was delivered");
    eventually("the files are read", || {
        let metrics = get(gateway.address("metrics", "http"), "/metrics").text();
        let counts = metrics.lines().filter(|line| line.starts_with("rootspan_cloudfront_records_total"));
        let read: u64 = counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum();
        assert!(read <= records, "{read} of {records}: something was read twice");
        (read == records).then_some(())
    });
}

/// What is in the files of a folder.
fn texts(folder: &Path) -> Vec<String> {
    let mut paths = Vec::new();
    list(folder, &mut paths);
    paths.sort();
    let read = |path: &PathBuf| {
        let mut text = String::new();
        let mut file = flate2::read::MultiGzDecoder::new(File::open(path).expect("it is there"));
        file.read_to_string(&mut text).expect("log files are compressed text");
        text
    };
    paths.iter().map(read).collect()
}

fn list(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() { list(&path, paths) } else { paths.push(path) }
    }
}
