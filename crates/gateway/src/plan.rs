//! From configuration to the graph that runs. A pure function of the configuration; its print is what tests compare
//! and what `print-config --plan` shows.

mod print;

use std::collections::BTreeMap;

use rootspan_wire::otlp::payload::Signal;

use crate::config::Config;
use crate::config::components::{Exporter, Extension, Processor, Receiver};
use crate::config::id::ComponentId;
use crate::ledger::{ExporterIndex, PipelineIndex, ReceiverIndex};
use crate::processors::{BatchConfig, MemoryLimiterConfig};

/// The graph: each component once, in the order in which it is first used.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Limits of the process's memory that pipelines ask for; the smallest counts.
    pub memory_limits: Vec<MemoryLimit>,
    /// Receivers and the pipelines that they feed.
    pub receivers: Vec<PlannedReceiver>,
    /// The receivers' accounts: one for each signal that a receiver takes.
    pub receiver_accounts: Vec<(ComponentId, Signal)>,
    /// Pipelines.
    pub pipelines: Vec<PlannedPipeline>,
    /// Exporters: one for each signal that reaches it.
    pub exporters: Vec<PlannedExporter>,
    /// Extensions.
    pub extensions: Vec<(ComponentId, Extension)>,
}

/// A limit of the process's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryLimit {
    /// In bytes.
    Bytes(u64),
    /// In percent of what the control group allows.
    Percent(u64),
}

/// A receiver that runs.
#[derive(Clone, Debug)]
pub struct PlannedReceiver {
    /// Its id.
    pub id: ComponentId,
    /// Its settings.
    pub config: Receiver,
    /// What it takes.
    pub feeds: Vec<Feed>,
}

/// What a receiver takes of one signal.
#[derive(Clone, Debug)]
pub struct Feed {
    /// The signal.
    pub signal: Signal,
    /// Its account.
    pub account: ReceiverIndex,
    /// Where batches go, a copy to each.
    pub pipelines: Vec<PipelineIndex>,
}

/// An exporter that runs for one signal.
#[derive(Clone, Debug)]
pub struct PlannedExporter {
    /// Its id.
    pub id: ComponentId,
    /// What it gets.
    pub signal: Signal,
    /// Its settings.
    pub config: Exporter,
}

/// A pipeline that runs.
#[derive(Clone, Debug)]
pub struct PlannedPipeline {
    /// Its id.
    pub id: ComponentId,
    /// What it carries.
    pub signal: Signal,
    /// Its receivers' accounts.
    pub receivers: Vec<ReceiverIndex>,
    /// The connectors that it gets batches from.
    pub connectors: Vec<ComponentId>,
    /// What runs, in order: each inner list is one pass over a batch.
    pub passes: Vec<Vec<(ComponentId, Processor)>>,
    /// What its `batch` asks of delivery.
    pub merging: Option<BatchConfig>,
    /// Its exporters.
    pub exporters: Vec<ExporterIndex>,
    /// The pipelines that it leads into, each with the connector between.
    pub pipelines: Vec<(ComponentId, PipelineIndex)>,
}

/// Plans a checked configuration.
#[must_use]
pub fn plan(config: &Config) -> Plan {
    let mut plan = Plan {
        memory_limits: Vec::new(),
        receivers: Vec::new(),
        receiver_accounts: Vec::new(),
        pipelines: Vec::new(),
        exporters: Vec::new(),
        extensions: Vec::new(),
    };
    for written in &config.service.pipelines {
        let index = PipelineIndex(plan.pipelines.len());
        let mut pipeline = PlannedPipeline {
            id: written.id.clone(),
            signal: written.signal,
            receivers: Vec::new(),
            connectors: defined(&written.receivers, &config.connectors).map(|(id, _)| id.clone()).collect(),
            passes: Vec::new(),
            merging: None,
            exporters: Vec::new(),
            pipelines: Vec::new(),
        };
        for (id, receiver) in defined(&written.receivers, &config.receivers) {
            pipeline.receivers.push(plan.feed(id, receiver, written.signal, index));
        }
        for (id, processor) in defined(&written.processors, &config.processors) {
            match processor {
                Processor::MemoryLimiter(limiter) => plan.memory_limits.extend(memory_limits(limiter)),
                Processor::Batch(batch) => pipeline.merging = Some(batch.clone()),
                Processor::Attributes(_) | Processor::Resource(_) | Processor::Detection(_) | Processor::Sampler(_) => {
                    fuse(&mut pipeline.passes, id, processor);
                }
            }
        }
        for (id, exporter) in defined(&written.exporters, &config.exporters) {
            pipeline.exporters.push(plan.exporter(id, exporter, written.signal));
        }
        plan.pipelines.push(pipeline);
    }
    connect(&mut plan, config);
    plan.extensions =
        defined(&config.service.extensions, &config.extensions).map(|(id, e)| (id.clone(), e.clone())).collect();
    plan
}

