//! The settings, one struct a table of the file, with their defaults.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::access::{Auth, KeyPair};
use super::routes::Routes;
use super::tls::{Roots, Tls, TlsMode};
use super::watching::{Log, Metrics};
use crate::smtp::Domain;
use crate::time::{Doubling, Phase, Schedule};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// All settings. `Config::default()` is what `sendoff serve` runs with when there is no file.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What we say in EHLO and in the banner.
    pub hostname: Domain,
    /// `[spool]`
    pub spool: Spool,
    /// `[listen]`
    pub listen: Listen,
    /// `[auth]`
    pub auth: Auth,
    /// `[delivery]`
    pub delivery: Delivery,
    /// `[retry]`
    pub retry: Retry,
    /// `[timeouts]`
    pub timeouts: Timeouts,
    /// `[dns]`
    pub dns: Dns,
    /// `[bounce]`
    pub bounce: Bounce,
    /// `[tls]`
    pub tls: Tls,
    /// `[metrics]`
    pub metrics: Metrics,
    /// `[log]`
    pub log: Log,
    /// `[routes]`
    pub routes: Routes,
}

/// `[spool]`: where mail is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Spool {
    /// The directory; made when it is not there.
    pub path: PathBuf,
    /// How many octets of just-accepted bodies stay in memory for their first attempt.
    pub memory: u64,
    /// Octets that stay free on its file system: below that, new mail is refused.
    pub min_free: u64,
    /// Files that can still be made there: below that, new mail is refused.
    pub min_free_files: u64,
    /// The most recipients that are queued: beyond that, new mail is refused.
    pub max_queued: usize,
}

/// `[listen]`: how mail comes in.
#[derive(Clone, Debug, PartialEq)]
pub struct Listen {
    /// Where plain SMTP is spoken.
    pub smtp: Vec<SocketAddr>,
    /// Where TLS comes before SMTP: submissions (RFC 8314, 3.3).
    pub smtps: Vec<SocketAddr>,
    /// What we show in TLS; the first to whoever asks for no name, or for one that none has. Empty: no TLS.
    pub certificates: Vec<KeyPair>,
    /// Who may relay without AUTH.
    pub relay_from: Vec<Network>,
    /// The largest message, in octets.
    pub max_message_size: u64,
    /// The most recipients of one message; RFC 5321, 4.5.3.1.8 asks for at least 100.
    pub max_recipients: usize,
    /// The most clients at once: the fixed pool of listener threads.
    pub clients: usize,
    /// The most `Received:` lines a message may have before it is a loop (RFC 5321, 6.3).
    pub hop_limit: usize,
}

/// `[delivery]`: how mail goes out.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The fixed pool.
    pub workers: usize,
    /// The most connections to one destination.
    pub connections_per_destination: usize,
    /// The most connections to one address, whatever destinations share it.
    pub connections_per_address: usize,
    /// The most connections to a destination of which nothing is known: slow start.
    pub new_connections: usize,
    /// The most connections to a destination whose last attempt failed as a site.
    pub suspect_connections: usize,
    /// The port of MX hosts.
    pub port: u16,
    /// How long a message is tried.
    pub expire_after: Duration,
    /// The most addresses tried in one attempt.
    pub max_addresses: usize,
    /// The most recipients of one transaction.
    pub recipients_per_transaction: usize,
    /// The most messages over one connection.
    pub messages_per_connection: usize,
    /// Per cent of the pool that destinations of which nothing is known may hold together.
    pub new_share: u8,
    /// Per cent of the pool that destinations whose last attempt failed as a site may hold together.
    pub suspect_share: u8,
    /// Addresses that are ourselves though no interface of ours has them (NAT): an MX there is a loop.
    pub own_addresses: Vec<IpAddr>,
    /// The file that says who we are at which smart host; `None`: we are nobody anywhere.
    pub credentials: Option<PathBuf>,
}

