//! A visit: one slot, one session after the other if it must be, and the messages of one destination, one by one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::attempt::{Attempted, Attempter, Ended, Seat};
use super::claim::claim;
use super::feed::Feed;
use super::job::{DestinationId, Report, Ticket, Visit};
use super::settle::{Context, settle};
use super::workshop::{Workshop, jitter};
use crate::config::Config;
use crate::mail::Destination;
use crate::net::{Session, Standing};
use crate::spool::DestinationRecord;
use crate::time::{Deadline, Unix, clock};

/// Makes a visit. Whatever happens in it, the slot is given back by its Drop, and every ticket reports by its own.
pub(super) fn visit(shop: &Workshop, visit: Visit) {
    let config = shop.config();
    let began = clock::now();
    let deadline = Deadline::within(began, config.timeouts.session);
    let session = Arc::new(shop.sessions.enter(&visit.slot, began, &deadline));
    let Visit { slot, id, feed, failures } = visit;
    let (destination, standing) = (slot.destination().clone(), slot.standing());
    let mut call =
        Call { shop, config: &config, session, destination, standing, id, feed, began, failures, served: 0 };
    let mut seat = Seat::Slot(slot);
    let mut next = call.take();
    while let Some(ticket) = next.take() {
        // The slot may have gone with the end of that attempt.
        let Some(after) = call.serve(ticket, seat, deadline) else { return };
        seat = after;
        let left = call.left();
        if call.served >= config.delivery.messages_per_connection || left.is_zero() {
            break;
        }
        next = call.take().or_else(|| call.wait(&mut seat, left));
    }
    if let Seat::Open(client) = seat {
        client.quit();
    }
}

struct Call<'a> {
    shop: &'a Workshop,
    config: &'a Config,
    session: Arc<Session>,
    destination: Destination,
    /// What was known of it when the visit began.
    standing: Standing,
    id: DestinationId,
    feed: Feed,
    began: Instant,
    /// Failures of the destination as a site, in a row, before the next message.
    failures: u32,
    /// Messages so far.
    served: usize,
}

impl Call<'_> {
    /// The next message, unless we are shutting down.
    fn take(&self) -> Option<Ticket> {
        if self.shop.is_stopping() { None } else { self.feed.take() }
    }

    /// How long further messages are taken: the second half of a session's time is for the message in hand. One more that
    /// met the end of it would be cut by us, and perhaps be sent twice.
    fn left(&self) -> Duration {
        let half = self.config.timeouts.session / 2;
        half.saturating_sub(clock::now().saturating_duration_since(self.began))
    }

    /// Keeps the session for a moment in case more mail comes, while nobody needs its seat or its connection.
    fn wait(&self, seat: &mut Seat, left: Duration) -> Option<Ticket> {
        let Seat::Open(client) = seat else { return None };
        let idle = self.config.timeouts.idle.min(left);
        client.rest(idle);
        let address = client.remote().address;
        let wanted = || address.is_some_and(|address| self.shop.pressure.wants(address));
        self.feed.wait(idle, &|| !self.shop.pressed() && !wanted() && self.session.cut().is_none())
    }

    /// One message: claimed, attempted, settled. Gives the seat back if the visit goes on.
    fn serve(&mut self, ticket: Ticket, seat: Seat, deadline: Deadline) -> Option<Seat> {
        let Some((mut ticket, lease)) = claim(self.shop, &self.destination, ticket) else {
            return Some(seat);
        };
        self.session.message(Some(lease.id()));
        let manner = self.shop.manner(self.config, &self.destination);
        let (shop, config) = (self.shop, self.config);
        let attempter = Attempter { shop, config, manner: &manner, session: &self.session, deadline };
        // The seat is dropped by an unwinding attempt; the lease stays here, and is settled like any other.
        let attempt = catch_unwind(AssertUnwindSafe(|| attempter.attempt(&lease, seat)));
        let (attempted, mut after) = attempt.unwrap_or_else(|_| {
            shop.panicked(&format!("id={}", lease.id()));
            (Attempted::interrupted(&lease), None)
        });
        self.served += 1;
        let site_rest = config.retry.site.wait(self.failures + 1, jitter());
        if matches!(attempted.ended, Ended::Well) {
            ticket.answered(self.session.id());
        }
        // The site's failure is reported before its message goes back, or that would be handed out again at once.
        let over = self.learn(attempted.ended, &mut after, site_rest);
        let (destination, session) = (&self.destination, Some(self.session.id()));
        let accepted = lease.envelope().accepted;
        let standing = Some(self.standing);
        let context = Context { config, destination, session, standing, accepted, site_rest };
        settle(shop, &context, ticket, lease, attempted.outcomes);
        self.session.message(None);
        if over { None } else { after }
    }

    /// What an attempt says about the destination; true if the visit is over.
    fn learn(&mut self, ended: Ended, after: &mut Option<Seat>, rest: Duration) -> bool {
        let (destination, session) = (self.id, self.session.id());
        match ended {
            Ended::Well => {
                // Once a session: the first message has proven it, whatever became of that message.
                if self.served == 1 {
                    if let Some(Seat::Open(client)) = after {
                        client.promote();
                    }
                    self.shop.report(Report::Reached { destination, session });
                }
                if self.failures > 0 {
                    self.failures = 0;
                    self.remember(Duration::ZERO, String::new());
                }
                false
            }
            Ended::NoSite => false,
            Ended::Ours => true,
            Ended::Blocked(address, silent) => {
                let rested = silent.is_some();
                self.shop.report(Report::Blocked { destination, address: address.ip(), silent });
                // It may have recovered while that was on its way, and whoever found out spoke to an empty line.
                if rested && !self.shop.addresses.rests(address, clock::now()) {
                    self.shop.report(Report::Recovered(address.ip()));
                }
                true
            }
            Ended::Site(failure) => {
                self.failures += 1;
                let (began, words) = (self.began, failure.to_string());
                self.remember(rest, words.clone());
                self.shop.report(Report::SiteFailed { destination, session, began, rest, words });
                true
            }
        }
    }

    /// Keeps the destination's back-off over a restart, or forgets it.
    fn remember(&self, rest: Duration, words: String) {
        let now = clock::unix();
        let until = if self.failures == 0 { Unix(0) } else { now.after(rest) };
        self.shop.spool.remember(vec![DestinationRecord {
            destination: self.destination.clone(),
            failures: self.failures,
            until,
            proven: false,
            last_at: now,
            last_text: words,
        }]);
    }
}
