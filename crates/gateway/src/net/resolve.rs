//! From a name to addresses: the system's resolver, and before it a file like `/etc/hosts`, if one is given. The file is
//! read at each look-up, so that what it says can change while the program runs; so can what the system's resolver says.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crate::{files, tasks};

/// Looks up names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resolver {
    hosts: Option<PathBuf>,
}

impl Resolver {
    /// Names are looked up in `hosts` first.
    pub(crate) fn new(hosts: Option<PathBuf>) -> Self {
        Self { hosts }
    }

    /// The addresses of `host`, version 4 first as in Go; at least one.
    pub(crate) async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        if let Some(path) = self.hosts.clone() {
            let name = host.to_owned();
            let found = tasks::blocking("read hosts", move || files::read_hosts(&path, &name)).await;
            let found = found.unwrap_or_default();
            if !found.is_empty() {
                return Ok(found.into_iter().map(|address| SocketAddr::new(address, port)).collect());
            }
        }
        let mut addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
        addresses.sort_by_key(SocketAddr::is_ipv6);
        addresses.dedup();
        if addresses.is_empty() {
            return Err(io::Error::other(format!("the name {host} has no address")));
        }
        Ok(addresses)
    }
}
