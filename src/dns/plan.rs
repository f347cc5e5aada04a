//! The plan: from a destination to its route (RFC 5321, 5.1; RFC 7505 for domains that take no mail).
//!
//! What DNS says for certain is permanent, and concerns every recipient of the destination alike
//! ([`Blame::Recipient`]: the site did nothing wrong, there is none). What nobody could say is a deferral
//! ([`Blame::Site`], so the destination rests).
//!
//! | status | when |
//! |---|---|
//! | 5.1.2 | the domain does not exist |
//! | 5.1.10 | the domain says that it takes no mail (null MX) |
//! | 5.4.4 | it exists, but no host with an address takes its mail |
//! | 5.4.6 | the mail would come back to us |
//! | 4.3.5 | a smart host does not exist: our settings are wrong, not the mail |
//! | 4.4.3 | the nameservers could not say |
//! | 4.4.4 | only IPv6 addresses, and no route to them |
//!
//! An MX record set may be hostile. At most [`MOST_HOSTS`] hosts are looked up, only as many as are needed, and no host
//! gets more than half of the time that is left while others wait.

use std::net::IpAddr;
use std::time::Duration;

use super::message::{Kind, Record};
use super::own::Own;
use super::resolver::{Answer, Resolver};
use super::route::{Mx, Route, Shuffle};
use crate::mail::{Blame, Destination, Diagnostic, Failure};
use crate::smtp::{Domain, EnhancedStatus, Host};
use crate::time::{Deadline, Phase, clock};

/// The most MX hosts looked up for one route.
pub(super) const MOST_HOSTS: usize = 20;
/// The most of them in one preference: whatever number there is, the next preference gets its chance.
const MOST_IN_PREFERENCE: usize = 12;
/// How long a further host is waited for when there is one to try: a dead second MX must not hold up the mail.
const WITH_A_HOST: Duration = Duration::from_secs(2);
/// How many hosts without an address are named in a failure.
const MOST_NAMED: usize = 3;

/// What is wanted of a route.
#[derive(Clone, Copy, Debug)]
pub struct Want {
    /// The port of MX hosts (`delivery.port`); a smart host has its own.
    pub port: u16,
    /// The most addresses tried in one attempt (`delivery.max_addresses`).
    pub addresses: usize,
    /// Any random bits: they order hosts of the same preference, and the addresses of a host.
    pub seed: u64,
}

/// The hosts of a domain's MX records, the most preferred first.
type Exchangers = Vec<(u16, Domain)>;

/// Why a host has no address to try.
enum Lacks {
    NotFound,
    NoRecords,
    /// IPv6 only, and no route.
    Unroutable,
    Unknown(String),
}

impl Resolver {
    /// The route of `destination`, by the end of `deadline` (`dns.limit`).
    ///
    /// # Errors
    /// A [`Failure`] in [`Phase::Dns`], permanent or not by its status; the table is above.
    pub fn resolve(
        &self,
        destination: &Destination,
        own: &Own,
        want: Want,
        deadline: Deadline,
    ) -> Result<Route, Failure> {
        match destination {
            Destination::Domain(domain) => self.by_mx(domain, own, want, deadline),
            Destination::Literal(address) => literal(*address, own, want),
            Destination::SmartLiteral(_, address, port) => {
                literal(*address, own, Want { port: *port, ..want })
            }
            Destination::Smart(_, host, port) => {
                self.smart(host, own, Want { port: *port, ..want }, deadline)
            }
        }
    }

    fn smart(&self, host: &Domain, own: &Own, want: Want, deadline: Deadline) -> Result<Route, Failure> {
        let addresses = self.addresses(host, deadline).map_err(|lacks| match lacks {
            // A typing error in the settings must not bounce the mail that waits for its correction.
            Lacks::NotFound | Lacks::NoRecords => {
                site((4, 3, 5), format!("the smart host {host} {}", lacks.words()))
            }
            _ => deferral(host, &lacks),
        })?;
        if addresses.iter().any(|address| own.has(*address, want.port)) {
            return Err(looped(&format!("the smart host {host} is this relay itself")));
        }
        let mut walk = Walk::new(self, own, want, deadline);
        walk.take(0, host, addresses);
        walk.finish(host)
    }

