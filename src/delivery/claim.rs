//! Claiming a ticket's message. What cannot be worked now is settled here: it is gone, it waits and says so, or the routes
//! have changed and it goes elsewhere.

use std::time::Duration;

use super::job::{Arrival, Resting, Ticket};
use super::workshop::Workshop;
use crate::mail::Destination;
use crate::spool::{Alarm, Lease, SpoolError};
use crate::time::{Unix, clock};

/// How long a message rests that cannot be taken from the spool.
const LATER: Duration = Duration::from_secs(60);
/// How long one rests whose last settlement is being written: a moment, unless the disk has trouble.
const UNWRITTEN: Duration = Duration::from_secs(1);

/// Every message meets the same disk: one line for all of them.
static ALARM: Alarm = Alarm::new("mail cannot be taken from the spool", "mail is taken from the spool again");

/// The lease of a ticket's message, if there is something to do for this destination now.
pub(super) fn claim(
    shop: &Workshop,
    destination: &Destination,
    mut ticket: Ticket,
) -> Option<(Ticket, Lease)> {
    let id = ticket.id();
    let fresh = ticket.fresh();
    match shop.spool.claim(id, destination, fresh) {
        Ok(Some(lease)) => {
            ALARM.clear();
            follow_routes(shop, destination, ticket, lease)
        }
        Ok(None) => {
            ticket.settle(Resting::Gone);
            None
        }
        Err(error) => {
            let wait = match error {
                SpoolError::Claimed(_) => {
                    log::debug!("id={id} destination={destination}: {error}");
                    UNWRITTEN
                }
                // It goes into quarantine, and the next claim finds it there; or that could not be written down, and it is
                // still ours to look after.
                SpoolError::Corrupt { .. } => {
                    log::error!("id={id} destination={destination}: cannot be taken from the spool: {error}");
                    LATER
                }
                _ => {
                    ALARM.raise(&error);
                    LATER
                }
            };
            ticket.settle(Resting::For(wait));
            None
        }
    }
}

/// Recipients whose route has changed since they were stored are handed to their new destination.
fn follow_routes(
    shop: &Workshop,
    destination: &Destination,
    ticket: Ticket,
    lease: Lease,
) -> Option<(Ticket, Lease)> {
    let config = shop.config();
    // What an operator has redirected stays where it is.
    let routed = lease.recipients().iter().filter(|recipient| !recipient.redirected);
    let routed = routed.map(|recipient| (recipient.n, config.routes.destination(recipient.address.host())));
    let moved: Vec<_> = routed.filter(|(_, to)| to != destination).collect();
    if moved.is_empty() {
        return Some((ticket, lease));
    }
    let (id, accepted) = (lease.id(), lease.envelope().accepted);
    let resting = if moved.len() < lease.recipients().len() { Resting::WithSite } else { Resting::Gone };
    let mut destinations: Vec<_> = moved.iter().map(|(_, to)| to.clone()).collect();
    destinations.sort();
    destinations.dedup();
    if let Err(error) = lease.reroute(moved, Workshop::SPOOL) {
        log::error!("id={id}: its new route cannot be stored now: {error}");
        // It may be stored all the same, by a disk that is slow. Then nobody else would look for it there.
        let next = clock::unix().after(2 * LATER);
        for to in destinations {
            shop.arrive(Arrival { id, destination: to, fresh: None, next, accepted });
        }
        ticket.settle(Resting::For(LATER));
        return None;
    }
    for to in destinations {
        log::info!("id={id} destination={destination}: the routes have changed, it goes to {to}");
        shop.arrive(Arrival { id, destination: to, fresh: None, next: Unix(0), accepted });
    }
    ticket.settle(resting);
    None
}
