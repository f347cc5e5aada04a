//! The resolver: a name and a type become an answer, from the cache or from the servers, within a deadline.
//!
//! Each server is waited for no longer than `dns.timeout`, and all of them together no longer than the caller's deadline. A
//! server that was silent a moment ago is asked after the others.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::cache::{Cache, Finding};
use super::exchange::{self, Trouble};
use super::ipv6::Ipv6;
use super::message::{Content, Kind, MOST_ALIASES, Name, Question, Record, Reply};
use crate::config;
use crate::metrics::{Found, METRICS};
use crate::smtp::Domain;
use crate::time::{Deadline, Remaining, clock};

/// What DNS says about a name and a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Records of the type, at least one; exchangers by preference.
    Records(Arc<[Record]>),
    /// The name exists, without records of the type.
    NoData,
    /// The name does not exist.
    NxDomain,
    /// Nobody could say; in words that name each server and what came of it.
    Failed(Arc<str>),
}

/// A resolver: stateless for its caller, shared by every worker.
#[derive(Debug)]
pub struct Resolver {
    servers: Vec<Server>,
    timeout: Duration,
    attempts: u32,
    cache: Cache,
    pub(super) ipv6: Ipv6,
}

#[derive(Debug)]
struct Server {
    address: SocketAddr,
    /// Until when the others come first.
    troubled: Mutex<Option<Instant>>,
}

/// What the servers made of a question.
enum Round {
    Answered(Reply),
    /// With the last words about each server.
    Failed(String),
    /// The deadline came before anyone was asked, which says nothing about the question.
    Unasked,
}

impl Resolver {
    /// How long a server that was silent is asked after the others.
    const TROUBLED: Duration = Duration::from_secs(30);

    /// A resolver that asks `servers` in their order ([`super::servers`] finds them; with none, this machine's).
    pub fn new(servers: Vec<SocketAddr>, settings: &config::Dns) -> Resolver {
        let own = SocketAddr::from((Ipv4Addr::LOCALHOST, 53));
        let servers = if servers.is_empty() { vec![own] } else { servers };
        let server = |address| Server { address, troubled: Mutex::default() };
        Resolver {
            servers: servers.into_iter().map(server).collect(),
            timeout: settings.timeout,
            attempts: settings.attempts.max(1),
            cache: Cache::new(settings.cache),
            ipv6: Ipv6::default(),
        }
    }

    /// Looks up the `kind` records of `name`, through at most eight aliases, by the end of `deadline`.
    pub fn lookup(&self, name: &Domain, kind: Kind, deadline: Deadline) -> Answer {
        let answer = self.follow(name, kind, deadline);
        let found = match &answer {
            Answer::Records(_) => Found::Records,
            Answer::NoData => Found::NoData,
            Answer::NxDomain => Found::NxDomain,
            Answer::Failed(_) => Found::Failed,
        };
        METRICS.dns.of(found as usize).one();
        answer
    }

    fn follow(&self, name: &Domain, kind: Kind, deadline: Deadline) -> Answer {
        let Ok(name) = Name::vec_from_str(name.as_str()) else {
            return Answer::Failed(format!("{name} is no name that DNS can carry").into());
        };
        let mut question = Question { name, kind };
        let mut passed = Vec::new();
        loop {
            match self.find(&question, deadline) {
                Ok(Content::Records(records)) => return Answer::Records(records),
                Ok(Content::NoData) => return Answer::NoData,
                Ok(Content::NxDomain) => return Answer::NxDomain,
                Err(reason) => return Answer::Failed(reason),
                Ok(Content::Alias(next)) => passed.push(std::mem::replace(&mut question.name, next)),
            }
            if passed.len() > MOST_ALIASES || passed.contains(&question.name) {
                let first = passed.first().unwrap_or(&question.name);
                return Answer::Failed(
                    format!("the aliases (CNAME) of {first} lead back, or on and on").into(),
                );
            }
        }
    }

    /// From the cache, else from the servers and into the cache.
    fn find(&self, question: &Question, deadline: Deadline) -> Finding {
        if let Some(finding) = self.cache.get(question, clock::now()) {
            METRICS.dns_cached.one();
            return finding;
        }
        let (finding, ttl) = match self.ask(question, deadline) {
            Round::Answered(reply) => (Ok(reply.content), reply.ttl),
            Round::Failed(reason) => (Err(reason.into()), Duration::ZERO),
            Round::Unasked => return Err(format!("no time was left to ask for {question}").into()),
        };
        self.cache.put(question, finding.clone(), ttl, clock::now());
        finding
    }

    /// Asks the servers in turn, `attempts` times over. One that answered, but not usefully, is not asked again: it would
    /// say the same.
    fn ask(&self, question: &Question, deadline: Deadline) -> Round {
        let mut order = self.order(clock::now());
        let mut troubles: Vec<(SocketAddr, String)> = Vec::new();
        for _ in 0..self.attempts {
            let mut again = Vec::new();
            for server in order {
                let now = clock::now();
                let Ok(remaining) = deadline.remaining(now) else { break };
                let wait = remaining.get().min(self.timeout).max(Remaining::LEAST);
                let trouble = match exchange::ask(server.address, question, Deadline::within(now, wait)) {
                    Ok(reply) => {
                        *server.troubled.lock() = None;
                        return Round::Answered(reply);
                    }
                    Err(trouble) => trouble,
                };
                if trouble.is_the_servers() {
                    *server.troubled.lock() = clock::now().checked_add(Resolver::TROUBLED);
                }
                let words = match trouble {
                    Trouble::Silent => format!("did not answer within {:?}", tenths(wait)),
                    _ => trouble.to_string(),
                };
                log::debug!("nameserver {} {words}: {question}", server.address);
                troubles.retain(|(address, _)| *address != server.address);
                troubles.push((server.address, words));
                if !matches!(trouble, Trouble::Answered(_)) {
                    again.push(server);
                }
            }
            order = again;
        }
        if troubles.is_empty() {
            return Round::Unasked;
        }
        let words: Vec<_> =
            troubles.iter().map(|(server, words)| format!("nameserver {server} {words}")).collect();
        Round::Failed(words.join("; "))
    }

    /// The servers, those in trouble last.
    fn order(&self, now: Instant) -> Vec<&Server> {
        let mut order: Vec<_> = self.servers.iter().collect();
        // By a cached key: another thread may change its mind about a server in the middle of the sort.
        order.sort_by_cached_key(|server| server.troubled.lock().is_some_and(|until| now < until));
        order
    }
}

/// A wait as a person would say it: nobody waits 4.99981s.
fn tenths(wait: Duration) -> Duration {
    let rounded = wait.as_millis().saturating_add(50) / 100 * 100;
    let rounded = u64::try_from(rounded).unwrap_or(u64::MAX);
    if rounded == 0 { Remaining::LEAST.max(wait) } else { Duration::from_millis(rounded) }
}

#[cfg(test)]
mod tests;
