//! A message as callers of sendmail(1) write it, made one that may travel: pure.
//!
//! Line ends become CRLF, a dot alone ends it unless that is text, `Bcc:` goes, and `From:`, `Date:` and `Message-ID:` are
//! added where they are missing (RFC 6409, 8). Nothing else is changed.

use super::addresses::addresses;
use crate::cli::send::crlf;
use crate::mail::{Headers, rfc5322};
use crate::time::Unix;

/// Who writes, and when.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    /// The address of who writes, for `From:`.
    pub(super) address: String,
    /// The name beside it.
    pub(super) full_name: Option<String>,
    /// This machine's name: what an address without a host gets.
    pub(super) hostname: String,
    /// The time.
    pub(super) now: Unix,
    /// What makes a `Message-ID` one of its kind.
    pub(super) unique: String,
}

/// A message that may travel.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Letter {
    /// CRLF line ends.
    pub(super) octets: Vec<u8>,
    /// Those in `To:`, `Cc:` and `Bcc:`, or in the `Resent-` fields if there are any.
    pub(super) recipients: Vec<String>,
    /// The end of the header was not found where headers end: what lies beyond has not been looked at.
    pub(super) is_endless: bool,
}

/// Reads what stands on standard input.
pub(super) fn letter(text: &[u8], dot_is_text: bool, origin: &Origin) -> Letter {
    let text = if dot_is_text { text } else { up_to_the_dot(text) };
    // A mailbox's separator is no field; mail(1) may leave it there.
    let text = match text.strip_prefix(b"From ") {
        Some(rest) => rest.splitn(2, |octet| *octet == b'\n').nth(1).unwrap_or_default(),
        None => text,
    };
    let message = crlf(text);
    let headers = Headers::of(&message);
    let block = headers.block();
    let mut out = Vec::with_capacity(message.len() + 256);
    let has = |name: &str| headers.get(name).is_some();
    if !has("From") {
        out.extend_from_slice(from(origin).as_bytes());
    }
    if !has("Date") {
        out.extend_from_slice(format!("Date: {}\r\n", rfc5322(origin.now)).as_bytes());
    }
    if !has("Message-ID") {
        let id = format!("Message-ID: <{}@{}>\r\n", origin.unique, origin.hostname);
        out.extend_from_slice(id.as_bytes());
    }
    for (name, body) in headers.fields() {
        // Who is in it is not to be known to the others (RFC 5322, 3.6.3).
        if !is(name, &["bcc", "resent-bcc"]) {
            out.extend_from_slice(name);
            out.push(b':');
            out.extend_from_slice(body);
        }
    }
    let rest = &message[block.len()..];
    // What does not begin with an empty line is a body without one.
    if !rest.starts_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(rest);
    let resent = ["resent-to", "resent-cc", "resent-bcc"];
    let which: &[&str] =
        if headers.fields().any(|(name, _)| is(name, &resent)) { &resent } else { &["to", "cc", "bcc"] };
    let bodies = headers.fields().filter(|(name, _)| is(name, which));
    let recipients = bodies.flat_map(|(_, body)| addresses(&String::from_utf8_lossy(body))).collect();
    Letter { octets: out, recipients, is_endless: !headers.is_whole() && block.len() < message.len() }
}

/// An address with a host: this machine's, when it has none.
pub(super) fn qualified(address: &str, hostname: &str) -> String {
    let address = address.trim();
    let address = address.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(address);
    match address.is_empty() || address.contains('@') {
        true => address.to_owned(),
        false => format!("{address}@{hostname}"),
    }
}

fn is(name: &[u8], which: &[&str]) -> bool {
    which.iter().any(|wanted| name.eq_ignore_ascii_case(wanted.as_bytes()))
}

fn up_to_the_dot(text: &[u8]) -> &[u8] {
    let mut at = 0;
    for line in text.split_inclusive(|octet| *octet == b'\n') {
        if matches!(line, b"." | b".\n" | b".\r\n") {
            return &text[..at];
        }
        at += line.len();
    }
    text
}

