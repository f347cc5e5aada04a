//! `million`, `drain-100000`, `large-50mb`: how much there may be. A queue of a million messages for ten thousand domains that rest; a
//! hundred thousand for a host that came back; one message of 50 MB. The spool is full before the relay starts: see `fill`.

use super::Bench;
use super::fill::{fill, rest};
use crate::gauge::Look;
use crate::relay::{DOOR, Relay, Running, page};
use crate::source::{Order, send};
use crate::table::{Table, megabytes, span};
use crate::wait::{pause, until};
use std::time::{Duration, Instant};

/// What is queued, for so many domains.
const QUEUED: usize = 1_000_000;
const DOMAINS: usize = 10_000;
/// Messages over SMTP, to compare the rate at which they are accepted.
const SENT: usize = 30_000;
/// Messages for the host that came back, and how long it stays away.
const DRAINED: usize = 100_000;
const AWAY: Duration = Duration::from_secs(5);
/// Messages at the same host as fast as they are accepted.
const STEADY: usize = 30_000;
/// Octets of the large message, just below what is allowed by default, and of the small one.
const LARGE: usize = 50 << 20;
const SMALL: usize = 4 << 10;

fn table(result: Result<Table, String>, title: &str) {
    match result {
        Ok(table) => table.print(title),
        Err(reason) => eprintln!("bench: {reason}"),
    }
}

/// A rate, in words.
#[allow(clippy::cast_precision_loss)]
fn rate(messages: usize, took: Duration) -> f64 {
    messages as f64 / took.as_secs_f64().max(1e-9)
}

/// Processor time of the relay for each message, which a busy machine does not change as it changes a rate.
#[allow(clippy::cast_precision_loss)]
fn cost(running: &Running, before: f64, messages: usize) -> String {
    format!("{:.3}", 1e3 * (running.gauge.seconds() - before) / messages.max(1) as f64)
}

/// Runs the first.
pub fn million(bench: &Bench) {
    let queued = std::env::var("BENCH_QUEUED").ok().and_then(|text| text.parse().ok()).unwrap_or(QUEUED);
    table(full(bench, queued), &format!("million: {queued} messages queued for {DOMAINS} domains that rest"));
}

fn full(bench: &Bench, queued: usize) -> Result<Table, String> {
    let mut table = Table::new(&["what", "with the full queue", "with an empty one"]);
    let relay = Relay::Sendoff;
    bench.street.forget();
    let empty = relay.start(&bench.scratch, "")?;
    let (empty_rate, empty_peak) = (accepted(bench, &empty)?, empty.gauge.peak());
    drop(empty);

    let home = relay.clear(&bench.scratch)?;
    eprintln!("bench: the spool is being filled");
    let begin = Instant::now();
    fill(&home, &bench.street.post.batch(queued), |n| format!("fred@hole{}.test", n % DOMAINS), 1024)?;
    let names = (0..DOMAINS).map(|n| format!("hole{n}.test"));
    rest(&home, names, Duration::from_secs(3000))?;
    // One that may go at once, behind all the others: the first delivery.
    let first = bench.street.post.batch(1);
    fill(&home, &first, |_| "gwen@good1.test".to_owned(), 1024)?;
    eprintln!("bench: filled in {:.0} s", begin.elapsed().as_secs_f64());

    let begin = Instant::now();
    let running = relay.open(home, "")?;
    let ready = begin.elapsed();
    until(Duration::from_secs(60), || first.delivered() == 1);
    let delivered = begin.elapsed();
    let at_start = resident(&running);
    let start_peak = running.gauge.peak();
    let begin = Instant::now();
    let (_, next) = page(&running, None, 100).ok_or("the queue was not shown")?;
    let first_page = begin.elapsed();
    let begin = Instant::now();
    let second = page(&running, next.as_deref(), 1000).ok_or("the second page was not shown")?;
    let second_page = begin.elapsed();
    if second.0 != 1000.min(queued - 100) {
        return Err(format!("the second page has {} messages", second.0));
    }
    let full_rate = accepted(bench, &running)?;

    let mut row = |what: &str, full: String, empty: String| table.row(vec![what.to_owned(), full, empty]);
    row("start to 220", span(Some(ready)), String::new());
    row("start to the first delivery", span(Some(delivered)), String::new());
    row("resident after the start", megabytes(at_start), String::new());
    row("peak of the start", megabytes(start_peak), String::new());
    row("peak RSS of the run", megabytes(running.gauge.peak()), megabytes(empty_peak));
    row("first page of the queue (100)", span(Some(first_page)), String::new());
    row("second page of the queue (1000)", span(Some(second_page)), String::new());
    row("accepted a second", format!("{full_rate:.0}"), format!("{empty_rate:.0}"));
    row("of the rate with an empty queue", format!("{:.0} %", 100.0 * full_rate / empty_rate), String::new());
    Ok(table)
}

