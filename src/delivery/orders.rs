//! What an operator has done to messages that are out of the queue for it: removed, returned to their reverse-path, or sent
//! another way. Each is claimed first, so that nobody works it at the same time, and nothing is told that is not on disk.

use super::job::{Arrival, Resting, Ticket};
use super::letter::letter;
use super::workshop::{Workshop, announce};
use crate::bounce::{Kind, returned};
use crate::mail::{Destination, QueueId};
use crate::metrics::{METRICS, Source};
use crate::spool::{Lease, Settling, SpoolError, Verdict};
use crate::time::{Unix, clock};

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Gone, and nobody is told.
    Remove,
    /// Gone, and the reverse-path is told why.
    Bounce(String),
    /// To this destination whatever the routes say; `None`: where the routes lead.
    Redirect(Option<Destination>),
}

/// A message for a destination, and its place in the queue if it has one.
#[derive(Debug)]
pub struct Place {
    /// The message.
    pub id: QueueId,
    /// Where to.
    pub destination: Destination,
    /// Its place: it goes back there when nothing could be done.
    pub ticket: Option<Ticket>,
}

/// What was done.
#[derive(Debug, Default)]
pub struct Carried {
    /// On disk: for so many recipients of these.
    pub done: Vec<(QueueId, Destination, usize)>,
    /// In delivery, and left alone.
    pub busy: Vec<(QueueId, Destination)>,
    /// Bounces that nobody gets, since the reverse-path is null.
    pub untold: usize,
    /// Not done, and why.
    pub failed: Vec<(QueueId, String)>,
}

/// Carries out an order of `by`, for many messages with few syncs.
pub fn carry_out(shop: &Workshop, order: &Order, places: Vec<Place>, by: &str) -> Carried {
    let mut carried = Carried::default();
    let mut leases = Vec::new();
    for Place { id, destination, ticket } in places {
        match shop.spool.claim(id, &destination, None) {
            Ok(Some(lease)) => leases.push((lease, destination, ticket)),
            // It has just left.
            Ok(None) => settle(ticket, Resting::Gone),
            // Its ticket, if it has one, puts it back by being dropped.
            Err(SpoolError::Claimed(_)) => carried.busy.push((id, destination)),
            Err(error) => carried.failed.push((id, error.to_string())),
        }
    }
    match order {
        Order::Remove => give_up(shop, None, leases, by, &mut carried),
        Order::Bounce(reason) => give_up(shop, Some(reason), leases, by, &mut carried),
        Order::Redirect(to) => redirect(shop, to.as_ref(), leases, by, &mut carried),
    }
    carried
}

type Claimed = (Lease, Destination, Option<Ticket>);

fn settle(ticket: Option<Ticket>, resting: Resting) {
    if let Some(ticket) = ticket {
        ticket.settle(resting);
    }
}

/// Something on its way to the disk.
struct Going {
    id: QueueId,
    destination: Destination,
    recipients: usize,
    ticket: Option<Ticket>,
    settling: Settling,
}

fn give_up(shop: &Workshop, reason: Option<&String>, leases: Vec<Claimed>, by: &str, carried: &mut Carried) {
    let (config, now) = (shop.config(), clock::unix());
    let mut going = Vec::new();
    for (lease, destination, ticket) in leases {
        let (id, recipients) = (lease.id(), lease.recipients().len());
        let bounce = reason.and_then(|reason| {
            let told = lease.recipients().iter().map(|recipient| {
                let last = recipient.last.as_ref().map(|last| last.at);
                (recipient.address.clone(), returned(reason), last)
            });
            letter(&lease, &config, Kind::Failed, told.collect(), now)
        });
        carried.untold += usize::from(reason.is_some() && bounce.is_none());
        let verdict = || match reason {
            None => Verdict::Removed,
            Some(reason) => Verdict::Failed { failure: returned(reason) },
        };
        let word = if reason.is_some() { "bounced" } else { "removed" };
        for recipient in lease.recipients() {
            let to = &recipient.address;
            log::warn!(target: "sendoff::delivery", "id={id} to=<{to}> destination={destination} by={by} outcome={word}");
        }
        let verdicts = lease.recipients().iter().map(|recipient| (recipient.n, verdict())).collect();
        match lease.begin_settling(verdicts, bounce, None) {
            Ok(settling) => going.push(Going { id, destination, recipients, ticket, settling }),
            Err(error) => carried.failed.push((id, error.to_string())),
        }
    }
    for Going { id, destination, recipients, ticket, settling } in going {
        match settling.wait(Workshop::SPOOL) {
            Ok(settled) => {
                if let Some(letter) = settled.bounce {
                    log::info!("id={} about={id} by={by} event=\"bounce\"", letter.id());
                    METRICS.accepted.of(Source::Letter as usize).one();
                    announce(&shop.arrivals, letter, now);
                }
                settle(ticket, Resting::Gone);
                carried.done.push((id, destination, recipients));
            }
            Err(error) => {
                // A settlement that is kept is written later, and nobody else gets the message until then.
                carried.failed.push((id, error.to_string()));
                if matches!(error, SpoolError::Kept(_)) {
                    settle(ticket, Resting::Gone);
                }
            }
        }
    }
}

fn redirect(
    shop: &Workshop,
    to: Option<&Destination>,
    leases: Vec<Claimed>,
    by: &str,
    carried: &mut Carried,
) {
    let config = shop.config();
    let (mut moves, mut places) = (Vec::new(), Vec::new());
    for (lease, from, ticket) in leases {
        let (id, accepted) = (lease.id(), lease.envelope().accepted);
        let moved: Vec<_> = lease
            .recipients()
            .iter()
            .map(|recipient| {
                let routed = || config.routes.destination(recipient.address.host());
                (recipient.n, to.cloned().unwrap_or_else(routed))
            })
            .collect();
        let recipients = moved.len();
        let mut elsewhere: Vec<_> = moved.iter().map(|(_, to)| to.clone()).filter(|to| *to != from).collect();
        let resting = if elsewhere.len() < recipients { Resting::WithSite } else { Resting::Gone };
        elsewhere.sort();
        elsewhere.dedup();
        moves.push((lease, moved));
        places.push((id, accepted, from, elsewhere, recipients, resting, ticket));
    }
    if moves.is_empty() {
        return;
    }
    // The leases end with the order, on disk or not; the messages are claimed anew at their new destinations.
    let done = shop.spool.redirect(moves, to.is_none(), Workshop::SPOOL);
    for (id, accepted, from, elsewhere, recipients, resting, ticket) in places {
        let next = match &done {
            Ok(()) => {
                let where_to: Vec<_> = elsewhere.iter().map(ToString::to_string).collect();
                log::warn!("id={id} destination={from} by={by} event=redirected to={}", where_to.join(","));
                settle(ticket, resting);
                carried.done.push((id, from, recipients));
                Unix(0)
            }
            Err(error) => {
                carried.failed.push((id, error.to_string()));
                // A slow disk may have it all the same, and then nobody else would look for it there.
                clock::unix().after(4 * Workshop::SPOOL)
            }
        };
        for destination in elsewhere {
            shop.arrive(Arrival { id, destination, fresh: None, next, accepted });
        }
    }
}
