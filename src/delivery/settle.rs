//! Settling: the outcomes of an attempt become a line in the log each, one transaction of the spool, and the message's
//! place in the queue.

use std::fmt::Write as _;
use std::time::Duration;

use super::job::{Resting, Tally, Ticket};
use super::letter::letter;
use super::recent;
use super::verdict::{Circumstances, judge};
use super::workshop::{Workshop, announce, jitter};
use crate::bounce::Kind;
use crate::config::Config;
use crate::mail::{Destination, Failure, Outcome, QueueId};
use crate::metrics::{METRICS, Source};
use crate::net::Standing;
use crate::smtp::Mailbox;
use crate::spool::{Lease, Settled, SpoolError, Verdict};
use crate::time::{Unix, clock};

/// What an attempt was, besides its outcomes.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) config: &'a Config,
    pub(super) destination: &'a Destination,
    /// The session, if there was one.
    pub(super) session: Option<u64>,
    /// What was known of the destination when the visit began; nothing if there was no visit.
    pub(super) standing: Option<Standing>,
    /// When the message was accepted.
    pub(super) accepted: Unix,
    /// How long the destination rests if it failed as a site.
    pub(super) site_rest: Duration,
}

/// Settles a lease and its ticket.
pub(super) fn settle(
    shop: &Workshop,
    context: &Context<'_>,
    mut ticket: Ticket,
    lease: Lease,
    outcomes: Vec<Option<Outcome>>,
) {
    let now = clock::unix();
    if outcomes.iter().all(Option::is_none) && !notice_due(&lease, context.config, now) {
        // Nothing was tried, so there is nothing to write down. The claim is given back before the message is.
        drop(lease);
        return ticket.settle(Resting::WithSite);
    }
    let attempts = lease.recipients().iter().map(|recipient| recipient.attempts).max().unwrap_or(0);
    let accepted = lease.envelope().accepted;
    let site_rest = context.site_rest;
    let said: Vec<_> = outcomes.iter().map(delivered).collect();
    let circumstances = Circumstances { now, accepted, attempts, site_rest, jitter: jitter() };
    let (verdicts, resting) = judge(outcomes, context.config, circumstances);
    ticket.tally(tally(&verdicts));
    for ((recipient, verdict), said) in lease.recipients().iter().zip(&verdicts).zip(said) {
        line(context, lease.id(), &recipient.address, recipient.attempts + 1, verdict, said.as_ref());
    }
    write(shop, context.config, ticket, lease, verdicts, resting, now);
}

fn tally(verdicts: &[Verdict]) -> Tally {
    let mut tally = Tally::default();
    for verdict in verdicts {
        match verdict {
            Verdict::Delivered(_) => tally.delivered += 1,
            Verdict::Deferred { .. } => tally.deferred += 1,
            Verdict::Failed { .. } => tally.failed += 1,
            Verdict::Removed | Verdict::Postponed { .. } => {}
        }
    }
    tally
}

/// Settles a message that has waited long, without an attempt: it has expired, or its reverse-path is told that it is late,
/// and it waits on for `wait`: to be told of is no reason to be tried earlier.
pub(super) fn overdue(
    shop: &Workshop,
    destination: &Destination,
    ticket: Ticket,
    lease: Lease,
    wait: Duration,
) {
    let (config, now) = (shop.config(), clock::unix());
    let age = now.since(lease.envelope().accepted);
    let accepted = lease.envelope().accepted;
    let context = Context {
        config: &config,
        destination,
        session: None,
        standing: None,
        accepted,
        site_rest: Duration::ZERO,
    };
    let expired = age >= config.delivery.expire_after;
    let verdicts = lease.recipients().iter().map(|recipient| {
        let failure = recipient.last.as_ref().map_or_else(never_tried, |last| last.failure.clone());
        match expired {
            true => Verdict::Failed { failure: crate::bounce::expired(failure, age) },
            false => Verdict::Postponed { next: now.after(wait) },
        }
    });
    let verdicts: Vec<_> = verdicts.collect();
    for (recipient, verdict) in lease.recipients().iter().zip(&verdicts) {
        if expired {
            line(&context, lease.id(), &recipient.address, recipient.attempts, verdict, None);
        }
    }
    let resting = match expired {
        true => Resting::Gone,
        false if wait.is_zero() => Resting::WithSite,
        false => Resting::For(wait),
    };
    write(shop, &config, ticket, lease, verdicts, resting, now);
}