fn from(origin: &Origin) -> String {
    let name = origin.full_name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    match name {
        None => format!("From: <{}>\r\n", origin.address),
        Some(name) if name.chars().all(|c| matches!(c, ' '..='~')) => {
            let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
            format!("From: \"{quoted}\" <{}>\r\n", origin.address)
        }
        // Words of RFC 2047, section 4.2; short enough for a line each, and never a character cut in two.
        Some(name) => {
            let mut words = vec![String::new()];
            for c in name.chars() {
                let mut octets = [0; 4];
                let coded: String =
                    c.encode_utf8(&mut octets).bytes().map(|octet| format!("={octet:02X}")).collect();
                let full = words.last().is_none_or(|word| word.len() + coded.len() > 48);
                if full {
                    words.push(String::new());
                }
                words.last_mut().into_iter().for_each(|word| word.push_str(&coded));
            }
            let words: Vec<_> = words.iter().map(|word| format!("=?utf-8?Q?{word}?=")).collect();
            format!("From: {} <{}>\r\n", words.join("\r\n "), origin.address)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        Origin {
            address: "ann@h.test".into(),
            full_name: None,
            hostname: "h.test".into(),
            now: Unix(0),
            unique: "7".into(),
        }
    }

    fn of(text: &str) -> (String, Vec<String>) {
        let letter = letter(text.as_bytes(), false, &origin());
        (String::from_utf8(letter.octets).unwrap(), letter.recipients)
    }

    const ADDED: &str =
        "From: <ann@h.test>\r\nDate: Thu, 01 Jan 1970 00:00:00 +0000\r\nMessage-ID: <7@h.test>\r\n";

    #[test]
    fn what_is_missing_is_added_and_nothing_else_is_changed() {
        let whole = "From: a@x.test\r\nDate: now\r\nMessage-ID: <1@x>\r\nX:  y\r\n z\r\n\r\nhello\r\n";
        assert_eq!(of(&whole.replace('\r', "")).0, whole);
        assert_eq!(of("Subject: x\n\nhello").0, format!("{ADDED}Subject: x\r\n\r\nhello\r\n"));
        assert_eq!(of("no header\n").0, format!("{ADDED}\r\nno header\r\n"));
        assert_eq!(
            of("Subject: x\nno empty line\n").0,
            format!("{ADDED}Subject: x\r\n\r\nno empty line\r\n")
        );
        assert_eq!(of("From me Thu Jan 1\nSubject: x\n\ny\n").0, format!("{ADDED}Subject: x\r\n\r\ny\r\n"));
        assert_eq!(of("").0, format!("{ADDED}\r\n"));
    }

    #[test]
    fn a_dot_ends_it_unless_it_is_text() {
        assert_eq!(of("Subject: x\n\none\n.\ntwo\n").0, format!("{ADDED}Subject: x\r\n\r\none\r\n"));
        let text = letter(b"Subject: x\n\n.\n..\n", true, &origin());
        assert!(text.octets.ends_with(b"\r\n\r\n.\r\n..\r\n"));
    }

    #[test]
    fn recipients_stand_in_the_header_and_bcc_does_not_travel() {
        let (text, to) = of("To: A <a@x.test>,\n b@x.test\nBCC: c@x.test,\n d@x.test\nCc: e@x.test\n\nhi\n");
        assert_eq!(to, ["a@x.test", "b@x.test", "c@x.test", "d@x.test", "e@x.test"]);
        assert!(
            !text.contains("c@x.test") && !text.contains("d@x.test") && text.contains("Cc: e@x.test"),
            "{text}"
        );
        assert_eq!(of("To: a@x.test\nResent-To: b@x.test\n\n").1, ["b@x.test"]);
    }

    #[test]
    fn a_name_breaks_out_of_nothing() {
        let named = |name: &str| from(&Origin { full_name: Some(name.into()), ..origin() });
        assert_eq!(named("Cron \"x\" \\"), "From: \"Cron \\\"x\\\" \\\\\" <ann@h.test>\r\n");
        assert_eq!(named("J\u{fc}r"), "From: =?utf-8?Q?=4A=C3=BC=72?= <ann@h.test>\r\n");
        assert_eq!(named("a\r\nBcc: b").matches("\r\n").count(), 1);
        assert!(named(&"\u{20ac}".repeat(40)).lines().all(|line| line.len() < 80));
        assert_eq!(qualified("root", "h.test"), "root@h.test");
        assert_eq!(qualified("<a@b>", "h.test"), "a@b");
        assert_eq!(qualified("<>", "h.test"), "");
    }
}
