//! Every key is read, and what is left is refused.

use crate::config::{
    Auth, Bounce, Config, Delivery, Dns, KeyPair, Listen, Log, LogFormat, Metrics, Network, Retry, Roots,
    Routes, Spool, Timeouts, Tls, TlsMode,
};
use crate::mail::Destination;
use crate::smtp::Domain;
use crate::time::{Doubling, Schedule};
use std::time::Duration;

#[test]
fn every_key_reaches_its_field() {
    let text = r#"
        hostname = "h.example"
        [spool]
        path = "here"
        memory = 1
        min_free = 33
        min_free_files = 34
        max_queued = 35
        [listen]
        smtp = ["[::1]:2"]
        smtps = ["[::1]:3"]
        certificates = [{ certificate = "c.pem", key = "k.pem" }]
        relay_from = ["10.0.0.0/8"]
        max_message_size = "3kB"
        max_recipients = 4
        clients = 5
        hop_limit = 6
        [auth]
        users = "u"
        plaintext_on_loopback = true
        [delivery]
        workers = 0x70
        connections_per_destination = 8
        connections_per_address = 9
        port = 10
        expire_after = "11d"
        max_addresses = 12
        recipients_per_transaction = 13
        messages_per_connection = 14
        new_share = 15
        suspect_share = 16
        new_connections = 31
        suspect_connections = 32
        own_addresses = ["192.0.2.17"]
        credentials = "secrets"
        [retry]
        delays = ["18s", "1m"]
        site_first = "19s"
        site_max = "20s"
        jitter = 21
        [timeouts]
        connect = "22s"
        banner = "23s"
        ehlo = "24s"
        starttls = "25s"
        auth = "46s"
        mail = "26s"
        rcpt = "27s"
        data = "28s"
        block = "29s"
        dot = "30s"
        rset = "31s"
        quit = "32s"
        session = "33s"
        idle = "34s"
        patience = "35s"
        client = "36s"
        client_handshake = "25s"
        client_session = "37s"
        shutdown = "38s"
        min_data_rate = 39
        [dns]
        servers = ["192.0.2.1", "::1", "[::1]", "[::1]:40"]
        timeout = "41ms"
        attempts = 42
        limit = "43s"
        cache = 44
        [bounce]
        delay_notice = "45s"
        [tls]
        outbound = "require"
        roots = "roots.pem"
        policy = { "*.Example.net" = "verify" }
        [metrics]
        listen = ["127.0.0.1:46"]
        [log]
        format = "json"
        [routes]
        "*" = "smtp://smart.example"
    "#;
    let s = Duration::from_secs;
    let expected = Config {
        hostname: Domain::parse("h.example").unwrap(),
        spool: Spool { path: "here".into(), memory: 1, min_free: 33, min_free_files: 34, max_queued: 35 },
        listen: Listen {
            smtp: vec!["[::1]:2".parse().unwrap()],
            smtps: vec!["[::1]:3".parse().unwrap()],
            certificates: vec![KeyPair { certificate: "c.pem".into(), key: "k.pem".into() }],
            relay_from: vec![Network::parse("10.0.0.0/8").unwrap()],
            max_message_size: 3000,
            max_recipients: 4,
            clients: 5,
            hop_limit: 6,
        },
        auth: Auth { users: Some("u".into()), plaintext_on_loopback: true },
        delivery: Delivery {
            workers: 112,
            connections_per_destination: 8,
            connections_per_address: 9,
            port: 10,
            expire_after: s(11 * 86_400),
            max_addresses: 12,
            recipients_per_transaction: 13,
            messages_per_connection: 14,
            new_share: 15,
            suspect_share: 16,
            new_connections: 31,
            suspect_connections: 32,
            own_addresses: vec!["192.0.2.17".parse().unwrap()],
            credentials: Some("secrets".into()),
        },
        retry: Retry {
            message: Schedule { delays: vec![s(18), s(60)], jitter: 21 },
            site: Doubling { first: s(19), most: s(20), jitter: 21 },
        },
        timeouts: Timeouts {
            connect: s(22),
            banner: s(23),
            ehlo: s(24),
            starttls: s(25),
            auth: s(46),
            mail: s(26),
            rcpt: s(27),
            data: s(28),
            block: s(29),
            dot: s(30),
            rset: s(31),
            quit: s(32),
            session: s(33),
            idle: s(34),
            patience: s(35),
            client: s(36),
            client_handshake: s(25),
            client_session: s(37),
            shutdown: s(38),
            min_data_rate: 39,
        },
        dns: Dns {
            servers: ["192.0.2.1:53", "[::1]:53", "[::1]:53", "[::1]:40"]
                .map(|a| a.parse().unwrap())
                .to_vec(),
            timeout: Duration::from_millis(41),
            attempts: 42,
            limit: s(43),
            cache: 44,
        },
        bounce: Bounce { delay_notice: Some(s(45)) },
        tls: Tls {
            outbound: TlsMode::Require,
            roots: Roots::File("roots.pem".into()),
            policy: vec![("*.example.net".to_owned(), TlsMode::Verify)],
        },
        metrics: Metrics { listen: vec!["127.0.0.1:46".parse().unwrap()] },
        log: Log { format: LogFormat::Json },
        routes: Routes {
            table: vec![("*".to_owned(), Destination::parse("smtp://smart.example:25").unwrap())],
        },
    };
    assert_eq!(Config::parse(text, "a.toml").unwrap(), expected);
}
