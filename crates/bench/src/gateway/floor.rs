//! The floor: a forwarder of raw bytes on one thread, without validation, queue, merging or retries. It answers when the
//! back end has answered. What a gateway costs more than this is what it does.

use std::convert::Infallible;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use h2::server::SendResponse;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use super::codec::Encoding;
use super::grpc::{self, Answer};

/// Where it sends, and how.
struct Upstream {
    connection: SendRequest<Bytes>,
    encoding: Encoding,
}

/// `rootspan-bench floor GRPC_PORT HTTP_PORT SINK_PORT ENCODING`: forwards until it is killed.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let [grpc_port, http_port, sink_port, encoding] = arguments else {
        anyhow::bail!("usage: rootspan-bench floor GRPC_PORT HTTP_PORT SINK_PORT ENCODING");
    };
    let encoding = Encoding::of_name(encoding.as_bytes()).context("the encodings are none, gzip and zstd")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let grpc_listener = TcpListener::bind(format!("127.0.0.1:{grpc_port}")).await?;
        let http_listener = TcpListener::bind(format!("127.0.0.1:{http_port}")).await?;
        let connection = grpc::connect(&format!("127.0.0.1:{sink_port}")).await?;
        let upstream = Arc::new(Upstream { connection, encoding });
        loop {
            tokio::select! {
                accepted = grpc_listener.accept() => {
                    tokio::spawn(serve_grpc(accepted?.0, Arc::clone(&upstream)));
                }
                accepted = http_listener.accept() => {
                    tokio::spawn(serve_http(accepted?.0, Arc::clone(&upstream)));
                }
            }
        }
    })
}

async fn serve_grpc(stream: TcpStream, upstream: Arc<Upstream>) {
    let Ok(mut connection) = grpc::accept(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(forward_grpc(request, respond, Arc::clone(&upstream)));
    }
}

async fn forward_grpc(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, upstream: Arc<Upstream>) {
    let is_accepted = forward(request, &upstream).await.is_ok_and(|answer| answer == Answer::Accepted);
    // The client went away.
    let _sent = grpc::respond(&mut respond, is_accepted);
}

async fn forward(request: Request<RecvStream>, upstream: &Upstream) -> anyhow::Result<Answer> {
    let (head, mut body) = request.into_parts();
    let pieces = grpc::pieces_of(&mut body).await?;
    let encoding = grpc::encoding_of(&head.headers)?;
    if encoding == Encoding::None && upstream.encoding == Encoding::None {
        return grpc::call(&upstream.connection, Encoding::None, pieces).await;
    }
    let (is_compressed, message) = grpc::message_of(&pieces)?;
    let plain = if is_compressed { encoding.decompress(message)? } else { message };
    send(upstream, plain).await
}

async fn send(upstream: &Upstream, plain: Bytes) -> anyhow::Result<Answer> {
    let message = match upstream.encoding {
        Encoding::None => plain,
        encoding => encoding.compress(plain.into())?,
    };
    let pieces = grpc::framed(upstream.encoding != Encoding::None, message)?;
    grpc::call(&upstream.connection, upstream.encoding, pieces).await
}

async fn serve_http(stream: TcpStream, upstream: Arc<Upstream>) {
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let upstream = Arc::clone(&upstream);
        async move {
            let is_accepted = match request.into_body().collect().await {
                Ok(body) => send(&upstream, body.to_bytes()).await.is_ok_and(|answer| answer == Answer::Accepted),
                Err(_) => false,
            };
            let mut response = Response::new(Full::new(Bytes::new()));
            *response.status_mut() = if is_accepted { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            Ok::<_, Infallible>(response)
        }
    });
    // Ends with the connection.
    let _ended = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
