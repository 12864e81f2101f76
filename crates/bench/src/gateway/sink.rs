//! The back end: takes every request, remembers every span.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use h2::RecvStream;
use h2::server::SendResponse;
use http::Request;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::grpc;
use super::payload::{for_each_span_id, origin_of};

/// What arrived.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    /// A bit for each span of each request.
    requests: HashMap<u32, Vec<u64>>,
    /// Different spans.
    pub(super) spans: u64,
    /// Spans that had arrived before.
    pub(super) again: u64,
    /// Requests as they came here, merged or not.
    pub(super) calls: u64,
    /// Bytes of messages as sent, and decompressed.
    pub(super) wire_bytes: u64,
    pub(super) plain_bytes: u64,
    /// A message, decompressed.
    pub(super) sample: Vec<u8>,
    /// Messages that were no requests.
    pub(super) broken: u64,
}

impl Arrived {
    /// Spans of request `sequence` that arrived.
    pub(super) fn spans_of(&self, sequence: u32) -> u64 {
        self.requests.get(&sequence).map_or(0, |bits| bits.iter().map(|word| u64::from(word.count_ones())).sum())
    }

    fn note(&mut self, id: [u8; 8]) {
        let (sequence, index) = origin_of(id);
        let bits = self.requests.entry(sequence).or_default();
        if bits.len() <= index / 64 {
            bits.resize(index / 64 + 1, 0);
        }
        let (word, bit) = (&mut bits[index / 64], 1 << (index % 64));
        if *word & bit == 0 {
            *word |= bit;
            self.spans += 1;
        } else {
            self.again += 1;
        }
    }
}

/// A back end that listens until it is dropped.
#[derive(Debug)]
pub(super) struct Sink {
    arrived: Arc<Mutex<Arrived>>,
    _server: JoinSet<()>,
}

impl Sink {
    pub(super) async fn start(port: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let arrived = Arc::new(Mutex::new(Arrived::default()));
        let mut server = JoinSet::new();
        server.spawn(serve(listener, Arc::clone(&arrived)));
        Ok(Self { arrived, _server: server })
    }

    pub(super) fn arrived(&self) -> MutexGuard<'_, Arrived> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(listener: TcpListener, arrived: Arc<Mutex<Arrived>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let arrived = Arc::clone(&arrived);
        connections.spawn(async move {
            let Ok(mut connection) = grpc::accept(stream).await else { return };
            let mut calls = JoinSet::new();
            while let Some(Ok((request, respond))) = connection.accept().await {
                while calls.try_join_next().is_some() {}
                calls.spawn(take(request, respond, Arc::clone(&arrived)));
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn take(request: Request<RecvStream>, mut respond: SendResponse<bytes::Bytes>, arrived: Arc<Mutex<Arrived>>) {
    let lock = || arrived.lock().unwrap_or_else(PoisonError::into_inner);
    let is_taken = match read(request).await {
        Ok((wire_bytes, message)) => {
            let mut arrived = lock();
            arrived.calls += 1;
            arrived.wire_bytes += wire_bytes as u64;
            arrived.plain_bytes += message.len() as u64;
            if !for_each_span_id(&message, |id| arrived.note(id)) {
                arrived.broken += 1;
            }
            // The start-up probe's request is too short to say anything.
            if arrived.sample.len() < message.len() {
                arrived.sample = message.to_vec();
            }
            true
        }
        Err(_) => {
            lock().broken += 1;
            false
        }
    };
    // The client went away.
    let _sent = grpc::respond(&mut respond, is_taken);
}

async fn read(request: Request<RecvStream>) -> anyhow::Result<(usize, bytes::Bytes)> {
    let (head, mut body) = request.into_parts();
    let pieces = grpc::pieces_of(&mut body).await?;
    let (is_compressed, message) = grpc::message_of(&pieces)?;
    let length = message.len();
    if !is_compressed {
        return Ok((length, message));
    }
    Ok((length, grpc::encoding_of(&head.headers)?.decompress(message)?))
}
