//! Who lives where: every name of the bench has its address, and every address its manners, by rule and without a table.
//!
//! `good7.test` has the MX `mx.good7.test` at 127.20.0.8; the second octet of an address tells what kind of host it is. So
//! the nameserver and the far side agree about a hundred thousand hosts without ever exchanging a word.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How a host behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manners {
    /// Takes all mail.
    Good,
    /// Takes all mail under TLS, after STARTTLS, and none in the clear.
    Starttls {
        /// It takes up sessions where others have ended.
        resumes: bool,
    },
    /// Connects, and never says a word.
    Silent,
    /// Refuses the connection: nobody listens.
    Refuse,
    /// Resets the connection instead of a banner.
    Reset,
    /// Says its banner, and hangs up.
    Hangup,
    /// Says its banner, and nothing after it.
    Mute,
    /// A banner of which a byte comes now and then, for ever.
    Drip,
    /// A banner of many lines that never ends.
    Endless,
    /// 421 in place of a banner.
    Busy,
    /// Bytes that are no reply.
    Garbage,
    /// Takes the whole message, and never answers the final dot.
    Undecided,
}

/// One family of names.
pub struct Zone {
    /// The name without its number: `good` of `good7.test`.
    pub name: &'static str,
    pub manners: Manners,
    /// The second octet of its addresses.
    block: u8,
    /// How many addresses all its names share; none: each has its own.
    shared_by: Option<usize>,
}

const fn zone(name: &'static str, manners: Manners, block: u8, shared_by: Option<usize>) -> Zone {
    Zone { name, manners, block, shared_by }
}

/// All of them.
pub const ZONES: [Zone; 17] = [
    zone("good", Manners::Good, 20, None),
    zone("known", Manners::Good, 21, None),
    zone("tls", Manners::Starttls { resumes: true }, 22, None),
    zone("tlsfresh", Manners::Starttls { resumes: false }, 23, None),
    zone("hole", Manners::Silent, 30, None),
    zone("group", Manners::Silent, 31, Some(200)),
    zone("shared", Manners::Silent, 32, Some(1)),
    zone("silent", Manners::Silent, 40, None),
    zone("reset", Manners::Reset, 41, None),
    zone("hangup", Manners::Hangup, 42, None),
    zone("mute", Manners::Mute, 43, None),
    zone("drip", Manners::Drip, 44, None),
    zone("endless", Manners::Endless, 45, None),
    zone("busy", Manners::Busy, 46, None),
    zone("garbage", Manners::Garbage, 47, None),
    zone("undecided", Manners::Undecided, 48, None),
    zone("refuse", Manners::Refuse, REFUSED, None),
];

/// Every IPv4 address of the namespace is listened at, so the hosts that refuse have IPv6 addresses.
const REFUSED: u8 = 49;

/// The prefix, of 64 bits, in which those addresses are.
pub const REFUSED_PREFIX: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x25, 0, 0, 0, 0, 0);

/// The address of `good7.test` or of its MX; `None` when there is no such name.
pub fn address(name: &str) -> Option<IpAddr> {
    let name = name.to_ascii_lowercase();
    let label = name.strip_suffix(".test")?;
    let label = label.strip_prefix("mx.").unwrap_or(label);
    let family = label.trim_end_matches(|c: char| c.is_ascii_digit());
    let number: usize = label[family.len()..].parse().ok()?;
    let zone = ZONES.iter().find(|zone| zone.name == family)?;
    let place = zone.shared_by.map_or(number, |by| number % by);
    if zone.block == REFUSED {
        let last = u16::try_from(place).ok()?;
        let mut segments = REFUSED_PREFIX.segments();
        segments[7] = last.checked_add(1)?;
        return Some(IpAddr::from(segments));
    }
    let third = u8::try_from(place / 250).ok()?;
    let fourth = u8::try_from(place % 250).ok()? + 1;
    Some(IpAddr::V4(Ipv4Addr::new(127, zone.block, third, fourth)))
}

/// Who lives at an address. Whoever has no rule takes mail, so that a mistake shows as mail in the wrong place.
pub fn manners(address: IpAddr) -> Manners {
    let IpAddr::V4(v4) = address.to_canonical() else { return Manners::Refuse };
    let block = v4.octets()[1];
    ZONES.iter().find(|zone| zone.block == block).map_or(Manners::Good, |zone| zone.manners)
}
