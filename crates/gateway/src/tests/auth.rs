//! Who may send: the authenticators at the doors of a running gateway, and at an exporter.

use super::forward::{forwarding_with, send};
use super::*;
use crate::ledger::RefusalReason;
use crate::net::tls::testing::{Authority, Folder};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;

/// [`CONFIG`] with an authenticator at every door that has one.
async fn guarded(extension: &str, definition: &str, tls: &str) -> Started {
    let auth = format!("auth: {{authenticator: {extension}}}");
    let yaml = CONFIG
        .replace("'127.0.0.1:0', max_re", &format!("'127.0.0.1:0', {auth}{tls}, max_re"))
        .replace("health_check: {", &format!("{extension}: {definition}\n  health_check: {{{auth}, "))
        .replace("extensions: [health_check]", &format!("extensions: [health_check, {extension}]"));
    start_with(&yaml).await
}

async fn export(gateway: &Started, authorization: Option<&str>) -> Result<(), tonic::Status> {
    let address = gateway.address("otlp", "grpc");
    let mut client = TraceServiceClient::connect(format!("http://{address}")).await.expect("the gateway listens");
    let mut request = tonic::Request::new(request(&["guarded"]));
    if let Some(authorization) = authorization {
        request.metadata_mut().insert("authorization", authorization.parse().expect("is a value"));
    }
    client.export(request).await.map(|_| ())
}

#[tokio::test]
async fn every_door_asks_for_the_token() {
    let gateway = guarded("bearertokenauth", "{token: open sesame}", "").await;
    for wrong in [None, Some("Bearer open"), Some("open sesame"), Some("")] {
        let status = export(&gateway, wrong).await.expect_err("nobody may enter");
        assert_eq!(status.code(), tonic::Code::Unauthenticated, "{status:?}");
        let headers: Vec<(&str, &str)> = wrong.map(|wrong| ("Authorization", wrong)).into_iter().collect();
        for (component, method, path) in
            [("otlp", "POST", "/v1/traces"), ("otlp", "GET", "/nowhere"), ("health_check", "GET", "/")]
        {
            let answer = http(gateway.address(component, "http"), method, path, &headers, b"{}").await;
            assert_eq!(answer.status, 401, "{component} {path}: {answer:?}");
            assert!(answer.head.contains("www-authenticate: bearer realm=\"rootspan\""), "{answer:?}");
            assert!(!answer.text().contains("sesame") && !answer.text().contains("open"), "{answer:?}");
        }
    }
    export(&gateway, Some("Bearer open sesame")).await.expect("the token is right");
    let right = [("Authorization", "Bearer open sesame"), ("Content-Type", "application/json")];
    assert_eq!(http(gateway.address("otlp", "http"), "POST", "/v1/traces", &right, b"{}").await.status, 200);
    assert_eq!(http(gateway.address("health_check", "http"), "GET", "/", &right, b"").await.status, 200);
    let ledger = gateway.ledger();
    assert_eq!(ledger.receivers[0].refused_requests.of(RefusalReason::Unauthenticated), 8);
    assert_eq!(ledger.receivers[0].received, 1);
    gateway.finish().await;
}

#[tokio::test]
async fn a_token_lets_in_no_more_than_it_may() {
    let definition = "{tokens: [one, two], rate_limit: {spans_per_second: 1, burst: 3}}";
    let gateway = guarded("bearertokenauth", definition, "").await;
    for _ in 0..3 {
        export(&gateway, Some("Bearer one")).await.expect("the bucket is full");
    }
    let status = export(&gateway, Some("Bearer one")).await.expect_err("it is empty");
    assert_eq!(status.code(), tonic::Code::ResourceExhausted, "{status:?}");
    assert!(!status.details().is_empty(), "with the time after which to try again");
    let headers = [("Authorization", "Bearer one"), ("Content-Type", "application/json")];
    let answer = http(gateway.address("otlp", "http"), "POST", "/v1/traces", &headers, b"{}").await;
    assert_eq!(answer.status, 429, "{answer:?}");
    assert!(answer.head.contains("retry-after: 1") && !answer.head.contains("www-authenticate"), "{answer:?}");
    export(&gateway, Some("Bearer two")).await.expect("the other has a bucket of its own");
    let health = http(gateway.address("health_check", "http"), "GET", "/", &headers[1..], b"").await;
    assert_eq!(health.status, 401);
    let receiver = &gateway.ledger().receivers[0];
    assert_eq!((receiver.received, receiver.refused_requests.of(RefusalReason::RateLimit)), (4, 2));
    gateway.finish().await;
}

#[tokio::test]
async fn names_and_passwords_at_the_door() {
    let gateway = guarded("basicauth", "{htpasswd: {inline: 'ali:{SHA}W8r/fyL/UzygmbNAjq2HbA67qac='}}", "").await;
    let status = export(&gateway, Some("Basic YWxpOndyb25n")).await.expect_err("the password is wrong");
    assert_eq!(status.code(), tonic::Code::Unauthenticated);
    export(&gateway, Some("Basic YWxpOm9wZW4gc2VzYW1l")).await.expect("the password is right");
    let answer = http(gateway.address("otlp", "http"), "POST", "/v1/traces", &[], b"").await;
    assert_eq!(answer.status, 401);
    assert!(answer.head.contains("www-authenticate: basic realm=\"rootspan\""), "{answer:?}");
    gateway.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exporter_shows_what_its_back_end_asks_for() {
    let (folder, authority) = (Folder::new(), Authority::new("ca"));
    folder.write("ca.crt", &authority.pem);
    folder.write_pair("server", &authority.issue("server"));
    let (crt, key, ca) = (folder.path("server.crt"), folder.path("server.key"), folder.path("ca.crt"));
    let tls = format!(", tls: {{cert_file: {}, key_file: {}}}", crt.display(), key.display());
    for (extension, at_the_door, right, wrong) in [
        ("bearertokenauth", "{tokens: [old, new]}", "{token: new}", "{token: other}"),
        (
            "basicauth",
            "{htpasswd: {inline: 'ali:open sesame'}}",
            "{client_auth: {username: ali, password: open sesame}}",
            "{client_auth: {username: ali, password: guess}}",
        ),
    ] {
        let back = guarded(extension, at_the_door, &tls).await;
        let ends = [
            format!("otlp: {{endpoint: 'https://{}'", back.address("otlp", "grpc")),
            format!("otlphttp: {{endpoint: 'https://{}'", back.address("otlp", "http")),
        ];
        for exporter in ends {
            let exporter = format!(
                "{exporter}, tls: {{ca_file: {}}}, auth: {{authenticator: {extension}}}, \
                 sending_queue: {{enabled: false}}, retry_on_failure: {{enabled: false}}}}",
                ca.display()
            );
            for (definition, is_taken) in [(right, true), (wrong, false)] {
                let front = forwarding_with(&exporter, Some((extension, definition))).await;
                let sent = send(&front, request(&["shown"])).await;
                assert_eq!(sent.is_ok(), is_taken, "{exporter}: {sent:?}");
                front.finish().await;
            }
        }
        assert_eq!(back.printed().matches(&line_of(1, "shown")).count(), 2);
        back.finish().await;
    }
}
