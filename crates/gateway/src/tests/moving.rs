//! A back end that moves: its name leads elsewhere, while the connection stays open or after it was lost.

use super::forward::{send, until};
use super::*;
use crate::net::tls::testing::Folder;

/// A gateway that listens on this address for this protocol.
async fn back_end(protocol: &str, address: &str) -> Started {
    start_with(
        &CONFIG.replace(
            &format!("{protocol}: {{endpoint: '127.0.0.1:0'"),
            &format!("{protocol}: {{endpoint: '{address}'"),
        ),
    )
    .await
}

/// A gateway that forwards to `back.test`, a name that the file `hosts` of `folder` knows, over gRPC or HTTP.
async fn forwarding(folder: &Folder, protocol: &str, port: u16) -> Started {
    let (exporter, endpoint) = match protocol {
        "grpc" => ("otlp", format!("back.test:{port}, tls: {{insecure: true}}")),
        _ => ("otlphttp", format!("'http://back.test:{port}'")),
    };
    let yaml = format!(
        "
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:0'}}}}}}}}
exporters:
  {exporter}: {{endpoint: {endpoint}, retry_on_failure: {{initial_interval: 5ms, max_interval: 5ms}}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{traces: {{receivers: [otlp], exporters: [{exporter}]}}}}
"
    );
    let hosts = folder.path("hosts").display().to_string();
    let variables = |name: &str| (name == "ROOTSPAN_HOSTS").then(|| hosts.clone());
    let config = load_with(&[Source::Text { name: "t".into(), text: yaml }], &variables).expect("is sound");
    let environment =
        Environment { stores: HashMap::new(), clock: clock::system(), store_tail_bytes: 0, debug_output: None };
    let running = Gateway::start(&config, environment).await.expect("starts");
    Started { running, printed: Arc::default() }
}

/// Two back ends at two addresses with one port, and a gateway whose name for them leads to the first.
async fn two_places(folder: &Folder, protocol: &str) -> (Started, Started, Started) {
    let first = back_end(protocol, "127.0.0.1:0").await;
    let port = first.address("otlp", protocol).port();
    let second = back_end(protocol, &format!("127.0.0.2:{port}")).await;
    folder.write("hosts", "# where they are\n127.0.0.1 other.test BACK.test # the first\n");
    let front = forwarding(folder, protocol, port).await;
    send(&front, request(&["before"])).await.expect("is queued");
    until(&front, |ledger| ledger.exporters[0].delivered == 1).await;
    assert!(first.printed().contains(&line_of(1, "before")));
    folder.write("hosts", "127.0.0.2\tback.test\n");
    (first, second, front)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_is_replaced_by_one_to_where_the_name_leads_now() {
    for protocol in ["grpc", "http"] {
        let folder = Folder::new();
        let (first, second, front) = two_places(&folder, protocol).await;
        send(&front, request(&["still"])).await.expect("is queued");
        until(&front, |ledger| ledger.exporters[0].delivered == 2).await;
        assert!(first.printed().contains(&line_of(1, "still")), "{protocol}: a connection that works is kept");
        first.finish().await;
        send(&front, request(&["after"])).await.expect("is queued");
        until(&front, |ledger| ledger.exporters[0].delivered == 3).await;
        assert!(second.printed().contains(&line_of(1, "after")), "{protocol}");
        front.finish().await;
        second.finish().await;
    }
}

#[tokio::test]
async fn an_open_connection_is_left_when_its_name_leads_elsewhere() {
    for protocol in ["grpc", "http"] {
        let folder = Folder::new();
        let (first, second, front) = two_places(&folder, protocol).await;
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(31)).await;
        tokio::time::resume();
        let mut sent = 1;
        while !second.printed().contains("after") {
            // The look-up takes a moment; what is sent until then still reaches the first.
            send(&front, request(&["after"])).await.expect("is queued");
            sent += 1;
            until(&front, |ledger| ledger.exporters[0].delivered == sent).await;
        }
        for gateway in [front, first, second] {
            gateway.finish().await;
        }
    }
}

#[tokio::test]
async fn a_name_that_no_file_knows_is_asked_of_the_system() {
    let resolver = crate::net::resolve::Resolver::new(Some("/nowhere/hosts".into()));
    let addresses = resolver.addresses("localhost", 7).await.expect("every system knows it");
    assert!(addresses.iter().all(|address| address.ip().is_loopback() && address.port() == 7), "{addresses:?}");
    let literal = resolver.addresses("::1", 7).await.expect("is an address");
    assert_eq!(literal, ["[::1]:7".parse().expect("is an address")]);
    assert!(resolver.addresses("no.such.name.invalid", 7).await.is_err());
}
