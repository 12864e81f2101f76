//! nginx's log by file and by syslog, through the whole gateway.

use std::io::Write as _;
use std::os::unix::net::UnixDatagram;

use super::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn line(number: u64) -> String {
    format!(
        "{{\"request_id\":\"{number:016x}a1a2a3a4a5a6a7a8\",\"traceparent\":\"00-{TRACE}-a1a2a3a4a5a6a7a8-01\",\"msec\":\"17.5\",\
         \"request_time\":\"0.1\",\"request_method\":\"GET\"}}"
    )
}

fn config(receiver: &str) -> String {
    config_with(receiver, "extensions:\nservice:\n")
}

fn config_with(receiver: &str, extensions_and_service: &str) -> String {
    format!(
        "receivers:\n  nginxlog: {{{receiver}}}\nexporters:\n  debug: {{verbosity: normal}}\n{extensions_and_service}\
         \x20 telemetry: {{metrics: {{address: '127.0.0.1:0'}}}}\n\
         \x20 pipelines:\n    traces: {{receivers: [nginxlog], exporters: [debug]}}\n"
    )
}

/// What was printed, once there are so many spans; batches have lines of their own.
async fn printed(started: &Started, spans: usize) -> String {
    let reached = async {
        while started.printed().matches("\nnginx GET ").count() < spans {
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), reached).await;
    assert!(in_time.is_ok(), "{}", started.printed());
    started.printed()
}

#[tokio::test]
async fn a_file_is_followed_and_a_restart_goes_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = folder.path().join("access.log");
    let receiver = format!("include: ['{}'], storage: file_storage, poll_interval: 10ms", log.display());
    let extensions = format!(
        "extensions: {{file_storage: {{directory: '{}'}}}}\nservice:\n  extensions: [file_storage]\n",
        folder.path().join("storage").display()
    );
    let config = config_with(&receiver, &extensions);
    let append = |text: &str| {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&log).expect("the folder is ours");
        file.write_all(text.as_bytes()).expect("there is room");
    };
    append(&format!("{}\nno request\n", line(1)));
    let started = start_with(&config).await;
    let text = printed(&started, 1).await;
    assert!(text.contains(&format!("nginx GET {TRACE} 0000000000000001 server")), "{text}");
    append(&format!("{}\n", line(2)));
    printed(&started, 2).await;
    // Lines are counted once their spans are settled, which is after they are printed.
    for (outcome, count) in [("span", 2), ("bad", 1), ("refused", 0)] {
        let sample = format!("rootspan_nginxlog_lines_total{{receiver=\"nginxlog\",outcome=\"{outcome}\"}} {count}\n");
        let reached = async {
            while !http(started.address("metrics", "http"), "GET", "/metrics", &[], b"").await.text().contains(&sample)
            {
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(20), reached).await.is_ok(), "{sample}");
    }
    assert_eq!(started.ledger().receivers[0].accepted, 2);
    started.finish().await;
    append(&format!("{}\n", line(3)));
    let started = start_with(&config).await;
    let text = printed(&started, 1).await;
    assert!(text.contains("0000000000000003") && !text.contains("0000000000000002"), "{text}");
    started.finish().await;
}

#[tokio::test]
async fn datagrams_come_by_udp_and_by_a_path() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("nginx.sock");
    let receiver = format!("syslog: {{udp: '127.0.0.1:0', unix: '{}'}}", path.display());
    let started = start_with(&config(&receiver)).await;
    let udp = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    let to = started.address("nginxlog", "udp");
    let datagram = format!("<190>Nov 25 22:18:04 web-1 nginx: {}", line(1));
    udp.send_to(datagram.as_bytes(), to).await.expect("it is sent");
    let unix = UnixDatagram::unbound().expect("a socket");
    unix.send_to(format!("<190>Nov 25 22:18:04 nginx: {}", line(2)).as_bytes(), &path).expect("it is sent");
    unix.send_to(b"<190>Nov 25 22:18:04 nginx: hello", &path).expect("it is sent");
    let text = printed(&started, 2).await;
    assert!(text.contains("0000000000000001") && text.contains("0000000000000002"), "{text}");
    // A second one at the same path is refused; one that was left is replaced.
    let source = Source::Text { name: "test".to_owned(), text: config(&receiver) };
    let again = load_with(&[source], &|_| None).unwrap_or_else(|problems| panic!("{problems}"));
    let environment =
        Environment { stores: HashMap::new(), clock: clock::system(), store_tail_bytes: 0, debug_output: None };
    let refused = Gateway::start(&again, environment).await.expect_err("somebody listens there");
    assert!(refused.is_address_in_use(), "{refused}");
    unix.send_to(format!("<190>Nov 25 22:18:04 nginx: {}", line(3)).as_bytes(), &path).expect("it is still there");
    printed(&started, 3).await;
    started.finish().await;
    assert!(!path.exists());
    drop(std::os::unix::net::UnixDatagram::bind(&path).expect("an old socket is left"));
    start_with(&config(&receiver)).await.finish().await;
}
