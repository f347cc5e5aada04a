//! The keys: every field of the settings is one, and every key is known by being read.
//!
//! The file is a tree with places, walked by one list of keys. Derived deserializers were weighed: they stop at the first
//! fault, forget the places that contradictions need, and want each struct a second time with optional fields.

use std::collections::HashMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeTable};

use super::nearest::nearest;
use super::settings::{Bounce, Config, Delivery, Dns, Listen, Log, Metrics, Spool, Timeouts};
use super::value::{self, Value, Wrong};
use crate::mail::Destination;

/// The walk through a file.
pub struct Reading<'a> {
    root: &'a DeTable<'a>,
    /// The keys asked for so far, by table; the top level is the table "".
    known: Vec<(&'static str, &'static str)>,
    /// What is wrong so far.
    pub wrong: Vec<Wrong>,
    /// Where the file has each `table.key`.
    pub places: HashMap<String, Range<usize>>,
}

/// Reads the keys of one table, each into the field of its name. The pattern has no `..`, so a field without a key does not
/// compile.
macro_rules! keys {
    ($reading:ident, $name:ident: $table:ident { $($key:ident = $read:expr,)* }) => {
        let $table { $($key),* } = $name;
        $($reading.key(stringify!($name), stringify!($key), $key, $read);)*
    };
}

impl<'a> Reading<'a> {
    /// A walk that has not begun.
    pub fn of(root: &'a DeTable<'a>) -> Reading<'a> {
        Reading { root, known: Vec::new(), wrong: Vec::new(), places: HashMap::new() }
    }

    /// Reads every key the file has into `config`, and refuses what is left.
    pub fn config(&mut self, config: &mut Config) {
        use value::{address, duration, duration_or_never, list, number, size};
        let Config { hostname, spool, listen, delivery, retry, timeouts, dns, bounce, metrics, log, routes } =
            config;
        self.key("", "hostname", hostname, value::domain);
        keys!(self, spool: Spool { path = value::path, memory = size, });
        keys!(self, listen: Listen {
            smtp = list(value::listen_address),
            relay_from = list(value::network),
            max_message_size = size,
            max_recipients = number,
            clients = number,
            hop_limit = number,
        });
        keys!(self, delivery: Delivery {
            workers = number,
            connections_per_destination = number,
            connections_per_address = number,
            new_connections = number,
            suspect_connections = number,
            port = number,
            expire_after = duration,
            max_addresses = number,
            recipients_per_transaction = number,
            messages_per_connection = number,
            new_share = number,
            suspect_share = number,
            own_addresses = list(address),
        });
        self.key("retry", "delays", &mut retry.message.delays, list(duration));
        self.key("retry", "site_first", &mut retry.site.first, duration);
        self.key("retry", "site_max", &mut retry.site.most, duration);
        self.key("retry", "jitter", &mut retry.message.jitter, number);
        retry.site.jitter = retry.message.jitter;
        keys!(self, timeouts: Timeouts {
            connect = duration,
            banner = duration,
            ehlo = duration,
            mail = duration,
            rcpt = duration,
            data = duration,
            block = duration,
            dot = duration,
            rset = duration,
            quit = duration,
            session = duration,
            idle = duration,
            patience = duration,
            client = duration,
            client_session = duration,
            shutdown = duration,
            min_data_rate = size,
        });
        keys!(self, dns: Dns {
            servers = list(value::name_server),
            timeout = duration,
            attempts = number,
            limit = duration,
            cache = number,
        });
        keys!(self, bounce: Bounce { delay_notice = duration_or_never, });
        keys!(self, metrics: Metrics { listen = list(value::listen_address), });
        keys!(self, log: Log { format = value::log_format, });
        self.routes(&mut routes.table);
        self.refuse_unknown_keys();
    }

    /// Reads one key, if the file has it.
    fn key<T>(
        &mut self,
        table: &'static str,
        key: &'static str,
        into: &mut T,
        read: impl Fn(&Value) -> Result<T, Wrong>,
    ) {
        self.known.push((table, key));
        let Some((_, value)) = self.table(table).and_then(|entries| find(entries, key)) else { return };
        self.places.insert(format!("{table}.{key}"), value.span());
        match read(value) {
            Ok(value) => *into = value,
            Err(wrong) => self.wrong.push(wrong),
        }
    }

    /// The entries of a table of the file, if it has it.
    fn table(&self, name: &str) -> Option<&'a DeTable<'a>> {
        if name.is_empty() { Some(self.root) } else { find(self.root, name)?.1.get_ref().as_table() }
    }

    fn routes(&mut self, table: &mut Vec<(String, Destination)>) {
        let Some(entries) = find(self.root, "routes").and_then(|(_, value)| value.get_ref().as_table())
        else {
            return;
        };
        for (key, value) in entries {
            let text = key.get_ref();
            let wrong = |words: String| Wrong { span: key.span(), words };
            let read = value::smart_host(value).and_then(|to| {
                let pattern = value::pattern(text).ok_or_else(|| {
                    wrong(format!("\"{text}\" is no pattern: write a domain, \"*.\" and a domain, or \"*\""))
                })?;
                if table.iter().any(|(known, _)| *known == pattern) {
                    return Err(wrong(format!("the pattern \"{pattern}\" stands here twice")));
                }
                Ok((pattern, to))
            });
            match read {
                Ok((pattern, to)) => {
                    self.places.insert(format!("routes.{pattern}"), key.span());
                    table.push((pattern, to));
                }
                Err(wrong) => self.wrong.push(wrong),
            }
        }
    }

    /// What the file has and nobody asked for.
    fn refuse_unknown_keys(&mut self) {
        let mut tables: Vec<_> =
            self.known.iter().map(|(table, _)| *table).filter(|table| !table.is_empty()).collect();
        tables.dedup();
        tables.push("routes");
        for (name, value) in self.root {
            let text: &str = name.get_ref();
            let known = tables.contains(&text);
            let words = match value.get_ref().as_table() {
                Some(_) if text == "routes" => continue,
                Some(entries) if known => {
                    entries.keys().for_each(|key| self.refuse_unknown(key, text));
                    continue;
                }
                Some(_) => match nearest(text, tables.iter().copied()) {
                    Some(near) => format!("unknown table [{text}]: did you mean [{near}]?"),
                    None => format!("unknown table [{text}]"),
                },
                None if known => format!("`{text}` is a table: write [{text}], and its keys below"),
                None => {
                    self.refuse_unknown(name, "");
                    continue;
                }
            };
            self.wrong.push(Wrong { span: name.span(), words });
        }
    }

    fn refuse_unknown(&mut self, key: &Spanned<DeString>, table: &str) {
        let text: &str = key.get_ref();
        let mut here = self.known.iter().filter(|(of, _)| *of == table).map(|(_, key)| *key);
        if here.clone().any(|known| known == text) {
            return;
        }
        // The right key under the wrong heading is the commonest slip, then a misspelling.
        let elsewhere = self.known.iter().find(|(_, known)| *known == text).map(|(home, _)| *home);
        let hint = match (elsewhere, nearest(text, &mut here)) {
            (Some(""), _) => ": it belongs at the top, above every [table]".to_owned(),
            (Some(home), _) => format!(": it belongs in [{home}]"),
            (None, Some(near)) => format!(": did you mean `{near}`?"),
            (None, None) => String::new(),
        };
        let of = if table.is_empty() { String::new() } else { format!(" in [{table}]") };
        self.wrong.push(Wrong { span: key.span(), words: format!("unknown key `{text}`{of}{hint}") });
    }
}

