//! The real program, driven from outside: started as a process on free ports and temporary folders, fed by independent
//! clients, asked over HTTP, stopped and killed. Each module is one subject; [`process`] starts and watches, [`http`],
//! [`otlp`] and [`api`] speak the protocols without any of rootspan's own code.

mod api;
mod http;
mod load;
#[cfg(feature = "aws")]
mod moto;
mod nginx;
mod otlp;
mod process;
mod small_disk;
mod wait;

mod bad_input;
mod bombs;
mod collector;
mod config;
mod demo;
mod doors;
mod edge;
mod edge_coverage;
mod edge_table;
mod edge_token;
mod edge_weaknesses;
mod faults;
mod firehose;
mod firehose_rules;
mod import;
mod ingest;
mod kill;
mod late_root;
mod log_files;
mod reload;
#[cfg(feature = "aws")]
mod s3;
mod stop;
mod terminal;
mod ui;
