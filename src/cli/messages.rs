//! `sendoff queue show`, `summary`, `hold`, `release`, `retry`, `remove`, `bounce`, `redirect`.

use std::fmt::Write as _;

use super::Exit;
use super::arguments::{Act, QueueCommand};
use super::exit::misunderstood;
use super::operating::{Show, Summary};
use super::queue::{LIMIT, counted, describe};
use super::table::{print, print_json, short, table, when};
use crate::control::{Acted, Action, Answer, Part, Request, Shape, Shown, ask};

/// The heads of the columns of [`Shape::ages`], in minutes.
const AGES: [&str; 10] = ["<5m", "10m", "20m", "40m", "80m", "160m", "320m", "640m", "21h", "older"];

pub(super) fn run(command: &QueueCommand) -> Result<(), Exit> {
    match command {
        QueueCommand::Show(arguments) => show(arguments),
        QueueCommand::Summary(arguments) => summary(arguments),
        QueueCommand::Hold(arguments) => act(Action::Hold, arguments),
        QueueCommand::Release(arguments) => act(Action::Release, arguments),
        QueueCommand::Retry(arguments) => act(Action::Retry, arguments),
        QueueCommand::Remove(arguments) => act(Action::Remove, arguments),
        QueueCommand::Bounce(arguments) => {
            act(Action::Bounce { reason: arguments.reason.clone() }, &arguments.act)
        }
        QueueCommand::Redirect(arguments) => {
            let target = Some(arguments.target.clone()).filter(|target| target != "routes");
            act(Action::Redirect { target }, &arguments.act)
        }
    }
}

fn show(arguments: &Show) -> Result<(), Exit> {
    let part = match (arguments.body, arguments.headers) {
        (true, _) => Part::Body,
        (false, true) => Part::Headers,
        _ => Part::Nothing,
    };
    let request = Request::Show { id: arguments.id.clone(), part };
    match ask(&arguments.relay.spool()?, &request, LIMIT)? {
        Answer::Shown(shown) if arguments.json => print_json(&shown),
        Answer::Shown(shown) => print(&message(&shown)),
        _ => Err(misunderstood()),
    }
}

fn message(shown: &Shown) -> String {
    let mut out = String::new();
    describe(&shown.message, &mut out);
    out.pop();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "  accepted  {}", when(shown.message.accepted));
    let _ = match shown.message.held {
        Some(since) => writeln!(out, "  held      since {}; does not expire", when(since)),
        None => writeln!(out, "  expires   {}", when(shown.message.expires)),
    };
    if shown.attempts.is_empty() {
        out.push_str("\nNo attempt yet.\n");
    } else {
        out.push_str("\nAttempts, oldest first:\n");
    }
    for attempt in &shown.attempts {
        let _ = writeln!(out, "  {}  {}  <{}>", when(attempt.at), attempt.outcome, attempt.to);
        if let (Some(phase), Some(status)) = (&attempt.phase, &attempt.status) {
            let _ = writeln!(out, "    {phase}  {status}  {}", attempt.text);
        }
    }
    if let Some(text) = &shown.text {
        let clean: String = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
        let _ = write!(out, "\n{clean}");
        if shown.cut {
            out.push_str("\n(there is more of it)\n");
        }
    }
    out
}

fn summary(arguments: &Summary) -> Result<(), Exit> {
    match ask(&arguments.relay.spool()?, &Request::Summary { limit: arguments.limit }, LIMIT)? {
        Answer::Summary(shapes) if arguments.json => print_json(&shapes),
        Answer::Summary(shapes) if shapes.is_empty() => print("The queue is empty.\n"),
        Answer::Summary(shapes) => print(&shape(&shapes)),
        _ => Err(misunderstood()),
    }
}

