//! What the disk itself costs: appends of a page with fdatasync, while something else goes on.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Appends 4 KiB and syncs, about fifty times a second, until it is stopped.
#[derive(Debug)]
pub(crate) struct Probe {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<std::io::Result<Vec<Duration>>>,
}

impl Probe {
    /// Starts on the file `path`.
    pub(crate) fn start(path: PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut file = std::fs::File::create(path)?;
            let page = [0x5a_u8; 4096];
            let mut latencies = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let started = Instant::now();
                file.write_all(&page)?;
                file.sync_data()?;
                latencies.push(started.elapsed());
                std::thread::sleep(Duration::from_millis(20));
            }
            latencies.sort_unstable();
            Ok(latencies)
        });
        Self { stop, thread }
    }

    /// Ends and gives the latencies, sorted.
    pub(crate) fn stop(self) -> anyhow::Result<Vec<Duration>> {
        self.stop.store(true, Ordering::Relaxed);
        let latencies = self.thread.join().map_err(|_| anyhow::anyhow!("the disk probe ended in a panic"))?;
        Ok(latencies?)
    }
}
