//! "Why not now?": asked of the same code that decides, so that the answer is what it is and not what it may be.

use std::net::IpAddr;

use super::answers::{Answers, Refused, exit, row, silent, trouble};
use super::documents::{Explained, Explanation, InTheWay, QueuedMessage};
use super::protocol::Answer;
use super::queue::QUARANTINED;
use crate::mail::{Destination, QueueId};
use crate::net::{Blocked, SessionView, Standing};
use crate::scheduler::{SiteView, WhyNot};
use crate::smtp::Host;
use crate::spool::{Filter, Listed};
use crate::time::clock;

/// The most sessions named as holders of a limit.
const MOST: usize = 20;

impl Answers {
    pub(super) fn explain(&self, what: &str) -> Result<Answer, Refused> {
        if let Some(id) = QueueId::parse(what) {
            let found = self.shop.spool.find(id).map_err(trouble)?;
            let Some(found) = found else { return self.missing_from(what, id) };
            return self.about(what, found, true).map(Answer::Explained);
        }
        let none = || (exit::DATAERR, format!("{what} is neither a queue id nor a domain or destination"));
        let destination = match Host::parse(what) {
            Ok(host) => self.shop.config.read().routes.destination(&host),
            Err(_) => Destination::parse(what).ok_or_else(none)?,
        };
        // What is said of a destination is said of its oldest message that nobody holds.
        let oldest = |held| {
            let filter =
                Filter { destination: Some(destination.clone()), held: Some(held), ..Filter::default() };
            let (mut after, mut found) = (None, None);
            loop {
                let page = self.shop.spool.list(after, 1, &filter).map_err(trouble)?;
                after = page.next;
                found = page.messages.into_iter().next().or(found);
                if found.is_some() || after.is_none() {
                    return Ok::<_, Refused>(found);
                }
            }
        };
        let found = match oldest(false)? {
            Some(found) => Some(found),
            None => oldest(true)?,
        };
        if let Some(found) = found {
            return self.about(what, found, false).map(Answer::Explained);
        }
        let explained = self.idle(&destination)?;
        Ok(Answer::Explained(Explanation {
            what: what.to_owned(),
            message: None,
            destinations: vec![explained],
        }))
    }

    /// A message that is in quarantine as a whole, or not here.
    fn missing_from(&self, what: &str, id: QueueId) -> Result<Answer, Refused> {
        let found = self.shop.spool.quarantine_of(id).map_err(trouble)?;
        let Some(found) = found.into_iter().find(|found| found.n.is_none()) else {
            return Err(self.missing(id));
        };
        let advice = vec![
            "stop the relay and mend the row or the body; the README says how, under \"damaged\"".to_owned(),
            "`sendoff queue --state quarantined` shows what else cannot be read".to_owned(),
        ];
        let explained = Explained {
            destination: "-".to_owned(),
            to: Vec::new(),
            state: QUARANTINED.to_owned(),
            why: format!("it cannot be read, so it is kept as it is, and not delivered: {}", found.reason),
            next: None,
            set_by: None,
            limit: None,
            last: None,
            site: None,
            advice,
        };
        let (what, destinations) = (what.to_owned(), vec![explained]);
        Ok(Answer::Explained(Explanation { what, message: None, destinations }))
    }

    /// Nothing is queued for it: what would happen to the next message.
    fn idle(&self, destination: &Destination) -> Result<Explained, Refused> {
        let suspensions = self.suspensions()?;
        let site = self.scheduler.site(destination).ok_or_else(silent)?;
        let rests = site.as_ref().and_then(|site| site.rests);
        let (why, mut advice) = match rests {
            _ if suspensions.contains_key(destination) => (
                "nothing is queued for it, and it is suspended".to_owned(),
                vec![format!("`sendoff destinations resume {destination}` lets it go on")],
            ),
            Some(rests) => {
                let why =
                    format!("nothing is queued for it; it rests for {}s after it failed", rests.as_secs());
                (why, vec![format!("`sendoff queue retry --destination {destination}` ends its rest")])
            }
            None => ("nothing is queued for it, and nothing is in its way".to_owned(), Vec::new()),
        };
        advice.push(format!("`sendoff probe {destination}` shows what a delivery would meet"));
        Ok(Explained {
            destination: destination.to_string(),
            to: Vec::new(),
            state: "idle".to_owned(),
            why,
            next: None,
            set_by: None,
            limit: None,
            last: None,
            site: site.map(|site| self.destination(site, &suspensions)),
            advice,
        })
    }

