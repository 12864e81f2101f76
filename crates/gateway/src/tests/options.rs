//! Options of the OTLP servers: each does what it says, and each has a case in which it refuses.

use prost::Message as _;
use tokio::net::UnixStream;

use super::*;
use crate::net::tls::testing::Folder;

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// [`CONFIG`] with these keys of the HTTP server.
async fn with_http(keys: &str) -> Started {
    start_with(&CONFIG.replace("http: {endpoint: '127.0.0.1:0'", &format!("http: {{endpoint: '127.0.0.1:0', {keys}")))
        .await
}

#[tokio::test]
async fn a_page_may_send_from_where_it_is_allowed_and_is_told_before() {
    let cors = "cors: {allowed_origins: ['https://*.example.com'], allowed_headers: [X-Tenant], max_age: 600}";
    let auth = "auth: {authenticator: bearertokenauth}, response_headers: {X-Served-By: rootspan}";
    let yaml = CONFIG
        .replace("http: {endpoint: '127.0.0.1:0'", &format!("http: {{endpoint: '127.0.0.1:0', {cors}, {auth}"))
        .replace("extensions:\n  health", "extensions:\n  bearertokenauth: {token: open sesame}\n  health")
        .replace("extensions: [health_check]", "extensions: [health_check, bearertokenauth]");
    let gateway = start_with(&yaml).await;
    let address = gateway.address("otlp", "http");
    for (origin, is_allowed) in [("https://shop.example.com", true), ("https://example.org", false)] {
        let origin = ("Origin", origin);
        let asks = [
            origin,
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", "authorization, content-type"),
        ];
        let answer = http(address, "OPTIONS", "/v1/traces", &asks, b"").await;
        assert_eq!(answer.status, 204, "{answer:?}");
        assert!(!answer.head.contains("allow-origin"), "authorization is not among the headers: {answer:?}");
        let asks = [origin, asks[1], ("Access-Control-Request-Headers", "x-tenant, content-type")];
        let answer = http(address, "OPTIONS", "/v1/traces", &asks, b"").await;
        assert_eq!(answer.head.contains("access-control-allow-origin: https://shop.example.com"), is_allowed);
        assert_eq!(answer.head.contains("access-control-max-age: 600"), is_allowed);
        // The question needs no credentials, what is sent does.
        assert_eq!(http(address, "POST", "/v1/traces", &[origin, JSON], b"{}").await.status, 401);
        let sends = [origin, JSON, ("Authorization", "Bearer open sesame")];
        let answer = http(address, "POST", "/v1/traces", &sends, b"{}").await;
        assert_eq!(answer.status, 200, "a page that is not allowed cannot read the answer: {answer:?}");
        assert_eq!(answer.head.contains("access-control-allow-origin: https://shop.example.com"), is_allowed);
        assert!(answer.head.contains("x-served-by: rootspan"), "{answer:?}");
    }
    gateway.finish().await;
    let gateway = start().await;
    let asks = [("Origin", "https://shop.example.com"), ("Access-Control-Request-Method", "POST")];
    let answer = http(gateway.address("otlp", "http"), "OPTIONS", "/v1/traces", &asks, b"").await;
    assert_eq!(answer.status, 405, "without `cors` no page is asked");
    assert!(!answer.head.contains("x-served-by") && !answer.head.contains("access-control"), "{answer:?}");
    gateway.finish().await;
}

/// Sends a request that leaves the connection open; what comes until the gateway closes it.
async fn until_closed(gateway: &Started, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(gateway.address("otlp", "http")).await.expect("the gateway listens");
    stream.write_all(request).await.expect("the gateway reads");
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    tokio::time::timeout(Duration::from_secs(20), read).await.expect("the connection is closed").expect("is readable");
    String::from_utf8_lossy(&answer).into_owned()
}

const WHOLE: &[u8] =
    b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

