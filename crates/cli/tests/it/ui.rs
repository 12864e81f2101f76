//! The UI and the query API: who may ask, and what every answer carries.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::http::{get, send};
use crate::process::{Setup, Site};

#[test]
fn a_strangers_host_name_is_refused() {
    let site = Site::new(Setup { ui: ", allowed_hosts: [traces.example.com]", ..Setup::default() });
    let process = site.start();
    let ui = process.ui();
    let port = ui.port();
    let status = |host: &str, target: &str| send(ui, "GET", target, &[("Host", host)], &[]).status;
    for target in ["/", "/api/v1/status", "/trace/00000000000000000000000000000001", "/assets/x.js"] {
        // DNS rebinding: the browser of a visitor of evil.example asks us under that name.
        for host in
            ["evil.example", "evil.example:16686", "127.0.0.1.evil.example", "localhost.evil.example", "10.1.2.3"]
        {
            assert_eq!(status(host, target), 403, "{host} {target}");
        }
        for host in ["", "a b", "[::1", "localhost:port"] {
            assert!(matches!(status(host, target), 400 | 403), "{host:?} {target}");
        }
    }
    for host in ["localhost", "127.0.0.1", "[::1]", "traces.example.com", "TRACES.example.com"] {
        assert_eq!(status(host, "/api/v1/status"), 200, "{host}");
        assert_eq!(status(&format!("{host}:{port}"), "/"), 200, "{host} with port");
    }
    process.stop();
}

#[test]
fn every_answer_forbids_what_pages_of_others_could_do() {
    let site = Site::new(Setup::default());
    let process = site.start();
    let ui = process.ui();
    for target in [
        "/",
        "/trace/00000000000000000000000000000001",
        "/api/v1/status",
        "/api/v1/search?q=}",
        "/api/v1/nothing",
        "/assets/none.js",
    ] {
        let answer = get(ui, target);
        let policy = answer.header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{target}: {policy}"
        );
        assert!(!policy.contains("unsafe"), "{target}: {policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{target}");
        assert_eq!(answer.header("access-control-allow-origin"), "", "{target}: no CORS by default");
    }
    process.stop();
}

#[test]
fn the_page_is_served_or_says_how_to_build_it() {
    let site = Site::new(Setup::default());
    let process = site.start();
    for target in ["/", "/trace/00000000000000000000000000000001", "/search"] {
        let page = get(process.ui(), target);
        assert_eq!(page.status, 200, "{target}");
        assert!(page.header("content-type").starts_with("text/html"), "{target}: {}", page.header("content-type"));
        let text = page.text();
        assert!(
            text.contains("/assets/") || text.contains("npm run build") || text.contains("cargo xtask"),
            "{target}: {text}"
        );
        // The policy would forbid it.
        assert!(
            !text.contains("<script>") && !text.contains("<style>") && !text.contains("style="),
            "{target}: {text}"
        );
    }
    // Routes of the API are not pages.
    let missing = get(process.ui(), "/api/v1/nothing");
    assert_eq!((missing.status, missing.header("content-type")), (404, "application/json"));
    process.stop();
}

#[test]
fn credentials_are_asked_for_everywhere() {
    let encoded = STANDARD.encode("ops:s3cret:with:colons");
    let cases = [
        (", auth: {basic: {username: ops, password: \"s3cret:with:colons\"}}", format!("Basic {encoded}"), "Basic "),
        (", auth: {bearer: {token: t0ken}}", "Bearer t0ken".to_owned(), "Bearer "),
    ];
    for (setup, right, challenge) in cases {
        let site = Site::new(Setup { ui: setup, ..Setup::default() });
        let process = site.start();
        let ui = process.ui();
        for target in ["/", "/api/v1/status", "/api/v1/search", "/assets/x.js"] {
            let wrong = ["", "Basic", "Bearer", "Bearer wrong", "Bearer t0ken2", "Basic b3BzOndyb25n", "Basic !!!"];
            for header in wrong {
                let answer = send(ui, "GET", target, &[("Authorization", header)], &[]);
                assert_eq!(answer.status, 401, "{target} {header:?}");
                assert!(answer.header("www-authenticate").starts_with(challenge), "{target}");
                assert!(!answer.header("content-security-policy").is_empty(), "{target}");
            }
            assert_eq!(get(ui, target).status, 401, "{target} without");
        }
        for target in ["/", "/api/v1/status"] {
            assert_eq!(send(ui, "GET", target, &[("Authorization", &right)], &[]).status, 200, "{target}");
        }
        process.stop();
    }
}

#[test]
fn listening_beyond_loopback_without_auth_is_worth_a_warning() {
    let site = Site::new(Setup::default());
    let text = std::fs::read_to_string(site.config()).expect("just written");
    let open = text.replace("  ui: {endpoint: \"127.0.0.1:0\"", "  ui: {endpoint: \"0.0.0.0:0\"");
    std::fs::write(site.config(), &open).expect("it can be written");
    let mut process = site.start();
    process.expect("auth");
    process.wait_for_log(" WARN ");
    process.stop();
    let closed = open.replace("\"0.0.0.0:0\"", "\"0.0.0.0:0\", auth: {bearer: {token: t}}");
    std::fs::write(site.config(), closed).expect("it can be written");
    site.start().stop();
}
