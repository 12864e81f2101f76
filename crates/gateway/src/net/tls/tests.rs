use super::server::{HTTP, TlsServer};
use super::testing::{Authority, Folder, Pem};
use super::*;
use crate::config::decode::Decode as _;
use crate::config::node;

fn server(yaml: &str) -> (Option<ServerTlsConfig>, Problems) {
    let mut problems = Problems::default();
    let node = node::parse(&"t".into(), yaml, &mut problems).expect("is YAML");
    let config = ServerTlsConfig::decode(&node, &mut problems);
    if let Some(config) = &config {
        config.check(&node.position, &mut problems);
    }
    (config, problems)
}

#[test]
fn what_cannot_be_right_is_said_before_a_file_is_read() {
    for (yaml, message) in [
        ("{}", "a server needs `cert_file` and `key_file`"),
        ("{cert_file: a}", "a certificate without its key"),
        ("{key_file: a}", "a key without its certificate"),
        ("{cert_file: a, cert_pem: b, key_file: c}", "both `cert_file` and `cert_pem`"),
        ("{cert_file: a, key_file: c, key_pem: d}", "both `key_file` and `key_pem`"),
        ("{cert_file: a, key_file: b, min_version: '1.1'}", "TLS 1.1 is broken"),
        ("{cert_file: a, key_file: b, max_version: '1.0'}", "TLS 1.0 is broken"),
        ("{cert_file: a, key_file: b, min_version: '1.3', max_version: '1.2'}", "`min_version` is above"),
        ("{cert_file: a, key_file: b, cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]}", "no cipher suite that rootspan has"),
        ("{cert_file: a, key_file: b, curve_preferences: [P521]}", "P521 is known to the OpenTelemetry Collector"),
        ("{cert_file: a, key_file: b, client_ca_file_reload: true}", "needs a `client_ca_file`"),
        ("{cert_file: a, key_file: b, include_insecure_cipher_suites: true}", "not supported by rootspan"),
        ("{cert_file: a, key_file: b, tpm: {enabled: true}}", "not supported by rootspan"),
        ("{cert_file: a, key_fil: b}", "did you mean `key_file`?"),
    ] {
        let (_, problems) = server(yaml);
        assert!(problems.to_string().contains(message), "{yaml}: {problems}");
    }
    let fine = "{cert_file: a, key_file: b, min_version: '1.2', max_version: '1.3', reload_interval: 1h, \
                cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256], curve_preferences: [X25519, P384]}";
    let (config, problems) = server(fine);
    assert!(problems.is_empty(), "{problems}");
    let parameters = config.expect("is sound").parameters();
    let old: Vec<_> = parameters.provider.cipher_suites.iter().filter(|suite| suite.tls13().is_none()).collect();
    assert_eq!(old.len(), 1, "a list chooses among the suites of TLS 1.2");
    assert!(parameters.provider.cipher_suites.len() > 1, "those of TLS 1.3 stay");
    assert_eq!(parameters.provider.kx_groups.len(), 2);
}

#[test]
fn secrets_are_not_in_the_debug_output() {
    let (config, _) = server("{cert_pem: public, key_pem: open sesame}");
    assert!(!format!("{config:?}").contains("sesame"));
}

/// What loading says of `NAME.crt` and `NAME.key` in `folder`.
fn complaint(folder: &Folder, certificate: &str, key: &str) -> String {
    let (certificate, key) = (folder.path(certificate), folder.path(key));
    let (config, _) = server(&format!("{{cert_file: {}, key_file: {}}}", certificate.display(), key.display()));
    TlsServer::load(&config.expect("is sound"), "test", HTTP).err().unwrap_or_default()
}

#[test]
fn errors_name_the_file_and_what_is_wrong_with_it() {
    let folder = Folder::new();
    let authority = Authority::new("ca");
    folder.write_pair("one", &authority.issue("one"));
    folder.write_pair("two", &authority.issue("two"));
    folder.write("text.crt", "a certificate, honestly");
    folder.write("empty.crt", "");
    folder.write("secret.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
    folder.write("cut.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert_eq!(complaint(&folder, "one.crt", "one.key"), "");
    let shown = |key: &str, name: &str| format!("{key} {}", folder.path(name).display());
    let certificate = |name: &str| shown("cert_file", name);
    let key = |name: &str| shown("key_file", name);
    for (crt, pem, expected) in [
        ("none.crt", "one.key", format!("{}: the file does not exist", certificate("none.crt"))),
        ("text.crt", "one.key", format!("{}: it is not PEM (-----BEGIN …-----)", certificate("text.crt"))),
        ("empty.crt", "one.key", format!("{}: it is not PEM (-----BEGIN …-----)", certificate("empty.crt"))),
        ("one.key", "one.key", format!("{}: there is no certificate in it", certificate("one.key"))),
        ("one.crt", "one.crt", format!("{}: there is a certificate where a private key should be", key("one.crt"))),
        ("one.crt", "secret.key", format!("{}: the key is encrypted; write it without a password", key("secret.key"))),
        ("cut.crt", "one.key", format!("{}: the first certificate cannot be read", certificate("cut.crt"))),
        (
            "one.crt",
            "two.key",
            format!("the key in {} does not belong to the certificate in {}", key("two.key"), certificate("one.crt")),
        ),
    ] {
        assert_eq!(complaint(&folder, crt, pem), expected, "{crt} {pem}");
    }
}

#[tokio::test]
async fn a_pair_that_is_out_of_date_or_broken_does_not_replace_a_good_one() {
    let folder = Folder::new();
    let authority = Authority::new("ca");
    folder.write_pair("a", &authority.issue("first"));
    let (crt, key) = (folder.path("a.crt"), folder.path("a.key"));
    let yaml = format!("{{cert_file: {}, key_file: {}, reload_interval: 1ns}}", crt.display(), key.display());
    let tls = TlsServer::load(&server(&yaml).0.expect("is sound"), "test", HTTP).expect("loads");
    let first = tls.config().await;
    let broken = Pem { certificate: "no".to_owned(), key: "no".to_owned() };
    for pem in [broken, authority.issue_until("old", &["localhost"], (2001, 1, 1))] {
        folder.write_pair("a", &pem);
        assert!(std::sync::Arc::ptr_eq(&first, &tls.config().await));
    }
    std::fs::remove_file(&crt).expect("it is there");
    assert!(std::sync::Arc::ptr_eq(&first, &tls.config().await));
    folder.write_pair("a", &authority.issue("second"));
    assert!(!std::sync::Arc::ptr_eq(&first, &tls.config().await), "a good pair is taken");
}

#[test]
fn an_expired_certificate_serves_but_is_complained_of() {
    let folder = Folder::new();
    folder.write_pair("old", &Authority::new("ca").issue_until("old", &["localhost"], (2001, 2, 3)));
    // Who does not verify can go on; the log says it (an ERROR).
    assert_eq!(complaint(&folder, "old.crt", "old.key"), "");
}