    fn about(&self, what: &str, listed: Listed, whole: bool) -> Result<Explanation, Refused> {
        let id = listed.id;
        let mut destinations: Vec<Destination> = Vec::new();
        for recipient in &listed.recipients {
            if !destinations.contains(&recipient.destination) {
                destinations.push(recipient.destination.clone());
            }
        }
        let keys = destinations.iter().map(|to| (id, to.clone())).collect();
        let why = self.scheduler.why_not(keys).ok_or_else(silent)?;
        let mut described = self.described(vec![listed])?;
        let message = described.pop().ok_or_else(silent)?.1;
        let suspensions = self.suspensions()?;
        let mut explained = Vec::new();
        for (destination, why) in destinations.iter().zip(why) {
            let site = self.scheduler.site(destination).ok_or_else(silent)?;
            explained.push(self.why(id, destination, why, site.as_ref(), &message));
            if let (Some(last), Some(site)) = (explained.last_mut(), site) {
                last.site = Some(self.destination(site, &suspensions));
            }
        }
        let message = whole.then_some(message);
        Ok(Explanation { what: what.to_owned(), message, destinations: explained })
    }

    fn why(
        &self,
        id: QueueId,
        destination: &Destination,
        why: Option<WhyNot>,
        site: Option<&SiteView>,
        message: &QueuedMessage,
    ) -> Explained {
        let name = destination.to_string();
        let mut recipients = message.recipients.iter().filter(|recipient| recipient.destination == name);
        let to = recipients.clone().map(|recipient| recipient.to.clone()).collect();
        let attempts = recipients.clone().map(|recipient| recipient.attempts).max().unwrap_or(0);
        let last =
            recipients.clone().filter_map(|recipient| recipient.last.clone()).max_by_key(|last| last.at);
        let first = recipients.next();
        Explained {
            to,
            state: first.map_or_else(String::new, |recipient| recipient.state.clone()),
            why: first.map_or_else(String::new, |recipient| recipient.why.clone()),
            next: first.and_then(|recipient| recipient.next),
            set_by: set_by(why.as_ref(), attempts, site),
            limit: self.limit(destination, why.as_ref(), site),
            last,
            site: None,
            advice: advice(id, &name, why.as_ref(), self.session_of(id, destination)),
            destination: name,
        }
    }

    /// The session that has a message for a destination.
    fn session_of(&self, id: QueueId, destination: &Destination) -> Option<u64> {
        let mut sessions = self.shop.sessions.view(clock::now()).into_iter();
        sessions.find(|view| view.message == Some(id) && view.destination == *destination).map(|view| view.id)
    }

