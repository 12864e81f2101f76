//! What a configuration describes, running: stores, gateway, and the web UI.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rootspan_gateway::config::Config;
use rootspan_gateway::config::problems::Problem;
use rootspan_gateway::exporters::store::StoreConfig;
use rootspan_gateway::extensions::ui::UiConfig;
use rootspan_gateway::ledger::DropReason;
use rootspan_gateway::net::tls::server::{HTTP_1, TlsServer};
use rootspan_gateway::runtime::{Environment, Gateway, Running};
use rootspan_journal::directory::files::FilesDirectory;
use rootspan_query::guard::Auth;
use rootspan_query::server::{self, Bind, Ingest, Server, State, Tls};
use rootspan_store::store::{Options, Store};

/// What a span that waits to be sealed takes of the memory, and the same again while it is sealed.
const TAIL_BYTES_PER_SPAN: u64 = 2 * 1024;

/// How long senders and the UI's users are waited for at the end.
const DRAIN_DEADLINE: Duration = Duration::from_secs(10);

/// Everything that runs.
#[derive(Debug)]
pub(crate) struct App {
    /// The gateway.
    pub(crate) gateway: Running,
    /// The UI and the query API, if the configuration has them.
    pub(crate) ui: Option<server::Running>,
    stores: HashMap<String, Store>,
    /// What runs.
    config: Config,
}

impl App {
    /// Opens the stores, starts the gateway, then the UI. Call it within a tokio runtime.
    pub(crate) async fn start(config: &Config) -> anyhow::Result<Self> {
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        let mut stores = HashMap::new();
        for store in config.stores() {
            stores.insert(store.directory.clone(), open_store(store).await?);
        }
        match start_on(config, &stores, tail_bytes(config)).await {
            Ok((gateway, ui)) => Ok(Self { gateway, ui, stores, config: config.clone() }),
            Err(error) => {
                // Whoever tries again with other addresses finds the folders free. Why it did not start matters more
                // than what this says.
                let _closed = close(stores).await;
                Err(error)
            }
        }
    }

    /// Runs another configuration. On an error, what ran before runs on.
    pub(crate) async fn reload(&mut self, config: Config) -> anyhow::Result<()> {
        for warning in config.warnings.iter().chain(&self.only_at_start(&config)) {
            tracing::warn!("{warning}");
        }
        let mut opened = HashMap::new();
        for store in config.stores() {
            if self.stores.contains_key(&store.directory) {
                continue;
            }
            match open_store(store).await {
                Ok(open) => drop(opened.insert(store.directory.clone(), open)),
                Err(error) => {
                    self.gateway.reload_rejected();
                    let _closed = close(opened).await;
                    return Err(error);
                }
            }
        }
        let mut stores = self.stores.clone();
        stores.extend(opened.clone());
        let environment = Environment {
            stores: stores.clone(),
            clock: rootspan_gateway::clock::system(),
            store_tail_bytes: tail_bytes(&config),
            debug_output: None,
        };
        if let Err(error) = self.gateway.reload(&config, environment, DRAIN_DEADLINE).await {
            let _closed = close(opened).await;
            return Err(error.into());
        }
        // A store that no pipeline writes to any more stays open until the end: the UI may show it, and what was on its
        // way to it arrives.
        self.stores = stores;
        self.config = config;
        Ok(())
    }

    /// What of a new configuration takes effect at the next start only.
    fn only_at_start(&self, config: &Config) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut say = |what: String| {
            let message = format!("{what} changed: it takes effect when rootspan is started again");
            found.push(Problem { position: None, message });
        };
        let running = self.config.stores();
        for store in config.stores() {
            if running.iter().any(|open| open.directory == store.directory && *open != store) {
                say(format!("the exporter `store` in {}", store.directory));
            }
        }
        if self.config.ui() != config.ui() {
            say("the extension `ui`".to_owned());
        }
        if self.config.service.telemetry.logs != config.service.telemetry.logs {
            say("`service.telemetry.logs`".to_owned());
        }
        found
    }

    /// Where the UI is.
    pub(crate) fn ui_address(&self) -> Option<SocketAddr> {
        self.ui.as_ref().map(server::Running::address)
    }

    /// Takes nothing new, stores what was taken, closes. Gives one sentence if something was cut off.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        let drained = self.gateway.shutdown(DRAIN_DEADLINE).await;
        let dropped = drained.ledger.exporters.iter().map(|account| account.dropped.of(DropReason::DrainDeadline));
        let lost: u64 = dropped.sum();
        if lost > 0 {
            tracing::error!(
                spans = lost,
                "accepted spans waited in memory and were not delivered within the drain deadline; they are lost"
            );
        }
        if drained.cut_off_spans > lost {
            tracing::error!(
                spans = drained.cut_off_spans - lost,
                "not everything was stored within the drain deadline; the senders were not told that it was accepted"
            );
        } else if drained.cut_off_spans > 0 {
            // Said above.
        } else if !drained.complete {
            tracing::warn!(
                "a connection did not end within the drain deadline and was cut off; no span was on its way"
            );
        }
        if let Some(ui) = self.ui {
            ui.stop(DRAIN_DEADLINE).await;
        }
        close(self.stores).await
    }
}

