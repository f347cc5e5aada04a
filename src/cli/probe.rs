//! `sendoff probe`: what a delivery would do, step by step, with times. The same resolver, the same route, the same client;
//! never a message.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::Exit;
use super::arguments::{self, settings};
use super::table::{fold, print_json, write};
use crate::client::{Client, FallBack, Hop, Manner, Security, Trouble};
use crate::config::Config;
use crate::credentials::ends;
use crate::dns::{self, Answer, Kind, Own, Record, Resolver, Want};
use crate::mail::{Blame, Channel, Destination, Diagnostic, Failure, rfc5322};
use crate::net::{Caps, Follower, Ledger, Overheard, Sessions, Standing};
use crate::sasl::Credentials;
use crate::smtp::{Domain, EnhancedStatus, Host, Mailbox, ReversePath};
use crate::time::{Deadline, Phase, Unix, clock};
use crate::tls::{Certificate, Outbound};

/// The most hosts whose addresses are shown one by one; the route knows them all.
const HOSTS: usize = 5;

/// What is asked of a host once it has greeted us.
type Question = (ReversePath, Mailbox);

/// A probe: where to, by which settings, and what has been found.
pub(super) struct Prober<'a> {
    config: &'a Config,
    destination: Destination,
    began: Instant,
    deadline: Deadline,
    /// Nothing is shown while it goes on.
    quiet: bool,
    steps: Vec<serde_json::Value>,
    /// How the host that greeted us was spoken to.
    tls: Option<serde_json::Value>,
    /// What the last host to greet us offers.
    pub(super) offers: Vec<&'static str>,
    /// Where it greeted us, and how long that took.
    pub(super) reached: Option<(String, SocketAddr, Duration)>,
}

/// Probes, and says what a delivery would come to.
pub(super) fn probe(arguments: &arguments::Probe) -> Result<(), Exit> {
    let mut config = settings(arguments.config.as_ref())?;
    cap(&mut config, arguments.limit);
    let wrong = |what: &str| Exit::data(format!("{what} is neither a domain nor a destination"));
    let destination = match Host::parse(&arguments.destination) {
        Ok(host) => config.routes.destination(&host),
        Err(_) => Destination::parse(&arguments.destination).ok_or_else(|| wrong(&arguments.destination))?,
    };
    let question = arguments.rcpt.as_ref().map(|rcpt| {
        let recipient = Mailbox::parse(rcpt).map_err(|error| Exit::data(format!("{rcpt}: {error}")))?;
        let from = &arguments.from;
        let path = ReversePath::parse(&format!("<{from}>"));
        Ok::<_, Exit>((path.map_err(|error| Exit::data(format!("{from}: {error}")))?, recipient))
    });
    let question = question.transpose()?;
    let mut prober = Prober::new(&config, destination, arguments.json);
    if prober.destination.to_string() != arguments.destination.to_lowercase() {
        prober.say("route", &format!("the routes lead to {}", prober.destination))?;
    }
    let refused = prober.run(question.as_ref())?;
    let (words, class) = match &refused {
        None if question.is_some() => ("the recipient would be taken".to_owned(), 2),
        None => ("a delivery would get as far as MAIL".to_owned(), 2),
        Some(failure) if failure.status.class() == 5 => (format!("it would bounce: {failure}"), 5),
        Some(failure) => (format!("it would be deferred: {failure}"), 4),
    };
    if arguments.json {
        print_json(&serde_json::json!({
            "destination": prober.destination.to_string(),
            "steps": prober.steps,
            "offers": prober.offers,
            "tls": prober.tls,
            "class": class,
            "status": refused.as_ref().map(|failure| failure.status.to_string()),
            "phase": refused.as_ref().map(|failure| failure.phase.word()),
            "outcome": words,
            "took": clock::now().saturating_duration_since(prober.began).as_secs_f64(),
        }))?;
    } else {
        prober.say("outcome", &words)?;
    }
    match class {
        2 => Ok(()),
        5 => Err(Exit::no_host(words)),
        _ => Err(Exit::later(words)),
    }
}

