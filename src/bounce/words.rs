//! The part that a person reads: which address, which host said what and when, or what we observed; what happens next.

use super::expired::{EXPIRED, RETURNED, in_words};
use super::report::{Kind, Report, ReportedRecipient};
use crate::mail::{Diagnostic, ascii, rfc5322};
use crate::smtp::Reply;

/// The most characters of a diagnostic that are quoted: enough for every honest one.
const MOST: usize = 1000;
/// The most characters of a line, as far as words allow.
const WIDTH: usize = 76;

/// The body of the text/plain part: ASCII, CRLF, no line over 998.
pub fn human(report: &Report) -> String {
    let many = report.recipients.len() != 1;
    let whom = if many { "the recipients below" } else { "the recipient below" };
    let accepted = rfc5322(report.accepted);
    let mut text = String::new();
    say(&mut text, "", &format!("This is the mail system at {}.", report.hostname));
    text += "\r\n";
    match report.kind {
        Kind::Failed => say(
            &mut text,
            "",
            &format!(
                "I am sorry: your message, which I accepted on {accepted}, could not be delivered to {whom}. I have \
                 given up on it, and will not try again. Its headers are attached, so that you can tell which message \
                 it was."
            ),
        ),
        Kind::Delayed { until } => say(
            &mut text,
            "",
            &format!(
                "This is only a notice of a delay. You need not do anything, and need not send your message again. I \
                 accepted it on {accepted}, and could not yet deliver it to {whom}. I keep trying until {}; if it \
                 cannot be delivered by then, I will tell you. Its headers are attached, so that you can tell which \
                 message it is.",
                rfc5322(until)
            ),
        ),
    }
    for recipient in &report.recipients {
        text += "\r\n";
        tell(&mut text, report, recipient);
    }
    text += "\r\n";
    if report.kind == Kind::Failed {
        let address = if many { "each address" } else { "the address" };
        say(
            &mut text,
            "",
            &format!(
                "What you can do: check {address} for mistakes, and send the message again when what is said above has \
                 been put right. If you ask for help, please give the queue id {} and this letter.",
                report.id
            ),
        );
    } else {
        say(&mut text, "", &format!("If you ask for help, please give the queue id {}.", report.id));
    }
    text
}

/// What became of one recipient.
fn tell(text: &mut String, report: &Report, recipient: &ReportedRecipient) {
    let failure = &recipient.failure;
    let phase = failure.phase.words();
    let host = failure.remote.as_ref().map(ToString::to_string);
    say(text, "", &format!("<{}>", recipient.address));
    match &failure.diagnostic {
        Diagnostic::Smtp(reply) => {
            // A transient reply in a final failure: it was the time that ran out.
            if report.kind == Kind::Failed && !reply.is_permanent() {
                let age = in_words(report.now.since(report.accepted));
                say(text, "  ", &format!("I tried for {age} without success. This was the last answer:"));
            }
            let host = host.unwrap_or_else(|| "the other host".to_owned());
            say(text, "  ", &format!("While I was {phase}, {host} said:"));
            quote(text, reply);
        }
        Diagnostic::Local(words) if failure.status == RETURNED => {
            say(text, "  ", &format!("The operator of this mail system returns it: {}.", cut(words)));
        }
        Diagnostic::Local(words) if failure.status == EXPIRED => {
            say(text, "  ", &format!("I {}.", cut(words)));
        }
        Diagnostic::Local(words) => {
            let host = host.map(|host| format!(" (host {host})")).unwrap_or_default();
            say(text, "  ", &format!("While I was {phase}{host}, I noted: {}.", cut(words)));
        }
    }
    if failure.duplicate {
        say(
            text,
            "  ",
            "Possible duplicate: the connection was lost after I had sent the whole message, and before I heard whether it \
             was taken. It may have arrived all the same: ask before you send it again.",
        );
    }
}

/// The server's own lines, each with its code, as they came.
fn quote(text: &mut String, reply: &Reply) {
    let mut left = MOST;
    for line in reply.lines() {
        if left == 0 {
            say(text, "      ", "[...]");
            return;
        }
        say(text, "      ", &format!("{} {}", reply.code(), cut(line)));
        left = left.saturating_sub(line.chars().count().max(1));
    }
}

