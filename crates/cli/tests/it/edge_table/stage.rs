//! The emulated CloudFront with the functions and policies that the cases need, and an origin behind it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rootspan_edge::emulator::{
    Behavior, Config, Delivery, Destination, Emulator, ErrorPage, Failover, Functions, LedgerEntry, LogForm,
    PROTOCOL_HEADER, Running, V2Format, ViewerProtocol, WafRule,
};
use tokio::runtime::Runtime;

use super::cases::{Case, Sending};
use super::functions::Attached;
use crate::wait::PATIENCE;

/// A request that the origin got.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) traceparent: String,
}

/// What the origin got so far.
pub(crate) type Arrivals = Arc<(Mutex<Vec<Seen>>, Condvar)>;

pub(super) struct Stage {
    runtime: Runtime,
    running: Running,
    arrivals: Arrivals,
    ended: u64,
}

impl Stage {
    /// Also writes all records into `folder`, to see what they say.
    pub(super) fn start(delivery: Delivery, folder: &Path, behind: Duration) -> Self {
        Self::with(Attached::CustomData.functions(), vec![delivery], folder, behind)
    }

    /// With any functions and any deliveries.
    pub(super) fn with(functions: Functions, mut deliveries: Vec<Delivery>, folder: &Path, behind: Duration) -> Self {
        let (origin, arrivals) = start_origin();
        deliveries.push(Delivery {
            gzip: false,
            ..Delivery::new(LogForm::standard_v2(V2Format::Json), Destination::Folder(folder.to_owned()))
        });
        let behavior = |pattern: &str| Behavior { path_pattern: pattern.to_owned(), ..Behavior::default() };
        // Port 9 is "discard": nobody listens on it.
        let nobody = Some("http://127.0.0.1:9".to_owned());
        let origin = format!("http://{origin}");
        let second = Failover { origin: origin.clone(), statuses: vec![500, 502, 503, 504] };
        let page = ErrorPage {
            page: Some("/errors/503.html".to_owned()),
            ..ErrorPage::cached_for(503, Duration::from_secs(60))
        };
        let config = Config {
            origin,
            functions,
            behaviors: vec![
                Behavior { viewer_protocol: ViewerProtocol::RedirectToHttps, ..behavior("/secure/*") },
                Behavior { origin: nobody.clone(), failover: Some(second), ..behavior("/group/*") },
                Behavior { origin: nobody, ..behavior("/unreachable/*") },
                Behavior { runs_functions: false, ..behavior("/bare/*") },
            ],
            error_pages: vec![page],
            waf: vec![WafRule { path_pattern: Some("/blocked/*".to_owned()), ..WafRule::default() }],
            clock_behind: behind,
            deliveries,
            ..Config::default()
        };
        let runtime = Runtime::new().expect("a runtime can be made");
        let running = runtime.block_on(Emulator::start(config)).expect("the emulator starts");
        Self { runtime, running, arrivals, ended: 0 }
    }

    /// Sends a case's request and waits for its end.
    pub(super) fn visit(&mut self, case: &Case) {
        let repeats = if case.send == Sending::Twice { 2 } else { 1 };
        for _ in 0..repeats {
            self.send(case);
            self.ended += 1;
            self.runtime.block_on(self.running.ended(self.ended));
        }
    }

