//! One attempt at one message for one destination: the hosts of its route in turn, until every recipient is decided or the
//! hosts are used up.
//!
//! A host that fails as a site (no connection, no banner, a time-out, 421, a refused greeting) hands over to the next one,
//! whether or not its TCP handshake had succeeded. After a loss between the final dot and its reply nobody else is tried.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::job::Report;
use super::workshop::{Workshop, random};
use crate::client::{Client, FallBack, Fate, Hop, Manner, Transaction, Trouble};
use crate::config::Config;
use crate::dns::Want;
use crate::mail::{Blame, Diagnostic, Failure, Outcome};
use crate::net::{Advice, Session, Slot};
use crate::smtp::{EnhancedStatus, Mailbox};
use crate::spool::Lease;
use crate::time::{Deadline, Limit, Phase, clock};

/// The seat a visit has: a bare slot, or a session that holds it.
#[derive(Debug)]
pub(super) enum Seat {
    /// Not connected.
    Slot(Slot),
    /// In a session.
    Open(Box<Client>),
}

/// How an attempt ended for the destination as a site.
#[derive(Debug)]
pub(super) enum Ended {
    /// The session is good for the next message.
    Well,
    /// Every host that was tried failed as a site; the last one's failure.
    Site(Failure),
    /// Nothing was learnt of a site: DNS says for certain that nobody takes this mail, or the trouble was ours.
    NoSite,
    /// No address of the route may be tried now: this one is full, or left alone for a while, and why. Nothing was tried.
    Blocked(SocketAddr, Option<(Duration, String)>),
    /// Cut by us: shutdown.
    Ours,
}

/// What an attempt came to.
#[derive(Debug)]
pub(super) struct Attempted {
    /// One for each leased recipient, in order; `None` where nothing was decided (then nothing was the site's fault).
    pub(super) outcomes: Vec<Option<Outcome>>,
    /// How it ended.
    pub(super) ended: Ended,
}

impl Attempted {
    /// An attempt that a defect of ours interrupted: the message waits for its next time, and says so.
    pub(super) fn interrupted(lease: &Lease) -> Attempted {
        let words = "a defect in Sendoff interrupted the attempt; see the log".to_owned();
        let failure = ours(Blame::Message, EnhancedStatus::new(4, 3, 0), words);
        Attempted {
            outcomes: vec![Some(Outcome::Deferred(failure)); lease.recipients().len()],
            ended: Ended::Ours,
        }
    }
}

/// A failure in our own words, before any host was chosen.
fn ours(blame: Blame, status: EnhancedStatus, words: String) -> Failure {
    let (phase, diagnostic) = (Phase::Dns, Diagnostic::Local(words));
    Failure { blame, phase, status, diagnostic, remote: None, duplicate: false }
}

/// Who makes attempts in one visit.
pub(super) struct Attempter<'a> {
    pub(super) shop: &'a Workshop,
    pub(super) config: &'a Config,
    pub(super) manner: &'a Arc<Manner>,
    pub(super) session: &'a Arc<Session>,
    pub(super) deadline: Deadline,
}

impl Attempter<'_> {
    /// Makes the attempt. The seat is used, and comes back as it is afterwards.
    pub(super) fn attempt(&self, lease: &Lease, seat: Seat) -> (Attempted, Option<Seat>) {
        let mut run = Run {
            attempter: self,
            lease,
            outcomes: vec![None; lease.recipients().len()],
            hops: None,
            last: None,
            blocked: None,
            fell_back: None,
        };
        let (ended, seat) = run.go(seat);
        (Attempted { outcomes: run.outcomes, ended }, seat)
    }

    fn route(&self, slot: &Slot) -> Result<VecDeque<Hop>, Failure> {
        let mut deadline = self.deadline;
        let now = clock::now();
        let limit = self.config.dns.limit;
        // A nameserver that hangs is a host that hangs: under pressure there is less patience with it too.
        let pressed = self.shop.pressure.on(slot.standing()) > 0;
        deadline.enter(now, if pressed { limit.min(self.config.timeouts.patience) } else { limit });
        self.session.phase(Phase::Dns, now, &deadline);
        let (resolver, own) = (Arc::clone(&self.shop.resolver.read()), Arc::clone(&self.shop.own.read()));
        let delivery = &self.config.delivery;
        let want = Want { port: delivery.port, addresses: delivery.max_addresses, seed: random() };
        let route = resolver.resolve(slot.destination(), &own, want, deadline)?;
        Ok(route.addresses().into_iter().map(|(name, address)| Hop { name, address }).collect())
    }
}

