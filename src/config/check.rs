//! What contradicts itself: settings that are each well written, but that cannot be kept together, or not at all. Said when
//! the file is read, not when the first mail stands still.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::settings::Config;
use super::units::written;
use crate::mail::Destination;

/// Threads beyond this are a slip of the hand: their stacks alone would be the machine.
const MOST_THREADS: usize = 100_000;

/// Why settings cannot be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// The keys that are involved, as `table.key`, the one to change first. At least one.
    pub keys: Vec<String>,
    /// The reason.
    pub words: String,
}

/// Gathers contradictions.
#[derive(Default)]
struct Findings(Vec<Contradiction>);

impl Findings {
    fn refuse_if(&mut self, wrong: bool, keys: &[&str], words: impl FnOnce() -> String) {
        if wrong {
            let keys = keys.iter().map(|key| (*key).to_owned()).collect();
            self.0.push(Contradiction { keys, words: words() });
        }
    }
}

impl Config {
    /// Everything that contradicts itself; empty for a configuration that can be kept. [`Config::parse`] refuses a file that
    /// has any; a `Config` made otherwise should be asked.
    pub fn contradictions(&self) -> Vec<Contradiction> {
        let mut found = Findings::default();
        self.check_counts(&mut found);
        self.check_shares(&mut found);
        self.check_waits(&mut found);
        self.check_order_of_waits(&mut found);
        self.check_loops(&mut found);
        self.check_doors(&mut found);
        self.check_metrics(&mut found);
        found.0
    }

    fn check_counts(&self, found: &mut Findings) {
        let (listen, delivery) = (&self.listen, &self.delivery);
        for (key, count) in [
            ("listen.max_message_size", listen.max_message_size),
            ("listen.max_recipients", listen.max_recipients as u64),
            ("listen.clients", listen.clients as u64),
            ("listen.hop_limit", listen.hop_limit as u64),
            ("delivery.workers", delivery.workers as u64),
            ("delivery.connections_per_destination", delivery.connections_per_destination as u64),
            ("delivery.connections_per_address", delivery.connections_per_address as u64),
            ("delivery.port", u64::from(delivery.port)),
            ("delivery.new_connections", delivery.new_connections as u64),
            ("delivery.suspect_connections", delivery.suspect_connections as u64),
            ("delivery.max_addresses", delivery.max_addresses as u64),
            ("delivery.recipients_per_transaction", delivery.recipients_per_transaction as u64),
            ("delivery.messages_per_connection", delivery.messages_per_connection as u64),
            ("timeouts.min_data_rate", self.timeouts.min_data_rate),
            ("dns.attempts", u64::from(self.dns.attempts)),
            ("dns.cache", self.dns.cache as u64),
        ] {
            found.refuse_if(count == 0, &[key], || format!("{key} cannot be 0: nothing would ever pass"));
        }
        let (queued, recipients) = (self.spool.max_queued, listen.max_recipients);
        found.refuse_if(queued < recipients, &["spool.max_queued", "listen.max_recipients"], || {
            format!(
                "spool.max_queued ({queued}) must not be less than listen.max_recipients ({recipients}): such a message would never be taken"
            )
        });
        for (key, threads) in [("listen.clients", listen.clients), ("delivery.workers", delivery.workers)] {
            found.refuse_if(threads > MOST_THREADS, &[key], || {
                format!("{key} is {threads} threads; at most {MOST_THREADS} can be meant")
            });
        }
    }

    fn check_doors(&self, found: &mut Findings) {
        let (listen, auth) = (&self.listen, &self.auth);
        found.refuse_if(listen.smtp.is_empty() && listen.smtps.is_empty(), &["listen.smtp"], || {
            "listen.smtp is empty, and listen.smtps too: no mail could ever come in".to_owned()
        });
        let doors: Vec<_> = listen.smtp.iter().chain(&listen.smtps).collect();
        let twice = (1..doors.len()).find(|n| doors[..*n].contains(&doors[*n]));
        if let Some(address) = twice.map(|n| doors[n]).filter(|address| address.port() != 0) {
            let keys = if listen.smtps.contains(address) { "listen.smtps" } else { "listen.smtp" };
            found.refuse_if(true, &[keys], || {
                format!("{keys} names {address} twice, or listen.smtp does too")
            });
        }
        let bare = listen.certificates.is_empty();
        found.refuse_if(bare && !listen.smtps.is_empty(), &["listen.smtps", "listen.certificates"], || {
            "listen.smtps speaks TLS, and listen.certificates is empty".to_owned()
        });
        let never = auth.users.is_some() && bare && !auth.plaintext_on_loopback;
        found.refuse_if(never, &["auth.users", "listen.certificates"], || {
            "auth.users is set, but listen.certificates is empty and auth.plaintext_on_loopback is false: \
             AUTH would never be offered"
                .to_owned()
        });
        found.refuse_if(
            auth.plaintext_on_loopback && auth.users.is_none(),
            &["auth.plaintext_on_loopback", "auth.users"],
            || {
                "auth.plaintext_on_loopback is true, and auth.users is \"none\": there are no passwords"
                    .to_owned()
            },
        );
    }

