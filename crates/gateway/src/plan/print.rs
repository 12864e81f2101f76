//! The plan as text.

use std::fmt;

use rootspan_wire::otlp::payload::Signal;

use super::{MemoryLimit, Plan, PlannedExporter};
use crate::config::components::{Exporter, Extension, Receiver};
use crate::exporters::sending::SendingQueueConfig;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for limit in &self.memory_limits {
            match limit {
                MemoryLimit::Bytes(bytes) => writeln!(f, "memory limit {} MiB", bytes >> 20)?,
                MemoryLimit::Percent(percent) => writeln!(f, "memory limit {percent} % of the control group's")?,
            }
        }
        for receiver in &self.receivers {
            writeln!(f, "receiver {}", receiver.id)?;
            for line in receiver.config.listens() {
                writeln!(f, "  listens {line}")?;
            }
        }
        for pipeline in &self.pipelines {
            writeln!(f, "pipeline {}", pipeline.id)?;
            for receiver in &pipeline.receivers {
                writeln!(f, "  from {}", self.receiver_accounts[receiver.0].0)?;
            }
            for connector in &pipeline.connectors {
                writeln!(f, "  from the connector {connector}")?;
            }
            for pass in &pipeline.passes {
                let ids: Vec<String> = pass.iter().map(|(id, _)| id.to_string()).collect();
                writeln!(f, "  one pass: {}", ids.join(", "))?;
            }
            if let Some(batch) = &pipeline.merging {
                let (size, wait, items) = (batch.send_batch_size, batch.timeout, items(pipeline.signal));
                writeln!(f, "  merged at delivery up to {size} {items} or {wait:?}, acknowledged behind it")?;
            }
            for exporter in &pipeline.exporters {
                writeln!(f, "  to {}", self.exporters[exporter.0].id)?;
            }
            for (connector, next) in &pipeline.pipelines {
                writeln!(f, "  to {} by the connector {connector}", self.pipelines[next.0].id)?;
            }
        }
        for PlannedExporter { id, signal, config } in &self.exporters {
            let is_one_of_several = self.exporters.iter().filter(|other| other.id == *id).count() > 1;
            let id = if is_one_of_several { format!("{id} for {}", signal.name()) } else { id.to_string() };
            match config {
                Exporter::Store(store) => {
                    writeln!(f, "exporter {id}: no queue, acknowledged when on disk in {}", store.directory)?
                }
                Exporter::Debug(_) => writeln!(f, "exporter {id}: no queue, acknowledged when printed")?,
                Exporter::File(file) => {
                    writeln!(f, "exporter {id}: no queue, acknowledged when written to {}", file.path)?;
                }
                Exporter::OtlpGrpc(otlp) => {
                    writeln!(f, "exporter {id} to {}: {}", otlp.endpoint, queue_line(&otlp.sending_queue))?;
                }
                Exporter::OtlpHttp(otlp) => {
                    let target = otlp.uri(*signal).map(|uri| uri.to_string()).unwrap_or_default();
                    writeln!(f, "exporter {id} to {target}: {}", queue_line(&otlp.sending_queue))?;
                }
            }
        }
        for (id, extension) in &self.extensions {
            match extension {
                Extension::HealthCheck(health) => writeln!(f, "extension {id} listens {}", health.endpoint)?,
                Extension::BearerTokenAuth(_) => writeln!(f, "extension {id}: bearer tokens")?,
                Extension::BasicAuth(_) => writeln!(f, "extension {id}: names and passwords")?,
                Extension::Ui(ui) => writeln!(f, "extension {id} listens {}", ui.endpoint)?,
                Extension::FileStorage(storage) => {
                    writeln!(f, "extension {id} keeps queues in {}", storage.directory)?;
                }
                Extension::Retired => writeln!(f, "extension {id}: accepted, nothing runs")?,
            }
        }
        Ok(())
    }
}

/// What is counted.
const fn items(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "spans",
        Signal::Metrics => "data points",
        Signal::Logs => "log records",
    }
}

fn queue_line(queue: &SendingQueueConfig) -> String {
    if !queue.enabled {
        return "no queue, acknowledged when delivered".to_owned();
    }
    let when = if queue.wait_for_result { "delivered" } else { "queued" };
    let SendingQueueConfig { queue_size, sizer, num_consumers, .. } = queue;
    let sizer = sizer.name();
    match &queue.storage {
        None => {
            format!("a queue of {queue_size} {sizer} in memory, {num_consumers} at a time, acknowledged when {when}")
        }
        Some(storage) => {
            format!(
                "a queue of {queue_size} {sizer} on disk ({}), {num_consumers} at a time, acknowledged when synced",
                storage.id
            )
        }
    }
}

impl Receiver {
    /// Where it listens, a line for each socket.
    fn listens(&self) -> Vec<String> {
        match self {
            Self::Otlp(otlp) => {
                let grpc = otlp.protocols.grpc.iter().map(|grpc| format!("grpc {}", grpc.endpoint));
                grpc.chain(otlp.protocols.http.iter().map(|http| format!("http {}", http.endpoint))).collect()
            }
            Self::CloudFront(cloudfront) => cloudfront.ways_in(),
            Self::OtlpJsonFile(_) => Vec::new(),
            Self::NginxLog(nginxlog) => nginxlog.reads(),
        }
    }
}
