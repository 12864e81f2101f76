//! One tracer provider for each service, so that two services in one process are two services in the traces.

use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::KeyValue;
use opentelemetry::propagation::TextMapCompositePropagator;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider};
use opentelemetry_semantic_conventions::attribute;

/// Spans leave a service at least this often: a person is looking at the page.
const EXPORT_INTERVAL: Duration = Duration::from_millis(500);

/// How a service sends its spans.
#[derive(Clone, Debug)]
pub enum Export {
    /// OTLP/gRPC to `http://host:port`.
    Grpc(String),
    /// OTLP/HTTP with protobuf bodies to `http://host:port`.
    Http(String),
}

/// The provider of the service called `service`. Sampling follows the caller: the CDN decides.
pub fn provider(service: &'static str, instance: &str, export: &Export) -> anyhow::Result<SdkTracerProvider> {
    let builder = opentelemetry_otlp::SpanExporter::builder();
    let exporter = match export {
        Export::Grpc(endpoint) => builder.with_tonic().with_endpoint(endpoint.as_str()).build(),
        Export::Http(endpoint) => builder.with_http().with_endpoint(format!("{endpoint}/v1/traces")).build(),
    }
    .with_context(|| format!("the OTLP exporter of {service} could not be made"))?;
    let batches = BatchSpanProcessor::builder(exporter)
        .with_batch_config(BatchConfigBuilder::default().with_scheduled_delay(EXPORT_INTERVAL).build())
        .build();
    let resource = Resource::builder()
        .with_service_name(service)
        .with_attributes([
            KeyValue::new(attribute::SERVICE_VERSION, env!("CARGO_PKG_VERSION")),
            KeyValue::new(attribute::SERVICE_INSTANCE_ID, instance.to_owned()),
            KeyValue::new(attribute::DEPLOYMENT_ENVIRONMENT_NAME, "demo"),
            KeyValue::new(attribute::PROCESS_PID, i64::from(std::process::id())),
        ])
        .build();
    Ok(SdkTracerProvider::builder()
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
        .with_resource(resource)
        .with_span_processor(batches)
        .build())
}

/// Makes W3C Trace Context the propagator of this process.
pub fn install_propagator() {
    let context: Vec<Box<dyn opentelemetry::propagation::TextMapPropagator + Send + Sync>> =
        vec![Box::new(TraceContextPropagator::new())];
    opentelemetry::global::set_text_map_propagator(TextMapCompositePropagator::new(context));
}
