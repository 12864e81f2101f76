//! The answer of `/debug/ledger`.

use serde_json::{Value, json};

use super::{DropReason, Dropped, RefusalReason, Refused, Snapshot};

impl Snapshot {
    /// The answer of `/debug/ledger`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let receivers = self.receivers.iter().map(|r| {
            json!({
                "id": r.id, "signal": r.signal.name(), "received": r.received, "accepted": r.accepted, "rejected": r.rejected,
                "refused": refused_json(&r.refused), "pending": r.pending,
                "refused_requests": refused_json(&r.refused_requests),
            })
        });
        let pipelines = self.pipelines.iter().map(|p| {
            json!({
                "id": p.id, "signal": p.signal.name(), "in": p.entered, "filtered": p.filtered, "sampled_out": p.sampled_out,
                "dropped": dropped_json(&p.dropped), "refused": refused_json(&p.refused), "out": p.out, "held": p.held,
            })
        });
        let exporters = self.exporters.iter().map(|e| {
            json!({
                "id": e.id, "signal": e.signal.name(), "enqueued": e.enqueued, "recovered": e.recovered, "repeated": e.repeated, "delivered": e.delivered,
                "dropped": dropped_json(&e.dropped), "refused": refused_json(&e.refused), "queued": e.queued,
                "on_disk": e.stored,
            })
        });
        json!({
            "receivers": receivers.collect::<Vec<_>>(),
            "pipelines": pipelines.collect::<Vec<_>>(),
            "exporters": exporters.collect::<Vec<_>>(),
            "imbalances": self.imbalances(),
        })
    }
}

/// Reasons that occurred.
fn refused_json(refused: &Refused) -> Value {
    let occurred = RefusalReason::ALL.iter().filter(|reason| refused.of(**reason) > 0);
    Value::Object(occurred.map(|reason| (reason.name().to_owned(), refused.of(*reason).into())).collect())
}

fn dropped_json(dropped: &Dropped) -> Value {
    let occurred = DropReason::ALL.iter().filter(|reason| dropped.of(**reason) > 0);
    Value::Object(occurred.map(|reason| (reason.name().to_owned(), dropped.of(*reason).into())).collect())
}
