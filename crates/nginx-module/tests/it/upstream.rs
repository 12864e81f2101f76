//! An HTTP server behind nginx that tells what it heard.
//!
//! The answer's body has the request's line and headers, one a line, names in lower case. The path decides about more: `/status/N`
//! answers N, `/close` closes without an answer, `/garbage` answers something that is not HTTP.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What one request said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    pub(crate) line: String,
    /// Several values of a header are joined by `|`.
    pub(crate) headers: BTreeMap<String, String>,
}

impl Heard {
    /// A header; empty if there was none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// The server; its threads end with the test process.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) port: u16,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&heard);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let heard = Arc::clone(&shared);
                std::thread::spawn(move || serve(connection, &heard));
            }
        });
        Self { port, heard }
    }

    /// All requests so far.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().expect("no panic").clone()
    }

    /// The only request so far.
    #[track_caller]
    pub(crate) fn only(&self) -> Heard {
        let heard = self.heard();
        assert_eq!(heard.len(), 1, "{heard:#?}");
        heard.into_iter().next().expect("one")
    }
}

fn serve(mut connection: TcpStream, heard: &Mutex<Vec<Heard>>) {
    let mut reader = BufReader::new(connection.try_clone().expect("a second handle"));
    let mut request = Heard::default();
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).unwrap_or(0) > 0 {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        line.clear();
        if request.line.is_empty() {
            request.line = text;
            continue;
        }
        let Some((name, value)) = text.split_once(':') else { break };
        let entry = request.headers.entry(name.to_ascii_lowercase()).or_default();
        if !entry.is_empty() {
            entry.push('|');
        }
        entry.push_str(value.trim());
    }
    if request.line.is_empty() {
        return;
    }
    heard.lock().expect("no panic").push(request.clone());
    let path = request.line.split(' ').nth(1).unwrap_or_default();
    let status = path.strip_prefix("/status/").and_then(|status| status.get(..3)).unwrap_or("200");
    let answer = match path {
        "/close" => return,
        "/garbage" => "this is not HTTP\r\n\r\n".to_owned(),
        _ => format!("HTTP/1.1 {status} X\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"),
    };
    // Whoever asked may have gone away.
    drop(connection.write_all(answer.as_bytes()));
}
