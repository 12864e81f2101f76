//! A real server on a port of the system's choice, over a store in memory.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::routing::get as get_route;
use http::StatusCode;
use rootspan_model::ids::TraceId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Bind, Config, Ingest, Server, StartError, State, connections};
use crate::client::{Client, ClientError, SearchParameters};
use crate::guard::Auth;
use crate::queries::Queries;
use crate::task::spawn;
use crate::testing::{START, fetch, get, ingest, request, serve, store};

fn config(bind: Bind, auth: Option<Auth>) -> Config {
    Config { bind, allowed_hosts: Vec::new(), auth, tls: None }
}

fn state() -> State {
    State { store: store(), ingest_figures: Arc::new(Ingest::default) }
}

fn trace_id(number: u16) -> TraceId {
    let mut bytes = [0xEE; 16];
    bytes[..2].copy_from_slice(&number.to_be_bytes());
    TraceId::new(bytes)
}

#[tokio::test]
async fn a_port_in_use_is_one_clear_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address");
    let error = Server::start(config(Bind::Address(address), None), state()).expect_err("taken");
    assert!(matches!(error, StartError::PortInUse(port) if port == address));
    let text = format!("port {} of 127.0.0.1 is in use by another program; ", address.port());
    assert!(error.to_string().starts_with(&text), "{error}");
}

#[tokio::test]
async fn beyond_loopback_without_credentials_is_worth_a_warning() {
    let everywhere = || Bind::Address("0.0.0.0:0".parse().expect("an address"));
    let open = Server::start(config(everywhere(), None), state()).expect("a free port");
    assert!(open.warning().is_some_and(|text| text.contains("extensions.ui.auth")));
    let auth = Auth::Bearer { token: "t".to_owned() };
    let closed = Server::start(config(everywhere(), Some(auth)), state()).expect("a free port");
    assert_eq!(closed.warning(), None);
    let own = Bind::Listener(TcpListener::bind("127.0.0.1:0").expect("a free port"));
    assert_eq!(Server::start(config(own, None), state()).expect("bound already").warning(), None);
}

#[tokio::test]
async fn what_is_not_there_says_so_in_json() {
    let server = serve(&store(), None);
    for path in ["/api", "/api/", "/api/v1", "/api/v1/nothing", "/api/v2/search", "/jaeger/api/services"] {
        let answer = get(&server, path).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (StatusCode::NOT_FOUND, "application/json"),
            "{path}"
        );
        assert!(answer.error().contains("there is nothing at"), "{path}");
    }
    for path in ["/api/v1/search", "/", "/trace/1"] {
        let answer = fetch(&server, "POST", path, &[]).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(answer.error(), "POST is not possible here");
        assert_eq!(answer.header("allow"), "GET, HEAD", "{path}");
    }
    assert_eq!(get(&server, "/trace/1").await.header("content-type"), "text/html; charset=utf-8");
}