    /// The caps that keep one destination from holding the pool: this is what Sendoff is for.
    fn check_shares(&self, found: &mut Findings) {
        let delivery = &self.delivery;
        for (key, cap, whose) in [
            (
                "delivery.connections_per_destination",
                delivery.connections_per_destination,
                "one destination that hangs",
            ),
            ("delivery.connections_per_address", delivery.connections_per_address, "one host that hangs"),
        ] {
            found.refuse_if(cap >= delivery.workers && delivery.workers > 0, &[key, "delivery.workers"], || {
                let workers = delivery.workers;
                format!("{key} ({cap}) must be less than delivery.workers ({workers}): {whose} could hold them all")
            });
        }
        for (key, share) in
            [("delivery.new_share", delivery.new_share), ("delivery.suspect_share", delivery.suspect_share)]
        {
            found.refuse_if(!(1..=100).contains(&share), &[key], || {
                format!("{key} is {share}; it is a share of the pool in per cent, 1 to 100")
            });
        }
        found.refuse_if(
            self.retry.message.jitter > 100 || self.retry.site.jitter > 100,
            &["retry.jitter"],
            || "retry.jitter is in per cent of a wait, 0 to 100".to_owned(),
        );
    }

    fn check_waits(&self, found: &mut Findings) {
        let (t, dns, site) = (&self.timeouts, &self.dns, &self.retry.site);
        let waits = [
            ("delivery.expire_after", self.delivery.expire_after),
            ("retry.site_first", site.first),
            ("retry.site_max", site.most),
            ("timeouts.connect", t.connect),
            ("timeouts.banner", t.banner),
            ("timeouts.ehlo", t.ehlo),
            ("timeouts.starttls", t.starttls),
            ("timeouts.auth", t.auth),
            ("timeouts.mail", t.mail),
            ("timeouts.rcpt", t.rcpt),
            ("timeouts.data", t.data),
            ("timeouts.block", t.block),
            ("timeouts.dot", t.dot),
            ("timeouts.rset", t.rset),
            ("timeouts.quit", t.quit),
            ("timeouts.session", t.session),
            ("timeouts.idle", t.idle),
            ("timeouts.patience", t.patience),
            ("timeouts.client", t.client),
            ("timeouts.client_handshake", t.client_handshake),
            ("timeouts.client_session", t.client_session),
            ("timeouts.shutdown", t.shutdown),
            ("dns.timeout", dns.timeout),
            ("dns.limit", dns.limit),
        ];
        let notice = self.bounce.delay_notice.map(|wait| ("bounce.delay_notice", wait));
        let delays = self.retry.message.delays.iter().map(|wait| ("retry.delays", *wait));
        for (key, wait) in waits.into_iter().chain(notice).chain(delays) {
            found.refuse_if(wait.is_zero(), &[key], || {
                format!("{key} cannot be 0: to a socket that means \"for ever\", and every wait needs an end")
            });
        }
        found.refuse_if(self.retry.message.delays.is_empty(), &["retry.delays"], || {
            "retry.delays is empty: a deferred message would have no next time".to_owned()
        });
    }

