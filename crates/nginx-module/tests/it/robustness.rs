//! What must not break: every bug that the prototype of this module had, and what proxies meet.

use std::io::{Read, Write};
use std::net::TcpListener;

use rootspan_model::span::SpanKind;

use crate::collector::{Collector, Span};
use crate::server::{Nginx, Setup, has};
use crate::upstream::Upstream;

/// Everything traced, `/` proxied.
fn traced(upstream: &Upstream, more: &str) -> String {
    format!(
        "otel_trace on; otel_trace_context propagate; otel_propagators tracecontext b3 b3multi xray;\n\
         location / {{ proxy_pass http://127.0.0.1:{}; }}\n{more}",
        upstream.port
    )
}

#[track_caller]
fn only(collector: &Collector) -> Span {
    let spans = collector.wait(1);
    assert_eq!(spans.len(), 1, "{spans:#?}");
    spans.into_iter().next().expect("one")
}

#[test]
fn http_0_9_has_no_header_list() {
    let (collector, upstream) = (Collector::start(), Upstream::start());
    let server = traced(&upstream, "");
    let nginx = Nginx::start(&collector, Setup { server: &server, ..Setup::default() });
    assert!(nginx.raw("GET /x\r\n").ends_with("ok"));
    let span = only(&collector);
    assert_eq!((span.name.as_str(), span.attribute("network.protocol.version")), ("GET /", "0.9"));
    let heard = upstream.only();
    assert!(heard.header("traceparent").contains(&span.trace_id));
    assert!(heard.header("b3").contains(&span.span_id));
    assert_eq!(nginx.stop().matches("exited on signal").count(), 0);
}

#[test]
fn bytes_that_are_not_utf8() {
    let (collector, upstream) = (Collector::start(), Upstream::start());
    let server = traced(&upstream, "otel_span_attr agent $http_user_agent;");
    let nginx = Nginx::start(&collector, Setup { server: &server, ..Setup::default() });
    let request = [b"GET /\xff\xfe?q=\x80 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUser-Agent: caf\xe9\r\ntraceparent: \xff\r\ntracestate: \xff\r\nb3: \xe9\r\nX-Amzn-Trace-Id: Root=\xe9\r\n\r\n".as_slice()].concat();
    assert!(nginx.raw(request).starts_with("HTTP/1.1 200"));
    let span = only(&collector);
    assert_eq!(span.attribute("user_agent.original"), "caf\u{fffd}");
    assert_eq!(span.attribute("agent"), "caf\u{fffd}");
    assert_eq!(span.attribute("url.path"), "/\u{fffd}\u{fffd}");
    assert_eq!(span.parent_id, "");
    nginx.stop();
}

#[test]
fn an_uri_of_seven_kilobytes() {
    let (collector, upstream) = (Collector::start(), Upstream::start());
    let server = traced(&upstream, "");
    let nginx = Nginx::start(&collector, Setup { server: &server, ..Setup::default() });
    let path = format!("/{}", "long".repeat(1_750));
    assert!(nginx.get(&path, &[]).starts_with("HTTP/1.1 200"));
    let span = only(&collector);
    assert_eq!(span.attribute("url.path"), path.split_at(4_096).0);
    assert!(upstream.only().line.contains(&path));
    nginx.stop();
}

#[test]
fn a_malformed_request_never_comes_to_a_location() {
    let (collector, upstream) = (Collector::start(), Upstream::start());
    let server = traced(&upstream, "");
    let nginx = Nginx::start(&collector, Setup { server: &server, ..Setup::default() });
    for (request, status) in [
        ("garbage\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"),
        ("GET / HTTP/9.9\r\nHost: a\r\n\r\n", "505"),
    ] {
        let answer = nginx.raw(request);
        assert!(answer.contains(&format!("<title>{status} ")), "{request}: {answer}");
    }
    let spans = collector.wait(4);
    let statuses: Vec<_> = spans.iter().map(|span| span.attribute("http.response.status_code")).collect();
    assert_eq!(statuses, ["400", "400", "400", "505"]);
    assert_eq!(spans[0].attribute("http.request.method"), "_OTHER");
    assert!(upstream.heard().is_empty());
    nginx.stop();
}

