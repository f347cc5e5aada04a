//! Replies, as a server says them (RFC 5321, 4.2; RFC 2034).
//!
//! Each positive reply has its own constructor, and `250 queued` is made only from a [`Proof`]: nothing unsaved can be
//! acknowledged. Every other reply is a [`Refusal`], which is never positive.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Proof;
use crate::smtp::{Domain, EnhancedStatus, Refusal};

/// A reply to a client.
///
/// ```compile_fail
/// use sendoff::{mail::QueueId, server::Response};
/// let said = Response::queued(&QueueId::from_row(1)); // an id is no proof
/// ```
/// ```
/// use sendoff::{mail::QueueId, server::{Proof, Response}};
/// struct Durable(QueueId); // stands for the spool's proof
/// impl Proof for Durable {
///     fn id(&self) -> QueueId {
///         self.0
///     }
/// }
/// let said = Response::queued(&Durable(QueueId::from_row(1)));
/// assert_eq!(said.code(), 250);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    code: u16,
    status: Option<EnhancedStatus>,
    lines: Vec<Cow<'static, str>>,
}

impl Response {
    /// The greeting. Without an enhanced status code, as all replies before EHLO's (RFC 2034, 3).
    pub fn greeting(hostname: &Domain) -> Response {
        Response { code: 220, status: None, lines: vec![format!("{hostname} ESMTP Sendoff").into()] }
    }

    /// The reply to HELO.
    pub fn helo(hostname: &Domain) -> Response {
        Response { code: 250, status: None, lines: vec![hostname.to_string().into()] }
    }

    /// The reply to EHLO, with what we offer (RFC 5321, 4.1.1.1): STARTTLS, and AUTH with these mechanisms, where they can
    /// be used.
    pub fn ehlo(hostname: &Domain, max_message_size: u64, tls: bool, mechanisms: &[&str]) -> Response {
        let mut lines = vec![
            hostname.to_string().into(),
            "PIPELINING".into(),
            format!("SIZE {max_message_size}").into(),
            "8BITMIME".into(),
            "ENHANCEDSTATUSCODES".into(),
        ];
        if tls {
            lines.push("STARTTLS".into());
        }
        if !mechanisms.is_empty() {
            lines.push(format!("AUTH {}", mechanisms.join(" ")).into());
        }
        lines.push("HELP".into());
        Response { code: 250, status: None, lines }
    }

    /// The reply to MAIL.
    pub fn reverse_path_ok() -> Response {
        Response::positive(250, 1, 0, "reverse-path ok")
    }

    /// The reply to RCPT.
    pub fn forward_path_ok() -> Response {
        Response::positive(250, 1, 5, "forward-path ok")
    }

    /// The reply to RSET and NOOP.
    pub fn ok() -> Response {
        Response::positive(250, 0, 0, "ok")
    }

    /// The reply to VRFY: nothing is said about whom we know (RFC 5321, 3.5.3).
    pub fn cannot_verify() -> Response {
        Response::positive(252, 5, 0, "cannot verify, but will take mail and try")
    }

    /// The reply to HELP.
    pub fn help() -> Response {
        Response::positive(214, 0, 0, "EHLO HELO STARTTLS AUTH MAIL RCPT DATA RSET NOOP VRFY HELP QUIT")
    }

    /// The reply to QUIT.
    pub fn bye(hostname: &Domain) -> Response {
        let words = format!("{hostname} closing");
        Response { lines: vec![words.into()], ..Response::positive(221, 0, 0, "") }
    }

    /// The reply to STARTTLS (RFC 3207, 4).
    pub fn start_tls() -> Response {
        Response::positive(220, 0, 0, "begin the handshake")
    }

    /// A challenge of AUTH, in base64 (RFC 4954, 4); nothing is said in clear words.
    pub fn challenge(octets: &[u8]) -> Response {
        Response { code: 334, status: None, lines: vec![STANDARD.encode(octets).into()] }
    }

    /// The client is who it says it is (RFC 4954, 4).
    pub fn authenticated() -> Response {
        Response::positive(235, 7, 0, "authenticated")
    }

    /// The reply to DATA: go on.
    pub fn send_data() -> Response {
        Response { code: 354, status: None, lines: vec!["send the data, end with <CRLF>.<CRLF>".into()] }
    }

    /// The message is safe, and is ours.
    pub fn queued(proof: &impl Proof) -> Response {
        let words = format!("queued as {}", proof.id());
        Response { lines: vec![words.into()], ..Response::positive(250, 0, 0, "") }
    }

    fn positive(code: u16, subject: u16, detail: u16, words: &'static str) -> Response {
        Response {
            code,
            status: Some(EnhancedStatus::new(2, subject, detail)),
            lines: vec![Cow::Borrowed(words)],
        }
    }

    /// The three-digit code.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// Appends the reply to `out` as it goes over the wire: lines of at most 512 octets (RFC 5321, 4.5.3.1.5), in
    /// printable ASCII whatever the words were made of.
    pub fn write(&self, out: &mut Vec<u8>) {
        for (n, line) in self.lines.iter().enumerate() {
            let end = if n + 1 == self.lines.len() { ' ' } else { '-' };
            let mut text = format!("{}{end}", self.code);
            if let Some(status) = self.status {
                text.push_str(&format!("{status} "));
            }
            text.extend(line.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }));
            // A challenge cannot be cut; it has a length of ours, and RFC 4954, 4 gives it 12,288 octets.
            if self.code != 334 {
                text.truncate(510);
            }
            out.extend_from_slice(text.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

impl fmt::Display for Response {
    /// The first line, as it goes to the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        self.status.iter().try_for_each(|status| write!(f, " {status}"))?;
        self.lines.iter().take(1).try_for_each(|line| write!(f, " {line}"))
    }
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Response {
        let lines = vec![Cow::Owned(refusal.words().to_owned())];
        Response { code: refusal.code(), status: Some(refusal.status()), lines }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(response: &Response) -> String {
        let mut out = Vec::new();
        response.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn replies_have_their_form() {
        let hostname = Domain::parse("relay.example").unwrap();
        assert_eq!(wire(&Response::greeting(&hostname)), "220 relay.example ESMTP Sendoff\r\n");
        assert_eq!(wire(&Response::bye(&hostname)), "221 2.0.0 relay.example closing\r\n");
        assert_eq!(
            wire(&Response::ehlo(&hostname, 1000, false, &[])),
            "250-relay.example\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 HELP\r\n"
        );
    }

    #[test]
    fn what_can_be_used_is_offered_and_a_challenge_is_whole() {
        let hostname = Domain::parse("relay.example").unwrap();
        let said = wire(&Response::ehlo(&hostname, 1000, true, &["PLAIN", "LOGIN"]));
        assert!(said.contains("\r\n250-STARTTLS\r\n250-AUTH PLAIN LOGIN\r\n250 HELP\r\n"), "{said}");
        assert_eq!(wire(&Response::challenge(b"")), "334 \r\n");
        assert_eq!(wire(&Response::challenge(b"Username:")), "334 VXNlcm5hbWU6\r\n");
        assert!(wire(&Response::challenge(&[0; 900])).len() > 1200);
    }

    #[test]
    fn foreign_words_make_no_second_line() {
        let refusal = Refusal::new(451, 3, 0, "").saying("a\r\n250 b\u{e9}".repeat(200));
        let said = wire(&refusal.into());
        assert!(said.starts_with("451 4.3.0 a??250 b?") && said.len() == 512, "{said}");
        assert_eq!(said.matches('\n').count(), 1);
    }
}
