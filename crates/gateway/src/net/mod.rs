//! What servers and clients share: listening, TLS, limits of connections, bodies under the byte budget, signals to stop.

pub(crate) mod body;
pub(crate) mod connect;
pub mod cors;
pub mod decompress;
pub mod headers;
pub(crate) mod http;
pub(crate) mod listen;
pub(crate) mod ping;
pub(crate) mod reload;
pub(crate) mod resolve;
pub(crate) mod stall;
pub(crate) mod stop;
pub(crate) mod stream;
pub mod tls;
