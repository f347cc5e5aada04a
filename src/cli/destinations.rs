//! `sendoff destinations`: what is known of them; `suspend` and `resume`.

use std::fmt::Write as _;

use super::Exit;
use super::arguments::{self, DestinationsCommand};
use super::exit::misunderstood;
use super::queue::{LIMIT, counted};
use super::table::{done, fold, print, print_json, short, table, when};
use crate::control::{Answer, Counts, DestinationRow, Destinations, Request, ask};

/// Shows destinations, or does what is asked with one.
pub(super) fn destinations(arguments: &arguments::Destinations) -> Result<(), Exit> {
    let (relay, limit, one, json) = match &arguments.command {
        Some(DestinationsCommand::Suspend(it)) => {
            let (destination, reason) = (it.one.destination.clone(), it.reason.clone());
            let request = Request::Suspend { destination, reason };
            return done(&it.one.relay.spool()?, &request, it.one.json);
        }
        Some(DestinationsCommand::Resume(it)) => {
            let request = Request::Resume { destination: it.destination.clone() };
            return done(&it.relay.spool()?, &request, it.json);
        }
        Some(DestinationsCommand::Show(it)) => (&it.relay, 1, Some(it.destination.clone()), it.json),
        None => (&arguments.relay, arguments.limit, None, arguments.json),
    };
    let shows_one = one.is_some();
    match ask(&relay.spool()?, &Request::Destinations { limit, destination: one }, LIMIT)? {
        Answer::Destinations(destinations) if json => print_json(&destinations),
        Answer::Destinations(destinations) if shows_one => match destinations.destinations.first() {
            Some(row) => print(&whole(row)),
            None => print("Nothing is known of it: no mail, no failure, no word of an operator.\n"),
        },
        Answer::Destinations(destinations) => print(&text(&destinations)),
        _ => Err(misunderstood()),
    }
}

fn text(destinations: &Destinations) -> String {
    let head = ["DESTINATION", "STATE", "MAIL", "READY", "HELD", "OPEN", "SENT/MIN", "LATE/MIN", "LAST SENT"];
    let row = |row: &DestinationRow| {
        let state = match row.rests {
            _ if row.suspended.is_some() => "suspended".to_owned(),
            Some(rests) => format!("rests {}", short(rests)),
            None if row.blocked_on.is_some() => "blocked".to_owned(),
            None => row.standing.clone(),
        };
        vec![
            row.destination.clone(),
            state,
            row.messages.to_string(),
            row.ready.to_string(),
            row.held.to_string(),
            format!("{}/{}", row.connections, row.allowance),
            row.minute.delivered.to_string(),
            (row.minute.deferred + row.minute.failed).to_string(),
            row.delivered_ago.map_or_else(|| "-".to_owned(), |ago| format!("{} ago", short(ago))),
        ]
    };
    if destinations.destinations.is_empty() {
        return "No destination has or had mail since the start, and none is suspended.\n".to_owned();
    }
    let mut out = table(&head, &destinations.destinations.iter().map(row).collect::<Vec<_>>());
    let shown = destinations.destinations.len();
    if shown < destinations.known {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{shown} of {}; --limit shows more.", destinations.known);
    }
    out
}

fn whole(row: &DestinationRow) -> String {
    let mut out = format!("{}\n", row.destination);
    let mut line = |name: &str, text: String| out.push_str(&fold(&format!("  {name:<12} "), &text));
    line(
        "standing",
        format!("{}, {} as a site in a row", row.standing, counted(u64::from(row.failures), "failure")),
    );
    if let Some(since) = row.suspended {
        let reason = row.reason.as_deref().filter(|reason| !reason.is_empty());
        line("suspended", format!("since {}; {}", when(since), reason.unwrap_or("no reason given")));
    }
    if let Some(rests) = row.rests {
        line("rests", format!("for {} yet", short(rests)));
    }
    if let Some(address) = &row.blocked_on {
        line("blocked on", address.clone());
    }
    line(
        "connections",
        format!("{} open, {} allowed now, {} at most", row.connections, row.allowance, row.cap),
    );
    let (ready, waiting, held) = (row.ready, row.waiting, row.held);
    line("messages", format!("{}: {ready} ready, {waiting} waiting, {held} held", row.messages));
    let counts = |counts: Counts| {
        format!("{} delivered, {} deferred, {} failed", counts.delivered, counts.deferred, counts.failed)
    };
    line("last minute", counts(row.minute));
    line("since start", counts(row.total));
    let ago =
        |seconds: Option<u64>| seconds.map_or_else(|| "never".to_owned(), |s| format!("{} ago", short(s)));
    line("last sent", ago(row.delivered_ago));
    line("last failed", ago(row.failed_ago));
    if let Some(words) = &row.last_failure {
        line("as a site", words.clone());
    }
    out
}
