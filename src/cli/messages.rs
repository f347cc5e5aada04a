//! `sendoff queue show`, `summary`, `hold`, `release`, `retry`, `remove`, `bounce`, `redirect`.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::Exit;
use super::arguments::{Act, QueueCommand};
use super::exit::misunderstood;
use super::operating::{Show, Summary};
use super::queue::{LIMIT, counted, describe};
use super::table::{print, print_json, short, table, when};
use crate::control::{Acted, Action, Answer, CallError, Part, Request, Shape, Shown, Which, ask};

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

/// Something that is done to messages, a page of them at a time, and what has been done so far.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) action: Action,
    ids: Vec<String>,
    which: Which,
    all: bool,
    /// Where the next page begins, and no message above which id is meant; nothing before the first page.
    next: Option<(Option<String>, String)>,
    pub(super) acted: Acted,
}

impl Order {
    /// Nothing has been done yet.
    pub(super) fn new(action: Action, ids: Vec<String>, which: Which, all: bool) -> Order {
        Order { action, ids, which, all, next: None, acted: Acted::default() }
    }

    /// Whether the last page has been done.
    pub(super) fn is_done(&self) -> bool {
        self.next.as_ref().is_some_and(|(after, _)| after.is_none())
    }

    /// Has the next page done.
    pub(super) fn page(&mut self, spool: &Path, limit: Duration) -> Result<(), CallError> {
        let (after, up_to) = self.next.clone().map_or((None, None), |(after, up_to)| (after, Some(up_to)));
        let (action, ids, which) = (self.action.clone(), self.ids.clone(), self.which.clone());
        let request = Request::Act { action, ids, which, all: self.all, after, up_to };
        let Answer::Acted(page) = ask(spool, &request, limit)? else {
            return Err(CallError::Broken("the relay answered something else".into()));
        };
        let acted = &mut self.acted;
        acted.messages += page.messages;
        acted.recipients += page.recipients;
        acted.untold += page.untold;
        acted.in_delivery.extend(page.in_delivery);
        acted.failed.extend(page.failed);
        acted.up_to.clone_from(&page.up_to);
        self.next = Some((page.next, page.up_to));
        Ok(())
    }
}

/// Does it, page by page, and says what was done.
fn act(action: Action, arguments: &Act) -> Result<(), Exit> {
    let spool = arguments.relay.spool()?;
    let mut order = Order::new(action.clone(), arguments.ids.clone(), arguments.which.asked(), arguments.all);
    while !order.is_done() {
        if let Err(error) = order.page(&spool, 2 * LIMIT) {
            if order.acted.messages > 0 {
                eprintln!("sendoff: before the trouble: {}", said(&action, &order.acted).trim_end());
            }
            return Err(error.into());
        }
    }
    let all = order.acted;
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
