//! `mailq`: the queue in the columns that people and monitoring know.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::cli::Exit;
use crate::cli::table::print;
use crate::control::{Answer, CallError, Queue, Request, Which, ask};
use crate::mail::rfc5322;
use crate::time::Unix;

/// Prints the queue, a page at a time.
pub(super) fn mailq(spool: &Path) -> Result<(), Exit> {
    let (mut after, mut first, mut octets) = (None, true, 0);
    loop {
        let request = Request::Queue { after, limit: 500, which: Which::default() };
        let queue = match ask(spool, &request, Duration::from_secs(30))? {
            Answer::Queue(queue) => queue,
            _ => return Err(CallError::Broken("the relay answered something else".into()).into()),
        };
        if first && queue.messages == 0 {
            return print("Mail queue is empty\n");
        }
        octets += queue.queue.iter().map(|message| message.size).sum::<u64>();
        let mut out = String::new();
        if first {
            out.push_str("-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\n");
        }
        page(&queue, &mut out);
        if queue.next.is_none() {
            let plural = if queue.messages == 1 { "" } else { "s" };
            // Writing to a String cannot fail.
            let _ =
                writeln!(out, "-- {} Kbytes in {} Request{plural}.", octets.div_ceil(1024), queue.messages);
        }
        print(&out)?;
        (after, first) = (queue.next, false);
        if after.is_none() {
            return Ok(());
        }
    }
}

fn page(queue: &Queue, out: &mut String) {
    for message in &queue.queue {
        let time = rfc5322(Unix(message.accepted));
        // "Thu, 1 Jan 1970 00:00:00 +0000": the day, and the time without its zone.
        let time = time.split(' ').skip(1).take(4).collect::<Vec<_>>().join(" ");
        let from = if message.from.is_empty() { "MAILER-DAEMON" } else { &message.from };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{:<11} {:>8} {time:<20} {from}", message.id, message.size);
        for recipient in &message.recipients {
            let why = recipient.last.as_ref().map_or(&recipient.why, |last| &last.text);
            let _ = writeln!(out, "{:>10}({why})\n{:>42}{}", "", "", recipient.to);
        }
        out.push('\n');
    }
}