/// As qshape(1) has it, in 80 columns where names allow.
fn shape(shapes: &[Shape]) -> String {
    let head: Vec<_> = ["DESTINATION", "ALL"].into_iter().chain(AGES).chain(["HELD", "OLDEST"]).collect();
    let some = |count: &u64| if *count == 0 { ".".to_owned() } else { count.to_string() };
    let rows: Vec<_> = shapes
        .iter()
        .map(|shape| {
            let mut row = vec![shape.destination.clone(), shape.recipients.to_string()];
            row.extend(shape.ages.iter().map(some));
            row.extend([some(&shape.held), short(shape.oldest)]);
            row
        })
        .collect();
    // Columns of ages that nobody is in are left out: most queues are young, or old.
    let used: Vec<_> =
        (0..head.len()).filter(|n| !(2..13).contains(n) || rows.iter().any(|row| row[*n] != ".")).collect();
    let head: Vec<_> = used.iter().map(|n| head[*n]).collect();
    let rows: Vec<Vec<_>> = rows.iter().map(|row| used.iter().map(|n| row[*n].clone()).collect()).collect();
    table(&head, &rows)
}

/// Does it, page by page, and says what was done.
fn act(action: Action, arguments: &Act) -> Result<(), Exit> {
    let spool = arguments.relay.spool()?;
    let mut all = Acted::default();
    let (mut after, mut up_to) = (None, None);
    loop {
        let request = Request::Act {
            action: action.clone(),
            ids: arguments.ids.clone(),
            which: arguments.which.asked(),
            all: arguments.all,
            after,
            up_to,
        };
        let page = match ask(&spool, &request, 2 * LIMIT) {
            Ok(Answer::Acted(page)) => page,
            Ok(_) => return Err(misunderstood()),
            Err(error) => {
                if all.messages > 0 {
                    eprintln!("sendoff: before the trouble: {}", said(&action, &all).trim_end());
                }
                return Err(error.into());
            }
        };
        all.messages += page.messages;
        all.recipients += page.recipients;
        all.untold += page.untold;
        all.in_delivery.extend(page.in_delivery);
        all.failed.extend(page.failed);
        all.up_to.clone_from(&page.up_to);
        after = page.next;
        up_to = Some(page.up_to);
        if after.is_none() {
            break;
        }
    }
    if arguments.json {
        print_json(&all)?
    } else {
        print(&said(&action, &all))?
    }
    let left = all.in_delivery.len() + all.failed.len();
    match (&action, all.failed.len()) {
        (_, 1..) => Err(Exit::later(format!("not done for {}", counted(all.failed.len() as u64, "message")))),
        // A hold takes effect when they come back.
        (Action::Hold, _) | (_, 0) if left == 0 || action == Action::Hold => Ok(()),
        _ => Err(Exit::later(format!("not done for {} in delivery", counted(left as u64, "message")))),
    }
}

fn said(action: &Action, acted: &Acted) -> String {
    let mut out = String::new();
    let (messages, recipients) = (counted(acted.messages, "message"), counted(acted.recipients, "recipient"));
    // Writing to a String cannot fail.
    let _ = match action {
        Action::Remove | Action::Bounce { .. } | Action::Redirect { .. } => {
            writeln!(out, "{messages} meant; {} for {recipients}.", action.done())
        }
        _ => writeln!(out, "{messages} {}, for {recipients}.", action.done()),
    };
    if acted.untold > 0 {
        let _ = writeln!(out, "{} had no reverse-path: nobody is told.", counted(acted.untold, "message"));
    }
    for busy in acted.in_delivery.iter().take(20) {
        let session = busy.session.map_or_else(
            || "a session takes it next".to_owned(),
            |session| format!("session {session} has it; `sendoff connections kill {session}` ends that"),
        );
        let what = match action {
            Action::Hold => "is in delivery, and is held if it comes back",
            _ => "is in delivery, and was left alone",
        };
        let _ = writeln!(out, "{} {what}: {session}.", busy.id);
    }
    for failed in acted.failed.iter().take(20) {
        let _ = writeln!(out, "{}: {}.", failed.id, failed.reason);
    }
    let more = acted.in_delivery.len().saturating_sub(20) + acted.failed.len().saturating_sub(20);
    if more > 0 {
        let _ = writeln!(out, "... and {more} more.");
    }
    out
}
