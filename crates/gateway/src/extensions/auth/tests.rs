use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::HeaderName;

use super::*;
use crate::config::components::decode_entry;
use crate::config::{Source, load_with, node};
use crate::net::tls::testing::Folder;

/// The authenticator that one extension configures.
fn authenticator(yaml: &str) -> Result<Authenticator, String> {
    let mut problems = Problems::default();
    let node = node::parse(&"t".into(), yaml, &mut problems).expect("is YAML");
    let config::node::Value::Map(entries) = &node.value else { panic!("is a map") };
    let extension = decode_entry::<Extension>(&entries[0], &mut problems);
    if !problems.is_empty() {
        return Err(problems.to_string());
    }
    let extension = extension.expect("has no problems");
    let mut built = Authenticators::build(&[extension]).map_err(|(id, reason)| format!("{id}: {reason}"))?;
    let (_, authenticator) = built.0.pop_first().expect("it authenticates");
    Ok(Arc::into_inner(authenticator).expect("nobody else has it"))
}

fn headers(name: &str, value: &str) -> HeaderMap {
    let name = HeaderName::from_bytes(name.as_bytes()).expect("is a name");
    HeaderMap::from_iter([(name, HeaderValue::from_str(value).expect("is a value"))])
}

/// The name that was verified.
async fn ask(authenticator: &Authenticator, value: &str) -> Result<Option<String>, Denied> {
    authenticator.authenticate(&headers("authorization", value)).await.map(|identity| identity.username)
}

/// CVE-2024-42368: the collector compared tokens in variable time. That the time is constant cannot be measured in a
/// test that must not be timed; that the comparison looks at every token and every byte can be seen in its results:
/// a prefix, an extension and a single different byte anywhere are all refused, and each of several tokens is taken.
#[tokio::test]
async fn cve_2024_42368_tokens_are_compared_as_a_whole() {
    let bearer = authenticator("bearertokenauth: {tokens: [first-token, second-token]}").expect("is sound");
    for token in ["first-token", "second-token"] {
        assert_eq!(ask(&bearer, &format!("Bearer {token}")).await, Ok(None), "{token}");
        for cut in 0..token.len() {
            let prefix = token.get(..cut).expect("is ASCII");
            assert_eq!(ask(&bearer, &format!("Bearer {prefix}")).await, Err(Denied::Wrong));
            let mut other = token.as_bytes().to_vec();
            other[cut] ^= 1;
            let other = String::from_utf8(other).expect("is ASCII");
            assert_eq!(ask(&bearer, &format!("Bearer {other}")).await, Err(Denied::Wrong), "{other}");
        }
        assert_eq!(ask(&bearer, &format!("Bearer {token}x")).await, Err(Denied::Wrong));
        assert_eq!(ask(&bearer, token).await, Err(Denied::Wrong), "the scheme is part of it");
        assert_eq!(ask(&bearer, &format!("Basic {token}")).await, Err(Denied::Wrong));
    }
    assert_eq!(bearer.authenticate(&HeaderMap::new()).await.map(drop), Err(Denied::Missing));
    assert_eq!(ask(&bearer, "").await, Err(Denied::Wrong));
}

#[tokio::test]
async fn scheme_and_header_are_as_configured() {
    let own = authenticator("bearertokenauth: {scheme: '', header: X-Key, token: open sesame}").expect("is sound");
    assert!(own.authenticate(&headers("x-key", "open sesame")).await.is_ok());
    assert_eq!(ask(&own, "open sesame").await, Err(Denied::Missing));
    let mut sent = HeaderMap::new();
    own.add_to(&mut sent).await;
    assert_eq!(sent, headers("x-key", "open sesame"));
    let token = authenticator("bearertokenauth: {scheme: Token, tokens: [a, b]}").expect("is sound");
    let mut sent = HeaderMap::new();
    token.add_to(&mut sent).await;
    assert_eq!(sent, headers("authorization", "Token a"));
    assert!(sent["authorization"].is_sensitive(), "it is not printed");
    assert_eq!(token.challenge(), "Token realm=\"rootspan\"");
}

#[tokio::test(start_paused = true)]
async fn a_file_of_tokens_is_read_again_and_an_empty_one_changes_nothing() {
    let folder = Folder::new();
    let path = folder.write("tokens", "old\n\nolder \n");
    let bearer = authenticator(&format!("bearertokenauth: {{filename: {}}}", path.display())).expect("is sound");
    assert!(ask(&bearer, "Bearer old").await.is_ok() && ask(&bearer, "Bearer older").await.is_ok());
    assert_eq!(ask(&bearer, "Bearer ").await, Err(Denied::Wrong), "an empty line is no token");
    folder.write("tokens", "new\n");
    tokio::time::advance(std::time::Duration::from_secs(2)).await;
    assert!(ask(&bearer, "Bearer new").await.is_ok());
    assert_eq!(ask(&bearer, "Bearer old").await, Err(Denied::Wrong), "it was taken out");
    folder.write("tokens", "\n");
    tokio::time::advance(std::time::Duration::from_secs(2)).await;
    assert!(ask(&bearer, "Bearer new").await.is_ok());
    assert_eq!(ask(&bearer, "Bearer ").await, Err(Denied::Wrong));
}

