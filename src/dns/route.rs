//! The route of a destination: its hosts by preference, and the order in which their addresses are tried. Pure.

use std::net::{IpAddr, SocketAddr};

/// A host to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mx {
    /// Lower is tried first; 0 where there was no MX record.
    pub preference: u16,
    /// Its name, or the literal: `mx.example.org`, `[192.0.2.1]`.
    pub name: String,
    /// Its addresses, at least one, in no order that counts.
    pub addresses: Vec<IpAddr>,
}

/// Where the mail of a destination goes: at least one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The hosts, by preference, shuffled within one (RFC 5321, 5.1).
    pub hosts: Vec<Mx>,
    /// The port of them all.
    pub port: u16,
    /// The most addresses one attempt tries.
    pub most: usize,
}

impl Route {
    /// The addresses to try, in order, each once, at most [`Route::most`].
    ///
    /// Within a preference the hosts take turns, and so do the families. A preference takes no more than half of what
    /// is left while others wait behind it, unless they need less: a first host that is down, whatever number of
    /// addresses it has, leaves room for the next.
    pub fn addresses(&self) -> Vec<(String, SocketAddr)> {
        let mut groups = Vec::new();
        let mut seen = Vec::new();
        for group in self.hosts.chunk_by(|a, b| a.preference == b.preference) {
            let mut turns = turns(group);
            // Several hosts may share an address; a second try of it would tell nothing new.
            turns.retain(|(_, address)| {
                let fresh = !seen.contains(address);
                seen.push(*address);
                fresh
            });
            groups.push(turns);
        }
        let mut behind: usize = groups.iter().map(Vec::len).sum();
        let mut left = self.most.max(1);
        let mut chosen = Vec::new();
        for group in groups {
            behind -= group.len();
            let share = group.len().min(left - behind.min(left / 2));
            left -= share;
            let turns = group.into_iter().take(share);
            chosen
                .extend(turns.map(|(name, address)| (name.to_owned(), SocketAddr::new(address, self.port))));
        }
        chosen
    }
}

/// The addresses of hosts of one preference: the first of each host, then the second of each, and so on.
fn turns(hosts: &[Mx]) -> Vec<(&str, IpAddr)> {
    let alternate = |(n, host): (usize, &Mx)| {
        let (mut first, mut second): (Vec<_>, Vec<_>) =
            host.addresses.iter().copied().partition(IpAddr::is_ipv6);
        // Every other host begins with IPv4, so that a family that is broken on the way does not cost the first round.
        if n % 2 == 1 {
            std::mem::swap(&mut first, &mut second);
        }
        interleave(first, second)
    };
    let lists: Vec<_> = hosts.iter().enumerate().map(alternate).collect();
    let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
    let mut turns = Vec::new();
    for round in 0..longest {
        for (host, list) in hosts.iter().zip(&lists) {
            turns.extend(list.get(round).map(|address| (host.name.as_str(), *address)));
        }
    }
    turns
}

/// One of each in turn, then what is left of the longer.
fn interleave<T>(first: Vec<T>, second: Vec<T>) -> Vec<T> {
    let mut both = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        let (a, b) = (first.next(), second.next());
        if a.is_none() && b.is_none() {
            return both;
        }
        both.extend(a.into_iter().chain(b));
    }
}

/// Shuffles by a seed (Fisher and Yates; the numbers are SplitMix64). Whoever guesses it learns which MX comes first, which
/// is no secret.
#[derive(Debug)]
pub(super) struct Shuffle(pub(super) u64);

impl Shuffle {
    /// Puts `items` into a random order.
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let range = u64::try_from(last).unwrap_or(u64::MAX).saturating_add(1);
            let chosen = usize::try_from(self.next() % range).unwrap_or(0);
            items.swap(last, chosen);
        }
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mx(preference: u16, name: &str, addresses: &[&str]) -> Mx {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        Mx { preference, name: name.into(), addresses }
    }

    fn order(hosts: Vec<Mx>, most: usize) -> Vec<String> {
        let addresses = Route { hosts, port: 25, most }.addresses();
        addresses.into_iter().map(|(name, address)| format!("{name} {}", address.ip())).collect()
    }

    #[test]
    fn a_first_host_of_many_addresses_leaves_room_for_the_next() {
        let many: Vec<_> = (1..=10).map(|n| format!("192.0.2.{n}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        let hosts = vec![mx(10, "a", &many), mx(20, "b", &["198.51.100.1"]), mx(30, "c", &["198.51.100.2"])];
        assert_eq!(
            order(hosts.clone(), 5),
            ["a 192.0.2.1", "a 192.0.2.2", "a 192.0.2.3", "b 198.51.100.1", "c 198.51.100.2"]
        );
        assert_eq!(order(hosts.clone(), 2), ["a 192.0.2.1", "b 198.51.100.1"]);
        assert_eq!(order(hosts.clone(), 1), ["a 192.0.2.1"]);
        assert_eq!(order(hosts, 99).len(), 12);
    }

    #[test]
    fn hosts_and_families_take_turns() {
        let hosts = vec![
            mx(10, "a", &["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"]),
            mx(10, "b", &["2001:db8::9", "192.0.2.9"]),
        ];
        assert_eq!(
            order(hosts, 5),
            ["a 2001:db8::1", "b 192.0.2.9", "a 192.0.2.1", "b 2001:db8::9", "a 2001:db8::2"]
        );
    }

    #[test]
    fn an_address_is_tried_once() {
        let hosts =
            vec![mx(10, "a", &["192.0.2.1"]), mx(10, "b", &["192.0.2.1"]), mx(20, "c", &["192.0.2.1"])];
        assert_eq!(order(hosts, 5), ["a 192.0.2.1"]);
    }

    #[test]
    fn a_shuffle_follows_its_seed_and_reaches_every_order() {
        let shuffled = |seed| {
            let mut items = [1, 2, 3];
            Shuffle(seed).shuffle(&mut items);
            items
        };
        assert_eq!(shuffled(7), shuffled(7));
        let orders: std::collections::HashSet<_> = (0..200).map(shuffled).collect();
        assert_eq!(orders.len(), 6);
    }
}
