//! The upstream service: the CDN's origin. It asks downstream over HTTP and sends it orders through the queue.

use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::header::CACHE_CONTROL;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry::trace::{SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_http::HeaderInjector;
use opentelemetry_sdk::trace::SdkTracer;
use opentelemetry_semantic_conventions::attribute;

use crate::queue::Producer;

/// The service's name in the traces.
pub const NAME: &str = "upstream";

/// How long the product page takes to render.
const RENDERING: Duration = Duration::from_millis(6);

/// What the handlers share.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// `host:port` of the downstream service.
    pub downstream: String,
    /// The connection pool to it.
    pub client: Client<HttpConnector, Empty<Bytes>>,
    /// Where orders go.
    pub orders: Producer,
    /// The service's tracer.
    pub tracer: SdkTracer,
}

/// The routes, not yet instrumented.
pub fn routes(service: Upstream) -> Router {
    Router::new()
        .route("/assets/{file}", get(asset))
        .route("/products/{product}", get(product))
        .route("/orders/{product}", post(order))
        .route("/reports/daily", get(report))
        .with_state(service)
}

async fn asset(Path(file): Path<String>) -> Response {
    if file == "missing.css" {
        return (StatusCode::NOT_FOUND, "no such asset").into_response();
    }
    ([(CACHE_CONTROL, "public, max-age=60")], format!("/* {file} */\n")).into_response()
}

async fn product(State(service): State<Upstream>, Path(product): Path<i64>) -> Response {
    let stock = service.get("/stock/{product}", &format!("/stock/{product}")).await;
    if matches!(&stock, Ok((status, _)) if status.is_success()) {
        service.render("product page", RENDERING).await;
    }
    relay(stock)
}

async fn report(State(service): State<Upstream>) -> Response {
    relay(service.get("/reports/daily", "/reports/daily").await)
}

async fn order(State(service): State<Upstream>, Path(product): Path<i64>) -> Response {
    match service.orders.send(&Context::current(), product).await {
        Ok(()) => (StatusCode::ACCEPTED, "ordered").into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")).into_response(),
    }
}

/// Downstream's answer as ours: its errors become 502, as a proxy's would.
fn relay(answer: anyhow::Result<(StatusCode, Bytes)>) -> Response {
    match answer {
        Ok((status, body)) if status.is_server_error() => (StatusCode::BAD_GATEWAY, body).into_response(),
        Ok((status, body)) => (status, body).into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response(),
    }
}

impl Upstream {
    /// Work of the service itself, under an INTERNAL span.
    async fn render(&self, what: &'static str, takes: Duration) {
        let span = self.tracer.span_builder(format!("render {what}")).with_kind(SpanKind::Internal);
        let context = Context::current_with_span(span.start_with_context(&self.tracer, &Context::current()));
        tokio::time::sleep(takes).await;
        context.span().end();
    }

    /// Asks downstream under a CLIENT span of the HTTP conventions.
    async fn get(&self, route: &'static str, path: &str) -> anyhow::Result<(StatusCode, Bytes)> {
        let uri: Uri = format!("http://{}{path}", self.downstream).parse().context("the path is no part of a URI")?;
        let span = self
            .tracer
            .span_builder("GET")
            .with_kind(SpanKind::Client)
            .with_attributes([
                KeyValue::new(attribute::HTTP_REQUEST_METHOD, "GET"),
                KeyValue::new(attribute::URL_FULL, uri.to_string()),
                KeyValue::new(attribute::URL_TEMPLATE, route),
                KeyValue::new(attribute::SERVER_ADDRESS, uri.host().unwrap_or_default().to_owned()),
                KeyValue::new(attribute::SERVER_PORT, i64::from(uri.port_u16().unwrap_or(80))),
            ])
            .start_with_context(&self.tracer, &Context::current());
        let context = Context::current_with_span(span);
        let answer = self.exchange(&context, uri).await;
        let span = context.span();
        match &answer {
            Ok((status, _)) => {
                span.set_attribute(KeyValue::new(attribute::HTTP_RESPONSE_STATUS_CODE, i64::from(status.as_u16())));
                if status.is_client_error() || status.is_server_error() {
                    span.set_attribute(KeyValue::new(attribute::ERROR_TYPE, status.as_str().to_owned()));
                    span.set_status(Status::error(""));
                }
            }
            Err(error) => {
                span.set_attribute(KeyValue::new(attribute::ERROR_TYPE, "connection_error"));
                span.set_status(Status::error(format!("{error:#}")));
            }
        }
        span.end();
        answer
    }

    async fn exchange(&self, context: &Context, uri: Uri) -> anyhow::Result<(StatusCode, Bytes)> {
        let mut request = Request::new(Empty::new());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = uri;
        global::get_text_map_propagator(|propagator| {
            propagator.inject_context(context, &mut HeaderInjector(request.headers_mut()));
        });
        let answer = self.client.request(request).await.context("downstream did not answer")?;
        let status = answer.status();
        let body = answer.into_body().collect().await.context("downstream's answer broke off")?.to_bytes();
        Ok((status, body))
    }
}
