//! Plans against a small nameserver: every sort of domain, and what is left when some of it does not answer.

use super::*;
use crate::config::Config;
use crate::dns::nameserver::Nameserver;

const LIMIT: Duration = Duration::from_secs(20);

fn resolver(servers: Vec<std::net::SocketAddr>, timeout: Duration) -> Resolver {
    let mut settings = Config::default().dns;
    settings.timeout = timeout;
    Resolver::new(servers, &settings)
}

fn own() -> Own {
    let addresses = vec!["127.0.0.1:25".parse().unwrap()];
    Own {
        hostname: Domain::parse("us.example").unwrap(),
        addresses,
        extra: vec!["192.0.2.99".parse().unwrap()],
    }
}

fn resolve(resolver: &Resolver, destination: &str, limit: Duration) -> Result<Route, Failure> {
    let want = Want { port: 25, addresses: 5, seed: 1 };
    let destination = Destination::parse(destination).unwrap();
    resolver.resolve(&destination, &own(), want, Deadline::within(clock::now(), limit))
}

/// `10 mx.example 192.0.2.1; ...`, or `5.1.2 recipient words`.
fn shown(result: &Result<Route, Failure>) -> String {
    match result {
        Ok(route) => {
            let host = |mx: &Mx| {
                let mut addresses: Vec<_> = mx.addresses.iter().map(IpAddr::to_string).collect();
                addresses.sort();
                format!("{} {} {}", mx.preference, mx.name, addresses.join(" "))
            };
            route.hosts.iter().map(host).collect::<Vec<_>>().join("; ")
        }
        Err(failure) => {
            assert_eq!((failure.phase, failure.duplicate), (Phase::Dns, false));
            format!("{} {} {}", failure.status, failure.blame.word(), failure.diagnostic)
        }
    }
}

#[test]
fn every_sort_of_domain() {
    let server = Nameserver::start(
        "two.example MX 20 mx2.example
         two.example MX 10 mx1.example
         mx1.example A 192.0.2.1
         mx2.example A 192.0.2.2
         mx2.example A 192.0.2.3
         implicit.example A 192.0.2.4
         www.example CNAME implicit.example
         named.example CNAME two.example
         null.example MX 0 .
         nearly.example MX 0 .
         nearly.example MX 10 mx1.example
         bare.example CNAME empty.example
         empty.example MX 10 gone.example
         void.example !noedns
         nomx.example MX 10 gone.example
         nomx.example MX 20 192.0.2.1
         typo.example MX 10 192.0.2.1
         half.example MX 10 gone.example
         half.example MX 20 mx1.example
         sick.example !servfail
         wait.example MX 10 gone.example
         wait.example MX 20 sick.example
         zero.example A 0.0.0.0
         six.example AAAA ::1
         seven.example CNAME six.example",
    );
    let resolver = resolver(vec![server.address], LIMIT);
    let servfail = format!("nameserver {} said SERVFAIL", server.address);
    for (destination, expected) in [
        ("two.example", "10 mx1.example 192.0.2.1; 20 mx2.example 192.0.2.2 192.0.2.3"),
        ("implicit.example", "0 implicit.example 192.0.2.4"),
        ("www.example", "0 www.example 192.0.2.4"),
        ("named.example", "10 mx1.example 192.0.2.1; 20 mx2.example 192.0.2.2 192.0.2.3"),
        ("half.example", "20 mx1.example 192.0.2.1"),
        ("nearly.example", "10 mx1.example 192.0.2.1"),
        ("seven.example", "0 seven.example ::1"),
        ("[192.0.2.7]", "0 [192.0.2.7] 192.0.2.7"),
        ("[IPv6:2001:db8::7]", "0 [IPv6:2001:db8::7] 2001:db8::7"),
        ("smtp://mx1.example:587", "0 mx1.example 192.0.2.1"),
        ("smtp://[127.0.0.1]:26", "0 [127.0.0.1] 127.0.0.1"),
        ("none.example", "5.1.2 recipient the domain none.example does not exist, says DNS"),
        ("null.example", "5.1.10 recipient null.example does not accept mail, says DNS (null MX)"),
        ("void.example", "5.4.4 recipient void.example has neither an MX nor an address in DNS"),
        ("zero.example", "5.4.4 recipient zero.example has neither an MX nor an address in DNS"),
        (
            "nomx.example",
            "5.4.4 recipient no MX host of nomx.example can be tried: \"192.0.2.1\", which is no host name, \
             has no address in DNS; gone.example does not exist, says DNS",
        ),
        ("smtp://none.example:587", "4.3.5 site the smart host none.example does not exist, says DNS"),
        ("sick.example", &format!("4.4.3 site the MX of sick.example could not be looked up: {servfail}")),
        (
            "wait.example",
            &format!(
                "4.4.3 site no MX host of wait.example can be tried: gone.example does not exist, says DNS; \
                 sick.example could not be looked up: {servfail}"
            ),
        ),
        ("smtp://sick.example:25", &format!("4.4.3 site sick.example could not be looked up: {servfail}")),
    ] {
        assert_eq!(shown(&resolve(&resolver, destination, LIMIT)), expected, "{destination}");
    }
}

