//! `sendoff queue`: what is queued, a page at a time.

use std::fmt::Write as _;
use std::time::Duration;

use super::Exit;
use super::arguments;
use super::exit::misunderstood;
use super::messages;
use super::table::{print, print_json, short};
use crate::control::{Answer, Queue, QueuedMessage, QueuedRecipient, Request, ask};

/// How long a page may take.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// Shows what is queued, or does what is asked with it.
pub(super) fn queue(arguments: &arguments::Queue) -> Result<(), Exit> {
    if let Some(command) = &arguments.command {
        return messages::run(command);
    }
    let spool = arguments.relay.spool()?;
    let mut all: Option<Queue> = None;
    let mut after = arguments.after.clone();
    // The relay looks at a part of a long queue at a time; the pages are put together here.
    loop {
        let left = arguments.limit.saturating_sub(all.as_ref().map_or(0, |all| all.queue.len()));
        let request = Request::Queue { after, limit: left, which: arguments.which.asked() };
        let Answer::Queue(page) = ask(&spool, &request, LIMIT)? else { return Err(misunderstood()) };
        after = page.next.clone();
        let more = match &mut all {
            None => all.insert(page),
            Some(all) => {
                all.queue.extend(page.queue);
                all.next = page.next;
                all
            }
        };
        if after.is_none() || more.queue.len() >= arguments.limit {
            break;
        }
    }
    let Some(queue) = all else { return Err(misunderstood()) };
    if arguments.json {
        print_json(&queue)
    } else {
        print(&text(&queue, arguments.which.asked() != Default::default()))
    }
}

fn text(queue: &Queue, filtered: bool) -> String {
    let mut out = String::new();
    for message in &queue.queue {
        describe(message, &mut out);
    }
    if filtered && queue.queue.is_empty() && queue.messages > 0 {
        out.push_str("None of them is meant.\n");
    }
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

pub(super) fn describe(message: &QueuedMessage, out: &mut String) {
    let (id, age, size) = (&message.id, short(message.age), message.size);
    // Writing to a String cannot fail.
    let held = if message.held.is_some() { "  held" } else { "" };
    let _ = writeln!(out, "{id}  {age} old  {size} octets  from <{}>{held}", message.from);
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
    let way = match recipient.redirected {
        true => format!("; redirected to {}", recipient.destination),
        false => String::new(),
    };
    format!("{}: {}{next}; {attempts}{way}", recipient.state, recipient.why)
}

/// `1 message`, `2 messages`.
pub(super) fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