fn resident(running: &Running) -> u64 {
    running.process.map_or(0, |process| Look::at(process).resident)
}

/// Sends to good hosts as fast as it is taken: messages accepted a second.
fn accepted(bench: &Bench, running: &Running) -> Result<f64, String> {
    pause(Duration::from_secs(1));
    let batch = bench.street.post.batch(SENT);
    let begin = Instant::now();
    send(&batch, &Order::new(DOOR.into(), |n| format!("gwen@good{}.test", n % 20 + 1)));
    let took = begin.elapsed();
    let summary = batch.summary();
    if summary.accepted == 0 {
        return Err(format!("nothing was accepted:\n{}", running.log()));
    }
    until(Duration::from_secs(60), || batch.delivered() == summary.accepted);
    Ok(rate(summary.accepted, took))
}

/// Runs the second.
pub fn drain(bench: &Bench) {
    table(came_back(bench), &format!("drain-100000: {DRAINED} messages for a host that came back"));
}

fn came_back(bench: &Bench) -> Result<Table, String> {
    let mut table = Table::new(&["what", "messages", "a second", "CPU ms each"]);
    let relay = Relay::Sendoff;
    bench.street.forget();
    let running = relay.start(&bench.scratch, "")?;
    let batch = bench.street.post.batch(STEADY);
    let (begin, before) = (Instant::now(), running.gauge.seconds());
    send(&batch, &Order::new(DOOR.into(), |_| "gwen@good1.test".to_owned()));
    until(Duration::from_secs(60), || batch.delivered() == STEADY);
    let steady = rate(batch.delivered(), begin.elapsed());
    let steady_cost = cost(&running, before, batch.delivered());
    drop(running);

    let home = relay.clear(&bench.scratch)?;
    let batch = bench.street.post.batch(DRAINED);
    eprintln!("bench: the spool is being filled");
    fill(&home, &batch, |_| "gwen@good1.test".to_owned(), SMALL)?;
    rest(&home, std::iter::once("good1.test".to_owned()), AWAY)?;
    let running = relay.open(home, "")?;
    until(2 * AWAY, || batch.delivered() > 0);
    let (begin, before) = (Instant::now(), running.gauge.seconds());
    until(Duration::from_secs(180), || batch.delivered() == DRAINED);
    let drained = rate(batch.delivered(), begin.elapsed());
    let drained_cost = cost(&running, before, batch.delivered());
    let summary = batch.summary();
    table.row(vec![
        "steady, accepted and delivered".into(),
        STEADY.to_string(),
        format!("{steady:.0}"),
        steady_cost,
    ]);
    table.row(vec![
        "drained".into(),
        format!("{} ({} twice)", summary.delivered, summary.duplicates),
        format!("{drained:.0}"),
        drained_cost,
    ]);
    table.row(vec!["of the steady rate".into(), String::new(), format!("{:.0} %", 100.0 * drained / steady)]);
    table.row(vec!["peak RSS".into(), String::new(), megabytes(running.gauge.peak())]);
    Ok(table)
}

/// Runs the third.
pub fn large(bench: &Bench) {
    table(in_and_out(bench), "large-50mb: the peak of memory after messages that went in and out");
}

fn in_and_out(bench: &Bench) -> Result<Table, String> {
    let mut table = Table::new(&["messages", "octets each", "delivered", "peak RSS", "more than before"]);
    bench.street.forget();
    // Some megabytes below the limit are for the header.
    let running = Relay::Sendoff.start(&bench.scratch, "listen.max_message_size = \"60 MiB\"")?;
    let mut before = 0;
    for (count, size) in [(20, SMALL), (1, LARGE), (4, LARGE)] {
        let batch = bench.street.post.batch(count);
        let mut order = Order::new(DOOR.into(), |_| "gwen@good1.test".to_owned());
        order.size = size;
        send(&batch, &order);
        until(Duration::from_secs(60), || batch.delivered() == count);
        let peak = running.gauge.peak();
        let more = if before == 0 { String::new() } else { megabytes(peak.saturating_sub(before)) };
        table.row(vec![
            count.to_string(),
            size.to_string(),
            batch.delivered().to_string(),
            megabytes(peak),
            more,
        ]);
        before = peak;
    }
    Ok(table)
}
