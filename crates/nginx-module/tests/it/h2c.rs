//! HTTP/2 for tests, both sides: a server of whole messages, and a client that sends one.

use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

/// What a server answers, with status 200.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(&'static str, String)>,
}

type Handler = Arc<dyn Fn(&http::request::Parts, Vec<u8>) -> Reply + Send + Sync>;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Serves in a thread that ends with the test process; gives the port.
pub(crate) fn serve(
    tls: Option<Arc<rustls::ServerConfig>>,
    handler: impl Fn(&http::request::Parts, Vec<u8>) -> Reply + Send + Sync + 'static,
) -> u16 {
    let runtime = runtime();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let handler: Handler = Arc::new(handler);
    std::thread::spawn(move || {
        runtime.block_on(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (tls, handler) = (tls.clone(), Arc::clone(&handler));
                tokio::spawn(async move {
                    match tls {
                        None => talk(connection, handler).await,
                        Some(tls) => {
                            // A client that does not trust us is gone here.
                            if let Ok(stream) = tokio_rustls::TlsAcceptor::from(tls).accept(connection).await {
                                talk(stream, handler).await;
                            }
                        }
                    }
                });
            }
        });
    });
    port
}

async fn talk(connection: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, handler: Handler) {
    let Ok(mut connection) = h2::server::handshake(connection).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let handler = Arc::clone(&handler);
        tokio::spawn(async move {
            let (head, mut body) = request.into_parts();
            let Some(received) = read(&mut body).await else { return };
            let reply = handler(&head, received);
            let response =
                http::Response::builder().header("content-type", "application/grpc").body(()).expect("valid");
            let mut stream = respond.send_response(response, false).expect("the client reads");
            stream.send_data(reply.body.into(), reply.trailers.is_empty()).expect("the client reads");
            if !reply.trailers.is_empty() {
                let trailers = reply
                    .trailers
                    .into_iter()
                    .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().expect("a header value")));
                stream.send_trailers(trailers.collect()).expect("the client reads");
            }
        });
    }
}

async fn read(body: &mut h2::RecvStream) -> Option<Vec<u8>> {
    let mut received = Vec::new();
    while let Some(part) = body.data().await {
        let part = part.ok()?;
        body.flow_control().release_capacity(part.len()).expect("it was received");
        received.extend_from_slice(&part);
    }
    Some(received)
}

/// Sends one request to 127.0.0.1 without TLS; gives status, body and trailers.
pub(crate) fn request(port: u16, request: http::Request<()>, body: &'static [u8]) -> (u16, String, http::HeaderMap) {
    runtime().block_on(async {
        let connection = TcpStream::connect(("127.0.0.1", port)).await.expect("nginx listens");
        let (sender, connection) = h2::client::handshake(connection).await.expect("nginx speaks HTTP/2");
        tokio::spawn(connection);
        let mut sender = sender.ready().await.expect("a free stream");
        let (response, mut stream) = sender.send_request(request, body.is_empty()).expect("a valid request");
        if !body.is_empty() {
            stream.send_data(Bytes::from_static(body), true).expect("a stream");
        }
        let (head, mut body) = response.await.expect("an answer").into_parts();
        let received = read(&mut body).await.expect("a whole answer");
        let trailers = body.trailers().await.expect("the end of the answer").unwrap_or_default();
        (head.status.as_u16(), String::from_utf8_lossy(&received).into_owned(), trailers)
    })
}