fn find<'a>(table: &'a DeTable<'a>, key: &str) -> Option<(&'a Spanned<DeString<'a>>, &'a Value<'a>)> {
    table.iter().find(|(name, _)| name.get_ref() == key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::{LogFormat, Network, Retry, Routes};
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
            [listen]
            smtp = ["[::1]:2"]
            relay_from = ["10.0.0.0/8"]
            max_message_size = "3kB"
            max_recipients = 4
            clients = 5
            hop_limit = 6
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
            [retry]
            delays = ["18s", "1m"]
            site_first = "19s"
            site_max = "20s"
            jitter = 21
            [timeouts]
            connect = "22s"
            banner = "23s"
            ehlo = "24s"
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
            spool: Spool { path: "here".into(), memory: 1 },
            listen: Listen {
                smtp: vec!["[::1]:2".parse().unwrap()],
                relay_from: vec![Network::parse("10.0.0.0/8").unwrap()],
                max_message_size: 3000,
                max_recipients: 4,
                clients: 5,
                hop_limit: 6,
            },
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
            },
            retry: Retry {
                message: Schedule { delays: vec![s(18), s(60)], jitter: 21 },
                site: Doubling { first: s(19), most: s(20), jitter: 21 },
            },
            timeouts: Timeouts {
                connect: s(22),
                banner: s(23),
                ehlo: s(24),
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
            metrics: Metrics { listen: vec!["127.0.0.1:46".parse().unwrap()] },
            log: Log { format: LogFormat::Json },
            routes: Routes {
                table: vec![("*".to_owned(), Destination::parse("smtp://smart.example:25").unwrap())],
            },
        };
        assert_eq!(Config::parse(text, "a.toml").unwrap(), expected);
    }
}