    fn by_mx(&self, domain: &Domain, own: &Own, want: Want, deadline: Deadline) -> Result<Route, Failure> {
        let (exchangers, skipped) = match self.lookup(domain, Kind::Mx, deadline) {
            Answer::Records(records) => exchangers(domain, &records)?,
            // No MX record: the domain is its own host (RFC 5321, 5.1).
            Answer::NoData => return self.implicit(domain, own, want, deadline),
            Answer::NxDomain => return Err(not_found(domain)),
            Answer::Failed(reason) => {
                return Err(site((4, 4, 3), format!("the MX of {domain} could not be looked up: {reason}")));
            }
        };
        // Our own name needs no lookup: nothing that is not preferred to us may be tried.
        let ours = exchangers.iter().filter(|(_, host)| *host == own.hostname);
        let ours = ours.map(|(preference, _)| *preference).min();
        let before_us =
            exchangers.iter().filter(|(preference, _)| ours.is_none_or(|ours| *preference < ours));
        let exchangers: Exchangers = before_us.cloned().collect();
        let mut walk = Walk::new(self, own, want, deadline);
        walk.lacking.extend(skipped);
        walk.looped = ours.is_some();
        walk.along(exchangers);
        walk.finish(domain)
    }

    fn implicit(&self, domain: &Domain, own: &Own, want: Want, deadline: Deadline) -> Result<Route, Failure> {
        let addresses = self.addresses(domain, deadline).map_err(|lacks| match lacks {
            Lacks::NotFound => not_found(domain),
            Lacks::NoRecords => {
                certain((5, 4, 4), format!("{domain} has neither an MX nor an address in DNS"))
            }
            _ => deferral(domain, &lacks),
        })?;
        if *domain == own.hostname || addresses.iter().any(|address| own.has(*address, want.port)) {
            return Err(loops_back(domain));
        }
        let mut walk = Walk::new(self, own, want, deadline);
        walk.take(0, domain, addresses);
        walk.finish(domain)
    }

    /// The addresses of a host that mail can be sent to, at least one. What is learnt of one family is not lost because
    /// the other could not be asked.
    fn addresses(&self, host: &Domain, deadline: Deadline) -> Result<Vec<IpAddr>, Lacks> {
        let routed = self.ipv6.is_routed(clock::now());
        let mut addresses = match self.lookup(host, Kind::A, deadline) {
            Answer::Records(records) => usable(&records),
            Answer::NoData => Vec::new(),
            // This holds for every type of the name (RFC 8020), and a zone that is dead for A is dead for AAAA.
            Answer::NxDomain => return Err(Lacks::NotFound),
            Answer::Failed(reason) => return Err(Lacks::Unknown(reason.to_string())),
        };
        if !addresses.is_empty() && !routed {
            return Ok(addresses);
        }
        match self.lookup(host, Kind::Aaaa, deadline) {
            Answer::Records(records) => addresses.extend(usable(&records)),
            Answer::Failed(reason) if addresses.is_empty() => return Err(Lacks::Unknown(reason.to_string())),
            Answer::NoData | Answer::NxDomain | Answer::Failed(_) => {}
        }
        let known = addresses.len();
        addresses.retain(|address| routed || address.is_ipv4() || address.is_loopback());
        match (addresses.is_empty(), known) {
            (false, _) => Ok(addresses),
            (true, 0) => Err(Lacks::NoRecords),
            (true, _) => Err(Lacks::Unroutable),
        }
    }
}

