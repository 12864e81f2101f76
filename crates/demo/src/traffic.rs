//! The visitors: request classes, the mix of them, and a client that sends them to the CDN.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::downstream::CURSED_PRODUCT;

/// Host that visitors ask for.
pub const HOST: &str = "shop.example.com";

/// Prefix whose plain HTTP requests the CDN redirects (its viewer protocol policy).
pub const REDIRECTED_PREFIX: &str = "/secure/";

/// Prefix whose plain HTTP requests the CDN refuses.
pub const FORBIDDEN_PREFIX: &str = "/admin/";

/// Prefix that the CDN sends to an origin that does not answer.
pub const UNREACHABLE_PREFIX: &str = "/partner/";

/// Prefix that AWS WAF blocks.
pub const BLOCKED_PREFIX: &str = "/wp-admin/";

/// Prefix that the CDN sends to an origin that takes the request and never answers.
pub const SILENT_PREFIX: &str = "/payments/";

/// How long a visitor waits for an answer from there.
const PATIENCE: Duration = Duration::from_millis(150);

/// Prefix whose first server of nginx's is down.
pub const RETRIED_PREFIX: &str = "/retried/";

/// Prefix whose only server of nginx's is down.
pub const DOWN_PREFIX: &str = "/down/";

/// Prefix whose server of nginx's takes connections and says nothing.
pub const TIMEOUT_PREFIX: &str = "/timeout/";

/// Requests under way at once when the traffic is not paced.
const CONCURRENCY: usize = 8;

/// A kind of request, told apart by method and path alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A cacheable file: the first is a miss, the others are hits.
    Asset,
    /// A file that the origin does not have.
    MissingAsset,
    /// A page: upstream → downstream → database.
    Product,
    /// A page whose downstream call fails: 502 from the origin.
    BrokenProduct,
    /// An order: upstream → queue → downstream → database.
    Order,
    /// A slow query.
    Report,
    /// Redirected at the edge.
    Redirect,
    /// Refused at the edge: 403.
    Forbidden,
    /// An origin that cannot be reached: 502 from the edge.
    Unreachable,
    /// Blocked by AWS WAF: 403.
    Blocked,
    /// A visitor who leaves before there is an answer: `000`.
    Abandoned,
    /// Behind nginx: its first upstream is down, the second answers.
    Retried,
    /// Behind nginx: its upstream is down, 502.
    Down,
    /// Behind nginx: its upstream does not answer in time, 504.
    TimedOut,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 14] = [
        Self::Asset,
        Self::MissingAsset,
        Self::Product,
        Self::BrokenProduct,
        Self::Order,
        Self::Report,
        Self::Redirect,
        Self::Forbidden,
        Self::Unreachable,
        Self::Blocked,
        Self::Abandoned,
        Self::Retried,
        Self::Down,
        Self::TimedOut,
    ];

    /// The name in summaries.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Asset => "asset",
            Self::MissingAsset => "missing asset",
            Self::Product => "product",
            Self::BrokenProduct => "broken product",
            Self::Order => "order",
            Self::Report => "report",
            Self::Redirect => "redirect",
            Self::Forbidden => "forbidden",
            Self::Unreachable => "unreachable",
            Self::Blocked => "blocked",
            Self::Abandoned => "abandoned",
            Self::Retried => "retried by nginx",
            Self::Down => "upstream down",
            Self::TimedOut => "upstream silent",
        }
    }

    /// The class of a request, if it is one of ours.
    pub fn of(method: &str, path: &str) -> Option<Self> {
        let first = path.get(1..)?.split('/').next()?;
        match (method, first) {
            ("GET", "assets") if path.ends_with("/missing.css") => Some(Self::MissingAsset),
            ("GET", "assets") => Some(Self::Asset),
            ("GET", "products") if path.ends_with(&format!("/{CURSED_PRODUCT}")) => Some(Self::BrokenProduct),
            ("GET", "products") => Some(Self::Product),
            ("POST", "orders") => Some(Self::Order),
            ("GET", "reports") => Some(Self::Report),
            ("GET", "secure") => Some(Self::Redirect),
            ("GET", "admin") => Some(Self::Forbidden),
            ("GET", "partner") => Some(Self::Unreachable),
            ("GET", "wp-admin") => Some(Self::Blocked),
            ("GET", "payments") => Some(Self::Abandoned),
            ("GET", "retried") => Some(Self::Retried),
            ("GET", "down") => Some(Self::Down),
            ("GET", "timeout") => Some(Self::TimedOut),
            _ => None,
        }
    }

    /// Whether the visitor comes by plain HTTP.
    const fn is_plain(self) -> bool {
        matches!(self, Self::Redirect | Self::Forbidden)
    }

    /// Method and path of the `number`th request.
    fn request(self, number: u64) -> (Method, String) {
        match self {
            Self::Asset => (Method::GET, format!("/assets/app-{}.js", number % 5)),
            Self::MissingAsset => (Method::GET, "/assets/missing.css".to_owned()),
            Self::Product => (Method::GET, format!("/products/{}", 14 + number % 80)),
            Self::BrokenProduct => (Method::GET, format!("/products/{CURSED_PRODUCT}")),
            Self::Order => (Method::POST, format!("/orders/{}", 14 + number % 80)),
            Self::Report => (Method::GET, "/reports/daily".to_owned()),
            Self::Redirect => (Method::GET, format!("{REDIRECTED_PREFIX}account")),
            Self::Forbidden => (Method::GET, format!("{FORBIDDEN_PREFIX}users")),
            Self::Unreachable => (Method::GET, format!("{UNREACHABLE_PREFIX}offers")),
            Self::Blocked => (Method::GET, format!("{BLOCKED_PREFIX}setup.php")),
            // Another one each time: visitors of one page would wait for each other.
            Self::Abandoned => (Method::GET, format!("{SILENT_PREFIX}{number}")),
            Self::Retried => (Method::GET, format!("{RETRIED_PREFIX}missing.css")),
            Self::Down => (Method::GET, format!("{DOWN_PREFIX}offers")),
            Self::TimedOut => (Method::GET, format!("{TIMEOUT_PREFIX}offers")),
        }
    }
}

