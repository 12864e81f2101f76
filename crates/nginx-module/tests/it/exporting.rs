//! The export: nothing lost over reloads, nothing blocked by a collector that is away.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::collector::Collector;
use crate::server::{Nginx, Setup};
use crate::wait::until;

const SERVER: &str = "otel_trace on; location / { return 200 x; }";

#[test]
fn nothing_is_lost_over_reloads_under_load() {
    let collector = Collector::start();
    let setup = Setup { server: SERVER, exporter: "batch_count 64;", ..Setup::default() };
    let nginx = Nginx::start(&collector, setup);
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    assert!(nginx.get("/load", &[]).ends_with('x'), "a request failed");
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let grown = |by: usize| {
            let before = served.load(Ordering::Relaxed);
            until("requests", || (served.load(Ordering::Relaxed) >= before + by).then_some(()));
        };
        for _ in 0..2 {
            grown(200);
            let before = nginx.workers();
            nginx.signal("HUP");
            until("the new worker alone", || {
                let now = nginx.workers();
                (now.len() == 1 && now != before).then_some(())
            });
        }
        grown(200);
        stop.store(true, Ordering::Relaxed);
    });
    let log = nginx.stop();
    let served = served.load(Ordering::Relaxed);
    assert_eq!(collector.count(), served, "{log}");
    assert!(!log.contains("spans dropped"), "{log}");
}

#[test]
fn a_dead_collector_fails_no_request_and_losses_are_told() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound").port();
    let collector = Collector::start();
    let exporter = format!("endpoint http://127.0.0.1:{free}/v1/traces; batch_size 10; batch_count 2;");
    let server = "otel_trace on; location / { return 200 $otel_dropped_spans; }";
    let nginx = Nginx::start(&collector, Setup { server, exporter: &exporter, ..Setup::default() });
    let mut dropped = String::new();
    for _ in 0..100 {
        let answer = nginx.get("/", &[]);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        dropped = answer.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned();
    }
    // 20 are held; the hundredth request sees the losses of those before it.
    assert_eq!(dropped, "79");
    let log = nginx.stop();
    assert!(log.contains("otel: 1 spans dropped since the last report"), "{log}");
    assert!(log.contains("80 queue full, 0 refused, 20 unreachable"), "{log}");
}

#[test]
fn grpc_is_what_an_endpoint_without_path_means() {
    let collector = Collector::start_grpc(None);
    let exporter = format!("endpoint 127.0.0.1:{}; header x-token abc;", collector.port);
    let nginx = Nginx::start(&collector, Setup { server: SERVER, exporter: &exporter, ..Setup::default() });
    nginx.get("/a", &[]);
    let span = collector.wait(1).swap_remove(0);
    assert_eq!((span.attribute("url.path"), span.resource["service.name"].as_str()), ("/a", "proxy"));
    nginx.get("/b", &[]);
    collector.wait(2);
    assert!(collector.heads()[0].contains("\"x-token\": \"abc\""), "{:?}", collector.heads());
    // Unavailable: the span waits.
    collector.answer(14);
    let before = collector.requests();
    nginx.get("/c", &[]);
    until("a try", || (collector.requests() > before).then_some(()));
    collector.answer(0);
    collector.wait(3);
    let log = nginx.stop();
    assert_eq!(collector.count(), 3, "{log}");
}

