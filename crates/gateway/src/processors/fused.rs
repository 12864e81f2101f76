//! Stateless processors, fused: one pass over each batch for all of them, resources edited once, one write at the end,
//! nothing at all if nothing changes.

use std::sync::Arc;

use rootspan_model::time::UnixNanos;
use rootspan_wire::otlp::edit::{AttributeEdits, Edit, Edited, Fate, SpanEdits, edit};
use rootspan_wire::otlp::payload::Payload;
use rootspan_wire::otlp::view::Scope;

use super::Processor;
use super::attributes::Attributes;
use super::probabilistic_sampler::Sampler;
use super::resource::ResourceActions;
use super::resource_detection::Detected;
use crate::ack::{Outcome, Refusal};
use crate::batch::Batch;
use crate::budget::{Budget, Exhausted};
use crate::config::components::Processor as ProcessorConfig;
use crate::config::problems::{Position, Problems};
use crate::context::ClientContext;
use crate::ledger::{RefusalReason, Removal};
use crate::runtime::pipeline::Item;

/// Room for what edits add, at first; more is paid for when it is known.
const GROWTH_BYTES: usize = 1 << 10;
/// … and a share of the batch, so that an attribute more for each span does not move it all.
const GROWTH_DIVISOR: usize = 8;

/// One stateless processor.
#[derive(Debug)]
pub(crate) enum Stage {
    Attributes(Box<Attributes>),
    Resource(ResourceActions),
    Detected(Detected),
    Sampler(Sampler),
}

impl Stage {
    /// The stage of a checked configuration; `None` for what is no stage.
    pub(crate) fn new(config: &ProcessorConfig) -> Option<Self> {
        let position = Position { file: "".into(), line: 0, column: 0 };
        let mut problems = Problems::default();
        let stage = match config {
            ProcessorConfig::Attributes(config) => {
                Self::Attributes(Box::new(Attributes::new(config, &position, &mut problems)))
            }
            ProcessorConfig::Resource(config) => Self::Resource(ResourceActions::new(config, &position, &mut problems)),
            ProcessorConfig::Detection(config) => Self::Detected(Detected::new(config)),
            ProcessorConfig::Sampler(config) => Self::Sampler(Sampler::new(config)),
            ProcessorConfig::Batch(_) | ProcessorConfig::MemoryLimiter(_) => return None,
        };
        debug_assert!(problems.is_empty(), "the configuration was checked when it was decoded");
        Some(stage)
    }
}

/// Several stateless processors in the order of the pipeline.
#[derive(Debug)]
pub(crate) struct Fused {
    stages: Vec<Stage>,
    budget: Arc<Budget>,
}

impl Fused {
    pub(crate) fn new(stages: Vec<Stage>, budget: Arc<Budget>) -> Self {
        Self { stages, budget }
    }

    /// The batch after all stages, and what they removed.
    fn edited(&self, batch: &Batch) -> Result<(Option<Batch>, Edited), Refusal> {
        let payload = batch.payload();
        let length = payload.bytes().len() + payload.bytes().len() / GROWTH_DIVISOR + GROWTH_BYTES;
        let mut reservation = self.budget.try_reserve(length as u64).map_err(|Exhausted| Refusal::memory_limit())?;
        let mut pass = Pass { stages: &self.stages, client: batch.client().map(Arc::as_ref) };
        let mut edited = edit(payload, Vec::with_capacity(length), &mut pass);
        let Some(mut request) = edited.request.take() else { return Ok((None, edited)) };
        // A batch that was cut down must not hold the room of the whole.
        if request.capacity() / 2 > request.len() {
            request.shrink_to_fit();
        }
        reservation.resize(request.capacity() as u64).map_err(|Exhausted| Refusal::memory_limit())?;
        let edited_payload = Payload::from_trusted(payload.signal(), request.into()).map_err(|error| {
            let message = format!("the processors made a request that cannot be read: {error}");
            Refusal::never(RefusalReason::TooLarge, message)
        })?;
        let new = Batch::new(edited_payload, reservation).of_client(batch.client().cloned());
        Ok((Some(new), edited))
    }
}

impl Processor for Fused {
    fn process(&mut self, item: Item, _now: UnixNanos, out: &mut Vec<Item>) {
        let Item { batch, mut ack } = item;
        match self.edited(&batch) {
            Err(refusal) => ack.settle(Outcome::Refused(refusal)),
            Ok((new, edited)) => {
                let batch = new.unwrap_or(batch);
                for (spans, removal) in
                    [(edited.filtered, Removal::Filtered), (edited.sampled_out, Removal::SampledOut)]
                {
                    if spans > 0 {
                        ack.remove(spans, removal);
                    }
                }
                if batch.items() == 0 {
                    ack.settle(Outcome::Delivered);
                } else {
                    out.push(Item { batch, ack });
                }
            }
        }
    }
}

/// One pass over one batch.
struct Pass<'a> {
    stages: &'a [Stage],
    client: Option<&'a ClientContext>,
}

impl<'a> Edit<'a> for Pass<'a> {
    fn resource(&mut self, resource: &mut AttributeEdits<'a>) {
        for stage in self.stages {
            match stage {
                Stage::Resource(actions) => actions.apply(resource, self.client),
                Stage::Detected(detected) => detected.apply(resource),
                Stage::Attributes(_) | Stage::Sampler(_) => {}
            }
        }
    }

    fn edits_items(&self) -> bool {
        self.stages.iter().any(|stage| matches!(stage, Stage::Attributes(_)))
    }

    fn item(&mut self, resource: &AttributeEdits<'a>, scope: &Scope<'a>, item: &mut AttributeEdits<'a>) {
        for stage in self.stages {
            match stage {
                Stage::Attributes(attributes) => attributes.apply_to_item(resource, scope, item, self.client),
                // Only traces are sampled, which the configuration was checked for.
                Stage::Resource(_) | Stage::Detected(_) | Stage::Sampler(_) => {}
            }
        }
    }

    fn span(&mut self, resource: &AttributeEdits<'a>, scope: &Scope<'a>, span: &mut SpanEdits<'a>) -> Fate {
        for stage in self.stages {
            let fate = match stage {
                Stage::Attributes(attributes) => attributes.apply(resource, scope, span, self.client),
                Stage::Sampler(sampler) => sampler.decide(span),
                Stage::Resource(_) | Stage::Detected(_) => Fate::Keep,
            };
            if fate != Fate::Keep {
                return fate;
            }
        }
        Fate::Keep
    }
}