/// `text`, or its start if it is longer than a diagnostic should be.
pub fn cut(text: &str) -> String {
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("{} [...]", &text[..at]),
        None => text.to_owned(),
    }
}

/// Writes a paragraph: words made ASCII, wrapped, each line behind `indent`. A word that no line holds has one of its own.
fn say(text: &mut String, indent: &str, words: &str) {
    let words = ascii(words);
    let mut column = 0;
    for word in words.split_ascii_whitespace() {
        for piece in word.as_bytes().chunks(900).filter_map(|piece| std::str::from_utf8(piece).ok()) {
            if column > 0 && column + 1 + piece.len() > WIDTH {
                *text += "\r\n";
                column = 0;
            }
            let before = if column == 0 { indent } else { " " };
            *text += before;
            *text += piece;
            column += before.len() + piece.len();
        }
    }
    *text += "\r\n";
}

#[cfg(test)]
mod tests {
    use super::super::compose::tests::{letter, refused};
    use super::super::expired::expired;
    use super::*;
    use crate::smtp::EnhancedStatus;
    use crate::time::{Phase, Unix};
    use std::time::Duration;

    /// The letter's words on one line, so that wrapping does not matter.
    fn words(kind: Kind, recipients: Vec<ReportedRecipient>) -> String {
        let octets = letter(kind, recipients, b"Subject: hi\r\n").octets;
        let text = String::from_utf8(octets).unwrap();
        let human = text.split("\r\n--").nth(1).unwrap();
        assert!(human.lines().all(|line| line.len() <= 78), "{human}");
        human.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn holds(text: &str, parts: &[&str]) {
        for part in parts {
            assert!(text.contains(part), "{part:?} is not in {text:?}");
        }
    }

    #[test]
    fn a_refusal_is_told_in_the_servers_words() {
        let reply = Diagnostic::Smtp(Reply::new(550, "5.1.1 no such user"));
        holds(
            &words(Kind::Failed, vec![refused("bob@example.net", reply)]),
            &[
                "could not be delivered to the recipient below",
                "<bob@example.net> While I was waiting for the reply to RCPT TO, mx.example.net[192.0.2.1] said: \
                 550 5.1.1 no such user",
                "the queue id 1GA4GC1WG00",
            ],
        );
    }

    #[test]
    fn what_we_saw_is_told_as_ours_and_a_duplicate_is_called_one() {
        let mut recipient = refused("bob@example.net", Diagnostic::Local("timed out".into()));
        recipient.failure.phase = Phase::FinalDot;
        recipient.failure.duplicate = true;
        let text = words(Kind::Delayed { until: Unix(432_000) }, vec![recipient.clone(), recipient]);
        holds(
            &text,
            &[
                "only a notice of a delay",
                "deliver it to the recipients below",
                "I keep trying until Tue, 06 Jan 1970 00:00:00 +0000",
                "(host mx.example.net[192.0.2.1]), I noted: timed out. Possible duplicate: ",
            ],
        );
        assert!(!text.contains(" said:"), "{text}");
    }

    #[test]
    fn giving_up_says_after_how_long_and_what_was_last() {
        let day = Duration::from_secs(86_400);
        let late = |diagnostic| {
            let mut recipient = refused("bob@example.net", diagnostic);
            recipient.failure.status = EnhancedStatus::new(4, 4, 2);
            recipient.failure = expired(recipient.failure, day);
            words(Kind::Failed, vec![recipient])
        };
        holds(
            &late(Diagnostic::Local("timed out".into())),
            &[
                "I gave up after 1 day; last: mx.example.net[192.0.2.1] timed out while waiting for the reply to RCPT TO.",
            ],
        );
        holds(
            &late(Diagnostic::Smtp(Reply::new(451, "4.3.0 later"))),
            &[
                "I tried for 1 day without success. This was the last answer: While I was waiting",
                "said: 451 4.3.0 later",
            ],
        );
    }

    #[test]
    fn an_endless_diagnostic_is_cut() {
        assert_eq!(cut("short"), "short");
        let text = cut(&"\u{fc}".repeat(5000));
        assert_eq!(text.chars().count(), MOST + " [...]".len());
    }
}
