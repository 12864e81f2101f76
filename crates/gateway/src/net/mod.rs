//! What servers and clients share: listening, TLS, limits of connections, bodies under the byte budget, signals to stop.

pub(crate) mod body;
pub(crate) mod connect;
pub(crate) mod decompress;
pub(crate) mod http;
pub(crate) mod listen;
pub(crate) mod reload;
pub(crate) mod resolve;
pub(crate) mod stop;
pub(crate) mod stream;
pub mod tls;