/// Leads pipelines into those behind their connectors, which are of the same signal.
fn connect(plan: &mut Plan, config: &Config) {
    for (index, written) in config.service.pipelines.iter().enumerate() {
        for (id, _) in defined(&written.exporters, &config.connectors) {
            let behind = |next: &PlannedPipeline| next.signal == written.signal && next.connectors.contains(id);
            let next = plan.pipelines.iter().enumerate().filter(|(_, next)| behind(next));
            let next: Vec<_> = next.map(|(next, _)| (id.clone(), PipelineIndex(next))).collect();
            plan.pipelines[index].pipelines.extend(next);
        }
    }
}

/// Adds a stateless processor to the last pass. Resources are edited before the first span is looked at, so a pass ends
/// where a resource is edited after something read it.
fn fuse(passes: &mut Vec<Vec<(ComponentId, Processor)>>, id: &ComponentId, processor: &Processor) {
    let edits_resource = matches!(processor, Processor::Resource(_) | Processor::Detection(_));
    let fits = |pass: &&mut Vec<(ComponentId, Processor)>| {
        !edits_resource || !pass.iter().any(|(_, earlier)| earlier.reads_resource())
    };
    let entry = (id.clone(), processor.clone());
    match passes.last_mut().filter(fits) {
        Some(pass) => pass.push(entry),
        None => passes.push(vec![entry]),
    }
}

/// The definitions that references name; a checked configuration has them all.
fn defined<'a, C>(
    references: &'a [crate::config::service::Reference],
    definitions: &'a BTreeMap<ComponentId, C>,
) -> impl Iterator<Item = (&'a ComponentId, &'a C)> {
    references.iter().filter_map(|(id, _)| definitions.get(id).map(|definition| (id, definition)))
}

fn memory_limits(limiter: &MemoryLimiterConfig) -> Option<MemoryLimit> {
    match (limiter.limit_mib, limiter.limit_percentage) {
        (0, 0) => None,
        (0, percent) => Some(MemoryLimit::Percent(percent)),
        // As in the collector, the number goes before the percentage.
        (mib, _) => Some(MemoryLimit::Bytes(mib << 20)),
    }
}

impl MemoryLimit {
    /// The limit in bytes; a percentage of nothing is no limit.
    #[must_use]
    pub fn bytes(self, control_group: Option<u64>) -> Option<u64> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Percent(percent) => control_group.map(|limit| limit / 100 * percent),
        }
    }
}

impl Plan {
    /// Lets a receiver feed a pipeline; its account.
    fn feed(&mut self, id: &ComponentId, config: &Receiver, signal: Signal, pipeline: PipelineIndex) -> ReceiverIndex {
        let position = self.receivers.iter().position(|planned| planned.id == *id).unwrap_or_else(|| {
            self.receivers.push(PlannedReceiver { id: id.clone(), config: config.clone(), feeds: Vec::new() });
            self.receivers.len() - 1
        });
        let feeds = &mut self.receivers[position].feeds;
        if let Some(feed) = feeds.iter_mut().find(|feed| feed.signal == signal) {
            feed.pipelines.push(pipeline);
            return feed.account;
        }
        let account = ReceiverIndex(self.receiver_accounts.len());
        self.receiver_accounts.push((id.clone(), signal));
        feeds.push(Feed { signal, account, pipelines: vec![pipeline] });
        account
    }

    /// The exporter for one signal.
    fn exporter(&mut self, id: &ComponentId, config: &Exporter, signal: Signal) -> ExporterIndex {
        let found = self.exporters.iter().position(|planned| planned.id == *id && planned.signal == signal);
        ExporterIndex(found.unwrap_or_else(|| {
            self.exporters.push(PlannedExporter { id: id.clone(), signal, config: config.clone() });
            self.exporters.len() - 1
        }))
    }

    /// What the `batch` processors in front of an exporter ask for, also those in front of connectors; of several, the
    /// quickest.
    #[must_use]
    pub fn merging_before(&self, exporter: ExporterIndex) -> Option<&BatchConfig> {
        let feeding = (0..self.pipelines.len()).filter(|index| self.pipelines[*index].exporters.contains(&exporter));
        feeding.filter_map(|index| self.merging_up_to(PipelineIndex(index))).min_by_key(|batch| batch.timeout)
    }

    /// Ends: pipelines do not lead in circles.
    fn merging_up_to(&self, pipeline: PipelineIndex) -> Option<&BatchConfig> {
        let leads_here = |before: &PlannedPipeline| before.pipelines.iter().any(|(_, next)| *next == pipeline);
        let before = (0..self.pipelines.len()).filter(|index| leads_here(&self.pipelines[*index]));
        let of_before = before.filter_map(|index| self.merging_up_to(PipelineIndex(index)));
        let own = self.pipelines[pipeline.0].merging.as_ref();
        own.or_else(|| of_before.min_by_key(|batch| batch.timeout))
    }
}

impl Processor {
    /// Whether edits of the resource change what it does.
    fn reads_resource(&self) -> bool {
        match self {
            Self::Attributes(attributes) => attributes.reads_resource(),
            Self::Batch(_) | Self::MemoryLimiter(_) | Self::Resource(_) | Self::Detection(_) | Self::Sampler(_) => {
                false
            }
        }
    }
}

#[cfg(test)]
mod tests;
