//! The clients that are being served: whom to ask to leave, and whom to cut, at the end.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::server::Presence;

/// The table.
#[derive(Debug, Default)]
pub struct Clients(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    rows: BTreeMap<u64, Arc<Presence>>,
    last: u64,
    closing: bool,
}

impl Clients {
    /// Enters a client; it leaves when what is returned is dropped. Who comes while we are closing is asked to leave.
    pub fn enter(self: &Arc<Self>, presence: Presence) -> ClientEntry {
        let presence = Arc::new(presence);
        let mut table = self.0.lock();
        table.last += 1;
        let id = table.last;
        table.rows.insert(id, Arc::clone(&presence));
        if table.closing {
            presence.ask_to_leave();
        }
        drop(table);
        ClientEntry { clients: Arc::clone(self), id, presence }
    }

    /// Address of each client, oldest first, and whether it is sending a message.
    pub fn view(&self) -> Vec<(IpAddr, bool)> {
        let table = self.0.lock();
        table.rows.values().map(|presence| (presence.client(), presence.is_receiving())).collect()
    }

    /// Asks every client to leave, and whoever comes from now on.
    pub fn close(&self) {
        let mut table = self.0.lock();
        table.closing = true;
        table.rows.values().for_each(|presence| presence.ask_to_leave());
    }

    /// Cuts every client. Returns how many there were.
    pub fn cut_all(&self) -> usize {
        let table = self.0.lock();
        table.rows.values().for_each(|presence| presence.cut());
        table.rows.len()
    }
}

/// A client's own entry in the table. Its Drop takes it out.
#[derive(Debug)]
pub struct ClientEntry {
    clients: Arc<Clients>,
    id: u64,
    presence: Arc<Presence>,
}

impl Deref for ClientEntry {
    type Target = Presence;

    fn deref(&self) -> &Presence {
        &self.presence
    }
}

impl Drop for ClientEntry {
    fn drop(&mut self) {
        self.clients.0.lock().rows.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Cutter;

    #[test]
    fn who_comes_while_we_close_is_asked_to_leave() {
        let clients = Arc::new(Clients::default());
        let come = || clients.enter(Presence::new([192, 0, 2, 1].into(), Cutter::default()));
        let early = come();
        assert!(!early.must_leave());
        clients.close();
        assert!(early.must_leave() && come().must_leave());
        assert_eq!((clients.view().len(), clients.cut_all()), (1, 1));
        drop(early);
        assert!(clients.view().is_empty());
    }
}
