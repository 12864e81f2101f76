//! From a refusal of the gateway to a status of OTLP.

use std::time::Duration;

use rootspan_wire::otlp::response::{Code, Status};

use crate::ack::Refusal;
use crate::extensions::auth::Denied;
use crate::ledger::RefusalReason;

/// A status without a delay: the same request must not be sent again.
pub(super) fn status(code: Code, message: impl Into<String>) -> Status {
    Status { code, message: message.into(), retry_after: None }
}

/// A client that has not shown who it is; if that cannot be checked now, it may try again.
pub(super) fn denied(denied: Denied) -> Status {
    match denied {
        Denied::Missing | Denied::Wrong => status(Code::Unauthenticated, denied.message()),
        Denied::Busy => {
            let retry_after = Some(Duration::from_secs(1));
            Status { retry_after, ..status(Code::Unavailable, denied.message()) }
        }
        Denied::OverLimit(wait) => {
            Status { retry_after: Some(wait), ..status(Code::ResourceExhausted, denied.message()) }
        }
    }
}

/// A full gateway is `RESOURCE_EXHAUSTED` with a delay, as OTLP asks for; one that cannot store now is `UNAVAILABLE`.
pub(super) fn refusal(refusal: Refusal) -> Status {
    let code = match refusal.reason {
        RefusalReason::MemoryLimit
        | RefusalReason::PipelineFull
        | RefusalReason::QueueFull
        | RefusalReason::RateLimit
        | RefusalReason::TooLarge => Code::ResourceExhausted,
        RefusalReason::DiskFull | RefusalReason::Unavailable | RefusalReason::ShuttingDown => Code::Unavailable,
        RefusalReason::Unauthenticated => Code::Unauthenticated,
        RefusalReason::RejectedByBackend | RefusalReason::Malformed => Code::InvalidArgument,
    };
    Status { code, message: refusal.message, retry_after: refusal.retry_after }
}
