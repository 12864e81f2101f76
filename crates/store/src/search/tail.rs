//! The conditions that the light index of the tail can decide, so that most spans need not be decoded.

use rootspan_wire::otlp::batch::TraceBatch;

use super::plan::{Condition, On, Plan};
use crate::tail::TailSpan;

/// Conditions of one query over one batch.
pub(super) struct TailConditions<'p> {
    resource: Vec<&'p Condition>,
    duration: Vec<&'p Condition>,
    /// What the conditions on resources say of each resource of the batch; `None`: not asked yet.
    verdicts: Vec<Option<bool>>,
}

impl<'p> TailConditions<'p> {
    pub(super) fn new(plan: &'p Plan) -> Self {
        let on = |wanted: &On| plan.conditions.iter().filter(|condition| condition.on == *wanted).collect();
        Self { resource: on(&On::Resource), duration: on(&On::Duration), verdicts: Vec::new() }
    }

    /// False only if the span certainly does not match.
    pub(super) fn may_match(&mut self, batch: &TraceBatch, span: &TailSpan) -> bool {
        self.duration.iter().all(|condition| condition.of_duration(span.duration))
            && self.resource_may_match(batch, span)
    }

    fn resource_may_match(&mut self, batch: &TraceBatch, span: &TailSpan) -> bool {
        if self.resource.is_empty() {
            return true;
        }
        let place = span.resource as usize;
        if self.verdicts.len() <= place {
            self.verdicts.resize(place + 1, None);
        }
        *self.verdicts[place].get_or_insert_with(|| {
            let resource = batch.span(span.index as usize).resource;
            self.resource.iter().all(|condition| condition.of_resource(resource.bytes, resource.schema_url))
        })
    }
}