#[test]
fn an_error_page_in_a_named_location_is_one_span() {
    let (collector, upstream) = (Collector::start(), Upstream::start());
    let more = format!(
        "location /broken {{ error_page 418 = @page; return 418; }} location @page {{ proxy_pass http://127.0.0.1:{}; }}",
        upstream.port
    );
    let server = traced(&upstream, &more);
    let nginx = Nginx::start(&collector, Setup { server: &server, ..Setup::default() });
    assert!(nginx.get("/broken", &[]).starts_with("HTTP/1.1 200"));
    let span = only(&collector);
    assert_eq!((span.name.as_str(), span.attribute("http.response.status_code")), ("GET /broken", "200"));
    assert_eq!(upstream.only().header("traceparent"), format!("00-{}-{}-03", span.trace_id, span.span_id));
    assert_eq!(span.attribute("url.path"), "/broken");
    nginx.stop();
}

#[test]
fn rewrites_and_redirects_within_are_one_span() {
    let (collector, upstream) = (Collector::start(), Upstream::start());
    let more = "rewrite ^/server/(.*) /late/$1; location /late { rewrite ^ /last last; } location /last { return 200 x; }\
                location = /moved { return 301 /; }";
    let server = traced(&upstream, more);
    let nginx = Nginx::start(&collector, Setup { server: &server, ..Setup::default() });
    assert!(nginx.get("/server/1", &[]).ends_with('x'));
    assert!(nginx.get("/moved", &[]).contains(" 301 "));
    let spans = collector.wait(2);
    let seen: Vec<_> = spans.iter().map(|span| (span.name.as_str(), span.attribute("url.path"))).collect();
    assert_eq!(seen, [("GET /last", "/server/1"), ("GET /moved", "/moved")]);
    nginx.stop();
}

#[test]
fn a_redirect_of_the_whole_server_is_a_span() {
    let collector = Collector::start();
    let server = "otel_trace on; return 301 https://example.org$request_uri;";
    let nginx = Nginx::start(&collector, Setup { server, ..Setup::default() });
    assert!(nginx.get("/a", &[]).contains(" 301 "));
    assert_eq!(only(&collector).attribute("http.response.status_code"), "301");
    nginx.stop();
}

#[test]
fn subrequests_belong_to_their_request() {
    let (collector, upstream) = (Collector::start(), Upstream::start());
    let auth = if has("http_auth_request_module") { "auth_request /auth;" } else { "mirror /auth;" };
    let more = format!(
        "log_subrequest on; location /private {{ {auth} mirror /copy; proxy_pass http://127.0.0.1:{port}; }}\n\
         location = /auth {{ internal; proxy_pass http://127.0.0.1:{port}; }}\n\
         location = /copy {{ internal; proxy_pass http://127.0.0.1:{port}; }}",
        port = upstream.port
    );
    let server = traced(&upstream, &more);
    let nginx = Nginx::start(&collector, Setup { server: &server, ..Setup::default() });
    assert!(nginx.get("/private", &["traceparent: 00-x"]).starts_with("HTTP/1.1 200"));
    let log = nginx.stop();
    let span = only(&collector);
    assert_eq!(span.name, "GET /private");
    let heard = upstream.heard();
    assert_eq!(heard.len(), 3, "{heard:#?} {log}");
    for request in heard {
        assert_eq!(request.header("traceparent"), format!("00-{}-{}-03", span.trace_id, span.span_id));
    }
}

