//! gRPC's unary calls on HTTP/2 directly, both sides: what generator, sink and floor have in common.

use anyhow::{Context as _, bail};
use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::SendRequest;
use h2::server::{Connection, SendResponse};
use h2::{RecvStream, client, server};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Request, Response};
use tokio::net::TcpStream;

use super::codec::Encoding;

/// The method of OTLP's trace service.
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// Flag and length before each message.
pub(super) const PREFIX_BYTES: usize = 5;
/// Wide enough for a request of a thousand spans in one go.
const STREAM_WINDOW: u32 = 8 << 20;
const CONNECTION_WINDOW: u32 = 32 << 20;
const MAX_FRAME_BYTES: u32 = 256 << 10;
/// Requests of one connection at a time.
const MAX_STREAMS: u32 = 10_000;

/// The answer to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Accepted,
    /// The status and its message, and whether it says when to try again.
    Refused {
        reason: String,
        may_retry: bool,
    },
}

/// Opens a connection; it ends when the last handle on it is gone.
pub(super) async fn connect(authority: &str) -> anyhow::Result<SendRequest<Bytes>> {
    let stream = TcpStream::connect(authority).await.with_context(|| format!("cannot connect to {authority}"))?;
    stream.set_nodelay(true)?;
    let mut builder = client::Builder::new();
    builder.initial_window_size(1 << 20).initial_connection_window_size(4 << 20).enable_push(false);
    let (requests, driver) = builder.handshake::<_, Bytes>(stream).await?;
    tokio::spawn(async move {
        // Whoever waits for an answer on it hears of its end.
        let _ended = driver.await;
    });
    Ok(requests)
}

/// Accepts the handshake of a client.
pub(super) async fn accept(stream: TcpStream) -> anyhow::Result<Connection<TcpStream, Bytes>> {
    stream.set_nodelay(true)?;
    let mut builder = server::Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_FRAME_BYTES)
        .max_concurrent_streams(MAX_STREAMS);
    Ok(builder.handshake(stream).await?)
}

/// Calls with a message that is given in pieces, its prefix the first of them.
pub(super) async fn call(
    connection: &SendRequest<Bytes>,
    encoding: Encoding,
    pieces: Vec<Bytes>,
) -> anyhow::Result<Answer> {
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = format!("http://localhost{EXPORT}").parse()?;
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("te", HeaderValue::from_static("trailers"));
    if encoding != Encoding::None {
        headers.insert("grpc-encoding", HeaderValue::from_static(encoding.name()));
    }
    let mut connection = connection.clone().ready().await?;
    let (response, mut stream) = connection.send_request(request, false)?;
    let last = pieces.len().saturating_sub(1);
    for (index, piece) in pieces.into_iter().enumerate() {
        stream.send_data(piece, index == last)?;
    }
    let (head, mut body) = response.await?.into_parts();
    if head.headers.contains_key("grpc-status") {
        return answer(&head.headers);
    }
    pieces_of(&mut body).await?;
    answer(&body.trailers().await?.context("no trailers")?)
}

fn answer(headers: &HeaderMap) -> anyhow::Result<Answer> {
    let text = |name: &str| headers.get(name).map(HeaderValue::as_bytes).map(String::from_utf8_lossy);
    match text("grpc-status") {
        Some(status) if status == "0" => Ok(Answer::Accepted),
        Some(status) => {
            let reason = format!("status {status}: {}", text("grpc-message").unwrap_or_default());
            Ok(Answer::Refused { reason, may_retry: headers.contains_key("grpc-status-details-bin") })
        }
        None => bail!("no grpc-status"),
    }
}

/// The pieces of a body as they arrive.
pub(super) async fn pieces_of(body: &mut RecvStream) -> anyhow::Result<Vec<Bytes>> {
    let mut pieces = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        pieces.push(piece);
    }
    Ok(pieces)
}

/// What a request says of its message's compression.
pub(super) fn encoding_of(headers: &HeaderMap) -> anyhow::Result<Encoding> {
    let name = headers.get("grpc-encoding").map(HeaderValue::as_bytes).unwrap_or_default();
    Encoding::of_name(name).context("an encoding that nobody asked for")
}

/// The one message in `pieces`, its prefix cut off; and whether it is compressed.
pub(super) fn message_of(pieces: &[Bytes]) -> anyhow::Result<(bool, Bytes)> {
    let mut whole = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    pieces.iter().for_each(|piece| whole.put_slice(piece));
    let whole = whole.freeze();
    let (&[flag, a, b, c, d], message) = whole.split_first_chunk::<PREFIX_BYTES>().context("no message")?;
    anyhow::ensure!(u32::from_be_bytes([a, b, c, d]) as usize == message.len(), "not one message");
    Ok((flag == 1, whole.slice(PREFIX_BYTES..)))
}

/// The prefix of a message and the message.
pub(super) fn framed(is_compressed: bool, message: Bytes) -> anyhow::Result<Vec<Bytes>> {
    let mut prefix = BytesMut::with_capacity(PREFIX_BYTES);
    prefix.put_u8(u8::from(is_compressed));
    prefix.put_u32(u32::try_from(message.len())?);
    Ok(vec![prefix.freeze(), message])
}

/// Answers a call.
pub(super) fn respond(respond: &mut SendResponse<Bytes>, is_accepted: bool) -> anyhow::Result<()> {
    let mut response = Response::new(());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    let mut stream = respond.send_response(response, false)?;
    let mut trailers = HeaderMap::new();
    if is_accepted {
        // An empty message: everything was taken.
        stream.send_data(Bytes::from_static(&[0; PREFIX_BYTES]), false)?;
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
    } else {
        trailers.insert("grpc-status", HeaderValue::from_static("14"));
    }
    Ok(stream.send_trailers(trailers)?)
}
