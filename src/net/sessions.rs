//! The session table: every outbound session, where it stands, and until when.
//!
//! `Drop` alone is no proof, since a wedged thread never drops. So each session stands here with its deadline and a second
//! handle of its socket; the watchdog cuts whatever is past its deadline, and the blocked thread returns and drops. The
//! same table is what the operator sees.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::stream::Line;
use super::{Followers, Overheard, Pressure, Slot, Standing};
use crate::mail::{Channel, Destination, QueueId};
use crate::time::{Deadline, Limit, Phase};

/// The table.
#[derive(Debug, Default)]
pub struct Sessions {
    rows: Mutex<BTreeMap<u64, Arc<Row>>>,
    last: AtomicU64,
    followers: Arc<Followers>,
}

#[derive(Debug)]
struct Row {
    id: u64,
    destination: Destination,
    began: Instant,
    live: Mutex<Live>,
}

/// What changes while a session lives.
#[derive(Debug)]
struct Live {
    standing: Standing,
    phase: Phase,
    since: Instant,
    ends: (Instant, Limit),
    mx: Option<String>,
    address: Option<SocketAddr>,
    message: Option<QueueId>,
    delivered: u32,
    channel: Option<Arc<Channel>>,
    line: Weak<Line>,
    cut: Option<Limit>,
}

/// One row, as the operator sees it.
#[derive(Clone, Debug)]
pub struct SessionView {
    /// The session's number, unique while the relay runs.
    pub id: u64,
    /// The destination whose slot it holds.
    pub destination: Destination,
    /// The standing its seat counts under.
    pub standing: Standing,
    /// The host, once the route has named one.
    pub mx: Option<String>,
    /// The address, once one is reached for.
    pub address: Option<IpAddr>,
    /// Whether TLS protects it, once that is decided.
    pub channel: Option<Arc<Channel>>,
    /// Where the conversation stands.
    pub phase: Phase,
    /// The message in hand.
    pub message: Option<QueueId>,
    /// Messages delivered over it so far.
    pub delivered: u32,
    /// How long the session has lived.
    pub age: Duration,
    /// How long it has been in this phase.
    pub in_phase: Duration,
    /// What is left until a limit fires.
    pub left: Duration,
    /// The limit that will fire.
    pub limit: Limit,
}

impl Sessions {
    /// An empty table.
    pub fn new() -> Arc<Sessions> {
        Arc::new(Sessions::default())
    }

    /// Enters a session; it leaves when what is returned is dropped. It begins in [`Phase::Dns`], under `deadline`.
    pub fn enter(self: &Arc<Self>, slot: &Slot, now: Instant, deadline: &Deadline) -> Session {
        let live = Live {
            standing: slot.standing(),
            phase: Phase::Dns,
            since: now,
            ends: deadline.ends(),
            mx: None,
            address: None,
            message: None,
            delivered: 0,
            channel: None,
            line: Weak::new(),
            cut: None,
        };
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let destination = slot.destination().clone();
        let row = Arc::new(Row { id, destination, began: now, live: Mutex::new(live) });
        self.rows.lock().insert(id, Arc::clone(&row));
        Session { table: Arc::clone(self), row }
    }

    /// Who follows the conversations.
    pub fn followers(&self) -> &Arc<Followers> {
        &self.followers
    }

    /// The rows, oldest first.
    pub fn view(&self, now: Instant) -> Vec<SessionView> {
        self.rows.lock().values().map(|row| row.view(now)).collect()
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.rows.lock().len()
    }

    /// Whether there is no session.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Cuts what is past its deadline by more than `grace`, and says what it was. A session is cut once.
    pub(super) fn cut_overdue(&self, now: Instant, grace: Duration) -> Vec<SessionView> {
        // The table's lock is held while a line is cut: a session cannot leave, and its socket number cannot become
        // another's, in between.
        let rows = self.rows.lock();
        // An idle session waits for us, not for its host: for its next message, and then for the disk that message is read
        // from. A cut would wake nobody, and the host would be blamed for our disk.
        let late = |live: &Live| live.phase != Phase::Idle && now > live.ends.0 + grace;
        let overdue = rows.values().filter(|row| row.cut_if(late, None));
        overdue.map(|row| row.view(now)).collect()
    }

    /// Under pressure, cuts sessions that have waited longer than `patience` for a host to say something, oldest first, and
    /// no more than others wait for, nor than `most`. A message on its way is left in peace, and so is one that may have
    /// arrived.
    pub(super) fn cut_impatient(
        &self,
        now: Instant,
        patience: Duration,
        pressure: &Pressure,
        most: usize,
    ) -> Vec<SessionView> {
        let mut cut = Vec::new();
        if !pressure.is_on() {
            return cut;
        }
        let waits = |live: &Live| {
            let talks = (Phase::Connect..=Phase::Data).contains(&live.phase);
            talks && now.saturating_duration_since(live.since) >= patience
        };
        let rows = self.rows.lock();
        for row in rows.values() {
            let standing = row.live.lock().standing;
            if cut.len() < pressure.on(standing).min(most) && row.cut_if(waits, Some(Limit::Patience)) {
                cut.push(row.view(now));
            }
        }
        cut
    }

