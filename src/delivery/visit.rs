//! A visit: one slot, one session after the other if it must be, and the messages of one destination, one by one.

use std::sync::Arc;
use std::time::Duration;

use super::attempt::{Attempter, Ended, Seat};
use super::claim::claim;
use super::job::{Report, Visit};
use super::settle::{Context, settle};
use super::workshop::{Workshop, jitter};
use crate::mail::Destination;
use crate::spool::DestinationRecord;
use crate::time::{Deadline, Unix, clock};

/// Makes a visit. Whatever happens in it, the slot is given back by its Drop, and every ticket reports by its own.
pub(super) fn visit(shop: &Workshop, visit: Visit) {
    let config = shop.config();
    let manner = Workshop::manner(&config);
    let began = clock::now();
    let deadline = Deadline::within(began, config.timeouts.session);
    let session = Arc::new(shop.sessions.enter(&visit.slot, began, &deadline));
    let Visit { slot, id: destination_id, feed, failures } = visit;
    let destination = slot.destination().clone();
    let attempter = Attempter { shop, config: &config, manner: &manner, session: &session, deadline };
    let site_rest = config.retry.site.wait(failures + 1, jitter());
    let context =
        Context { config: &config, destination: &destination, session: Some(session.id()), site_rest };
    let (mut seat, mut served) = (Seat::Slot(slot), 0);
    let take = || if shop.is_stopping() { None } else { feed.take() };
    let mut next = take();
    while let Some(ticket) = next.take() {
        let Some((ticket, lease)) = claim(shop, &destination, ticket) else {
            next = take();
            continue;
        };
        session.message(Some(lease.id()));
        let (attempted, mut after) = attempter.attempt(&lease, seat);
        served += 1;
        // The site's failure is reported before its message goes back, or the message would be handed out again at once.
        let over = match attempted.ended {
            // Once a session: the first message has proven it, whatever became of that message.
            Ended::Well if served == 1 => {
                if let Some(Seat::Open(client)) = &mut after {
                    client.promote();
                }
                shop.report(Report::Reached { destination: destination_id, session: session.id() });
                None
            }
            Ended::Well | Ended::NoSite => None,
            Ended::Ours => Some(None),
            Ended::Blocked(address, silent) => {
                Some(Some(Report::Blocked { destination: destination_id, address, silent }))
            }
            Ended::Site(failure) => {
                let (session, words) = (session.id(), failure.to_string());
                remember(shop, &destination, failures + 1, site_rest, words.clone());
                let rest = site_rest;
                Some(Some(Report::SiteFailed { destination: destination_id, session, began, rest, words }))
            }
        };
        let over = over.map(|report| report.into_iter().for_each(|report| shop.report(report)));
        settle(shop, &context, ticket, lease, attempted.outcomes);
        session.message(None);
        if over.is_some() {
            return;
        }
        if failures > 0 && served == 1 {
            remember(shop, &destination, 0, Duration::ZERO, String::new());
        }
        seat = match after {
            Some(seat) => seat,
            // The slot went with the end of that attempt.
            None => return,
        };
        // The second half of a session's time is for the message in hand: one more that met the end of it would be cut by us, and
        // perhaps be sent twice.
        let left =
            (config.timeouts.session / 2).saturating_sub(clock::now().saturating_duration_since(began));
        if served >= config.delivery.messages_per_connection || left.is_zero() {
            break;
        }
        next = take().or_else(|| {
            let Seat::Open(client) = &mut seat else { return None };
            let idle = config.timeouts.idle.min(left);
            client.rest(idle);
            let address = client.remote().address;
            let wanted = || address.is_some_and(|address| shop.pressure.wants(address));
            feed.wait(idle, &|| !shop.pressed() && !wanted() && session.cut().is_none())
        });
    }
    if let Seat::Open(client) = seat {
        client.quit();
    }
}

/// Keeps a destination's back-off over a restart, or forgets it.
fn remember(shop: &Workshop, destination: &Destination, failures: u32, rest: Duration, words: String) {
    let now = clock::unix();
    let until = if failures == 0 { Unix(0) } else { now.after(rest) };
    shop.spool.remember(vec![DestinationRecord {
        destination: destination.clone(),
        failures,
        until,
        proven: false,
        last_at: now,
        last_text: words,
    }]);
}