/// Somebody waits in front of a terminal: no step may take longer than this.
pub(super) fn cap(config: &mut Config, limit: Duration) {
    let timeouts = &mut config.timeouts;
    for each in [
        &mut timeouts.connect,
        &mut timeouts.banner,
        &mut timeouts.ehlo,
        &mut timeouts.starttls,
        &mut timeouts.auth,
        &mut timeouts.mail,
        &mut timeouts.rcpt,
        &mut timeouts.rset,
        &mut timeouts.quit,
        &mut config.dns.limit,
    ] {
        *each = (*each).min(limit);
    }
}

impl Prober<'_> {
    pub(super) fn new(config: &Config, destination: Destination, quiet: bool) -> Prober<'_> {
        let began = clock::now();
        let deadline = Deadline::within(began, config.timeouts.session);
        let (steps, offers) = (Vec::new(), Vec::new());
        Prober { config, destination, began, deadline, quiet, steps, tls: None, offers, reached: None }
    }

    /// The failure that a delivery would meet, or none.
    pub(super) fn run(&mut self, question: Option<&Question>) -> Result<Option<Failure>, Exit> {
        let resolver = Resolver::new(dns::servers(&self.config.dns), &self.config.dns);
        self.look_up(&resolver)?;
        let own = Own {
            hostname: self.config.hostname.clone(),
            addresses: self.config.listen.smtp.clone(),
            extra: self.config.delivery.own_addresses.clone(),
        };
        let delivery = &self.config.delivery;
        let seed = clock::unix_micros();
        let want = Want { port: delivery.port, addresses: delivery.max_addresses, seed };
        let mut deadline = self.deadline;
        deadline.enter(clock::now(), self.config.dns.limit);
        let route = match resolver.resolve(&self.destination, &own, want, deadline) {
            Ok(route) => route,
            Err(failure) => return Ok(Some(failure)),
        };
        let hops: Vec<_> =
            route.addresses().into_iter().map(|(name, address)| Hop { name, address }).collect();
        let shown: Vec<_> = hops.iter().map(|hop| format!("{} {}", hop.name, hop.address)).collect();
        self.say("order", &shown.join(", then "))?;
        self.visit(&hops, question)
    }

    /// What DNS says, question by question. The route is made of the same answers, from the cache.
    fn look_up(&mut self, resolver: &Resolver) -> Result<(), Exit> {
        let hosts = match self.destination.clone() {
            Destination::Literal(_) | Destination::SmartLiteral(..) => return Ok(()),
            Destination::Smart(_, host, _) => vec![host],
            Destination::Domain(domain) => match self.ask(resolver, &domain, Kind::Mx)? {
                Answer::Records(records) => records
                    .iter()
                    .filter_map(|record| match record {
                        Record::Mx { host, .. } => Domain::parse(host).ok(),
                        _ => None,
                    })
                    .collect(),
                Answer::NoData => vec![domain],
                _ => return Ok(()),
            },
        };
        for host in hosts.iter().take(HOSTS) {
            self.ask(resolver, host, Kind::A)?;
            self.ask(resolver, host, Kind::Aaaa)?;
        }
        Ok(())
    }

    fn ask(&mut self, resolver: &Resolver, name: &Domain, kind: Kind) -> Result<Answer, Exit> {
        let asked = clock::now();
        let mut deadline = self.deadline;
        deadline.enter(asked, self.config.dns.limit);
        let answer = resolver.lookup(name, kind, deadline);
        let record = |record: &Record| match record {
            Record::Address(address) => address.to_string(),
            Record::Name(name) => name.clone(),
            Record::Mx { preference, host } => format!("{preference} {host}"),
        };
        let words = match &answer {
            Answer::Records(records) => records.iter().map(record).collect::<Vec<_>>().join(", "),
            Answer::NoData => "none".to_owned(),
            Answer::NxDomain => "no such name".to_owned(),
            Answer::Failed(why) => why.to_string(),
        };
        let took = clock::now().saturating_duration_since(asked).as_millis();
        self.say("dns", &format!("{kind} {name}: {words} ({took} ms)"))?;
        Ok(answer)
    }

    /// The hosts in their order, until one greets us: as a delivery has it.
    fn visit(&mut self, hops: &[Hop], question: Option<&Question>) -> Result<Option<Failure>, Exit> {
        // A ledger and a session table of our own: a probe is no connection of the relay's.
        let (freed, _) = crossbeam_channel::bounded(4);
        let ledger = Ledger::new(Caps { pool: 1, new: 1, suspect: 1, destination: 1, address: 1 }, freed);
        let slot = ledger.try_acquire(&self.destination, Standing::New, 1).map_err(Exit::software)?;
        let sessions = Sessions::new();
        let follower = sessions.followers().follow(None);
        let session = Arc::new(sessions.enter(&slot, clock::now(), &self.deadline));
        let (hostname, timeouts) = (self.config.hostname.clone(), self.config.timeouts.clone());
        let tls = Arc::new(Outbound::new(&self.config.tls).map_err(Exit::config)?);
        let credentials = Credentials::load(self.config.delivery.credentials.as_deref());
        let credential = credentials.map_err(Exit::config)?.of(&self.destination);
        let security = Security::towards(&self.config.tls, &self.destination, Arc::clone(&tls), credential);
        let manner = Arc::new(Manner { hostname, timeouts, security });
        let (deadline, ended) = (self.deadline, AtomicBool::new(false));
        let asked = clock::now();
        let (found, told) = thread::scope(|scope| {
            // Shown as it happens: a host that is silent is seen being silent.
            let telling = scope.spawn(|| self.tell(&follower, &ended));
            let mut slot = slot;
            let mut last = None;
            let mut found = None;
            let (mut fell_back, mut hops) = (None, hops.iter().cloned().collect::<VecDeque<_>>());
            while let Some(hop) = hops.pop_front() {
                match Client::open(slot, &session, &hop, &manner, deadline) {
                    Ok(client) => {
                        let took = clock::now().saturating_duration_since(asked);
                        found = Some((client, hop, took));
                        break;
                    }
                    Err(unopened) => {
                        slot = unopened.slot;
                        let Some(Trouble { failure, fall_back, .. }) = unopened.trouble else { continue };
                        let again = fall_back == FallBack::Now && fell_back != Some(hop.address);
                        let then = match again {
                            true => "tries it again in the clear",
                            false => "goes to the next host, if there is one",
                        };
                        session.tell('*', format!("{failure}: a delivery {then}"));
                        last = Some(failure);
                        if again {
                            fell_back = Some(hop.address);
                            hops.push_front(hop);
                        }
                    }
                }
            }
            let result = match found {
                None => Err(last),
                Some((mut client, hop, took)) => {
                    let offers = offers(client.extensions());
                    let channel = client.remote().channel.clone();
                    let shown = client.certificates();
                    let certificate = Certificate::of(&tls, &hop.name, shown, clock::unix());
                    let ends = shown.first().and_then(|own| ends(own));
                    let secured = Secured { channel, certificate, ends };
                    let answer = question.map(|(from, to)| client.would_take(from, to)).transpose();
                    let failure = match answer {
                        Ok(refused) => {
                            client.quit();
                            refused.flatten()
                        }
                        Err(trouble) => Some(trouble.failure),
                    };
                    Ok((offers, secured, (hop.name, hop.address, took), failure))
                }
            };
            ended.store(true, Ordering::Release);
            (result, telling.join())
        });
        told.map_err(|_| Exit::software("showing the conversation panicked"))??;
        match found {
            Ok((offers, secured, reached, failure)) => {
                self.say("starttls", &secured.words())?;
                if let Some(words) = secured.certificate_words() {
                    self.say("proof", &words)?;
                }
                self.tls = Some(secured.document());
                let rest: Vec<_> = offers.iter().filter(|offer| **offer != "STARTTLS").copied().collect();
                let rest = if rest.is_empty() { "nothing that we use".to_owned() } else { rest.join(", ") };
                self.say("offers", &rest)?;
                (self.offers, self.reached) = (offers, Some(reached));
                Ok(failure)
            }
            Err(last) => Ok(Some(last.unwrap_or_else(no_host))),
        }
    }

    /// Shows lines until the conversation has ended and all of it is shown.
    fn tell(&mut self, follower: &Follower, ended: &AtomicBool) -> Result<(), Exit> {
        loop {
            let over = ended.load(Ordering::Acquire);
            match follower.lines.recv_timeout(Duration::from_millis(20)) {
                Ok(line) => self.hear(&line)?,
                Err(_) if over => return Ok(()),
                Err(_) => {}
            }
        }
    }

    fn hear(&mut self, line: &Overheard) -> Result<(), Exit> {
        let at = clock::now().saturating_duration_since(self.began).as_secs_f64();
        let words = format!("{} {}", line.way, line.text);
        self.steps.push(serde_json::json!({ "step": "smtp", "at": at, "text": words }));
        match self.quiet {
            true => Ok(()),
            false => write(&format!("{at:>8.3}s  {words}\n")).map(drop),
        }
    }

    /// A step of our own.
    fn say(&mut self, step: &str, text: &str) -> Result<(), Exit> {
        let at = clock::now().saturating_duration_since(self.began).as_secs_f64();
        self.steps.push(serde_json::json!({ "step": step, "at": at, "text": text }));
        match self.quiet {
            true => Ok(()),
            false => write(&fold(&format!("{step:<9}  "), text)).map(drop),
        }
    }
}