#[test]
fn many_headers_and_stale_ones_in_every_place() {
    let (collector, upstream) = (Collector::start(), Upstream::start());
    let server = format!(
        "otel_trace on; otel_trace_context propagate; large_client_header_buffers 8 16k;\n\
         location / {{ proxy_pass http://127.0.0.1:{}; }}",
        upstream.port
    );
    let nginx = Nginx::start(&collector, Setup { server: &server, ..Setup::default() });
    let stale =
        ["b3: 0", "X-B3-TraceId: 1", "X-B3-SpanId: 2", "X-B3-ParentSpanId: 3", "X-B3-Sampled: 1", "X-B3-Flags: 1"];
    // The list of headers is in parts of twenty: with every number of others, and with stale ones first, last, between and
    // doubled, the cuts fall on every place of a part.
    for count in 0..44 {
        for shift in [0, 1, count / 2, count] {
            let mut headers: Vec<String> = (0..count).map(|index| format!("X-Other-{index}: {index}")).collect();
            // Without a traceparent that could be replaced one is added behind the cuts.
            let replaced: &[&str] = if count % 2 == 0 { &["traceparent: x", "traceparent: y"] } else { &[] };
            for (index, header) in stale.iter().chain(&stale).chain(replaced).enumerate() {
                headers.insert((shift + index * (shift % 3)).min(headers.len()), (*header).to_owned());
            }
            let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
            let before = upstream.heard().len();
            assert!(nginx.get("/", &headers).starts_with("HTTP/1.1 200"));
            let heard = upstream.heard().swap_remove(before);
            for index in 0..count {
                assert_eq!(heard.header(&format!("x-other-{index}")), index.to_string(), "{count} {shift} {heard:#?}");
            }
            assert_eq!(heard.header("traceparent").len(), 55, "{count} {shift} {heard:#?}");
            let left: Vec<_> = heard.headers.keys().filter(|name| name.contains("b3")).collect();
            assert!(left.is_empty(), "{count} {shift}: {left:?}");
            assert_eq!(heard.header("user-agent"), "");
            // Host, Connection, traceparent: nothing else was invented.
            assert_eq!(heard.headers.len(), count + 3, "{heard:#?}");
        }
    }
    nginx.stop();
}

#[test]
fn headers_are_cut_where_there_is_nothing_else() {
    let (collector, upstream) = (Collector::start(), Upstream::start());
    let server = traced(&upstream, "location /w3c { otel_propagators tracecontext; proxy_pass http://127.0.0.1:1; }");
    let server = server.replace("127.0.0.1:1;", &format!("127.0.0.1:{};", upstream.port));
    let nginx = Nginx::start(&collector, Setup { server: &server, ..Setup::default() });
    assert!(nginx.raw("GET /w3c HTTP/1.0\r\nb3: 0\r\n\r\n").starts_with("HTTP/1.1 200"));
    let heard = upstream.only();
    assert_eq!((heard.header("b3"), heard.header("traceparent").len()), ("", 55));
    nginx.stop();
}

#[test]
fn websockets_pass_and_are_one_span() {
    let collector = Collector::start();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().expect("nginx connects");
        let mut received = Vec::new();
        let mut buffer = [0; 1024];
        while !received.ends_with(b"\r\n\r\n") {
            let count = connection.read(&mut buffer).expect("a request");
            received.extend_from_slice(&buffer[..count]);
        }
        connection
            .write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nfrom upstream",
            )
            .expect("nginx reads");
        let count = connection.read(&mut buffer).expect("data of the client");
        connection.write_all(&buffer[..count]).expect("nginx reads");
    });
    let server = format!(
        "otel_trace on; otel_trace_context propagate; otel_client_span on; location / {{ proxy_http_version 1.1;\n\
         proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; proxy_pass http://127.0.0.1:{port}; }}"
    );
    let nginx = Nginx::start(&collector, Setup { server: &server, ..Setup::default() });
    let answer = nginx.raw(
        "GET /socket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nfrom client",
    );
    assert!(answer.starts_with("HTTP/1.1 101") && answer.ends_with("from upstreamfrom client"), "{answer}");
    let spans = collector.wait(2);
    assert_eq!(spans.iter().map(|span| span.kind).collect::<Vec<_>>(), [SpanKind::Server, SpanKind::Client]);
    assert!(spans.iter().all(|span| span.attribute("http.response.status_code") == "101"), "{spans:#?}");
    nginx.stop();
}