/// The mix, a round of requests: mostly pages and files, some orders, every class at least once.
const MIX: [Class; 22] = [
    Class::Product,
    Class::Asset,
    Class::Asset,
    Class::Order,
    Class::Product,
    Class::Asset,
    Class::Redirect,
    Class::Product,
    Class::Asset,
    Class::Product,
    Class::BrokenProduct,
    Class::Asset,
    Class::Product,
    Class::Order,
    Class::MissingAsset,
    Class::Forbidden,
    Class::Report,
    Class::Product,
    Class::Unreachable,
    Class::Blocked,
    Class::Abandoned,
    Class::Order,
];

/// What is asked in addition, at the end of each round, if nginx is there.
const NGINX_MIX: [Class; 5] = [Class::Retried, Class::Product, Class::Down, Class::Asset, Class::TimedOut];

/// The client.
#[derive(Clone, Debug)]
pub struct Traffic {
    cdn: SocketAddr,
    protocol_header: &'static str,
    has_nginx: bool,
    client: Client<HttpConnector, Empty<Bytes>>,
    sent: Arc<AtomicU64>,
    stopped: Arc<AtomicBool>,
}

impl Traffic {
    /// A client of the CDN at `cdn`, which takes `protocol_header` for the protocol that a visitor uses. `has_nginx`: it also asks
    /// what fails behind nginx.
    pub fn new(cdn: SocketAddr, protocol_header: &'static str, has_nginx: bool) -> Self {
        Self {
            cdn,
            protocol_header,
            has_nginx,
            client: Client::builder(TokioExecutor::new()).build_http(),
            sent: Arc::new(AtomicU64::new(0)),
            stopped: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Requests sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Ends [`Self::run_steady`] after the request under way.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Sends `count` requests as fast as [`CONCURRENCY`] of them allow.
    pub async fn run_count(&self, count: u64) -> anyhow::Result<()> {
        let next = Arc::new(AtomicU64::new(0));
        let mut visitors = tokio::task::JoinSet::<anyhow::Result<()>>::new();
        for _ in 0..CONCURRENCY {
            let (traffic, next) = (self.clone(), Arc::clone(&next));
            visitors.spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return Ok(());
                    }
                    traffic.send(number).await?;
                }
            });
        }
        while let Some(visitor) = visitors.join_next().await {
            visitor.context("a visitor ended in a panic")??;
        }
        Ok(())
    }

    /// Sends `per_second` requests a second until [`Self::stop`]. A visitor who gets no answer is told of in the log and does
    /// not keep the others away.
    pub async fn run_steady(&self, per_second: f64) {
        let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / per_second.clamp(0.01, 1000.0)));
        let mut requests = tokio::task::JoinSet::<()>::new();
        for number in 0_u64.. {
            ticks.tick().await;
            if self.stopped.load(Ordering::Relaxed) {
                break;
            }
            let traffic = self.clone();
            requests.spawn(async move {
                if let Err(error) = traffic.send(number).await {
                    tracing::warn!("{error:#}");
                }
            });
            while requests.try_join_next().is_some() {}
        }
        while requests.join_next().await.is_some() {}
    }

    async fn send(&self, number: u64) -> anyhow::Result<()> {
        let mix = [&MIX[..], if self.has_nginx { &NGINX_MIX } else { &[] }].concat();
        let class = mix[usize::try_from(number % mix.len() as u64).unwrap_or_default()];
        let (method, path) = class.request(number);
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.cdn))
            .header(http::header::HOST, HOST)
            .header(http::header::USER_AGENT, "rootspan-demo/1.0")
            .header(self.protocol_header, if class.is_plain() { "http" } else { "https" })
            .body(Empty::new())
            .context("the request could not be built")?;
        let answer = self.client.request(request);
        let answer = if class == Class::Abandoned {
            let Ok(answer) = tokio::time::timeout(PATIENCE, answer).await else {
                self.sent.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            };
            answer
        } else {
            answer.await
        };
        let answer = answer.with_context(|| format!("the CDN did not answer {path}"))?;
        answer.into_body().collect().await.with_context(|| format!("the CDN's answer to {path} broke off"))?;
        self.sent.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
