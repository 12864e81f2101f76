//! TLS between gateways, mutual TLS, certificates that change, and peers that do not speak it.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::forward::{forwarding, send, until};
use super::*;
use crate::net::tls::testing::{Authority, Folder, Pem, self_signed};

/// An authority, the server's pair `server`, a client's pair `client`, and a file `ca.crt`.
fn folder() -> (Folder, Authority) {
    let (folder, authority) = (Folder::new(), Authority::new("rootspan test authority"));
    folder.write("ca.crt", &authority.pem);
    folder.write_pair("server", &authority.issue("server"));
    folder.write_pair("client", &authority.issue("client"));
    (folder, authority)
}

/// A gateway whose receivers serve the pair `server` of `folder`.
async fn encrypted(folder: &Folder, more: &str) -> Started {
    let (crt, key) = (folder.path("server.crt"), folder.path("server.key"));
    let tls = format!("tls: {{cert_file: {}, key_file: {}{more}}}", crt.display(), key.display());
    let yaml = CONFIG
        .replace("'127.0.0.1:0', max_re", &format!("'127.0.0.1:0', {tls}, max_re"))
        .replace("    endpoint: 127.0.0.1:0\n", &format!("    endpoint: 127.0.0.1:0\n    {tls}\n"))
        .replace("health_check: {", &format!("health_check: {{{tls}, "));
    start_with(&yaml).await
}

