//! Composing a letter: the parts of a report, and the frame around them.

use super::original::Original;
use super::report::{Kind, Letter, Report};
use super::status::delivery_status;
use super::words::human;
use crate::mail::{BodyType, Envelope, field, rfc5322};
use crate::smtp::{Mailbox, ReversePath};

/// Composes the letter that tells `to` of a report.
///
/// That `to` is a mailbox is the proof that a letter may be written at all: of a reverse-path, only
/// [`ReversePath::mailbox`] gives one, and only when it is not null. So a bounce cannot bounce (RFC 5321, 6.1).
///
/// ```compile_fail
/// use sendoff::bounce::{Letter, Report, compose};
/// use sendoff::smtp::ReversePath;
/// fn tell(report: &Report, to: &ReversePath) -> Letter {
///     compose(report, to) // expected `&Mailbox`, found `&ReversePath`
/// }
/// ```
/// ```
/// use sendoff::bounce::{Letter, Report, compose};
/// use sendoff::smtp::ReversePath;
/// fn tell(report: &Report, to: &ReversePath) -> Option<Letter> {
///     to.mailbox().map(|to| compose(report, to))
/// }
/// ```
pub fn compose(report: &Report, to: &Mailbox) -> Letter {
    let original = Original::of(report.headers);
    let mut parts = vec![
        part("text/plain; charset=us-ascii", "Notification", false, human(report).as_bytes()),
        part("message/delivery-status", "Delivery report", false, delivery_status(report).as_bytes()),
    ];
    if !original.octets.is_empty() {
        parts.push(part("text/rfc822-headers", "Message headers", original.eight_bit, &original.octets));
    }
    let boundary = boundary(report.boundary, &parts);
    let mut octets = top(report, to, &original, &boundary).into_bytes();
    for part in &parts {
        octets.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        octets.extend_from_slice(part);
    }
    octets.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    let envelope = Envelope {
        reverse_path: ReversePath::NULL,
        body_type: if original.eight_bit { BodyType::EightBitMime } else { BodyType::SevenBit },
        recipients: vec![to.clone()],
        accepted: report.now,
    };
    Letter { envelope, octets }
}

/// The header section of the letter, with its empty line and the preamble.
fn top(report: &Report, to: &Mailbox, original: &Original, boundary: &str) -> String {
    let hostname = report.hostname;
    let subject = match report.kind {
        Kind::Failed => "Undelivered mail: your message could not be delivered",
        Kind::Delayed { .. } => "Delayed mail: your message is still being tried",
    };
    let id = format!("<{}.{}@{hostname}>", report.id, token(report.boundary));
    let mut text = field("From", ["Mail Delivery System".to_owned(), format!("<MAILER-DAEMON@{hostname}>")]);
    text += &field("To", [format!("<{to}>")]);
    text += &field("Subject", [subject]);
    text += &field("Date", [rfc5322(report.now)]);
    text += &field("Message-ID", [id]);
    // The letter stands beside its message in the reader's list (RFC 3834, 3.1.6).
    if let Some(id) = &original.message_id {
        text += &field("In-Reply-To", [id]);
        text += &field("References", [id]);
    }
    text += &field("Auto-Submitted", ["auto-replied"]);
    text += &field("MIME-Version", ["1.0"]);
    let boundary = format!("boundary=\"{boundary}\"");
    text += &field("Content-Type", ["multipart/report;", "report-type=delivery-status;", &boundary]);
    if original.eight_bit {
        text += &field("Content-Transfer-Encoding", ["8bit"]);
    }
    text + "\r\nThis is a report in several parts (RFC 3464).\r\n\r\n"
}

/// A part, from its header to the line end before the next boundary.
fn part(content_type: &str, description: &str, eight_bit: bool, body: &[u8]) -> Vec<u8> {
    let mut text = field("Content-Type", [content_type]) + &field("Content-Description", [description]);
    if eight_bit {
        text += &field("Content-Transfer-Encoding", ["8bit"]);
    }
    text += "\r\n";
    [text.as_bytes(), body, b"\r\n"].concat()
}