    /// The limit in the way, and the sessions that hold it.
    fn limit(
        &self,
        destination: &Destination,
        why: Option<&WhyNot>,
        site: Option<&SiteView>,
    ) -> Option<InTheWay> {
        let (counts, caps) = (self.ledger.counts(), self.ledger.caps());
        let held_by = |which: &dyn Fn(&SessionView) -> bool| {
            let sessions = self.shop.sessions.view(clock::now()).into_iter();
            sessions.filter(|view| which(view)).take(MOST).map(row).collect()
        };
        let all = |standing: Standing| move |view: &SessionView| view.standing == standing;
        let (setting, most, in_use, held_by) = match why? {
            WhyNot::AddressFull(address) => {
                let at = |view: &SessionView| view.address == Some(*address);
                let setting = "delivery.connections_per_address";
                (setting, caps.address, counts.address(*address), held_by(&at))
            }
            WhyNot::BehindOthers => {
                let setting = match site.map(|site| site.standing) {
                    Some(Standing::New) => "delivery.new_connections",
                    Some(Standing::Suspect) => "delivery.suspect_connections",
                    _ => "delivery.connections_per_destination",
                };
                let here = |view: &SessionView| view.destination == *destination;
                let most = site.map_or(caps.destination, |site| site.allowance);
                (setting, most, counts.destination(destination), held_by(&here))
            }
            WhyNot::NoSlot(Blocked::Standing(standing)) => {
                let (setting, most) = match standing {
                    Standing::New => ("delivery.new_share", caps.new),
                    Standing::Suspect => ("delivery.suspect_share", caps.suspect),
                    Standing::Proven => ("delivery.workers", caps.pool),
                };
                (setting, most, counts.seats(*standing), held_by(&all(*standing)))
            }
            WhyNot::NoSlot(_) => ("delivery.workers", caps.pool, counts.total(), held_by(&|_| true)),
            _ => return None,
        };
        Some(InTheWay { setting: setting.to_owned(), most, in_use, held_by })
    }
}

/// What set the next time.
fn set_by(why: Option<&WhyNot>, attempts: u32, site: Option<&SiteView>) -> Option<String> {
    let doubling = "retry.site_first, doubling up to retry.site_max";
    match why? {
        WhyNot::Waits(_) => Some(match attempts {
            0 => "a trouble of our own, or the message was postponed: it has not been tried".to_owned(),
            1 => "retry.delays, after its first attempt".to_owned(),
            attempts => format!("retry.delays, after {attempts} attempts"),
        }),
        WhyNot::SiteRests(..) => {
            let failures = site.map_or(1, |site| site.failures);
            let times =
                if failures == 1 { "1 failure".to_owned() } else { format!("{failures} failures in a row") };
            Some(format!("{doubling}, after {times} of the destination as a site"))
        }
        WhyNot::AddressRests(address, ..) => {
            Some(format!("{doubling}, after {address} failed for any destination"))
        }
        _ => None,
    }
}

/// What the operator can do.
fn advice(id: QueueId, destination: &str, why: Option<&WhyNot>, session: Option<u64>) -> Vec<String> {
    let probe = format!("`sendoff probe {destination}` shows what a delivery would meet");
    let elsewhere =
        format!("`sendoff queue redirect smtp://HOST:PORT --destination {destination}` sends it another way");
    let wake = format!("`sendoff queue retry --destination {destination}` tries it now");
    let kill =
        |address: &IpAddr| format!("`sendoff connections kill SESSION` frees one of those to {address}");
    match why {
        Some(WhyNot::InHand) => vec![
            format!("`sendoff trace {destination}` follows the conversation"),
            session.map_or_else(
                || "`sendoff connections` shows the sessions of its destination".to_owned(),
                |session| format!("`sendoff connections kill {session}` ends the session"),
            ),
        ],
        Some(WhyNot::Held) => vec![format!("`sendoff queue release {id}` lets it go")],
        Some(WhyNot::Suspended) => vec![format!("`sendoff destinations resume {destination}` lets it go on")],
        Some(WhyNot::Waits(_)) => {
            vec![format!("`sendoff queue retry {id}` tries it now"), probe]
        }
        Some(WhyNot::SiteRests(..) | WhyNot::AddressRests(..)) => vec![probe, wake, elsewhere],
        Some(WhyNot::AddressFull(address)) => vec![kill(address), elsewhere],
        Some(WhyNot::NoSlot(_)) => vec![
            "`sendoff connections` shows who has the seats; each has a time limit".to_owned(),
            "raise delivery.workers, or the share of this standing, if this is often so".to_owned(),
        ],
        Some(WhyNot::BehindOthers) => {
            vec![format!("`sendoff destinations show {destination}` shows its pace")]
        }
        Some(WhyNot::Next) | None => vec!["nothing: look again in a moment".to_owned()],
    }
}