fn write(
    shop: &Workshop,
    config: &Config,
    ticket: Ticket,
    lease: Lease,
    verdicts: Vec<Verdict>,
    resting: Resting,
    now: Unix,
) {
    let id = lease.id();
    let failed = collect(&lease, &verdicts, now, |verdict| matches!(verdict, Verdict::Failed { .. }));
    if !failed.is_empty() && lease.envelope().reverse_path.mailbox().is_none() {
        log::warn!("id={id}: a bounce cannot be delivered, and is dropped: a bounce never bounces");
    }
    let bounce = letter(&lease, config, Kind::Failed, failed, now);
    let notice = notice_due(&lease, config, now).then(|| {
        let late = collect(&lease, &verdicts, now, |verdict| {
            !matches!(verdict, Verdict::Delivered(_) | Verdict::Failed { .. })
        });
        let until = lease.envelope().accepted.after(config.delivery.expire_after);
        letter(&lease, config, Kind::Delayed { until }, late, now)
    });
    let numbered = lease.recipients().iter().map(|recipient| recipient.n).zip(verdicts).collect();
    let (notice, limit) = (notice.flatten(), Workshop::SPOOL);
    let settled = match (bounce, notice) {
        (None, None) => lease.settle_soon(numbered, limit).map(|()| Settled::default()),
        (bounce, notice) => lease.settle(numbered, bounce, notice, limit),
    };
    match settled {
        Ok(settled) => {
            for (letter, what) in [(settled.bounce, "bounce"), (settled.notice, "delay notice")] {
                if let Some(accepted) = letter {
                    log::info!("id={} about={id} to=<{}> event=\"{what}\"", accepted.id(), to(&accepted));
                    METRICS.accepted.of(Source::Letter as usize).one();
                    announce(&shop.arrivals, accepted, now);
                }
            }
            ticket.settle(resting);
        }
        // The spool keeps it and writes it when it can; the claim is held until then.
        Err(SpoolError::Kept(why)) => {
            // The spool has said what is wrong, once for all of them.
            log::debug!("id={id}: what became of it is not on disk yet and will be written: {why}");
            ticket.settle(resting);
        }
        Err(error) => {
            log::error!("id={id}: what became of it could not be written, it will be tried again: {error}");
            ticket.settle(Resting::For(config.retry.message.wait(1, jitter())));
        }
    }
}

fn to(accepted: &crate::spool::Accepted) -> String {
    accepted.envelope().recipients.first().map(ToString::to_string).unwrap_or_default()
}

/// Letters of settlements that could be written only later; called now and then by whoever keeps the house.
pub fn late(shop: &Workshop) {
    for accepted in shop.spool.late().try_iter() {
        METRICS.accepted.of(Source::Letter as usize).one();
        announce(&shop.arrivals, accepted, clock::unix());
    }
}

fn collect(
    lease: &Lease,
    verdicts: &[Verdict],
    now: Unix,
    which: impl Fn(&Verdict) -> bool,
) -> Vec<(Mailbox, Failure, Option<Unix>)> {
    let chosen = lease.recipients().iter().zip(verdicts).filter(|(_, verdict)| which(verdict));
    chosen
        .map(|(recipient, verdict)| {
            let last = recipient.last.as_ref();
            let (failure, at) = match verdict {
                Verdict::Failed { failure } | Verdict::Deferred { failure, .. } => {
                    (failure.clone(), Some(now))
                }
                _ => (last.map_or_else(never_tried, |last| last.failure.clone()), last.map(|last| last.at)),
            };
            (recipient.address.clone(), failure, at)
        })
        .collect()
}

fn notice_due(lease: &Lease, config: &Config, now: Unix) -> bool {
    let late = config.bounce.delay_notice.is_some_and(|after| now.since(lease.envelope().accepted) >= after);
    late && !lease.delay_notified()
}