    fn check_order_of_waits(&self, found: &mut Findings) {
        let (t, dns, retry) = (&self.timeouts, &self.dns, &self.retry);
        let expire = ("delivery.expire_after", self.delivery.expire_after);
        let mut not_below = |low: (&str, Duration), high: (&str, Duration), why: &str| {
            found.refuse_if(high.1 < low.1, &[high.0, low.0], || {
                let (long, short) = (written(high.1), written(low.1));
                format!("{} ({long}) is shorter than {} ({short}): {why}", high.0, low.0)
            });
        };
        if let Some(first) = retry.message.delays.first() {
            not_below(("retry.delays", *first), expire, "no message would be tried a second time");
        }
        if let Some(notice) = self.bounce.delay_notice {
            not_below(("bounce.delay_notice", notice), expire, "the notice would never be sent");
        }
        not_below(
            ("timeouts.connect", t.connect),
            ("timeouts.session", t.session),
            "a session would end before it is connected",
        );
        not_below(
            ("timeouts.client", t.client),
            ("timeouts.client_session", t.client_session),
            "no client could use the time it is given",
        );
        not_below(
            ("timeouts.client_handshake", t.client_handshake),
            ("timeouts.client_session", t.client_session),
            "a session would end before it is secure",
        );
        not_below(
            ("retry.site_first", retry.site.first),
            ("retry.site_max", retry.site.most),
            "the rest of a destination only grows",
        );
        not_below(
            ("dns.timeout", dns.timeout),
            ("dns.limit", dns.limit),
            "one server would be waited for longer than all of them",
        );
    }

    /// A smart host that is ourselves: mail would go round until its hops are counted out.
    fn check_loops(&self, found: &mut Findings) {
        for (pattern, to) in &self.routes.table {
            let key = format!("routes.{pattern}");
            let ours = match to {
                Destination::SmartLiteral(_, address, port) => {
                    self.listen.addresses().any(|listen| self.is_reached(listen, *address, *port))
                }
                Destination::Smart(_, name, port) => self.listen.addresses().any(|listen| {
                    let local = name.as_str() == "localhost"
                        && (listen.ip().is_loopback() || listen.ip().is_unspecified());
                    listen.port() == *port && (local || *name == self.hostname)
                }),
                // Not a smart host: no file can say it, and by MX it is the resolver that finds the loop.
                Destination::Domain(_) | Destination::Literal(_) => false,
            };
            found.refuse_if(ours, &[&key], || {
                format!("the route of \"{pattern}\" leads to {to}, which is ourselves: its mail would go in circles")
            });
        }
    }

    fn check_metrics(&self, found: &mut Findings) {
        for address in &self.metrics.listen {
            found.refuse_if(!address.ip().is_loopback(), &["metrics.listen"], || {
                format!("metrics.listen has {address}, which is not on loopback: the page has no login")
            });
            let taken = address.port() != 0 && self.listen.smtp.contains(address);
            found.refuse_if(taken, &["metrics.listen", "listen.smtp"], || {
                format!("metrics.listen and listen.smtp both name {address}")
            });
        }
    }

    /// Whether what is sent to `address` and `port` comes in at `listen`.
    fn is_reached(&self, listen: &SocketAddr, address: IpAddr, port: u16) -> bool {
        let ip = address.to_canonical();
        let own = ip.is_loopback() || ip.is_unspecified() || self.delivery.own_addresses.contains(&ip);
        listen.port() == port && (listen.ip().to_canonical() == ip || (listen.ip().is_unspecified() && own))
    }

    /// The keys in which `new` differs and that only a restart can apply: sockets and threads are made once.
    pub fn changes_that_need_a_restart(&self, new: &Config) -> Vec<&'static str> {
        let changed = [
            ("spool.path", self.spool.path != new.spool.path),
            ("spool.memory", self.spool.memory != new.spool.memory),
            ("listen.smtp", self.listen.smtp != new.listen.smtp),
            ("listen.smtps", self.listen.smtps != new.listen.smtps),
            ("listen.clients", self.listen.clients != new.listen.clients),
            ("delivery.workers", self.delivery.workers != new.delivery.workers),
            ("metrics.listen", self.metrics.listen != new.metrics.listen),
            ("log.format", self.log != new.log),
        ];
        changed.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_do_not_contradict_themselves() {
        assert_eq!(Config::default().contradictions(), []);
    }

