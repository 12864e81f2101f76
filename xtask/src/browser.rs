//! The demo's own traces in a real browser: imports an hour of access logs, starts the demo beside them, runs the page test
//! against it, ends it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};

use crate::{setup, stage};

/// Every address of the demo, moved to a free port.
const ADDRESSES: [&str; 9] =
    ["cdn", "upstream", "downstream", "ui", "otlp-grpc", "otlp-http", "firehose", "health", "metrics"];

/// Starts `binary demo` on free ports and drives Chromium through its pages; screenshots go to docs/images.
pub(crate) fn run(binary: &Path) -> anyhow::Result<()> {
    let root = setup::root()?;
    let folder = setup::target_folder(&root).join("browser");
    import_an_hour(binary, &root, &folder)?;
    let mut command = Command::new(binary);
    command.args(["demo", "--rate", "20", "--data"]).arg(folder.join("data"));
    for address in ADDRESSES {
        command.arg(format!("--{address}")).arg("127.0.0.1:0");
    }
    let child = command.stdout(Stdio::piped()).spawn().context("the demo cannot be started")?;
    let mut demo = Demo(child);
    let output = demo.0.stdout.take().context("the demo's output is a pipe")?;
    // Held until the end: a program whose output nobody reads any more is told so.
    let mut lines = BufReader::new(output).lines();
    let url = loop {
        let Some(line) = lines.next() else { bail!("the demo ended before it printed its address") };
        if let Some((_, url)) = line?.split_once("traces ") {
            break url.trim().trim_end_matches('/').to_owned();
        }
    };
    let images = root.join("docs/images");
    let outcome = stage::run(
        Command::new("npm")
            .args(["run", "--silent", "test:demo", "--", &url])
            .arg(images)
            .current_dir(root.join("web")),
    );
    drop(demo);
    drop(lines);
    outcome
}

/// Fills a store with an hour of access logs: a demo of a minute shows nothing over time.
fn import_an_hour(binary: &Path, root: &Path, folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let log = stage::output(Command::new("node").arg(root.join("web/test/logs.mjs")))?;
    let file = folder.join("hour.json");
    std::fs::write(&file, log).with_context(|| format!("cannot write {}", file.display()))?;
    stage::run(Command::new(binary).arg("import").arg(&file).arg("--data").arg(folder.join("data")))
}

/// A demo that does not outlive the test.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        // It may have ended by itself, which the test has reported then.
        let _asked = Command::new("kill").arg(self.0.id().to_string()).status();
        let _reaped = self.0.wait();
    }
}
