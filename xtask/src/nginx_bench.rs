//! `cargo xtask bench nginx`: what the module costs, in CPU time of the worker for each request.
//!
//! Two nginx with one worker each, one without the module, on the first core; wrk, the servers behind and the collector on the others.
//! Variants take turns, so that what else the machine does falls on all of them. CPU time is the scheduler's, of all threads of
//! the worker, until the last span is delivered: the export is in it. Requests per second depend on the load generator's core and
//! are not compared.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::setup::{self, Program};
use crate::{nginx_module, stage};

const WRK: Program = Program { name: "wrk", package: "wrk", purpose: "makes the load" };

/// Seconds of load of one measurement.
const SECONDS: u64 = 3;

/// Measurements of each variant; the median counts. One more, the first, is not counted.
const ROUNDS: usize = 7;

/// What is measured: a name, whether the module is loaded, the path, spans for each request.
const VARIANTS: [(&str, bool, &str, u64); 6] = [
    ("return 200, no module", false, "/return", 0),
    ("return 200, SERVER", true, "/return", 1),
    ("proxy_pass, no module", false, "/proxy", 0),
    ("proxy_pass, module loaded, off", true, "/off", 0),
    ("proxy_pass, SERVER", true, "/proxy", 1),
    ("proxy_pass, SERVER + CLIENT", true, "/client", 2),
];

/// Which variant each is compared with.
const BASES: [usize; 6] = [0, 0, 2, 2, 2, 2];

/// Builds the module, measures, prints the table.
pub(crate) fn run() -> anyhow::Result<()> {
    setup::ensure(&[WRK])?;
    let module = nginx_module::build_installed()?;
    let folder = setup::target_folder(&setup::root()?).join("nginx-bench");
    std::fs::create_dir_all(&folder)?;
    let spans = collector()?;
    let backend = Nginx::start(&folder.join("backend"), "1", "", "", "location / { return 200 hello; }")?;
    let upstream = format!("upstream backend {{ server 127.0.0.1:{}; keepalive 64; }}", backend.port);
    let proxy = "proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection '';";
    let plain_locations = format!("location /return {{ return 200 hello; }} location / {{ {proxy} }}");
    let plain = Nginx::start(&folder.join("plain"), "0", "", &upstream, &plain_locations)?;
    let exporter = format!(
        "otel_exporter {{ endpoint http://127.0.0.1:{}/v1/traces; interval 1s; batch_size 512; batch_count 64; }}\n\
         otel_service_name proxy; {upstream}",
        spans.port
    );
    let traced_locations = format!(
        "otel_trace on; otel_trace_context propagate; location /return {{ return 200 hello; }} location / {{ {proxy} }}\n\
         location /off {{ otel_trace off; otel_trace_context ignore; {proxy} }} location /client {{ otel_client_span on; {proxy} }}"
    );
    let load = format!("load_module {};", module.display());
    let traced = Nginx::start(&folder.join("traced"), "0", &load, &exporter, &traced_locations)?;
    let mut nanos = vec![Vec::new(); VARIANTS.len()];
    let (mut expected, mut delivered) = (0, 0);
    for round in 0..=ROUNDS {
        for index in 0..VARIANTS.len() {
            // Each round begins elsewhere.
            let index = (index + round) % VARIANTS.len();
            let (_, has_module, path, per_request) = VARIANTS[index];
            let nginx = if has_module { &traced } else { &plain };
            let before = spans.count.load(Ordering::SeqCst);
            let (requests, cpu) = nginx.measure(path, || spans.settle(before, per_request))?;
            expected += requests * per_request;
            delivered += spans.count.load(Ordering::SeqCst) - before;
            if round > 0 {
                nanos[index].push(cpu as f64 / requests as f64);
            }
        }
        eprintln!("round {round} of {ROUNDS}");
    }
    println!("{:<32} {:>12} {:>9}", "nginx worker, 100 % sampled", "CPU µs/req", "more");
    for (index, (name, ..)) in VARIANTS.iter().enumerate() {
        // Compared within each round: what the machine did meanwhile falls on both.
        let pairs = nanos[index].iter().zip(&nanos[BASES[index]]);
        let more = (median(pairs.map(|(with, without)| with / without).collect()) - 1.0) * 100.0;
        let more = if BASES[index] == index { String::new() } else { format!("{more:+.1} %") };
        println!("{name:<32} {:>12.2} {more:>9}", median(nanos[index].clone()) / 1_000.0);
    }
    println!("spans delivered: {delivered} of {expected}");
    println!(
        "resident memory of the worker: {} kB without, {} kB with the module",
        plain.resident()?,
        traced.resident()?
    );
    drop(traced);
    drop(plain);
    under_faults(&folder, &load, &spans)?;
    println!(
        "nginx's own module, measured the same way on a quiet machine: +16.0 % (return 200), +13.1 % (proxy_pass)"
    );
    Ok(())
}

