//! `sendoff connections`.

use std::fmt::Write as _;
use std::time::Duration;

use super::Exit;
use super::arguments;
use super::table::{print, print_json, short, table};
use crate::control::{Answer, CallError, Connections, Request, SessionRow, ask};

/// Shows the session table.
pub(super) fn connections(arguments: &arguments::Connections) -> Result<(), Exit> {
    match ask(&arguments.relay.spool()?, &Request::Connections, Duration::from_secs(30))? {
        Answer::Connections(connections) if arguments.json => print_json(&connections),
        Answer::Connections(connections) => print(&text(&connections)),
        _ => Err(CallError::Broken("the relay answered something else".into()).into()),
    }
}

fn text(connections: &Connections) -> String {
    let mut out = String::new();
    if !connections.connections.is_empty() {
        let head =
            ["SESSION", "DESTINATION", "MX", "ADDRESS", "TLS", "PHASE", "AGE", "LEFT", "SENT", "MESSAGE"];
        let rows: Vec<_> = connections.connections.iter().map(row).collect();
        out.push_str(&table(&head, &rows));
    }
    let seats = connections.seats;
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{} of {} slots in use: {} proven, {} new, {} suspect.",
        connections.slots, seats.pool, seats.proven, seats.new, seats.suspect
    );
    out
}

fn row(session: &SessionRow) -> Vec<String> {
    let or_none = |cell: &Option<String>| cell.clone().unwrap_or_else(|| "-".to_owned());
    // Whole seconds, rounded down: what is left is never promised too long.
    let whole = |seconds: f64| short(Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs());
    vec![
        session.session.to_string(),
        session.destination.clone(),
        or_none(&session.mx),
        or_none(&session.address),
        tls(session),
        session.phase.clone(),
        whole(session.age),
        whole(session.left),
        session.delivered.to_string(),
        or_none(&session.message),
    ]
}

/// `no`, or the version: the first of the log's words about it.
fn tls(session: &SessionRow) -> String {
    let word = session.tls.as_deref().and_then(|words| words.split(' ').next()?.strip_prefix("tls="));
    word.unwrap_or("-").to_owned()
}
