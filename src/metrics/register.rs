//! The register: everything that is counted.

use super::{Count, Counts, Histogram};

/// Where a message came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Over SMTP.
    Smtp,
    /// By the operator's door: `sendoff send`, `sendmail`.
    Local,
    /// Written by ourselves: a bounce, a delay notice.
    Letter,
}

/// What was said of a recipient after an attempt; the words are those of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The host took it.
    Delivered,
    /// It waits for another attempt.
    Deferred,
    /// It bounces.
    Failed,
    /// It was not its turn.
    Postponed,
}

/// What a look-up in DNS found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Records.
    Records,
    /// The name, without such records.
    NoData,
    /// No such name.
    NxDomain,
    /// Nothing: nobody could say.
    Failed,
}

/// Why the watchdog ended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It was past its deadline, and its own thread had not left: a defect of ours.
    Overdue,
    /// Others waited for its seat.
    Patience,
}

impl Source {
    /// Each, with its word.
    pub const ALL: [(Source, &'static str); 3] =
        [(Source::Smtp, "smtp"), (Source::Local, "local"), (Source::Letter, "letter")];
}

impl Told {
    /// Each, with its word.
    pub const ALL: [(Told, &'static str); 4] = [
        (Told::Delivered, "delivered"),
        (Told::Deferred, "deferred"),
        (Told::Failed, "failed"),
        (Told::Postponed, "postponed"),
    ];
}

impl Found {
    /// Each, with its word.
    pub const ALL: [(Found, &'static str); 4] = [
        (Found::Records, "records"),
        (Found::NoData, "no_data"),
        (Found::NxDomain, "nx_domain"),
        (Found::Failed, "failed"),
    ];
}

impl Cut {
    /// Each, with its word.
    pub const ALL: [(Cut, &'static str); 2] = [(Cut::Overdue, "overdue"), (Cut::Patience, "patience")];
}

/// The counts. Those by a type of a higher floor go by the number of its variant; `control::web` puts the words to them.
#[derive(Debug)]
pub struct Metrics {
    /// Messages that are durable, by [`Source`].
    pub accepted: Counts<3>,
    /// Negative replies to clients, by code less 400.
    pub refusals: Counts<200>,
    /// Clients that got a seat.
    pub clients: Count,
    /// Clients whose seat has come back.
    pub clients_gone: Count,
    /// Clients turned away because every seat was taken.
    pub turned_away: Count,
    /// Recipients after an attempt, by [`Told`] and by the standing of the destination; the last one is for none.
    pub recipients: [Counts<4>; 4],
    /// Failures, by phase and by blame.
    pub failures: [Counts<3>; Metrics::PHASES],
    /// From accepted to delivered.
    pub delay: Histogram<14>,
    /// One transaction of the spool, its sync included.
    pub commit: Histogram<12>,
    /// Operations that those transactions held.
    pub operations: Count,
    /// Look-ups in DNS, by [`Found`], aliases followed.
    pub dns: Counts<4>,
    /// Questions that the cache answered.
    pub dns_cached: Count,
    /// Sessions the watchdog ended, by [`Cut`].
    pub cuts: Counts<2>,
    /// Panics that were caught. Each is a defect.
    pub panics: Count,
}

/// The counts of this process.
pub static METRICS: Metrics = Metrics {
    accepted: Counts::new(),
    refusals: Counts::new(),
    clients: Count::new(),
    clients_gone: Count::new(),
    turned_away: Count::new(),
    recipients: [const { Counts::new() }; 4],
    failures: [const { Counts::new() }; Metrics::PHASES],
    // 10 ms to a day, and beyond.
    delay: Histogram::new([
        10_000,
        50_000,
        100_000,
        500_000,
        1_000_000,
        5_000_000,
        30_000_000,
        60_000_000,
        300_000_000,
        900_000_000,
        3_600_000_000,
        14_400_000_000,
        43_200_000_000,
        86_400_000_000,
    ]),
    // 100 us to 5 s.
    commit: Histogram::new([
        100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 500_000, 1_000_000, 5_000_000,
    ]),
    operations: Count::new(),
    dns: Counts::new(),
    dns_cached: Count::new(),
    cuts: Counts::new(),
    panics: Count::new(),
};

impl Metrics {
    /// Room for every phase of a session.
    pub const PHASES: usize = 24;

    /// A recipient, after an attempt of a destination whose standing has this number; `None` without one.
    pub fn told(&self, told: Told, standing: Option<usize>) {
        self.recipients[told as usize].of(standing.unwrap_or(3)).one();
    }

    /// A failure, by the numbers of its phase and of its blame.
    pub fn failed(&self, phase: usize, blame: usize) {
        self.failures[phase.min(Metrics::PHASES - 1)].of(blame).one();
    }

    /// A negative reply to a client.
    pub fn refused(&self, code: u16) {
        if let Some(n) = code.checked_sub(400) {
            self.refusals.of(usize::from(n)).one();
        }
    }

    /// Clients that are being served now.
    pub fn clients_now(&self) -> u64 {
        let gone = self.clients_gone.get();
        self.clients.get().saturating_sub(gone)
    }
}
