//! `sendoff connections`: the session table, once or every second; and `kill`.

use std::fmt::Write as _;
use std::thread;
use std::time::Duration;

use super::Exit;
use super::arguments::{self, ConnectionsCommand};
use super::exit::misunderstood;
use super::queue::LIMIT;
use super::table::{done, print, print_json, print_line, short, table};
use crate::control::{Answer, Connections, Request, SessionRow, ask};

/// How often `--watch` looks.
const ROUND: Duration = Duration::from_secs(1);

/// Shows the session table, or ends a session.
pub(super) fn connections(arguments: &arguments::Connections) -> Result<(), Exit> {
    if let Some(ConnectionsCommand::Kill(kill)) = &arguments.command {
        return done(&kill.relay.spool()?, &Request::Kill { session: kill.session }, kill.json);
    }
    let spool = arguments.relay.spool()?;
    loop {
        // One question a look: nothing in the relay waits for this terminal.
        let Answer::Connections(connections) = ask(&spool, &Request::Connections, LIMIT)? else {
            return Err(misunderstood());
        };
        let open = match (arguments.json, arguments.watch) {
            (true, true) => print_line(&connections)?,
            (true, false) => return print_json(&connections),
            (false, false) => return print(&text(&connections)),
            // Home, and whatever was there is cleared.
            (false, true) => super::table::write(&format!("\x1b[H\x1b[2J{}", text(&connections)))?,
        };
        if !open {
            return Ok(());
        }
        thread::park_timeout(ROUND);
    }
}

fn text(connections: &Connections) -> String {
    let mut out = String::new();
    if !connections.connections.is_empty() {
        out.push_str(&sessions(&connections.connections));
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

/// Sessions as a table.
pub(super) fn sessions(rows: &[SessionRow]) -> String {
    let head = ["SESSION", "DESTINATION", "MX", "ADDRESS", "TLS", "PHASE", "AGE", "LEFT", "SENT", "MESSAGE"];
    table(&head, &rows.iter().map(row).collect::<Vec<_>>())
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