/// The exchangers that are host names, and words about those that are not.
fn exchangers(domain: &Domain, records: &[Record]) -> Result<(Exchangers, Vec<(String, Lacks)>), Failure> {
    // RFC 7505, 3: a single record that names the root. Its preference should be 0; nothing else can be meant by others.
    if let [Record::Mx { host, .. }] = records
        && host == "."
    {
        return Err(certain((5, 1, 10), format!("{domain} does not accept mail, says DNS (null MX)")));
    }
    let (mut hosts, mut skipped) = (Exchangers::new(), Vec::new());
    for record in records {
        let Record::Mx { preference, host } = record else { continue };
        match Domain::parse(host) {
            Ok(name) if hosts.iter().any(|(_, other)| *other == name) => {}
            Ok(name) => hosts.push((*preference, name)),
            // Addresses in place of names are a usual mistake; following them would hide it (RFC 5321, 5.1).
            Err(_) => skipped.push((format!("\"{host}\", which is no host name,"), Lacks::NoRecords)),
        }
    }
    Ok((hosts, skipped))
}

/// The way along the MX hosts.
struct Walk<'a> {
    resolver: &'a Resolver,
    own: &'a Own,
    want: Want,
    deadline: Deadline,
    shuffle: Shuffle,
    hosts: Vec<Mx>,
    lacking: Vec<(String, Lacks)>,
    looped: bool,
    /// Hosts were left that nobody looked at.
    unseen: bool,
}

impl<'a> Walk<'a> {
    fn new(resolver: &'a Resolver, own: &'a Own, want: Want, deadline: Deadline) -> Walk<'a> {
        let shuffle = Shuffle(want.seed);
        let (hosts, lacking) = (Vec::new(), Vec::new());
        Walk { resolver, own, want, deadline, shuffle, hosts, lacking, looped: false, unseen: false }
    }

    /// Looks the hosts up, preference by preference, until there is enough to try: a preference is looked up whole, since
    /// any of its hosts may turn out to be ourselves.
    fn along(&mut self, exchangers: Exchangers) {
        let mut left = MOST_HOSTS;
        let mut waiting = exchangers.len();
        for group in exchangers.chunk_by(|a, b| a.0 == b.0) {
            let known: usize = self.hosts.iter().map(|host| host.addresses.len()).sum();
            // Two preferences at least: one may be down as a whole.
            let another = self.hosts.first().is_some_and(|first| {
                self.hosts.last().is_some_and(|last| last.preference != first.preference)
            });
            if known >= self.want.addresses && (another || self.want.addresses < 2) {
                return;
            }
            let mut group = group.to_vec();
            self.shuffle.shuffle(&mut group);
            let most = left.min(MOST_IN_PREFERENCE);
            self.unseen |= group.len() > most;
            group.truncate(most);
            left -= group.len();
            let before = self.hosts.len();
            for (preference, host) in &group {
                waiting -= 1;
                match self.resolver.addresses(host, self.share(waiting)) {
                    Ok(addresses)
                        if addresses.iter().any(|address| self.own.has(*address, self.want.port)) =>
                    {
                        // Nor may our equals: RFC 5321, 5.1.
                        self.hosts.truncate(before);
                        self.looped = true;
                        return;
                    }
                    Ok(addresses) => self.take(*preference, host, addresses),
                    Err(lacks) => self.lacking.push((host.to_string(), lacks)),
                }
            }
        }
    }

    /// A deadline for one host while others wait: half of what is left, and not long when there is a host to try already.
    fn share(&self, waiting: usize) -> Deadline {
        let now = clock::now();
        let Ok(remaining) = self.deadline.remaining(now) else { return self.deadline };
        let share = if waiting == 0 { remaining.get() } else { remaining.get() / 2 };
        Deadline::within(now, if self.hosts.is_empty() { share } else { share.min(WITH_A_HOST) })
    }

    fn take(&mut self, preference: u16, host: &Domain, mut addresses: Vec<IpAddr>) {
        self.shuffle.shuffle(&mut addresses);
        self.hosts.push(Mx { preference, name: host.to_string(), addresses });
    }

    fn finish(self, domain: &Domain) -> Result<Route, Failure> {
        if !self.hosts.is_empty() {
            return Ok(Route { hosts: self.hosts, port: self.want.port, most: self.want.addresses });
        }
        let named = self.lacking.iter().take(MOST_NAMED);
        let mut words: Vec<_> = named.map(|(host, lacks)| format!("{host} {}", lacks.words())).collect();
        if self.lacking.len() > MOST_NAMED {
            words.push(format!("and {} more", self.lacking.len() - MOST_NAMED));
        }
        let words = format!("no MX host of {domain} can be tried: {}", words.join("; "));
        let unknown = self.lacking.iter().any(|(_, lacks)| matches!(lacks, Lacks::Unknown(_)));
        let unroutable = self.lacking.iter().any(|(_, lacks)| matches!(lacks, Lacks::Unroutable));
        match (unknown || self.unseen, unroutable, self.looped) {
            (true, ..) => Err(site((4, 4, 3), words)),
            (_, true, _) => Err(site((4, 4, 4), words)),
            (_, _, true) => Err(loops_back(domain)),
            _ => Err(certain((5, 4, 4), words)),
        }
    }
}

