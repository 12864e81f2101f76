//! A real nginx with the module.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::collector::Collector;
use crate::wait::until;

/// nginx until the end of the test.
#[derive(Debug)]
pub(crate) struct Nginx {
    pub(crate) port: u16,
    process: Child,
    folder: tempfile::TempDir,
}

/// What a configuration is made of; the defaults make the shortest one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Setup<'a> {
    /// Outside `http`.
    pub(crate) main: &'a str,
    /// In `otel_exporter`, after the endpoint.
    pub(crate) exporter: &'a str,
    /// In `http`.
    pub(crate) http: &'a str,
    /// In `server`.
    pub(crate) server: &'a str,
    /// HTTP/2 without TLS, instead of HTTP/1.
    pub(crate) http2: bool,
    /// A program that runs nginx, with its arguments.
    pub(crate) under: &'a [&'a str],
}

/// The module that cargo built for this test, or the one that `ROOTSPAN_NGINX_MODULE` names.
pub(crate) fn module() -> PathBuf {
    if let Some(module) = std::env::var_os("ROOTSPAN_NGINX_MODULE") {
        return module.into();
    }
    let test = std::env::current_exe().expect("a test has a path");
    let module = test.with_file_name("libngx_http_rootspan_module.so");
    assert!(module.is_file(), "{} is not built", module.display());
    module
}

/// The nginx that the module was built for: `ROOTSPAN_NGINX`, else the installed one.
pub(crate) fn nginx() -> Command {
    Command::new(std::env::var_os("ROOTSPAN_NGINX").unwrap_or_else(|| "nginx".into()))
}

/// Whether nginx was built with an optional module of its own.
pub(crate) fn has(option: &str) -> bool {
    let said = nginx().arg("-V").output().expect("nginx is installed").stderr;
    String::from_utf8_lossy(&said).contains(option)
}

impl Nginx {
    /// Starts nginx with `setup`, exporting to `collector`.
    #[track_caller]
    pub(crate) fn start(collector: &Collector, setup: Setup<'_>) -> Self {
        // The port is bound here and handed over, as nginx hands sockets to its successor: nobody can take it between.
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let Setup { main, exporter, http, server, http2, under } = setup;
        let http2 = if http2 { "http2" } else { "" };
        let endpoint = format!("endpoint http://127.0.0.1:{}/v1/traces;", collector.port);
        let exporter =
            if exporter.contains("endpoint") { exporter.to_owned() } else { format!("{endpoint} {exporter}") };
        let interval = if exporter.contains("interval") { "" } else { "interval 20ms;" };
        let temp =
            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path temp_{kind};"));
        let config = format!(
            "load_module {};\ndaemon off;\nuser root;\nworker_processes 1;\npid nginx.pid;\nerror_log error.log info;\n{main}\n\
             events {{ worker_connections 1024; }}\n\
             http {{\n{}\naccess_log off;\notel_service_name proxy;\notel_exporter {{ {exporter} {interval} }}\n{http}\n\
             server {{ listen 127.0.0.1:{port} {http2}; server_name localhost;\n{server}\n}}\n}}\n",
            module().display(),
            temp.join(" "),
        );
        std::fs::write(folder.path().join("nginx.conf"), config).expect("the folder is ours");
        let mut command = nginx();
        if let [program, arguments @ ..] = under {
            let nginx = command.get_program().to_owned();
            command = Command::new(program);
            command.args(arguments).arg(nginx);
        }
        let process = command
            .args([
                "-p".as_ref(),
                folder.path(),
                "-e".as_ref(),
                "error.log".as_ref(),
                "-c".as_ref(),
                "nginx.conf".as_ref(),
            ])
            .env("NGINX", "0;")
            .current_dir(folder.path())
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .stdout(Stdio::null())
            .spawn()
            .expect("nginx is installed");
        let mut nginx = Self { port, process, folder };
        until("nginx to have a worker", || {
            if let Ok(Some(status)) = nginx.process.try_wait() {
                panic!("nginx ended with {status}: {}", nginx.log());
            }
            (!nginx.workers().is_empty()).then_some(())
        });
        nginx
    }

    /// The error log.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default()
    }

    /// Where nginx runs.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Process ids of workers.
    pub(crate) fn workers(&self) -> Vec<u32> {
        let pid = self.process.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        children.split_whitespace().filter_map(|child| child.parse().ok()).collect()
    }

    /// Sends a signal to the master.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([format!("-{name}"), self.process.id().to_string()]).status();
        assert!(status.expect("kill is there").success());
    }

    /// Sends `request` as it is and gives all that comes back until nginx closes.
    pub(crate) fn raw(&self, request: impl AsRef<[u8]>) -> String {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).expect("nginx listens");
        connection.write_all(request.as_ref()).expect("nginx reads");
        let mut answer = Vec::new();
        // A reset after the answer is an answer too.
        drop(connection.read_to_end(&mut answer));
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// `GET path` with these header lines; gives the whole answer.
    pub(crate) fn get(&self, path: &str, headers: &[&str]) -> String {
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        self.raw(format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n{headers}\r\n"))
    }

    /// Stops gracefully and gives the error log.
    pub(crate) fn stop(self) -> String {
        let log = self.folder().join("error.log");
        self.stop_and(|| std::fs::read_to_string(log).unwrap_or_default())
    }

    /// Stops gracefully and gives what `last` finds then in nginx's folder.
    pub(crate) fn stop_and<T>(mut self, last: impl FnOnce() -> T) -> T {
        self.signal("QUIT");
        let status = until("nginx to end", || self.process.try_wait().expect("it is our child"));
        assert!(status.success(), "{status}: {}", self.log());
        last()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Already gone after `stop`.
        drop(Command::new("kill").args(["-TERM", &self.process.id().to_string()]).stderr(Stdio::null()).status());
        drop(self.process.wait());
        let log = self.log();
        if !std::thread::panicking() {
            let fault = log.lines().find(|line| line.contains("exited on signal") || line.contains("panicked"));
            assert!(fault.is_none(), "a worker crashed: {log}");
        }
    }
}
