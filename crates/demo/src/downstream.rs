//! The downstream service: answers over HTTP and takes orders from the queue; it alone has the database.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::StatusCode;
use opentelemetry::trace::{SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_sdk::trace::SdkTracer;
use opentelemetry_semantic_conventions::attribute;

use crate::database::{DAILY_REPORT, Database, FIND_PRODUCT, INSERT_ORDER};
use crate::queue::{self, Consumer, Message};
use crate::scenario::Faults;

/// The service's name in the traces.
pub const NAME: &str = "downstream";

/// Orders of this product cannot be delivered: the request class that fails at the origin asks for it.
pub const CURSED_PRODUCT: i64 = 13;

/// What the handlers share.
#[derive(Clone, Debug)]
pub struct Downstream {
    /// The database.
    pub database: Database,
    /// The scenario's faults.
    pub faults: Arc<Faults>,
    /// The service's tracer.
    pub tracer: SdkTracer,
}

/// The routes, not yet instrumented.
pub fn routes(service: Downstream) -> Router {
    Router::new().route("/stock/{product}", get(stock)).route("/reports/daily", get(daily_report)).with_state(service)
}

async fn stock(State(service): State<Downstream>, Path(product): Path<i64>) -> Response {
    if service.faults.downstream_fails() {
        return failure(StatusCode::SERVICE_UNAVAILABLE, "out of capacity");
    }
    if product == CURSED_PRODUCT {
        return failure(StatusCode::INTERNAL_SERVER_ERROR, "the stock of this product is negative");
    }
    match service.database.query(&Context::current(), FIND_PRODUCT, product).await {
        Ok(Some(row)) => row.into_response(),
        Ok(None) => (StatusCode::NOT_FOUND, "no such product").into_response(),
        Err(error) => failure(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error:#}")),
    }
}

async fn daily_report(State(service): State<Downstream>) -> Response {
    match service.database.query(&Context::current(), DAILY_REPORT, 977).await {
        Ok(row) => row.unwrap_or_default().into_response(),
        Err(error) => failure(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error:#}")),
    }
}

/// A failed answer; the reason goes onto the current span as an exception event.
fn failure(status: StatusCode, reason: &str) -> Response {
    let context = Context::current();
    context.span().add_event(
        "exception",
        vec![
            KeyValue::new(attribute::EXCEPTION_TYPE, "StockError"),
            KeyValue::new(attribute::EXCEPTION_MESSAGE, reason.to_owned()),
        ],
    );
    (status, reason.to_owned()).into_response()
}

/// Works through the queue until its sending ends are gone.
pub async fn consume(service: Downstream, mut orders: Consumer) {
    while let Some(message) = orders.recv().await {
        process(&service, &message).await;
    }
}

async fn process(service: &Downstream, message: &Message) {
    let parent = global::get_text_map_propagator(|propagator| propagator.extract(&message.headers));
    let span = service
        .tracer
        .span_builder(format!("process {}", queue::ORDERS))
        .with_kind(SpanKind::Consumer)
        .with_attributes(queue::attributes("process"))
        .start_with_context(&service.tracer, &parent);
    let context = parent.with_span(span);
    if let Err(error) = service.database.query(&context, INSERT_ORDER, message.product).await {
        context.span().set_status(Status::error(format!("{error:#}")));
    }
    context.span().end();
}
