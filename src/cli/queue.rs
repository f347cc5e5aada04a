//! `sendoff queue`.

use std::fmt::Write as _;
use std::time::Duration;

use super::Exit;
use super::arguments;
use super::table::{print, print_json, short};
use crate::control::{Answer, CallError, Queue, QueuedMessage, QueuedRecipient, Request, ask};

/// Shows what is queued.
pub(super) fn queue(arguments: &arguments::Queue) -> Result<(), Exit> {
    let request = Request::Queue {
        after: arguments.after.clone(),
        limit: arguments.limit,
        destination: arguments.destination.clone(),
    };
    match ask(&arguments.relay.spool()?, &request, Duration::from_secs(30))? {
        Answer::Queue(queue) if arguments.json => print_json(&queue),
        Answer::Queue(queue) => print(&text(&queue)),
        _ => Err(CallError::Broken("the relay answered something else".into()).into()),
    }
}

fn text(queue: &Queue) -> String {
    let mut out = String::new();
    for message in &queue.queue {
        describe(message, &mut out);
    }
    let counted = |count: u64, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let (messages, recipients) = (counted(queue.messages, "message"), counted(queue.recipients, "recipient"));
    // Writing to a String cannot fail.
    let _ = match (queue.messages, &queue.next) {
        (0, _) => writeln!(out, "The queue is empty."),
        (_, None) => writeln!(out, "{messages} for {recipients}."),
        (_, Some(next)) => writeln!(out, "{messages} for {recipients}; the next page: --after {next}"),
    };
    for found in &queue.quarantine {
        let of = found.recipient.map_or_else(String::new, |n| format!("recipient {n} of "));
        let _ = writeln!(
            out,
            "In quarantine, not delivered until it is mended: {of}{}: {}",
            found.id, found.reason
        );
    }
    match queue.quarantined.saturating_sub(queue.quarantine.len() as u64) {
        more if more > 0 && !queue.quarantine.is_empty() => {
            let _ = writeln!(out, "{more} more are in quarantine.");
        }
        _ => {}
    }
    if let Some(low) = &queue.low {
        let _ = writeln!(out, "New mail is answered 452: {low}.");
    }
    out
}

fn describe(message: &QueuedMessage, out: &mut String) {
    let (id, age, size) = (&message.id, short(message.age), message.size);
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{id}  {age} old  {size} octets  from <{}>", message.from);
    for recipient in &message.recipients {
        let _ = writeln!(out, "  to <{}>  {}", recipient.to, standing(recipient));
        if let Some(last) = &recipient.last {
            let _ = writeln!(out, "     last: {} {}", last.status, last.text);
        }
    }
    out.push('\n');
}

fn standing(recipient: &QueuedRecipient) -> String {
    let next = recipient.next.map_or_else(String::new, |next| format!(", next in {}", short(next)));
    let attempts = match recipient.attempts {
        0 => "not tried yet".to_owned(),
        1 => "tried once".to_owned(),
        attempts => format!("tried {attempts} times"),
    };
    format!("{}: {}{next}; {attempts}", recipient.state, recipient.why)
}