#[test]
fn what_is_not_preferred_to_ourselves_is_cut() {
    let server = Nameserver::start(
        "named.example MX 10 best.example
         named.example MX 20 us.example
         named.example MX 20 equal.example
         named.example MX 30 worse.example
         best.example A 192.0.2.1
         equal.example A 192.0.2.2
         worse.example A 192.0.2.3
         addressed.example MX 10 best.example
         addressed.example MX 20 equal.example
         addressed.example MX 20 local.example
         addressed.example MX 30 worse.example
         local.example A 127.0.0.1
         nat.example A 192.0.2.99
         first.example MX 10 nat.example
         first.example MX 20 best.example
         only.example MX 10 us.example
         weak.example MX 10 sick.example
         weak.example MX 20 us.example
         sick.example !servfail
         us.example A 192.0.2.5",
    );
    let resolver = resolver(vec![server.address], LIMIT);
    let loops = |domain| {
        format!("5.4.6 recipient mail loops back to myself: the best MX of {domain} is this relay itself")
    };
    for (destination, expected) in [
        ("named.example", "10 best.example 192.0.2.1".into()),
        ("addressed.example", "10 best.example 192.0.2.1".into()),
        ("first.example", loops("first.example")),
        ("only.example", loops("only.example")),
        ("us.example", loops("us.example")),
        ("local.example", loops("local.example")),
        ("[127.0.0.1]", "5.4.6 recipient mail loops back to myself: [127.0.0.1] is this relay itself".into()),
        (
            "smtp://local.example:25",
            "5.4.6 recipient mail loops back to myself: the smart host local.example is this relay itself"
                .into(),
        ),
        // On another port somebody else listens.
        ("smtp://local.example:26", "0 local.example 127.0.0.1".into()),
        ("smtp://us.example:25", "0 us.example 192.0.2.5".into()),
    ] {
        assert_eq!(shown(&resolve(&resolver, destination, LIMIT)), expected, "{destination}");
    }
    // The host that is preferred to us may come back: no bounce.
    let weak = resolve(&resolver, "weak.example", LIMIT).unwrap_err();
    assert_eq!(weak.status, EnhancedStatus::new(4, 4, 3), "{weak}");
}

#[test]
fn ninety_exchangers_are_not_all_looked_up() {
    let mut zone = String::new();
    for n in 0..90 {
        zone += &format!("many.example MX {n} m{n}.example\nm{n}.example A 192.0.2.{n}\n");
        zone += &format!("dead.example MX {n} d{n}.example\nflat.example MX 5 m{n}.example\n");
    }
    let server = Nameserver::start(&zone);
    let resolver = resolver(vec![server.address], LIMIT);
    let route = resolve(&resolver, "many.example", LIMIT).unwrap();
    assert_eq!(route.addresses().len(), 5);
    assert!(server.asked().len() <= 1 + 2 * 5, "{:?}", server.asked());
    assert_eq!(resolve(&resolver, "flat.example", LIMIT).unwrap().hosts.len(), MOST_IN_PREFERENCE);
    let before = server.asked().len();
    let dead = resolve(&resolver, "dead.example", LIMIT).unwrap_err();
    assert!(server.asked().len() - before <= 1 + 1 + 2 * MOST_HOSTS, "{:?}", server.asked());
    // Some were not asked for, so nothing is certain.
    assert_eq!(dead.status, EnhancedStatus::new(4, 4, 3), "{dead}");
}

