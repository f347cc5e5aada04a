//! The letters that an attempt makes due: the bounce for what has failed, the notice for what is late. A bounce is new
//! mail, and goes the way of all mail.

use std::fmt::Write as _;
use std::io::Read;

use crate::bounce::{Kind, Report, ReportedRecipient, compose};
use crate::config::Config;
use crate::mail::{Body, Failure, Headers};
use crate::smtp::Mailbox;
use crate::spool::{Lease, NewMessage};
use crate::time::Unix;

/// The letter about `recipients` of a leased message. `None` when its reverse-path is null, or none is named: then there
/// is nobody to tell.
pub(super) fn letter(
    lease: &Lease,
    config: &Config,
    kind: Kind,
    recipients: Vec<(Mailbox, Failure, Option<Unix>)>,
    now: Unix,
) -> Option<NewMessage> {
    if recipients.is_empty() {
        return None;
    }
    // The proof that this is no bounce itself (RFC 5321, 6.1).
    let to = lease.envelope().reverse_path.mailbox()?;
    let headers = start(lease.body());
    let reported = recipients.into_iter().map(|(address, failure, last_attempt)| ReportedRecipient {
        address,
        failure,
        last_attempt,
    });
    let report = Report {
        kind,
        hostname: &config.hostname,
        id: lease.id(),
        accepted: lease.envelope().accepted,
        recipients: reported.collect(),
        headers: &headers,
        now,
        boundary: &token(),
    };
    let letter = compose(&report, to);
    let destinations =
        letter.envelope.recipients.iter().map(|to| config.routes.destination(to.host())).collect();
    Some(NewMessage { envelope: letter.envelope, destinations, octets: letter.octets })
}

/// As much of a message as can hold its headers. What cannot be read is left out: the letter goes all the same.
fn start(body: &Body) -> Vec<u8> {
    let mut start = Vec::new();
    if let Err(error) = body.reader().take(Headers::PREFIX as u64).read_to_end(&mut start) {
        log::error!("the headers of a message that bounces cannot be read: {error}");
    }
    start
}

/// Thirty-two random digits.
fn token() -> String {
    let mut token = String::new();
    for bits in [super::workshop::random(), super::workshop::random()] {
        // Writing to a String cannot fail.
        let _ = write!(token, "{bits:016x}");
    }
    token
}