/// The first words of an exporter that waits for the answer, so that its sender hears what became of it.
const DIRECT: &str = "sending_queue: {enabled: false}, retry_on_failure: {enabled: false}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_travel_encrypted_over_grpc_and_http() {
    let (folder, _) = folder();
    let back = encrypted(&folder, "").await;
    let (grpc, http) = (back.address("otlp", "grpc"), back.address("otlp", "http"));
    let ca = folder.path("ca.crt");
    let ca = ca.display();
    for (number, exporter) in [
        format!("otlp: {{endpoint: '{grpc}', tls: {{ca_file: {ca}}}, {DIRECT}}}"),
        format!("otlp: {{endpoint: 'https://localhost:{}', tls: {{ca_file: {ca}}}, {DIRECT}}}", grpc.port()),
        format!("otlp: {{endpoint: 'http://{grpc}', tls: {{ca_file: {ca}, insecure: true}}, {DIRECT}}}"),
        format!("otlp: {{endpoint: '{grpc}', tls: {{insecure_skip_verify: true}}, {DIRECT}}}"),
        format!("otlp: {{endpoint: '{grpc}', tls: {{ca_file: {ca}, max_version: '1.2'}}, {DIRECT}}}"),
        format!(
            "otlp: {{endpoint: '{grpc}', tls: {{ca_file: {ca}, server_name_override: localhost, \
             curve_preferences: [P256]}}, {DIRECT}}}"
        ),
        format!("otlphttp: {{endpoint: 'https://{http}', tls: {{ca_file: {ca}}}, {DIRECT}}}"),
        format!("otlphttp: {{endpoint: 'https://{http}', tls: {{insecure_skip_verify: true}}, {DIRECT}}}"),
    ]
    .iter()
    .enumerate()
    {
        let front = forwarding(exporter).await;
        let name = format!("span {number}");
        send(&front, request(&[&name])).await.unwrap_or_else(|status| panic!("{exporter}: {status}"));
        assert!(back.printed().contains(&line_of(1, &name)), "{exporter}");
        front.finish().await;
    }
    back.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_says_why_it_does_not_believe_the_server() {
    let (folder, authority) = folder();
    folder.write("other.crt", &Authority::new("somebody else").pem);
    let back = encrypted(&folder, "").await;
    folder.write_pair("server", &authority.issue_until("old", &["127.0.0.1"], (2001, 1, 1)));
    let expired = encrypted(&folder, "").await;
    let plain = start().await;
    let (trusted, other) = (folder.path("ca.crt"), folder.path("other.crt"));
    for (gateway, ca, more, reason) in [
        (&back, &other, "", "authority that is not trusted"),
        (&back, &trusted, ", server_name_override: other.example.com", "is for another name"),
        (&expired, &trusted, "", "has expired"),
        (&plain, &trusted, "", "does not speak TLS"),
    ] {
        let (grpc, http) = (gateway.address("otlp", "grpc"), gateway.address("otlp", "http"));
        let tls = format!("tls: {{ca_file: {}{more}}}", ca.display());
        for exporter in [
            format!("otlp: {{endpoint: '{grpc}', {tls}, {DIRECT}}}"),
            format!("otlphttp: {{endpoint: 'https://{http}', {tls}, {DIRECT}}}"),
        ] {
            let front = forwarding(&exporter).await;
            let status = send(&front, request(&["lost"])).await.expect_err("the server must not be believed");
            // A server without TLS may also just hang up on what it does not understand.
            let may_hang_up = reason.contains("does not speak") && status.message().contains("handshake");
            assert!(status.message().contains(reason) || may_hang_up, "{exporter}: {status}");
            front.finish().await;
        }
        assert!(!gateway.printed().contains("lost"));
    }
    for gateway in [back, expired, plain] {
        gateway.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_mutual_tls_a_client_needs_a_certificate_of_the_authority() {
    let (folder, _) = folder();
    folder.write_pair("stranger", &Authority::new("somebody else").issue("stranger"));
    let ca = folder.path("ca.crt");
    let back = encrypted(&folder, &format!(", client_ca_file: {}", ca.display())).await;
    let (grpc, http) = (back.address("otlp", "grpc"), back.address("otlp", "http"));
    for (pair, is_taken) in [("client", true), ("stranger", false), ("", false)] {
        let (crt, key) = (folder.path(&format!("{pair}.crt")), folder.path(&format!("{pair}.key")));
        let own = format!(", cert_file: {}, key_file: {}", crt.display(), key.display());
        let own = if pair.is_empty() { "" } else { &own };
        let tls = format!("tls: {{ca_file: {}{own}}}", ca.display());
        for exporter in [
            format!("otlp: {{endpoint: '{grpc}', {tls}, {DIRECT}}}"),
            format!("otlphttp: {{endpoint: 'https://{http}', {tls}, {DIRECT}}}"),
        ] {
            let front = forwarding(&exporter).await;
            let sent = send(&front, request(&["mutual"])).await;
            assert_eq!(sent.is_ok(), is_taken, "{pair}: {exporter}: {sent:?}");
            front.finish().await;
        }
    }
    assert_eq!(back.printed().matches(&line_of(1, "mutual")).count(), 2);
    back.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_its_own_authority_is_believed_if_it_is_named() {
    let folder = Folder::new();
    folder.write_pair("server", &self_signed());
    let back = encrypted(&folder, "").await;
    let grpc = back.address("otlp", "grpc");
    let named = folder.path("server.crt");
    let exporter = format!("otlp: {{endpoint: '{grpc}', tls: {{ca_file: {}}}, {DIRECT}}}", named.display());
    let front = forwarding(&exporter).await;
    send(&front, request(&["self-signed"])).await.expect("the very certificate is named");
    front.finish().await;
    folder.write_pair("another", &self_signed());
    let exporter = exporter.replace("server.crt", "another.crt");
    let front = forwarding(&exporter).await;
    send(&front, request(&["other"])).await.expect_err("the same names, another key");
    front.finish().await;
    back.finish().await;
}

/// A client that trusts `ca`, on TCP.
async fn connect(address: SocketAddr, ca: &str, protocol: &[u8]) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).expect("is PEM")).expect("is a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("has some");
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(address).await.expect("the gateway listens");
    let name = ServerName::try_from("localhost").expect("is a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("the handshake succeeds")
}

fn shown(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().expect("the server has one")[0].to_vec()
}

fn der(pem: &Pem) -> Vec<u8> {
    CertificateDer::from_pem_slice(pem.certificate.as_bytes()).expect("is PEM").to_vec()
}

/// One request over a connection that stays open.
async fn ask(stream: &mut TlsStream<TcpStream>) -> String {
    let request =
        b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    stream.write_all(request).await.expect("the gateway reads");
    let mut answer = vec![0; 1024];
    let length = stream.read(&mut answer).await.expect("the gateway answers");
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_shown_to_new_connections_and_no_old_one_is_dropped() {
    let (folder, authority) = folder();
    let back = encrypted(&folder, ", reload_interval: 1ns").await;
    let address = back.address("otlp", "http");
    let first = authority.issue("first");
    folder.write_pair("server", &first);
    let mut old = connect(address, &authority.pem, b"http/1.1").await;
    assert_eq!(shown(&old), der(&first));
    assert!(ask(&mut old).await.starts_with("HTTP/1.1 200"));

    let second = authority.issue("second");
    folder.write_pair("server", &second);
    assert_eq!(shown(&connect(address, &authority.pem, b"http/1.1").await), der(&second));
    folder.write("server.crt", "broken");
    let mut new = connect(address, &authority.pem, b"http/1.1").await;
    assert_eq!(shown(&new), der(&second), "what cannot be used does not replace what can");
    for stream in [&mut old, &mut new] {
        assert!(ask(stream).await.starts_with("HTTP/1.1 200"), "a connection goes on as it began");
    }
    drop((old, new));
    back.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_and_firehose_and_health_checks_agree_on_a_protocol() {
    let (folder, authority) = folder();
    let back = encrypted(&folder, "").await;
    for (component, protocol, wanted) in [
        ("otlp", "grpc", "h2"),
        ("otlp", "http", "h2"),
        ("otlp", "http", "http/1.1"),
        ("cloudfront", "http", "http/1.1"),
        ("health_check", "http", "http/1.1"),
    ] {
        let stream = connect(back.address(component, protocol), &authority.pem, wanted.as_bytes()).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(wanted.as_bytes()), "{component} {protocol}");
    }
    back.finish().await;
}

/// RUSTSEC-2024-0376: tonic's accept loop ended on the first failed handshake.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rustsec_2024_0376_accept_loop_survives_tls_garbage() {
    let (folder, authority) = folder();
    let back = encrypted(&folder, "").await;
    let mut silent = Vec::new();
    for (component, protocol) in [("otlp", "grpc"), ("otlp", "http"), ("cloudfront", "http"), ("health_check", "http")]
    {
        let address = back.address(component, protocol);
        for garbage in [
            &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
            b"\x16\x03\x01\xff\xff\xff\xff\xff\xff",
            b"\x16\x03\x01\x00\x05\x01\x00\x40",
            b"\x15\x03\x01\x00\x02\x02\x28",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ] {
            let mut stream = TcpStream::connect(address).await.expect("the gateway listens");
            stream.write_all(garbage).await.expect("the gateway reads");
            // Some go away at once, others say nothing more and stay.
            silent.push(stream);
        }
        drop(TcpStream::connect(address).await.expect("the gateway listens"));
        let protocol = if protocol == "grpc" { &b"h2"[..] } else { b"http/1.1" };
        drop(connect(address, &authority.pem, protocol).await);
    }
    let mut good = connect(back.address("otlp", "http"), &authority.pem, b"http/1.1").await;
    assert!(ask(&mut good).await.starts_with("HTTP/1.1 200"));
    drop(good);
    // Those that hang in the middle of a handshake do not hold up the end.
    back.finish().await;
    drop(silent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exporter_takes_a_new_certificate_of_its_own_at_its_next_connection() {
    let (folder, authority) = folder();
    let ca = folder.path("ca.crt");
    let back = encrypted(&folder, &format!(", client_ca_file: {}", ca.display())).await;
    folder.write_pair("client", &Authority::new("somebody else").issue("stranger"));
    let (crt, key) = (folder.path("client.crt"), folder.path("client.key"));
    let front = forwarding(&format!(
        "otlp: {{endpoint: '{}', tls: {{ca_file: {}, cert_file: {}, key_file: {}, reload_interval: 1ns}}, \
         retry_on_failure: {{initial_interval: 5ms, max_interval: 5ms}}}}",
        back.address("otlp", "grpc"),
        ca.display(),
        crt.display(),
        key.display()
    ))
    .await;
    send(&front, request(&["patient"])).await.expect("it is queued");
    folder.write_pair("client", &authority.issue("client"));
    until(&front, |ledger| ledger.exporters[0].delivered == 1).await;
    front.finish().await;
    back.finish().await;
}

#[tokio::test]
async fn a_gateway_that_cannot_use_its_certificate_does_not_start() {
    let (folder, _) = folder();
    let yaml = CONFIG.replacen(
        "'127.0.0.1:0', max_re",
        &format!("'127.0.0.1:0', tls: {{cert_file: /nowhere.crt, key_file: {}}}, max_re", folder.path("x").display()),
        1,
    );
    let config = load_with(&[Source::Text { name: "t".into(), text: yaml }], &|_| None).expect("is sound");
    let environment =
        Environment { stores: HashMap::new(), clock: clock::system(), store_tail_bytes: 0, debug_output: None };
    let error = Gateway::start(&config, environment).await.expect_err("there is no certificate");
    assert_eq!(
        error.to_string(),
        "the receiver otlp cannot use `receivers.otlp.protocols.grpc.tls`: cert_file /nowhere.crt: the file does not exist"
    );
}
