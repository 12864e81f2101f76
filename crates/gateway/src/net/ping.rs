//! HTTP/2 pings: a peer that does not answer one is gone, whatever TCP says.

use std::time::Duration;

use h2::{Ping, PingPong};

/// How long a peer has to answer if the configuration does not say (grpc-go's default).
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);

/// Ends when a ping was not answered in time. A ping goes out each `time`, if `wanted` says so then; without `time` it
/// never ends.
pub(crate) async fn dead(
    ping_pong: Option<PingPong>,
    time: Option<Duration>,
    timeout: Duration,
    wanted: impl Fn() -> bool,
) {
    let (Some(mut ping_pong), Some(time)) = (ping_pong, time.filter(|time| !time.is_zero())) else {
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep(time).await;
        if !wanted() {
            continue;
        }
        match tokio::time::timeout(timeout, ping_pong.ping(Ping::opaque())).await {
            Ok(Ok(_)) => {}
            // The connection itself says how it ended.
            Ok(Err(_)) => return std::future::pending().await,
            Err(_) => return,
        }
    }
}
