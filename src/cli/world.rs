//! `sendoff check --world`: whether the world lets the relay do its work. It changes nothing but a file in the spool that it
//! makes and removes, and sends nothing.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use super::Exit;
use super::probe::{Prober, cap};
use crate::config::Config;
use crate::control::{Request, ask};
use crate::dns::{self, Answer, Kind, Record, Resolver};
use crate::smtp::{Domain, Host};
use crate::time::{Deadline, clock};

/// The longest any step may take.
const LIMIT: Duration = Duration::from_secs(15);
/// Writes that are timed, and their size in octets.
const WRITES: u32 = 20;
const OCTETS: usize = 4096;
/// A sync that takes longer than this is slow for mail.
const SLOW: Duration = Duration::from_millis(50);

/// How something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Well.
    Fine,
    /// The relay can work, and somebody should look.
    Doubtful,
    /// The relay cannot do its work.
    Bad,
}

impl Found {
    /// The word of the table.
    pub(super) fn word(self) -> &'static str {
        match self {
            Found::Fine => "fine",
            Found::Doubtful => "doubtful",
            Found::Bad => "BAD",
        }
    }
}

/// What was looked at, how it was found, and words.
pub(super) type Finding = (&'static str, Found, String);

/// Looks at all of it.
pub(super) fn look(config: &Config, towards: &str) -> Result<Vec<Finding>, Exit> {
    let mut config = config.clone();
    cap(&mut config, LIMIT);
    let runs = ask(&config.spool.path, &Request::Connections, LIMIT).is_ok();
    let mut findings = Vec::new();
    for address in &config.listen.smtp {
        let (found, words) = binds(*address, runs);
        findings.push(("listen", found, words));
    }
    let (found, words) = spool(&config.spool.path);
    findings.push(("spool", found, words));
    for server in dns::servers(&config.dns) {
        let (found, words) = answers(&config, server);
        findings.push(("dns", found, words));
    }
    let (found, words) = name(&config);
    findings.push(("name", found, words));
    let host = Host::parse(towards).map_err(|error| Exit::data(format!("{towards}: {error}")))?;
    let destination = config.routes.destination(&host);
    let mut prober = Prober::new(&config, destination, true);
    let failure = prober.run(None)?;
    let (found, words) = match (failure, &prober.reached) {
        (None, Some((host, address, took))) => {
            (Found::Fine, format!("{host} at {address} greeted us after {} ms", took.as_millis()))
        }
        (failure, _) => {
            let words = failure.map_or_else(|| "no host was reached".to_owned(), |it| it.to_string());
            (Found::Bad, format!("towards {towards}: {words}"))
        }
    };
    findings.push(("way out", found, words));
    Ok(findings)
}

fn binds(address: SocketAddr, runs: bool) -> (Found, String) {
    match TcpListener::bind(address) {
        Ok(_) => (Found::Fine, format!("{address} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && runs => {
            (Found::Fine, format!("{address} is taken, and the relay on this spool runs"))
        }
        Err(error) => (Found::Bad, format!("{address}: {error}")),
    }
}

/// Whether the spool takes files, and how fast they are safe.
fn spool(path: &Path) -> (Found, String) {
    let shown = path.display();
    let here = match path.exists() {
        true => path,
        false => match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => parent,
            None => Path::new("."),
        },
    };
    let file = here.join(format!(".sendoff-check-{}", std::process::id()));
    let timed = timed(&file);
    // What could not be made needs not be removed.
    let _ = fs::remove_file(&file);
    let missing = if path.exists() { "" } else { " (not there yet; this is the directory it is made in)" };
    match timed {
        Err(error) => (Found::Bad, format!("{shown}{missing}: cannot be written: {error}")),
        Ok(each) => {
            let words = format!("{shown}{missing}: a sync takes {:.1} ms", each.as_secs_f64() * 1000.0);
            if each > SLOW {
                (Found::Doubtful, words + ", which is slow for mail")
            } else {
                (Found::Fine, words)
            }
        }
    }
}

fn timed(path: &Path) -> io::Result<Duration> {
    let mut file = File::create_new(path)?;
    let began = clock::now();
    for _ in 0..WRITES {
        file.write_all(&[b'x'; OCTETS])?;
        file.sync_data()?;
    }
    Ok(clock::now().saturating_duration_since(began) / WRITES)
}

fn answers(config: &Config, server: SocketAddr) -> (Found, String) {
    let resolver = Resolver::new(vec![server], &config.dns);
    let asked = clock::now();
    let answer = resolver.lookup(&config.hostname, Kind::A, Deadline::within(asked, config.dns.limit));
    let took = clock::now().saturating_duration_since(asked).as_millis();
    match answer {
        Answer::Failed(why) => (Found::Bad, why.to_string()),
        _ => (Found::Fine, format!("{server} answers, in {took} ms")),
    }
}

/// Whether our name leads to us, and our address back to our name: many hosts look at that before they take mail.
fn name(config: &Config) -> (Found, String) {
    let resolver = Resolver::new(dns::servers(&config.dns), &config.dns);
    let name = &config.hostname;
    let lookup = |name: &Domain, kind| match resolver.lookup(
        name,
        kind,
        Deadline::within(clock::now(), config.dns.limit),
    ) {
        Answer::Records(records) => records.to_vec(),
        _ => Vec::new(),
    };
    let records = [lookup(name, Kind::A), lookup(name, Kind::Aaaa)].concat();
    let addresses: Vec<IpAddr> = records
        .iter()
        .filter_map(|record| match record {
            Record::Address(address) => Some(*address),
            _ => None,
        })
        .collect();
    if addresses.is_empty() {
        let words = format!("{name} has no address in DNS: many hosts refuse who calls himself so");
        return (Found::Doubtful, words);
    }
    let mut doubts = Vec::new();
    for address in &addresses {
        let ours =
            TcpListener::bind((*address, 0)).is_ok() || config.delivery.own_addresses.contains(address);
        if !ours {
            doubts.push(format!("{address} is not of this machine (delivery.own_addresses, if that is NAT)"));
        }
        let back = Domain::parse(&reverse(*address)).map(|name| lookup(&name, Kind::Ptr)).unwrap_or_default();
        let names: Vec<_> = back
            .iter()
            .filter_map(|record| match record {
                Record::Name(name) => Some(name.as_str()),
                _ => None,
            })
            .collect();
        if !names.contains(&name.as_str()) {
            let said = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
            doubts.push(format!("{address} leads back to {said}, not to {name}"));
        }
    }
    let list: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    match doubts.is_empty() {
        true => (Found::Fine, format!("{name} is {}, and back", list.join(", "))),
        false => (Found::Doubtful, format!("{name} is {}: {}", list.join(", "), doubts.join("; "))),
    }
}

/// The name under which an address has its names (RFC 1035, 3.5; RFC 3596, 2.5).
fn reverse(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(address) => {
            let nibbles =
                address.octets().into_iter().rev().map(|byte| format!("{:x}.{:x}.", byte & 15, byte >> 4));
            nibbles.collect::<String>() + "ip6.arpa"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_name_backwards() {
        assert_eq!(reverse(IpAddr::from([192, 0, 2, 1])), "1.2.0.192.in-addr.arpa");
        let six = reverse("2001:db8::1".parse().unwrap());
        assert!(six.starts_with("1.0.0.0.") && six.ends_with("8.b.d.0.1.0.0.2.ip6.arpa"), "{six}");
        assert!(Domain::parse(&six).is_ok());
    }
}
