//! What an operator does to messages: a page of them at a time, so that a million are no longer than a page in memory, and the
//! door is not held. Everything is logged with who did it, and nothing is told that is not on disk.

use std::thread;
use std::time::Duration;

use super::answers::{Answers, Refused, exit, hop, queue_id, silent, trouble};
use super::documents::{Acted, InDelivery, NotDone};
use super::protocol::{Action, Answer, Which};
use super::queue::Meant;
use crate::delivery::{Order, Place, carry_out};
use crate::mail::{Destination, QueueId};
use crate::net::SessionView;
use crate::scheduler::Withdrawn;
use crate::spool::Listed;
use crate::time::{Deadline, clock};

type Key = (QueueId, Destination);

impl Answers {
    /// The most messages acted on at a time: their bodies may be in memory, 64 KiB each.
    const BATCH: usize = 200;
    /// How long messages that were named are waited for while they are in delivery.
    const TURN: Duration = Duration::from_secs(5);

    pub(super) fn act(
        &self,
        action: &Action,
        ids: &[String],
        which: &Which,
        all: bool,
        (after, up_to): (Option<&str>, Option<&str>),
        by: &str,
    ) -> Result<Answer, Refused> {
        if ids.is_empty() && !all && *which == Which::default() {
            let words = "which messages? Name queue ids, or a filter such as --destination, or --all";
            return Err((exit::USAGE, words.into()));
        }
        if ids.len() > Answers::BATCH {
            let words = format!("{} queue ids at once; {} is the most", ids.len(), Answers::BATCH);
            return Err((exit::USAGE, words));
        }
        let named = !ids.is_empty();
        let now = QueueId::from_row(clock::unix_micros());
        let up_to = up_to.map(queue_id).transpose()?.unwrap_or(now);
        let mut acted = Acted { up_to: up_to.to_string(), ..Acted::default() };
        let mut meant = Meant::of(which, clock::unix())?;
        let first = after.is_none();
        let listed = match named {
            true => self.named(ids, &meant, &mut acted)?,
            false => {
                meant.filter.up_to = Some(up_to);
                let after = after.map(queue_id).transpose()?;
                let (page, next) = self.page(after, Answers::BATCH, &meant)?;
                acted.next = next.map(|id| id.to_string());
                page.into_iter().map(|(listed, _)| listed).collect()
            }
        };
        acted.messages = listed.len() as u64;
        match action {
            Action::Hold => self.hold(&listed, &mut acted)?,
            Action::Release => self.release(&listed, &mut acted)?,
            Action::Retry => {
                self.retry(&listed, &mut acted)?;
                // The rest of what is named as a whole ends, not only the waits of its messages.
                match &meant.filter.destination {
                    Some(destination) => self.wake(destination, &listed)?,
                    None if first && all => {
                        self.shop.addresses.forget();
                        self.scheduler.reconsider();
                    }
                    _ => {}
                }
            }
            Action::Remove => self.carry(&Order::Remove, &listed, named, by, &mut acted)?,
            Action::Bounce { reason } => {
                self.carry(&Order::Bounce(reason.clone()), &listed, named, by, &mut acted)?;
            }
            Action::Redirect { target } => {
                let target = target.as_deref().map(smart_host).transpose()?;
                self.carry(&Order::Redirect(target), &listed, named, by, &mut acted)?;
            }
        }
        if acted.messages > 0 {
            let (messages, recipients) = (acted.messages, acted.recipients);
            let (busy, failed) = (acted.in_delivery.len(), acted.failed.len());
            log::warn!(
                "event={} messages={messages} recipients={recipients} in_delivery={busy} failed={failed} by={by}",
                action.done()
            );
        }
        Ok(Answer::Acted(acted))
    }

    /// Messages by their ids; of each the recipients that the filter means.
    fn named(&self, ids: &[String], meant: &Meant, acted: &mut Acted) -> Result<Vec<Listed>, Refused> {
        let mut found = Vec::new();
        for text in ids {
            let id = queue_id(text)?;
            let mut meant = meant.clone();
            meant.filter.up_to = Some(id);
            let before = id.row().checked_sub(1).map(QueueId::from_row);
            let (page, _) = self.page(before, 1, &meant)?;
            match page.into_iter().map(|(listed, _)| listed).find(|message| message.id == id) {
                Some(message) if found.iter().all(|other: &Listed| other.id != id) => found.push(message),
                Some(_) => {}
                None => {
                    let aside = self.shop.spool.quarantine_of(id).map_err(trouble)?;
                    let reason = match aside.iter().any(|found| found.n.is_none()) {
                        true => "is in quarantine: it cannot be read",
                        false => "is not queued, or the filter does not mean it",
                    };
                    let reason = reason.to_owned();
                    acted.failed.push(NotDone { id: id.to_string(), reason });
                }
            }
        }
        Ok(found)
    }

