//! Signals, as a channel: the handler does nothing but wake a thread.

use std::io;
use std::thread;

use crossbeam_channel::{Receiver, bounded};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// What the world outside wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// SIGTERM, SIGINT: bring what is in flight to its end, and stop.
    Stop,
    /// SIGHUP: read the settings again.
    Reload,
}

/// The wishes, as they come. The thread lives as long as the process.
pub(super) fn wishes() -> io::Result<Receiver<Wish>> {
    let (send, wishes) = bounded(16);
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    thread::Builder::new().name("signals".into()).stack_size(128 << 10).spawn(move || {
        for signal in signals.forever() {
            let wish = if signal == SIGHUP { Wish::Reload } else { Wish::Stop };
            // Sixteen unheard wishes are enough: one more says nothing new.
            let _ = send.try_send(wish);
        }
    })?;
    Ok(wishes)
}
