//! The `Received:` line that we put on top of a message (RFC 5321, 4.4).

use std::net::IpAddr;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::tz::TimeZone;

use super::Greeting;
use crate::mail::QueueId;
use crate::smtp::{Domain, Host, Mailbox};
use crate::time::Unix;

/// The trace line, folded, with its CRLF. The recipient is named when there is only one, so that nobody learns of others
/// (RFC 5321, 7.6).
pub(super) fn received(
    greeting: &Greeting,
    client: IpAddr,
    hostname: &Domain,
    id: QueueId,
    only_recipient: Option<&Mailbox>,
    now: Unix,
) -> String {
    let with = if greeting.esmtp { "ESMTP" } else { "SMTP" };
    let (helo, client, date) = (harmless(&greeting.helo), Host::Literal(client), date(now));
    let recipient = only_recipient.map_or(String::new(), |mailbox| format!("\r\n\tfor <{mailbox}>"));
    format!(
        "Received: from {helo} ({client})\r\n\tby {hostname} (Sendoff) with {with} id {id}{recipient};\r\n\t{date}\r\n"
    )
}

/// What the client calls itself, so that it can stand in a header whatever it was: nothing that opens a comment, a quoted
/// string or another clause.
fn harmless(helo: &str) -> String {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    helo.chars().map(|c| if fine(c) { c } else { '?' }).collect()
}

/// An RFC 5322, 3.3 date, in UTC. A time that jiff cannot hold, beyond the year 9999, reads as 1970.
fn date(now: Unix) -> String {
    let time =
        Timestamp::from_second(now.0).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned_datetime(TimeZone::UTC);
    let printed = DateTimePrinter::new().zoned_datetime_to_string(&time);
    printed.unwrap_or_else(|_| "Thu, 1 Jan 1970 00:00:00 +0000".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(helo: &str, client: &str, recipient: Option<&str>) -> String {
        let greeting = Greeting { helo: helo.into(), esmtp: recipient.is_some() };
        let recipient = recipient.map(|text| Mailbox::parse(text).unwrap());
        let hostname = Domain::parse("relay.example").unwrap();
        let id = QueueId::from_row(1);
        received(&greeting, client.parse().unwrap(), &hostname, id, recipient.as_ref(), Unix(1_700_000_000))
    }

    #[test]
    fn a_trace_names_client_host_id_and_date() {
        assert_eq!(
            line("client.example", "192.0.2.1", Some("a@b.c")),
            "Received: from client.example ([192.0.2.1])\r\n\tby relay.example (Sendoff) with ESMTP id 00000000001\r\n\
             \tfor <a@b.c>;\r\n\tTue, 14 Nov 2023 22:13:20 +0000\r\n"
        );
        assert_eq!(
            line("[IPv6:::1]", "::1", None),
            "Received: from [IPv6:::1] ([IPv6:::1])\r\n\tby relay.example (Sendoff) with SMTP id 00000000001;\r\n\
             \tTue, 14 Nov 2023 22:13:20 +0000\r\n"
        );
    }

    #[test]
    fn a_hostile_name_makes_no_clause_of_its_own() {
        let line = line("x)by;evil<\"\\\u{1}", "192.0.2.1", None);
        assert!(line.starts_with("Received: from x?by?evil???? ([192.0.2.1])\r\n"), "{line}");
    }
}