struct Run<'a, 'b> {
    attempter: &'a Attempter<'b>,
    lease: &'a Lease,
    outcomes: Vec<Option<Outcome>>,
    /// The hosts still to be tried; `None` before the route is known.
    hops: Option<VecDeque<Hop>>,
    last: Option<Trouble>,
    /// An address that may not be tried now, the one with the shortest wait.
    blocked: Option<(SocketAddr, Option<(Duration, String)>)>,
    /// The address that was gone back to in the clear: once, whatever comes of it.
    fell_back: Option<SocketAddr>,
}

impl Run<'_, '_> {
    fn go(&mut self, mut seat: Seat) -> (Ended, Option<Seat>) {
        loop {
            let mut client = match seat {
                Seat::Open(client) => client,
                Seat::Slot(slot) => match self.connect(slot) {
                    Ok(client) => client,
                    Err(ended) => return self.end(ended),
                },
            };
            let reused = client.transactions() > 0;
            let Some(trouble) = self.transact(&mut client) else {
                return (Ended::Well, Some(Seat::Open(client)));
            };
            let stale = reused && matches!(trouble.failure.phase, Phase::Rset | Phase::Mail) && !trouble.ours;
            seat = Seat::Slot(client.close());
            // A session that was cut by us, or is at its end, could not open another.
            let cut = self.attempter.session.cut().is_some();
            let over = self.attempter.deadline.remaining(clock::now()).is_err();
            if stale && self.hops.is_none() && !cut && !over {
                // The host hung up on an idle session, which is its right: this is no failure. A new session is opened.
                continue;
            }
            let over = cut
                || over
                || trouble.ours
                || trouble.failure.duplicate
                || trouble.failure.blame != Blame::Site;
            self.last = Some(trouble);
            if over || self.open().next().is_none() {
                return self.end(None);
            }
            self.failover();
        }
    }

    /// Opens a session with the next host that takes one.
    fn connect(&mut self, mut slot: Slot) -> Result<Box<Client>, Option<Ended>> {
        let attempter = self.attempter;
        if self.hops.is_none() {
            match attempter.route(&slot) {
                Ok(hops) => self.hops = Some(hops),
                Err(failure) => {
                    let ended = if failure.blame == Blame::Site { None } else { Some(Ended::NoSite) };
                    self.last = Some(Trouble { failure, ours: false, fall_back: FallBack::Never });
                    return Err(ended);
                }
            }
        }
        while let Some(hop) = self.hops.as_mut().and_then(VecDeque::pop_front) {
            if attempter.session.cut() == Some(Limit::Shutdown) {
                return Err(Some(Ended::Ours));
            }
            let (address, began) = (hop.address, clock::now());
            let _probe = match attempter.shop.addresses.advise(address, began) {
                Advice::Try(probe) => probe,
                Advice::Rest(left, words) => {
                    self.blocked_by(address, Some((left, words)));
                    continue;
                }
            };
            match Client::open(slot, attempter.session, &hop, attempter.manner, attempter.deadline) {
                Ok(client) => {
                    if attempter.shop.addresses.good(address, clock::now()) {
                        attempter.shop.report(Report::Recovered(address.ip()));
                    }
                    return Ok(Box::new(client));
                }
                Err(unopened) => {
                    slot = unopened.slot;
                    let Some(trouble) = unopened.trouble else {
                        self.blocked_by(address, None);
                        continue;
                    };
                    if trouble.fall_back == FallBack::Now && self.fell_back != Some(address) {
                        self.falls_back(&trouble);
                        self.fell_back = Some(address);
                        self.hops.get_or_insert_default().push_front(hop);
                        self.last = Some(trouble);
                        continue;
                    }
                    let short = trouble.failure.blame != Blame::Site;
                    let over = trouble.ours || short || attempter.session.cut().is_some();
                    if !trouble.ours && !short {
                        let (rest, words) = (&attempter.config.retry.site, trouble.failure.to_string());
                        attempter.shop.addresses.failed(address, began, clock::now(), rest, &words);
                    }
                    self.last = Some(trouble);
                    if over {
                        break;
                    }
                    self.failover();
                }
            }
        }
        Err(None)
    }