#[test]
fn without_a_route_to_ipv6_its_addresses_are_neither_asked_for_in_vain_nor_tried() {
    let zone = "both.example A 192.0.2.1\nboth.example AAAA 2001:db8::1\nsix.example AAAA 2001:db8::6
                mx.example MX 10 six.example";
    for (routed, both, six, mx) in [
        (
            true,
            "0 both.example 192.0.2.1 2001:db8::1",
            "0 six.example 2001:db8::6",
            "10 six.example 2001:db8::6",
        ),
        (
            false,
            "0 both.example 192.0.2.1",
            "4.4.4 site six.example has only IPv6 addresses, and this machine has no route to them",
            "4.4.4 site no MX host of mx.example can be tried: six.example has only IPv6 addresses, and this \
             machine has no route to them",
        ),
    ] {
        let server = Nameserver::start(zone);
        let resolver = resolver(vec![server.address], LIMIT);
        assert_eq!(resolver.ipv6.is_routed_by(clock::now(), || routed), routed);
        assert_eq!(shown(&resolve(&resolver, "both.example", LIMIT)), both);
        assert_eq!(server.asked().contains(&"AAAA both.example".into()), routed);
        assert_eq!(shown(&resolve(&resolver, "six.example", LIMIT)), six);
        assert_eq!(shown(&resolve(&resolver, "mx.example", LIMIT)), mx);
    }
}

#[test]
fn a_host_that_nobody_answers_for_leaves_time_for_the_others() {
    let server = Nameserver::start(
        "a.example MX 10 void.example\na.example MX 20 good.example\ngood.example A 192.0.2.1
         b.example MX 10 void.example\nvoid.example !silent\nc.example !silent",
    );
    let resolver = resolver(vec![server.address], LIMIT);
    let limit = Duration::from_millis(1500);
    assert_eq!(shown(&resolve(&resolver, "a.example", limit)), "20 good.example 192.0.2.1");
    for domain in ["b.example", "c.example"] {
        let failure = resolve(&resolver, domain, limit).unwrap_err();
        assert_eq!((failure.status, failure.blame), (EnhancedStatus::new(4, 4, 3), Blame::Site));
        let words = format!("nameserver {} did not answer within", server.address);
        assert!(failure.to_string().contains(&words), "{failure}");
    }
}

/// A real nameserver, when the machine has one.
mod dnsmasq {
    use super::*;
    use std::net::{SocketAddr, UdpSocket};
    use std::process::{Child, Command, Stdio};

    struct Dnsmasq(Child);

    impl Drop for Dnsmasq {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn a_real_nameserver_is_understood() {
        let free = UdpSocket::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let port = format!("--port={}", address.port());
        let command = ["/usr/sbin/dnsmasq", "/usr/bin/dnsmasq", "/usr/local/sbin/dnsmasq"]
            .into_iter()
            .find(|path| std::path::Path::new(path).exists());
        let Some(command) = command else {
            eprintln!("SKIPPED: dnsmasq is not installed, the resolver was not tried against it");
            return;
        };
        let server = Command::new(command)
            .args([
                "--keep-in-foreground",
                "--no-resolv",
                "--no-hosts",
                "--no-daemon",
                "--conf-file=/dev/null",
            ])
            .args(["--listen-address=127.0.0.1", "--bind-interfaces", "--local=/example/", "--pid-file="])
            .args(["--mx-host=org.example,mx1.org.example,10", "--mx-host=org.example,mx2.org.example,20"])
            .args(["--host-record=mx1.org.example,192.0.2.1", "--host-record=mx2.org.example,192.0.2.2,::1"])
            .args(["--host-record=plain.example,192.0.2.3", "--cname=alias.example,plain.example"])
            .arg(port)
            .stderr(Stdio::null())
            .spawn();
        let _server = Dnsmasq(server.unwrap());
        let routed = |destination: &str| {
            // Until it listens, its port is closed, and a resolver remembers failures: so each try has a new one.
            let end = clock::now() + Duration::from_secs(30);
            let tries = std::iter::from_fn(|| (clock::now() < end).then_some(())).map(|()| {
                std::thread::park_timeout(Duration::from_millis(5));
                let resolver = resolver(vec![address], Duration::from_millis(500));
                shown(&resolve(&resolver, destination, LIMIT))
            });
            let mut tries = tries.skip_while(|words| words.contains("refused the connection"));
            tries.next().expect("dnsmasq listens")
        };
        let two = routed("org.example");
        assert!(two.starts_with("10 mx1.org.example 192.0.2.1; 20 mx2.org.example 192.0.2.2"), "{two}");
        assert_eq!(routed("plain.example"), "0 plain.example 192.0.2.3");
        assert_eq!(routed("alias.example"), "0 alias.example 192.0.2.3");
        assert_eq!(
            routed("none.example"),
            "5.1.2 recipient the domain none.example does not exist, says DNS"
        );
    }
}