/// A boundary that none of the parts has in it: the token, and a counter for the case that a part has the token.
fn boundary(wish: &str, parts: &[Vec<u8>]) -> String {
    let token = token(wish);
    let mut boundary = format!("sendoff-{token}");
    let mut count = 0u64;
    while parts.iter().any(|part| memchr::memmem::find(part, boundary.as_bytes()).is_some()) {
        count += 1;
        boundary = format!("sendoff-{token}-{count}");
    }
    boundary
}

/// The letters and digits of `wish`, 40 at most, so that a boundary stays below 70 characters (RFC 2046, 5.1.1).
fn token(wish: &str) -> String {
    wish.chars().filter(char::is_ascii_alphanumeric).take(40).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::bounce::ReportedRecipient;
    use crate::mail::{Blame, Diagnostic, Failure, Headers, QueueId, Remote};
    use crate::smtp::{Domain, EnhancedStatus, Reply};
    use crate::time::{Phase, Unix};
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use std::io::Write;
    use std::process::{Command, Stdio};

    /// A recipient that `mx.example.net` refused.
    pub fn refused(address: &str, diagnostic: Diagnostic) -> ReportedRecipient {
        let failure = Failure {
            blame: Blame::Recipient,
            phase: Phase::Rcpt,
            status: EnhancedStatus::new(5, 1, 1),
            diagnostic,
            remote: Some(Remote::new("mx.example.net", Some([192, 0, 2, 1].into()))),
            duplicate: false,
        };
        ReportedRecipient {
            address: Mailbox::parse(address).unwrap(),
            failure,
            last_attempt: Some(Unix(86_400)),
        }
    }

    /// A letter about `recipients`, written a day after 1970 began.
    pub fn letter(kind: Kind, recipients: Vec<ReportedRecipient>, headers: &[u8]) -> Letter {
        let hostname = Domain::parse("relay.example.org").unwrap();
        let id = QueueId::from_row(1_700_000_000_000_000);
        let (accepted, now, boundary) = (Unix(0), Unix(86_400), "Zm9vYmFy0123");
        let report = Report { kind, hostname: &hostname, id, accepted, recipients, headers, now, boundary };
        compose(&report, &Mailbox::parse("jane@example.com").unwrap())
    }

    const READER: &str = r#"
import email, email.policy, json, sys
m = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
def text(p):
    return p.get_payload(decode=True).decode('latin-1')
def part(p):
    if p.get_content_type() == 'message/delivery-status':
        return [{k: ' '.join(str(v).split()) for k, v in group.items()} for group in p.get_payload()]
    return text(p)
print(json.dumps({
    'headers': {k: str(v) for k, v in m.items()},
    'type': m.get_content_type(),
    'report': m.get_param('report-type'),
    'types': [p.get_content_type() for p in m.iter_parts()],
    'parts': [part(p) for p in m.iter_parts()],
    'defects': [repr(d) for p in m.walk() for d in p.defects],
}))
"#;

    /// What a MIME reader that is not ours, Python's, makes of a letter; `None` where there is no Python.
    fn read(octets: &[u8]) -> Option<Value> {
        let mut python = Command::new("python3");
        python.args(["-c", READER]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let Ok(mut child) = python.spawn() else {
            eprintln!("SKIPPED: there is no python3, so no foreign reader has read this letter");
            return None;
        };
        child.stdin.take().unwrap().write_all(octets).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(octets));
        Some(serde_json::from_slice(&output.stdout).unwrap())
    }

    #[test]
    fn a_foreign_reader_reads_a_failure() {
        let reply = Diagnostic::Smtp(Reply::new(550, "5.1.1 no such user"));
        let headers = b"From: jane@example.com\r\nSubject: hi\r\nMessage-Id: <a@b>\r\n\r\nbody\r\n";
        let letter = letter(Kind::Failed, vec![refused("bob@example.net", reply)], headers);
        assert_eq!(letter.envelope.reverse_path, ReversePath::NULL);
        assert_eq!(letter.envelope.body_type, BodyType::SevenBit);
        let Some(read) = read(&letter.octets) else { return };
        assert_eq!((&read["type"], &read["report"]), (&json!("multipart/report"), &json!("delivery-status")));
        assert_eq!(read["types"], json!(["text/plain", "message/delivery-status", "text/rfc822-headers"]));
        assert_eq!(read["defects"], json!([]));
        assert_eq!(
            read["headers"],
            json!({
                "From": "Mail Delivery System <MAILER-DAEMON@relay.example.org>",
                "To": "jane@example.com",
                "Subject": "Undelivered mail: your message could not be delivered",
                "Date": "Fri, 02 Jan 1970 00:00:00 +0000",
                "Message-ID": "<1GA4GC1WG00.Zm9vYmFy0123@relay.example.org>",
                "In-Reply-To": "<a@b>",
                "References": "<a@b>",
                "Auto-Submitted": "auto-replied",
                "MIME-Version": "1.0",
                "Content-Type": "multipart/report; report-type=\"delivery-status\"; boundary=\"sendoff-Zm9vYmFy0123\"",
            })
        );
        assert_eq!(
            read["parts"][1],
            json!([
                {
                    "Reporting-MTA": "dns; relay.example.org",
                    "X-Sendoff-Queue-ID": "1GA4GC1WG00",
                    "Arrival-Date": "Thu, 01 Jan 1970 00:00:00 +0000",
                },
                {
                    "Final-Recipient": "rfc822; bob@example.net",
                    "Action": "failed",
                    "Status": "5.1.1",
                    "Remote-MTA": "dns; mx.example.net",
                    "Diagnostic-Code": "smtp; 550 5.1.1 no such user",
                    "Last-Attempt-Date": "Fri, 02 Jan 1970 00:00:00 +0000",
                },
            ])
        );
        assert_eq!(read["parts"][2], "From: jane@example.com\r\nSubject: hi\r\nMessage-Id: <a@b>\r\n");
    }

    #[test]
    fn a_foreign_reader_reads_a_delay_of_two() {
        let mut unreached = refused("bob@example.net", Diagnostic::Local("connection refused".into()));
        unreached.failure.phase = Phase::Connect;
        let slow = refused("\"a b\"@example.net", Diagnostic::Smtp(Reply::new(451, "later")));
        let letter = letter(Kind::Delayed { until: Unix(432_000) }, vec![unreached, slow], b"");
        let Some(read) = read(&letter.octets) else { return };
        assert_eq!(read["types"], json!(["text/plain", "message/delivery-status"]));
        assert_eq!(read["defects"], json!([]));
        let [first, second] = [&read["parts"][1][1], &read["parts"][1][2]];
        assert_eq!(first["Diagnostic-Code"], "x-sendoff; connection refused");
        assert_eq!(first.get("Remote-MTA"), None, "a host that was not reached reported nothing");
        assert_eq!((&first["Action"], &first["Status"]), (&json!("delayed"), &json!("4.1.1")));
        assert_eq!(first["Will-Retry-Until"], "Tue, 06 Jan 1970 00:00:00 +0000");
        assert_eq!(second["Final-Recipient"], "rfc822; \"a b\"@example.net");
        assert_eq!(second["Remote-MTA"], "dns; mx.example.net");
    }

    #[test]
    fn a_foreign_reader_is_not_deceived_by_hostile_text() {
        let hostile = "5.1.1 %s\r\n\r\n--sendoff-Zm9vYmFy0123--\r\nAction: delivered\n\u{fc}";
        let headers = "Subject: gr\u{fc}n\r\n--sendoff-Zm9vYmFy0123: x\r\nX: --sendoff-Zm9vYmFy0123-1--\r\n\
                       Message-ID: <a@b>\r\n\tBcc: <c@d>\r\nCut"
            .as_bytes();
        for diagnostic in [Diagnostic::Smtp(Reply::new(550, hostile)), Diagnostic::Local(hostile.into())] {
            let mut recipient = refused("bob@example.net", diagnostic);
            recipient.failure.remote = Some(Remote::new("mx\r\nAction: delivered\r\n\r\n", None));
            let letter = letter(Kind::Failed, vec![recipient], headers);
            assert_eq!(letter.envelope.body_type, BodyType::EightBitMime);
            let Some(read) = read(&letter.octets) else { return };
            assert_eq!(read["defects"], json!([]));
            assert_eq!(
                read["types"],
                json!(["text/plain", "message/delivery-status", "text/rfc822-headers"])
            );
            assert_eq!(read["parts"][1].as_array().map(Vec::len), Some(2));
            assert_eq!(read["parts"][1][1]["Action"], "failed");
            assert_eq!(read["headers"].get("In-Reply-To"), None);
            assert_eq!(read["headers"]["Content-Transfer-Encoding"], "8bit");
            let shown: String = headers.iter().map(|octet| char::from(*octet)).collect();
            assert_eq!(read["parts"][2], shown + "\r\n");
        }
    }

    /// What holds for every letter, whoever's words are in it.
    fn check(letter: &Letter, parts: usize) {
        let octets = &letter.octets;
        let mut lines: Vec<&[u8]> = octets.split(|octet| *octet == b'\n').collect();
        assert_eq!(lines.pop(), Some(b"".as_slice()), "it ends with a line end");
        for line in &lines {
            let line = line.strip_suffix(b"\r").expect("every line end is CRLF");
            assert!(line.len() <= 998 && !line.contains(&b'\r') && !line.contains(&0));
        }
        assert!(octets.is_ascii() || letter.envelope.body_type == BodyType::EightBitMime);
        let headers = Headers::of(octets);
        assert!(headers.is_whole());
        let names: Vec<_> =
            headers.fields().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect();
        for name in
            ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"]
        {
            assert_eq!(names.iter().filter(|other| *other == name).count(), 1, "{names:?}");
        }
        let content_type = String::from_utf8_lossy(headers.get("Content-Type").unwrap()).into_owned();
        let boundary = content_type.split('"').nth(1).unwrap();
        assert!(boundary.len() <= 70);
        let body = &octets[headers.block().len()..];
        assert_eq!(memchr::memmem::find_iter(body, boundary).count(), parts + 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn nobodys_words_leave_their_place(
            words in "\\PC{0,80}|[\\r\\n -]{0,40}|(\r\n)?--sendoff-Zm9vYmFy0123(-1)?(--)?(\r\n)?|x{3000}|(a ){2000}",
            name in "\\PC{0,20}|[\\r\\n:]{0,5}",
            headers in prop::collection::vec(prop::sample::select(vec![
                &b"Subject: a"[..], b"\r\n", b"\n", b"\r", b"\0", b" ", b"X:", b"\xff", &[b'y'; 1500], b"Message-ID: <a@b>",
                b"--sendoff-Zm9vYmFy0123",
            ]), 0..20),
            ours: bool,
            delayed: bool,
            phase in 0usize..12,
        ) {
            let diagnostic = if ours { Diagnostic::Local(words) } else { Diagnostic::Smtp(Reply::new(450, &words)) };
            let mut recipient = refused("bob@example.net", diagnostic);
            recipient.failure.phase = Phase::ALL[phase];
            recipient.failure.duplicate = ours;
            recipient.failure.remote = Some(Remote::new(name, None));
            let kind = if delayed { Kind::Delayed { until: Unix(5) } } else { Kind::Failed };
            let headers = headers.concat();
            let parts = if Headers::of(&headers).block().is_empty() { 2 } else { 3 };
            check(&letter(kind, vec![recipient.clone(), recipient], &headers), parts);
        }
    }
}
