//! Reloads in one process: what stays, what is replaced, what is refused.

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;

use super::*;

const DRAIN: Duration = Duration::from_secs(5);

fn config(yaml: &str) -> crate::config::Config {
    let source = Source::Text { name: "test".to_owned(), text: yaml.to_owned() };
    load_with(&[source], &|_| None).unwrap_or_else(|problems| panic!("{problems}"))
}

fn environment(print: Arc<dyn Fn(&str) + Send + Sync>) -> Environment {
    Environment { stores: HashMap::new(), clock: clock::system(), store_tail_bytes: 0, debug_output: Some(print) }
}

impl Started {
    async fn reload(&mut self, yaml: &str) -> Result<(), crate::runtime::StartError> {
        let output = Arc::clone(&self.printed);
        let print = move |text: &str| output.lock().expect("nobody panics while printing").push_str(text);
        self.running.reload(&config(yaml), environment(Arc::new(print)), DRAIN).await
    }
}

const BEFORE: &str = "
receivers: {otlp: {protocols: {grpc: {endpoint: '127.0.0.1:0'}}}}
exporters: {debug: {verbosity: normal}}
service: {telemetry: {metrics: {level: none}}, pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}
";

#[tokio::test]
async fn a_receiver_that_stays_keeps_its_connections_and_leads_elsewhere() {
    let mut started = start_with(BEFORE).await;
    let address = started.address("otlp", "grpc");
    let mut client = TraceServiceClient::connect(format!("http://{address}")).await.expect("it listens");
    client.export(request(&["before"])).await.expect("is accepted");
    let after = BEFORE
        .replace(
            "exporters: {debug: {",
            "processors: {attributes: {actions: [{key: k, value: new, action: update}]}}\nexporters: {debug: {",
        )
        .replace("receivers: [otlp],", "receivers: [otlp], processors: [attributes],");
    started.reload(&after).await.expect("is applied");
    assert_eq!(started.address("otlp", "grpc"), address, "a port that the system chose stays");
    client.export(request(&["after"])).await.expect("the connection is still there");
    let printed = started.printed();
    assert!(printed.contains("before") && printed.contains("k=v"), "{printed}");
    assert!(printed.contains("after") && printed.contains("k=new"), "{printed}");
    let ledger = started.ledger();
    assert_eq!((ledger.receivers.len(), ledger.receivers[0].accepted), (1, 2), "one account, which grows");
    assert_eq!((ledger.pipelines[0].out, ledger.exporters[0].delivered), (2, 2));
    started.finish().await;
}

#[tokio::test]
async fn what_cannot_start_leaves_everything_as_it_is() {
    let mut started = start_with(BEFORE).await;
    let mut client =
        TraceServiceClient::connect(format!("http://{}", started.address("otlp", "grpc"))).await.expect("it listens");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("the system has a port");
    let port = taken.local_addr().expect("it is bound").port();
    let second = format!("otlp/second: {{protocols: {{http: {{endpoint: '127.0.0.1:{port}'}}}}}}}}");
    let wrong = BEFORE
        .replace("'127.0.0.1:0'}}}}\n", &format!("'127.0.0.1:0'}}}}}}, {second}\n"))
        .replace("receivers: [otlp]", "receivers: [otlp, otlp/second]");
    let error = started.reload(&wrong).await.expect_err("the port is taken");
    assert!(error.is_address_in_use(), "{error}");
    client.export(request(&["still here"])).await.expect("is accepted");
    assert_eq!(started.running.addresses().len(), 1);
    started.finish().await;
}

#[tokio::test]
async fn a_receiver_with_other_settings_takes_the_socket_over() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("the system has a port");
    let address = free.local_addr().expect("it is bound");
    drop(free);
    let before = BEFORE.replace("127.0.0.1:0", &address.to_string());
    let mut started = start_with(&before).await;
    started.reload(&before.replace("endpoint:", "max_recv_msg_size_mib: 1, endpoint:")).await.expect("is applied");
    let mut client = TraceServiceClient::connect(format!("http://{address}")).await.expect("it listens");
    client.export(request(&["after"])).await.expect("is accepted");
    let gone = before.replace(&format!("grpc: {{endpoint: '{address}'}}"), "http: {endpoint: '127.0.0.1:0'}");
    started.reload(&gone).await.expect("is applied");
    assert!(started.running.address("otlp", "grpc").is_none());
    started.finish().await;
}

/// A queue on disk goes from the exporter that leaves to the one that comes, and every span is delivered once.
#[tokio::test]
async fn a_queue_on_disk_outlives_the_exporter() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let back_end = start_with(BEFORE).await;
    let yaml = |endpoint: &str| {
        format!(
            "
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:0'}}}}}}}}
exporters:
  otlp:
    endpoint: '{endpoint}'
    tls: {{insecure: true}}
    sending_queue: {{storage: file_storage}}
    retry_on_failure: {{initial_interval: 50ms, max_interval: 100ms}}
extensions: {{file_storage: {{directory: '{}'}}}}
service:
  extensions: [file_storage]
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{traces: {{receivers: [otlp], exporters: [otlp]}}}}
",
            folder.path().display()
        )
    };
    let dead = std::net::TcpListener::bind("127.0.0.1:0").expect("the system has a port");
    let dead_address = dead.local_addr().expect("it is bound").to_string();
    drop(dead);
    let mut started = start_with(&yaml(&dead_address)).await;
    let mut client =
        TraceServiceClient::connect(format!("http://{}", started.address("otlp", "grpc"))).await.expect("it listens");
    client.export(request(&["one", "two"])).await.expect("is on disk");
    started.reload(&yaml(&back_end.address("otlp", "grpc").to_string())).await.expect("is applied");
    client.export(request(&["three"])).await.expect("is on disk, too");
    let delivered = async {
        while started.running.ledger().exporters[0].delivered < 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), delivered).await.expect("everything is delivered");
    let ledger = started.ledger();
    let account = &ledger.exporters[0];
    assert_eq!((account.enqueued, account.recovered, account.queued, account.stored), (3, 0, 0, 0), "{account:?}");
    started.finish().await;
    let names = back_end.printed();
    for name in ["one", "two", "three"] {
        assert_eq!(names.matches(name).count(), 1, "{names}");
    }
    back_end.finish().await;
}
