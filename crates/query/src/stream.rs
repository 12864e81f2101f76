//! A body that is written by a thread while the client reads it.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http_body::Frame;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::limits;

/// A body of what `write` writes, on a thread of the blocking pool. If the client goes away or stalls, writing fails
/// with [`io::ErrorKind::BrokenPipe`] or [`io::ErrorKind::TimedOut`], and `write` ends.
///
/// When `write` fails the body is cut off, so that the client sees that the answer is not whole.
pub(crate) fn body<F>(write: F) -> Body
where
    F: FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(limits::EXPORT_CHUNKS);
    let runtime = Handle::current();
    // Its end is the end of the channel; nobody needs the handle.
    drop(tokio::task::spawn_blocking(move || {
        let mut out = ChunkWriter { chunk: Vec::new(), sender, runtime };
        if let Err(error) = write(&mut out).and_then(|()| out.flush()) {
            tracing::debug!(error = %error, "export ended early");
            // Fails only if the client is gone.
            let _gone = out.sender.try_send(Err(error));
        }
    }));
    Body::new(ChunkBody { receiver })
}

/// Collects what is written into pieces of a sensible size.
struct ChunkWriter {
    chunk: Vec<u8>,
    sender: mpsc::Sender<io::Result<Bytes>>,
    runtime: Handle,
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= limits::EXPORT_CHUNK_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let next = Vec::with_capacity(limits::EXPORT_CHUNK_BYTES + limits::EXPORT_CHUNK_BYTES / 4);
        let chunk = Bytes::from(std::mem::replace(&mut self.chunk, next));
        let sent = async { tokio::time::timeout(limits::EXPORT_STALL, self.sender.send(Ok(chunk))).await };
        match self.runtime.block_on(sent) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::Error::new(io::ErrorKind::BrokenPipe, "the client went away")),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the client reads too slowly")),
        }
    }
}

struct ChunkBody {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
}

impl http_body::Body for ChunkBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.receiver.poll_recv(context).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use http_body_util::BodyExt;

    use super::body;
    use crate::limits::EXPORT_CHUNK_BYTES;

    #[tokio::test]
    async fn what_is_written_arrives_in_pieces() {
        let mut body = body(|out| {
            for _ in 0..100_000 {
                out.write_all(b"0123456789")?;
            }
            Ok(())
        });
        let (mut pieces, mut bytes) = (0, 0);
        while let Some(frame) = body.frame().await {
            let data = frame.expect("no failure").into_data().expect("only data");
            assert!(data.len() <= EXPORT_CHUNK_BYTES + 10);
            bytes += data.len();
            pieces += 1;
        }
        assert_eq!((bytes, pieces), (1_000_000, 1_000_000_usize.div_ceil(EXPORT_CHUNK_BYTES + 4)));
    }

    #[tokio::test]
    async fn a_failure_cuts_the_body_off() {
        let body = body(|out| {
            out.write_all(b"half")?;
            Err(io::Error::other("broken"))
        });
        assert!(body.collect().await.is_err());
    }

    #[tokio::test]
    async fn a_client_that_goes_away_ends_the_writer() {
        let (ended, end) = tokio::sync::oneshot::channel();
        let body = body(move |out| {
            let result = (0..).try_for_each(|_| out.write_all(&[0; 1024]));
            ended.send(result.map_err(|error: io::Error| error.kind())).map_err(|_| io::ErrorKind::Other)?;
            Ok(())
        });
        drop(body);
        assert_eq!(end.await, Ok(Err(io::ErrorKind::BrokenPipe)));
    }
}