    fn hold(&self, listed: &[Listed], acted: &mut Acted) -> Result<(), Refused> {
        let ids: Vec<_> = listed.iter().map(|message| message.id).collect();
        self.shop.spool.hold(ids.clone(), Some(clock::unix()), Answers::DISK).map_err(trouble)?;
        let in_hand = self.scheduler.hold(ids).ok_or_else(silent)?;
        acted.recipients = recipients(listed);
        self.tell_busy(&in_hand, acted);
        Ok(())
    }

    fn release(&self, listed: &[Listed], acted: &mut Acted) -> Result<(), Refused> {
        let held = listed.iter().filter(|message| message.held.is_some());
        let ids: Vec<_> = held.clone().map(|message| message.id).collect();
        acted.recipients = held.map(|message| message.recipients.len() as u64).sum();
        acted.messages = ids.len() as u64;
        self.shop.spool.hold(ids.clone(), None, Answers::DISK).map_err(trouble)?;
        self.scheduler.release(ids).ok_or_else(silent)
    }

    fn retry(&self, listed: &[Listed], acted: &mut Acted) -> Result<(), Refused> {
        let keys = keys(listed);
        acted.recipients = recipients(listed);
        self.scheduler.hurry(keys).map(drop).ok_or_else(silent)
    }

    /// The rest of a destination ends, and so does the rest of the addresses that its mail has met: otherwise it would find
    /// them left alone, and wait on.
    fn wake(&self, destination: &Destination, listed: &[Listed]) -> Result<(), Refused> {
        let recipients = listed.iter().flat_map(|message| &message.recipients);
        let remotes = recipients.filter_map(|recipient| recipient.last.as_ref()?.failure.remote.as_ref());
        let mut addresses: Vec<_> = remotes.filter_map(|remote| remote.address).collect();
        addresses.sort();
        addresses.dedup();
        addresses.into_iter().for_each(|address| self.shop.addresses.pardon(address));
        if let Some(address) = self.scheduler.wake_site(destination).ok_or_else(silent)? {
            self.shop.addresses.pardon(address);
            // It may have been tried, and met that address, before it was pardoned.
            self.scheduler.wake_site(destination).ok_or_else(silent)?;
        }
        Ok(())
    }

    /// Takes messages out of the queue and has the order carried out. Whoever named them waits a moment for those that are in
    /// delivery; of many, those are left.
    fn carry(
        &self,
        order: &Order,
        listed: &[Listed],
        named: bool,
        by: &str,
        acted: &mut Acted,
    ) -> Result<(), Refused> {
        let end = Deadline::within(clock::now(), Answers::TURN);
        let mut left = keys(listed);
        loop {
            let withdrawn = self.scheduler.withdraw(left.clone()).ok_or_else(silent)?;
            let (mut places, mut busy) = (Vec::new(), Vec::new());
            for ((id, destination), withdrawn) in left.into_iter().zip(withdrawn) {
                match withdrawn {
                    Withdrawn::Taken(ticket) => places.push(Place { id, destination, ticket: Some(ticket) }),
                    Withdrawn::Unknown => places.push(Place { id, destination, ticket: None }),
                    Withdrawn::InHand => busy.push((id, destination)),
                }
            }
            let carried = carry_out(&self.shop, order, places, by);
            acted.recipients += carried.done.iter().map(|(_, _, count)| *count as u64).sum::<u64>();
            acted.untold += carried.untold as u64;
            let failed = carried.failed.into_iter();
            acted.failed.extend(failed.map(|(id, reason)| NotDone { id: id.to_string(), reason }));
            busy.extend(carried.busy);
            if busy.is_empty() {
                return Ok(());
            }
            if !named || end.remaining(clock::now()).is_err() {
                let ids: Vec<_> = busy.into_iter().map(|(id, _)| id).collect();
                self.tell_busy(&ids, acted);
                return Ok(());
            }
            left = busy;
            thread::park_timeout(Duration::from_millis(50));
        }
    }

    fn tell_busy(&self, ids: &[QueueId], acted: &mut Acted) {
        let sessions = self.shop.sessions.view(clock::now());
        let with = |id: &QueueId| {
            let session = sessions.iter().find(|view: &&SessionView| view.message == Some(*id));
            InDelivery { id: id.to_string(), session: session.map(|view| view.id) }
        };
        acted.in_delivery.extend(ids.iter().map(with));
    }
}

/// Each message and destination once.
fn keys(listed: &[Listed]) -> Vec<Key> {
    let mut keys: Vec<Key> = Vec::new();
    for message in listed {
        let first = keys.len();
        for recipient in &message.recipients {
            if keys[first..].iter().all(|(_, destination)| *destination != recipient.destination) {
                keys.push((message.id, recipient.destination.clone()));
            }
        }
    }
    keys
}

fn recipients(listed: &[Listed]) -> u64 {
    listed.iter().map(|message| message.recipients.len() as u64).sum()
}

/// Where mail is redirected to: a host that is named with its port, so that nothing is left to guess.
fn smart_host(text: &str) -> Result<Destination, Refused> {
    match hop(text)? {
        to @ (Destination::Smart(..) | Destination::SmartLiteral(..)) => Ok(to),
        _ => Err((exit::DATAERR, format!("{text}: a route is smtp://host:port, or `routes` for none"))),
    }
}
