//! Pipelines, started and connected with what is behind them.

use std::sync::Arc;

use rootspan_wire::otlp::payload::Signal;
use tokio::sync::mpsc;

use super::pipeline::{self, Chain, Item};
use crate::budget::Budget;
use crate::clock::Clock;
use crate::config::components::Processor as ProcessorConfig;
use crate::config::id::ComponentId;
use crate::ledger::{Accounts, Place};
use crate::plan::{Plan, PlannedPipeline};
use crate::processors::Processor;
use crate::processors::fused::{Fused, Stage};
use crate::tasks::{self, Task};

/// What a pipeline is made from, but for what is behind it.
#[derive(Clone, PartialEq)]
pub(super) struct PipelineKey {
    id: ComponentId,
    signal: Signal,
    passes: Vec<Vec<(ComponentId, ProcessorConfig)>>,
    exporters: Vec<(ComponentId, Signal)>,
    next: Vec<(ComponentId, ComponentId)>,
}

impl PipelineKey {
    pub(super) fn of(plan: &Plan, planned: &PlannedPipeline) -> Self {
        let exporter = |index: &crate::ledger::ExporterIndex| {
            let planned = &plan.exporters[index.0];
            (planned.id.clone(), planned.signal)
        };
        let next = planned.pipelines.iter();
        Self {
            id: planned.id.clone(),
            signal: planned.signal,
            passes: planned.passes.clone(),
            exporters: planned.exporters.iter().map(exporter).collect(),
            next: next.map(|(connector, next)| (connector.clone(), plan.pipelines[next.0].id.clone())).collect(),
        }
    }
}

/// A pipeline that runs.
pub(super) struct PipelinePart {
    pub(super) key: PipelineKey,
    pub(super) input: mpsc::Sender<Item>,
    pub(super) task: Task,
}

/// Where a pipeline's batches come in, and its task if it was started.
pub(crate) type Connected = (mpsc::Sender<Item>, Option<Task>);

/// Starts the pipelines of `plan` for which there is no input in `kept`, in the order of the plan.
pub(crate) fn start_pipelines(
    plan: &Plan,
    accounts: &Accounts,
    kept: Vec<Option<mpsc::Sender<Item>>>,
    outputs: &[mpsc::Sender<Item>],
    (budget, clock): (&Arc<Budget>, &Clock),
) -> Vec<Connected> {
    let channels = kept.into_iter().map(|kept| match kept {
        Some(sender) => (sender, None),
        None => {
            let (sender, input) = mpsc::channel(pipeline::INPUT_BATCHES);
            (sender, Some(input))
        }
    });
    let (senders, inputs): (Vec<_>, Vec<_>) = channels.unzip();
    let start = |planned: &PlannedPipeline, input: mpsc::Receiver<Item>| {
        let exporters = planned
            .exporters
            .iter()
            .map(|exporter| (Place::Exporter(accounts.exporters[exporter.0]), outputs[exporter.0].clone()));
        let pipelines = planned
            .pipelines
            .iter()
            .map(|(_, next)| (Place::Pipeline(accounts.pipelines[next.0]), senders[next.0].clone()));
        let (chain, places) = (build_chain(planned, budget), exporters.chain(pipelines).collect());
        tasks::start("pipeline", pipeline::run(input, chain, places, Arc::clone(clock)))
    };
    let started: Vec<_> =
        plan.pipelines.iter().zip(inputs).map(|(planned, input)| input.map(|input| start(planned, input))).collect();
    senders.into_iter().zip(started).collect()
}

pub(crate) fn build_chain(planned: &PlannedPipeline, budget: &Arc<Budget>) -> Chain {
    let fused = |pass: &Vec<(ComponentId, ProcessorConfig)>| -> Box<dyn Processor> {
        let stages = pass.iter().filter_map(|(_, config)| Stage::new(config)).collect();
        Box::new(Fused::new(stages, Arc::clone(budget)))
    };
    Chain::new(planned.passes.iter().map(fused).collect())
}
