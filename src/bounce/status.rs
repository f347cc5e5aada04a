//! The delivery status (RFC 3464), the part that programs read.

use super::report::{Kind, Report, ReportedRecipient};
use super::words::cut;
use crate::mail::{Diagnostic, field, rfc5322};
use crate::time::Phase;

/// The body of the message/delivery-status part: the fields of the message, then of each recipient, each group with an empty
/// line before the next.
pub fn delivery_status(report: &Report) -> String {
    let mut text = field("Reporting-MTA", ["dns;", report.hostname.as_str()]);
    text += &field("X-Sendoff-Queue-ID", [report.id.to_string()]);
    text += &field("Arrival-Date", [rfc5322(report.accepted)]);
    for recipient in &report.recipients {
        text += "\r\n";
        text += &group(report, recipient);
    }
    text
}

fn group(report: &Report, recipient: &ReportedRecipient) -> String {
    let failure = &recipient.failure;
    // The class and the action must agree, whatever the failure came with (RFC 3464, 2.3.4).
    let (action, class) = match report.kind {
        Kind::Failed => ("failed", 5),
        Kind::Delayed { .. } => ("delayed", 4),
    };
    let mut text = field("Final-Recipient", ["rfc822;".to_owned(), recipient.address.to_string()]);
    text += &field("Action", [action]);
    text += &field("Status", [failure.status.with_class(class).to_string()]);
    // A host that was never reached has reported nothing (RFC 3464, 2.3.5).
    if let Some(remote) = failure.remote.as_ref().filter(|_| failure.phase > Phase::Connect) {
        text += &field("Remote-MTA", ["dns;", remote.name.as_str()]);
    }
    let (whose, words) = match &failure.diagnostic {
        Diagnostic::Smtp(reply) => ("smtp;", reply.to_string()),
        Diagnostic::Local(words) => ("x-sendoff;", words.clone()),
    };
    let words = cut(&words);
    text += &field("Diagnostic-Code", std::iter::once(whose).chain(words.split_whitespace()));
    if let Some(time) = recipient.last_attempt {
        text += &field("Last-Attempt-Date", [rfc5322(time)]);
    }
    if let Kind::Delayed { until } = report.kind {
        text += &field("Will-Retry-Until", [rfc5322(until)]);
    }
    text
}
