//! Who we are, so that mail is never routed back to us (RFC 5321, 5.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::smtp::Domain;

/// What an MX host must not be.
#[derive(Clone, Debug)]
pub struct Own {
    /// What we say in EHLO: an MX of this name is ourselves.
    pub hostname: Domain,
    /// Where we listen. `0.0.0.0` stands for every IPv4 address of this machine, `[::]` for every address of it (whether
    /// that socket takes IPv4 too is not known here, and usually it does).
    pub addresses: Vec<SocketAddr>,
    /// Addresses that lead to us though no interface has them (NAT), on any port.
    pub extra: Vec<IpAddr>,
}

impl Own {
    /// Whether connecting to `address` on `port` would reach ourselves.
    pub(super) fn has(&self, address: IpAddr, port: u16) -> bool {
        self.has_by(address, port, is_local)
    }

    fn has_by(&self, address: IpAddr, port: u16, is_local: impl Fn(IpAddr) -> bool) -> bool {
        let address = address.to_canonical();
        let extra = self.extra.iter().any(|extra| extra.to_canonical() == address);
        extra
            || self.addresses.iter().filter(|own| own.port() == port).any(|own| {
                match own.ip().to_canonical() {
                    IpAddr::V4(Ipv4Addr::UNSPECIFIED) => address.is_ipv4() && is_local(address),
                    IpAddr::V6(Ipv6Addr::UNSPECIFIED) => is_local(address),
                    own => own == address,
                }
            })
    }
}

/// Whether an address is this machine's: the kernel routes to its own addresses from those same addresses. This needs no
/// list of the interfaces (which would want unsafe code or a netlink conversation), and is right about addresses that
/// came a second ago. Nothing is sent.
fn is_local(address: IpAddr) -> bool {
    if address.is_loopback() {
        return true;
    }
    let any = match address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let source = UdpSocket::bind(SocketAddr::new(any, 0)).and_then(|socket| {
        socket.connect(SocketAddr::new(address, 9))?;
        socket.local_addr()
    });
    source.is_ok_and(|source| source.ip() == address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(listeners: &[&str], extra: &[&str]) -> Own {
        Own {
            hostname: Domain::parse("relay.example").unwrap(),
            addresses: listeners.iter().map(|text| text.parse().unwrap()).collect(),
            extra: extra.iter().map(|text| text.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn it_is_us_by_address_and_port_or_by_decree() {
        let machine = |address: IpAddr| address.to_string() == "192.0.2.7" || address.is_loopback();
        for (listeners, extra, address, port, expected) in [
            (&["127.0.0.1:25"][..], &[][..], "127.0.0.1", 25, true),
            (&["127.0.0.1:25"], &[], "::ffff:127.0.0.1", 25, true),
            (&["127.0.0.1:2525"], &[], "127.0.0.1", 25, false),
            (&["127.0.0.1:25"], &[], "127.0.0.2", 25, false),
            (&["0.0.0.0:25"], &[], "127.0.0.2", 25, true),
            (&["0.0.0.0:25"], &[], "192.0.2.7", 25, true),
            (&["0.0.0.0:25"], &[], "192.0.2.8", 25, false),
            (&["0.0.0.0:25"], &[], "::1", 25, false),
            (&["[::]:25"], &[], "192.0.2.7", 25, true),
            (&["[::]:25"], &[], "::1", 25, true),
            (&[], &["192.0.2.9"], "192.0.2.9", 587, true),
        ] {
            let us = own(listeners, extra);
            assert_eq!(
                us.has_by(address.parse().unwrap(), port, machine),
                expected,
                "{us:?} {address} {port}"
            );
        }
    }

    #[test]
    fn the_kernel_knows_its_own_addresses() {
        assert!(is_local([127, 0, 0, 5].into()) && is_local(Ipv6Addr::LOCALHOST.into()));
        assert!(!is_local([192, 0, 2, 1].into()) && !is_local("2001:db8::1".parse().unwrap()));
    }
}