    fn send(&self, case: &Case) {
        let mut viewer = TcpStream::connect(self.running.address).expect("the emulator listens");
        viewer.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
        let (method, protocol) = match case.send {
            Sending::Trace => ("TRACE", "https"),
            Sending::Plain => ("GET", "http"),
            Sending::Get
            | Sending::Twice
            | Sending::TooLong
            | Sending::TooManyHeaders
            | Sending::LeavesBefore
            | Sending::LeavesWithin => ("GET", "https"),
        };
        let query = if case.send == Sending::TooLong { "x".repeat(8192) } else { "limit=5".to_owned() };
        let long = if case.send == Sending::TooManyHeaders { "x".repeat(20_480) } else { String::new() };
        let request = format!(
            "{method} {}?{query} HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n{PROTOCOL_HEADER}: {protocol}\r\nX-Long: {long}\r\n\r\n",
            case.path
        );
        viewer.write_all(request.as_bytes()).expect("it is sent");
        match case.send {
            Sending::LeavesBefore => self.wait_for_origin(case.path),
            Sending::LeavesWithin => viewer.read_exact(&mut [0; 1024]).expect("the response begins"),
            Sending::Get
            | Sending::Twice
            | Sending::Plain
            | Sending::TooLong
            | Sending::TooManyHeaders
            | Sending::Trace => {
                let mut answer = Vec::new();
                viewer.read_to_end(&mut answer).expect("the response is whole");
                if case.log.is_none() {
                    let status = answer.get(9..12).unwrap_or_default();
                    assert!(status.starts_with(b"4"), "{}: refused, and not logged", String::from_utf8_lossy(&answer));
                }
            }
        }
    }

    fn wait_for_origin(&self, path: &str) {
        let (seen, arrived) = &*self.arrivals;
        let is_missing = |seen: &mut Vec<Seen>| !seen.iter().any(|seen| seen.path == path);
        let seen = seen.lock().expect("not poisoned");
        let (_seen, waited) = arrived.wait_timeout_while(seen, PATIENCE, is_missing).expect("not poisoned");
        assert!(!waited.timed_out(), "the origin was not asked for {path}");
    }

    /// Delivers what waits; gives the ledger and what the origin got.
    pub(super) fn stop(self) -> (Vec<LedgerEntry>, Vec<Seen>) {
        let summary = self.runtime.block_on(self.running.shutdown());
        for counts in &summary.deliveries {
            assert_eq!(counts.delivered, counts.posted, "every record is acknowledged: {counts:?}");
        }
        let seen = self.arrivals.0.lock().expect("not poisoned").clone();
        (summary.ledger, seen)
    }
}

/// Starts an origin that answers by path.
pub(crate) fn start_origin() -> (SocketAddr, Arrivals) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let arrivals = Arrivals::default();
    let shared = Arc::clone(&arrivals);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let arrivals = Arc::clone(&shared);
            std::thread::spawn(move || {
                // The emulator may leave at any time: it is closed when its viewer leaves.
                let _gone = answer(stream, &arrivals);
            });
        }
    });
    (address, arrivals)
}

fn answer(mut stream: TcpStream, arrivals: &Arrivals) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().ok_or(std::io::ErrorKind::UnexpectedEof)??;
    let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let path = target.split('?').next().unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let value = |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
    let (traceparent, is_known) = (value("traceparent").unwrap_or_default(), value("if-none-match").is_some());
    let (seen, arrived) = &**arrivals;
    seen.lock().expect("not poisoned").push(Seen { path: path.clone(), target, headers, traceparent });
    arrived.notify_all();
    let (status, headers, body) = match path.as_str() {
        "/hit" => ("200 OK", "Cache-Control: max-age=60\r\n", "kept"),
        "/refresh" if is_known => ("304 Not Modified", "Cache-Control: max-age=0\r\nETag: \"1\"\r\n", ""),
        "/refresh" => ("200 OK", "Cache-Control: max-age=0\r\nETag: \"1\"\r\n", "kept"),
        "/elsewhere" => ("302 Found", "Location: /new\r\n", ""),
        "/missing" | "/gone" => ("404 Not Found", "", "missing"),
        "/broken" => ("500 Internal Server Error", "", "broken"),
        "/page" => ("503 Service Unavailable", "", "plain"),
        "/never" => {
            // Until the emulator closes the connection.
            stream.read_to_end(&mut Vec::new())?;
            return Ok(());
        }
        "/endless" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n")?;
            loop {
                stream.write_all(&[b'x'; 16 * 1024])?;
            }
        }
        _ => ("200 OK", "", "ok"),
    };
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}