#[test]
fn fastcgi_gets_the_context_as_a_parameter() {
    let collector = Collector::start();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let (parameters, received) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().expect("nginx connects");
        let mut buffer = vec![0; 65_536];
        let mut count = 0;
        // The request ends with an empty record of type STDIN (5).
        while !buffer[..count].windows(8).any(|record| record[..2] == [1, 5] && record[4..6] == [0, 0]) {
            count += connection.read(&mut buffer[count..]).expect("a request");
        }
        parameters.send(String::from_utf8_lossy(&buffer[..count]).into_owned()).expect("the test waits");
        let body = b"Status: 201 Created\r\n\r\nfast";
        let mut answer = vec![1, 6, 0, 1, 0, u8::try_from(body.len()).expect("short"), 0, 0];
        answer.extend_from_slice(body);
        answer.extend_from_slice(&[1, 3, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        connection.write_all(&answer).expect("nginx reads");
    });
    let server = format!(
        "otel_trace on; otel_trace_context propagate; otel_client_span on; location / {{ fastcgi_pass 127.0.0.1:{port}; }}"
    );
    let nginx = Nginx::start(&collector, Setup { server: &server, ..Setup::default() });
    assert!(nginx.get("/f", &[]).contains("201 Created"));
    let spans = collector.wait(2);
    let text = received.recv().expect("parameters");
    let client = &spans[1];
    assert!(text.contains(&format!("HTTP_TRACEPARENT00-{}-{}-03", client.trace_id, client.span_id)), "{text:?}");
    assert_eq!((client.attribute("http.response.status_code"), client.attribute("url.full")), ("201", ""));
    nginx.stop();
}

#[test]
fn valgrind_finds_nothing() {
    let (collector, upstream) = (Collector::start(), Upstream::start());
    let more = "location /a { error_page 418 = @page; return 418; } location @page { rewrite ^ /b last; }\
                location /b { otel_span_attr id $otel_trace_id; otel_propagators tracecontext; proxy_pass http://127.0.0.1:PORT; }"
        .replace("PORT", &upstream.port.to_string());
    let server = traced(&upstream, &format!("otel_client_span on; {more}"));
    let under = ["valgrind", "--quiet", "--error-exitcode=9", "--log-file=valgrind.%p"];
    let nginx = Nginx::start(&collector, Setup { server: &server, under: &under, ..Setup::default() });
    let headers =
        ["b3: 0", "X-B3-Flags: 1", "A: 1", "traceparent: x", "traceparent: y", "tracestate: ot=th:8", "X-B3-SpanId: 1"];
    for path in ["/", "/a", "/b?sig=1", "/status/502", "/close"] {
        for headers in [&headers[..], &[]] {
            let answer = nginx.get(path, headers);
            assert!(answer.starts_with("HTTP/1.1 "), "{path}: {answer} {}", nginx.log());
        }
    }
    nginx.raw("GET /x\r\n");
    nginx.raw("garbage\r\n\r\n");
    collector.wait(1);
    let folder = nginx.folder().to_owned();
    // Master and worker have a log each.
    let logs = nginx.stop_and(|| {
        let files = std::fs::read_dir(folder).expect("the folder is ours").flatten();
        let files = files.filter(|file| file.file_name().to_string_lossy().starts_with("valgrind."));
        files.map(|file| std::fs::read_to_string(file.path()).expect("valgrind writes it")).collect::<Vec<_>>()
    });
    assert_eq!(logs, ["", ""]);
    assert_eq!(collector.spans().iter().filter(|span| span.kind == SpanKind::Server).count(), 12);
}
