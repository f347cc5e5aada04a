//! The keys: every field of the settings is one, and every key is known by being read.
//!
//! The file is a tree with places, walked by one list of keys. Derived deserializers were weighed: they stop at the first
//! fault, forget the places that contradictions need, and want each struct a second time with optional fields.

use std::collections::HashMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeTable};

use super::access::Auth;
use super::nearest::nearest;
use super::settings::{Bounce, Config, Delivery, Dns, Listen, Spool, Timeouts};
use super::tls::Tls;
use super::value::{self, Value, Wrong};
use super::watching::{Log, Metrics};
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
        let Config {
            hostname,
            spool,
            listen,
            auth,
            delivery,
            retry,
            timeouts,
            dns,
            bounce,
            tls,
            metrics,
            log,
            routes,
        } = config;
        self.key("", "hostname", hostname, value::domain);
        keys!(self, spool: Spool {
            path = value::path,
            memory = size,
            min_free = size,
            min_free_files = number,
            max_queued = number,
        });
        keys!(self, listen: Listen {
            smtp = list(value::listen_address),
            smtps = list(value::listen_address),
            certificates = list(value::key_pair),
            relay_from = list(value::network),
            max_message_size = size,
            max_recipients = number,
            clients = number,
            hop_limit = number,
        });
        keys!(self, auth: Auth {
            users = value::path_or_none,
            plaintext_on_loopback = value::yes_or_no,
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
            credentials = value::path_or_none,
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
            starttls = duration,
            auth = duration,
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
            client_handshake = duration,
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
        keys!(self, tls: Tls { outbound = value::tls_mode, roots = value::roots, policy = value::policy, });
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