/// Whether TLS protected the session, and what the host has shown for it.
struct Secured {
    channel: Option<Arc<Channel>>,
    certificate: Option<Certificate>,
    /// When its certificate ends.
    ends: Option<Unix>,
}

impl Secured {
    fn words(&self) -> String {
        match self.channel.as_deref() {
            Some(Channel::Tls { version, cipher, .. }) => format!("{version} with {cipher}"),
            Some(Channel::Clear(reason)) => reason.clone(),
            None => "not decided".to_owned(),
        }
    }

    fn certificate_words(&self) -> Option<String> {
        let Certificate { names, doubt } = self.certificate.as_ref()?;
        let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
        let ends = self.ends.map_or_else(String::new, |ends| format!(", until {}", rfc5322(ends)));
        let judged = match (doubt, self.channel.as_deref()) {
            (None, Some(Channel::Tls { trusted: true, .. })) => "trusted".to_owned(),
            (None, _) => "would be trusted; the settings do not ask".to_owned(),
            (Some(why), _) => format!("would not be trusted: {why}; the settings do not ask"),
        };
        Some(format!("a certificate for {names}{ends}: {judged}"))
    }

    fn document(&self) -> serde_json::Value {
        let (mut document, certificate) = (serde_json::Map::new(), self.certificate.as_ref());
        let mut put = |key: &str, value: serde_json::Value| drop(document.insert(key.to_owned(), value));
        match self.channel.as_deref() {
            Some(Channel::Tls { version, cipher, trusted, reason }) => {
                put("version", version.as_str().into());
                put("cipher", cipher.as_str().into());
                put("trusted", (*trusted).into());
                put("reason", reason.as_str().into());
            }
            Some(Channel::Clear(reason)) => put("reason", reason.as_str().into()),
            None => {}
        }
        put("names", serde_json::json!(certificate.map(|it| &it.names)));
        put("ends", serde_json::json!(self.ends.map(|ends| ends.0)));
        put("doubt", serde_json::json!(certificate.and_then(|it| it.doubt.as_ref())));
        document.into()
    }
}

fn offers(extensions: &crate::smtp::Extensions) -> Vec<&'static str> {
    let all = [
        ("STARTTLS", extensions.starttls),
        ("PIPELINING", extensions.pipelining),
        ("8BITMIME", extensions.eight_bit_mime),
        ("ENHANCEDSTATUSCODES", extensions.enhanced_status_codes),
        ("SIZE", extensions.size.is_some()),
    ];
    all.into_iter().filter(|(_, offered)| *offered).map(|(name, _)| name).collect()
}

/// No address of the route could be tried.
fn no_host() -> Failure {
    Failure {
        blame: Blame::Site,
        phase: Phase::Connect,
        status: EnhancedStatus::new(4, 4, 1),
        diagnostic: Diagnostic::Local("no address of the route could be tried".into()),
        remote: None,
        duplicate: false,
    }
}
