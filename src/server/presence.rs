//! A client's presence: what it is doing, as the rest of the house sees it, and the request to leave.
//!
//! A client that waits between commands can be sent away at once. One that is sending data, or waits for its commit, is
//! left to finish: to cut it there is to invite a duplicate.

use std::net::IpAddr;

use parking_lot::Mutex;

use crate::net::Cutter;
use crate::time::Limit;

/// One client that is being served.
#[derive(Debug)]
pub struct Presence {
    client: IpAddr,
    cutter: Cutter,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    receiving: bool,
    leaving: bool,
}

impl Presence {
    /// A client at `client`, whose stream `cutter` ends.
    pub fn new(client: IpAddr, cutter: Cutter) -> Presence {
        Presence { client, cutter, state: Mutex::default() }
    }

    /// The client's address.
    pub fn client(&self) -> IpAddr {
        self.client
    }

    /// Whether a message is being received.
    pub fn is_receiving(&self) -> bool {
        self.state.lock().receiving
    }

    /// Whether the client has been asked to leave.
    pub fn must_leave(&self) -> bool {
        self.state.lock().leaving
    }

    /// Asks the client to leave: at its next command, and at once if it is waiting for nothing.
    pub fn ask_to_leave(&self) {
        let mut state = self.state.lock();
        state.leaving = true;
        // Under the lock, so that no data can begin in between.
        if !state.receiving {
            self.cutter.end_reading();
        }
    }

    /// Ends the connection now, whatever it is doing.
    pub fn cut(&self) {
        self.cutter.cut(Limit::Shutdown);
    }

    /// Data begins, until the value is dropped; `None` when the client must leave instead.
    pub fn receive(&self) -> Option<Receiving<'_>> {
        let mut state = self.state.lock();
        if state.leaving {
            return None;
        }
        state.receiving = true;
        Some(Receiving(self))
    }
}

/// A message is being received.
#[derive(Debug)]
pub struct Receiving<'a>(&'a Presence);

impl Drop for Receiving<'_> {
    fn drop(&mut self) {
        self.0.state.lock().receiving = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_who_must_leave_begins_data() {
        let presence = Presence::new([192, 0, 2, 1].into(), Cutter::default());
        let receiving = presence.receive();
        assert!(receiving.is_some() && presence.is_receiving());
        presence.ask_to_leave();
        drop(receiving);
        assert!(!presence.is_receiving() && presence.must_leave() && presence.receive().is_none());
    }
}
