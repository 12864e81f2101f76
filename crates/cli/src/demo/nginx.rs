//! nginx between the local CloudFront and the services, with the module that `cargo xtask nginx-module` builds.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rootspan_demo::check;
use rootspan_demo::traffic::{DOWN_PREFIX, RETRIED_PREFIX, TIMEOUT_PREFIX};
use tokio::process::{Child, Command};

use crate::arguments::DemoArguments;
use crate::nginx::{Propagators, Way, module};

/// nginx's workers send their last spans within three seconds.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// How long it may take until nginx answers.
const START_WITHIN: Duration = Duration::from_secs(10);

/// Between two looks at whether it does.
const START_STEP: Duration = Duration::from_millis(20);

/// nginx, as long as the demo runs.
#[derive(Debug)]
pub(super) struct Nginx {
    address: SocketAddr,
    process: Child,
    folder: PathBuf,
    /// Takes connections and says nothing.
    _silent: TcpListener,
}

impl Nginx {
    /// Starts nginx before `upstream`, in a folder of its own below `folder`.
    pub(super) async fn start(
        arguments: &DemoArguments,
        folder: &Path,
        upstream: SocketAddr,
        otlp_http: SocketAddr,
    ) -> anyhow::Result<Self> {
        let module_path = module_path(arguments)?;
        let folder = folder.join("nginx");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        // The port is bound here and handed over, as nginx hands sockets to its successor: nobody can take it in between.
        let listener = TcpListener::bind("127.0.0.1:0").context("no port is free for nginx")?;
        let silent = TcpListener::bind("127.0.0.1:0").context("no port is free")?;
        let address = listener.local_addr()?;
        let config = configuration(&module_path, address, upstream, silent.local_addr()?, otlp_http);
        std::fs::write(folder.join("nginx.conf"), config).context("nginx's configuration cannot be written")?;
        let mut command = Command::new("nginx");
        command.arg("-p").arg(&folder).args(["-e", "error.log", "-c", "nginx.conf"]).env("NGINX", "0;");
        command.stdin(Stdio::from(OwnedFd::from(listener))).stdout(Stdio::null()).stderr(Stdio::null());
        // A signal from the terminal is for the demo, which ends nginx after the services.
        command.process_group(0).kill_on_drop(true);
        let process = command.spawn().context("nginx cannot be started; install it (apt-get install nginx)")?;
        let mut nginx = Self { address, process, folder, _silent: silent };
        nginx.wait_until_it_answers().await?;
        Ok(nginx)
    }

    /// Where it listens.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    async fn wait_until_it_answers(&mut self) -> anyhow::Result<()> {
        let give_up = tokio::time::Instant::now() + START_WITHIN;
        loop {
            if let Some(status) = self.process.try_wait()? {
                bail!("nginx ended with {status}: {}", self.log());
            }
            // The worker is there when the master has written its process id and made a child.
            let pid = self.process.id().unwrap_or_default();
            let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
            if self.folder.join("nginx.pid").exists() && !children.trim().is_empty() {
                return Ok(());
            }
            if tokio::time::Instant::now() > give_up {
                bail!("nginx does not start: {}", self.log());
            }
            tokio::time::sleep(START_STEP).await;
        }
    }

    fn log(&self) -> String {
        let log = std::fs::read_to_string(self.folder.join("error.log")).unwrap_or_default();
        log.lines().last().unwrap_or("its log is empty").to_owned()
    }

    /// Ends it gracefully: its spans are sent.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        let mut quit = Command::new("nginx");
        quit.arg("-p").arg(&self.folder).args(["-e", "error.log", "-c", "nginx.conf", "-s", "quit"]);
        let told = quit.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().await;
        told.context("nginx cannot be told to stop")?;
        match tokio::time::timeout(STOP_WITHIN, self.process.wait()).await {
            Ok(status) if status.as_ref().is_ok_and(std::process::ExitStatus::success) => Ok(()),
            Ok(status) => bail!("nginx ended with {status:?}: {}", self.log()),
            Err(_) => bail!("nginx does not end"),
        }
    }
}

fn module_path(arguments: &DemoArguments) -> anyhow::Result<PathBuf> {
    const HOW: &str =
        "build it with `cargo xtask nginx-module` and name it with --nginx-module or ROOTSPAN_NGINX_MODULE";
    let Some(path) = &arguments.nginx_module else { bail!("--nginx needs the module for nginx: {HOW}") };
    let path =
        path.canonicalize().with_context(|| format!("--nginx-module: {} is not there: {HOW}", path.display()))?;
    Ok(path)
}

fn configuration(
    module_path: &Path,
    address: SocketAddr,
    upstream: SocketAddr,
    silent: SocketAddr,
    otlp_http: SocketAddr,
) -> String {
    let way = Way {
        is_log: false,
        propagators: Propagators { trace_context: true, xray: true, ..Propagators::default() },
        service_name: check::NGINX.to_owned(),
        endpoint: format!("http://{otlp_http}/v1/traces"),
        // A person is looking at the page.
        interval: Some("500ms".to_owned()),
        log: String::new(),
        is_syslog: false,
        log_keys: Vec::new(),
    };
    let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path temp_{kind};\n"))
        .concat();
    // Port 9 is "discard": nobody listens on it.
    format!(
        "load_module \"{}\";\ndaemon off;\nworker_processes 1;\npid nginx.pid;\nerror_log error.log warn;\n\
         events {{ worker_connections 512; }}\n\
         http {{\n{temp}access_log off;\n{}\
         upstream services {{ server {upstream}; keepalive 16; }}\n\
         upstream second {{ server 127.0.0.1:9 max_fails=0; server {upstream} backup; }}\n\
         server {{\nlisten {address};\nproxy_http_version 1.1;\nproxy_set_header Connection '';\n\
         proxy_set_header Host $host;\n\
         location / {{ proxy_pass http://services; }}\n\
         location {RETRIED_PREFIX} {{ proxy_pass http://second/assets/; }}\n\
         location {DOWN_PREFIX} {{ proxy_pass http://127.0.0.1:9; }}\n\
         location {TIMEOUT_PREFIX} {{ proxy_read_timeout 100ms; proxy_pass http://{silent}; }}\n}}\n}}\n",
        module_path.display(),
        module(&way),
    )
}