/// What the stores' tails may take of the memory.
fn tail_bytes(config: &Config) -> u64 {
    let bytes = |store: &&StoreConfig| store.seal_spans.saturating_mul(TAIL_BYTES_PER_SPAN);
    config.stores().iter().map(bytes).fold(0, u64::saturating_add)
}

async fn start_on(
    config: &Config,
    stores: &HashMap<String, Store>,
    store_tail_bytes: u64,
) -> anyhow::Result<(Running, Option<server::Running>)> {
    let environment = Environment {
        stores: stores.clone(),
        clock: rootspan_gateway::clock::system(),
        store_tail_bytes,
        debug_output: None,
    };
    let gateway = Gateway::start(config, environment).await?;
    let Some(ui) = config.ui() else { return Ok((gateway, None)) };
    match start_ui(ui, config, stores, &gateway) {
        Ok(ui) => Ok((gateway, Some(ui))),
        Err(error) => {
            gateway.shutdown(DRAIN_DEADLINE).await;
            Err(error)
        }
    }
}

async fn close(stores: HashMap<String, Store>) -> anyhow::Result<()> {
    for (directory, store) in stores {
        let closed = tokio::task::spawn_blocking(move || store.close()).await;
        closed.context("the store's closing was interrupted")?.with_context(|| format!("closing {directory}"))?;
    }
    Ok(())
}

async fn open_store(config: &StoreConfig) -> anyhow::Result<Store> {
    let options = Options {
        retention: config.retention,
        max_bytes: Some(config.max_bytes.0),
        min_free_percent: config.min_free_percent,
        seal_spans: usize::try_from(config.seal_spans).unwrap_or(usize::MAX),
        seal_after: config.seal_after,
        clock: rootspan_gateway::clock::system(),
    };
    let path = config.directory.clone();
    let opened = tokio::task::spawn_blocking(move || open_folder(Path::new(&path), options));
    opened.await.context("the store's opening was interrupted")?
}

/// Opens the store in `path` and logs what had to be repaired.
pub(crate) fn open_folder(path: &Path, options: Options) -> anyhow::Result<Store> {
    let directory =
        FilesDirectory::open(path).with_context(|| format!("the store's folder {} cannot be used", path.display()))?;
    let (store, report) = Store::open(Arc::new(directory), options)
        .with_context(|| format!("the store in {} did not open", path.display()))?;
    for repair in &report.repairs {
        tracing::warn!(store = %path.display(), "{repair}");
    }
    tracing::info!(store = %path.display(), replayed_spans = report.replayed_spans, "store open");
    Ok(store)
}

fn start_ui(
    ui: &UiConfig,
    config: &Config,
    stores: &HashMap<String, Store>,
    gateway: &Running,
) -> anyhow::Result<server::Running> {
    let first = config.stores().first().map(|store| store.directory.clone()).unwrap_or_default();
    let store = stores.get(&first).cloned().context(
        "extensions.ui shows the embedded store, but no running pipeline has the exporter `store`; add it or remove `ui`",
    )?;
    let auth = ui.auth.as_ref().map(|auth| match (&auth.basic, &auth.bearer) {
        (Some(basic), _) => {
            Auth::Basic { username: basic.username.clone(), password: basic.password.reveal().to_owned() }
        }
        (None, bearer) => {
            Auth::Bearer { token: bearer.as_ref().map(|bearer| bearer.token.reveal().to_owned()).unwrap_or_default() }
        }
    });
    let address = resolve(&ui.endpoint.to_string())?;
    let ledger = gateway.ledger_handle();
    let figures = move || {
        let snapshot = ledger.snapshot();
        Ingest {
            spans_received: snapshot.receivers.iter().map(|account| account.received).sum(),
            dropped_spans: snapshot
                .pipelines
                .iter()
                .map(|account| account.dropped.total())
                .chain(snapshot.exporters.iter().map(|account| account.dropped.total()))
                .sum(),
            refused_spans: snapshot.receivers.iter().map(|account| account.refused.total()).sum(),
        }
    };
    let tls = ui.tls.as_ref().map(|tls| TlsServer::load(tls, "the extension ui", HTTP_1)).transpose();
    let tls = tls.map_err(|reason| anyhow::anyhow!("the extension ui cannot use `extensions.ui.tls`: {reason}"))?;
    let tls = tls.map(|tls| {
        Tls(Arc::new(move || {
            let tls = tls.clone();
            Box::pin(async move { tls.config().await })
        }))
    });
    let running = Server::start(
        server::Config { bind: Bind::Address(address), allowed_hosts: ui.allowed_hosts.clone(), auth, tls },
        State { store, ingest_figures: Arc::new(figures) },
    )?;
    if let Some(warning) = running.warning() {
        tracing::warn!("{warning}");
    }
    Ok(running)
}

fn resolve(endpoint: &str) -> anyhow::Result<SocketAddr> {
    use std::net::ToSocketAddrs as _;
    endpoint
        .to_socket_addrs()
        .with_context(|| format!("extensions.ui.endpoint: {endpoint} cannot be resolved"))?
        .next()
        .with_context(|| format!("extensions.ui.endpoint: {endpoint} has no address"))
}
