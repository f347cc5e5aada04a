//! Whether this machine has a route to the IPv6 Internet. Without one, trying AAAA addresses only wastes attempts.

use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The route's state, looked at once a minute: it comes and goes with the network.
#[derive(Debug, Default)]
pub(super) struct Ipv6 {
    seen: Mutex<Option<(Instant, bool)>>,
}

impl Ipv6 {
    /// How long a look is good for.
    const FRESH: Duration = Duration::from_secs(60);

    /// Whether there is a route at `now`.
    pub(super) fn is_routed(&self, now: Instant) -> bool {
        self.is_routed_by(now, probe)
    }

    /// The same, by another look than the kernel's.
    pub(super) fn is_routed_by(&self, now: Instant, probe: impl FnOnce() -> bool) -> bool {
        let mut seen = self.seen.lock();
        match *seen {
            Some((at, routed)) if now.saturating_duration_since(at) < Ipv6::FRESH => routed,
            _ => {
                let routed = probe();
                *seen = Some((now, routed));
                routed
            }
        }
    }
}

/// Connecting a UDP socket sends nothing; it only asks the kernel for a route and a source address.
fn probe() -> bool {
    // a.root-servers.net: a global address that will stay one.
    let far = SocketAddr::from((Ipv6Addr::new(0x2001, 0x503, 0xba3e, 0, 0, 0, 2, 0x30), 53));
    let socket = UdpSocket::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)));
    socket.and_then(|socket| socket.connect(far)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::clock;

    #[test]
    fn the_kernel_is_asked_once_a_minute() {
        let (ipv6, now) = (Ipv6::default(), clock::now());
        assert!(ipv6.is_routed_by(now, || true));
        assert!(ipv6.is_routed_by(now + Duration::from_secs(59), || false));
        assert!(!ipv6.is_routed_by(now + Duration::from_secs(60), || false));
    }
}
