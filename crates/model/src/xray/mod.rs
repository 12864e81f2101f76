//! `X-Amzn-Trace-Id`, as AWS's load balancers, API Gateway, Lambda and X-Ray write it:
//! `Root=1-{8 digits}-{24 digits};Parent={16 digits};Sampled={0, 1 or ?}`, with fields of others between.
//!
//! An Application Load Balancer that finds a `Root` keeps the header and puts `Self=…` before or behind it; one that finds none sends
//! `Root` alone. So `Parent` and `Sampled` may both be absent, and a trace id without a parent is a root's. The two parts of
//! `Root` together are the 32 digits of a W3C trace id; that its first 8 are a time is no longer required. The vectors are
//! `testdata/propagation/xray.json`.

use crate::ids::{SpanId, TraceId};
use crate::trace_context::TraceParent;

/// The header's name in lower case.
pub const HEADER: &str = "x-amzn-trace-id";

/// What an `X-Amzn-Trace-Id` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct XRay {
    /// `Root`
    pub trace_id: TraceId,
    /// `Parent`; absent if the header comes from a load balancer that opened the trace.
    pub parent: Option<SpanId>,
    /// `Sampled`; `None` if it is absent or `?`: the receiver decides.
    pub is_sampled: Option<bool>,
}

impl XRay {
    /// Parses a header value. Fields that are not ours (`Self`, `Lineage`, …) are skipped, names are as AWS writes them.
    ///
    /// # Errors
    ///
    /// Says which rule is broken. A receiver treats every error as if no header had been there.
    pub fn parse(header: &str) -> Result<Self, XRayError> {
        let (mut root, mut parent, mut is_sampled) = (None, None, None);
        for field in header.split(';') {
            let Some((name, value)) = field.trim_matches([' ', '\t']).split_once('=') else { continue };
            match name {
                "Root" if root.is_some() => return Err(XRayError::Twice),
                "Root" => root = Some(trace_id(value).ok_or(XRayError::Root)?),
                "Parent" if parent.is_some() => return Err(XRayError::Twice),
                "Parent" => parent = Some(span_id(value).ok_or(XRayError::Parent)?),
                "Sampled" => {
                    is_sampled = match value {
                        "1" => Some(true),
                        "0" => Some(false),
                        "?" => None,
                        _ => return Err(XRayError::Sampled),
                    };
                }
                _ => {}
            }
        }
        Ok(Self { trace_id: root.ok_or(XRayError::Root)?, parent, is_sampled })
    }
}

/// The header value that hands `parent` on; `received` is the value that came in, whose other fields stay behind ours, except for
/// `Self`, which names the hop before.
#[must_use]
pub fn header(parent: &TraceParent, received: Option<&str>) -> String {
    let trace = parent.trace_id.to_string();
    let (time, unique) = trace.split_at(8);
    let sampled = u8::from(parent.flags.is_sampled());
    let mut value = format!("Root=1-{time}-{unique};Parent={};Sampled={sampled}", parent.span_id);
    for field in received.unwrap_or_default().split(';').map(|field| field.trim_matches([' ', '\t'])) {
        let Some((name, _)) = field.split_once('=') else { continue };
        let is_foreign = !matches!(name, "Root" | "Parent" | "Sampled" | "Self");
        if is_foreign && value.len() + 1 + field.len() <= MAX_CHARS {
            value.push(';');
            value.push_str(field);
        }
    }
    value
}

/// The longest header that we write; foreign fields beyond it are left out. Real ones have below 200 characters.
const MAX_CHARS: usize = 512;

/// Why an `X-Amzn-Trace-Id` is not a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XRayError {
    /// `Root` is absent or malformed.
    #[error("X-Amzn-Trace-Id needs Root=1-8 digits-24 digits in lower-case hexadecimal")]
    Root,
    /// `Parent` is malformed.
    #[error("Parent is 16 lower-case hexadecimal digits")]
    Parent,
    /// `Sampled` is none of `0`, `1` and `?`.
    #[error("Sampled is 0, 1 or ?")]
    Sampled,
    /// The same field twice.
    #[error("Root and Parent may occur once")]
    Twice,
}

fn trace_id(text: &str) -> Option<TraceId> {
    let (time, unique) = text.strip_prefix("1-")?.split_once('-')?;
    let is_valid = time.len() == 8 && unique.len() == 24 && is_lower_case(text);
    is_valid.then(|| TraceId::from_hex(&format!("{time}{unique}"))).flatten().filter(TraceId::is_valid)
}

fn span_id(text: &str) -> Option<SpanId> {
    is_lower_case(text).then(|| SpanId::from_hex(text)).flatten().filter(SpanId::is_valid)
}

fn is_lower_case(text: &str) -> bool {
    !text.bytes().any(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests;