/// A message that waited behind its destination's rest and never had an attempt of its own.
fn never_tried() -> Failure {
    Failure {
        blame: crate::mail::Blame::Site,
        phase: crate::time::Phase::Dns,
        status: crate::smtp::EnhancedStatus::new(4, 4, 7),
        diagnostic: crate::mail::Diagnostic::Local(
            "not tried: its destination was resting after failures of other mail".into(),
        ),
        remote: None,
        duplicate: false,
    }
}

fn delivered(outcome: &Option<Outcome>) -> Option<(String, String, String)> {
    let Some(Outcome::Delivered(remote, reply)) = outcome else { return None };
    let status = reply.status().map_or_else(|| "2.0.0".to_owned(), |status| status.to_string());
    Some((remote.to_string(), status, reply.to_string()))
}

/// The one line of an attempt and recipient, with its fixed keys.
fn line(
    context: &Context<'_>,
    id: QueueId,
    to: &Mailbox,
    attempts: u32,
    verdict: &Verdict,
    said: Option<&(String, String, String)>,
) {
    let age = age(id, context.accepted, clock::unix(), clock::unix_micros());
    recent::count(context, id, to, verdict, age.0);
    let mut line = format!("id={id} to=<{to}> destination={}", context.destination);
    let none = || "-".to_owned();
    let (mx, phase, status, outcome, text) = match (verdict, said) {
        (Verdict::Deferred { failure, .. }, _) => failure_keys(failure, "deferred"),
        (Verdict::Failed { failure }, _) => failure_keys(failure, "failed"),
        (Verdict::Removed, _) => (none(), "-", none(), "removed", none()),
        (Verdict::Postponed { .. }, _) => (none(), "-", none(), "postponed", none()),
        (Verdict::Delivered(_), Some((mx, status, text))) => {
            (mx.clone(), "dot", status.clone(), "delivered", text.clone())
        }
        (Verdict::Delivered(_), None) => (none(), "dot", "2.0.0".into(), "delivered", none()),
    };
    let delay = delay(age);
    // Writing to a String cannot fail.
    let _ = write!(line, " mx={mx} phase={phase} status={status} delay={delay} attempts={attempts}");
    if let Some(session) = context.session {
        let _ = write!(line, " session={session}");
    }
    if let Some(channel) = verdict.channel() {
        let _ = write!(line, " {channel}");
    }
    log::info!(target: "sendoff::delivery", "{line} outcome={outcome} text={text:?}");
}

/// The time since acceptance, and whether it is exact. An id is born from the clock and tells it to the millisecond, unless it
/// had to run ahead of the clock (after a restart, or a jump back); then there are whole seconds.
fn age(id: QueueId, accepted: Unix, now: Unix, micros: u64) -> (Duration, bool) {
    let born = i64::try_from(id.row() / 1_000_000).unwrap_or(i64::MAX);
    match micros.checked_sub(id.row()) {
        Some(age) if born.abs_diff(accepted.0) <= 1 => (Duration::from_micros(age), true),
        _ => (now.since(accepted), false),
    }
}

fn delay((age, exact): (Duration, bool)) -> String {
    if exact { format!("{:.3}s", age.as_secs_f64()) } else { format!("{}s", age.as_secs()) }
}

fn failure_keys(
    failure: &Failure,
    word: &'static str,
) -> (String, &'static str, String, &'static str, String) {
    let mx = failure.remote.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    let duplicate = if failure.duplicate { "; possible duplicate" } else { "" };
    let text = format!("{}{duplicate}", failure.diagnostic);
    (mx, failure.phase.word(), failure.status.to_string(), word, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_exact_where_the_id_tells_the_time_and_true_where_it_does_not() {
        let id = QueueId::from_row(1_700_000_000_500_000);
        let at = |accepted, micros: u64| delay(age(id, Unix(accepted), Unix(1_700_000_007), micros));
        assert_eq!(at(1_700_000_000, 1_700_000_000_502_000), "0.002s");
        assert_eq!(at(1_700_000_000, 1_700_000_000_400_000), "7s");
        assert_eq!(at(1_699_999_950, 1_700_000_000_502_000), "57s");
    }
}
