//! `sendoff explain`: why not now?

use std::fmt::Write as _;

use super::Exit;
use super::arguments;
use super::connections::sessions;
use super::exit::misunderstood;
use super::queue::{LIMIT, counted};
use super::table::{fold, print, print_json, short, when};
use crate::control::{Answer, Explained, Explanation, Request, ask};

/// Explains.
pub(super) fn explain(arguments: &arguments::Explain) -> Result<(), Exit> {
    let request = Request::Explain { what: arguments.what.clone() };
    match ask(&arguments.relay.spool()?, &request, LIMIT)? {
        Answer::Explained(explanation) if arguments.json => print_json(&explanation),
        Answer::Explained(explanation) => print(&text(&explanation)),
        _ => Err(misunderstood()),
    }
}

fn text(explanation: &Explanation) -> String {
    let mut out = String::new();
    if let Some(message) = &explanation.message {
        let (id, age) = (&message.id, short(message.age));
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{id}  {age} old  {} octets  from <{}>", message.size, message.from);
        let _ = match message.held {
            Some(since) => writeln!(out, "held since {}; it does not expire", when(since)),
            None => writeln!(out, "expires {}", when(message.expires)),
        };
        out.push('\n');
    }
    for (n, explained) in explanation.destinations.iter().enumerate() {
        if n > 0 {
            out.push('\n');
        }
        one(&explanation.what, explained, &mut out);
    }
    out
}

fn one(what: &str, explained: &Explained, out: &mut String) {
    let to = match explained.to.as_slice() {
        [] => String::new(),
        [one] => format!(" (to <{one}>)"),
        [first, rest @ ..] => format!(" (to <{first}> and {} more)", rest.len()),
    };
    // Writing to a String cannot fail.
    let _ = match explained.destination.as_str() {
        "-" => writeln!(out, "{what}"),
        destination => writeln!(out, "{destination}{to}"),
    };
    let mut line = |name: &str, text: &str| out.push_str(&fold(&format!("  {name:<9} "), text));
    line("state", &explained.state);
    line("why", &explained.why);
    if let Some(next) = explained.next {
        let by = explained.set_by.as_ref().map_or_else(String::new, |by| format!(", set by {by}"));
        line("next", &format!("in {}{by}", short(next)));
    }
    if let Some(limit) = &explained.limit {
        line("limit", &format!("{}: {} of {} in use", limit.setting, limit.in_use, limit.most));
    }
    if let Some(last) = &explained.last {
        line("last", &format!("{}: {} {}", when(last.at), last.status, last.text));
    }
    if let Some(site) = &explained.site {
        line(
            "site",
            &format!(
                "{}, {} in a row; {}; {} of {} connections",
                site.standing,
                counted(u64::from(site.failures), "failure"),
                counted(site.messages as u64, "message"),
                site.connections,
                site.allowance
            ),
        );
    }
    for (n, advice) in explained.advice.iter().enumerate() {
        line(if n == 0 { "do" } else { "" }, advice);
    }
    if let Some(limit) = explained.limit.as_ref().filter(|limit| !limit.held_by.is_empty()) {
        let _ = writeln!(out, "  held by:");
        for row in sessions(&limit.held_by).lines() {
            let _ = writeln!(out, "    {row}");
        }
    }
}