#[tokio::test]
async fn connections_end_when_they_are_idle_slow_or_used_up() {
    for (keys, request, answer) in [
        ("idle_timeout: 10ms", WHOLE, "HTTP/1.1 200"),
        ("keep_alives_enabled: false", WHOLE, "HTTP/1.1 200"),
        ("idle_timeout: 10ms", b"", ""),
        ("read_header_timeout: 10ms", b"POST /v1/tr", ""),
        ("read_timeout: 10ms", &WHOLE[..WHOLE.len() - 1], "HTTP/1.1 408"),
    ] {
        let gateway = with_http(keys).await;
        let heard = until_closed(&gateway, request).await;
        assert!(heard.starts_with(answer), "{keys}: {heard}");
        gateway.finish().await;
    }
    let gateway = with_http("idle_timeout: 0s").await;
    let mut stream = TcpStream::connect(gateway.address("otlp", "http")).await.expect("the gateway listens");
    for _one_connection in 0..2 {
        stream.write_all(WHOLE).await.expect("the gateway reads");
        let mut answer = [0; 512];
        let length = stream.read(&mut answer).await.expect("the gateway answers");
        assert!(answer[..length].starts_with(b"HTTP/1.1 200"));
    }
    drop(stream);
    gateway.finish().await;
}

#[tokio::test]
async fn a_socket_in_the_file_system_serves_both_protocols() {
    let folder = Folder::new();
    let (grpc, http) = (folder.path("grpc.sock"), folder.path("http.sock"));
    let yaml = CONFIG
        .replace("grpc: {endpoint: '127.0.0.1:0'", &format!("grpc: {{transport: unix, endpoint: {}", grpc.display()))
        .replace("http: {endpoint: '127.0.0.1:0'", &format!("http: {{transport: unix, endpoint: {}", http.display()));
    // What a process that was killed left over does not stand in the way.
    drop(std::os::unix::net::UnixListener::bind(&grpc).expect("the folder takes sockets"));
    let gateway = start_with(&yaml).await;
    assert_eq!(gateway.running.address("otlp", "grpc"), None);
    let mut stream = UnixStream::connect(&http).await.expect("the gateway listens");
    stream.write_all(WHOLE).await.expect("the gateway reads");
    let mut answer = [0; 512];
    let length = stream.read(&mut answer).await.expect("the gateway answers");
    assert!(answer[..length].starts_with(b"HTTP/1.1 200"));
    let stream = UnixStream::connect(&grpc).await.expect("the gateway listens");
    let (_send, connection) = h2::client::handshake(stream).await.expect("the gateway speaks HTTP/2");
    drop(connection);
    drop(stream_end(&http).await);
    gateway.finish().await;
    assert!(!grpc.exists() && !http.exists(), "they go with the gateway");
}

/// A second gateway cannot take the socket of one that runs.
async fn stream_end(path: &std::path::Path) -> String {
    let address = crate::config::values::ListenAddress::Unix(path.to_owned());
    let bound = crate::net::listen::Listener::bind_any(
        &crate::net::listen::HandOver::default(),
        &address,
        "the receiver x",
        "k",
    )
    .await;
    let error = bound.expect_err("somebody listens there").to_string();
    assert!(error.contains("in use by another program"), "{error}");
    error
}

#[test]
fn transport_and_endpoint_belong_together() {
    for (keys, is_fine) in [
        ("transport: unix, endpoint: /run/x.sock", true),
        ("transport: unix, endpoint: 'localhost:1'", false),
        ("transport: tcp, endpoint: /run/x.sock", false),
        ("endpoint: /run/x.sock", false),
        ("transport: udp", false),
        ("transport: tcp4, endpoint: 'localhost:1'", true),
    ] {
        for protocol in ["grpc", "http"] {
            let yaml = format!(
                "receivers: {{otlp: {{protocols: {{{protocol}: {{{keys}}}}}}}}}\nexporters: {{debug: {{}}}}\n\
                 service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [debug]}}}}}}"
            );
            let loaded = load_with(&[Source::Text { name: "t".into(), text: yaml }], &|_| None);
            assert_eq!(loaded.is_ok(), is_fine, "{protocol} {keys}: {loaded:?}");
        }
    }
}