    fn blocked_by(&mut self, address: SocketAddr, silent: Option<(Duration, String)>) {
        let wait = |silent: &Option<(Duration, String)>| silent.as_ref().map(|(wait, _)| *wait);
        if self.blocked.as_ref().is_none_or(|(_, other)| wait(&silent) < wait(other)) {
            self.blocked = Some((address, silent));
        }
    }

    /// Transactions until every open recipient is decided, or the conversation ends.
    fn transact(&mut self, client: &mut Client) -> Option<Trouble> {
        let (lease, most) = (self.lease, self.attempter.config.delivery.recipients_per_transaction);
        #[cfg(debug_assertions)]
        panic_on_order(lease);
        loop {
            let batch: Vec<usize> = self.open().take(most).collect();
            if batch.is_empty() {
                return None;
            }
            let recipients: Vec<&Mailbox> = batch.iter().map(|n| &lease.recipients()[*n].address).collect();
            let transacted = client.deliver(&Transaction {
                reverse_path: &lease.envelope().reverse_path,
                body_type: lease.envelope().body_type,
                recipients: &recipients,
                body: lease.body(),
            });
            for (n, fate) in batch.into_iter().zip(transacted.fates) {
                if let Fate::Decided(outcome) = fate {
                    self.outcomes[n] = Some(outcome);
                }
            }
            if transacted.trouble.is_some() {
                return transacted.trouble;
            }
        }
    }

    /// Recipients that are not decided.
    fn open(&self) -> impl Iterator<Item = usize> + '_ {
        self.outcomes.iter().enumerate().filter(|(_, outcome)| outcome.is_none()).map(|(n, _)| n)
    }

    fn falls_back(&self, trouble: &Trouble) {
        let (id, session) = (self.lease.id(), self.attempter.session.id());
        log::info!("id={id} session={session}: {}; trying it again in the clear", trouble.failure);
    }

    fn failover(&self) {
        let more = self.hops.as_ref().is_some_and(|hops| !hops.is_empty());
        if let (Some(trouble), true) = (&self.last, more) {
            let (id, session) = (self.lease.id(), self.attempter.session.id());
            log::info!("id={id} session={session}: {}; trying the next host", trouble.failure);
        }
    }

    /// No host is left, or none may be tried. What is open shares the last failure.
    fn end(&mut self, ended: Option<Ended>) -> (Ended, Option<Seat>) {
        let Some(trouble) = self.last.take() else {
            // The resolver gives no such route; if it did, the mail would still wait and say so.
            let words = "the route has no address to try".to_owned();
            let nobody = || Ended::Site(ours(Blame::Site, EnhancedStatus::new(4, 4, 4), words));
            let blocked = self.blocked.take().map(|(address, silent)| Ended::Blocked(address, silent));
            return (ended.or(blocked).unwrap_or_else(nobody), None);
        };
        if trouble.ours {
            return (Ended::Ours, None);
        }
        // Whoever is open was not in the transaction that was lost after its final dot.
        let outcome = Outcome::of(Failure { duplicate: false, ..trouble.failure.clone() });
        self.outcomes.iter_mut().filter(|open| open.is_none()).for_each(|open| *open = Some(outcome.clone()));
        let ended = ended.unwrap_or(if trouble.failure.blame == Blame::Site {
            Ended::Site(trouble.failure)
        } else {
            Ended::NoSite
        });
        (ended, None)
    }
}

/// A defect on order, to show that one costs nothing: in a debug build, `SENDOFF_TEST_PANIC` names the local part of
/// recipients whose attempts panic once a session is open. A release has neither the variable nor this function.
#[cfg(debug_assertions)]
fn panic_on_order(lease: &Lease) {
    static WHOM: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let Some(whom) = WHOM.get_or_init(|| std::env::var("SENDOFF_TEST_PANIC").ok()) else { return };
    if lease.recipients().iter().any(|recipient| recipient.address.local() == whom) {
        panic!("ordered by SENDOFF_TEST_PANIC");
    }
}
