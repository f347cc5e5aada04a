//! `[routes]`, and the patterns of domains that routes and TLS policies share: the most exact one wins.

use crate::mail::Destination;
use crate::smtp::Host;

/// `[routes]`: which recipients' domains go to a smart host. The most exact pattern wins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Routes {
    /// Patterns (`example.net`, `*.example.net`, `*`) and where they lead.
    pub table: Vec<(String, Destination)>,
}

impl Routes {
    /// The destination of a recipient's host. A literal is only rerouted by `*`.
    pub fn destination(&self, host: &Host) -> Destination {
        most_exact(&self.table, host).cloned().unwrap_or_else(|| Destination::of(host))
    }
}

/// What the most exact of the patterns that fit `host` stands for.
pub(super) fn most_exact<'a, T>(table: &'a [(String, T)], host: &Host) -> Option<&'a T> {
    let best = table.iter().filter_map(|(pattern, value)| Some((exactness(pattern, host)?, value)));
    best.max_by_key(|(score, _)| *score).map(|(_, value)| value)
}

/// How exactly a pattern fits, if it does. A literal is fitted by itself and by `*`.
fn exactness(pattern: &str, host: &Host) -> Option<usize> {
    match host {
        _ if pattern == "*" => Some(0),
        Host::Domain(domain) if domain.as_str() == pattern => Some(usize::MAX),
        Host::Domain(domain) => {
            let suffix = pattern.strip_prefix('*')?;
            (suffix.starts_with('.') && domain.as_str().ends_with(suffix)).then_some(suffix.len())
        }
        Host::Literal(_) => (host.to_string() == pattern).then_some(usize::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Scheme;
    use crate::smtp::Domain;

    fn host(text: &str) -> Host {
        Host::parse(text).unwrap()
    }

    #[test]
    fn the_most_exact_route_wins() {
        let smart = |n: u16| Destination::Smart(Scheme::Smtp, Domain::parse("smart.example").unwrap(), n);
        let routes = Routes {
            table: vec![
                ("*".into(), smart(1)),
                ("*.example.net".into(), smart(2)),
                ("*.b.example.net".into(), smart(3)),
                ("example.net".into(), smart(4)),
            ],
        };
        for (name, port) in [
            ("example.org", 1),
            ("a.example.net", 2),
            ("a.b.example.net", 3),
            ("example.net", 4),
            ("badexample.net", 1),
            ("[192.0.2.1]", 1),
        ] {
            assert_eq!(routes.destination(&host(name)), smart(port), "{name}");
        }
        assert_eq!(Routes::default().destination(&host("a.example")).to_string(), "a.example");
    }
}
