//! The targets.

mod cloudfront;
mod decompress;
mod journal;
mod otlp;
mod propagation;
mod sockets;
mod store;
mod text;

use crate::Target;

/// Every target.
pub static ALL: &[Target] = &[
    otlp::TRACES,
    otlp::METRICS,
    otlp::LOGS,
    otlp::JSON,
    cloudfront::RECORDS,
    cloudfront::FIREHOSE,
    decompress::DECOMPRESS,
    sockets::SOCKETS,
    journal::JOURNAL,
    store::STORE,
    text::CONFIG,
    text::TRACEQL,
    text::EDGE_SETTINGS,
    propagation::PROPAGATION,
];

/// A file of the repository's test data.
fn testdata(path: &str) -> Vec<u8> {
    let path = crate::root().join("testdata").join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
