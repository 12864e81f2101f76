//! The queue between the services: bounded, in memory, with headers that carry the trace context, as a broker's do.

use std::collections::HashMap;

use anyhow::Context as _;
use opentelemetry::trace::{SpanKind, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_sdk::trace::SdkTracer;
use opentelemetry_semantic_conventions::attribute;
use tokio::sync::mpsc;

/// The queue's name.
pub const ORDERS: &str = "orders";

/// Most messages that wait.
const CAPACITY: usize = 1024;

/// What lies in the queue.
#[derive(Debug)]
pub struct Message {
    /// Trace context, under the propagator's names.
    pub headers: HashMap<String, String>,
    /// Which product was ordered.
    pub product: i64,
}

/// The sending end, with the tracer of the service that has it.
#[derive(Clone, Debug)]
pub struct Producer {
    sender: mpsc::Sender<Message>,
    tracer: SdkTracer,
}

/// The receiving end.
pub type Consumer = mpsc::Receiver<Message>;

/// A queue whose messages are sent by the service with `tracer`.
pub fn queue(tracer: SdkTracer) -> (Producer, Consumer) {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    (Producer { sender, tracer }, receiver)
}

impl Producer {
    /// Sends an order for `product` under a PRODUCER span.
    pub async fn send(&self, parent: &Context, product: i64) -> anyhow::Result<()> {
        let span = self
            .tracer
            .span_builder(format!("send {ORDERS}"))
            .with_kind(SpanKind::Producer)
            .with_attributes(attributes("send"))
            .start_with_context(&self.tracer, parent);
        let context = parent.with_span(span);
        let mut headers = HashMap::new();
        global::get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut headers));
        let sent = self.sender.send(Message { headers, product }).await;
        context.span().end();
        sent.context("the queue is closed")
    }
}

/// The attributes that both ends share (messaging conventions).
pub fn attributes(operation: &'static str) -> [KeyValue; 4] {
    [
        KeyValue::new(attribute::MESSAGING_SYSTEM, "in_memory"),
        KeyValue::new(attribute::MESSAGING_DESTINATION_NAME, ORDERS),
        KeyValue::new(attribute::MESSAGING_OPERATION_NAME, operation),
        KeyValue::new(attribute::MESSAGING_OPERATION_TYPE, operation),
    ]
}