/// `[retry]`: when a deferred message, and a failed destination, are tried again.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// A message's waits (`delays`, with `jitter`).
    pub message: Schedule,
    /// A destination's rest (`site_first`, `site_max`, with `jitter`).
    pub site: Doubling,
}

/// `[timeouts]`: the limit of each phase (RFC 5321, 4.5.3.2), and of everything else that waits.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeouts {
    /// The TCP handshake.
    pub connect: Duration,
    /// The 220 greeting.
    pub banner: Duration,
    /// EHLO and HELO, each.
    pub ehlo: Duration,
    /// STARTTLS and the handshake.
    pub starttls: Duration,
    /// AUTH, each word of it.
    pub auth: Duration,
    /// MAIL FROM.
    pub mail: Duration,
    /// RCPT TO, each.
    pub rcpt: Duration,
    /// DATA to 354.
    pub data: Duration,
    /// Each block of the body.
    pub block: Duration,
    /// The final dot to its reply.
    pub dot: Duration,
    /// RSET.
    pub rset: Duration,
    /// QUIT.
    pub quit: Duration,
    /// An outbound session as a whole; in its second half it takes no further message.
    pub session: Duration,
    /// How long an idle session is kept for the next message of its destination.
    pub idle: Duration,
    /// How long a seat waits for the next word of a host when others need it; not in the body, nor after the final dot.
    pub patience: Duration,
    /// A client of the listener: each command, and each block of its data.
    pub client: Duration,
    /// A client's TLS handshake as a whole.
    pub client_handshake: Duration,
    /// A client's session as a whole.
    pub client_session: Duration,
    /// How long sessions in flight may go on after SIGTERM.
    pub shutdown: Duration,
    /// The least octets a second, on average, while a body is sent or taken, after the limit of one block.
    pub min_data_rate: u64,
}

impl Timeouts {
    /// The limit of a phase; `dns` is the resolver's own.
    pub fn of(&self, phase: Phase, dns: Duration) -> Duration {
        match phase {
            Phase::Dns => dns,
            Phase::Connect => self.connect,
            Phase::Banner => self.banner,
            Phase::Ehlo => self.ehlo,
            Phase::Starttls => self.starttls,
            Phase::Auth => self.auth,
            Phase::Mail => self.mail,
            Phase::Rcpt => self.rcpt,
            Phase::Data => self.data,
            Phase::Body => self.block,
            Phase::FinalDot => self.dot,
            Phase::Idle => self.idle,
            Phase::Rset => self.rset,
            Phase::Quit => self.quit,
        }
    }
}

/// `[dns]`: whom the resolver asks.
#[derive(Clone, Debug, PartialEq)]
pub struct Dns {
    /// The servers, asked in turn; empty: those of /etc/resolv.conf.
    pub servers: Vec<SocketAddr>,
    /// How long one server is waited for.
    pub timeout: Duration,
    /// How often the round of servers is made for one question.
    pub attempts: u32,
    /// The limit of all questions of one route together.
    pub limit: Duration,
    /// The most answers kept.
    pub cache: usize,
}

/// `[bounce]`: the letters we write ourselves.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounce {
    /// After how long the reverse-path is told that a message is late; `None`: never.
    pub delay_notice: Option<Duration>,
}

