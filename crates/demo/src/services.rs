//! Starts the two services with their queue and database, and stops them without losing a span.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_instrumentation_tower::http::server::LayerBuilder;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::database::Database;
use crate::downstream::{self, Downstream};
use crate::queue;
use crate::scenario::{Faults, Scenario};
use crate::telemetry::{self, Export};
use crate::upstream::{self, Upstream};

/// Where the services listen and where their spans go.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address of the upstream service, the CDN's origin; port 0 takes a free one.
    pub upstream: SocketAddr,
    /// Address of the downstream service.
    pub downstream: SocketAddr,
    /// `http://host:port` of the OTLP/gRPC receiver: upstream uses it.
    pub otlp_grpc: String,
    /// `http://host:port` of the OTLP/HTTP receiver: downstream uses it.
    pub otlp_http: String,
    /// The fault.
    pub scenario: Scenario,
}

/// The running services.
#[derive(Debug)]
pub struct Services {
    /// Where upstream listens.
    pub upstream: SocketAddr,
    /// Where downstream listens.
    pub downstream: SocketAddr,
    stop: watch::Sender<bool>,
    servers: Vec<JoinHandle<()>>,
    consumer: JoinHandle<()>,
    providers: Vec<SdkTracerProvider>,
}

impl Services {
    /// Binds the addresses and starts both services.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        telemetry::install_propagator();
        let upstream_spans = provider(upstream::NAME, Export::Grpc(config.otlp_grpc)).await?;
        let downstream_spans = provider(downstream::NAME, Export::Http(config.otlp_http)).await?;
        let faults = Arc::new(Faults::new(config.scenario));
        let (stop, stopped) = watch::channel(false);

        let tracer = downstream_spans.tracer("shop");
        let down = Downstream { database: Database::open(tracer.clone(), Arc::clone(&faults))?, faults, tracer };
        let listener = bind(downstream::NAME, config.downstream).await?;
        let downstream_address = listener.local_addr()?;
        let routes = instrumented(downstream::routes(down.clone()), &downstream_spans)?;
        let downstream_server = tokio::spawn(serve(listener, routes, stopped.clone()));

        let tracer = upstream_spans.tracer("shop");
        let (orders, consumer) = queue::queue(tracer.clone());
        let consumer = tokio::spawn(downstream::consume(down, consumer));
        let up = Upstream {
            downstream: downstream_address.to_string(),
            client: Client::builder(TokioExecutor::new()).build_http(),
            orders,
            tracer,
        };
        let listener = bind(upstream::NAME, config.upstream).await?;
        let upstream_address = listener.local_addr()?;
        let routes = instrumented(upstream::routes(up), &upstream_spans)?;
        let upstream_server = tokio::spawn(serve(listener, routes, stopped));

        Ok(Self {
            upstream: upstream_address,
            downstream: downstream_address,
            stop,
            servers: vec![upstream_server, downstream_server],
            consumer,
            providers: vec![upstream_spans, downstream_spans],
        })
    }

    /// Answers what is under way, empties the queue and sends every span.
    pub async fn stop(self) -> anyhow::Result<()> {
        // The receivers are the servers themselves; if they are gone there is nobody to tell.
        self.stop.send_replace(true);
        for server in self.servers {
            server.await.context("a service ended in a panic")?;
        }
        self.consumer.await.context("the consumer ended in a panic")?;
        for provider in self.providers {
            tokio::task::spawn_blocking(move || provider.shutdown())
                .await
                .context("the last spans could not be sent")?
                .context("the last spans could not be sent")?;
        }
        Ok(())
    }
}

/// Some exporters make their own runtime when they are built, which is not allowed on a runtime's thread.
async fn provider(service: &'static str, export: Export) -> anyhow::Result<SdkTracerProvider> {
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let _entered = runtime.enter();
        telemetry::provider(service, &format!("{service}-1"), &export)
    })
    .await
    .context("the tracer could not be set up")?
}

/// The official instrumentation around the routes: SERVER spans with `http.route`.
///
/// The layer takes its tracer from the global provider at the moment that it is built, and there only.
fn instrumented(routes: Router, provider: &SdkTracerProvider) -> anyhow::Result<Router> {
    opentelemetry::global::set_tracer_provider(provider.clone());
    let layer = LayerBuilder::builder()
        .with_metrics(false)
        .build()
        .map_err(|error| anyhow::anyhow!("the HTTP instrumentation could not be set up: {error}"))?;
    Ok(routes.layer(layer))
}

async fn bind(service: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("{service} cannot listen on {address}"))
}

async fn serve(listener: TcpListener, routes: Router, mut stopped: watch::Receiver<bool>) {
    let signal = async move {
        // An error means that the sender is gone, which is a stop as well.
        let _stop = stopped.wait_for(|stop| *stop).await;
    };
    if let Err(error) = axum::serve(listener, routes).with_graceful_shutdown(signal).await {
        tracing::error!(%error, "a demo service stopped listening");
    }
}
