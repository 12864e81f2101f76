use super::*;

fn head(text: &str) -> Option<Head> {
    Head::parse(text.as_bytes()).ok()
}

#[test]
fn heads_of_responses() {
    let plain = Head { status: 200, content_length: Some(2), keeps_alive: true, retry_after: None };
    assert_eq!(head("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"), Some(plain));
    let closing =
        Head { status: 503, content_length: None, keeps_alive: false, retry_after: Some(Duration::from_secs(3)) };
    assert_eq!(head("HTTP/1.1 503 X\r\nRetry-After: 3\r\nConnection: Close\r\n\r\n"), Some(closing));
    assert_eq!(
        head("HTTP/1.0 204 X\r\n\r\n").map(|head| (head.content_length, head.keeps_alive)),
        Some((Some(0), false))
    );
    for broken in ["", "HTTP/2 200\r\n", "HTTP/1.1 abc\r\n", "SSH-2.0-x\r\n"] {
        assert_eq!(head(broken), None, "{broken}");
    }
}