#[test]
fn tls_trusts_only_the_given_authority() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let own = |name: &str, protocol: &str| {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let file = folder.path().join(name);
        std::fs::write(&file, made.cert.pem()).expect("the folder is ours");
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().expect("known versions").with_no_client_auth();
        let mut config = builder.with_single_cert(vec![made.cert.der().clone()], key).expect("they fit");
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        (file, Arc::new(config))
    };
    let (http_file, http_tls) = own("http.pem", "http/1.1");
    let (grpc_file, grpc_tls) = own("grpc.pem", "h2");
    let (http, grpc) = (Collector::start_tls(http_tls), Collector::start_grpc(Some(grpc_tls)));
    for (collector, path, file) in [(&http, "/v1/traces", &http_file), (&grpc, "", &grpc_file)] {
        let endpoint = format!("endpoint https://localhost:{}{path};", collector.port);
        let exporter = format!("{endpoint} trusted_certificate {};", file.display());
        let nginx = Nginx::start(collector, Setup { server: SERVER, exporter: &exporter, ..Setup::default() });
        nginx.get("/a", &[]);
        nginx.get("/b", &[]);
        nginx.stop();
        assert_eq!(collector.count(), 2, "{path}");
        // The other's certificate is not trusted here.
        let other = if path.is_empty() { &http_file } else { &grpc_file };
        let exporter = format!("{endpoint} trusted_certificate {};", other.display());
        let nginx = Nginx::start(collector, Setup { server: SERVER, exporter: &exporter, ..Setup::default() });
        nginx.get("/c", &[]);
        let log = nginx.stop();
        assert!(log.contains("1 unreachable"), "{log}");
        assert_eq!(collector.count(), 2, "{path}");
    }
}

#[test]
fn spans_wait_for_a_collector_that_comes_back() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let unused = Collector::start();
    let exporter = format!("endpoint http://127.0.0.1:{port}/v1/traces; header X-Token abc;");
    let nginx = Nginx::start(&unused, Setup { server: SERVER, exporter: &exporter, ..Setup::default() });
    nginx.get("/", &[]);
    let collector = Collector::on(listener);
    collector.answer(503);
    until("a try", || (collector.requests() > 0).then_some(()));
    collector.answer(0);
    assert_eq!(collector.wait(1).len(), 1);
    assert!(collector.heads()[0].contains("X-Token: abc\r\n"), "{:?}", collector.heads());
    nginx.stop();
    assert_eq!(collector.count(), 1);
}

#[test]
fn signals_reach_the_event_loop_at_once() {
    let collector = Collector::start();
    for _ in 0..5 {
        let nginx = Nginx::start(&collector, Setup { server: SERVER, exporter: "interval 1h;", ..Setup::default() });
        let before = collector.count();
        nginx.get("/", &[]);
        nginx.stop();
        assert_eq!(collector.count(), before + 1, "flushed at the end");
    }
}

#[test]
fn without_an_exporter_the_module_does_nothing() {
    let collector = Collector::start();
    // The harness writes an exporter; a second nginx with an own configuration has none.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = format!(
        "load_module {}; daemon off; pid nginx.pid; events {{}} http {{ access_log off; otel_trace on; server {{ listen unix:x; }} }}",
        crate::server::module().display()
    );
    std::fs::write(folder.path().join("nginx.conf"), config).expect("the folder is ours");
    let check = |text: &str| {
        let output = crate::server::nginx()
            .args(["-t", "-e", "error.log", "-c", "nginx.conf", "-p"])
            .arg(folder.path())
            .output()
            .expect("nginx is installed");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(text), "{said}");
    };
    check("test is successful");
    drop(collector);
    for (directive, message) in [
        ("otel_trace maybe;", "\"otel_trace\" directive has the value \"maybe\""),
        ("otel_exporter { }", "\"otel_exporter\" directive requires \"endpoint\""),
        ("otel_exporter { endpoint ftp://x; }", "unsupported endpoint \"ftp://x\""),
        (
            "otel_exporter { endpoint http://x; } otel_exporter { endpoint http://x; }",
            "\"otel_exporter\" directive is duplicate",
        ),
        ("otel_span_attr a $nothing;", "unknown \"nothing\" variable"),
        ("otel_propagators jaeger;", "\"otel_propagators\" directive has \"jaeger\""),
    ] {
        let config = format!(
            "load_module {}; pid nginx.pid; events {{}} http {{ {directive} server {{ listen unix:x; }} }}",
            crate::server::module().display()
        );
        std::fs::write(folder.path().join("nginx.conf"), config).expect("the folder is ours");
        check(message);
    }
}