    #[test]
    fn each_contradiction_is_found_under_its_key() {
        let ms = Duration::from_millis;
        type Change = fn(&mut Config);
        let cases: [(&str, Change); 22] = [
            ("delivery.connections_per_destination", |c| c.delivery.connections_per_destination = 1000),
            ("delivery.connections_per_address", |c| c.delivery.connections_per_address = 2000),
            ("delivery.workers", |c| c.delivery.workers = 0),
            ("delivery.workers", |c| c.delivery.workers = 100_001),
            ("timeouts.banner", |c| c.timeouts.banner = Duration::ZERO),
            ("retry.delays", |c| c.retry.message.delays.push(Duration::ZERO)),
            ("retry.delays", |c| c.retry.message.delays.clear()),
            ("listen.max_message_size", |c| c.listen.max_message_size = 0),
            ("delivery.new_share", |c| c.delivery.new_share = 101),
            ("delivery.suspect_share", |c| c.delivery.suspect_share = 0),
            ("listen.smtp", |c| c.listen.smtp.clear()),
            ("listen.smtp", |c| c.listen.smtp.push(c.listen.smtp[0])),
            ("listen.smtps", |c| c.listen.smtps.push("127.0.0.1:465".parse().unwrap())),
            ("auth.users", |c| c.auth.users = Some("users".into())),
            ("auth.plaintext_on_loopback", |c| c.auth.plaintext_on_loopback = true),
            ("timeouts.client_handshake", |c| c.timeouts.client_handshake = Duration::ZERO),
            ("delivery.port", |c| c.delivery.port = 0),
            ("timeouts.min_data_rate", |c| c.timeouts.min_data_rate = 0),
            ("metrics.listen", |c| c.metrics.listen.push("192.0.2.1:80".parse().unwrap())),
            ("metrics.listen", |c| c.metrics.listen.push(c.listen.smtp[0])),
            ("retry.jitter", |c| (c.retry.message.jitter, c.retry.site.jitter) = (101, 101)),
            ("bounce.delay_notice", |c| c.bounce.delay_notice = Some(Duration::ZERO)),
        ];
        for (key, change) in cases {
            let mut config = Config::default();
            change(&mut config);
            let found = config.contradictions();
            assert_eq!((found.len(), found[0].keys[0].as_str()), (1, key), "{found:?}");
        }
        let mut config = Config::default();
        config.delivery.expire_after = ms(1500);
        config.timeouts.session = ms(1);
        let words: Vec<_> = config.contradictions().into_iter().map(|found| found.words).collect();
        assert!(
            words[0].starts_with("delivery.expire_after (1s500ms) is shorter than retry.delays (5m)"),
            "{words:?}"
        );
        assert!(
            words[1].starts_with("timeouts.session (1ms) is shorter than timeouts.connect (30s)"),
            "{words:?}"
        );
    }

    #[test]
    fn a_route_to_ourselves_is_a_loop() {
        for (listen, to, ours) in [
            ("127.0.0.1:25", "smtp://[127.0.0.1]:25", true),
            ("127.0.0.1:25", "smtp://[127.0.0.1]:26", false),
            ("127.0.0.1:25", "smtp://[127.0.0.2]:25", false),
            ("0.0.0.0:25", "smtp://[127.0.0.1]:25", true),
            ("[::]:25", "smtp://[192.0.2.9]:25", true),
            ("[::]:25", "smtp://[192.0.2.8]:25", false),
            ("192.0.2.1:25", "smtp://relay.example:25", true),
            ("192.0.2.1:25", "smtp://localhost:25", false),
            ("127.0.0.1:25", "smtp://localhost:25", true),
            ("127.0.0.1:25", "smtp://smart.example:25", false),
        ] {
            let hostname = crate::smtp::Domain::parse("relay.example").unwrap();
            let mut config = Config { hostname, ..Config::default() };
            config.listen.smtp = vec![listen.parse().unwrap()];
            config.delivery.own_addresses = vec!["192.0.2.9".parse().unwrap()];
            config.routes.table = vec![("*".to_owned(), Destination::parse(to).unwrap())];
            assert_eq!(!config.contradictions().is_empty(), ours, "{listen} {to}");
        }
    }

    #[test]
    fn what_threads_and_sockets_stand_on_needs_a_restart() {
        let old = Config::default();
        let mut new = old.clone();
        new.timeouts.banner *= 2;
        assert!(old.changes_that_need_a_restart(&new).is_empty());
        new.delivery.workers = 7;
        new.listen.smtp.clear();
        assert_eq!(old.changes_that_need_a_restart(&new), ["listen.smtp", "delivery.workers"]);
    }
}