#[tokio::test]
async fn hostile_requests_on_the_socket() {
    let server = serve(&store(), None);
    let huge = format!("GET / HTTP/1.1\r\nHost: localhost\r\nCookie: {}\r\n\r\n", "x".repeat(100_000));
    for (request, status) in [
        ("GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "200"),
        ("GET /api/v1/status HTTP/1.1\r\nHost: rebound.example\r\nConnection: close\r\n\r\n", "403"),
        ("GET http://rebound.example/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "403"),
        ("GET /api/v1/status HTTP/1.1\r\nConnection: close\r\n\r\n", "400"),
        ("GET /api/v1/status HTTP/1.0\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nConnection: close\r\n\r\n", "400"),
        ("\x16\x03\x01 this is TLS\r\n\r\n", "400"),
        (huge.as_str(), "431"),
    ] {
        let mut stream = TcpStream::connect(server.address()).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        // The server may close before it has read everything, which resets the connection after the answer.
        let _reset = stream.read_to_end(&mut answer).await;
        let line = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
        assert!(line.contains(&format!(" {status} ")), "{line} for {}", request.get(..60).unwrap_or(request));
    }
}

#[tokio::test]
async fn mistakes_in_a_search_are_named() {
    let server = serve(&store(), None);
    for (query, part) in [
        ("from=1", "there is no parameter \"from\""),
        ("limit=0", "limit=\"0\" is not a number from 1 to 1000"),
        ("limit=1001", "limit=\"1001\""),
        ("limit=x", "limit=\"x\""),
        ("start=1764061200000", "start=\"1764061200000\" is not a point in time"),
        ("start=20&end=10", "start is later than end"),
        ("cursor=AAAA", "the cursor is not one of this query"),
    ] {
        let answer = get(&server, &format!("/api/v1/search?{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        assert!(answer.error().contains(part), "{}", answer.error());
    }
    // { name = "ü" && }
    let answer = get(&server, "/api/v1/search?q=%7B%20name%20%3D%20%22%C3%BC%22%20%26%26%20%7D").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let position = &answer.json()["error"]["position"];
    assert_eq!((&position["offset"], &position["line"], &position["column"]), (&17.into(), &1.into(), &17.into()));
}

#[tokio::test]
async fn credentials_are_asked_for_everywhere() {
    let auth = Auth::Basic { username: "ada".to_owned(), password: "secret".to_owned() };
    let server = serve(&store(), Some(auth.clone()));
    for path in ["/", "/api/v1/services", "/assets/x.js", "/api/v1/nothing"] {
        let answer = get(&server, path).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
        assert!(answer.header("www-authenticate").starts_with("Basic"));
    }
    let base = format!("http://{}", server.address());
    let client = Client::new(&base, Some(&auth)).expect("an address");
    assert_eq!(client.services().await.expect("allowed"), [""; 0]);
    let stranger = Client::new(&base, None).expect("an address");
    let error = stranger.services().await.expect_err("not allowed");
    assert_eq!(error.to_string(), "credentials are missing or wrong (HTTP 401)");
}

#[tokio::test]
async fn figures_of_gateway_and_store_are_joined() {
    let store = store();
    ingest(&store, request(trace_id(1), &["a"])).await;
    let server = serve(&store, None);
    let client = Client::new(&server.address().to_string(), None).expect("an address");
    let status = client.status().await.expect("an answer");
    assert_eq!((status.spans_received, status.dropped_spans, status.refused_spans), (5, 2, 1));
    assert_eq!(status.newest_span_unix_nano, Some((START.0 + 1_000_000).to_string()));
    assert!(status.last_ingest_unix_nano.is_some());
    assert_eq!(status.version, env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn pages_together_are_the_whole_set() {
    let store = store();
    for number in 0..50 {
        ingest(&store, request(trace_id(number), &["GET /", if number % 5 == 0 { "rare" } else { "usual" }])).await;
    }
    let server = serve(&store, None);
    let client = Client::new(&format!("http://{}", server.address()), None).expect("an address");
    for (query, expected) in [("{}", 50), ("{ name = \"rare\" }", 10), ("{ name = \"absent\" }", 0)] {
        let mut parameters =
            SearchParameters { query: query.to_owned(), limit: Some(7), ..SearchParameters::default() };
        let (mut seen, mut pages) = (Vec::new(), 0);
        loop {
            let page = client.search(&parameters).await.expect("an answer");
            assert!(page.traces.len() <= 7 && page.partial.is_none());
            seen.extend(page.traces.into_iter().map(|row| row.trace_id));
            pages += 1;
            assert!(pages <= 20, "paging does not end");
            parameters.cursor = page.next_cursor;
            if parameters.cursor.is_none() {
                break;
            }
        }
        let distinct: BTreeSet<&String> = seen.iter().collect();
        assert_eq!((seen.len(), distinct.len()), (expected, expected), "{query}");
        parameters.limit = Some(1000);
        let whole = client.search(&parameters).await.expect("an answer");
        let whole: Vec<String> = whole.traces.into_iter().map(|row| row.trace_id).collect();
        assert_eq!(seen, whole, "{query}");
    }
}

#[tokio::test]
async fn a_row_describes_its_trace() {
    let store = store();
    ingest(&store, request(trace_id(1), &["GET /", "child"])).await;
    let server = serve(&store, None);
    let client = Client::new(&format!("http://{}", server.address()), None).expect("an address");
    let row = client.search(&SearchParameters::default()).await.expect("an answer").traces.remove(0);
    assert_eq!((row.root_service.as_str(), row.root_name.as_str(), row.root_missing), ("shop", "GET /", false));
    assert_eq!(row.start_time_unix_nano, (START.0 + 1_000_000).to_string());
    assert_eq!((row.duration_nanos, row.span_count, row.error_count), (3_000_000, 2, 0));
    assert_eq!((row.derived_ids, row.backend_not_recorded), (false, false));
    assert_eq!((row.services.len(), row.services[0].spans), (1, 2));
    assert_eq!(client.operations("shop").await.expect("an answer"), ["GET /", "child"]);
}

#[tokio::test]
async fn spans_of_a_trace() {
    let store = store();
    ingest(&store, request(trace_id(1), &["GET /", "child"])).await;
    let server = serve(&store, None);
    let base = format!("/api/v1/traces/{}", trace_id(1));
    let span = get(&server, &format!("{base}/spans/2")).await;
    assert_eq!(span.status, StatusCode::OK);
    assert_eq!((&span.json()["name"], &span.json()["service"]), (&"child".into(), &"shop".into()));
    let absent = get(&server, &format!("{base}/spans/ffffffffffffffff")).await;
    assert_eq!(absent.status, StatusCode::NOT_FOUND);
    assert!(absent.error().contains("has no span ffffffffffffffff"));
    assert_eq!(get(&server, &format!("{base}/spans/xyz")).await.status, StatusCode::BAD_REQUEST);
    // A span that arrives later is found although the trace is remembered.
    ingest(&store, request(trace_id(1), &["GET /", "child", "late"])).await;
    assert_eq!(get(&server, &format!("{base}/spans/3")).await.json()["name"], "late");
}

#[tokio::test]
async fn large_answers_are_compressed_for_those_who_ask() {
    let store = store();
    for number in 0..50 {
        ingest(&store, request(trace_id(number), &["GET /"])).await;
    }
    let server = serve(&store, None);
    let target = "/api/v1/search?limit=50";
    let plain = get(&server, target).await;
    let packed = fetch(&server, "GET", target, &[("accept-encoding", "gzip")]).await;
    assert_eq!((plain.header("content-encoding"), packed.header("content-encoding")), ("", "gzip"));
    assert!(packed.body.len() * 3 < plain.body.len());
    let mut unpacked = vec![0; plain.body.len()];
    libdeflater::Decompressor::new().gzip_decompress(&packed.body, &mut unpacked).expect("gzip");
    assert_eq!(unpacked, plain.body);
    let head = fetch(&server, "HEAD", target, &[]).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
}

#[tokio::test]
async fn closing_the_connection_stops_the_query() {
    let queries = Arc::new(Queries::new(store()));
    let (running, mut begun) = tokio::sync::mpsc::channel(1);
    let (ended, mut end) = tokio::sync::mpsc::channel(1);
    let endless = get_route(async move || {
        queries
            .run(move |scope| {
                running.blocking_send(()).expect("the test waits");
                while !scope.limits.cancel.load(Ordering::Relaxed) {
                    std::thread::yield_now();
                }
                ended.blocking_send(()).expect("the test waits");
                Ok(())
            })
            .await
            .is_ok()
            .to_string()
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (_stop, stopped) = tokio::sync::watch::channel(());
    let server = spawn("test", connections::serve(listener, Router::new().route("/", endless), None, stopped));
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    begun.recv().await.expect("the query runs");
    drop(stream);
    end.recv().await.expect("the query was told to stop");
    server.abort();
}

#[tokio::test]
async fn versions_that_contradict_each_other_are_both_shown() {
    let store = store();
    ingest(&store, request(trace_id(1), &["GET /"])).await;
    ingest(&store, request(trace_id(1), &["GET /", "child"])).await;
    ingest(&store, request(trace_id(1), &["POST /"])).await;
    let server = serve(&store, None);
    let span = get(&server, &format!("/api/v1/traces/{}/spans/1", trace_id(1))).await.json();
    let others = span["conflicts"].as_array().expect("a list");
    let names: BTreeSet<_> = others.iter().chain([&span]).filter_map(|version| version["name"].as_str()).collect();
    assert_eq!((others.len(), names), (1, BTreeSet::from(["GET /", "POST /"])));
}

#[tokio::test]
async fn a_stopped_server_closes_idle_connections_and_its_port() {
    let server = serve(&store(), None);
    let address = server.address();
    let client = Client::new(&format!("http://{address}"), None).expect("an address");
    client.services().await.expect("an answer");
    let mut idle = TcpStream::connect(address).await.expect("a connection");
    server.stop(Duration::from_secs(10)).await;
    assert_eq!(idle.read(&mut [0; 16]).await.unwrap_or(0), 0);
    let error = client.services().await.expect_err("nobody listens");
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn an_export_is_the_whole_trace_as_otlp_json() {
    let store = store();
    ingest(&store, request(trace_id(1), &["GET /", "child"])).await;
    ingest(&store, request(trace_id(2), &["other"])).await;
    let server = serve(&store, None);
    let exported = get(&server, &format!("/api/v1/traces/{}", trace_id(1))).await;
    assert_eq!((exported.status, exported.header("content-type")), (StatusCode::OK, "application/json"));
    let span = &exported.json()["resourceSpans"][0]["scopeSpans"][0]["spans"][1];
    assert_eq!((&span["name"], &span["parentSpanId"]), (&"child".into(), &"0000000000000001".into()));

    let client = Client::new(&format!("http://{}", server.address()), None).expect("an address");
    let batch = client.trace(&trace_id(1)).await.expect("an answer").expect("it is there");
    let names: BTreeSet<&str> = batch.spans().map(|entry| entry.span.name).collect();
    assert_eq!((batch.span_count(), names), (2, BTreeSet::from(["GET /", "child"])));
    assert!(client.trace(&trace_id(3)).await.expect("an answer").is_none());

    let absent = get(&server, "/api/v1/traces/1234").await;
    assert_eq!(absent.status, StatusCode::NOT_FOUND);
    assert!(absent.error().contains("there is no trace 00000000000000000000000000001234"));
    for bad in ["12-34", "%FF", "0", "1234/spans/%FF"] {
        let answer = get(&server, &format!("/api/v1/traces/{bad}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad}");
        assert!(!answer.error().is_empty());
    }
}

#[tokio::test]
async fn over_tls_it_answers_and_whoever_does_not_speak_it_changes_nothing() {
    let key = rcgen::KeyPair::generate().expect("ring has randomness");
    let certificate = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("is a name");
    let certificate = certificate.self_signed(&key).expect("is sound").der().clone();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).expect("is a key");
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("has some")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .expect("they belong together");
    let server = Arc::new(server);
    let tls = super::Tls(Arc::new(move || {
        let server = Arc::clone(&server);
        Box::pin(async move { server })
    }));
    let own = Bind::Listener(TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let running = Server::start(Config { tls: Some(tls), ..config(own, None) }, state()).expect("bound already");
    assert!(running.is_encrypted());

    let mut plain = TcpStream::connect(running.address()).await.expect("it listens");
    plain.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("it reads");
    let mut heard = Vec::new();
    drop(plain.read_to_end(&mut heard).await);
    assert!(!heard.starts_with(b"HTTP"), "nothing is served in the clear");

    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).expect("is a certificate");
    let client = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let client = client.expect("has some").with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(running.address()).await.expect("it listens");
    let name = rustls::pki_types::ServerName::try_from("localhost").expect("is a name");
    let stream = tokio_rustls::TlsConnector::from(Arc::new(client)).connect(name, stream).await;
    let mut stream = stream.expect("the handshake succeeds");
    let request = b"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("it answers");
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    running.stop(Duration::from_secs(20)).await;
}