/// A gateway that writes what it knows of its clients into spans and resources.
async fn knowing(include_metadata: bool) -> Started {
    let yaml = CONFIG
        .replace("'127.0.0.1:0', max_re", &format!("'127.0.0.1:0', include_metadata: {include_metadata}, max_re"))
        .replace("http: {", "http: {auth: {authenticator: basicauth}, ")
        .replace("extensions:\n  health", "extensions:\n  basicauth: {htpasswd: {inline: 'ali:open sesame'}}\n  health")
        .replace("extensions: [health_check]", "extensions: [health_check, basicauth]")
        .replace("verbosity: normal", "verbosity: detailed")
        .replace(
            "exporters:\n",
            "processors:
  resource: {attributes: [{key: tenant, action: upsert, from_context: metadata.X-Tenant}]}
  attributes:
    actions:
      - {key: k, action: update, from_context: client.address}
      - {key: who, action: insert, from_context: auth.username}
      - {key: agent, action: insert, from_context: X-Agent}
      - {key: host, action: insert, from_context: metadata.host}
exporters:\n",
        )
        .replace("cloudfront], exporters", "cloudfront], processors: [resource, attributes], exporters");
    start_with(&yaml).await
}

#[tokio::test]
async fn what_is_known_of_a_client_can_be_written_into_its_spans() {
    let gateway = knowing(true).await;
    let body = request(&["told"]).encode_to_vec();
    let headers = [
        ("Content-Type", "application/x-protobuf"),
        ("Authorization", "Basic YWxpOm9wZW4gc2VzYW1l"),
        ("X-Tenant", "blue"),
        ("X-Tenant", "green"),
        ("X-Agent", "test"),
    ];
    let address = gateway.address("otlp", "http");
    assert_eq!(http(address, "POST", "/v1/traces", &headers, &body).await.status, 200);
    let printed = gateway.printed();
    for (key, value) in [
        ("tenant", "blue;green"),
        ("k", "127.0.0.1"),
        ("who", "ali"),
        ("agent", "test"),
        ("host", &address.to_string()),
    ] {
        let is_there = printed.lines().any(|line| line.contains(key) && line.contains(value));
        assert!(is_there, "{key}={value} is not in\n{printed}");
    }
    let grpc = gateway.address("otlp", "grpc");
    let mut client =
        opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient::connect(format!(
            "http://{grpc}"
        ))
        .await
        .expect("the gateway listens");
    let mut sent = tonic::Request::new(request(&["by grpc"]));
    sent.metadata_mut().insert("x-tenant", "red".parse().expect("is a value"));
    client.export(sent).await.expect("is accepted");
    assert!(gateway.printed().lines().any(|line| line.contains("tenant") && line.contains("red")));
    drop(client);
    gateway.finish().await;
}

#[tokio::test]
async fn without_include_metadata_headers_stay_outside() {
    let gateway = knowing(false).await;
    let body = request(&["told"]).encode_to_vec();
    let headers = [
        ("Content-Type", "application/x-protobuf"),
        ("Authorization", "Basic YWxpOm9wZW4gc2VzYW1l"),
        ("X-Tenant", "blue"),
    ];
    assert_eq!(http(gateway.address("otlp", "http"), "POST", "/v1/traces", &headers, &body).await.status, 200);
    let printed = gateway.printed();
    assert!(!printed.contains("blue") && !printed.contains("tenant"), "{printed}");
    assert!(printed.contains("ali") && printed.contains("127.0.0.1"), "{printed}");
    gateway.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_answer_pings_is_let_go() {
    let keepalive = "grpc: {keepalive: {server_parameters: {time: 10s, timeout: 5s}}, endpoint";
    let gateway = start_with(&CONFIG.replace("grpc: {endpoint", keepalive)).await;
    let mut stream = TcpStream::connect(gateway.address("otlp", "grpc")).await.expect("the gateway listens");
    // A client that says how it speaks, and then nothing more.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00").await.expect("it reads");
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await.expect("the connection is ended");
    let has_ping = heard.windows(4).any(|window| window == [0, 0, 8, 6]);
    assert!(has_ping, "a ping came first: {heard:?}");
    gateway.finish().await;
}
