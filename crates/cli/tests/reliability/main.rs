//! What the gateway promises, held against the real program: back ends that are slow, busy, silent, broken or dead, more
//! load than they take, the end of the process in the middle of it. While there is load, `/debug/ledger` is read every
//! 100 ms and must balance; afterwards what senders were told is compared with what back ends have, span by span.
//! `docs/reliability.md` says which promise each test holds.
//!
//! [`sink`] is the back end, [`traffic`] the senders, [`gateway`] the configuration and the watch over the ledgers.

#[path = "../it/http.rs"]
#[expect(dead_code, reason = "shared with the other suite, which uses all of it")]
mod http;
#[path = "../it/process.rs"]
#[expect(dead_code, reason = "shared with the other suite, which uses all of it")]
mod process;
#[path = "../it/small_disk.rs"]
mod small_disk;
#[path = "../it/wait.rs"]
mod wait;

mod gateway;
mod sink;
mod traffic;

mod advisories;
mod backends;
mod disk;
mod network;
mod overload;
mod reload;
mod stop;
