//! A span's enumerations (OTLP trace.proto v1: `Span.SpanKind`, `Status.StatusCode`). Numbers that the
//! enumerations do not know are kept in the bytes and read as the zero value here.

/// What a span stands for in the exchange between services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum SpanKind {
    /// Not given; treated as `Internal`.
    #[default]
    Unspecified,
    /// Work inside a service.
    Internal,
    /// The serving side of a synchronous request.
    Server,
    /// The requesting side of a synchronous request.
    Client,
    /// Puts a message on a queue.
    Producer,
    /// Takes a message from a queue.
    Consumer,
}

impl SpanKind {
    /// The kind with OTLP's number; unknown numbers are `Unspecified`.
    #[must_use]
    pub const fn from_otlp(number: i32) -> Self {
        match number {
            1 => Self::Internal,
            2 => Self::Server,
            3 => Self::Client,
            4 => Self::Producer,
            5 => Self::Consumer,
            _ => Self::Unspecified,
        }
    }

    /// OTLP's number.
    #[must_use]
    pub const fn to_otlp(self) -> i32 {
        self as i32
    }

    /// The name that TraceQL and our JSON use: `unspecified`, `internal`, `server`, …
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }
}

/// The outcome that the instrumentation reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum StatusCode {
    /// No judgement.
    #[default]
    Unset,
    /// Explicitly fine.
    Ok,
    /// Failed.
    Error,
}

impl StatusCode {
    /// The code with OTLP's number; unknown numbers are `Unset`.
    #[must_use]
    pub const fn from_otlp(number: i32) -> Self {
        match number {
            1 => Self::Ok,
            2 => Self::Error,
            _ => Self::Unset,
        }
    }

    /// OTLP's number.
    #[must_use]
    pub const fn to_otlp(self) -> i32 {
        self as i32
    }

    /// The name that TraceQL and our JSON use: `unset`, `ok`, `error`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unset => "unset",
            Self::Ok => "ok",
            Self::Error => "error",
        }
    }
}