/// What the module does when the world is not well: workers are replaced under load; the collector is dead.
fn under_faults(folder: &Path, load: &str, spans: &Collector) -> anyhow::Result<()> {
    let exporter = |port: u16| {
        format!(
            "otel_exporter {{ endpoint http://127.0.0.1:{port}/v1/traces; interval 1s; batch_size 512; batch_count 64; }}\n\
             otel_service_name proxy;"
        )
    };
    let locations = "otel_trace on; otel_trace_context propagate; location / { return 200 hello; }";
    let nginx = Nginx::start(&folder.join("reloaded"), "0", load, &exporter(spans.port), locations)?;
    let before = spans.count.load(Ordering::SeqCst);
    let master = nginx.process.id().to_string();
    let reloads = std::thread::spawn(move || -> anyhow::Result<()> {
        for _ in 0..2 {
            std::thread::park_timeout(Duration::from_secs(1));
            stage::output(Command::new("kill").args(["-HUP", &master]))?;
        }
        Ok(())
    });
    let requests = nginx.wrk("/", 4)?;
    reloads.join().map_err(|_| anyhow::anyhow!("the reloads ended in a panic"))??;
    let delivered = spans.settle(before, 1);
    // wrk does not count what was under way on its connections when it ended or they were closed.
    println!("two reloads under load: {requests} requests, {delivered} spans delivered (the rest was under way)");
    drop(nginx);

    // Bound and closed again: nobody listens there.
    let dead = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let nginx = Nginx::start(&folder.join("dead"), "0", load, &exporter(dead), locations)?;
    let begin = nginx.resident()?;
    let mut sizes = Vec::new();
    let mut requests = 0;
    for _ in 0..3 {
        requests += nginx.wrk("/", SECONDS)?;
        sizes.push(format!("{} kB", nginx.resident()?));
    }
    let sizes = sizes.join(", ");
    println!(
        "collector dead: {requests} requests, none failed; resident {begin} kB at first, then every {SECONDS} s {sizes}"
    );
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// nginx with one worker on one core, until it is dropped.
struct Nginx {
    port: u16,
    process: Child,
}

impl Nginx {
    fn start(folder: &Path, core: &str, main: &str, http: &str, locations: &str) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path temp_{kind};"))
            .concat();
        let config = format!(
            "{main}\ndaemon off; worker_processes 1; pid nginx.pid; error_log error.log warn;\n\
             events {{ worker_connections 1024; }}\nhttp {{ {temp} access_log off; keepalive_requests 100000000;\n{http}\n\
             server {{ listen 127.0.0.1:{port}; {locations} }} }}\n"
        );
        std::fs::write(folder.join("nginx.conf"), config)?;
        let process = Command::new("taskset")
            .args(["-c", core, "nginx", "-e", "error.log", "-c", "nginx.conf", "-p"])
            .arg(folder)
            .env("NGINX", "0;")
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .spawn()
            .context("cannot start nginx")?;
        let nginx = Self { port, process };
        let started = Instant::now();
        while nginx.worker().is_none() {
            anyhow::ensure!(
                started.elapsed() < Duration::from_secs(10),
                "nginx does not start: see {}",
                folder.display()
            );
            std::thread::yield_now();
        }
        Ok(nginx)
    }

    fn worker(&self) -> Option<u32> {
        let pid = self.process.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    }

    /// Nanoseconds on a core of all threads of the worker.
    fn cpu(&self) -> anyhow::Result<u64> {
        let worker = self.worker().context("nginx has ended")?;
        let mut sum = 0;
        for task in std::fs::read_dir(format!("/proc/{worker}/task"))? {
            let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
            sum +=
                text.split(' ').next().and_then(|nanos| nanos.parse::<u64>().ok()).context("schedstat has numbers")?;
        }
        Ok(sum)
    }

    fn resident(&self) -> anyhow::Result<u64> {
        let worker = self.worker().context("nginx has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{worker}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("status has VmRSS")?;
        line.trim().trim_end_matches(" kB").parse().context("VmRSS is a number")
    }

    /// Requests that were answered, and CPU time until `settle` returns.
    fn measure(&self, path: &str, settle: impl FnOnce() -> u64) -> anyhow::Result<(u64, u64)> {
        let before = self.cpu()?;
        let requests = self.wrk(path, SECONDS)?;
        settle();
        Ok((requests, self.cpu()? - before))
    }

    /// Load for so many seconds; gives the number of requests, all of which were answered well.
    fn wrk(&self, path: &str, seconds: u64) -> anyhow::Result<u64> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let duration = format!("{seconds}s");
        let said =
            stage::output(Command::new("taskset").args(["-c", "1", "wrk", "-t1", "-c32", "-d", &duration, &url]))?;
        anyhow::ensure!(!said.contains("Non-2xx"), "requests failed: {said}");
        let requests = said.lines().find_map(|line| line.trim().split_once(" requests in ")).context("wrk counts")?.0;
        Ok(requests.parse()?)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // taskset became nginx, so this is the master.
        drop(Command::new("kill").arg(self.process.id().to_string()).status());
        drop(self.process.wait());
    }
}

