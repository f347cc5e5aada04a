//! `tls`: what STARTTLS costs the relay: the load of `steady` in the clear, under TLS with full handshakes, and under TLS with
//! sessions that are resumed. Ours, and with `BENCH_PEERS=1` Postfix.
//!
//! Once with a session for each message, so that the handshake is seen, and once with sessions as the defaults have them, so
//! that the records are. Every host has had mail before, so that what is resumed has something to resume from. Handshakes are
//! counted at the far side, which takes no mail in the clear where it has TLS; it and the driver share the processors with
//! the relay, so of the ratios that of processor time is the relay's own. Where mail is accepted faster than it leaves, p50 and
//! p99 are mostly the wait in the queue.
//!
//! TLS is as the defaults have it, opportunistic. Sendoff looks at no certificate and no signature then, so a handshake that
//! is resumed leaves out little of its work; it is the host that need not sign.

use super::Bench;
use super::figures::Figures;
use super::throughput::Load;
use crate::places::Manners;
use crate::relay::{Relay, Running};
use crate::source::{Order, send};
use crate::starttls::Handshakes;
use crate::table::{Table, span};
use crate::wait::until;
use std::time::Duration;

/// Messages that each host has before.
const EACH: usize = 20;
const HOSTS: usize = 20;

/// One way to mail, and who gets it.
struct Way {
    name: &'static str,
    to: fn(usize) -> String,
    manners: Manners,
}

const WAYS: [Way; 3] = [
    Way { name: "in the clear", to: |n| format!("gwen@good{}.test", n % HOSTS + 1), manners: Manners::Good },
    Way {
        name: "STARTTLS, not resumed",
        to: |n| format!("gwen@tlsfresh{}.test", n % HOSTS + 1),
        manners: Manners::Starttls { resumes: false },
    },
    Way {
        name: "STARTTLS, resumed",
        to: |n| format!("gwen@tls{}.test", n % HOSTS + 1),
        manners: Manners::Starttls { resumes: true },
    },
];

/// How long sessions are.
struct Length {
    name: &'static str,
    /// Lines for each relay that takes part.
    sendoff: &'static str,
    postfix: &'static str,
}

const LENGTHS: [Length; 2] = [
    Length {
        name: "a session for each message (delivery.messages_per_connection = 1; Postfix: smtp_connection_cache_on_demand = no)",
        sendoff: "delivery.messages_per_connection = 1\ntimeouts.idle = \"1ms\"\n",
        postfix: "smtp_connection_cache_on_demand = no\n",
    },
    Length { name: "sessions as the defaults have them", sendoff: "", postfix: "" },
];

/// One way with one relay, over all rounds.
#[derive(Default)]
struct Row {
    figures: Vec<Figures>,
    sessions: usize,
    handshakes: Handshakes,
}

/// Runs it.
pub fn run(bench: &Bench) {
    let mut relays = bench.ours();
    relays.retain(|relay| matches!(relay, Relay::Sendoff | Relay::Postfix));
    for length in &LENGTHS {
        let mut rows: Vec<_> = relays
            .iter()
            .flat_map(|relay| WAYS.iter().map(move |way| (relay, way, Row::default())))
            .collect();
        for round in 1..=bench.rounds {
            eprintln!("bench: round {round} of {}", bench.rounds);
            for (relay, way, row) in &mut rows {
                if let Err(reason) = once(bench, relay, length, way, row) {
                    eprintln!("bench: {reason}");
                }
            }
        }
        print(bench, length, &rows);
    }
}

/// One round of a row.
fn once(bench: &Bench, relay: &Relay, length: &Length, way: &Way, row: &mut Row) -> Result<(), String> {
    let settings = if *relay == Relay::Postfix { length.postfix } else { length.sendoff };
    let running = bench.start(relay, settings)?;
    acquaint(bench, relay, way, &running)?;
    let street = &bench.street;
    let sessions =
        || street.counts(|manners| manners == way.manners).iter().map(|count| count.ever).sum::<usize>();
    let (before, had) = (street.starttls.handshakes(), sessions());
    row.figures.push(Load::steady_to(way.to).once(bench, relay, &running));
    let now = street.starttls.handshakes();
    row.sessions += sessions() - had;
    row.handshakes.full += now.full - before.full;
    row.handshakes.resumed += now.resumed - before.resumed;
    Ok(())
}

/// The first mail for every host.
fn acquaint(bench: &Bench, relay: &Relay, way: &Way, running: &Running) -> Result<(), String> {
    let first = bench.street.post.batch(HOSTS * EACH);
    send(&first, &Order::new(relay.door(), way.to));
    if until(Duration::from_secs(60), || first.delivered() == first.len()) {
        return Ok(());
    }
    Err(format!("tls: the first mail {} is not there after a minute:\n{}", way.name, running.log()))
}

#[allow(clippy::cast_precision_loss)]
fn print(bench: &Bench, length: &Length, rows: &[(&Relay, &Way, Row)]) {
    let mut table = Table::new(&[
        "relay",
        "the mail goes",
        "msgs/s",
        "p50",
        "p99",
        "CPU ms a message",
        "driver's",
        "sessions a message",
        "handshakes: full",
        "resumed",
        "missing",
        "twice",
        "msgs/s to clear",
        "CPU to clear",
    ]);
    for (relay, way, row) in rows {
        let mut cells = vec![relay.name().to_owned(), way.name.to_owned()];
        if row.figures.is_empty() {
            cells.push("-".to_owned());
            table.row(cells);
            continue;
        }
        let median = Figures::median(&row.figures);
        let clear = rows.iter().find(|(other, way, _)| other == relay && way.manners == Manners::Good);
        let clear = Figures::median(clear.map_or(&[][..], |(_, _, row)| &row.figures));
        cells.extend([
            format!("{:.0}", median.rate),
            span(median.p50),
            span(median.p99),
            // Seconds for a thousand are milliseconds for one.
            format!("{:.3}", median.cost),
            format!("{:.3}", median.own),
            format!("{:.2}", row.sessions as f64 / median.delivered.max(1) as f64),
            row.handshakes.full.to_string(),
            row.handshakes.resumed.to_string(),
            median.lost.to_string(),
            median.twice.to_string(),
            format!("{:.2}", median.rate / clear.rate),
            format!("{:.2}", median.cost / clear.cost),
        ]);
        table.row(cells);
    }
    let (rounds, seconds) = (bench.rounds, bench.seconds.as_secs());
    table.print(&format!(
        "tls: {HOSTS} domains, 4 KB, 20 clients, {} ({seconds} s; medians of rounds: {rounds}, counts of all)",
        length.name
    ));
}
