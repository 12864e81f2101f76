//! Logs that are followed: their lines become batches, and what was handed over is not read again.

use std::sync::Arc;

use rootspan_wire::nginx::log::{Encoder, InvalidLine, Outcome, Settings};
use rootspan_wire::otlp::batch::TraceBatch;

use super::lines::{Shared, Tally};
use crate::follow::follower::Follower;
use crate::follow::pieces::Piece;
use crate::net::stop::Stop;
use crate::tasks;

/// Reads until told to stop.
pub(super) async fn run(mut follower: Follower, shared: Arc<Shared>, mut stop: Stop) {
    while let Some(mut next) = follower.next().await {
        let Some(place) = follower.place(&next).await else { return };
        let (settings, piece) = (shared.settings.clone(), next.piece);
        let read = move || {
            let (batch, tally) = read(&piece, &place, &settings);
            (batch, tally, piece)
        };
        let Some((batch, tally, piece)) = tasks::blocking("read nginx's log", read).await else { return };
        next.piece = piece;
        if shared.deliver(&batch, tally, &mut stop).await {
            follower.advance(&next, next.piece.end, next.piece.lines);
        }
    }
}

/// The spans of the lines of a piece, and what became of each.
fn read(piece: &Piece, place: &(String, u64), settings: &Settings) -> (TraceBatch, Tally) {
    let (mut encoder, mut tally) = (Encoder::new(settings), Tally::default());
    let (path, first) = place;
    let at = |number: u64| (path.clone(), Some(first + number));
    let mut lines = piece.bytes.as_ref().split_inclusive(|byte| *byte == b'\n').zip(0..).peekable();
    while let Some((line, number)) = lines.next() {
        let line = line.trim_ascii_end();
        if line.is_empty() {
            continue;
        }
        let outcome = match encoder.push(line) {
            // What has no end was not written to its end.
            Outcome::Invalid(_) if piece.is_unfinished && lines.peek().is_none() => {
                Outcome::Invalid(InvalidLine::Unfinished)
            }
            outcome => outcome,
        };
        tally.add(outcome, || at(number));
    }
    if piece.passed_over {
        tally.add(Outcome::Invalid(InvalidLine::TooLong), || at(piece.lines - 1));
    }
    (encoder.finish(), tally)
}

#[cfg(test)]
mod tests;