#[test]
fn nothing_starts_without_a_secret() {
    let folder = Folder::new();
    let (empty, none) = (folder.write("empty", "\n\n"), folder.path("none"));
    let (empty, none) = (empty.display(), none.display());
    for (yaml, reason) in [
        ("bearertokenauth: {}".to_owned(), "without a token nobody may enter"),
        ("bearertokenauth:".to_owned(), "without a token nobody may enter"),
        ("bearertokenauth: {token: ''}".to_owned(), "a secret must not be empty"),
        ("bearertokenauth: {tokens: [a, '']}".to_owned(), "a secret must not be empty"),
        ("bearertokenauth: {token: ' '}".to_owned(), "there is no token in it"),
        ("bearertokenauth: {token: a, tokens: [b]}".to_owned(), "both `token` and `tokens`"),
        (format!("bearertokenauth: {{filename: {empty}}}"), "there is no token in it"),
        (format!("bearertokenauth: {{filename: {none}}}"), "the file does not exist"),
        ("basicauth: {}".to_owned(), "either `htpasswd` (for servers) or `client_auth`"),
        ("basicauth: {htpasswd: {inline: 'a:b'}, client_auth: {username: a, password: b}}".to_owned(), "either"),
        ("basicauth: {htpasswd: {}}".to_owned(), "without a password nobody may enter"),
        ("basicauth: {htpasswd: {inline: ''}}".to_owned(), "a secret must not be empty"),
        (format!("basicauth: {{htpasswd: {{file: {empty}}}}}"), "there is no user"),
        (format!("basicauth: {{htpasswd: {{file: {none}, inline: 'a:b'}}}}"), "the file does not exist"),
        ("basicauth: {client_auth: {username: a}}".to_owned(), "either `password` or `password_file`"),
        ("basicauth: {client_auth: {password: a}}".to_owned(), "either `username` or `username_file`"),
        ("basicauth: {client_auth: {username: 'a:b', password: c}}".to_owned(), "must not have a colon"),
        (format!("basicauth: {{client_auth: {{username: a, password_file: {empty}}}}}"), "not empty"),
    ] {
        let error = authenticator(&yaml).err().unwrap_or_default();
        assert!(error.contains(reason), "{yaml}: {error}");
    }
}

#[tokio::test]
async fn names_and_passwords() {
    let basic = authenticator("basicauth: {htpasswd: {inline: 'ali:open:sesame'}}").expect("is sound");
    let shown = |text: &str| format!("Basic {}", STANDARD.encode(text));
    for _known_after_the_first in 0..2 {
        let identity = ask(&basic, &shown("ali:open:sesame")).await.expect("is right");
        assert_eq!(identity.as_deref(), Some("ali"));
    }
    for wrong in ["ali:open", "ali:", "ali", "", "bob:open:sesame", ":open:sesame"] {
        assert_eq!(ask(&basic, &shown(wrong)).await, Err(Denied::Wrong), "{wrong:?}");
    }
    for wrong in ["Basic", "Basic !!!", "Bearer YWxpOm9wZW46c2VzYW1l", "YWxpOm9wZW46c2VzYW1l"] {
        assert_eq!(ask(&basic, wrong).await, Err(Denied::Wrong), "{wrong:?}");
    }
    assert_eq!(basic.authenticate(&HeaderMap::new()).await.map(drop), Err(Denied::Missing));
    assert!(ask(&basic, &shown("ali:open:sesame").replace("Basic", "bAsIc")).await.is_ok());
}

#[tokio::test]
async fn an_exporter_shows_its_name_and_password() {
    let folder = Folder::new();
    let password = folder.write("password", "open sesame\n");
    let yaml = format!("basicauth: {{client_auth: {{username: ali, password_file: {}}}}}", password.display());
    let own = authenticator(&yaml).expect("is sound");
    let mut sent = HeaderMap::new();
    own.add_to(&mut sent).await;
    assert_eq!(sent, headers("authorization", "Basic YWxpOm9wZW4gc2VzYW1l"));
    assert!(sent["authorization"].is_sensitive(), "it is not printed");
    assert!(!format!("{own:?}").contains("sesame") && !format!("{own:?}").contains("YWxp"));
}

/// CVE-2024-45043 and CVE-2026-42602: a receiver that took requests without the key, an authenticator that did not
/// look. Here a reference to anything that cannot authenticate is no configuration.
#[test]
fn cve_2026_42602_a_reference_to_what_does_not_authenticate_is_refused() {
    for (authenticator, extensions, running, reason) in [
        ("bearertokenauth", "health_check: {}", "health_check", "`bearertokenauth` is not defined under `extensions`"),
        ("bearertokenauth", "bearertokenauth: {token: a}", "", "does not run: add it to `service.extensions`"),
        ("health_check", "health_check: {}", "health_check", "`health_check` does not authenticate"),
        ("basicauth", "basicauth: {client_auth: {username: a, password: b}}", "basicauth", "has no `htpasswd`"),
    ] {
        for protocol in ["grpc", "http"] {
            let yaml = format!(
                "receivers: {{otlp: {{protocols: {{{protocol}: {{auth: {{authenticator: {authenticator}}}}}}}}}}}\n\
                 exporters: {{debug: {{}}}}\nextensions: {{{extensions}}}\n\
                 service: {{extensions: [{running}], pipelines: {{traces: {{receivers: [otlp], exporters: [debug]}}}}}}"
            );
            let problems = load_with(&[Source::Text { name: "t".into(), text: yaml }], &|_| None).expect_err("wrong");
            assert!(problems.to_string().contains(reason), "{problems}");
        }
    }
    let yaml = "receivers: {otlp: {protocols: {grpc: {}}}}\n\
                exporters: {otlp: {endpoint: 'b:1', auth: {authenticator: basicauth}, tls: {insecure: true}}}\n\
                extensions: {basicauth: {htpasswd: {inline: 'a:b'}}}\n\
                service: {extensions: [basicauth], pipelines: {traces: {receivers: [otlp], exporters: [otlp]}}}";
    let problems = load_with(&[Source::Text { name: "t".into(), text: yaml.into() }], &|_| None).expect_err("wrong");
    assert!(problems.to_string().contains("has no `client_auth`"), "{problems}");
    assert!(problems.to_string().contains("`auth` needs encryption"), "{problems}");
}
