//! The counts as text for Prometheus (OpenMetrics 1.0). Every name and every word of a label is here.

use std::fmt::Error;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Registry;

use super::process::Process;
use crate::control::overview::Overview;
use crate::mail::Blame;
use crate::metrics::{Cut, Found, METRICS, Metrics, Source, Told};
use crate::net::Standing;
use crate::time::Phase;

/// The text's media type.
pub(super) const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const STANDINGS: [Standing; 3] = [Standing::Proven, Standing::New, Standing::Suspect];
const BLAMES: [Blame; 3] = [Blame::Site, Blame::Message, Blame::Recipient];

/// All of it.
pub(super) fn exposition(overview: Overview) -> Result<String, Error> {
    let mut registry = Registry::with_prefix("sendoff");
    registry.register_collector(Box::new(Scrape { overview, process: Process::now() }));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// One scrape.
#[derive(Debug)]
struct Scrape {
    overview: Overview,
    process: Process,
}

type Labels = Vec<(&'static str, String)>;
type Series = Vec<(Labels, u64)>;

impl Collector for Scrape {
    fn encode(&self, mut out: DescriptorEncoder) -> Result<(), Error> {
        for (name, help, series) in counters() {
            let mut family = out.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (labels, value) in series {
                let none = None::<&Exemplar<NoLabelSet, u64>>;
                match labels.is_empty() {
                    true => family.encode_counter(&value, none)?,
                    false => family.encode_family(&labels)?.encode_counter(&value, none)?,
                }
            }
        }
        for (name, help, series) in self.gauges() {
            let mut family = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (labels, value) in series {
                let value = i64::try_from(value).unwrap_or(i64::MAX);
                match labels.is_empty() {
                    true => family.encode_gauge(&value)?,
                    false => family.encode_family(&labels)?.encode_gauge(&value)?,
                }
            }
        }
        let histograms = [
            ("delay_seconds", "From accepted to delivered.", METRICS.delay.buckets(), METRICS.delay.sum()),
            (
                "commit_seconds",
                "One transaction of the spool, its sync included.",
                METRICS.commit.buckets(),
                METRICS.commit.sum(),
            ),
        ];
        for (name, help, buckets, sum) in histograms {
            let count = buckets.iter().map(|(_, many)| many).sum();
            let mut family = out.encode_descriptor(name, help, None, MetricType::Histogram)?;
            family.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }
}

fn one(value: u64) -> Series {
    vec![(Vec::new(), value)]
}

fn by<T: Copy>(label: &'static str, all: &[(T, &'static str)], value: impl Fn(T) -> u64) -> Series {
    all.iter().map(|(variant, word)| (vec![(label, (*word).to_owned())], value(*variant))).collect()
}

fn counters() -> [(&'static str, &'static str, Series); 12] {
    let metrics: &Metrics = &METRICS;
    // What has never happened is left out where the combinations are many.
    let refusals = (0..200).map(|n| (vec![("code", (400 + n).to_string())], metrics.refusals.of(n).get()));
    let refusals = refusals.filter(|(_, many)| *many > 0).collect();
    let mut recipients = Vec::new();
    for (told, outcome) in Told::ALL {
        let classes = STANDINGS.iter().map(|standing| standing.word()).chain(["none"]);
        for (n, class) in classes.enumerate() {
            let labels = vec![("outcome", outcome.to_owned()), ("class", class.to_owned())];
            recipients.push((labels, metrics.recipients[told as usize].of(n).get()));
        }
    }
    let mut failures = Vec::new();
    for phase in Phase::ALL {
        for blame in BLAMES {
            let labels = vec![("phase", phase.word().to_owned()), ("blame", blame.word().to_owned())];
            let many = metrics.failures.get(phase as usize).map_or(0, |row| row.of(blame as usize).get());
            failures.extend((many > 0).then_some((labels, many)));
        }
    }
    [
        (
            "messages_accepted",
            "Messages that are durable, by where they came from.",
            by("source", &Source::ALL, |n| metrics.accepted.of(n as usize).get()),
        ),
        ("refusals", "Negative replies to clients, by code.", refusals),
        ("clients_served", "Clients that got a seat.", one(metrics.clients.get())),
        ("clients_turned_away", "Clients for whom there was no seat.", one(metrics.turned_away.get())),
        (
            "recipients",
            "Recipients after an attempt, by outcome and by the class of their destination before it.",
            recipients,
        ),
        ("failures", "Recipients that were not delivered, by phase and by whom it is blamed on.", failures),
        ("spool_operations", "Operations of all transactions.", one(metrics.operations.get())),
        (
            "dns_lookups",
            "Look-ups, aliases followed, by what was found.",
            by("found", &Found::ALL, |n| metrics.dns.of(n as usize).get()),
        ),
        ("dns_cached", "Questions that the cache answered.", one(metrics.dns_cached.get())),
        (
            "sessions_cut",
            "Sessions that the watchdog ended; overdue ones are a defect.",
            by("why", &Cut::ALL, |n| metrics.cuts.of(n as usize).get()),
        ),
        ("panics", "Panics that were caught; each is a defect.", one(metrics.panics.get())),
        ("spool_commits", "Transactions.", one(metrics.commit.buckets().iter().map(|(_, many)| many).sum())),
    ]
}

impl Scrape {
    fn gauges(&self) -> [(&'static str, &'static str, Series); 15] {
        let (queue, seats) = (&self.overview.queue, &self.overview.seats);
        let number = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        let words = |label, rows: &[(&str, usize)]| -> Series {
            rows.iter().map(|(word, value)| (vec![(label, (*word).to_owned())], number(*value))).collect()
        };
        let states = [
            ("active", queue.active),
            ("ready", queue.ready),
            ("waiting", queue.waiting),
            ("resting", queue.resting),
            ("blocked", queue.blocked),
            ("held", queue.held),
            ("suspended", queue.suspended),
        ];
        let classes = [("proven", seats.proven), ("new", seats.new), ("suspect", seats.suspect)];
        let phases = Phase::ALL
            .map(|phase| (phase.word(), self.overview.phases.get(phase.word()).copied().unwrap_or_default()));
        [
            ("queue_messages", "Messages in the spool.", one(queue.messages)),
            ("queue_recipients", "Recipients in the spool.", one(queue.recipients)),
            ("queue_entries", "Messages by state, once for each destination.", words("state", &states)),
            ("destinations", "Destinations that have mail.", one(number(queue.destinations))),
            (
                "destinations_resting",
                "Destinations that rest after they failed.",
                one(number(queue.destinations_resting)),
            ),
            (
                "destinations_suspended",
                "Destinations that an operator has suspended.",
                one(number(queue.destinations_suspended)),
            ),
            (
                "quarantined",
                "Messages, or recipients of them, that cannot be read; they are in no other count.",
                one(queue.quarantined),
            ),
            ("slots", "Slots of the ledger in use, by class of destination.", words("class", &classes)),
            ("pool_seats", "Seats of the pool.", one(number(seats.pool))),
            ("sessions", "Open sessions, by phase.", words("phase", &phases)),
            ("clients", "Clients being served.", one(self.overview.clients)),
            ("clients_most", "The most clients that are.", one(number(self.overview.clients_most))),
            ("process_open_fds", "Open file descriptors.", one(self.process.descriptors)),
            ("process_threads", "Threads.", one(self.process.threads)),
            ("process_resident_memory_bytes", "Resident memory.", one(self.process.resident)),
        ]
    }
}
