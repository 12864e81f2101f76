//! An origin that takes connections and never answers: its visitors lose patience, and the CDN logs status `000`.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// The origin; it ends when this is dropped.
#[derive(Debug)]
pub struct Silent {
    /// Where it listens.
    pub address: SocketAddr,
    server: JoinHandle<()>,
}

impl Silent {
    /// Listens on a free port.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no port is free")?;
        let address = listener.local_addr().context("the silent origin has no address")?;
        let server = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.spawn(async move {
                    // Until the CDN closes it, which it does when its visitor has left.
                    let mut ignored = [0; 1024];
                    while matches!(stream.read(&mut ignored).await, Ok(1..)) {}
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, server })
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        self.server.abort();
    }
}
