//! Standard input, piece by piece. The process has one: a receiver that is made anew by a reload goes on where the one before
//! stopped, and a read that nobody can end stays in a thread of its own, which holds up neither a reload nor the end.

use std::io::{self, BufRead as _, BufReader};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::packing::{is_packed, unpacked};
use super::pieces::{Cutting, Read, Rest, Stream};
use crate::budget::Budget;
use crate::tasks;

/// How much is read at once.
const READ_BYTES: usize = 64 << 10;

/// Somebody wants the next piece.
struct Request {
    cutting: Cutting,
    budget: Arc<Budget>,
    answer: oneshot::Sender<io::Result<Read>>,
}

/// Where the thread is asked, once there is one.
static THREAD: Mutex<Option<SyncSender<Request>>> = Mutex::new(None);

/// The next piece; cancel-safe: a piece that nobody took is the next one again.
pub(crate) async fn next(cutting: Cutting, budget: &Arc<Budget>) -> io::Result<Read> {
    let (answer, piece) = oneshot::channel();
    let request = Request { cutting, budget: Arc::clone(budget), answer };
    let sent = thread().and_then(|thread| thread.try_send(request).map_err(|_| busy()));
    sent?;
    piece.await.unwrap_or_else(|_| Err(busy()))
}

fn busy() -> io::Error {
    io::Error::other("somebody else reads it")
}

fn thread() -> io::Result<SyncSender<Request>> {
    let mut thread = THREAD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(thread) = &*thread {
        return Ok(thread.clone());
    }
    let (sender, requests) = sync_channel(2);
    tasks::thread("standard input", move || serve(&requests))?;
    Ok(thread.insert(sender).clone())
}

fn serve(requests: &Receiver<Request>) {
    let mut stream: Option<Stream> = None;
    let mut untaken = None;
    for Request { cutting, budget, answer } in requests {
        let read = untaken.take().unwrap_or_else(|| {
            let stream = match &mut stream {
                Some(stream) => stream,
                None => stream.insert(open()?),
            };
            stream.read(&cutting, Rest::Take, &budget)
        });
        untaken = answer.send(read).err();
    }
}

fn open() -> io::Result<Stream> {
    let mut input = BufReader::with_capacity(READ_BYTES, io::stdin());
    if is_packed(input.fill_buf()?) {
        let inside = BufReader::with_capacity(READ_BYTES, unpacked(input)?);
        return Ok(Stream::once(Box::new(inside)));
    }
    Ok(Stream::once(Box::new(input)))
}
