//! The `Received:` field, which every relay puts on top (RFC 5321, 4.4): who gave it, to whom, how, under which id, when.

use std::net::IpAddr;

use super::date::rfc5322;
use super::field::field;
use super::{Envelope, QueueId};
use crate::smtp::{Domain, Host};

/// How a message came in: the word after `with` (RFC 3848).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// After HELO.
    Smtp,
    /// After EHLO.
    Esmtp,
    /// After EHLO, within TLS.
    Esmtps,
    /// After EHLO and AUTH.
    Esmtpa,
    /// After EHLO and AUTH, within TLS.
    Esmtpsa,
    /// Through the door of the operator, without SMTP; no word of the registry, and the one that is in use.
    Local,
}

impl Protocol {
    /// After EHLO, within TLS or not, after AUTH or not.
    pub fn esmtp(tls: bool, auth: bool) -> Protocol {
        match (tls, auth) {
            (false, false) => Protocol::Esmtp,
            (true, false) => Protocol::Esmtps,
            (false, true) => Protocol::Esmtpa,
            (true, true) => Protocol::Esmtpsa,
        }
    }

    /// The word of the registry.
    pub fn word(self) -> &'static str {
        match self {
            Protocol::Smtp => "SMTP",
            Protocol::Esmtp => "ESMTP",
            Protocol::Esmtps => "ESMTPS",
            Protocol::Esmtpa => "ESMTPA",
            Protocol::Esmtpsa => "ESMTPSA",
            Protocol::Local => "local",
        }
    }
}

/// What a `Received:` field says.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// What the client called itself in HELO or EHLO; anybody's text.
    pub helo: &'a str,
    /// The client's address.
    pub client: IpAddr,
    /// Our name.
    pub hostname: &'a Domain,
    /// How it came in.
    pub protocol: Protocol,
    /// Version and cipher of TLS.
    pub tls: Option<&'a str>,
    /// Our id for it.
    pub id: QueueId,
}

impl Received<'_> {
    /// The field, folded, with its CRLF. The recipient is named only when it is the only one, since naming several would show
    /// blind copies to each other (RFC 5321, 7.6).
    pub fn field(&self, envelope: &Envelope) -> String {
        let mut words = vec![
            format!("from {}", spoken_name(self.helo)),
            format!("({})", Host::Literal(self.client.to_canonical())),
            format!("by {}", self.hostname),
            "(Sendoff)".to_owned(),
            format!("with {}", self.protocol.word()),
        ];
        words.extend(self.tls.map(|terms| format!("({terms})")));
        match envelope.recipients.as_slice() {
            [only] => words.extend([format!("id {}", self.id), format!("for <{only}>;")]),
            _ => words.push(format!("id {};", self.id)),
        }
        words.push(rfc5322(envelope.accepted));
        field("Received", words)
    }
}

/// The name a client gave, as it may stand in a trace field: a domain or literal in its normal form; of anything else the
/// characters of a domain, at most 255, and `?` for the rest, so that it stays evidence but no syntax.
fn spoken_name(helo: &str) -> String {
    if let Ok(host) = Host::parse(helo) {
        return host.to_string();
    }
    let tame = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '?' };
    let name: String = helo.chars().take(255).map(tame).collect();
    if name.is_empty() { "unknown".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{BodyType, Headers};
    use crate::smtp::{Mailbox, ReversePath};
    use crate::time::Unix;
    use proptest::prelude::*;

    fn received(helo: &str, recipients: &[&str]) -> String {
        let hostname = Domain::parse("relay.example.org").unwrap();
        let received = Received {
            helo,
            client: "::ffff:192.0.2.1".parse().unwrap(),
            hostname: &hostname,
            protocol: Protocol::Esmtp,
            tls: None,
            id: QueueId::from_row(1_700_000_000_000_000),
        };
        received.field(&Envelope {
            reverse_path: ReversePath::NULL,
            body_type: BodyType::SevenBit,
            recipients: recipients.iter().map(|text| Mailbox::parse(text).unwrap()).collect(),
            accepted: Unix(1_709_294_400),
        })
    }

    #[test]
    fn a_single_recipient_is_named() {
        assert_eq!(
            received("Client.example.com", &["bob@example.net"]),
            "Received: from client.example.com ([192.0.2.1]) by relay.example.org (Sendoff)\r\n \
             with ESMTP id 1GA4GC1WG00 for <bob@example.net>;\r\n \
             Fri, 01 Mar 2024 12:00:00 +0000\r\n"
        );
    }

    #[test]
    fn tls_and_auth_are_told() {
        let protocol = |tls, auth| Protocol::esmtp(tls, auth).word();
        assert_eq!(
            [protocol(false, true), protocol(true, false), protocol(true, true)],
            ["ESMTPA", "ESMTPS", "ESMTPSA"]
        );
        let hostname = Domain::parse("relay.example.org").unwrap();
        let received = Received {
            helo: "c",
            client: [192, 0, 2, 1].into(),
            hostname: &hostname,
            protocol: Protocol::Esmtpsa,
            tls: Some("TLSv1.3 TLS_AES_256_GCM_SHA384"),
            id: QueueId::from_row(1),
        };
        let (reverse_path, body_type) = (ReversePath::NULL, BodyType::SevenBit);
        let text =
            received.field(&Envelope { reverse_path, body_type, recipients: Vec::new(), accepted: Unix(0) });
        let text = text.replace("\r\n", "");
        assert!(text.contains(" with ESMTPSA (TLSv1.3 TLS_AES_256_GCM_SHA384) id 00000000001;"), "{text}");
    }

    #[test]
    fn several_recipients_are_not() {
        let text = received("[192.0.2.7]", &["bob@example.net", "eve@example.net"]);
        assert!(text.starts_with("Received: from [192.0.2.7] ([192.0.2.1])"), "{text}");
        assert!(!text.contains("example.net") && !text.contains(" for "), "{text}");
    }

    #[test]
    fn a_hostile_name_is_evidence_but_no_syntax() {
        let text = received("a) by evil (b;\r\nBcc: c@d", &["bob@example.net"]);
        assert!(text.starts_with("Received: from a??by?evil??b???Bcc??c?d ([192.0.2.1])"), "{text}");
        assert!(received("", &[]).starts_with("Received: from unknown ("));
        assert!(received(&"\u{fc}".repeat(5000), &[]).lines().all(|line| line.len() <= 998));
    }

    proptest! {
        #[test]
        fn any_name_gives_one_field_of_one_hop(helo in "\\PC{0,300}|[\\r\\n a:]{0,9}", quoted in "[ -!#-\\[\\]-~]{0,60}") {
            let long = format!("\"{quoted}\"@{}example", "label.".repeat(40));
            let text = received(&helo, &[&long]);
            prop_assert!(text.ends_with("\r\n") && text.lines().all(|line| line.len() <= 998));
            let headers = Headers::of(text.as_bytes());
            prop_assert_eq!((headers.hops(), headers.fields().count()), (1, 1));
        }
    }
}
