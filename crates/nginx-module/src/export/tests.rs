use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;

use rootspan_wire::otlp::write::put_bytes;

use super::*;

fn main_config(port: u16, lines: &[&str]) -> MainConfig {
    let mut exporter = ExporterConfig::default();
    let endpoint = format!("endpoint http://127.0.0.1:{port}/v1/traces");
    for line in [endpoint.as_str()].iter().chain(lines) {
        exporter.line(&line.split(' ').map(str::to_owned).collect::<Vec<_>>()).expect("valid");
    }
    MainConfig { exporter: Some(exporter), ..MainConfig::new() }
}

fn start(config: &MainConfig) -> Exporter {
    let exporter = config.exporter.as_ref().expect("there is one");
    Exporter::start(config, exporter, "host", |body| std::thread::Builder::new().spawn(body).map(drop))
        .expect("a thread")
}

/// A collector that gives each request's body length to the test and answers with what comes from it.
fn collector() -> (u16, mpsc::Receiver<usize>, mpsc::Sender<&'static str>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let (bodies, received) = mpsc::channel();
    let (answers, answer) = mpsc::channel::<&'static str>();
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let mut reader = BufReader::new(connection);
            let mut head = String::new();
            loop {
                head.clear();
                while !head.ends_with("\r\n\r\n") {
                    if reader.read_line(&mut head).unwrap_or(0) == 0 {
                        break;
                    }
                }
                let Some((_, length)) = head.split_once("Content-Length: ") else { break };
                let mut body = vec![0; length.trim().parse().expect("a number")];
                reader.read_exact(&mut body).expect("a whole body");
                let Ok(()) = bodies.send(body.len()) else { return };
                let Ok(text) = answer.recv() else { return };
                reader.get_mut().write_all(text.as_bytes()).expect("the exporter reads");
            }
        }
    });
    (port, received, answers)
}

const ACCEPT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

fn span(out: &mut Vec<u8>) {
    put_bytes(out, field::scope_spans::SPANS, &[0; 100]);
}

#[test]
fn a_full_batch_goes_at_once_and_the_rest_when_the_worker_ends() {
    let (port, received, answers) = collector();
    let config = main_config(port, &["interval 1h", "batch_size 2"]);
    let exporter = start(&config);
    for _ in 0..3 {
        exporter.add(1, span);
    }
    let full = received.recv().expect("a request");
    answers.send(ACCEPT).expect("the collector waits");
    answers.send(ACCEPT).expect("the collector waits");
    assert!(exporter.stop());
    let rest = received.recv().expect("another request");
    assert!((102..=104).contains(&(full - rest)), "one span more, and perhaps longer lengths: {full} {rest}");
    assert_eq!(exporter.losses().total(), 0);
}

#[test]
fn what_the_queue_cannot_hold_is_dropped_and_counted() {
    let (port, received, answers) = collector();
    let config = main_config(port, &["interval 1h", "batch_size 2", "batch_count 2"]);
    let exporter = start(&config);
    exporter.add(2, span);
    // This batch is under way and still counts.
    received.recv().expect("a request");
    exporter.add(2, span);
    exporter.add(1, span);
    assert_eq!(exporter.losses().queue_full.load(Ordering::Relaxed), 1);
    answers.send(ACCEPT).expect("the collector waits");
    answers.send(ACCEPT).expect("the collector waits");
    assert!(exporter.stop());
    assert_eq!(exporter.losses().total(), 1);
}

#[test]
fn a_busy_collector_gets_the_batch_again_a_refusing_one_does_not() {
    let (port, received, answers) = collector();
    let config = main_config(port, &["interval 1h", "batch_size 1"]);
    let exporter = start(&config);
    exporter.add(1, span);
    answers.send("HTTP/1.1 503 X\r\nContent-Length: 0\r\nRetry-After: 0\r\n\r\n").expect("the collector waits");
    let sizes = [received.recv().expect("a request"), received.recv().expect("the same again")];
    assert_eq!(sizes[0], sizes[1]);
    answers.send("HTTP/1.1 400 X\r\nContent-Length: 0\r\n\r\n").expect("the collector waits");
    assert!(exporter.stop());
    assert_eq!(exporter.losses().refused.load(Ordering::Relaxed), 1);
}

#[test]
fn a_collector_that_closed_an_idle_connection_costs_nothing() {
    let (port, received, answers) = collector();
    let config = main_config(port, &["interval 1h", "batch_size 1"]);
    let exporter = start(&config);
    // Kept by the exporter, closed by the collector's answer: the next request finds it dead.
    for _ in 0..2 {
        exporter.add(1, span);
        received.recv().expect("a request");
        answers.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").expect("the collector waits");
    }
    assert!(exporter.stop());
    assert_eq!(exporter.losses().total(), 0);
}

#[test]
fn nobody_there_is_counted_when_the_worker_ends() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound").port();
    let config = main_config(free, &["interval 1h"]);
    let exporter = start(&config);
    exporter.add(3, |out| (0..3).for_each(|_| span(out)));
    let started = Instant::now();
    exporter.stop();
    assert!(started.elapsed() < STOP_WITHIN + Duration::from_secs(2));
    assert_eq!(exporter.losses().unreachable.load(Ordering::Relaxed), 3);
}

#[test]
fn a_silent_collector_does_not_hold_the_worker() {
    // Accepts (the system does that) and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let config = main_config(listener.local_addr().expect("bound").port(), &["interval 1h", "batch_size 1"]);
    let exporter = start(&config);
    exporter.add(1, span);
    let started = Instant::now();
    exporter.stop();
    assert!(started.elapsed() < STOP_WITHIN + Duration::from_secs(2));
    assert_eq!(exporter.losses().total(), 1);
}

#[test]
fn the_resource_says_who_and_where() {
    let mut config = MainConfig::new();
    config.resource_attributes = vec![
        (resource::HOST_NAME.to_owned(), "given".to_owned()),
        (resource::SERVICE_NAME.to_owned(), "from attribute".to_owned()),
    ];
    let text = |config: &MainConfig| String::from_utf8_lossy(&request_prefix(config, "host").resource).into_owned();
    assert!(text(&config).contains("from attribute") && text(&config).contains("given"));
    config.service_name = Some("proxy".to_owned());
    assert!(text(&config).contains("proxy") && !text(&config).contains("from attribute"));
    assert!(text(&MainConfig::new()).contains("unknown_service:nginx") && text(&MainConfig::new()).contains("host"));
}

#[test]
fn partial_success_is_counted() {
    // partial_success { rejected_spans: 3, error_message: "no" }
    assert_eq!(rejected_spans(&[0x0a, 6, 0x08, 3, 0x12, 2, b'n', b'o']), 3);
    assert_eq!(rejected_spans(&[]), 0);
    assert_eq!(rejected_spans(b"{\"partialSuccess\":{}}"), 0);
    assert_eq!(rejected_spans(&[0x0a, 200, 1]), 0);
}
