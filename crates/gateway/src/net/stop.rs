//! The signal to take no more work. Whoever holds a [`Stop`] finishes what it has begun.

use tokio::sync::watch;

/// The sending side; dropping it stops as well.
#[derive(Debug)]
pub(crate) struct Stopper {
    sender: watch::Sender<bool>,
}

/// The receiving side.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    receiver: watch::Receiver<bool>,
}

/// A signal.
pub(crate) fn channel() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Stopper { sender }, Stop { receiver })
}

impl Stopper {
    /// Tells everybody to stop.
    pub(crate) fn stop(&self) {
        self.sender.send_replace(true);
    }
}

impl Stop {
    /// Whether the signal was given.
    pub(crate) fn is_stopped(&self) -> bool {
        // Without a sender nobody wants more.
        *self.receiver.borrow() || self.receiver.has_changed().is_err()
    }

    /// Waits for the signal; at once if it was given before. Cancel-safe.
    pub(crate) async fn stopped(&mut self) {
        // An error means that the sender is gone, which is the same.
        drop(self.receiver.wait_for(|stop| *stop).await);
    }
}