    /// Cuts one session, for an operator; `None` when there is none of this number, or it is cut already.
    pub fn kill(&self, id: u64, now: Instant) -> Option<SessionView> {
        let rows = self.rows.lock();
        rows.get(&id).filter(|row| row.cut_if(|_| true, Some(Limit::Operator))).map(|row| row.view(now))
    }

    /// Cuts every session, for `limit`. Returns how many there were.
    pub fn cut_all(&self, limit: Limit) -> usize {
        let rows = self.rows.lock();
        rows.values().filter(|row| row.cut_if(|_| true, Some(limit))).count()
    }
}

impl Row {
    fn cut_if(&self, when: impl Fn(&Live) -> bool, limit: Option<Limit>) -> bool {
        let mut live = self.live.lock();
        if live.cut.is_some() || !when(&live) {
            return false;
        }
        let limit = limit.unwrap_or(live.ends.1);
        live.cut = Some(limit);
        if let Some(line) = live.line.upgrade() {
            line.cut(limit);
        }
        true
    }

    fn view(&self, now: Instant) -> SessionView {
        let live = self.live.lock();
        SessionView {
            id: self.id,
            destination: self.destination.clone(),
            standing: live.standing,
            mx: live.mx.clone(),
            address: live.address.map(|address| address.ip()),
            channel: live.channel.clone(),
            phase: live.phase,
            message: live.message,
            delivered: live.delivered,
            age: now.saturating_duration_since(self.began),
            in_phase: now.saturating_duration_since(live.since),
            left: live.ends.0.saturating_duration_since(now),
            limit: live.ends.1,
        }
    }
}

/// A session's own entry in the table. Its Drop takes it out.
#[derive(Debug)]
pub struct Session {
    table: Arc<Sessions>,
    row: Arc<Row>,
}

impl Session {
    /// The session's number: `session=` in the log.
    pub fn id(&self) -> u64 {
        self.row.id
    }

    /// Whether anybody may be following: one relaxed load.
    pub fn is_followed(&self) -> bool {
        self.table.followers.any()
    }

    /// Tells whoever follows: `>` what we say, `<` what the host says, `*` what happens.
    pub fn tell(&self, way: char, text: impl Into<String>) {
        if !self.is_followed() {
            return;
        }
        self.table.followers.tell(&self.row.destination, |at| {
            let live = self.row.live.lock();
            Overheard {
                at,
                session: self.row.id,
                destination: self.row.destination.clone(),
                host: live.mx.clone().zip(live.address),
                way,
                text: text.into(),
            }
        });
    }

    /// A phase begins.
    pub fn phase(&self, phase: Phase, now: Instant, deadline: &Deadline) {
        if matches!(phase, Phase::Dns | Phase::Banner | Phase::Idle) && self.is_followed() {
            self.tell('*', phase.words());
        }
        let mut live = self.row.live.lock();
        (live.phase, live.since, live.ends) = (phase, now, deadline.ends());
    }

    /// The deadline moved within its phase: a block has passed.
    pub fn moved(&self, deadline: &Deadline) {
        self.row.live.lock().ends = deadline.ends();
    }

    /// It is decided whether TLS protects the session.
    pub fn channel(&self, channel: &Arc<Channel>) {
        self.row.live.lock().channel = Some(Arc::clone(channel));
    }

    /// A message is in hand, or none.
    pub fn message(&self, id: Option<QueueId>) {
        self.row.live.lock().message = id;
    }

    /// Its destination is proven.
    pub(super) fn promote(&self) {
        self.row.live.lock().standing = Standing::Proven;
    }

    /// A message was delivered.
    pub fn delivered(&self) {
        self.row.live.lock().delivered += 1;
    }

    /// Whether this session has been cut, and why: no further host is tried then.
    pub fn cut(&self) -> Option<Limit> {
        self.row.live.lock().cut
    }

    /// A host is about to be connected to; `line` can be cut from now on. A session that was cut before is cut at once.
    pub(super) fn attach(&self, mx: &str, address: SocketAddr, line: &Arc<Line>) {
        self.tell_of(mx, address);
        let mut live = self.row.live.lock();
        (live.mx, live.address, live.line) = (Some(mx.to_owned()), Some(address), Arc::downgrade(line));
        live.channel = None;
        if let Some(limit) = live.cut {
            line.cut(limit);
        }
    }

    fn tell_of(&self, mx: &str, address: SocketAddr) {
        if self.is_followed() {
            self.tell('*', format!("connecting to {mx} at {address}"));
        }
    }

    /// The connection is about to be closed: nobody else may hold its socket from here on.
    pub(super) fn detach(&self) {
        // Both locks, in the order of `cut_overdue`: whoever cuts holds the table's.
        let _table = self.table.rows.lock();
        self.row.live.lock().line = Weak::new();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.tell('*', "the session ends");
        self.table.rows.lock().remove(&self.row.id);
    }
}
