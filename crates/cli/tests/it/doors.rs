//! The doors of the program: what they show of secrets, and how they do when there are no more descriptors.

use std::net::TcpStream;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::http;
use crate::otlp::check_takes_more;
use crate::process::{Process, Setup, Site, run};

const TOKEN: &str = "token-that-nobody-may-see";
const WRONG: &str = "token-that-somebody-guessed";
const PASSWORD: &str = "password-that-nobody-may-see";

/// A gateway whose HTTP door asks for [`TOKEN`], and whose log says all that it can.
fn guarded() -> Site {
    let site = Site::new(Setup::default());
    let text = std::fs::read_to_string(site.config()).expect("it was written");
    let text = text
        .replace("http: {endpoint", "http: {auth: {authenticator: bearertokenauth}, endpoint")
        .replace(
            "extensions:\n",
            &format!(
                "extensions:\n  bearertokenauth: {{token: {TOKEN}}}\n  basicauth: {{htpasswd: {{inline: 'ali:{PASSWORD}'}}}}\n"
            ),
        )
        .replace("[health_check, ui]", "[bearertokenauth, basicauth, health_check, ui]")
        .replace("telemetry: {", "telemetry: {logs: {level: debug}, ");
    std::fs::write(site.config(), text).expect("the configuration can be written");
    site
}

#[test]
fn secrets_are_shown_nowhere() {
    let site = guarded();
    let process = site.start();
    let send = |token: &str| {
        let authorization = format!("Bearer {token}");
        let headers = [("Content-Type", "application/json"), ("Authorization", authorization.as_str())];
        http::send(process.otlp_http(), "POST", "/v1/traces", &headers, b"{}")
    };
    let refused = send(WRONG);
    assert_eq!(refused.status, 401);
    assert_eq!(send(TOKEN).status, 200);
    let own = process.address("metrics", "http");
    let mut shown = refused.text();
    for path in ["/metrics", "/debug/ledger"] {
        shown += &http::send(own, "GET", path, &[], b"").text();
    }
    process.terminate();
    let ended = process.end();
    assert!(ended.status.success(), "{}", ended.stderr);
    shown += &ended.stderr;
    shown += &ended.stdout;
    let config = site.config().display().to_string();
    for command in ["print-config", "validate"] {
        let printed = run([command, "--config", config.as_str()]);
        assert!(printed.status.success(), "{}", printed.stderr);
        shown += &printed.stdout;
        shown += &printed.stderr;
    }
    for secret in [TOKEN, WRONG, PASSWORD] {
        assert!(!shown.contains(secret), "{secret} is shown: {shown}");
    }
}

/// Lets the process open so many more files and connections than it has.
fn allow_descriptors(process: &Process, more: u64) {
    let pid = process.pid();
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("the process runs").count() as u64;
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("it is a process");
    let limit = Rlimit { current: Some(open + more), maximum: getrlimit(Resource::Nofile).maximum };
    prlimit(Some(pid), Resource::Nofile, limit).expect("the limit of a child can be lowered");
}

#[test]
fn accepting_goes_on_after_all_descriptors_were_in_use() {
    let site = Site::new(Setup::default());
    let mut process = site.start();
    process.expect("accept failed");
    allow_descriptors(&process, 20);
    let connect = |_| TcpStream::connect(process.otlp_grpc()).expect("the kernel still queues it");
    let held: Vec<TcpStream> = (0..60).map(connect).collect();
    process.wait_for_log("accept failed");
    drop(held);
    check_takes_more(&process);
    process.stop();
}
