//! The emulator as a whole: real sockets, a real origin, a real Firehose endpoint, each on a port that the system chose.

mod firehose;
mod forms;
mod privacy;
mod rules;
mod serving;
mod support;
mod vectors;