/// A block of addresses in CIDR form; a bare address is a block of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// `192.0.2.0/24`, `::1`: `None` when it is neither, or the prefix is longer than the address.
    pub fn parse(text: &str) -> Option<Network> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Some(most), |p| p.parse().ok())?;
        (prefix <= most).then_some(Network { address, prefix })
    }

    /// Whether the address is in the block. A v4-mapped IPv6 address is the IPv4 address it maps.
    pub fn contains(&self, address: IpAddr) -> bool {
        fn top(bits: u128, prefix: u8, width: u32) -> u128 {
            bits.checked_shr(width - u32::from(prefix)).unwrap_or(0)
        }
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let bits = |address: Ipv4Addr| u128::from(u32::from(address));
                top(bits(a), self.prefix, 32) == top(bits(b), self.prefix, 32)
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                top(u128::from(a), self.prefix, 128) == top(u128::from(b), self.prefix, 128)
            }
            _ => false,
        }
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            hostname: own_name(),
            spool: Spool {
                path: PathBuf::from("spool"),
                memory: 64 << 20,
                min_free: 100 << 20,
                min_free_files: 1000,
                max_queued: 2_000_000,
            },
            listen: Listen {
                smtp: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 2525))],
                smtps: Vec::new(),
                certificates: Vec::new(),
                relay_from: vec![
                    Network { address: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), prefix: 8 },
                    Network { address: IpAddr::V6(Ipv6Addr::LOCALHOST), prefix: 128 },
                ],
                max_message_size: 50 << 20,
                max_recipients: 1000,
                clients: 500,
                hop_limit: 50,
            },
            auth: Auth { users: None, plaintext_on_loopback: false },
            delivery: Delivery {
                workers: 1000,
                connections_per_destination: 20,
                connections_per_address: 20,
                new_connections: 2,
                suspect_connections: 1,
                port: 25,
                expire_after: 120 * HOUR,
                max_addresses: 5,
                recipients_per_transaction: 100,
                messages_per_connection: 100,
                new_share: 60,
                suspect_share: 20,
                own_addresses: Vec::new(),
                credentials: None,
            },
            retry: Retry {
                message: Schedule { delays: [5, 10, 20, 40, 60].map(|n| n * MINUTE).to_vec(), jitter: 20 },
                site: Doubling { first: MINUTE, most: HOUR, jitter: 20 },
            },
            timeouts: Timeouts {
                connect: 30 * SECOND,
                banner: 5 * MINUTE,
                ehlo: 5 * MINUTE,
                starttls: 2 * MINUTE,
                auth: 2 * MINUTE,
                mail: 5 * MINUTE,
                rcpt: 5 * MINUTE,
                data: 2 * MINUTE,
                block: 3 * MINUTE,
                dot: 10 * MINUTE,
                rset: 20 * SECOND,
                quit: 5 * SECOND,
                session: HOUR,
                idle: 2 * SECOND,
                patience: 10 * SECOND,
                client: 5 * MINUTE,
                client_handshake: MINUTE,
                client_session: HOUR,
                shutdown: 10 * SECOND,
                min_data_rate: 500,
            },
            dns: Dns {
                servers: Vec::new(),
                timeout: 5 * SECOND,
                attempts: 2,
                limit: 30 * SECOND,
                cache: 100_000,
            },
            bounce: Bounce { delay_notice: None },
            tls: Tls { outbound: TlsMode::Opportunistic, roots: Roots::System, policy: Vec::new() },
            metrics: Metrics::default(),
            log: Log::default(),
            routes: Routes::default(),
        }
    }
}

/// The machine's name, when it is one that can stand in EHLO; else `localhost.localdomain`.
#[allow(clippy::expect_used)] // The last resort is a constant, parsed in every test run.
fn own_name() -> Domain {
    let system = rustix::system::uname();
    let name = system.nodename().to_str().ok().and_then(|name| Domain::parse(name).ok());
    name.unwrap_or_else(|| Domain::parse("localhost.localdomain").expect("a constant"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_what_they_say() {
        let block = Network::parse("127.0.0.0/8").unwrap();
        assert!(block.contains("127.9.9.9".parse().unwrap()));
        assert!(block.contains("::ffff:127.0.0.1".parse().unwrap()));
        assert!(!block.contains("128.0.0.1".parse().unwrap()) && !block.contains("::1".parse().unwrap()));
        assert!(Network::parse("0.0.0.0/0").unwrap().contains("192.0.2.1".parse().unwrap()));
        assert!(Network::parse("2001:db8::/32").unwrap().contains("2001:db8:1::5".parse().unwrap()));
        for wrong in ["", "127.0.0.1/33", "::1/129", "127.0.0/8", "127.0.0.1/", "127.0.0.1/-1", "name/8"] {
            assert!(Network::parse(wrong).is_none(), "{wrong}");
        }
    }
}