impl Lacks {
    /// Continues "the host ...".
    fn words(&self) -> String {
        match self {
            Lacks::NotFound => "does not exist, says DNS".into(),
            Lacks::NoRecords => "has no address in DNS".into(),
            Lacks::Unroutable => "has only IPv6 addresses, and this machine has no route to them".into(),
            Lacks::Unknown(reason) => format!("could not be looked up: {reason}"),
        }
    }
}

fn literal(address: IpAddr, own: &Own, want: Want) -> Result<Route, Failure> {
    let name = Host::Literal(address).to_string();
    if own.has(address, want.port) {
        return Err(looped(&format!("{name} is this relay itself")));
    }
    let host = Mx { preference: 0, name, addresses: vec![address] };
    Ok(Route { hosts: vec![host], port: want.port, most: want.addresses })
}

/// The addresses that are somebody's: not the unspecified one (the kernel takes it for ourselves), no multicast.
fn usable(records: &[Record]) -> Vec<IpAddr> {
    let address = |record: &Record| match record {
        Record::Address(address) => Some(address.to_canonical()),
        Record::Mx { .. } | Record::Name(_) => None,
    };
    let somebodys = |address: &IpAddr| {
        let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
        !(address.is_unspecified() || address.is_multicast() || broadcast)
    };
    records.iter().filter_map(address).filter(somebodys).collect()
}

fn not_found(domain: &Domain) -> Failure {
    certain((5, 1, 2), format!("the domain {domain} does not exist, says DNS"))
}

fn loops_back(domain: &Domain) -> Failure {
    looped(&format!("the best MX of {domain} is this relay itself"))
}

fn looped(words: &str) -> Failure {
    certain((5, 4, 6), format!("mail loops back to myself: {words}"))
}

fn deferral(host: &Domain, lacks: &Lacks) -> Failure {
    let status = if matches!(lacks, Lacks::Unroutable) { (4, 4, 4) } else { (4, 4, 3) };
    site(status, format!("{host} {}", lacks.words()))
}

fn certain(status: (u8, u16, u16), words: String) -> Failure {
    failure(Blame::Recipient, status, words)
}

fn site(status: (u8, u16, u16), words: String) -> Failure {
    failure(Blame::Site, status, words)
}

fn failure(blame: Blame, (class, subject, detail): (u8, u16, u16), words: String) -> Failure {
    Failure {
        blame,
        phase: Phase::Dns,
        status: EnhancedStatus::new(class, subject, detail),
        diagnostic: Diagnostic::Local(words),
        remote: None,
        duplicate: false,
    }
}

#[cfg(test)]
mod tests;
