//! What servers share: listening, limits of connections, bodies under the byte budget, signals to stop.

pub(crate) mod body;
pub(crate) mod decompress;
pub(crate) mod http;
pub(crate) mod listen;
pub(crate) mod stop;