/// Counts spans.
struct Collector {
    port: u16,
    count: Arc<AtomicU64>,
}

impl Collector {
    /// Waits until no span has come for longer than the exporter's interval; gives how many came since `before`.
    fn settle(&self, before: u64, per_request: u64) -> u64 {
        let mut last = (self.count.load(Ordering::SeqCst), Instant::now());
        while per_request > 0 && last.1.elapsed() < Duration::from_millis(1_300) {
            std::thread::park_timeout(Duration::from_millis(20));
            let now = self.count.load(Ordering::SeqCst);
            if now != last.0 {
                last = (now, Instant::now());
            }
        }
        self.count.load(Ordering::SeqCst) - before
    }
}

fn collector() -> anyhow::Result<Collector> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let counted = Arc::clone(&counted);
            std::thread::spawn(move || receive(connection, &counted));
        }
    });
    Ok(Collector { port, count })
}

/// Answers every request with success, until the connection ends.
fn receive(connection: TcpStream, count: &AtomicU64) -> Option<()> {
    let mut reader = BufReader::new(connection);
    let mut head = String::new();
    loop {
        head.clear();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let length = head.split_once("Content-Length: ")?.1.trim().parse().ok()?;
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        count.fetch_add(spans(&body, &[1, 2, 2]), Ordering::SeqCst);
        reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").ok()?;
    }
}

/// Messages at the end of a path of field numbers: `resource_spans`, `scope_spans`, `spans`. Only what the module writes is understood:
/// fields of length.
fn spans(mut message: &[u8], path: &[u8]) -> u64 {
    let Some((wanted, deeper)) = path.split_first() else { return 1 };
    let mut count = 0;
    while let Some((tag, rest)) = message.split_first() {
        let (mut length, mut shift, mut at) = (0_usize, 0, 0);
        while let Some(byte) = rest.get(at) {
            length |= usize::from(byte & 0x7f) << shift;
            (shift, at) = (shift + 7, at + 1);
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (Some(body), true) = (rest.get(at..at + length), tag & 7 == 2) else { break };
        if tag >> 3 == *wanted {
            count += spans(body, deeper);
        }
        message = rest.get(at + length..).unwrap_or_default();
    }
    count
}
